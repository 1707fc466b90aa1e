import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { applyCanvasChanges } from '@mind-git/mqtt-p2p';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { roadmap } from './helpers/canvases.mjs';
import { CANVAS, onePeer, REPOSITORY, rejectsWith, twoPeers, untilEqual } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

eachBroker('events alone are enough to follow a canvas while both edit', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker, roadmap());
  const followed = await Promise.all(
    [ada, ben].map(async (peer) => {
      const copy = { canvas: await peer.getCanvas(REPOSITORY, CANVAS) };
      peer.on('canvas-updated', ({ changes }) => {
        copy.canvas = applyCanvasChanges(copy.canvas, changes);
      });
      return copy;
    }),
  );
  const ids = roadmap().nodes.map(({ id }) => id);
  const edit = (n) => [
    { nodes: { upsert: [{ id: ids[n % ids.length], x: n, note: `n${n}` }] } },
    { nodes: { upsert: [{ id: `new-${n % 7}`, type: 'text', text: `card ${n}` }] } },
    { nodes: { remove: [`new-${n % 5}`] } },
    { edges: { upsert: [{ id: `edge-${n % 9}`, fromNode: ids[n % 20], toNode: `new-${n % 7}` }] } },
    { nodes: { upsert: [{ id: ids[3], text: `text number ${n}`, note: null }] }, properties: { last: n } },
    { edges: { remove: [`edge-${n % 4}`] }, nodes: { remove: [ids[50 + (n % 60)]] } },
  ];
  const edits = [];
  for (let n = 0; n < 60; n++) {
    for (const peer of [ada, ben]) {
      edits.push(peer.patchCanvas(REPOSITORY, CANVAS, edit(n)[n % 6], peer === ada ? 'ada' : 'ben'));
    }
  }
  // The order of the array is the z-order: it follows too.
  const reversed = await ada.getCanvas(REPOSITORY, CANVAS);
  reversed.nodes.reverse();
  edits.push(ada.updateCanvas(REPOSITORY, CANVAS, reversed, 'ada'));
  await Promise.all(edits);
  const final = await untilEqual(ada, ben, ({ last }) => last === 58);
  for (const copy of followed) {
    await until(() => isDeepStrictEqual(copy.canvas, final), 'the copy that events alone made equals the canvas');
  }
});

test('live exchange can be turned off and on', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  await ben.disableRealTimeCollaboration(REPOSITORY, CANVAS);
  assert.equal((await ben.listCanvases(REPOSITORY))[0].live, false);
  await ben.enableRealTimeCollaboration(REPOSITORY, CANVAS);
  assert.equal((await ben.listCanvases(REPOSITORY))[0].live, true);
  await ada.patchCanvas(REPOSITORY, CANVAS, { properties: { title: 'live' } }, 'ada');
  await untilEqual(ada, ben, ({ title }) => title === 'live');
  await rejectsWith(ada.enableRealTimeCollaboration(REPOSITORY, 'none'), 'ERR_CANVAS_NOT_FOUND', /none/);
  await rejectsWith(ada.enableRealTimeCollaboration('none', CANVAS), 'ERR_REPOSITORY_UNKNOWN', /none/);
  await rejectsWith(ada.disableRealTimeCollaboration(REPOSITORY, 'none'), 'ERR_CANVAS_NOT_FOUND', /none/);
});

test('with the feature off it cannot be turned on', async (t) => {
  const peer = await onePeer(t, await embedded(t), { features: { realTimeCollaboration: false } });
  await peer.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
  const enabled = peer.enableRealTimeCollaboration(REPOSITORY, CANVAS);
  await rejectsWith(enabled, 'ERR_FEATURE_DISABLED', /realTimeCollaboration/);
});
