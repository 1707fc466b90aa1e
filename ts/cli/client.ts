import { createInterface } from 'node:readline';
import { text as textOf } from 'node:stream/consumers';
import { Command } from 'commander';
import type { MQTTIntegrationService } from '../index.js';
import { follow } from './client-events.js';
import { Session } from './client-session.js';
import { steps } from './client-steps.js';
import { withService } from './lifetime.js';
import { colour, note, print } from './output.js';
import { working } from './progress.js';
import {
  repositoryNames,
  type Settings,
  type StorageOptions,
  settings,
  withStorage,
  withStorageOptions,
} from './settings.js';

interface Options extends StorageOptions {
  canvas: string;
  author: string;
}

/** `mqtt-p2p client`: an interactive session; commands on standard input, or none for a demonstration. */
export function client(): Command {
  return withStorageOptions(new Command('client'))
    .summary('make, edit, draw and watch canvases in a session')
    .description(
      'edit canvases in a session: create, edit, show, watch; without a terminal, a demonstration step by step',
    )
    .option('--canvas <id>', 'the canvas to begin with', `client-${new Date().toISOString().slice(0, 19)}`)
    .option('--author <name>', 'author of the edits', 'client')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  mqtt-p2p client --repositories team --canvas plan          a session; "help" lists its commands
  echo 'show plan' | mqtt-p2p client --repositories team     its commands from a file or pipe
  mqtt-p2p client --repositories team </dev/null             creates, updates, shares and reads one, step by step`;

async function run(options: Options): Promise<void> {
  const wanted = settings(options, ['demo-repo']);
  withStorage(wanted, options, 'client');
  const script = process.stdin.isTTY ? undefined : await textOf(process.stdin);
  const [repository = 'demo-repo', second] = repositoryNames(wanted);
  if (script !== undefined && script.trim() === '') {
    const target = second ?? `${repository}-shared`;
    if (second === undefined) wanted.config.repositories = [...wanted.config.repositories, target];
    const { canvas, author } = options;
    await withService(wanted, (service) => steps(service, { repository, target, canvas, author, json: wanted.json }));
    return;
  }
  wanted.config = { offline: 'allow', ...wanted.config };
  await withService(wanted, async (service, interrupted) => {
    const session = new Session(service, {
      repository,
      canvas: options.canvas,
      author: options.author,
      json: wanted.json,
    });
    if (script === undefined) return talk(session, service, wanted, interrupted);
    // A person sees what comes; a script means what there is.
    if (service.getNetworkStatus().connected)
      await working('asking the other peers', () => service.syncRepository(repository));
    await obey(session, script);
  });
}

/** Carries out the lines of a script, until one fails. */
async function obey(session: Session, script: string): Promise<void> {
  for (const line of script.split('\n')) {
    if (!(await session.run(line))) return;
  }
}

/** Talks with a person until they have had enough. */
async function talk(
  session: Session,
  service: MQTTIntegrationService,
  { json }: Settings,
  interrupted: AbortSignal,
): Promise<void> {
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: colour.cyan('› '),
    completer: (line: string) => session.complete(line),
  });
  // Ctrl-C is everybody's; readline would keep it.
  terminal.on('SIGINT', () => process.emit('SIGINT'));
  interrupted.addEventListener('abort', () => terminal.close(), { once: true });
  const say = (line: string) => {
    // What is being typed stays below what is told.
    process.stdout.write('\r\u001b[K');
    print(line);
    terminal.prompt(true);
  };
  if (!json) follow(service, () => session.watching, say);
  if (!service.getNetworkStatus().connected)
    note(colour.yellow('no broker yet: edits are kept and leave when it is there'));
  print(`${session.place()}; ${colour.dim('"help" lists what can be done, Ctrl-C or "quit" ends')}`);
  terminal.prompt();
  try {
    for await (const line of terminal) {
      try {
        if (!(await session.run(line))) return;
      } catch (error) {
        print(colour.red(`! ${(error as Error).message}`));
      }
      terminal.prompt();
    }
  } finally {
    terminal.close();
  }
}
