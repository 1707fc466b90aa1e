import { Command, Option } from 'commander';
import { type Member, MQTTIntegrationService, type RepositoryConfig } from '../index.js';
import { withService } from './lifetime.js';
import { colour, print, printJson, TICK } from './output.js';
import {
  type Settings,
  type StorageOptions,
  settings,
  UsageError,
  withStorage,
  withStorageOptions,
} from './settings.js';
import { count } from './text.js';

interface Options extends StorageOptions {
  root?: string;
  role?: 'admin' | 'writer' | 'reader';
}

type Change = (service: MQTTIntegrationService, repository: string) => Promise<void>;

/** `mqtt-p2p members`: who may take part in repositories of membership mode `members`. */
export function members(): Command {
  const add = withRoot(new Command('add'))
    .argument('<peer>', "the peer's id (z6Mk…)")
    .description('let a peer take part, or give it another role')
    .addOption(new Option('--role <role>', 'what it may do').choices(['admin', 'writer', 'reader']).default('writer'))
    .action((peer: string, options: Options) =>
      run(options, (service, repository) => service.addMember(repository, peer, options.role)),
    );
  const remove = withRoot(new Command('remove'))
    .argument('<peer>', "the peer's id")
    .description('end a membership; what the peer had written stays')
    .action((peer: string, options: Options) =>
      run(options, (service, repository) => service.removeMember(repository, peer)),
    );
  const list = withRoot(new Command('list'))
    .description('list the members')
    .action((options: Options) => run(options));
  const id = withStorageOptions(new Command('id'))
    .description('print the peer id of this data directory, for an admin to add')
    .action(printId);
  const all = new Command('members').description('say who may take part in a repository');
  for (const command of [add, remove, list, id]) all.addCommand(command.exitOverride());
  return all;
}

function withRoot(command: Command): Command {
  return withStorageOptions(command).option(
    '--root <peer>',
    "the first admin's peer id, or 'self' (default: what the --config file says)",
  );
}

async function run(options: Options, change?: Change): Promise<void> {
  const wanted = prepared(options);
  await withService(wanted, async (service) => {
    for (const { name } of wanted.config.repositories as RepositoryConfig[]) {
      await service.syncRepository(name);
      if (change) {
        await change(service, name);
        await service.flush();
      }
      show(wanted, name, await service.listMembers(name), service.getNetworkStatus().peerId);
    }
  });
}

/** Settings in which each repository has its first admin. */
function prepared(options: Options): Settings {
  const wanted = settings(options, ['default']);
  withStorage(wanted, options, 'members');
  const root = options.root === 'self' ? peerId(wanted) : options.root;
  wanted.config.repositories = wanted.config.repositories.map((repository) => {
    const config = typeof repository === 'string' ? { name: repository } : repository;
    const membership = root === undefined ? config.membership : { mode: 'members' as const, root };
    if (membership?.mode !== 'members') {
      throw new UsageError(`name the first admin of '${config.name}' with --root, or its membership in --config`);
    }
    return { ...config, membership };
  });
  return wanted;
}

function printId(options: StorageOptions): void {
  const wanted = settings(options, ['default']);
  withStorage(wanted, options, 'members');
  const id = peerId(wanted);
  if (wanted.json) printJson({ peerId: id });
  else print(id);
}

/** Who the peer of the data directory is; made if it is new. */
function peerId({ config: { storage, broker } }: Settings): string {
  return new MQTTIntegrationService({ ...(storage && { storage }), broker, repositories: ['none'] }).getNetworkStatus()
    .peerId;
}

function show({ json }: Settings, repository: string, all: Member[], own: string): void {
  if (json) {
    printJson({ repository, members: all });
    return;
  }
  print(`${TICK} ${repository}: ${count(all.length, 'member')}`);
  for (const { peerId: peer, role, root } of all) {
    const notes = [root ? 'first admin' : '', peer === own ? 'this peer' : ''].filter((note) => note !== '').join(', ');
    print(`  ${role.padEnd(6)}  ${peer}${notes && `  ${colour.yellow(notes)}`}`);
  }
}
