// An application that does not keep up with what it is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyCanvasChanges } from '@mind-git/mqtt-p2p';
import { embedded } from './helpers/broker.mjs';
import { CANVAS, REPOSITORY, twoPeers } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

/** More than wait before edits of one canvas are merged. */
const CROWD = 300;
const EDITS = 6;
const DEADLINE_MS = 30_000;

/** Blocks this thread until a condition holds. */
function block(condition, what) {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (const start = performance.now(); !condition(); Atomics.wait(cell, 0, 0, 1)) {
    assert.ok(performance.now() - start < DEADLINE_MS, `${what} in time`);
  }
}

test('edits that a busy application has not been told of are told as one, which says so, and lead to the canvas', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  let copy = await ben.getCanvas(REPOSITORY, CANVAS);
  const told = [];
  ben.on('canvas-updated', ({ changes, merged = 1, origin, version }) => {
    copy = applyCanvasChanges(copy, changes);
    told.push({ merged, origin, version });
  });
  const arrived = () => ben.getRepositoryStatus(REPOSITORY).edits.remote;
  const say = () => ada.broadcastMessage({}, { repository: REPOSITORY });
  const calls = [];
  // This thread does nothing else until all edits have come, each by itself, behind the messages.
  ben.once('message', () => {
    calls.push(...Array.from({ length: CROWD }, say));
    for (let n = 0; n < EDITS; n++) {
      const before = arrived();
      calls.push(ada.patchCanvas(REPOSITORY, CANVAS, { properties: { n, [`n${n}`]: n } }, 'ada'));
      block(() => arrived() > before, `edit ${n}`);
    }
  });
  await say();
  await until(() => copy.n === EDITS - 1, 'the last edit');
  await Promise.all(calls);
  assert.deepEqual({ ...copy }, { ...(await ben.getCanvas(REPOSITORY, CANVAS)) });
  assert.ok(
    told.some(({ merged }) => merged > 1),
    JSON.stringify(told),
  );
  assert.ok(told.every(({ origin }) => origin === 'remote'));
  assert.equal(told.at(-1).version, (await ben.listCanvases(REPOSITORY)).find(({ id }) => id === CANVAS).version);
});

test('however long a listener takes, the rest of the application has its turn between two events', async (t) => {
  const { ada, ben } = await twoPeers(t, await embedded(t));
  let [events, turns] = [0, 0];
  ben.on('message', () => {
    events++;
    for (const start = performance.now(); performance.now() - start < 5; );
  });
  const calls = Array.from({ length: 100 }, (_, n) => ada.broadcastMessage({ n }, { repository: REPOSITORY }));
  await until(() => events > 0, 'the first event');
  const count = () => {
    turns++;
    if (events < calls.length) setImmediate(count);
  };
  const before = events;
  count();
  await until(() => events === calls.length, 'all events');
  await Promise.all(calls);
  assert.ok(turns >= (events - before) / 2, `${turns} turns between ${events - before} events`);
});
