import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { embedded } from './helpers/broker.mjs';
import { seededRandom } from './helpers/random.mjs';
import { REPOSITORY } from './helpers/two-peers.mjs';
import { bound, card, vault } from './helpers/vault.mjs';
import { until } from './helpers/wait.mjs';

const SEED = process.env.FILES_SEED ?? `${Date.now()}`;
const STEPS = Number(process.env.FILES_STEPS ?? 200);

/** Two folders and their services, on which editors and applications do things; what must be there at the end. */
class World {
  constructor(random, sides) {
    this.random = random;
    this.sides = sides;
    /** Canvas id -> words that were added to its first card. */
    this.words = new Map();
    /** Canvas id -> ids of nodes that were saved, and that nobody has deleted since. */
    this.wanted = new Map();
    this.number = 0;
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  /** A node that is made once, by one. */
  node() {
    const id = `n${++this.number}`;
    return { id, type: 'text', x: this.number, y: 0, width: 1, height: 1, text: id };
  }

  /** It was saved. */
  want(canvas, node) {
    this.wanted.get(canvas)?.add(node.id);
  }

  /** Somebody has deleted the canvas: what others do to it at the same time may be there or not. */
  forget(canvas) {
    this.wanted.delete(canvas);
    this.words.delete(canvas);
  }
}

/** What an editor does with one file: it saves what it has read, perhaps a while ago, with something more in it. */
const EDITOR = {
  open(_, { folder, open }, id) {
    const canvas = folder.parsed(id);
    if (canvas) open.set(id, { canvas, at: performance.now() });
  },

  async save(world, side, id) {
    const { folder, open } = side;
    const held = open.get(id);
    if (!held || !folder.has(id)) return EDITOR.open(world, side, id);
    // An editor that had it open for long has been told of what changed.
    if (performance.now() - held.at > 600) return EDITOR.open(world, side, id);
    const { canvas } = held;
    const node = world.node();
    canvas.nodes.push(node);
    const first = canvas.nodes.find(({ id }) => id === 'a');
    const word = ` w${world.number}`;
    if (first && world.random() < 0.5) {
      first.text += word;
      world.words.get(id)?.push(word);
    }
    const style = world.pick(['save', 'replace', 'saveInParts']);
    await folder[style](id, canvas, () => pause(world.random() * 20));
    world.want(id, node);
    held.at = performance.now();
  },

  async create(world, { folder }) {
    const id = `${world.pick(['', 'in/', 'in/deep/'])}file${++world.number}`;
    const node = world.node();
    folder.save(id, card(id, node));
    world.wanted.set(id, new Set(['a', node.id]));
  },

  async remove(world, { folder }, id) {
    if (world.wanted.size < 4 || !folder.parsed(id)) return;
    world.forget(id);
    folder.remove(id);
  },

  async rename(world, { folder, open }, id) {
    const canvas = folder.parsed(id);
    if (!canvas || world.wanted.size < 3) return;
    const to = `renamed${++world.number}`;
    world.forget(id);
    open.delete(id);
    folder.rename(id, to);
    // It may have been written at the last moment: what was there before is.
    world.wanted.set(to, new Set(canvas.nodes.map((node) => node.id)));
  },
};

/** What an application does. */
const APPLICATION = {
  async patch(world, { peer, held }, id) {
    const node = world.node();
    // What an application patches it knows: an older object that it passed afterwards would mean to delete it.
    held.delete(id);
    await peer.patchCanvas(REPOSITORY, id, { nodes: { upsert: [node] } }, 'app');
    world.want(id, node);
  },

  async read(_, { peer, held }, id) {
    held.set(id, await peer.getCanvas(REPOSITORY, id));
  },

  async update(world, { peer, held }, id) {
    const canvas = held.get(id);
    if (!canvas) return;
    const node = world.node();
    canvas.nodes.push(node);
    await peer.updateCanvas(REPOSITORY, id, canvas, 'app');
    world.want(id, node);
  },

  async create(world, { peer }) {
    const id = `app${++world.number}`;
    await peer.createCanvas(REPOSITORY, id, card(id), 'app');
    world.wanted.set(id, new Set(['a']));
  },

  async remove(world, { peer }, id) {
    if (world.wanted.size < 4) return;
    world.forget(id);
    await peer.deleteCanvas(REPOSITORY, id, 'app');
  },
};

const OFTEN = [EDITOR.save, EDITOR.save, EDITOR.save, EDITOR.open, APPLICATION.patch, APPLICATION.patch];
const ACTIONS = [...OFTEN, ...OFTEN, ...Object.values(EDITOR), ...Object.values(APPLICATION)];
/** What an application may be told when somebody else is quicker. */
const QUICKER = new Set(['ERR_CANVAS_NOT_FOUND', 'ERR_CANVAS_EXISTS']);

async function step(world) {
  const id = world.pick([...world.wanted.keys()]);
  try {
    await world.pick(ACTIONS)(world, world.pick(world.sides), id);
  } catch (error) {
    if (!QUICKER.has(error.code) && error.code !== 'ENOENT') throw error;
  }
  if (world.random() < 0.5) await pause(world.random() * 40);
}

/** All canvases of a service, as they would be written. */
async function canvasesOf(peer) {
  const list = await peer.listCanvases(REPOSITORY);
  const read = async ({ id }) => [id, await peer.getCanvas(REPOSITORY, id)];
  return Object.fromEntries((await Promise.all(list.map(read))).sort());
}

/** All canvases in a folder; undefined while one cannot be read. */
function filesOf({ names, parsed }) {
  const ids = names().map((name) => name.replace(/\.canvas$/, ''));
  const files = Object.fromEntries(ids.map((id) => [id, parsed(id)]).sort());
  return Object.values(files).every(Boolean) ? files : undefined;
}

test('whatever editors and applications do to two folders at once', async (t) => {
  t.diagnostic(`FILES_SEED=${SEED} FILES_STEPS=${STEPS}`);
  const broker = await embedded(t);
  const folders = [vault(t, { plan: card('plan'), 'in/two': card('two'), three: card('three') }), vault(t)];
  const sides = [];
  for (const folder of folders) {
    sides.push({ folder, peer: await bound(t, broker, folder), open: new Map(), held: new Map() });
  }
  await folders[1].until('plan', card('plan'));
  const world = new World(seededRandom(SEED), sides);
  for (const id of ['plan', 'in/two', 'three']) world.wanted.set(id, new Set(['a']));
  for (const id of world.wanted.keys()) world.words.set(id, []);
  for (let n = 0; n < STEPS; n++) await step(world);

  const state = async () => Promise.all(sides.flatMap(({ folder, peer }) => [canvasesOf(peer), filesOf(folder)]));
  let last;
  const settled = async () => {
    last = await state().catch((error) => [error.message]);
    return last.length === 4 && last.every((canvases) => isDeepStrictEqual(canvases, last[0]));
  };
  await until(settled, 'canvases and files are alike').catch((error) => {
    const shown = last.map((canvases) =>
      Object.fromEntries(
        Object.entries(canvases ?? {}).map(([id, canvas]) => [id, canvas?.nodes?.map(({ id }) => id).join()]),
      ),
    );
    throw new Error(`${error.message} FILES_SEED=${SEED}: ${JSON.stringify(shown, null, 1)}`);
  });
  for (const [id, nodes] of world.wanted) {
    const there = new Set(last[0][id]?.nodes.map((node) => node.id));
    const missing = [...nodes].filter((node) => !there.has(node));
    assert.deepEqual(missing, [], `missing in ${id}; FILES_SEED=${SEED}`);
  }
  for (const [id, words] of world.words) {
    const text = last[0][id]?.nodes.find((node) => node.id === 'a')?.text ?? '';
    const wrong = words.filter((word) => text.split(' ').filter((found) => ` ${found}` === word).length !== 1);
    assert.deepEqual(wrong, [], `not once in ${id}: ${text}; FILES_SEED=${SEED}`);
  }
  for (const { peer } of sides) assert.deepEqual(peer.of('error'), [], `FILES_SEED=${SEED}`);
});
