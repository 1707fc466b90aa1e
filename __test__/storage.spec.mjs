import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { nodeOf, smallCanvas } from './helpers/canvases.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { freePort } from './helpers/ports.mjs';
import { ROOT, runNode } from './helpers/processes.mjs';
import { all, alone, closedStorage, dataFile, fingerprint } from './helpers/storage.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

test('a service that starts again has all canvases without any other peer, and is the same peer', async (t) => {
  const path = temporaryFolder(t);
  const first = await alone(t, path);
  await first.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  await first.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x: 7, text: 'Ünïcode 🎨' }] } }, 'ada');
  await first.createCanvas(REPOSITORY, 'empty', {}, 'ada');
  await first.createCanvas(REPOSITORY, 'deleted', {}, 'ada');
  await first.deleteCanvas(REPOSITORY, 'deleted', 'ada');
  const before = await all(first);
  const { peerId } = first.getNetworkStatus();
  await first.disconnect();

  const second = await alone(t, path);
  assert.deepEqual(await all(second), before);
  assert.deepEqual(Object.keys(before).sort(), [CANVAS, 'empty'].sort());
  assert.equal(second.getNetworkStatus().peerId, peerId);
  // It goes on where it was: the version from before is known.
  const board = await second.getCanvas(REPOSITORY, CANVAS, { at: before[CANVAS].version });
  assert.deepEqual(board, before[CANVAS].canvas);
});

test('an edit that has resolved survives SIGKILL, and reaches others when the process is back', async (t) => {
  const path = temporaryFolder(t);
  const script = `
    const { MQTTIntegrationService } = require(${JSON.stringify(ROOT)});
    const broker = { host: '127.0.0.1', port: ${await freePort()} };
    const storage = { path: ${JSON.stringify(path)} };
    const service = new MQTTIntegrationService({ broker, repositories: ['${REPOSITORY}'], offline: 'allow', storage });
    service.initialize().then(async () => {
      await service.createCanvas('${REPOSITORY}', '${CANVAS}', { nodes: [{ id: 'a' }] }, 'ada');
      const edits = [];
      for (let n = 0; n < 100; n++) {
        edits.push(service.patchCanvas('${REPOSITORY}', '${CANVAS}', { properties: { ['p' + n]: n } }, 'ada'));
      }
      await Promise.all(edits);
      process.kill(process.pid, 'SIGKILL');
    });`;
  const { signal, stderr } = await runNode(['-e', script]);
  assert.equal(signal, 'SIGKILL', stderr);

  const broker = await embedded(t);
  const ben = await onePeer(t, broker);
  const ada = await onePeer(t, broker, { storage: { path } });
  await untilListed(ben, CANVAS);
  const board = await untilEqual(ada, ben, (canvas) => canvas.p99 === 99);
  for (let n = 0; n < 100; n++) assert.equal(board[`p${n}`], n);
});

test('an edit that was under way at SIGKILL is there whole or not at all', async (t) => {
  const outcomes = new Set();
  // The later it is killed, the more likely is the edit there.
  for (let turns = 0; turns < 12 && outcomes.size < 2; turns++) {
    const path = temporaryFolder(t);
    const script = `
      const { MQTTIntegrationService } = require(${JSON.stringify(ROOT)});
      const storage = { path: ${JSON.stringify(path)} };
      const broker = { host: '127.0.0.1', port: ${await freePort()} };
      const service = new MQTTIntegrationService({ broker, repositories: ['${REPOSITORY}'], offline: 'allow', storage });
      service.initialize().then(async () => {
        await service.createCanvas('${REPOSITORY}', '${CANVAS}', {}, 'ada');
        const upsert = Array.from({ length: 500 }, (_, n) => ({ id: 'n' + n, text: 'x'.repeat(200) }));
        service.patchCanvas('${REPOSITORY}', '${CANVAS}', { nodes: { upsert } }, 'ada');
        setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${Math.round(10 * 1.6 ** turns)});
      });`;
    const { signal, stderr } = await runNode(['-e', script]);
    assert.equal(signal, 'SIGKILL', stderr);
    const peer = await alone(t, path);
    outcomes.add((await peer.getCanvas(REPOSITORY, CANVAS)).nodes.length);
    await peer.disconnect();
  }
  t.diagnostic(`nodes found: ${[...outcomes].join(', ')}`);
  for (const nodes of outcomes) assert.ok(nodes === 0 || nodes === 500, `${nodes} of 500 nodes`);
});

test('a directory is used by one service at a time', async (t) => {
  const path = temporaryFolder(t);
  const first = await alone(t, path);
  await first.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
  const options = { offline: 'allow', storage: { path } };
  const second = newPeer(t, { host: '127.0.0.1', port: await freePort() }, options);
  await rejectsWith(second.initialize(), 'ERR_STORAGE_LOCKED');
  const script = `
    const { MQTTIntegrationService } = require(${JSON.stringify(ROOT)});
    const config = { broker: { host: '127.0.0.1', port: 1 }, repositories: ['a'], ...${JSON.stringify(options)} };
    const service = new MQTTIntegrationService(config);
    service.initialize().catch((error) => { console.log(error.code); return service.disconnect(); });`;
  const { code, stdout, stderr } = await runNode(['-e', script]);
  assert.deepEqual([code, stdout.trim()], [0, 'ERR_STORAGE_LOCKED'], stderr);
  // The one that has it is not disturbed, and when it leaves the other one can have it.
  await first.patchCanvas(REPOSITORY, CANVAS, { properties: { title: 'x' } }, 'ada');
  await first.disconnect();
  await second.initialize();
  assert.equal((await second.getCanvas(REPOSITORY, CANVAS)).title, 'x');
});

/** Ways in which a file may be damaged. */
const DAMAGES = {
  'cut in half': (bytes) => bytes.subarray(0, bytes.length / 2),
  empty: () => Buffer.alloc(0),
  'something else': () => Buffer.from('This is a text file, and a friendly one.\n'),
  'with zeros where it begins': (bytes) => Buffer.concat([Buffer.alloc(4096), bytes.subarray(4096)]),
};

for (const [name, damage] of Object.entries(DAMAGES)) {
  test(`a file that is ${name} is refused and left as it is`, async (t) => {
    const { path } = await closedStorage(t);
    const file = dataFile(path);
    writeFileSync(file, damage(readFileSync(file)));
    const before = fingerprint(path);
    const peer = newPeer(t, { host: '127.0.0.1', port: await freePort() }, { offline: 'allow', storage: { path } });
    const error = await rejectsWith(peer.initialize(), 'ERR_STORAGE_CORRUPT', /recover/);
    assert.ok(error.message.includes(path), error.message);
    assert.deepEqual(fingerprint(path), before);
    await rejectsWith(peer.listCanvases(REPOSITORY), 'ERR_NOT_INITIALIZED');
  });
}

test('with room for 4 canvases in memory, 20 can be read, edited and followed', async (t) => {
  const broker = await embedded(t);
  const path = temporaryFolder(t);
  const options = { storage: { path }, performance: { maxOpenCanvases: 4 } };
  const [ada, ben] = [await onePeer(t, broker, options), await onePeer(t, broker)];
  const ids = Array.from({ length: 20 }, (_, n) => `canvas-${n}`);
  for (const id of ids) await ada.createCanvas(REPOSITORY, id, smallCanvas(), 'ada');
  for (const id of ids) await untilListed(ben, id);
  const there = async (peer, id, fits) => {
    const canvas = await peer.getCanvas(REPOSITORY, id).catch(() => undefined);
    return canvas && fits(canvas);
  };
  for (const id of ids) await until(() => there(ben, id, ({ nodes }) => nodes.length === 2), `ben has ${id}`);
  // Each peer edits them all, in other orders.
  for (const id of ids) await ada.patchCanvas(REPOSITORY, id, { nodes: { upsert: [{ id: 'a', x: 1 }] } }, 'ada');
  for (const id of ids.toReversed()) {
    await ben.patchCanvas(REPOSITORY, id, { nodes: { upsert: [{ id: 'b', x: 2 }] } }, 'ben');
  }
  const edited = (canvas) => nodeOf(canvas, 'a').x === 1 && nodeOf(canvas, 'b').x === 2;
  for (const id of ids) {
    await until(() => there(ada, id, edited), `ada has both edits of ${id}`);
    await until(() => there(ben, id, edited), `ben has both edits of ${id}`);
  }
  const open = ada.getRepositoryStatus(REPOSITORY);
  assert.equal(open.canvases, 20);
  assert.deepEqual(await all(ada), await all(ben));
});

test('a copy of the directory, made after disconnect(), works elsewhere', async (t) => {
  const { path, before } = await closedStorage(t);
  const copy = join(temporaryFolder(t), 'copy');
  cpSync(path, copy, { recursive: true });
  assert.deepEqual(await all(await alone(t, copy)), before);
});
