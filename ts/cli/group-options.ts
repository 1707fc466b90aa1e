import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { nameOf, ROOMS } from './server-group.js';
import { type Settings, UsageError, wholeNumber } from './settings.js';

/** What the command line says of a group. */
export interface GroupFlags {
  group?: string;
  replicas?: number;
}

const DEFAULT_REPLICAS = 2;
const MAX_REPLICAS = 16;
/** Most bytes of the repositories' names as JSON: a member names all of them in one message. */
const MAX_NAMES_BYTES = 192 << 10;

/** Adds the options of a group of servers. */
export function withGroupOptions(command: Command): Command {
  return command
    .option('--group <name>', 'divide the repositories among all servers of that group', groupName)
    .option(
      '--replicas <number>',
      `servers of the group that serve each repository (default: ${DEFAULT_REPLICAS})`,
      wholeNumber(1, MAX_REPLICAS),
    );
}

/** The group that is meant, if one is; refuses what makes no sense in a group. */
export function groupOf(flags: GroupFlags, { config, brokerGiven }: Settings): Group | undefined {
  const { group: name, replicas = DEFAULT_REPLICAS } = flags;
  const refuse = (reason: string) => {
    throw new UsageError(reason);
  };
  if (name === undefined) {
    return flags.replicas === undefined
      ? undefined
      : refuse('--replicas is for a group of servers: name it with --group');
  }
  if (!brokerGiven) refuse('--group needs --broker: a broker that stays when this server ends');
  if (config.broker.clientId !== undefined) {
    refuse('with --group broker.clientId must not be set: the server makes a connection for each repository');
  }
  if (config.features?.discovery === false) refuse('with --group features.discovery must be on: servers must meet');
  const { encryption } = config;
  if (config.features?.encryption && !encryption?.keyFile && !encryption?.passphrase && !encryption?.passphraseFile) {
    refuse('with --group and encryption a key for everything is needed, with which the servers meet: give --key-file');
  }
  for (const entry of config.repositories) {
    const repository = nameOf(entry);
    if (typeof entry === 'object' && entry.path !== undefined) {
      refuse(`'${repository}' is bound to the folder ${entry.path}, which the other servers of the group do not have`);
    }
    if (repository.startsWith(ROOMS))
      refuse(`'${repository}': names that begin with ${ROOMS} are for groups of servers`);
  }
  if (JSON.stringify(config.repositories.map(nameOf)).length > MAX_NAMES_BYTES) {
    refuse(`the names of the repositories of a group must not have more than ${MAX_NAMES_BYTES} bytes together`);
  }
  return { name, replicas };
}

/** A group of servers that a server is to belong to. */
export interface Group {
  name: string;
  replicas: number;
}

/** Refuses a data directory of a server without a group: what is in it would be left lying, unseen. */
export function checkDataDirectory(path: string | undefined): void {
  if (path !== undefined && existsSync(join(path, 'identity.key'))) {
    throw new UsageError(
      `${path} is the data directory of a server without a group: give another one, and leave that server running until ` +
        'the group has caught up with it',
    );
  }
}

function groupName(text: string): string {
  if (!/^[\w-]{1,64}$/.test(text)) throw new InvalidArgumentError('Expected 1 to 64 of A-Z, a-z, 0-9, _ and -.');
  return text;
}
