import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type MQTTIntegrationConfig, MQTTIntegrationService } from '../index.js';
import { portOf } from './broker.js';
import { type Cuttable, cuttable } from './cuttable.js';

/** What the suite has measured so far. */
export interface Measured {
  /** Until `initialize()` was done, in milliseconds. */
  connectMs: number[];
  /** Until a peer that was there saw one that came, in milliseconds. */
  discoveryMs: number[];
  /** From an edit at one peer until the other's application had it, in milliseconds. */
  latencyMs: number[];
  /** Messages through the broker and back, a second; one value a round. */
  messagesPerSecond: number[];
  /** Edits at one peer that the other has, a second; one value a round. */
  editsPerSecond: number[];
  /** After a cut, from being connected again until all edits made meanwhile were there, in milliseconds. */
  syncMs: number[];
  /** From two edits at the same time until both peers had the same canvas with both, in milliseconds. */
  mergeMs: number[];
  /** Memory of the process for each of its repositories, in bytes. */
  memoryPerRepository: number;
  /** Share of one processor that the process needs when nothing happens. */
  idleCpu: number;
}

const REPOSITORY = 'test';
const CANVAS = 'board';
const LATENCY_EDITS = 100;
const THROUGHPUT_EDITS = 500;
const CUT_EDITS = 50;
const MEMORY_REPOSITORIES = 10;
const IDLE_MS = 2000;
const WAIT_MS = 30_000;

/** Two peers, one of them on a way that can be cut, and what is measured with them. */
export class Suite {
  readonly measured: Measured = {
    ...{ connectMs: [], discoveryMs: [], latencyMs: [], messagesPerSecond: [], editsPerSecond: [], syncMs: [] },
    ...{ mergeMs: [], memoryPerRepository: Number.NaN, idleCpu: Number.NaN },
  };
  readonly #config: MQTTIntegrationConfig;
  readonly #services: MQTTIntegrationService[] = [];
  #way: Cuttable | undefined;
  #count = 0;

  /** A configuration whose topics nobody else uses. */
  constructor(config: MQTTIntegrationConfig) {
    this.#config = config;
  }

  /** Runs everything once, then what can be repeated until the time is over. `progress` is told what is done. */
  async run(durationMs: number, interrupted: AbortSignal, progress: (what: string) => void): Promise<void> {
    const end = performance.now() + durationMs;
    progress('connecting two peers');
    const { broker } = this.#config;
    // A way of our own has another name than the broker's certificate.
    if (isPlain(broker)) this.#way = await cuttable({ host: broker.host ?? 'localhost', port: portOf(broker) });
    const ada = await this.#connect();
    await ada.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', text: '' }] }, 'Ada');
    const ben = await this.#join(ada);
    for (let round = 1; !interrupted.aborted; round++) {
      const steps: [string, () => Promise<void>][] = [
        ['message latency', () => this.#latency(ada, ben)],
        ['throughput', () => this.#throughput(ada, ben)],
        ['sync after a cut', () => this.#cut(ada, ben)],
        ['merging conflicts', () => this.#merge(ada, ben)],
        ['connecting and discovery', () => this.#visit(ada)],
      ];
      for (const [what, step] of steps) {
        if (interrupted.aborted) return;
        progress(`${what} (round ${round}, ${Math.max(0, Math.round((end - performance.now()) / 1000))} s left)`);
        await step();
      }
      if (round === 1) {
        progress('memory');
        await this.#memory();
        progress('processor time when nothing happens');
        await this.#idle();
      }
      if (performance.now() >= end) return;
    }
  }

  /** Disconnects everybody, after deleting what was made. */
  async stop(): Promise<void> {
    this.#way?.mend();
    await this.#services[0]?.deleteCanvas(REPOSITORY, CANVAS, 'Ada').catch(() => {});
    await Promise.all(this.#services.map((service) => service.disconnect()));
    await this.#way?.stop();
  }

  async #connect(config: Partial<MQTTIntegrationConfig> = {}): Promise<MQTTIntegrationService> {
    const service = new MQTTIntegrationService({ ...this.#config, repositories: [REPOSITORY], ...config });
    service.on('error', () => {}); // What matters is missed in the figures.
    this.#services.push(service);
    const start = performance.now();
    await service.initialize();
    this.measured.connectMs.push(performance.now() - start);
    return service;
  }

  /** A second peer, until it has the canvas. */
  async #join(ada: MQTTIntegrationService): Promise<MQTTIntegrationService> {
    const way = this.#way;
    const broker = { ...this.#config.broker, ...(way && { host: way.host, port: way.port }) };
    const ben = await this.#seen(ada, () => this.#connect({ broker }));
    await until(
      async () => (await ben.listCanvases(REPOSITORY)).some(({ id }) => id === CANVAS),
      'the canvas is there',
    );
    return ben;
  }

  /** Somebody comes and goes. */
  async #visit(ada: MQTTIntegrationService): Promise<void> {
    const visitor = await this.#seen(ada, () => this.#connect());
    await visitor.disconnect();
    this.#services.splice(this.#services.indexOf(visitor), 1);
  }

  /** Measures how long it takes until a peer sees the one that comes. */
  async #seen(
    ada: MQTTIntegrationService,
    come: () => Promise<MQTTIntegrationService>,
  ): Promise<MQTTIntegrationService> {
    let at = 0;
    const seen = new Set<string>();
    const listener = ({ id }: { id: string }) => {
      at = performance.now();
      seen.add(id);
    };
    ada.on('peer-discovered', listener);
    try {
      const start = performance.now();
      const service = await come();
      const { peerId } = service.getNetworkStatus();
      await until(() => seen.has(peerId), 'the peer is discovered');
      this.measured.discoveryMs.push(at - start);
      return service;
    } finally {
      ada.off('peer-discovered', listener);
    }
  }

  async #latency(ada: MQTTIntegrationService, ben: MQTTIntegrationService): Promise<void> {
    for (let edit = 0; edit < LATENCY_EDITS; edit++) {
      const value = ++this.#count;
      const arrived = this.#arrival(ben, value);
      const start = performance.now();
      await this.#edit(ada, value);
      this.measured.latencyMs.push((await arrived) - start);
    }
  }

  async #throughput(ada: MQTTIntegrationService, ben: MQTTIntegrationService): Promise<void> {
    const { throughputPerSecond } = await ada.performanceTest();
    this.measured.messagesPerSecond.push(throughputPerSecond);
    const last = this.#count + THROUGHPUT_EDITS;
    const arrived = this.#arrival(ben, last);
    const start = performance.now();
    while (this.#count < last) {
      // Many at once, as an application has that does not wait for each.
      const batch = Array.from({ length: Math.min(50, last - this.#count) }, () => this.#edit(ada, ++this.#count));
      await Promise.all(batch);
    }
    this.measured.editsPerSecond.push(THROUGHPUT_EDITS / (((await arrived) - start) / 1000));
  }

  async #cut(ada: MQTTIntegrationService, ben: MQTTIntegrationService): Promise<void> {
    const way = this.#way;
    if (!way) return;
    const gone = until(() => !ben.getNetworkStatus().connected, 'the connection is gone');
    way.cut();
    await gone;
    for (let edit = 0; edit < CUT_EDITS; edit++) await this.#edit(ada, ++this.#count);
    const arrived = this.#arrival(ben, this.#count);
    way.mend();
    await until(() => ben.getNetworkStatus().connected, 'the connection is back');
    const start = performance.now();
    this.measured.syncMs.push(Math.max(0, (await arrived) - start));
  }

  async #merge(ada: MQTTIntegrationService, ben: MQTTIntegrationService): Promise<void> {
    const start = performance.now();
    const mark = ++this.#count;
    await Promise.all([
      ada.patchCanvas(
        REPOSITORY,
        CANVAS,
        { nodes: { upsert: [{ id: 'a', color: `${mark}`, 'of-ada': mark }] } },
        'Ada',
      ),
      ben.patchCanvas(
        REPOSITORY,
        CANVAS,
        { nodes: { upsert: [{ id: 'a', color: `-${mark}`, 'of-ben': mark }] } },
        'Ben',
      ),
    ]);
    await until(async () => {
      const [one, other] = await Promise.all([ada, ben].map((peer) => peer.getCanvas(REPOSITORY, CANVAS)));
      const node = one?.nodes.find(({ id }) => id === 'a');
      return isDeepStrictEqual(one, other) && node?.['of-ada'] === mark && node?.['of-ben'] === mark;
    }, 'both peers have the same canvas');
    this.measured.mergeMs.push(performance.now() - start);
  }

  async #memory(): Promise<void> {
    const before = process.memoryUsage.rss();
    const repositories = Array.from({ length: MEMORY_REPOSITORIES }, (_, index) => `memory-${index}`);
    const service = await this.#connect({ repositories });
    const nodes = Array.from({ length: 100 }, (_, index) => ({
      id: `${index}`,
      text: 'some words',
      x: index,
      y: index,
    }));
    for (const repository of repositories) await service.createCanvas(repository, CANVAS, { nodes }, 'Ada');
    const grown = process.memoryUsage.rss() - before;
    this.measured.memoryPerRepository = Math.max(0, grown) / MEMORY_REPOSITORIES;
    for (const repository of repositories) await service.deleteCanvas(repository, CANVAS, 'Ada');
    await service.disconnect();
    this.#services.splice(this.#services.indexOf(service), 1);
  }

  async #idle(): Promise<void> {
    const before = process.cpuUsage();
    const start = performance.now();
    await sleep(IDLE_MS);
    const { user, system } = process.cpuUsage(before);
    this.measured.idleCpu = (user + system) / 1000 / (performance.now() - start);
  }

  #edit(peer: MQTTIntegrationService, value: number): Promise<unknown> {
    return peer.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', value }] } }, 'Ada');
  }

  /** When a peer's application hears of a value, or of a later one. */
  #arrival(peer: MQTTIntegrationService, value: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        peer.off('canvas-updated', listener);
      };
      const listener = ({ changes }: { changes: { nodes?: { updated?: { set?: { value?: unknown } }[] } } }) => {
        if (!changes.nodes?.updated?.some(({ set }) => Number(set?.value) >= value)) return;
        done();
        resolve(performance.now());
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`an edit did not arrive within ${WAIT_MS / 1000} s`));
      }, WAIT_MS);
      peer.on('canvas-updated', listener as never);
    });
  }
}

/** Whether the broker is reached without TLS. */
function isPlain({ protocol = 'mqtt' }: MQTTIntegrationConfig['broker']): boolean {
  return protocol === 'mqtt' || protocol === 'ws';
}

/** Waits until something holds. */
async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${WAIT_MS / 1000} s: ${what}`);
    await sleep(2);
  }
}
