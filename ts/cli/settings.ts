import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { MQTTIntegrationConfig } from '../index.js';
import { dataDirectory, type Environment } from './data-directory.js';

/** The command line was used wrongly. */
export class UsageError extends Error {}

/** What all commands take. */
export interface CommonOptions {
  broker?: URL;
  repositories?: string[];
  config?: string;
  keyFile?: string;
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

type Broker = MQTTIntegrationConfig['broker'];

/** Adds the options that all commands take. */
export function withCommonOptions(command: Command): Command {
  return command
    .option('--broker <url>', 'broker, such as mqtt://user@host:1883 (password: MQTT_PASSWORD)', brokerUrl)
    .option('--repositories <names>', 'repositories, separated by commas', names)
    .option('--config <file>', 'configuration as a JSON file')
    .option('--key-file <file>', 'encrypt the repositories with this key (made by keygen)')
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
  const given: Broker = { ...file.broker, ...brokerOfEnvironment(environment), ...brokerOfUrl(options.broker) };
  const repositories = options.repositories ?? repositoriesOf(environment) ?? file.repositories ?? defaultRepositories;
  const { storage, ...rest } = file;
  const keyFile = options.keyFile ?? (environment.MQTT_KEY_FILE || undefined);
  const encryption = keyFile && { features: { ...file.features, encryption: true }, encryption: { keyFile } };
  return {
    config: { ...rest, ...encryption, broker: given, repositories },
    storage,
    brokerGiven: given.host !== undefined || given.port !== undefined,
    json: options.json ?? false,
  };
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
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`cannot read the configuration ${path}: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`the configuration ${path} must be a JSON object`);
  }
  return value;
}

function brokerUrl(text: string): URL {
  // Without a scheme, "host:1883" would read as a URL of scheme "host".
  const full = text.includes('://') ? text : `mqtt://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (!url?.hostname) throw new InvalidArgumentError('Expected a URL such as mqtt://user@host:1883.');
  if (url.protocol !== 'mqtt:') {
    throw new InvalidArgumentError('Only mqtt:// is there yet, not mqtts://, ws:// or wss://.');
  }
  return url;
}

function brokerOfUrl(url: URL | undefined): Broker {
  if (!url) return {};
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 1883 : Number(url.port),
    ...(url.username && { username: decodeURIComponent(url.username) }),
    ...(url.password && { password: decodeURIComponent(url.password) }),
  };
}

function brokerOfEnvironment(environment: Environment): Broker {
  const { MQTT_BROKER_HOST, MQTT_BROKER_PORT, MQTT_USERNAME, MQTT_PASSWORD } = environment;
  return {
    ...(MQTT_BROKER_HOST && { host: MQTT_BROKER_HOST }),
    ...(MQTT_BROKER_PORT && { port: portOf(MQTT_BROKER_PORT) }),
    ...(MQTT_USERNAME && { username: MQTT_USERNAME }),
    ...(MQTT_PASSWORD && { password: MQTT_PASSWORD }),
  };
}

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new UsageError(`MQTT_BROKER_PORT must be a number from 1 to 65535, not "${text}"`);
  }
  return port;
}

function repositoriesOf(environment: Environment): string[] | undefined {
  return environment.MQTT_REPOSITORIES ? names(environment.MQTT_REPOSITORIES) : undefined;
}

function names(text: string): string[] {
  const list = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (list.length === 0) throw new InvalidArgumentError('Expected names separated by commas.');
  return list;
}
