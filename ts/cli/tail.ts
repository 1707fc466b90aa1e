import { Command, InvalidArgumentError } from 'commander';
import { type Packet, Tap } from '../tap.js';
import { forever, interruptible } from './lifetime.js';
import { colour, note, print, printJson } from './output.js';
import { type CommonOptions, names, settings, withCommonOptions } from './settings.js';
import { KINDS, packetLine } from './tail-line.js';

interface Options extends CommonOptions {
  repository?: string[];
  canvas?: string[];
  kind?: string[];
  peer?: string[];
}

/** `mqtt-p2p tail`: what goes over the broker, decoded. */
export function tail(): Command {
  return withCommonOptions(new Command('tail'))
    .summary('show what goes over the broker, decoded')
    .description('show what goes over the broker below the topic prefix, decoded, until interrupted')
    .option('--repository <names>', 'only of these repositories', names)
    .option('--canvas <ids>', 'only about these canvases', names)
    .option('--kind <kinds>', 'only of these kinds, such as changes,presence', kinds)
    .option('--peer <ids>', 'only from these peers: whole ids, or their ends as shown', names)
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  mqtt-p2p tail --broker mqtt://broker.example.org
  mqtt-p2p tail --repository team --kind changes,cursor
  mqtt-p2p tail --key-file team.key --repositories team     opens what is encrypted with that key
  mqtt-p2p tail --json | jq 'select(.standing == "refused")'
It only listens. At first it shows what the broker keeps.`;

async function run(options: Options): Promise<void> {
  const { config, json } = settings(options, ['default']);
  const wanted = filter(options);
  let tap: Tap | undefined;
  await interruptible(
    async (interrupted) => {
      await new Promise<void>((_, fail) => {
        tap = new Tap(config, {
          listening: ({ filter }) => note(colour.dim(`listening to ${filter}; Ctrl-C stops`)),
          packet: (packet) => {
            if (wanted(packet)) show(packet, json);
          },
          refused: ({ reason }) => fail(new Error(reason)),
          away: ({ reason }) => {
            if (!interrupted.aborted) note(colour.yellow(`! no broker: ${reason}; trying again`));
          },
        });
      });
      await forever();
    },
    async () => tap?.stop(),
  );
}

function show(packet: Packet, json: boolean): void {
  const now = new Date();
  if (json) printJson({ time: now.toISOString(), ...packet });
  else print(packetLine(packet, now));
}

/** Kinds, or standings of what has none. */
function kinds(text: string): string[] {
  const given = names(text);
  const known = [...KINDS, 'encrypted', 'empty', 'probe', 'refused'];
  const unknown = given.find((kind) => !known.includes(kind));
  if (unknown !== undefined) throw new InvalidArgumentError(`There is no kind "${unknown}", but ${known.join(', ')}.`);
  return given;
}

/** Whether a packet is one of those asked for. */
export function filter({ repository, canvas, kind, peer }: Options): (packet: Packet) => boolean {
  const among = (given: string[] | undefined, value: string | undefined) =>
    given === undefined || (value !== undefined && given.includes(value));
  // As they are shown, with the ellipsis, they can be copied.
  const ends = peer?.map((id) => id.replace(/^…/, ''));
  return (packet) =>
    among(repository, packet.repository) &&
    among(canvas, packet.canvas) &&
    (among(kind, packet.kind) || among(kind, packet.standing)) &&
    (ends === undefined || ends.some((end) => packet.peer?.endsWith(end)));
}
