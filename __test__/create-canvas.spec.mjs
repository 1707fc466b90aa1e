import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { example, roadmap, smallCanvas } from './helpers/canvases.mjs';
import { onePeer, REPOSITORY, rejectsWith, twoPeers, untilEqual } from './helpers/two-peers.mjs';
import { nextEvent } from './helpers/wait.mjs';

const EXAMPLES = [
  'jsoncanvas-sample',
  'mind-git-from-to-edges',
  'mind-git-knowledge-sync',
  'mind-git-test-ast',
  'mind-git-untitled',
  'stardust-roadmap',
  'stardust-xwayland',
];

test('real canvases come back as they went in', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  for (const name of EXAMPLES) {
    await peer.createCanvas(REPOSITORY, name, example(name), 'ada');
    assert.deepEqual(await peer.getCanvas(REPOSITORY, name), { nodes: [], edges: [], ...example(name) }, name);
  }
});

eachBroker('a canvas of 187 nodes reaches the other peer whole', async (t, broker) => {
  const { ben } = await twoPeers(t, broker, roadmap());
  assert.deepEqual(await ben.getCanvas(REPOSITORY, 'boards/plan'), roadmap());
});

eachBroker('both peers hear of a new canvas', async (t, broker) => {
  const [ada, ben] = await Promise.all([onePeer(t, broker), onePeer(t, broker)]);
  const heard = [nextEvent(ada, 'canvas-created'), nextEvent(ben, 'canvas-created')];
  const before = Date.now();
  const version = await ada.createCanvas(REPOSITORY, 'new', smallCanvas(), 'ada');
  const [local, remote] = await Promise.all(heard);
  const peerId = ada.getNetworkStatus().peerId;
  for (const event of [local, remote]) {
    assert.equal(event.repository, REPOSITORY);
    assert.equal(event.canvasId, 'new');
    assert.equal(event.author, 'ada');
    assert.equal(event.peerId, peerId);
    assert.ok(Math.abs(event.timestamp - before) < 60_000);
  }
  assert.equal(local.origin, 'local');
  assert.equal(remote.origin, 'remote');
  assert.equal(local.version, version);
  assert.deepEqual(local.changes.nodes.added, smallCanvas().nodes);
});

test('the same canvas created by both at once merges', async (t) => {
  const broker = await embedded(t);
  const [ada, ben] = await Promise.all([onePeer(t, broker), onePeer(t, broker)]);
  const results = await Promise.allSettled([
    ada.createCanvas(REPOSITORY, 'boards/plan', roadmap(), 'ada'),
    ben.createCanvas(REPOSITORY, 'boards/plan', roadmap(), 'ben'),
  ]);
  assert.ok(results.every(({ status, reason }) => status === 'fulfilled' || reason.code === 'ERR_CANVAS_EXISTS'));
  assert.deepEqual(await untilEqual(ada, ben), roadmap());
});

test('unusual names and contents are data', async (t) => {
  const peer = await onePeer(t, await embedded(t), { repositories: ['repo/+#$ ü'] });
  const ids = ['a/b/c', '+', '#', '$SYS/x', '..', 'x'.repeat(512), '🎨', '__proto__', 'constructor'];
  for (const id of ids) {
    const canvas = JSON.parse(
      `{"nodes":[{"id":${JSON.stringify(id)},"__proto__":{"polluted":true},"constructor":1}],"edges":[],"__proto__":2}`,
    );
    await peer.createCanvas('repo/+#$ ü', id, canvas, 'ada');
    const read = await peer.getCanvas('repo/+#$ ü', id);
    assert.equal(JSON.stringify(sorted(read)), JSON.stringify(sorted(canvas)));
    assert.equal({}.polluted, undefined);
  }
  const listed = await peer.listCanvases('repo/+#$ ü');
  assert.deepEqual(listed.map(({ id }) => id).sort(), [...ids].sort());
});

test('what is wrong is refused, and nothing is changed', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  await peer.createCanvas(REPOSITORY, 'taken', smallCanvas(), 'ada');
  await rejectsWith(peer.createCanvas(REPOSITORY, 'taken', {}, 'ada'), 'ERR_CANVAS_EXISTS');
  await rejectsWith(peer.createCanvas('elsewhere', 'x', {}, 'ada'), 'ERR_REPOSITORY_UNKNOWN', /elsewhere/);
  await rejectsWith(peer.createCanvas(REPOSITORY, '', {}, 'ada'), 'ERR_CANVAS_INVALID', /canvasId/);
  await rejectsWith(peer.createCanvas(REPOSITORY, 'x'.repeat(513), {}, 'ada'), 'ERR_CANVAS_INVALID', /canvasId/);
  assert.deepEqual(
    (await peer.listCanvases(REPOSITORY)).map(({ id }) => id),
    ['taken'],
  );
});

/** The same value with the keys of all objects in one order. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}
