import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { nodeOf, smallCanvas } from './helpers/canvases.mjs';
import { onePeer, rejectsWith, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

eachBroker('a canvas shared from one repository to another is edited from both sides', async (t, broker) => {
  const alice = await onePeer(t, broker, { repositories: ['repo-a', 'repo-b'] });
  const bob = await onePeer(t, broker, { repositories: ['repo-b'] });
  const heard = nextEvent(bob, 'canvas-shared');
  await alice.createCanvas('repo-a', 'shared-canvas', smallCanvas(), 'alice');
  await alice.shareCanvas('repo-a', 'shared-canvas', 'repo-b');
  const { repository, canvasId, origin } = await heard;
  assert.deepEqual([repository, canvasId, origin], ['repo-b', 'shared-canvas', 'remote']);

  await untilListed(bob, 'shared-canvas', 'repo-b');
  await bob.enableRealTimeCollaboration('repo-b', 'shared-canvas');
  const both = () =>
    Promise.all([alice.getCanvas('repo-a', 'shared-canvas'), bob.getCanvas('repo-b', 'shared-canvas')]);
  await until(async () => isDeepStrictEqual(...(await both())), 'the shared canvas arrived');

  await Promise.all([
    alice.patchCanvas('repo-a', 'shared-canvas', { nodes: { upsert: [{ id: 'a', x: 11 }] } }, 'alice'),
    bob.patchCanvas('repo-b', 'shared-canvas', { nodes: { upsert: [{ id: 'b', x: 22 }] } }, 'bob'),
  ]);
  await until(async () => {
    const [ours, theirs] = await both();
    return isDeepStrictEqual(ours, theirs) && nodeOf(ours, 'a').x === 11 && nodeOf(ours, 'b').x === 22;
  }, 'both edits on both sides');
  const [info] = await bob.listCanvases('repo-b');
  assert.deepEqual([info.origin, info.repository], ['repo-a', 'repo-b']);
});

test('sharing is refused where it would hide another canvas, or what is not there', async (t) => {
  const peer = await onePeer(t, await embedded(t), { repositories: ['repo-a', 'repo-b'] });
  await peer.createCanvas('repo-a', 'x', smallCanvas(), 'ada');
  await peer.createCanvas('repo-b', 'x', smallCanvas(), 'ada');
  await rejectsWith(peer.shareCanvas('repo-a', 'x', 'repo-b'), 'ERR_CANVAS_EXISTS', /x/);
  await rejectsWith(peer.shareCanvas('repo-a', 'none', 'repo-b'), 'ERR_CANVAS_NOT_FOUND', /none/);
  await rejectsWith(peer.shareCanvas('none', 'x', 'repo-b'), 'ERR_REPOSITORY_UNKNOWN', /none/);
});

test('sharing twice, or without a target, is fine', async (t) => {
  const peer = await onePeer(t, await embedded(t), { repositories: ['repo-a', 'repo-b'] });
  await peer.createCanvas('repo-a', 'x', smallCanvas(), 'ada');
  await peer.shareCanvas('repo-a', 'x', 'repo-b');
  await peer.shareCanvas('repo-a', 'x', 'repo-b');
  await peer.shareCanvas('repo-a', 'x');
  assert.equal((await peer.listCanvases('repo-b')).length, 1);
});
