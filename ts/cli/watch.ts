import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, relative, resolve, sep } from 'node:path';
import { Command } from 'commander';
import {
  type CanvasEvent,
  type MQTTIntegrationEvents,
  MQTTIntegrationService,
  type MqttP2pError,
  type RepositoryConfig,
} from '../index.js';
import { urlOf } from './broker.js';
import { forever, interruptible } from './lifetime.js';
import { clock, colour, print, printJson } from './output.js';
import { type StorageOptions, settings, UsageError, wholeNumber, withStorage, withStorageOptions } from './settings.js';

interface Options extends StorageOptions {
  name?: string[];
  author?: string;
  branch?: string;
  debounce?: number;
}

/** `mqtt-p2p watch <path>…`: the `.canvas` files in folders, live. */
export function watch(): Command {
  return withStorageOptions(new Command('watch'))
    .argument('<path...>', 'folders with .canvas files, such as Obsidian vaults or git repositories')
    .summary('keep the .canvas files in folders live')
    .description('keep the .canvas files in folders live: what is saved goes to the others, what they do is written')
    .option('--name <name...>', 'names of the repositories, in the order of the folders (default: the folders’ names)')
    .option('--author <name>', "whose edits those in the files are (default: git's user.name)")
    .option('--branch <branch>', 'git branch whose files are meant (default: the one checked out now)')
    .option('--debounce <ms>', 'how long a file must rest before it is read', wholeNumber(1, 60_000))
    .addHelpText('after', EXAMPLES)
    .action((paths: string[], options: Options) => run(folders(paths, options), options));
}

const EXAMPLES = `
Examples:
  mqtt-p2p watch ~/vault --broker mqtt://broker.example.org
  mqtt-p2p watch ./notes ./plans --name team-notes --name team-plans
Whoever watches a folder under the same name through the same broker has the same canvases.`;

async function run(repositories: RepositoryConfig[], options: Options): Promise<void> {
  if (options.repositories)
    throw new UsageError('name the repositories of the folders with --name, not --repositories');
  const wanted = settings(options, []);
  // Offline is normal: what is saved meanwhile goes out later.
  wanted.config = { offline: 'allow', ...wanted.config, repositories };
  withStorage(wanted, options, 'watch');
  let service: MQTTIntegrationService | undefined;
  await interruptible(
    async () => {
      service = new MQTTIntegrationService(wanted.config);
      follow(service, repositories, wanted.json);
      await service.initialize();
      announce(service, repositories, wanted.json);
      await forever();
    },
    async () => service?.disconnect(),
  );
}

function folders(paths: string[], { name: names = [], author, branch, debounce }: Options): RepositoryConfig[] {
  if (names.length > paths.length) throw new UsageError('there are more names than folders');
  const taken = new Set<string>();
  return paths.map((given, index) => {
    const path = resolve(given);
    if (!existsSync(path) || !statSync(path).isDirectory()) throw new UsageError(`${given} is no folder`);
    const name = names[index] ?? basename(realpathSync(path));
    if (taken.has(name)) throw new UsageError(`two folders have the name "${name}"; tell them apart with --name`);
    taken.add(name);
    return {
      name,
      path,
      ...(author && { author }),
      ...(branch && { branch }),
      ...(debounce && { debounceMs: debounce }),
    };
  });
}

function announce(service: MQTTIntegrationService, repositories: RepositoryConfig[], json: boolean): void {
  const { broker, connected, peerId } = service.getNetworkStatus();
  const url = urlOf(broker);
  if (json) {
    printJson({ event: 'watching', time: new Date().toISOString(), broker: url, connected, peerId, repositories });
    return;
  }
  print(`broker  ${url}${connected ? '' : colour.yellow(' (not there yet; edits are kept until it is)')}`);
  for (const { name, path } of repositories) print(`folder  ${path} ${colour.dim(`as ${name}`)}`);
  print(colour.dim('Ctrl-C stops.'));
}

/** Prints what happens. */
function follow(service: MQTTIntegrationService, repositories: RepositoryConfig[], json: boolean): void {
  const tell = (event: string, line: string, payload: object) => {
    if (json) printJson({ event, time: new Date().toISOString(), ...payload });
    else print(`${clock()} ${line}`);
  };
  const on = <E extends keyof MQTTIntegrationEvents>(
    event: E,
    line: (payload: MQTTIntegrationEvents[E][0]) => string | undefined,
  ) => {
    (service as NodeJS.EventEmitter).on(event, (payload: MQTTIntegrationEvents[E][0]) => {
      const text = line(payload);
      if (text !== undefined) tell(event, text, payload);
    });
  };
  // Now: later a folder may be gone.
  const folders = repositories.map((repository) => realpathSync(repository.path ?? ''));
  const shown = (path: string) => {
    const folder = folders.find((within) => path.startsWith(within + sep));
    return folder ? relative(folder, path) : path;
  };
  for (const [event, verb] of [
    ['canvas-created', 'created'],
    ['canvas-updated', 'saved'],
    ['canvas-deleted', 'removed'],
  ] as const) {
    // What others do is told when it has been written.
    on(event, (canvas) => (canvas.origin === 'file' ? saved(canvas, verb) : undefined));
  }
  on('file-written', ({ path, created }) => `${colour.cyan('←')} ${shown(path)} ${created ? 'is new' : 'written'}`);
  on('file-removed', ({ path }) => `${colour.cyan('←')} ${shown(path)} removed: its canvas was deleted`);
  on('file-set-aside', ({ path, aside }) =>
    colour.yellow(`! ${shown(path)} differs from the network's; your version is in ${shown(aside)}`),
  );
  on(
    'files-ready',
    ({ canvases, repository }) => `${repository}: ${canvases === 1 ? '1 canvas is' : `${canvases} canvases are`} live`,
  );
  on('files-paused', ({ message, repository }) => colour.yellow(`! ${repository} pauses: ${message}`));
  on('files-resumed', ({ repository }) => `${repository} goes on`);
  on('conflict', ({ canvasId, element, id, property, path }) =>
    path
      ? colour.yellow(`! ${shown(path)}: ${element} ${id}: ${property} of others was overwritten`)
      : `conflict in ${canvasId}`,
  );
  on('connected', () => 'broker connected');
  on('disconnected', ({ reason }) =>
    reason === 'closed on request' ? undefined : colour.yellow(`! broker away: ${reason}`),
  );
  service.on('error', ({ code, message, path, line, column }: MqttP2pError) => {
    tell('error', colour.red(`! ${code}: ${message}`), { code, message, path, line, column });
  });
}

function saved({ canvasId, author, changes }: CanvasEvent, verb: string): string {
  const count = (part?: { added?: unknown[]; updated?: unknown[]; removed?: unknown[] }) =>
    (part?.added?.length ?? 0) + (part?.updated?.length ?? 0) + (part?.removed?.length ?? 0);
  const changed = count(changes.nodes) + count(changes.edges);
  const what =
    verb === 'removed' || changed === 0
      ? ''
      : colour.dim(` (${changed} nodes and edges changed, by ${author || 'git'})`);
  return `${colour.green('→')} ${canvasId}.canvas ${verb}${what}`;
}
