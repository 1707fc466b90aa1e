import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { MQTTIntegrationConfig } from '../index.js';
import { type BrokerFlags, brokerFrom } from './broker.js';
import { dataDirectory, type Environment } from './data-directory.js';
import { UsageError } from './usage-error.js';

export { UsageError };

/** What all commands take. */
export interface CommonOptions extends BrokerFlags {
  repositories?: string[];
  config?: string;
  keyFile?: string;
  passphraseFile?: string;
  invite?: string;
  logFormat?: 'text' | 'json';
  json?: boolean;
}

/** What commands take whose peer keeps its canvases. */
export interface StorageOptions extends CommonOptions {
  dataDir?: string;
  memory?: boolean;
}

/** What a command works with. */
export interface Settings {
  config: MQTTIntegrationConfig;
  /** Storage that the configuration file asks for; not in `config`, see `withStorage`. */
  storage: MQTTIntegrationConfig['storage'];
  /** Whether a broker was named anywhere, or just the default one is meant. */
  brokerGiven: boolean;
  /** Print JSON instead of text for people. */
  json: boolean;
}

/** Adds the options that all commands take. */
export function withCommonOptions(command: Command): Command {
  return command
    .option('--broker <url>', 'broker: mqtt, mqtts, ws or wss, as in mqtts://user@host:8883 (password: MQTT_PASSWORD)')
    .option('--tls-ca <file>', "certificates of CAs to trust instead of the system's (PEM)")
    .option('--tls-cert <file>', 'certificate to show to the broker (PEM)')
    .option('--tls-key <file>', 'its private key (PEM, without a passphrase)')
    .option('--tls-server-name <name>', "name that the broker's certificate must have, if not the host's")
    .option('--tls-insecure', 'verify nothing: whoever answers is trusted')
    .option('--repositories <names>', 'repositories, separated by commas', names)
    .option('--config <file>', 'configuration as a JSON file')
    .option('--key-file <file>', 'encrypt the repositories with this key (made by keygen)')
    .option('--passphrase-file <file>', 'encrypt them with a key made of this passphrase (or: MQTT_PASSPHRASE)')
    .option('--invite <text>', 'the invite that belongs to the passphrase (printed by keygen --passphrase)')
    .addOption(new Option('--log-format <format>', 'how logs (DEBUG) are written').choices(['text', 'json']))
    .option('--json', 'print JSON');
}

/** Adds the options of commands whose peer keeps its canvases. */
export function withStorageOptions(command: Command): Command {
  return withCommonOptions(command)
    .addOption(new Option('--data-dir <path>', 'where canvases are kept (default: see below)').conflicts('memory'))
    .option('--memory', 'keep nothing: forget everything at the end')
    .addHelpText('after', WHERE);
}

const WHERE = `
Canvases are kept in a directory for each command and each broker, in the system's place for data of applications:
~/.local/share/mqtt-p2p on Linux (or $XDG_DATA_HOME/mqtt-p2p), ~/Library/Application Support/mqtt-p2p on macOS,
%LOCALAPPDATA%\\mqtt-p2p on Windows. The environment's MQTT_DATA_DIR names another one.`;

/**
 * Flags beat environment beats file beats defaults. In memory: probes neither leave anything on disk nor get in the way
 * of a peer that does, even when they share its configuration file.
 */
export function settings(
  options: CommonOptions,
  defaultRepositories: string[],
  environment: Environment = process.env,
): Settings {
  const file: Partial<MQTTIntegrationConfig> = options.config === undefined ? {} : readConfig(options.config);
  const given = brokerFrom(file.broker, environment, options);
  const repositories = options.repositories ?? repositoriesOf(environment) ?? file.repositories ?? defaultRepositories;
  const { storage, ...rest } = file;
  const key = keyOf(options, environment, file.encryption?.invite);
  const encryption = key && { features: { ...file.features, encryption: true }, encryption: key };
  return {
    config: { ...rest, ...encryption, broker: given, repositories },
    storage,
    brokerGiven: given.protocol !== undefined || given.host !== undefined || given.port !== undefined,
    json: options.json ?? false,
  };
}

/** Where the key comes from that the command line or the environment names, if they name one. */
function keyOf(
  { keyFile, passphraseFile, ...options }: CommonOptions,
  { MQTT_KEY_FILE, MQTT_PASSPHRASE, MQTT_INVITE }: Environment,
  inviteOfFile: string | undefined,
): MQTTIntegrationConfig['encryption'] {
  const invite = options.invite ?? (MQTT_INVITE || inviteOfFile);
  const invited = invite === undefined ? {} : { invite };
  if (keyFile !== undefined && passphraseFile !== undefined) {
    throw new UsageError('--key-file and --passphrase-file both name a key; give one of them');
  }
  if (keyFile !== undefined) return { keyFile };
  if (passphraseFile !== undefined) return { passphraseFile, ...invited };
  if (MQTT_KEY_FILE && MQTT_PASSPHRASE) {
    throw new UsageError('MQTT_KEY_FILE and MQTT_PASSPHRASE both name a key; set one of them');
  }
  if (MQTT_KEY_FILE) return { keyFile: MQTT_KEY_FILE };
  return MQTT_PASSPHRASE ? { passphrase: MQTT_PASSPHRASE, ...invited } : undefined;
}

/** Makes the settings store: where a flag, the environment or the file says, or where `dataDirectory` leads. */
export function withStorage(
  wanted: Settings,
  options: StorageOptions,
  command: string,
  environment: Environment = process.env,
): void {
  if (options.memory) return;
  const named = options.dataDir ?? (environment.MQTT_DATA_DIR || undefined);
  const path = named ?? dataDirectory(command, wanted.config, environment);
  wanted.config.storage = named === undefined && wanted.storage !== undefined ? wanted.storage : { path };
}

/** The names of the repositories. */
export function repositoryNames({ config }: Settings): string[] {
  return config.repositories.map((entry) => (typeof entry === 'string' ? entry : entry.name));
}

/** Parses a whole number of a given range, for commander. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!Number.isInteger(number) || number < min || number > max) {
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    }
    return number;
  };
}

function readConfig(path: string): Partial<MQTTIntegrationConfig> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read the configuration ${path}: ${(error as Error).message}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // Node shows what is around the mistake, and that may be a password.
    const place = /position \d+/.exec((error as Error).message)?.[0];
    throw new UsageError(`the configuration ${path} is no JSON${place ? ` (${place})` : ''}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`the configuration ${path} must be a JSON object`);
  }
  return value;
}

function repositoriesOf(environment: Environment): string[] | undefined {
  return environment.MQTT_REPOSITORIES ? names(environment.MQTT_REPOSITORIES) : undefined;
}

/** Parses names separated by commas, for commander. */
export function names(text: string): string[] {
  const list = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (list.length === 0) throw new InvalidArgumentError('Expected names separated by commas.');
  return list;
}
