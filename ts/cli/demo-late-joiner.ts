import { Command } from 'commander';
import type { EmbeddedBroker } from '../index.js';
import { digest } from './demo-digest.js';
import { galaxy, picture } from './demo-galaxy.js';
import { DemoProcess } from './demo-process.js';
import { REPOSITORY, sharedClock } from './demo-protocol.js';
import { brokerName, stage } from './demo-stage.js';
import { interruptible } from './lifetime.js';
import { colour, milliseconds, print, printJson, TICK } from './output.js';
import { type CommonOptions, type Settings, settings, wholeNumber, withCommonOptions } from './settings.js';

interface Options extends CommonOptions {
  nodes: number;
}

const NODES = 1000;
const MAX_NODES = 5000;

/** `mqtt-p2p demo-late-joiner`: a canvas outlives the process that made it, on the broker alone. */
export function demoLateJoiner(): Command {
  return withCommonOptions(new Command('demo-late-joiner'))
    .description('watch a process read a canvas whose maker is gone (embedded broker unless --broker)')
    .option('--nodes <count>', 'how many nodes the canvas has', wholeNumber(1, MAX_NODES), NODES)
    .action((options: Options) => run(options.nodes, settings(options, [REPOSITORY])));
}

async function run(nodes: number, wanted: Settings): Promise<void> {
  let broker: EmbeddedBroker | undefined;
  let present: DemoProcess | undefined;
  await interruptible(
    async () => {
      broker = await stage(wanted);
      const say = (line = '') => wanted.json || print(line);
      say(colour.bold('A canvas whose maker is gone'));
      say();
      say(`broker  ${brokerName(wanted, broker)}`);

      present = new DemoProcess('Ada');
      const made = await make(present, nodes, wanted);
      say(
        `${TICK} Ada, process ${present.pid}, made a canvas of ${count(made.nodes)} nodes and left: its process ended`,
      );
      say(`  after another ${milliseconds(made.leftMs)}. Nobody is there now but the broker.`);

      present = new DemoProcess('Ben');
      const read = await join(present, wanted);
      say(`${TICK} Ben, process ${present.pid}, started for the first time and had it after ${milliseconds(read.ms)},`);
      say(`  having read ${count(read.bytes)} bytes from the broker; other peers there: ${read.peers}`);
      say();
      for (const line of picture(read.canvas)) say(colour.cyan(`  ${line}`));
      say();
      const equal = { sha256: digest(read.canvas), nodes: read.canvas.nodes.length, edges: read.canvas.edges.length };
      if (equal.sha256 !== made.sha256) throw new Error('Ben does not have the canvas that Ada made');
      say(`${TICK} ${colour.bold('equal')}: ${count(equal.nodes)} nodes, ${count(equal.edges)} edges,`);
      say(`  sha-256 ${equal.sha256.slice(0, 16)}…, as Ada computed it before it left`);
      if (wanted.json) {
        const { ms, bytes, peers } = read;
        printJson({ equal, leftMs: made.leftMs, readMs: ms, bytesReceived: bytes, peers });
      }
      // Another broker than our own keeps nothing of this.
      const deleted = present.next('deleted');
      present.tell({ order: 'delete' });
      await deleted;
    },
    async () => {
      await present?.stop();
      await broker?.stop();
    },
  );
}

/** Ada makes the canvas, and her process ends. */
async function make(ada: DemoProcess, nodes: number, { config }: Settings) {
  await told(ada, 'started', { order: 'start', name: ada.name, config });
  await told(ada, 'created', { order: 'create', canvas: galaxy(nodes) });
  const { canvas } = await told(ada, 'state', { order: 'compare' });
  const leavesAt = sharedClock();
  await ada.stop();
  return { nodes: canvas.nodes.length, sha256: digest(canvas), leftMs: sharedClock() - leavesAt };
}

/** Ben's process begins, and catches up with whatever there is. */
async function join(ben: DemoProcess, { config }: Settings) {
  const startedAt = sharedClock();
  await told(ben, 'started', { order: 'start', name: ben.name, config });
  const { answered, at, bytes, peers } = await told(ben, 'caught-up', { order: 'catch-up' });
  if (!answered) throw new Error('the broker has kept nothing for Ben');
  const { canvas } = await told(ben, 'state', { order: 'compare' });
  return { canvas, bytes, peers, ms: at - startedAt };
}

function told<K extends Parameters<DemoProcess['next']>[0]>(
  peer: DemoProcess,
  kind: K,
  order: Parameters<DemoProcess['tell']>[0],
) {
  const report = peer.next(kind);
  peer.tell(order);
  return report;
}

const count = (number: number) => number.toLocaleString('en-US');
