import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { onePeer, REPOSITORY } from './helpers/two-peers.mjs';
import { bound, card, pretty, untilCanvas, vault } from './helpers/vault.mjs';
import { until } from './helpers/wait.mjs';

const UNSAFE = [
  '../escaped',
  'a/../../escaped',
  '/tmp/escaped',
  'a//b',
  '.git/hooks/x',
  '.GIT/x',
  'git~1/x',
  'a/.obsidian/x',
  'C:/x',
  'a\\b',
  'x:stream',
  'CON',
  'a/nul.txt',
  'lpt1',
  'end.',
  ' begin',
  'x\u0000y',
  'plan.local-2026-01-01',
  'x'.repeat(250),
];

test('ids of others that are no safe names get no file, stay on the network, and are told once each', async (t) => {
  const broker = await embedded(t);
  const parent = vault(t);
  mkdirSync(join(parent.path, 'inner'));
  const folder = { ...vault(t), path: join(parent.path, 'inner') };
  const bind = await bound(t, broker, folder);
  const other = await onePeer(t, broker);
  const taken = [];
  for (const id of UNSAFE) {
    // Some are no names of canvases at all.
    const made = await other.createCanvas(REPOSITORY, id, card(id), 'eve').catch(() => undefined);
    if (made) taken.push(id);
  }
  assert.ok(taken.length > 15, `${taken.length}`);
  await other.createCanvas(REPOSITORY, 'last', card('last'), 'eve');
  await until(() => existsSync(join(folder.path, 'last.canvas')), 'the last is written');
  await until(() => bind.of('error').length === taken.length, 'each is told');
  assert.deepEqual(readdirSync(folder.path, { recursive: true }), ['last.canvas']);
  assert.deepEqual(readdirSync(parent.path), ['inner']);
  for (const id of taken) {
    await untilCanvas(bind, id, card(id));
    assert.equal(existsSync('/tmp/escaped.canvas'), false);
  }
  assert.equal(new Set(bind.of('error').map(({ message }) => message)).size, taken.length);
  for (const { code } of bind.of('error')) assert.equal(code, 'ERR_CANVAS_INVALID');
  // A look at everything tells nothing anew.
  mkdirSync(join(folder.path, 'new'));
  await other.createCanvas(REPOSITORY, 'very last', card('last'), 'eve');
  await until(() => existsSync(join(folder.path, 'very last.canvas')), 'the very last is written');
  assert.equal(bind.of('error').length, taken.length);
});

test('symbolic links are not followed, neither of folders nor of files', async (t) => {
  const broker = await embedded(t);
  const outside = vault(t, { theirs: card('theirs') });
  const folder = vault(t, { plan: card('plan') });
  symlinkSync(outside.path, join(folder.path, 'link'));
  symlinkSync(outside.file('theirs'), folder.file('file'));
  const bind = await bound(t, broker, folder);
  assert.deepEqual(
    (await bind.listCanvases(REPOSITORY)).map(({ id }) => id),
    ['plan'],
  );
  const other = await onePeer(t, broker);
  for (const id of ['link/theirs', 'link/new', 'file', 'last']) {
    await other.createCanvas(REPOSITORY, id, card('of others'), 'eve');
  }
  await folder.until('last', card('of others'));
  await until(() => bind.of('error').length === 3, 'each is told once');
  assert.deepEqual(outside.names(), ['theirs.canvas']);
  assert.equal(outside.read('theirs'), pretty(card('theirs')));
  await other.deleteCanvas(REPOSITORY, 'file', 'eve');
  await other.deleteCanvas(REPOSITORY, 'last', 'eve');
  await folder.untilGone('last');
  assert.deepEqual(outside.names(), ['theirs.canvas']);
  assert.equal(bind.of('error').length, 3);
});

test('of names that are one file on some systems, the second gets none', async (t) => {
  const broker = await embedded(t);
  const folder = vault(t, { Plan: card('one') });
  const bind = await bound(t, broker, folder);
  const other = await onePeer(t, broker);
  await other.createCanvas(REPOSITORY, 'plan', card('two'), 'eve');
  const error = await bind.untilSeen('error');
  assert.match(error.message, /rename one of them/);
  await other.createCanvas(REPOSITORY, 'last', card('last'), 'eve');
  await folder.until('last', card('last'));
  assert.deepEqual(folder.names(), ['Plan.canvas', 'last.canvas']);
  await untilCanvas(bind, 'plan', card('two'));
  // When the first goes, there is room for the second.
  folder.remove('Plan');
  await folder.until('plan', card('two'));
});

test('what is no canvas file is never touched', async (t) => {
  const broker = await embedded(t);
  const folder = vault(t);
  for (const name of ['x.txt', 'x.canvas.bak', 'x.Canvas', 'x']) writeFileSync(join(folder.path, name), 'mine');
  await bound(t, broker, folder);
  const other = await onePeer(t, broker);
  for (const id of ['x.txt', 'x', 'x.canvas']) await other.createCanvas(REPOSITORY, id, card(id), 'eve');
  for (const id of ['x.txt', 'x', 'x.canvas']) await folder.until(id, card(id));
  for (const name of ['x.txt', 'x.canvas.bak', 'x.Canvas', 'x']) assert.equal(folder.names().includes(name), true);
});
