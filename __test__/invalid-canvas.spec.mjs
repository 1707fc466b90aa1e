import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { onePeer, REPOSITORY, rejectsWith } from './helpers/two-peers.mjs';

const deep = (levels) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);

const WRONG = [
  ['undefined', undefined, 'ERR_CANVAS_INVALID', /./],
  ['null', null, 'ERR_CANVAS_INVALID', /./],
  ['an array', [], 'ERR_CANVAS_INVALID', /./],
  ['a string', '{"nodes":[]}', 'ERR_CANVAS_INVALID', /./],
  ['nodes that are no array', { nodes: {} }, 'ERR_CANVAS_INVALID', /nodes/],
  ['a node that is no object', { nodes: [1] }, 'ERR_CANVAS_INVALID', /nodes\[0\]/],
  ['a node without id', { nodes: [{ id: 'a' }, { x: 1 }] }, 'ERR_CANVAS_INVALID', /nodes\[1\]/],
  ['an id that is a number', { nodes: [{ id: 7 }] }, 'ERR_CANVAS_INVALID', /nodes\[0\]\.id/],
  ['an id twice', { nodes: [{ id: 'a' }, { id: 'a' }] }, 'ERR_CANVAS_INVALID', /nodes\[1\]\.id/],
  ['an edge without id', { edges: [{}] }, 'ERR_CANVAS_INVALID', /edges\[0\]/],
  ['nesting over 64', { nodes: [{ id: 'a', deep: deep(70) }] }, 'ERR_CANVAS_INVALID', /nodes\[0\]/],
  ['a BigInt', { nodes: [{ id: 'a', x: 1n }] }, 'ERR_CANVAS_INVALID', /JSON/],
  ['half a surrogate pair', { nodes: [{ id: 'a', text: '\ud800' }] }, 'ERR_CANVAS_INVALID', /./],
  ['a string over 1 MiB', { nodes: [{ id: 'a', text: 'x'.repeat(2 ** 20 + 1) }] }, 'ERR_PAYLOAD_TOO_LARGE', /./],
  [
    'too many nodes',
    { nodes: Array.from({ length: 100_001 }, (_, n) => ({ id: `${n}` })) },
    'ERR_PAYLOAD_TOO_LARGE',
    /./,
  ],
];

test('an invalid canvas is refused with the place, by create and update, and nothing is changed', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  await peer.createCanvas(REPOSITORY, 'good', smallCanvas(), 'ada');
  for (const [name, canvas, code, message] of WRONG) {
    await t.test(name, async () => {
      await rejectsWith(peer.createCanvas(REPOSITORY, 'bad', canvas, 'ada'), code, message);
      await rejectsWith(peer.updateCanvas(REPOSITORY, 'good', canvas, 'ada'), code, message);
    });
  }
  assert.deepEqual(
    (await peer.listCanvases(REPOSITORY)).map(({ id }) => id),
    ['good'],
  );
  assert.deepEqual(await peer.getCanvas(REPOSITORY, 'good'), smallCanvas());
});

test('an invalid patch is refused, and nothing is changed', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  await peer.createCanvas(REPOSITORY, 'good', smallCanvas(), 'ada');
  const wrong = [
    null,
    [],
    { node: {} },
    { nodes: [] },
    { nodes: { upsert: [{ x: 1 }] } },
    { nodes: { upsert: {} } },
    { nodes: { remove: [1] } },
    { properties: [] },
  ];
  for (const patch of wrong) {
    await rejectsWith(peer.patchCanvas(REPOSITORY, 'good', patch, 'ada'), 'ERR_CANVAS_INVALID');
  }
  assert.deepEqual(await peer.getCanvas(REPOSITORY, 'good'), smallCanvas());
});

test('arguments of a wrong JavaScript type give the error that Node gives', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  await rejectsWith(peer.createCanvas(7, 'x', {}, 'ada'), 'ERR_INVALID_ARG_TYPE');
  await rejectsWith(peer.createCanvas(REPOSITORY, 'x', {}, undefined), 'ERR_INVALID_ARG_TYPE');
  await rejectsWith(peer.getCanvas(REPOSITORY, null), 'ERR_INVALID_ARG_TYPE');
});
