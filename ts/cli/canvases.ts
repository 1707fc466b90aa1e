import { Command } from 'commander';
import type { CanvasInfo, MQTTIntegrationService } from '../index.js';
import { withService } from './lifetime.js';
import { colour, note, print, printJson, table } from './output.js';
import { working } from './progress.js';
import { type CommonOptions, repositoryNames, settings, withCommonOptions } from './settings.js';
import { visible } from './text.js';

/** The canvases of one repository, as far as they could be had. */
interface Listing {
  repository: string;
  /** Whether somebody, or a snapshot on the broker, told all that there is; see `SyncReport`. */
  answered: boolean;
  canvases: CanvasInfo[];
}

/** `mqtt-p2p canvases`: what there is. */
export function canvases(): Command {
  return withCommonOptions(new Command('canvases'))
    .description('list the canvases of repositories')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  mqtt-p2p canvases --repositories team
  mqtt-p2p canvases --repositories team,plans --json | jq '.repositories[].canvases[].id'
It joins for a moment, asks the others and reads what the broker keeps; nothing is stored.`;

async function run(options: CommonOptions): Promise<void> {
  const wanted = settings(options, ['default']);
  await withService(wanted, async (service) => {
    const listings = await working('asking the other peers', () =>
      Promise.all(repositoryNames(wanted).map((repository) => list(service, repository))),
    );
    if (wanted.json) printJson({ repositories: listings });
    else show(listings);
  });
}

async function list(service: MQTTIntegrationService, repository: string): Promise<Listing> {
  const { answered } = await service.syncRepository(repository);
  return { repository, answered, canvases: await service.listCanvases(repository) };
}

function show(listings: Listing[]): void {
  const rows = listings.flatMap(({ repository, canvases }) => canvases.map((canvas) => row(repository, canvas)));
  if (rows.length > 0) {
    const heading = ['repository', 'canvas', 'nodes', 'edges', 'by', 'lives in'];
    for (const line of table([heading, ...rows], [1, 4, 5])) print(line);
  }
  for (const { repository, answered, canvases } of listings) {
    if (canvases.length === 0)
      note(`${visible(repository)} has no canvases${answered ? '' : ' that could be heard of'}`);
    if (!answered) note(colour.yellow(`nobody answered for ${visible(repository)}: there may be more`));
  }
}

function row(repository: string, { id, nodes, edges, createdBy, origin }: CanvasInfo): string[] {
  const elsewhere = origin === repository ? '' : visible(origin);
  return [visible(repository), visible(id), String(nodes), String(edges), visible(createdBy ?? ''), elsewhere];
}
