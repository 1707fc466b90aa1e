import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { createKeyFile } from '@mind-git/mqtt-p2p';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { cli, interrupt, lineOf, linesOf, startCli, urlOf } from './helpers/cli.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { freePort } from './helpers/ports.mjs';
import { ROOT } from './helpers/processes.mjs';
import { onePeer } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

async function tail(t, broker, ...args) {
  const child = startCli(t, ['tail', '--broker', urlOf(broker), ...args]);
  await until(() => /listening/.test(child.output()), `tail listens; it said: ${child.output()}`);
  return child;
}

eachBroker('what peers say is read, filtered, and told in lines', async (t, broker) => {
  const all = await tail(t, broker, '--json');
  const some = await tail(t, broker, '--canvas', 'plan', '--kind', 'changes');
  const ada = await onePeer(t, broker);
  const { peerId } = ada.getNetworkStatus();
  await ada.createCanvas('team', 'plan', { nodes: [{ id: 'a' }] }, 'Ada');
  await ada.broadcastMessage({ hello: 'all' });
  const changes = await lineOf(all, ({ kind, canvas }) => kind === 'changes' && canvas === 'plan', 'changes');
  assert.deepEqual([changes.standing, changes.repository, changes.peer], ['message', 'team', peerId]);
  assert.ok(changes.details.changes >= 1 && changes.details.operations > 1 && changes.bytes > 100);
  assert.match(changes.details.heads[0], /^[0-9a-f]{64}$/);
  const message = await lineOf(all, ({ kind }) => kind === 'application', 'a message of an application');
  assert.deepEqual(message.details.message, { hello: 'all' });
  const presence = await lineOf(all, ({ kind }) => kind === 'presence', 'a presence');
  assert.equal(presence.details.status, 'birth');
  assert.deepEqual(
    linesOf(all, ({ standing }) => standing === 'refused'),
    [],
  );
  await until(
    () => /team\/plan +changes +…\w{8} .* operations? → [0-9a-f]{8}/.test(some.output()),
    'the changes in a line',
  );
  assert.doesNotMatch(some.output(), /presence|application/);
  await interrupt(all);
  await interrupt(some);
});

test('what is encrypted is shown as such, or opened with its key', async (t) => {
  const broker = await embedded(t);
  const keyFile = join(temporaryFolder(t), 'key');
  await createKeyFile(keyFile);
  const blind = await tail(t, broker, '--json');
  const knowing = await tail(t, broker, '--json', '--key-file', keyFile, '--repositories', 'team');
  const ada = await onePeer(t, broker, { features: { encryption: true }, encryption: { keyFile } });
  await ada.createCanvas('team', 'secret-plan', { nodes: [{ id: 'a', text: 'secret words' }] }, 'Ada');
  const opened = await lineOf(knowing, ({ kind, canvas }) => kind === 'changes' && canvas === 'secret-plan', 'opened');
  assert.deepEqual([opened.standing, opened.repository], ['message', 'team']);
  const sealed = await lineOf(blind, ({ kind }) => kind === 'changes', 'sealed');
  assert.deepEqual([sealed.standing, sealed.details], ['encrypted', null]);
  assert.doesNotMatch(blind.output(), /secret|"team"/);
});

test('what is no message of this protocol is refused with a reason, and everything goes on', async (t) => {
  const broker = await embedded(t);
  const child = await tail(t, broker, '--json');
  const { connectAsync } = await import('mqtt');
  const client = await connectAsync(urlOf(broker));
  for (const payload of [Buffer.alloc(2000, 0xff), Buffer.from('hello'), Buffer.alloc(0)])
    await client.publishAsync('mind-git/v1/team/canvas/x/1/changes', payload, { qos: 1 });
  await client.publishAsync('mind-git/\u001b[31m', 'x', { qos: 1 });
  await client.endAsync();
  await lineOf(child, ({ topic }) => topic.endsWith('[31m'), 'the last');
  const standings = linesOf(child, ({ topic }) => topic).map(({ standing }) => standing);
  assert.deepEqual(standings, ['refused', 'refused', 'empty', 'refused']);
});

test('without a broker it says so and tries again, until interrupted', async (t) => {
  const child = startCli(t, ['tail', '--broker', `mqtt://127.0.0.1:${await freePort()}`]);
  await until(() => /no broker/.test(child.output()), 'it says so');
  await interrupt(child);
  const connected = await tail(t, await embedded(t));
  await interrupt(connected);
  assert.doesNotMatch(connected.output(), /no broker/, 'who ends it need not be told');
  const { code } = await cli(['tail', '--key-file', '/does/not/exist']);
  assert.equal(code, 1);
});

test('every kind of the protocol can be asked for, and is told in words', async () => {
  const { KINDS, packetLine } = createRequire(import.meta.url)('../dist/cli/tail-line.js');
  const source = readFileSync(join(ROOT, 'src/wire/kind.rs'), 'utf8');
  const kinds = [...source.matchAll(/^ {4}(\w+) = \d+,$/gm)].map(([, name]) =>
    name.replace(/(?!^)[A-Z]/g, '-$&').toLowerCase(),
  );
  assert.deepEqual([...KINDS].sort(), kinds.sort());
  // Whatever the details lack, a line comes of it.
  for (const kind of [...KINDS, 'of-later']) {
    for (const details of [null, {}, { heads: 1, documents: null, repositories: {} }]) {
      const packet = { topic: 't', bytes: 1, retained: true, missed: 2, standing: 'message', kind, details };
      assert.match(packetLine(packet, new Date(0)), new RegExp(kind));
    }
  }
  assert.equal((await cli(['tail', '--kind', 'chages'])).code, 2);
});
