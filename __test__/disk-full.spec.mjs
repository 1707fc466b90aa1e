import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { nodeOf } from './helpers/canvases.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { freePort } from './helpers/ports.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

const SIZE_BYTES = 16 << 20;
const LARGE_TEXT = 'x'.repeat(200_000);
const MOST_EDITS = 2 * (SIZE_BYTES / LARGE_TEXT.length);

/** A small file system of its own, unmounted after the test; undefined, with a skipped test, where that is not allowed. */
function smallDisk(t) {
  const folder = temporaryFolder(t, 'disk');
  const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_BYTES}`, 'tmpfs', folder]);
  if (status !== 0) {
    t.skip(`a small file system cannot be mounted here: ${error?.message ?? stderr.toString().trim()}`);
    return undefined;
  }
  scoped(t).defer(() => spawnSync('umount', [folder]));
  return folder;
}

/** Fills a file system to its last byte; the function returned makes room again. */
function fill(folder) {
  const ballast = join(folder, 'ballast');
  for (let size = 1 << 20; size >= 1; size = Math.floor(size / 2)) {
    try {
      for (;;) writeFileSync(ballast, Buffer.alloc(size), { flag: 'a' });
    } catch (error) {
      assert.equal(error.code, 'ENOSPC');
    }
  }
  return () => rmSync(ballast);
}

/** The canvas as a service would find it that started now with what is on the disk. */
async function onDisk(t, path, copy) {
  rmSync(copy, { recursive: true, force: true });
  cpSync(path, copy, { recursive: true });
  const peer = newPeer(t, { host: '127.0.0.1', port: await freePort() }, { offline: 'allow', storage: { path: copy } });
  try {
    await peer.initialize();
    return await peer.getCanvas(REPOSITORY, CANVAS);
  } catch {
    return undefined; // Copied in the middle of a write.
  } finally {
    await peer.disconnect();
  }
}

test('on a full disk edits reject, reach the others all the same, and are stored once there is room', async (t) => {
  const disk = smallDisk(t);
  if (!disk) return;
  const path = join(disk, 'data');
  const broker = await embedded(t);
  const ada = await onePeer(t, broker, { storage: { path } });
  const ben = await onePeer(t, broker);
  await ada.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
  await untilListed(ben, CANVAS);

  const makeRoom = fill(disk);
  let refused;
  let last;
  for (let n = 0; n < MOST_EDITS && !refused; n++) {
    last = `node-${n}`;
    const patch = { nodes: { upsert: [{ id: last, text: `${n}${LARGE_TEXT}` }] } };
    refused = await ada.patchCanvas(REPOSITORY, CANVAS, patch, 'ada').then(
      () => undefined,
      (error) => error,
    );
  }
  assert.equal(refused?.code, 'ERR_STORAGE_FULL', refused?.stack ?? 'the disk took everything');
  t.diagnostic(refused.message);

  // It is made here and goes to the others, and so does what follows; reading works.
  const small = ada.patchCanvas(REPOSITORY, CANVAS, { properties: { title: 'after' } }, 'ada');
  await rejectsWith(small, 'ERR_STORAGE_FULL');
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, last) && canvas.title === 'after');
  await ben.patchCanvas(REPOSITORY, CANVAS, { properties: { greeting: 'from ben' } }, 'ben');
  await untilEqual(ada, ben, (canvas) => canvas.greeting === 'from ben');

  makeRoom();
  const copy = join(temporaryFolder(t), 'copy');
  const stored = (canvas) => canvas && nodeOf(canvas, last) && canvas.title === 'after';
  await until(async () => stored(await onDisk(t, path, copy)), 'the edits are on the disk without anybody asking');
  await ada.patchCanvas(REPOSITORY, CANVAS, { properties: { title: 'durable' } }, 'ada');
  await ada.disconnect();
  const again = await onePeer(t, broker, { storage: { path } });
  const canvas = await again.getCanvas(REPOSITORY, CANVAS);
  assert.ok(nodeOf(canvas, last));
  assert.deepEqual([canvas.title, canvas.greeting], ['durable', 'from ben']);
});

test('a disk that is full from the beginning refuses initialize(), and not once there is room', async (t) => {
  const disk = smallDisk(t);
  if (!disk) return;
  const options = { storage: { path: join(disk, 'data') }, offline: 'allow' };
  const broker = { host: '127.0.0.1', port: await freePort() };
  // It finds out who it is when it is made, which takes room too.
  const peer = newPeer(t, broker, options);
  const makeRoom = fill(disk);
  await rejectsWith(peer.initialize(), 'ERR_STORAGE_FULL');
  const elsewhere = { ...options, storage: { path: join(disk, 'other') } };
  assert.throws(() => newPeer(t, broker, elsewhere), { code: 'ERR_CONFIG_INVALID', message: /storage\.path.*space/ });
  makeRoom();
  await peer.initialize();
  await peer.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
});
