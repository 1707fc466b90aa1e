import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { MQTTIntegrationService } from '../index.js';
import { withService } from './lifetime.js';
import { print, printJson, TICK } from './output.js';
import { type CommonOptions, settings, UsageError, withCommonOptions } from './settings.js';

/** Time for those who are there to say so, and for a key that is newer than ours to be handed over. */
const LOOK_MS = 1000;

interface Options extends CommonOptions {
  for: string[];
  out?: string;
}

/** `mqtt-p2p rotate-key`: replaces the key of encrypted repositories for all but those who are to see nothing more. */
export function rotateKey(): Command {
  return withCommonOptions(new Command('rotate-key'))
    .description('replace the key of encrypted repositories: who is not named sees nothing more')
    .requiredOption('--for <peer ids>', 'who gets the new key, separated by commas', peerIds)
    .option('--out <file>', 'write the new key to this new file too, for a copy and for peers that are named nowhere')
    .action(run);
}

async function run(options: Options): Promise<void> {
  const wanted = settings(options, []);
  const repositories = wanted.config.repositories.map((entry) => (typeof entry === 'string' ? entry : entry.name));
  if (repositories.length === 0) throw new UsageError('name the repositories with --repositories');
  if (options.out !== undefined && repositories.length > 1) {
    throw new UsageError('--out is for one repository: each gets a key of its own');
  }
  await withService(wanted, async (service) => {
    const there = await service.discoverPeers({ timeoutMs: LOOK_MS });
    for (const repository of repositories) {
      const out = there.filter((peer) => peer.repository === repository && !options.for.includes(peer.id));
      await rotate(service, repository, options, [...new Set(out.map(({ id }) => id))]);
    }
  });
}

async function rotate(
  service: MQTTIntegrationService,
  repository: string,
  { for: recipients, out, json }: Options,
  leftOut: string[],
): Promise<void> {
  const keyFile = out === undefined ? {} : { keyFile: resolve(out) };
  const { epoch } = await service.rotateKey(repository, { recipients, ...keyFile });
  if (json) {
    printJson({ repository, epoch, recipients, leftOut, ...keyFile });
    return;
  }
  print(`${TICK} ${repository} has a new key, the ${epoch}. after the first, which ${recipients.length} peers get`);
  for (const peer of leftOut) print(`  ${peer} is there, and sees nothing more`);
  if (out === undefined) print('  No file has it. With --out it is written to one, for a copy and for other peers.');
  else print(`  ${resolve(out)} has it too, which only you can read: keep it, and give it to peers that come later`);
}

function peerIds(text: string): string[] {
  const ids = text.split(',').map((id) => id.trim());
  const wrong = ids.find((id) => !/^z[1-9A-HJ-NP-Za-km-z]{40,60}$/.test(id));
  if (wrong !== undefined)
    throw new InvalidArgumentError(`Expected peer ids (z6Mk…), separated by commas, not "${wrong}".`);
  return ids;
}
