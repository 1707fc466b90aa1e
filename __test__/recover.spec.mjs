import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { recoverStorage } from '@mind-git/mqtt-p2p';
import { temporaryFolder } from './helpers/folders.mjs';
import { runNode } from './helpers/processes.mjs';
import { all, alone, closedStorage, dataFile, fingerprint } from './helpers/storage.mjs';
import { rejectsWith } from './helpers/two-peers.mjs';

test('what can be read of a damaged file is rescued, and the service starts with it', async (t) => {
  const { path, before } = await closedStorage(t);
  const file = dataFile(path);
  const bytes = readFileSync(file);
  bytes.fill(0, 0, 9); // The file's magic number: nothing opens it any more, everything else is there.
  writeFileSync(file, bytes);
  const report = await recoverStorage(path);
  assert.ok(report.documents >= Object.keys(before).length, JSON.stringify(report));
  assert.ok(readFileSync(report.damagedFile).equals(bytes), 'the damaged file is kept as it was');
  const peer = await alone(t, path);
  assert.deepEqual(await all(peer), before);
});

test('recovering what is in use is refused', async (t) => {
  const path = temporaryFolder(t);
  await alone(t, path);
  await rejectsWith(recoverStorage(path), 'ERR_STORAGE_LOCKED');
});

test('storage that is sound is left as it is', async (t) => {
  const { path, before } = await closedStorage(t);
  const files = fingerprint(path);
  const { documents, damagedFile } = await recoverStorage(path);
  assert.ok(documents >= Object.keys(before).length);
  assert.equal(damagedFile, null);
  assert.deepEqual(fingerprint(path), files);
});

test('a directory without storage is an error', async (t) => {
  await rejectsWith(recoverStorage(temporaryFolder(t)), 'ERR_CONFIG_INVALID', /mqtt-p2p\.redb/);
});

test('mqtt-p2p recover tells a person and a program what it did', async (t) => {
  const damaged = async () => {
    const { path } = await closedStorage(t);
    const file = dataFile(path);
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill(0, 0, 9));
    return path;
  };
  const cli = (...args) => runNode(['dist/mqtt-cli.js', 'recover', ...args]);
  const path = await damaged();
  const text = await cli('--data-dir', path);
  assert.equal(text.code, 0, text.stderr);
  assert.match(text.stdout, /rescued 1\d documents/);
  assert.match(text.stdout, /damaged-1/);
  const again = await cli('--data-dir', path);
  assert.match(again.stdout, /nothing is damaged/);
  const json = await cli('--data-dir', await damaged(), '--json');
  const report = JSON.parse(json.stdout);
  assert.deepEqual(Object.keys(report).sort(), [
    'changes',
    'complete',
    'damagedFile',
    'documents',
    'lostBytes',
    'snapshots',
    'waitingChanges',
  ]);
  const without = await cli();
  assert.equal(without.code, 2, without.stderr);
});
