import { readFileSync } from 'node:fs';
import type { MQTTIntegrationConfig } from '../index.js';
import type { Environment } from './data-directory.js';
import { UsageError } from './usage-error.js';

type Broker = MQTTIntegrationConfig['broker'];
type Protocol = NonNullable<Broker['protocol']>;

/** What the command line says about the broker. */
export interface BrokerFlags {
  broker?: string;
  tlsCa?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsServerName?: string;
  tlsInsecure?: boolean;
}

const PORTS: Record<Protocol, number> = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443 };
const EXPECTED = 'expected a URL such as mqtts://user@host:8883, with mqtt, mqtts, ws or wss';

/** Flags beat environment beats file. Files and variables that say nothing of a field leave it to the next. */
export function brokerFrom(file: Broker | undefined, environment: Environment, flags: BrokerFlags): Broker {
  const { path, tls: ofFile, ...rest } = file ?? {};
  const named = flags.broker === undefined ? { ...(path !== undefined && { path }) } : ofUrl(flags.broker);
  const tls = { ...ofFile, ...tlsOfEnvironment(environment), ...tlsOfFlags(flags) };
  return {
    ...rest,
    ...ofEnvironment(environment),
    ...named,
    ...(Object.keys(tls).length > 0 && { tls }),
  };
}

/** Its address for people, without what is secret in it. */
export function urlOf({ protocol = 'mqtt', host = 'localhost', port = PORTS[protocol] }: Broker): string {
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The port that is meant when none is given. */
export function portOf({ protocol = 'mqtt', port = PORTS[protocol] }: Broker): number {
  return port;
}

/** Messages never have the text in them: there may be a password in it. */
function ofUrl(text: string): Broker {
  // Without a scheme, "host:1883" would read as a URL of scheme "host".
  const full = text.includes('://') ? text : `mqtt://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  const protocol = url?.protocol.slice(0, -1) as Protocol | undefined;
  if (!url?.hostname || protocol === undefined || !Object.hasOwn(PORTS, protocol)) {
    throw new UsageError(`--broker: ${EXPECTED}`);
  }
  // Others on this machine see what a process was started with, until it says otherwise.
  if (url.password) process.title = 'mqtt-p2p';
  const path = `${url.pathname}${url.search}`;
  return {
    protocol,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? PORTS[protocol] : Number(url.port),
    ...(protocol.startsWith('ws') && path !== '/' && { path }),
    ...(url.username && { username: decoded(url.username) }),
    ...(url.password && { password: decoded(url.password) }),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new UsageError('--broker: write a % in a user name or password as %25');
  }
}

function ofEnvironment(environment: Environment): Broker {
  const { MQTT_BROKER_PROTOCOL, MQTT_BROKER_HOST, MQTT_BROKER_PORT, MQTT_USERNAME } = environment;
  const password = passwordOf(environment);
  return {
    ...(MQTT_BROKER_PROTOCOL && { protocol: protocolOf(MQTT_BROKER_PROTOCOL) }),
    ...(MQTT_BROKER_HOST && { host: MQTT_BROKER_HOST }),
    ...(MQTT_BROKER_PORT && { port: portNumber(MQTT_BROKER_PORT) }),
    ...(MQTT_USERNAME && { username: MQTT_USERNAME }),
    ...(password && { password }),
  };
}

/** Containers and services are handed secrets as files. */
function passwordOf({ MQTT_PASSWORD, MQTT_PASSWORD_FILE }: Environment): string | undefined {
  if (!MQTT_PASSWORD_FILE) return MQTT_PASSWORD;
  if (MQTT_PASSWORD) throw new UsageError('MQTT_PASSWORD and MQTT_PASSWORD_FILE both name a password; set one of them');
  try {
    return readFileSync(MQTT_PASSWORD_FILE, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw new UsageError(`MQTT_PASSWORD_FILE: ${(error as Error).message}`);
  }
}

function protocolOf(text: string): Protocol {
  if (!Object.hasOwn(PORTS, text)) throw new UsageError('MQTT_BROKER_PROTOCOL must be mqtt, mqtts, ws or wss');
  return text as Protocol;
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new UsageError(`MQTT_BROKER_PORT must be a number from 1 to 65535, not "${text}"`);
  }
  return port;
}

function tlsOfFlags({ tlsCa, tlsCert, tlsKey, tlsServerName, tlsInsecure }: BrokerFlags): NonNullable<Broker['tls']> {
  return {
    ...(tlsCa !== undefined && { caFile: tlsCa }),
    ...(tlsCert !== undefined && { certFile: tlsCert }),
    ...(tlsKey !== undefined && { keyFile: tlsKey }),
    ...(tlsServerName !== undefined && { serverName: tlsServerName }),
    ...(tlsInsecure && { insecure: true }),
  };
}

function tlsOfEnvironment(environment: Environment): NonNullable<Broker['tls']> {
  const { MQTT_TLS_CA, MQTT_TLS_CERT, MQTT_TLS_KEY, MQTT_TLS_SERVER_NAME, MQTT_TLS_INSECURE } = environment;
  // To verify nothing must be meant: not every word that somebody sets says so.
  if (MQTT_TLS_INSECURE && !['0', '1'].includes(MQTT_TLS_INSECURE)) {
    throw new UsageError('MQTT_TLS_INSECURE must be 1 (verify nothing) or 0');
  }
  return {
    ...(MQTT_TLS_CA && { caFile: MQTT_TLS_CA }),
    ...(MQTT_TLS_CERT && { certFile: MQTT_TLS_CERT }),
    ...(MQTT_TLS_KEY && { keyFile: MQTT_TLS_KEY }),
    ...(MQTT_TLS_SERVER_NAME && { serverName: MQTT_TLS_SERVER_NAME }),
    ...(MQTT_TLS_INSECURE === '1' && { insecure: true }),
  };
}
