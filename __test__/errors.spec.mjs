import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MqttP2pError } from '@mind-git/mqtt-p2p';
import { embedded } from './helpers/broker.mjs';
import { CANVAS, onePeer, REPOSITORY } from './helpers/two-peers.mjs';

const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const codesIn = (text) => new Set(text.match(/\bERR_[A-Z_]+\b/g));

test('too many calls at once are refused, none is lost, and the service goes on', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  await peer.createCanvas(REPOSITORY, CANVAS, { text: 'x'.repeat(1_000_000) }, 'ada');
  // More than the core makes ahead of the application, so that it takes in no more until this turn of the event loop is over.
  const answers = Array.from({ length: 50 }, () => peer.getCanvas(REPOSITORY, CANVAS));
  // All in one turn, far more than may wait.
  const edits = Array.from({ length: 100_000 }, (_, n) =>
    peer.patchCanvas(REPOSITORY, CANVAS, { properties: { n } }, 'ada').then(
      () => 'made',
      (error) => error,
    ),
  );
  await Promise.all(answers);
  const outcomes = await Promise.all(edits);
  const refused = outcomes.filter((outcome) => outcome !== 'made');
  assert.ok(refused.length > 0, 'none of 100,000 calls was refused');
  for (const error of refused) assert.equal(error.code, 'ERR_RATE_LIMITED');
  const lastMade = outcomes.lastIndexOf('made');
  assert.equal((await peer.getCanvas(REPOSITORY, CANVAS)).n, lastMade);
});

test('errors are Errors with a code and a stack', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  const error = await peer.getCanvas(REPOSITORY, 'none').catch((error) => error);
  assert.ok(error instanceof MqttP2pError && error instanceof Error);
  assert.equal(error.name, 'MqttP2pError');
  assert.match(error.stack, /^MqttP2pError: /);
});

test('every code is documented, and provoked by a test', () => {
  const codes = codesIn(/export type ErrorCode =[^;]+;/.exec(read('index.d.ts'))[0]);
  assert.ok(codes.size >= 17);
  const documented = codesIn(read('docs/errors.md'));
  const tests = [
    'bad-broker',
    'config',
    'create-canvas',
    'disk-full',
    'encryption-keys',
    'errors',
    'invalid-canvas',
    'lifecycle',
    'members',
    'real-time',
    'replay',
    'share-members',
    'storage',
    'update-canvas',
  ];
  const provoked = codesIn(tests.map((name) => read(`__test__/${name}.spec.mjs`)).join('\n'));
  for (const code of codes) {
    assert.ok(documented.has(code), `docs/errors.md lacks ${code}`);
    assert.ok(provoked.has(code), `no test provokes ${code}`);
  }
});
