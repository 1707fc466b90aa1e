// A peer in a process of its own, for tests in which two processes are the point. Obeys orders that come as messages.
import { createHash } from 'node:crypto';
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { CANVAS, REPOSITORY, untilListed } from './two-peers.mjs';

let name;
let service;

const orders = {
  async start({ name: own, ...options }) {
    name = own;
    service = new MQTTIntegrationService({ repositories: [REPOSITORY], ...options });
    await service.initialize();
  },

  create: ({ canvas }) => service.createCanvas(REPOSITORY, CANVAS, canvas, name),

  listed: () => untilListed(service, CANVAS),

  /** Edit after edit at full speed; each one moves a node and leaves a property of its own. Gives the time taken. */
  async edits({ count, ids }) {
    return flatOut(count, (n) => {
      const id = ids[n % ids.length];
      return { nodes: { upsert: [{ id, x: n, [`${name}-${n}`]: n }] } };
    });
  },

  /** Moves of one node, as fast as they can be made. Gives the time taken. */
  moves: ({ count, id }) => flatOut(count, (n) => ({ nodes: { upsert: [{ id, x: n + 1 }] } })),

  /** Digest of the canvas, how many properties the editors left in it, and where a node lies. */
  async look({ names, id }) {
    const canvas = await service.getCanvas(REPOSITORY, CANVAS);
    const count = (editor) =>
      canvas.nodes.reduce(
        (sum, node) => sum + Object.keys(node).filter((key) => key.startsWith(`${editor}-`)).length,
        0,
      );
    return {
      digest: createHash('sha256').update(JSON.stringify(canvas)).digest('hex'),
      found: Object.fromEntries((names ?? []).map((editor) => [editor, count(editor)])),
      x: canvas.nodes.find((node) => node.id === id)?.x,
      nodes: canvas.nodes.length,
    };
  },

  status: () => service.getNetworkStatus(),

  stop: () => service.disconnect(),
};

/** Calls that wait for their outcome at a time: fast, and far from the bound at which calls are refused. */
const WINDOW = 500;

async function flatOut(count, patchOf) {
  const start = performance.now();
  let waiting = [];
  for (let n = 0; n < count; n++) {
    waiting.push(service.patchCanvas(REPOSITORY, CANVAS, patchOf(n), name));
    if (waiting.length === WINDOW) {
      await Promise.all(waiting);
      waiting = [];
    }
  }
  await Promise.all(waiting);
  return performance.now() - start;
}

process.on('message', async ({ number, order, ...parameters }) => {
  try {
    process.send({ number, result: await orders[order](parameters) });
  } catch (error) {
    process.send({ number, error: `${error.code ?? ''} ${error.stack}` });
  }
});
process.on('disconnect', () => process.exit());
