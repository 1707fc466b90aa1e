import assert from 'node:assert/strict';
import { applyCanvasChanges } from '@mind-git/mqtt-p2p';
import { eachBroker } from './helpers/broker.mjs';
import { CANVAS, onePeer, REPOSITORY, twoPeers, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

// Wildcards, separators, what file systems and prototypes treat in a way of their own, and names that look alike: composed
// and decomposed é, Latin and Cyrillic a, upper and lower case, with and without a space.
const NAMES = [
  '+',
  '#',
  'a/b',
  'a',
  'A',
  'a ',
  '\u0430',
  '\u00e9',
  'e\u0301',
  '$SYS',
  '$SYS/x',
  '..',
  '.',
  'a\0b',
  '%2F',
  'a%2Fb',
];
NAMES.push('__proto__', 'constructor', 'will', 'peers', 'sync', '\u202ea');

eachBroker('names of repositories and canvases are data: each is itself and nothing else', async (t, broker) => {
  const [ada, ben] = await Promise.all([
    onePeer(t, broker, { repositories: NAMES }),
    onePeer(t, broker, { repositories: NAMES }),
  ]);
  const text = (...names) => JSON.stringify(names);
  for (const repository of NAMES) {
    const other = NAMES[(NAMES.indexOf(repository) + 1) % NAMES.length];
    for (const id of [repository, other]) {
      await ada.createCanvas(repository, id, { nodes: [{ id, type: 'text', text: text(repository, id) }] }, 'ada');
    }
  }
  for (const repository of NAMES) {
    const other = NAMES[(NAMES.indexOf(repository) + 1) % NAMES.length];
    for (const id of [repository, other]) {
      await untilListed(ben, id, repository);
      const read = () => ben.getCanvas(repository, id);
      await until(async () => (await read()).nodes.length === 1, `${text(repository, id)} is there`);
      assert.deepEqual((await read()).nodes, [{ id, type: 'text', text: text(repository, id) }]);
    }
    assert.deepEqual((await ben.listCanvases(repository)).map(({ id }) => id).sort(), [repository, other].sort());
  }
});

eachBroker('edits that are named like parts of a prototype touch none', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker, {});
  let followed = await ben.getCanvas(REPOSITORY, CANVAS);
  ben.on('canvas-updated', ({ changes }) => {
    followed = applyCanvasChanges(followed, changes);
  });
  const evil = '{"polluted":true,"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';
  const nodes = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'].map(
    (id) => `{"id":"${id}","__proto__":${evil},"constructor":${evil}}`,
  );
  const patch = JSON.parse(`{"nodes":{"upsert":[${nodes}]},"properties":{"__proto__":${evil},"constructor":${evil}}}`);
  const heard = nextEvent(ben, 'canvas-updated');
  await ada.patchCanvas(REPOSITORY, CANVAS, patch, 'ada');
  await heard;
  const canvas = await untilEqual(ada, ben, ({ nodes }) => nodes.length === 5);
  assert.deepEqual(followed, canvas);
  assert.equal({}.polluted, undefined);
  assert.equal(Object.polluted, undefined);
  assert.deepEqual(Object.getOwnPropertyDescriptor(canvas, '__proto__').value, JSON.parse(evil));
  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { remove: ['__proto__', 'constructor'] } }, 'ada');
  await untilEqual(ada, ben, ({ nodes }) => nodes.length === 3);
  assert.equal({}.polluted, undefined);
});
