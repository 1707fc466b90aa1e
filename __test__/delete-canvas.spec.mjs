import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { CANVAS, onePeer, REPOSITORY, rejectsWith, twoPeers, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { nextEvent } from './helpers/wait.mjs';

eachBroker('a deletion reaches the other peer, and the id can be used again', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  const heard = Promise.all([nextEvent(ada, 'canvas-deleted'), nextEvent(ben, 'canvas-deleted')]);
  await ada.deleteCanvas(REPOSITORY, CANVAS, 'ada');
  const [local, remote] = await heard;
  assert.deepEqual([local.origin, remote.origin], ['local', 'remote']);
  for (const event of [local, remote]) assert.deepEqual([event.canvasId, event.author], [CANVAS, 'ada']);
  for (const peer of [ada, ben]) {
    assert.deepEqual(await peer.listCanvases(REPOSITORY), []);
    await rejectsWith(peer.getCanvas(REPOSITORY, CANVAS), 'ERR_CANVAS_NOT_FOUND');
  }

  await ben.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'fresh' }] }, 'ben');
  await untilListed(ada, CANVAS);
  const canvas = await untilEqual(ada, ben, ({ nodes }) => nodes.length > 0);
  assert.deepEqual(canvas, { nodes: [{ id: 'fresh' }], edges: [] }, 'nothing of the old canvas comes back');
  assert.equal((await ada.listCanvases(REPOSITORY))[0].generation, 2);
});

test('what is not there cannot be deleted', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  await rejectsWith(peer.deleteCanvas(REPOSITORY, 'none', 'ada'), 'ERR_CANVAS_NOT_FOUND', /none/);
  await rejectsWith(peer.deleteCanvas('none', 'none', 'ada'), 'ERR_REPOSITORY_UNKNOWN', /none/);
});
