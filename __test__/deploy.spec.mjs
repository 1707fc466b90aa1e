// What deploy/mosquitto promises, on a Mosquitto that runs with its files.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { connectAsync } from 'mqtt';
import { mosquittoTest } from './helpers/broker.mjs';
import { nodeOf } from './helpers/canvases.mjs';
import { hardenedMosquitto } from './helpers/hardened.mjs';
import { encrypted, newKey } from './helpers/keys.mjs';
import { MOSQUITTO } from './helpers/mosquitto.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

const PASSWORDS = { ada: 'canary-ada', ben: 'canary-ben', cleo: 'canary-cleo' };

/** Options of a peer that uses the broker as one of its users. */
const as = ({ caFile }, username, password = PASSWORDS[username]) => ({
  broker: { protocol: 'mqtts', tls: { caFile }, username, password, connectTimeoutMs: 20_000 },
});

const move = (x) => ({ nodes: { upsert: [{ id: 'a', x }] } });

mosquittoTest('a team edits over TLS, and its boards are on the broker', async (t) => {
  const broker = await hardenedMosquitto(t, PASSWORDS);
  const [ada, ben] = await Promise.all([onePeer(t, broker, as(broker, 'ada')), onePeer(t, broker, as(broker, 'ben'))]);
  await ada.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', x: 0 }] }, 'ada');
  await untilListed(ben, CANVAS);
  await ben.patchCanvas(REPOSITORY, CANVAS, move(4), 'ben');
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 4);
  assert.ok(await ada.testConnection());
  await Promise.all([ada.flush(), ben.flush()]);
  await Promise.all([ada.disconnect(), ben.disconnect()]);
  const later = await onePeer(t, broker, as(broker, 'ada'));
  await untilListed(later, CANVAS);
  await until(async () => nodeOf(await later.getCanvas(REPOSITORY, CANVAS), 'a').x === 4, 'it came from the broker');
  assert.doesNotMatch(broker.log(), /canary|Denied/);
});

mosquittoTest('nobody gets in without a password, with a wrong one, or without TLS', async (t) => {
  const broker = await hardenedMosquitto(t, PASSWORDS);
  const { caFile } = broker;
  const anonymous = newPeer(t, broker, { broker: { protocol: 'mqtts', tls: { caFile } } });
  await rejectsWith(anonymous.initialize(), 'ERR_BROKER_REJECTED');
  for (const [user, password] of [
    ['ada', 'canary-ben'],
    ['nobody', 'canary-ada'],
  ]) {
    const peer = newPeer(t, broker, as(broker, user, password));
    await rejectsWith(peer.initialize(), 'ERR_BROKER_REJECTED');
  }
  const plain = newPeer(t, broker, { broker: { username: 'ada', password: PASSWORDS.ada, connectTimeoutMs: 700 } });
  await rejectsWith(plain.initialize(), 'ERR_BROKER_UNREACHABLE');
});

mosquittoTest('who is not of a team is kept out of its repository, naming the topic', async (t) => {
  const broker = await hardenedMosquitto(t, PASSWORDS);
  const ada = await onePeer(t, broker, as(broker, 'ada'));
  await ada.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', x: 0 }] }, 'ada');
  const cleo = newPeer(t, broker, as(broker, 'cleo'));
  const errors = [];
  cleo.on('error', (error) => errors.push(error));
  await cleo.initialize().catch((error) => errors.push(error));
  await cleo.createCanvas(REPOSITORY, 'of-cleo', {}, 'cleo').catch(() => {});
  // Mosquitto says nothing; that edits do not come back is noticed after three times 10 s.
  await until(() => errors.length > 0, 'cleo is told', 90_000);
  for (const { code, message } of errors) {
    assert.equal(code, 'ERR_BROKER_REJECTED');
    assert.match(message, /mind-git\/v1\/team\/.*access rules/);
  }
  await ada.patchCanvas(REPOSITORY, CANVAS, move(1), 'ada');
  await ada.flush();
  assert.deepEqual(
    (await ada.listCanvases(REPOSITORY)).map(({ id }) => id),
    [CANVAS],
  );
  const seen = (await cleo.listCanvases(REPOSITORY).catch(() => [])).map(({ id }) => id);
  assert.ok(!seen.includes(CANVAS));
});

mosquittoTest('a prefix of its own lets a team use encrypted repositories', async (t) => {
  const broker = await hardenedMosquitto(t, PASSWORDS);
  const options = { ...encrypted(await newKey(t)), topicPrefix: 'secret-team', ...as(broker, 'cleo') };
  const [one, two] = [await onePeer(t, broker, options), await onePeer(t, broker, options)];
  await one.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', x: 0 }] }, 'cleo');
  await untilListed(two, CANVAS);
  await untilEqual(one, two);
});

mosquittoTest('messages that are too large, and one connection too many, are refused', async (t) => {
  const broker = await hardenedMosquitto(t, PASSWORDS, ['max_connections 2']);
  const url = `mqtts://127.0.0.1:${broker.port}`;
  const options = { ca: readFileSync(broker.caFile), protocolVersion: 4, reconnectPeriod: 0 };
  const client = async (username) => {
    const made = await connectAsync(url, { ...options, username, password: PASSWORDS[username] });
    made.on('error', () => {});
    scoped(t).defer(() => made.endAsync(true));
    return made;
  };
  const [ada, ben] = [await client('ada'), await client('ben')];
  await assert.rejects(client('cleo'));

  const sizes = [];
  ben.on('message', (_, payload) => sizes.push(payload.length));
  await ben.subscribeAsync('mind-git/v1/team/#', { qos: 1 });
  const last = nextEvent(ben, 'message', (topic) => topic.endsWith('/last'));
  await ada.publishAsync('mind-git/v1/team/large', Buffer.alloc(1_048_576), { qos: 1 });
  await ada.publishAsync('mind-git/v1/team/last', 'x', { qos: 1 });
  await last;
  assert.deepEqual(sizes, [1_048_576, 1]);
  const cut = nextEvent(ada, 'close');
  ada.publish('mind-git/v1/team/huge', Buffer.alloc(1_300_000), { qos: 1 });
  await cut;
});

test('the files are usable as they are', {
  skip: !MOSQUITTO && !process.env.CI && 'Mosquitto is not installed',
}, async (t) => {
  // Everything but the two paths and the port is the file's own: see `hardenedMosquitto`.
  const broker = await hardenedMosquitto(t, PASSWORDS);
  const complaints = broker
    .log()
    .split('\n')
    .filter((line) => !line.includes('run as root'));
  assert.deepEqual(
    complaints.filter((line) => line !== ''),
    [],
  );
});
