import { Command } from 'commander';
import type { PeerInfo } from '../index.js';
import { withService } from './lifetime.js';
import { colour, note, print, printJson, table } from './output.js';
import { working } from './progress.js';
import { type CommonOptions, settings, wholeNumber, withCommonOptions } from './settings.js';
import { visible } from './text.js';

interface Options extends CommonOptions {
  wait: number;
}

const DEFAULT_WAIT_MS = 1000;
const MAX_WAIT_MS = 60_000;

/** `mqtt-p2p peers`: who is there. */
export function peers(): Command {
  return withCommonOptions(new Command('peers'))
    .description('list the peers of repositories')
    .option('--wait <ms>', 'how long to wait for answers', wholeNumber(1, MAX_WAIT_MS), DEFAULT_WAIT_MS)
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  mqtt-p2p peers --repositories team
  mqtt-p2p peers --wait 3000 --json
It joins for a moment and asks who is there. A peer that is not heard may be gone without a word.`;

async function run(options: Options): Promise<void> {
  const wanted = settings(options, ['default']);
  await withService(wanted, async (service) => {
    const peers = await working('asking who is there', () => service.discoverPeers({ timeoutMs: options.wait }));
    if (!service.getNetworkStatus().connected)
      note(colour.yellow('the connection broke: nobody could be asked; health says more'));
    if (wanted.json) {
      printJson({ peers });
      return;
    }
    const heading = ['peer', 'repository', 'is', 'heard', 'clock'];
    if (peers.length > 0) for (const line of table([heading, ...peers.map(row)], [1, 2])) print(line);
    else note('nobody else is there');
  });
}

function row({ id, repository, capabilities, lastSeen, confirmed, clockAheadMs }: PeerInfo): string[] {
  const heard = confirmed ? `${Math.max(0, Math.round((Date.now() - lastSeen) / 1000))} s ago` : colour.dim('not yet');
  return [id, visible(repository), visible(capabilities.join(' ')), heard, clock(clockAheadMs)];
}

/** By how much a peer's clock differs, and a message's time on the way. */
function clock(aheadMs: number | null): string {
  if (aheadMs === null) return '';
  return aheadMs < 0 ? `${-aheadMs} ms ahead` : `within ${aheadMs} ms`;
}
