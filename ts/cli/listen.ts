import { randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { BrokerOptions, BrokerRule, EmbeddedBroker, MQTTIntegrationConfig } from '../index.js';
import { UsageError, wholeNumber } from './settings.js';

/** What the command line says of the embedded broker. */
export interface ListenFlags {
  listen: BrokerOptions;
  websocketListen?: number;
  listenTlsCert?: string;
  listenTlsKey?: string;
  listenTlsClientCa?: string;
  usersFile?: string;
  rulesFile?: string;
}

type Broker = MQTTIntegrationConfig['broker'];

/** Adds the options of the embedded broker. */
export function withListenOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--listen <host:port>', 'where the embedded broker listens')
        .argParser(address)
        .default({ host: '127.0.0.1', port: 1883 }, '127.0.0.1:1883'),
    )
    .option(
      '--websocket-listen <port>',
      'port of the same address where it takes MQTT over WebSockets too',
      wholeNumber(0, 65_535),
    )
    .option('--listen-tls-cert <file>', 'its certificate, with the chain (PEM); it takes TLS alone then')
    .option('--listen-tls-key <file>', 'the private key of that certificate (PEM, without a passphrase)')
    .option('--listen-tls-client-ca <file>', 'certificates of CAs, one of which must have signed a client’s (PEM)')
    .option('--users-file <file>', 'passwords by user name, as a JSON object; nobody else may connect')
    .option('--rules-file <file>', 'what clients may do, as a JSON array; what no rule allows is refused');
}

/** Whether anything about the embedded broker was asked for, but for its address. */
export function wantsEmbedded({ listen: _, ...flags }: ListenFlags): string | undefined {
  const names: Record<keyof typeof flags, string> = {
    websocketListen: '--websocket-listen',
    listenTlsCert: '--listen-tls-cert',
    listenTlsKey: '--listen-tls-key',
    listenTlsClientCa: '--listen-tls-client-ca',
    usersFile: '--users-file',
    rulesFile: '--rules-file',
  };
  return Object.entries(names).find(([field]) => flags[field as keyof typeof flags] !== undefined)?.[1];
}

/**
 * The embedded broker's options, and the user as whom our own peer connects if there are users. That one is made up for this
 * process, and may use all topics; unless `own` has a name already.
 */
export function listening(flags: ListenFlags, own: Broker): { options: BrokerOptions; user: Broker } {
  const { listenTlsCert: certFile, listenTlsKey: keyFile, listenTlsClientCa: clientCaFile } = flags;
  if ((certFile === undefined) !== (keyFile === undefined) || (clientCaFile !== undefined && certFile === undefined)) {
    throw new UsageError(
      '--listen-tls-cert and --listen-tls-key belong together, and --listen-tls-client-ca needs both',
    );
  }
  const users = flags.usersFile === undefined ? undefined : usersOf(flags.usersFile);
  const rules = flags.rulesFile === undefined ? undefined : rulesOf(flags.rulesFile);
  const username = `server-${randomBytes(8).toString('hex')}`;
  const password = randomBytes(24).toString('base64url');
  const made = users !== undefined && own.username === undefined;
  const everything = { users: [username], publish: ['#'], subscribe: ['#'] };
  return {
    options: {
      ...flags.listen,
      ...(flags.websocketListen !== undefined && { websocket: { port: flags.websocketListen } }),
      ...(certFile !== undefined &&
        keyFile !== undefined && { tls: { certFile, keyFile, ...(clientCaFile && { clientCaFile }) } }),
      ...(users && { users: { ...users, ...(made && { [username]: password }) } }),
      ...(rules && { rules: made ? [...rules, everything] : rules }),
    },
    user: made ? { username, password } : {},
  };
}

/** How our own peer reaches the embedded broker: as any other does, so its certificate must be trusted here too. */
export function ownAddress({ host, port }: EmbeddedBroker, { tls }: BrokerOptions, own: Broker): Broker {
  const near = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  if (!tls) return { host: near, port };
  const serverName = own.tls?.serverName ?? nameOf(tls.certFile, near);
  return { protocol: 'mqtts', host: near, port, tls: { ...own.tls, ...(serverName !== undefined && { serverName }) } };
}

/** A name that a certificate is for, where it is not for the host. */
function nameOf(certFile: string, host: string): string | undefined {
  const certificate = new X509Certificate(readFileSync(certFile));
  if (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)) return undefined;
  return /DNS:([^,\s]+)/.exec(certificate.subjectAltName ?? '')?.[1]?.replace('*', 'broker');
}

function usersOf(path: string): Record<string, string> {
  const users = json(path, '--users-file');
  const wrong = typeof users !== 'object' || users === null || Array.isArray(users);
  if (wrong || !Object.values(users).every((password) => typeof password === 'string')) {
    throw new UsageError(`--users-file: ${path} must hold a JSON object with a password, as text, for each user`);
  }
  return users as Record<string, string>;
}

function rulesOf(path: string): BrokerRule[] {
  const rules = json(path, '--rules-file');
  if (!Array.isArray(rules)) throw new UsageError(`--rules-file: ${path} must hold a JSON array of rules`);
  return rules;
}

/** The messages say nothing of what is in the file: there are passwords in it. */
function json(path: string, option: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`${option}: ${(error as Error).message}`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`${option}: ${path} holds no JSON`);
  }
}

/** Parses `host:port`, for commander. */
export function address(text: string): BrokerOptions {
  const [, host, port] = /^(.+):(\d+)$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65535) throw new InvalidArgumentError('Expected host:port.');
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}
