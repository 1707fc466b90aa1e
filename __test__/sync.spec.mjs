import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { nodeOf, roadmap } from './helpers/canvases.mjs';
import { CANVAS, onePeer, REPOSITORY, rejectsWith, twoPeers, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { nextEvent } from './helpers/wait.mjs';

eachBroker('a peer that comes later gets what is there', async (t, broker) => {
  const ada = await onePeer(t, broker);
  await ada.createCanvas(REPOSITORY, CANVAS, roadmap(), 'ada');
  const ben = await onePeer(t, broker);
  const finished = nextEvent(ben, 'sync-completed');
  const report = await ben.syncRepository(REPOSITORY);
  assert.equal(report.repository, REPOSITORY);
  assert.equal(report.answered, true);
  assert.ok(report.durationMs >= 0);
  assert.equal((await finished).repository, REPOSITORY);
  await untilListed(ben, CANVAS);
  assert.deepEqual(await untilEqual(ada, ben), roadmap());
  assert.equal(typeof ben.getRepositoryStatus(REPOSITORY).lastSync, 'number');
});

test('syncCanvas() brings what live exchange was not to bring', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  await ben.disableRealTimeCollaboration(REPOSITORY, CANVAS);
  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x: 5 }] } }, 'ada');
  const report = await ben.syncCanvas(REPOSITORY, CANVAS);
  assert.deepEqual([report.repository, report.canvasId, report.answered], [REPOSITORY, CANVAS, true]);
  assert.equal(nodeOf(await ben.getCanvas(REPOSITORY, CANVAS), 'a').x, 5);
});

test('alone, catching up ends and says that nobody answered', async (t) => {
  const ada = await onePeer(t, await embedded(t));
  await ada.createCanvas(REPOSITORY, CANVAS, roadmap(), 'ada');
  assert.equal((await ada.syncCanvas(REPOSITORY, CANVAS)).answered, false);
  assert.equal((await ada.syncRepository(REPOSITORY)).answered, false);
  assert.equal(ada.getRepositoryStatus(REPOSITORY).lastSync, null);
  await rejectsWith(ada.syncCanvas(REPOSITORY, 'none'), 'ERR_CANVAS_NOT_FOUND', /none/);
  await rejectsWith(ada.syncRepository('none'), 'ERR_REPOSITORY_UNKNOWN', /none/);
});
