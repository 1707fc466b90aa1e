import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { nodeOf } from './helpers/canvases.mjs';
import { CANVAS, onePeer, REPOSITORY, twoPeers, untilEqual } from './helpers/two-peers.mjs';

eachBroker('a patch changes what it names and nothing else', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  const patch = {
    nodes: {
      upsert: [
        { id: 'a', x: 5, color: null, text: 'changed' },
        { id: 'new', type: 'group' },
      ],
      remove: ['b'],
    },
    properties: { title: 'Plan' },
  };
  await ada.patchCanvas(REPOSITORY, CANVAS, patch, 'ada');
  const canvas = await untilEqual(ada, ben, ({ title }) => title === 'Plan');
  assert.deepEqual(canvas, {
    nodes: [
      { id: 'a', type: 'text', x: 5, y: 0, width: 200, height: 60, text: 'changed' },
      { id: 'new', type: 'group' },
    ],
    edges: [], // Its end is gone, so it is hidden.
    title: 'Plan',
  });
});

test('null removes a property, also a top-level one', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  await peer.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', color: '1' }], title: 'x' }, 'ada');
  await peer.patchCanvas(
    REPOSITORY,
    CANVAS,
    { nodes: { upsert: [{ id: 'a', color: null }] }, properties: { title: null } },
    'ada',
  );
  assert.deepEqual(await peer.getCanvas(REPOSITORY, CANVAS), { nodes: [{ id: 'a' }], edges: [] });
});

test('a rewritten card survives being deleted at the same time; a moved one does not', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  const offline = [ada, ben];
  // Without live exchange both edit what the other has not seen.
  await Promise.all(offline.map((peer) => peer.disableRealTimeCollaboration(REPOSITORY, CANVAS)));
  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { remove: ['a', 'b'] } }, 'ada');
  await ben.patchCanvas(
    REPOSITORY,
    CANVAS,
    {
      nodes: {
        upsert: [
          { id: 'a', color: '2' },
          { id: 'b', x: 1 },
        ],
      },
    },
    'ben',
  );
  await Promise.all(offline.map((peer) => peer.enableRealTimeCollaboration(REPOSITORY, CANVAS)));
  await Promise.all(offline.map((peer) => peer.syncCanvas(REPOSITORY, CANVAS)));
  const canvas = await untilEqual(ada, ben, ({ nodes }) => nodes.length === 1);
  assert.equal(nodeOf(canvas, 'a').color, '2');
});

test('an empty patch is no edit', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  await peer.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a' }] }, 'ada');
  let events = 0;
  peer.on('canvas-updated', () => events++);
  await peer.patchCanvas(REPOSITORY, CANVAS, {}, 'ada');
  await peer.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a' }], remove: ['nobody'] } }, 'ada');
  await peer.getCanvas(REPOSITORY, CANVAS);
  assert.equal(events, 0);
});

test('two people who type in one text, and follow the events, lose nothing', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  const shown = new Map();
  for (const peer of [ada, ben]) {
    shown.set(peer, nodeOf(await peer.getCanvas(REPOSITORY, CANVAS), 'a').text);
    peer.on('canvas-updated', ({ changes }) => {
      for (const { id, set } of changes.nodes?.updated ?? []) if (id === 'a' && set?.text) shown.set(peer, set.text);
    });
  }
  const before = shown.get(ada);
  const type = async (peer, author, characters) => {
    for (const character of characters) {
      const text = shown.get(peer) + character;
      shown.set(peer, text);
      await peer.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', text }] } }, author);
      await new Promise(setImmediate);
    }
  };
  // No character is there twice, so none can be taken for another.
  const characters = Array.from({ length: 120 }, (_, n) => String.fromCodePoint(0x4e00 + n));
  await Promise.all([type(ada, 'ada', characters.slice(0, 60)), type(ben, 'ben', characters.slice(60))]);
  const length = before.length + characters.length;
  const canvas = await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').text.length >= length);
  const { text } = nodeOf(canvas, 'a');
  assert.equal(text.length, length);
  assert.ok(characters.every((character) => text.includes(character)));
});

test('a text is an edit of the base that is named', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  const nodes = (text) => ({ nodes: { upsert: [{ id: 'a', text }] } });
  await peer.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', type: 'text', text: 'one two' }] }, 'ada');
  const base = await peer.patchCanvas(REPOSITORY, CANVAS, nodes('one two three'), 'ada');
  await peer.patchCanvas(REPOSITORY, CANVAS, nodes('zero one two three'), 'ada');
  await peer.patchCanvas(REPOSITORY, CANVAS, nodes('one two three four'), 'ada', { base });
  assert.equal(nodeOf(await peer.getCanvas(REPOSITORY, CANVAS), 'a').text, 'zero one two three four');
  await assert.rejects(peer.patchCanvas(REPOSITORY, CANVAS, nodes('x'), 'ada', { base: 'none' }), {
    code: 'ERR_CANVAS_INVALID',
  });
});
