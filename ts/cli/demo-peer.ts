// One of the two processes of the demo: does what the conductor orders and reports what it sees.
import { isDeepStrictEqual } from 'node:util';
import {
  applyCanvasChanges,
  type CanvasData,
  type CanvasEvent,
  type CanvasPatch,
  type MQTTIntegrationConfig,
  MQTTIntegrationService,
} from '../index.js';
import { CANVAS, type Edit, type Order, REPOSITORY, type Report, sharedClock } from './demo-protocol.js';

class DemoPeer {
  readonly #name: string;
  readonly #service: MQTTIntegrationService;
  /** The canvas as the events alone tell it. */
  #copy: CanvasData = {};

  constructor(name: string, config: MQTTIntegrationConfig) {
    this.#name = name;
    this.#service = new MQTTIntegrationService(config);
    this.#service.on('canvas-created', (event) => this.#follow(event));
    this.#service.on('canvas-updated', (event) => this.#follow(event));
  }

  async start(): Promise<void> {
    await this.#service.initialize();
    tell({ report: 'started', peerId: this.#service.getNetworkStatus().peerId });
  }

  async create(canvas: CanvasData): Promise<void> {
    await this.#service.createCanvas(REPOSITORY, CANVAS, canvas, this.#name);
    tell({ report: 'created' });
  }

  async edit(number: number, edit: Edit): Promise<void> {
    const patch = 'patch' in edit ? edit.patch : await this.#writing(edit.write);
    tell({ report: 'edited', number, at: sharedClock() });
    await this.#service.patchCanvas(REPOSITORY, CANVAS, patch, this.#name);
  }

  async burst(patches: CanvasPatch[]): Promise<void> {
    const startedAt = sharedClock();
    await Promise.all(patches.map((patch) => this.#service.patchCanvas(REPOSITORY, CANVAS, patch, this.#name)));
    tell({ report: 'burst-done', startedAt, doneAt: sharedClock() });
  }

  async catchUp(): Promise<void> {
    const { answered } = await this.#service.syncRepository(REPOSITORY);
    const { bytes, repositories } = this.#service.getNetworkStatus();
    const peers = repositories[REPOSITORY]?.peers ?? 0;
    tell({ report: 'caught-up', at: sharedClock(), answered, peers, bytes: bytes.received });
  }

  async delete(): Promise<void> {
    await this.#service.deleteCanvas(REPOSITORY, CANVAS, this.#name);
    tell({ report: 'deleted' });
  }

  async compare(): Promise<void> {
    const canvas = await this.#service.getCanvas(REPOSITORY, CANVAS);
    tell({ report: 'state', at: sharedClock(), canvas, followed: isDeepStrictEqual(this.#copy, canvas) });
  }

  async stop(): Promise<void> {
    await this.#service.disconnect();
    process.disconnect();
  }

  #follow({ origin, changes }: CanvasEvent): void {
    if (origin === 'remote') tell({ report: 'saw', at: sharedClock(), changes });
    this.#copy = applyCanvasChanges(this.#copy, changes);
  }

  async #writing({ id, words, at }: { id: string; words: string; at: 'start' | 'end' }): Promise<CanvasPatch> {
    const canvas = await this.#service.getCanvas(REPOSITORY, CANVAS);
    const text = canvas.nodes.find((node) => node.id === id)?.text ?? '';
    return { nodes: { upsert: [{ id, text: at === 'start' ? `${words}${text}` : `${text}${words}` }] } };
  }
}

function tell(report: Report): void {
  // The conductor may be gone already.
  if (process.connected) process.send?.(report);
}

let peer: DemoPeer | undefined;

async function obey(order: Order): Promise<void> {
  if (order.order === 'start') peer = new DemoPeer(order.name, order.config);
  switch (order.order) {
    case 'start':
      return peer?.start();
    case 'create':
      return peer?.create(order.canvas);
    case 'edit':
      return peer?.edit(order.number, order.edit);
    case 'burst':
      return peer?.burst(order.patches);
    case 'catch-up':
      return peer?.catchUp();
    case 'delete':
      return peer?.delete();
    case 'compare':
      return peer?.compare();
    case 'stop':
      return peer?.stop();
  }
}

// One order after the other, as they came.
let obeyed = Promise.resolve();
process.on('message', (order: Order) => {
  obeyed = obeyed.then(() => obey(order)).catch((error: Error) => tell({ report: 'failed', message: error.message }));
});
// Ctrl-C reaches the whole group; the conductor says when to stop.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());
