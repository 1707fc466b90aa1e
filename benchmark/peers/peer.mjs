// One peer of one system, in a process of its own: `peer.mjs <system> <options as JSON>`. The parent sends
// `{ id, task, args }` and gets `{ id, result }`; times are of the monotonic clock that all processes of a machine share,
// in milliseconds.
import { setTimeout as sleep } from 'node:timers/promises';

const [system, options] = process.argv.slice(2);
const { connect } = await import(`./systems/${system}.mjs`);

const now = () => Number(process.hrtime.bigint()) / 1e6;

/** When which number of which node was seen first: numbers only grow. */
const seen = new Map();
const waiting = new Set();

function onMove(key, node, number) {
  const at = now();
  const name = `${key} ${node}`;
  let numbers = seen.get(name);
  if (!numbers) {
    numbers = new Map();
    seen.set(name, numbers);
  }
  if (!numbers.has(number)) numbers.set(number, at);
  for (const check of waiting) check(name, number, at);
}

const peer = await connect({ ...JSON.parse(options), onMove });

const tasks = {
  open: (key, initial) => peer.open(key, initial),
  close: () => peer.close(),
  read: (key) => peer.read(key),

  /** Opens many and says how much memory one took, in bytes, everything included. */
  async openAll(keys) {
    const before = await restingBytes();
    for (const key of keys) await peer.open(key);
    return ((await restingBytes()) - before) / keys.length;
  },

  /** Moves a node to the numbers from `from`, at an even pace or flat out, each call awaited: when each was called. */
  async moves(key, node, from, count, perSecond) {
    const sentAt = [];
    const start = now();
    for (let n = 0; n < count; n++) {
      if (perSecond) {
        const rest = start + (n * 1000) / perSecond - now();
        if (rest > 0) await sleep(rest);
      }
      sentAt.push(now());
      const done = peer.move(key, node, from + n);
      // At a pace the outcome is not awaited: the next move must not be late for it.
      if (!perSecond) await done;
    }
    return sentAt;
  },

  /** Appends so many characters to a node's text, one at a time; none is there twice. */
  async type(key, node, first, count) {
    for (let n = 0; n < count; n++) {
      const character = String.fromCodePoint(first + n);
      await peer.type(key, node, character);
      await new Promise(setImmediate);
    }
  },

  /** Passes the whole canvas, with one node moved, so many times, as an application does that knows no patches. */
  async updates(key, node, from, count) {
    const canvas = await peer.read(key);
    const sentAt = [];
    for (let n = 0; n < count; n++) {
      canvas.nodes.find(({ id }) => id === node).x = from + n;
      sentAt.push(now());
      await peer.update(key, structuredClone(canvas));
      await new Promise(setImmediate);
    }
    return sentAt;
  },

  /** When the number of a node was seen, waiting for it if need be. */
  sees: (key, node, number) =>
    new Promise((resolve) => {
      const name = `${key} ${node}`;
      const known = seen.get(name)?.get(number);
      if (known !== undefined) return resolve(known);
      const check = (changed, reached, at) => {
        if (changed !== name || reached !== number) return;
        waiting.delete(check);
        resolve(at);
      };
      waiting.add(check);
    }),

  /** When the numbers from `from` were seen; null for those that arrived as part of a later one. */
  seen(key, node, from, count) {
    const numbers = seen.get(`${key} ${node}`);
    return Array.from({ length: count }, (_, n) => numbers?.get(from + n) ?? null);
  },
};

async function restingBytes() {
  for (let round = 0; round < 3; round++) {
    global.gc?.();
    await sleep(300);
  }
  return process.memoryUsage.rss();
}

process.on('message', async ({ id, task, args }) => {
  try {
    process.send({ id, result: await tasks[task](...args) });
  } catch (error) {
    process.send({ id, error: String(error?.stack ?? error) });
  }
  if (task === 'close') process.disconnect();
});
process.send({ id: 0 });
