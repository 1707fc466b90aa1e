// A peer of the chaos test, in a process of its own that may be killed at any moment. It edits for as long as it lives,
// and writes down which edits were acknowledged: whatever is written there must never be lost.
import { fsyncSync, openSync, writeSync } from 'node:fs';
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { seededRandom } from '../helpers/random.mjs';

/** Longest pause between two rounds of edits. */
const PAUSE_MS = 30;
const MAX_EDITS_AT_ONCE = 4;
/** Canvases that are edited at the same time; with each new phase come new ones. */
const CANVASES_PER_PHASE = 5;
/** What all peers edit together, and nobody deletes. */
const SHARED_NODE = { id: 'shared', type: 'text', x: 0, y: 0, width: 100, height: 50, text: '' };

const { name, run, port, path, journal, repository, seed, maxOpenCanvases } = JSON.parse(process.argv[2]);
const random = seededRandom(`${seed}/${name}/${run}`);
const below = (limit) => Math.floor(random() * limit);
const service = new MQTTIntegrationService({
  broker: { host: '127.0.0.1', port },
  repositories: [repository],
  storage: { path },
  performance: { maxOpenCanvases },
  offline: 'allow',
});

let phase = 0;
let count = 0;
let editing = true;
let edited = Promise.resolve();
/** Nodes of this run that may be deleted: `[canvas, id]`. */
const own = [];

const file = openSync(journal, 'a');
/** Durable when it returns. */
function write(...records) {
  writeSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  fsyncSync(file);
}

/** Nearly always one of the present phase; now and then an older one, which has fallen asleep. */
function anyCanvas() {
  const of = phase > 0 && below(10) === 0 ? below(phase) : phase;
  return `phase-${of}/canvas-${below(CANVASES_PER_PHASE)}`;
}

const kinds = {
  async node(canvas, key) {
    await service.patchCanvas(repository, canvas, { nodes: { upsert: [{ id: key, x: count, of: name }] } }, name);
    own.push([canvas, key]);
    return { kind: 'node', canvas, key };
  },

  async property(canvas, key) {
    await service.patchCanvas(repository, canvas, { properties: { [key]: key } }, name);
    return { kind: 'property', canvas, key };
  },

  async sharedNode(canvas, key) {
    await service.patchCanvas(repository, canvas, { nodes: { upsert: [{ id: 'shared', [key]: key }] } }, name);
    return { kind: 'shared', canvas, key };
  },

  /**
   * A whole canvas with one more node and another text. Not while other edits of ours are under way: what we made between
   * reading and passing it would be known to us, and missing in it, which means deleted.
   */
  async whole(canvas, key) {
    const board = await service.getCanvas(repository, canvas);
    const shared = board.nodes.find(({ id }) => id === 'shared');
    // The canvas is listed, and its content has not come yet.
    if (!shared) return undefined;
    const at = below(shared.text.length + 1);
    shared.text = `${shared.text.slice(0, at)}${name}${shared.text.slice(at)}`;
    board.nodes.push({ id: key, y: count });
    await service.updateCanvas(repository, canvas, board, name);
    return { kind: 'node', canvas, key };
  },

  /** Announced beforehand: should we be killed now, the node may be there or not. */
  async deletion() {
    const [canvas, key] = own.splice(below(own.length), 1)[0];
    write({ kind: 'deleting', canvas, key });
    await service.patchCanvas(repository, canvas, { nodes: { remove: [key] } }, name);
    return { kind: 'gone', canvas, key };
  },
};

function anyKind() {
  if (own.length > 3 && below(8) === 0) return kinds.deletion;
  return [kinds.node, kinds.node, kinds.property, kinds.sharedNode][below(4)];
}

/** Some edits at once, or one of a whole canvas. */
function round() {
  if (below(5) === 0) return [edit(kinds.whole)];
  return Array.from({ length: 1 + below(MAX_EDITS_AT_ONCE) }, () => edit(anyKind()));
}

/** One edit; its record when it is acknowledged, or nothing where the canvas cannot be edited yet. */
async function edit(kind) {
  const canvas = anyCanvas();
  const key = `${name}-${run}-${count++}`;
  try {
    return await kind(canvas, key);
  } catch (error) {
    if (error.code !== 'ERR_CANVAS_NOT_FOUND') throw error;
  }
  try {
    await service.createCanvas(repository, canvas, { nodes: [SHARED_NODE, { id: key }] }, name);
    return { kind: 'node', canvas, key };
  } catch (error) {
    // Another edit of this round, or another peer, was first.
    if (error.code !== 'ERR_CANVAS_EXISTS') throw error;
  }
}

async function editOn() {
  while (editing) {
    const records = await Promise.all(round());
    const acknowledged = records.filter(Boolean);
    if (acknowledged.length > 0) write(...acknowledged);
    tell({ acknowledged: acknowledged.length });
    await new Promise((resolve) => setTimeout(resolve, below(PAUSE_MS)));
  }
}

const orders = {
  phase({ to }) {
    phase = to;
  },

  /** No more edits; what is under way ends. */
  async settle() {
    editing = false;
    await edited;
  },

  /** What there is: version and content of each canvas. */
  async look() {
    const all = {};
    for (const { id, version } of await service.listCanvases(repository)) {
      all[id] = { version, canvas: await service.getCanvas(repository, id) };
    }
    return all;
  },

  status: () => service.getNetworkStatus(),

  async leave() {
    editing = false;
    await edited;
    await service.disconnect();
  },
};

/** The runner may be gone; then nobody wants to know. */
function tell(message) {
  process.send?.(message, () => {});
}

process.on('message', async ({ number, order, ...parameters }) => {
  try {
    tell({ number, result: await orders[order](parameters) });
  } catch (error) {
    tell({ number, error: String(error.stack) });
  }
  if (order === 'leave') process.disconnect();
});
process.on('disconnect', () => process.exit());

try {
  await service.initialize();
  tell({ started: service.getNetworkStatus().peerId });
  edited = editOn();
  await edited;
} catch (error) {
  tell({ failed: `${name}, run ${run}: ${error.code ?? ''} ${error.stack}` });
}
