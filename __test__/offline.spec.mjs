import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { embedded, mosquitto, mosquittoTest } from './helpers/broker.mjs';
import { nodeOf, smallCanvas } from './helpers/canvases.mjs';
import { freePort } from './helpers/ports.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

const OFFLINE = { offline: 'allow' };

/** A service that has started although nothing listens at its broker's port. */
async function startedOffline(t) {
  const port = await freePort();
  // The time to connect is longer than any test may take: the first failure must be enough.
  const peer = newPeer(t, { host: '127.0.0.1', port }, { ...OFFLINE, broker: { connectTimeoutMs: 600_000 } });
  const failed = once(peer, 'reconnecting');
  await peer.initialize();
  const [{ attempt, reason }] = await failed;
  assert.equal(attempt, 1);
  assert.match(reason, /refused/);
  return { peer, port };
}

test('started offline: canvases are made, edited and read, and all arrives when the broker comes', async (t) => {
  const { peer: ada, port } = await startedOffline(t);
  assert.equal(ada.getNetworkStatus().connected, false);
  await ada.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x: 7 }] } }, 'ada');
  await ada.createCanvas(REPOSITORY, 'second', {}, 'ada');
  await ada.deleteCanvas(REPOSITORY, 'second', 'ada');
  await ada.createCanvas(REPOSITORY, 'third', { nodes: [{ id: 'c' }] }, 'ada');
  assert.equal(nodeOf(await ada.getCanvas(REPOSITORY, CANVAS), 'a').x, 7);
  await rejectsWith(ada.broadcastMessage({}), 'ERR_BROKER_UNREACHABLE');

  const connected = nextEvent(ada, 'connected');
  const broker = await embedded(t, port);
  const ben = await onePeer(t, broker);
  assert.deepEqual(await connected, { connection: 1 });
  await untilListed(ben, CANVAS);
  await untilListed(ben, 'third');
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 7);
  await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'b', x: 8 }] } }, 'ben');
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'b').x === 8);
  assert.deepEqual((await ben.listCanvases(REPOSITORY)).map(({ id }) => id).sort(), [CANVAS, 'third'].sort());
});

test('two that started offline and edited meet with the edits of both', async (t) => {
  const { peer: ada, port } = await startedOffline(t);
  const ben = newPeer(t, { host: '127.0.0.1', port }, OFFLINE);
  await ben.initialize();
  await ada.createCanvas(REPOSITORY, 'of-ada', { nodes: [{ id: 'a' }] }, 'ada');
  await ben.createCanvas(REPOSITORY, 'of-ben', { nodes: [{ id: 'b' }] }, 'ben');
  await embedded(t, port);
  await Promise.all([untilListed(ada, 'of-ben'), untilListed(ben, 'of-ada')]);
  const has = async (peer, canvas, id) => nodeOf(await peer.getCanvas(REPOSITORY, canvas), id);
  await until(() => has(ada, 'of-ben', 'b'), "ben's canvas reached ada");
  await until(() => has(ben, 'of-ada', 'a'), "ada's canvas reached ben");
});

test('something that listens and says nothing is offline when the time to connect is over', async (t) => {
  const sockets = [];
  const server = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  scoped(t).defer(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address();
  const peer = newPeer(t, { host: '127.0.0.1', port }, { ...OFFLINE, broker: { connectTimeoutMs: 300 } });
  await peer.initialize();
  await peer.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
});

test('with a broker there, initialize() connects as without offline', async (t) => {
  const peer = await onePeer(t, await embedded(t), OFFLINE);
  assert.equal(peer.getNetworkStatus().connected, true);
});

mosquittoTest('wrong credentials reject all the same', async (t) => {
  const broker = await mosquitto(t, ['allow_anonymous false', 'password_file {folder}/passwords'], { passwords: '' });
  await rejectsWith(newPeer(t, broker, OFFLINE).initialize(), 'ERR_BROKER_REJECTED');
});

mosquittoTest('a broker that comes later and refuses is an error event', async (t) => {
  const { peer, port } = await startedOffline(t);
  const told = nextEvent(peer, 'error');
  await mosquitto(t, ['allow_anonymous false', 'password_file {folder}/passwords'], { passwords: '' }, port);
  const error = await told;
  assert.equal(error.code, 'ERR_BROKER_REJECTED');
  await peer.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
});

test('disconnect() ends a service that never had a connection', async (t) => {
  const { peer } = await startedOffline(t);
  await peer.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
  await peer.disconnect();
  await rejectsWith(peer.listCanvases(REPOSITORY), 'ERR_CLOSED');
});

test('without storage, what was not delivered ends with the process', async (t) => {
  const { peer, port } = await startedOffline(t);
  await peer.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
  await peer.disconnect();
  const ben = await onePeer(t, await embedded(t, port));
  const { answered } = await ben.syncRepository(REPOSITORY);
  assert.equal(answered, false);
  assert.deepEqual(await ben.listCanvases(REPOSITORY), []);
});
