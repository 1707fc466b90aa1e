import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyCanvasChanges } from '@mind-git/mqtt-p2p';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { nodeOf, smallCanvas } from './helpers/canvases.mjs';
import { CANVAS, REPOSITORY, rejectsWith, twoPeers, untilEqual } from './helpers/two-peers.mjs';
import { nextEvent } from './helpers/wait.mjs';

const card = (id, more = {}) => ({ id, type: 'text', x: 9, y: 9, width: 100, height: 50, text: id, ...more });

eachBroker('a whole canvas passed again means its differences', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  const canvas = await ada.getCanvas(REPOSITORY, CANVAS);
  nodeOf(canvas, 'a').x = 50;
  canvas.nodes.push(card('c'));
  canvas.edges = [];
  const heard = nextEvent(ben, 'canvas-updated');
  await ada.updateCanvas(REPOSITORY, CANVAS, canvas, 'ada');
  const { changes, author, origin } = await heard;
  assert.deepEqual([author, origin], ['ada', 'remote']);
  assert.deepEqual(changes.nodes.updated, [{ id: 'a', set: { x: 50 } }]);
  assert.deepEqual(changes.nodes.added, [card('c')]);
  assert.deepEqual(changes.edges.removed, ['a-b']);
  assert.deepEqual(await untilEqual(ada, ben), canvas);
});

test('what another peer added meanwhile is never deleted by passing an older canvas', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  const mine = await ada.getCanvas(REPOSITORY, CANVAS);
  const arrived = nextEvent(ada, 'canvas-updated');
  await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [card('from-ben')] } }, 'ben');
  await arrived;

  nodeOf(mine, 'b').color = '3';
  await ada.updateCanvas(REPOSITORY, CANVAS, mine, 'ada');
  // The object remembers what it is a version of, however often it is passed.
  nodeOf(mine, 'b').color = '4';
  await ada.updateCanvas(REPOSITORY, CANVAS, mine, 'ada');
  const merged = await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'b').color === '4');
  assert.deepEqual(merged.nodes.map(({ id }) => id).sort(), ['a', 'b', 'from-ben']);

  const fresh = await ada.getCanvas(REPOSITORY, CANVAS);
  fresh.nodes = fresh.nodes.filter(({ id }) => id !== 'from-ben');
  await ada.updateCanvas(REPOSITORY, CANVAS, fresh, 'ada');
  const without = await untilEqual(ada, ben, (canvas) => canvas.nodes.length === 2);
  assert.equal(nodeOf(without, 'from-ben'), undefined, 'once seen, leaving it out deletes it');
});

test('an object from applyCanvasChanges remembers its version', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  const before = await ada.getCanvas(REPOSITORY, CANVAS);
  const arrived = nextEvent(ada, 'canvas-updated');
  await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [card('from-ben')] } }, 'ben');
  const after = applyCanvasChanges(before, (await arrived).changes);
  after.nodes = after.nodes.filter(({ id }) => id !== 'from-ben');
  await ada.updateCanvas(REPOSITORY, CANVAS, after, 'ada');
  await untilEqual(ada, ben, (canvas) => canvas.nodes.length === 2);
});

test('an explicit base, and the version that an edit returns, name what was passed in', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  const first = smallCanvas();
  const version = await ada.updateCanvas(REPOSITORY, CANVAS, first, 'ada');
  const arrived = nextEvent(ada, 'canvas-updated');
  await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [card('from-ben')] } }, 'ben');
  await arrived;
  const copy = structuredClone(first);
  copy.nodes[0].x = 77;
  await ada.updateCanvas(REPOSITORY, CANVAS, copy, 'ada', { base: version });
  const merged = await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 77);
  assert.ok(nodeOf(merged, 'from-ben'));
  const error = await ada.updateCanvas(REPOSITORY, CANVAS, copy, 'ada', { base: 'nonsense' }).catch((error) => error);
  assert.equal(error.code, 'ERR_CANVAS_INVALID');
});

eachBroker('both write into one text at the same time: every character stays', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  const [ours, theirs] = await Promise.all([ada, ben].map((peer) => peer.getCanvas(REPOSITORY, CANVAS)));
  nodeOf(ours, 'a').text = 'Ada: first';
  nodeOf(theirs, 'a').text = 'first, says Ben';
  await Promise.all([
    ada.updateCanvas(REPOSITORY, CANVAS, ours, 'ada'),
    ben.updateCanvas(REPOSITORY, CANVAS, theirs, 'ben'),
  ]);
  const merged = await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').text.length > 15);
  assert.equal(nodeOf(merged, 'a').text, 'Ada: first, says Ben');
});

test('edits made before the first one is done are all kept', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  const canvas = await ada.getCanvas(REPOSITORY, CANVAS);
  const edits = [];
  for (let n = 1; n <= 50; n++) {
    canvas.nodes.push(card(`n${n}`));
    edits.push(ada.updateCanvas(REPOSITORY, CANVAS, canvas, 'ada'));
  }
  await Promise.all(edits);
  assert.deepEqual(await untilEqual(ada, ben, ({ nodes }) => nodes.length === 52), canvas);
});

test('a canvas that is not there cannot be updated or patched', async (t) => {
  const { ada } = await twoPeers(t, await embedded(t));
  await rejectsWith(ada.updateCanvas(REPOSITORY, 'none', {}, 'ada'), 'ERR_CANVAS_NOT_FOUND', /none/);
  await rejectsWith(ada.patchCanvas(REPOSITORY, 'none', {}, 'ada'), 'ERR_CANVAS_NOT_FOUND', /none/);
  await rejectsWith(ada.updateCanvas('none', CANVAS, {}, 'ada'), 'ERR_REPOSITORY_UNKNOWN', /none/);
});
