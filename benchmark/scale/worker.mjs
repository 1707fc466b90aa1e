// A process with as many services as it is told to have; obeys orders that come as messages.
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { until } from '../../__test__/helpers/wait.mjs';
import { board } from '../peers/board.mjs';

/** Services that connect at the same time. */
const AT_ONCE = 8;
/** Nodes that are created at once. */
const PIECE = 10_000;
const PATIENCE_MS = 300_000;

const services = [];
const latencies = [];

/** Milliseconds by a clock that all processes of this machine share. */
const now = () => performance.timeOrigin + performance.now();

const orders = {
  /** Connects so many services, each to all of the repositories or, with `one`, to the next of them; gives how long each took. */
  async start({ count, config, one }) {
    const times = [];
    let begun = 0;
    const connect = async () => {
      while (begun < count) {
        const all = config.repositories;
        const next = begun++ % all.length;
        const repositories = one ? [all[next]] : all;
        const began = now();
        const service = new MQTTIntegrationService({ ...config, repositories });
        await service.initialize();
        services.push(service);
        times.push(now() - began);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, connect));
    return times;
  },

  /** Creates a board in each of so many canvases of the repositories; a large one in pieces, as one edit is bounded. */
  async create({ repositories, canvases, nodes }) {
    const began = now();
    for (const repository of repositories) {
      const made = Array.from({ length: canvases }, (_, n) =>
        services[0].createCanvas(repository, `canvas-${n}`, board(Math.min(nodes, PIECE)), 'bench'),
      );
      await Promise.all(made);
      for (let from = PIECE; from < nodes; from += PIECE) {
        const patch = { nodes: { upsert: board(nodes).nodes.slice(from, from + PIECE) } };
        await services[0].patchCanvas(repository, 'canvas-0', patch, 'bench');
      }
    }
    await services[0].flush();
    return now() - began;
  },

  /** Waits until every service has all canvases of its repositories with all their nodes; gives how long that took. */
  async join({ canvases, nodes }) {
    const began = now();
    const has = async (service, repository) => {
      const listed = await service.listCanvases(repository);
      return listed.length === canvases && listed.every((canvas) => canvas.nodes === nodes);
    };
    for (const service of services) {
      for (const repository of Object.keys(service.getAllRepositoryStatuses())) {
        await until(() => has(service, repository), `all canvases of ${repository}`, PATIENCE_MS);
      }
    }
    return now() - began;
  },

  /** From now on notes how long edits of others were on their way; they say when they were made. */
  listen() {
    for (const service of services) {
      service.on('canvas-updated', ({ origin, changes }) => {
        if (origin !== 'remote') return;
        for (const { set } of changes.nodes?.updated ?? []) if (set?.at) latencies.push(now() - set.at);
      });
    }
  },

  /** Each service makes so many edits with pauses, of the repositories in turn, each of a node of its own. */
  async edit({ repositories, canvas = 'canvas-0', edits, pauseMs }) {
    const work = services.map(async (service, index) => {
      for (let n = 0; n < edits; n++) {
        const repository = repositories[n % repositories.length];
        await new Promise((resolve) => setTimeout(resolve, pauseMs * (0.5 + Math.random())));
        const patch = { nodes: { upsert: [{ id: `node-${index}`, x: n, at: now() }] } };
        await service.patchCanvas(repository, canvas, patch, 'bench');
      }
      await service.flush();
    });
    await Promise.all(work);
  },

  heard: () => latencies.splice(0),

  /** Frees what is not needed any more, so that memory is what is held. */
  settle: () => global.gc(),

  /** What the process has used, and what its services have sent and received. */
  figures() {
    const { user, system } = process.cpuUsage();
    const totals = { messages: 0, bytes: 0, sent: 0, sentBytes: 0, kinds: {}, rejected: {} };
    for (const service of services) {
      const { messages, bytes, repositories } = service.getNetworkStatus();
      totals.messages += messages.received;
      totals.bytes += bytes.received;
      totals.sent += messages.sent;
      totals.sentBytes += bytes.sent;
      for (const { traffic, messages } of Object.values(repositories)) {
        for (const [kind, { received }] of Object.entries(traffic)) add(totals.kinds, kind, received.messages);
        for (const [reason, count] of Object.entries(messages.rejected)) add(totals.rejected, reason, count);
      }
    }
    return { cpuMs: (user + system) / 1000, rss: process.memoryUsage.rss(), ...totals };
  },

  async stop() {
    await Promise.all(services.map((service) => service.disconnect()));
  },
};

function add(counts, name, count) {
  counts[name] = (counts[name] ?? 0) + count;
}

process.on('message', async ({ number, order, ...parameters }) => {
  try {
    process.send({ number, result: (await orders[order](parameters)) ?? null });
  } catch (error) {
    process.send({ number, error: error.stack });
  }
});
process.on('disconnect', () => process.exit());
