import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { startBroker } from '@mind-git/mqtt-p2p';
import { eachBroker, embedded, mosquitto, mosquittoTest } from './helpers/broker.mjs';
import { nodeOf, smallCanvas } from './helpers/canvases.mjs';
import { freePort } from './helpers/ports.mjs';
import { cable } from './helpers/proxy.mjs';
import { scoped } from './helpers/teardown.mjs';
import {
  CANVAS,
  newPeer,
  onePeer,
  REPOSITORY,
  rejectsWith,
  twoPeers,
  untilEqual,
  untilListed,
} from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

/** For a broker that will not come. */
const IMPATIENT = { broker: { connectTimeoutMs: 500 } };

test('a broker that is not there is a clear error', async (t) => {
  const port = await freePort();
  const peer = newPeer(t, { host: '127.0.0.1', port }, IMPATIENT);
  await rejectsWith(peer.initialize(), 'ERR_BROKER_UNREACHABLE', new RegExp(`127\\.0\\.0\\.1.*${port}`));
});

test('a name that does not resolve is a clear error', async (t) => {
  const peer = newPeer(t, { host: 'broker.invalid', port: 1883 }, IMPATIENT);
  await rejectsWith(peer.initialize(), 'ERR_BROKER_UNREACHABLE', /broker\.invalid/);
});

test('something that listens and says nothing is a clear error', async (t) => {
  const sockets = [];
  const server = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address();
  const peer = newPeer(t, { host: '127.0.0.1', port }, IMPATIENT);
  await rejectsWith(peer.initialize(), 'ERR_BROKER_UNREACHABLE');
});

test('something that speaks another protocol is a clear error', async (t) => {
  const server = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const peer = newPeer(t, { host: '127.0.0.1', port: server.address().port }, IMPATIENT);
  await rejectsWith(peer.initialize(), 'ERR_BROKER_UNREACHABLE');
});

mosquittoTest('wrong credentials are a clear error without the password', async (t) => {
  const broker = await mosquitto(t, ['allow_anonymous false', 'password_file {folder}/passwords'], {
    // Nobody is in it.
    passwords: '',
  });
  for (const credentials of [{}, { username: 'ada', password: 'hush-hush' }]) {
    const peer = newPeer(t, broker, { broker: credentials });
    const error = await rejectsWith(peer.initialize(), 'ERR_BROKER_REJECTED');
    assert.doesNotMatch(`${error.stack}${JSON.stringify(peer.getNetworkStatus())}`, /hush-hush/);
  }
});

test('edits made while the broker is away are delivered when it is back', async (t) => {
  const broker = await startBroker();
  const { ada, ben } = await twoPeers(t, broker);
  const gone = [ada, ben].map((peer) => nextEvent(peer, 'disconnected'));
  const back = [ada, ben].map((peer) => nextEvent(peer, 'connected'));
  await broker.stop();
  await Promise.all(gone);
  assert.equal(ada.getNetworkStatus().connected, false);
  assert.equal(await ada.testConnection(), false);
  const report = await ada.healthCheck();
  assert.equal(report.healthy, false);
  assert.ok(report.checks.some(({ ok, remedy }) => !ok && remedy));
  assert.match(report.checks.find(({ name }) => name === 'round trip').detail, /no connection/);

  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x: 1 }] } }, 'ada');
  await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'b', x: 2 }] } }, 'ben');
  await ada.createCanvas(REPOSITORY, 'offline', {}, 'ada');
  const restarted = await startBroker({ port: broker.port });
  scoped(t).defer(() => restarted.stop());
  await Promise.all(back);
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 1 && nodeOf(canvas, 'b').x === 2);
  await until(async () => (await ben.listCanvases(REPOSITORY)).length === 2, 'the canvas made offline arrived');
  assert.ok(ada.getNetworkStatus().reconnects >= 1);
});

test('initialize() can be called again when the broker has come', async (t) => {
  const port = await freePort();
  const peer = newPeer(t, { host: '127.0.0.1', port }, IMPATIENT);
  await rejectsWith(peer.initialize(), 'ERR_BROKER_UNREACHABLE');
  const broker = await startBroker({ port });
  scoped(t).defer(() => broker.stop());
  await peer.initialize();
  assert.equal(peer.getNetworkStatus().connected, true);
});

test('a round trip through a pulled cable takes too long', async (t) => {
  const wire = await cable(t, await embedded(t));
  const peer = await onePeer(t, wire);
  wire.pull();
  await rejectsWith(peer.performanceTest(), 'ERR_TIMEOUT');
});

mosquittoTest('a pulled cable loses nothing', async (t) => {
  const wire = await cable(t, await mosquitto(t));
  const { ada, ben } = await twoPeers(t, wire);
  wire.pull();
  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x: 1 }] } }, 'ada');
  await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'b', x: 2 }] } }, 'ben');
  wire.plug();
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 1 && nodeOf(canvas, 'b').x === 2);
});

mosquittoTest('what a broker drops for a slow subscriber is noticed and fetched again', async (t) => {
  const lines = ['allow_anonymous true', 'max_inflight_messages 1', 'max_queued_messages 5'];
  const broker = await mosquitto(t, lines);
  const wire = await cable(t, broker);
  const [ada, ben] = await Promise.all([onePeer(t, broker), onePeer(t, wire)]);
  await ada.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  await untilListed(ben, CANVAS);
  await untilEqual(ada, ben);

  const move = async (x) => {
    await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x }] } }, 'ada');
    // Each in a message of its own.
    await until(() => ada.getRepositoryStatus(REPOSITORY).pendingEdits === 0, 'the broker has it');
  };
  wire.stall();
  for (let x = 1; x <= 20; x++) await move(x);
  wire.flow();
  // Only what comes after a gap shows it.
  await until(async () => nodeOf(await ben.getCanvas(REPOSITORY, CANVAS), 'a').x > 0, 'the first one arrived');
  await move(21);
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 21);
  assert.ok(ben.getRepositoryStatus(REPOSITORY).messages.gaps > 0, 'nothing was dropped, so nothing was tested');
});

test('disconnect() ends although the broker is away', async (t) => {
  const broker = await startBroker();
  const peer = await onePeer(t, broker);
  await peer.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
  await broker.stop();
  await peer.patchCanvas(REPOSITORY, CANVAS, { properties: { title: 'x' } }, 'ada');
  await peer.disconnect();
  await rejectsWith(peer.getCanvas(REPOSITORY, CANVAS), 'ERR_CLOSED');
});

eachBroker('two peers with one client id are told so, and lose no edit', async (t, broker) => {
  const reader = await onePeer(t, broker);
  const twins = [0, 1].map(() => newPeer(t, broker, { broker: { clientId: 'twin' } }));
  const told = Promise.any(
    twins.map((twin) => nextEvent(twin, 'disconnected', ({ reason }) => reason.includes("client id 'twin'"))),
  );
  for (const twin of twins) await twin.initialize();
  await told;
  await Promise.all(
    twins.map((twin, index) => twin.createCanvas(REPOSITORY, `of-twin-${index}`, { nodes: [{ id: 'a' }] }, 'twin')),
  );
  const listed = async () => (await reader.listCanvases(REPOSITORY)).filter(({ nodes }) => nodes === 1).length === 2;
  await until(listed, 'both edits arrived', 120_000);
});
