import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { EmbeddedBroker, ReadCanvas } from '../index.js';
import { digest } from './demo-digest.js';
import { Ledger } from './demo-ledger.js';
import { DemoProcess } from './demo-process.js';
import { REPOSITORY, type Report, sharedClock } from './demo-protocol.js';
import { type Author, burst, burstOutcome, play, type Scene } from './demo-script.js';
import { brokerName, stage } from './demo-stage.js';
import { interruptible, pause } from './lifetime.js';
import { colour, milliseconds, percentile, print, printJson, TICK, table } from './output.js';
import { type CommonOptions, type Settings, settings, withCommonOptions } from './settings.js';

interface Options extends CommonOptions {
  canvas: string;
}

/** Edits of each author in the finale. */
const BURST_EDITS = 300;
/** Longest time allowed for the two to become equal. */
const EQUAL_WITHIN_MS = 15_000;
const EXAMPLE = join(__dirname, '../../examples/stardust-roadmap.canvas');
const PAINT: Record<Author, (text: string) => string> = { Ada: colour.cyan, Ben: colour.magenta };

/** `mqtt-p2p demo`: two processes edit one canvas at the same time, watched. */
export function demo(): Command {
  return withCommonOptions(new Command('demo'))
    .description('watch two processes edit one canvas through a broker (embedded unless --broker)')
    .option('--canvas <file>', 'canvas to edit', EXAMPLE)
    .action((options: Options) => run(options, settings(options, [REPOSITORY])));
}

async function run(options: Options, wanted: Settings): Promise<void> {
  const canvas = JSON.parse(readFileSync(options.canvas, 'utf8')) as ReadCanvas;
  let broker: EmbeddedBroker | undefined;
  let peers: DemoProcess[] = [];
  await interruptible(
    async (interrupted) => {
      broker = await stage(wanted);
      const ada = new DemoProcess('Ada');
      const ben = new DemoProcess('Ben');
      peers = [ada, ben];
      const show = new Show(ada, ben, wanted, canvas);
      await show.open(broker);
      await show.play(interrupted);
      await show.finale();
      await show.tidy();
    },
    async () => {
      await Promise.all(peers.map((peer) => peer.stop()));
      await broker?.stop();
    },
  );
}

class Show {
  readonly #ledger = new Ledger();
  readonly #ada: DemoProcess;
  readonly #ben: DemoProcess;
  readonly #settings: Settings;
  readonly #canvas: ReadCanvas;
  #startedAt = 0;

  constructor(ada: DemoProcess, ben: DemoProcess, settings: Settings, canvas: ReadCanvas) {
    this.#ada = ada;
    this.#ben = ben;
    this.#settings = settings;
    this.#canvas = canvas;
  }

  async open(broker: EmbeddedBroker | undefined): Promise<void> {
    const { config } = this.#settings;
    this.#say(colour.bold('Two processes, one canvas, one MQTT broker'));
    this.#say();
    this.#say(`broker  ${brokerName(this.#settings, broker)}`);
    this.#say(`canvas  ${this.#canvas.nodes.length} nodes, ${this.#canvas.edges.length} edges`);
    for (const peer of [this.#ada, this.#ben]) {
      const started = peer.next('started');
      peer.tell({ order: 'start', name: peer.name, config });
      const { peerId } = await started;
      this.#say(`${PAINT[peer.name](peer.name)}     process ${peer.pid}, peer ${peerId}`);
    }
    this.#say();
    const seen = this.#ben.next('saw');
    const start = sharedClock();
    this.#ada.tell({ order: 'create', canvas: this.#canvas });
    const { at } = await seen;
    this.#say(
      `${TICK} ${PAINT.Ada('Ada')} created the canvas; ${PAINT.Ben('Ben')} has it after ${milliseconds(at - start)}`,
    );
    this.#say();
  }

  /** All scenes at their times, each told in a line when the other process has seen it. */
  async play(interrupted: AbortSignal): Promise<void> {
    for (const [writer, reader] of [
      [this.#ada, this.#ben],
      [this.#ben, this.#ada],
    ] as const) {
      writer.on('edited', ({ number, at }) => this.#ledger.edited(number, at));
      reader.on('saw', ({ at, changes }) => this.#ledger.saw(writer.name, at, changes));
    }
    this.#startedAt = sharedClock();
    await Promise.all(play(this.#canvas).map((scene) => this.#perform(scene, interrupted)));
  }

  async #perform({ author, atMs, everyMs, tells, edits }: Scene, interrupted: AbortSignal): Promise<void> {
    await pause(atMs, interrupted);
    const numbers: number[] = [];
    for (const edit of edits) {
      const number = this.#ledger.add(author, edit);
      numbers.push(number);
      this.#peer(author).tell({ order: 'edit', number, edit });
      await pause(everyMs, interrupted);
    }
    const deadline = sharedClock() + EQUAL_WITHIN_MS;
    while (this.#ledger.latencies(numbers).length < numbers.length && !interrupted.aborted) {
      if (sharedClock() > deadline) throw new Error(`what ${author} did was not seen: ${tells}`);
      await pause(5, interrupted);
    }
    const other = author === 'Ada' ? 'Ben' : 'Ada';
    const median = milliseconds(percentile(this.#ledger.latencies(numbers), 0.5));
    const what = `${tells}${colour.dim(edits.length > 1 ? ` (${edits.length} edits)` : '')}`;
    const time = colour.dim(`${((sharedClock() - this.#startedAt) / 1000).toFixed(2)} s`);
    this.#say(`${time}  ${PAINT[author](author)} ${what}, ${PAINT[other](other)} saw it after ${colour.green(median)}`);
  }

  /** Everything at once, then the comparison. */
  async finale(): Promise<void> {
    const patches = { Ada: burst(this.#canvas, 'Ada', BURST_EDITS), Ben: burst(this.#canvas, 'Ben', BURST_EDITS) };
    const done = [this.#ada, this.#ben].map((peer) => {
      const finished = peer.next('burst-done');
      peer.tell({ order: 'burst', patches: patches[peer.name] });
      return finished;
    });
    const reports = await Promise.all(done);
    const startedAt = Math.min(...reports.map((report) => report.startedAt));
    const expected = new Map([...burstOutcome(patches.Ada), ...burstOutcome(patches.Ben)]);
    const [ours, theirs] = await this.#equalStates(expected);
    const took = Math.max(ours.at, theirs.at) - startedAt;
    this.#say();
    this.#say(
      `${TICK} both at full speed: ${2 * BURST_EDITS} more edits, made, exchanged and equal in ${milliseconds(took)}`,
    );
    this.#summary(ours, theirs, took);
  }

  /** Leaves no canvas on a broker that is not ours. */
  async tidy(): Promise<void> {
    const deleted = this.#ada.next('deleted');
    this.#ada.tell({ order: 'delete' });
    await deleted;
  }

  /** Asks both until they hold the same and everything that was written. */
  async #equalStates(expected: Map<string, number>): Promise<[StateReport, StateReport]> {
    const deadline = sharedClock() + EQUAL_WITHIN_MS;
    for (;;) {
      const states = [this.#ada, this.#ben].map((peer) => {
        const state = peer.next('state');
        peer.tell({ order: 'compare' });
        return state;
      });
      const [a, b] = (await Promise.all(states)) as [StateReport, StateReport];
      const complete = a.canvas.nodes.every(({ id, x }) => !expected.has(id) || expected.get(id) === x);
      if (complete && digest(a.canvas) === digest(b.canvas) && a.followed && b.followed) return [a, b];
      if (sharedClock() > deadline) throw new Error('the two canvases did not become equal');
    }
  }

  #summary(a: StateReport, b: StateReport, burstMs: number): void {
    const rows = [this.#ada, this.#ben].map(({ name }) => {
      const sorted = this.#ledger.latencies(name);
      const [p50, p99] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
      return {
        name,
        edits: this.#ledger.count(name) + BURST_EDITS,
        seenLive: sorted.length,
        p50,
        p99,
        max: sorted.at(-1) ?? 0,
      };
    });
    const equal = { sha256: digest(a.canvas), nodes: b.canvas.nodes.length, edges: b.canvas.edges.length };
    if (this.#settings.json) {
      printJson({ equal, burstMs, authors: rows });
      return;
    }
    print();
    const heading = ['', 'edits', 'watched live', 'p50', 'p99', 'max'];
    const cells = rows.map(({ name, edits, seenLive, p50, p99, max }) => [
      name,
      String(edits),
      String(seenLive),
      ...[p50, p99, max].map(milliseconds),
    ]);
    for (const line of table([heading, ...cells])) print(line);
    print();
    print(
      `${TICK} ${colour.bold('equal')}: both hold ${equal.nodes} nodes, ${equal.edges} edges, sha-256 ${equal.sha256.slice(0, 16)}…`,
    );
  }

  #peer(author: Author): DemoProcess {
    return author === 'Ada' ? this.#ada : this.#ben;
  }

  #say(line = ''): void {
    if (!this.#settings.json) print(line);
  }
}

type StateReport = Extract<Report, { report: 'state' }>;
