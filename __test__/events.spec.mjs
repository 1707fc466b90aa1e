import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { ROOT, runNode } from './helpers/processes.mjs';
import { CANVAS, onePeer, REPOSITORY, twoPeers } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

const setTitle = (peer, title) => peer.patchCanvas(REPOSITORY, CANVAS, { properties: { title } }, 'ada');

test('on, once, off and events.once() work', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  assert.ok(peer instanceof EventEmitter);
  await peer.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  const calls = { on: 0, once: 0, off: 0 };
  const removed = () => calls.off++;
  peer.on('canvas-updated', () => calls.on++);
  peer.once('canvas-updated', () => calls.once++);
  peer.on('canvas-updated', removed);
  peer.off('canvas-updated', removed);
  const awaited = once(peer, 'canvas-updated');
  await setTitle(peer, 'one');
  await setTitle(peer, 'two');
  await until(() => calls.on === 2, 'both events');
  assert.deepEqual((await awaited)[0].changes, { properties: { set: { title: 'one' } } });
  assert.deepEqual(calls, { on: 2, once: 1, off: 0 });
});

eachBroker('events and results of one canvas come in document order', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  const seen = { ada: [], ben: [] };
  ada.on('canvas-updated', ({ changes }) => seen.ada.push(changes.properties?.set?.n));
  ben.on('canvas-updated', ({ changes }) => seen.ben.push(changes.properties?.set?.n));
  const results = [];
  const edits = Array.from({ length: 100 }, async (_, n) => {
    await ada.patchCanvas(REPOSITORY, CANVAS, { properties: { n } }, 'ada');
    results.push(n);
  });
  await Promise.all(edits);
  const wanted = Array.from({ length: 100 }, (_, n) => n);
  assert.deepEqual(results, wanted);
  await until(() => seen.ada.length === 100, 'the own events');
  assert.deepEqual(seen.ada, wanted);
  // The other peer may get several edits as one event; never an older one after a newer one.
  await until(() => seen.ben.at(-1) === 99, 'the last edit');
  assert.deepEqual(
    seen.ben,
    [...seen.ben].sort((a, b) => a - b),
  );
});

test('what getCanvas() gives is current when the next event is delivered', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t), { nodes: [], count: 0 });
  let model;
  let count;
  ben.on('canvas-updated', ({ changes }) => {
    if (!model) return;
    // Every event follows directly on what the application has.
    assert.equal(changes.properties.set.count > count, true, `${changes.properties.set.count} after ${count}`);
    count = changes.properties.set.count;
  });
  const edits = [];
  for (let n = 1; n <= 200; n++) {
    edits.push(ada.patchCanvas(REPOSITORY, CANVAS, { properties: { count: n } }, 'ada'));
    if (n === 100) {
      edits.push(
        nextEvent(ben, 'canvas-updated').then(async () => {
          const canvas = await ben.getCanvas(REPOSITORY, CANVAS);
          model = canvas;
          count = canvas.count;
        }),
      );
    }
  }
  await Promise.all(edits);
  await until(() => count === 200, 'the last event');
});

test('a listener that throws is an uncaught exception and stops nothing', async (t) => {
  const broker = await embedded(t);
  const script = `
    const { MQTTIntegrationService } = require(${JSON.stringify(ROOT)});
    const service = new MQTTIntegrationService({ broker: ${JSON.stringify(broker)}, repositories: ['team'] });
    process.on('uncaughtException', (error) => console.log('uncaught: ' + error.message));
    service.on('canvas-created', () => { throw new Error('mine'); });
    service.on('canvas-deleted', () => console.log('still dispatching'));
    (async () => {
      await service.initialize();
      await Promise.all([service.createCanvas('team', 'x', {}, 'ada'), service.deleteCanvas('team', 'x', 'ada')]);
      await service.disconnect();
    })();`;
  const { code, stdout, stderr } = await runNode(['-e', script]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.trim().split('\n').sort(), ['still dispatching', 'uncaught: mine']);
});

test('a listener may call back into the service', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  await peer.createCanvas(REPOSITORY, CANVAS, { count: 0 }, 'ada');
  const done = nextEvent(peer, 'canvas-updated', ({ changes }) => changes.properties.set.count === 10);
  peer.on('canvas-updated', ({ changes }) => {
    const { count } = changes.properties.set;
    if (count < 10) peer.patchCanvas(REPOSITORY, CANVAS, { properties: { count: count + 1 } }, 'ada');
  });
  await peer.patchCanvas(REPOSITORY, CANVAS, { properties: { count: 1 } }, 'ada');
  await done;
});
