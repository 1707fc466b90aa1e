import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { CANVAS, onePeer, REPOSITORY, rejectsWith, twoPeers } from './helpers/two-peers.mjs';

test('getCanvas() reads the present and the past', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  const first = await peer.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  const second = await peer.patchCanvas(REPOSITORY, CANVAS, { nodes: { remove: ['b'] } }, 'ada');
  assert.notEqual(first, second);
  assert.deepEqual(await peer.getCanvas(REPOSITORY, CANVAS, { at: first }), smallCanvas());
  const now = await peer.getCanvas(REPOSITORY, CANVAS);
  assert.deepEqual(
    now.nodes.map(({ id }) => id),
    ['a'],
  );
  assert.deepEqual(await peer.getCanvas(REPOSITORY, CANVAS, { at: second }), now);
  await rejectsWith(peer.getCanvas(REPOSITORY, CANVAS, { at: 'nonsense' }), 'ERR_CANVAS_INVALID');
  await rejectsWith(peer.getCanvas(REPOSITORY, 'none'), 'ERR_CANVAS_NOT_FOUND', /none/);
  await rejectsWith(peer.getCanvas('none', CANVAS), 'ERR_REPOSITORY_UNKNOWN', /none/);
});

test('listCanvases() tells what is there, at both peers', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  for (const peer of [ada, ben]) {
    const [info, ...others] = await peer.listCanvases(REPOSITORY);
    assert.deepEqual(others, []);
    assert.equal(typeof info.version, 'string');
    assert.equal(typeof info.live, 'boolean');
    const { version: _, live: __, ...rest } = info;
    assert.deepEqual(rest, {
      id: CANVAS,
      repository: REPOSITORY,
      origin: REPOSITORY,
      generation: 1,
      createdBy: 'ada',
      nodes: 2,
      edges: 1,
    });
  }
  await rejectsWith(ada.listCanvases('none'), 'ERR_REPOSITORY_UNKNOWN', /none/);
});
