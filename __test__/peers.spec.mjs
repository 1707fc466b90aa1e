import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, twoPeers } from './helpers/two-peers.mjs';
import { nextEvent } from './helpers/wait.mjs';

const idOf = (peer) => peer.getNetworkStatus().peerId;

eachBroker('peers discover each other, and notice when one leaves', async (t, broker) => {
  const ada = await onePeer(t, broker);
  const discovered = nextEvent(ada, 'peer-discovered');
  const ben = newPeer(t, broker);
  const discoveredByBen = nextEvent(ben, 'peer-discovered', ({ id }) => id === idOf(ada));
  await ben.initialize();
  const benId = idOf(ben);
  const peer = await discovered;
  assert.equal(peer.id, benId);
  assert.equal(peer.repository, REPOSITORY);
  assert.deepEqual(peer.repositories, [REPOSITORY]);
  assert.ok(Array.isArray(peer.capabilities));
  assert.ok(Math.abs(peer.lastSeen - Date.now()) < 60_000);
  await discoveredByBen;

  assert.deepEqual(
    (await ada.discoverPeers({ timeoutMs: 200 })).map(({ id }) => id),
    [benId],
  );
  assert.equal(ada.getNetworkStatus().peers, 1);
  const left = nextEvent(ada, 'peer-left');
  await ben.disconnect();
  assert.equal((await left).id, benId);
  assert.deepEqual(await ada.discoverPeers({ timeoutMs: 50 }), []);
});

test('without the feature nobody can be asked', async (t) => {
  const peer = await onePeer(t, await embedded(t), { features: { discovery: false } });
  await rejectsWith(peer.discoverPeers(), 'ERR_FEATURE_DISABLED', /discovery/);
});

eachBroker('cursors are shown to others, and taken away', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  const shown = nextEvent(ben, 'presence');
  await ada.setPresence(REPOSITORY, CANVAS, { cursor: { x: 1, y: 2 } }, { author: 'ada' });
  assert.deepEqual(await shown, {
    repository: REPOSITORY,
    canvasId: CANVAS,
    peerId: idOf(ada),
    author: 'ada',
    presence: { cursor: { x: 1, y: 2 } },
  });
  const gone = nextEvent(ben, 'presence');
  await ada.setPresence(REPOSITORY, CANVAS, null);
  assert.equal((await gone).presence, null);
  await rejectsWith(ada.setPresence(REPOSITORY, 'none', {}), 'ERR_CANVAS_NOT_FOUND', /none/);
  await rejectsWith(ada.setPresence(REPOSITORY, CANVAS, { x: 'x'.repeat(300_000) }), 'ERR_PAYLOAD_TOO_LARGE');
});

eachBroker('messages reach the other peers once, not the sender', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  const own = [];
  ada.on('message', (event) => own.push(event));
  const heard = [];
  ben.on('message', ({ message }) => heard.push(message));
  const last = nextEvent(ben, 'message', ({ message }) => message.last === true);
  const message = { hello: 'world', list: [1, null, { deep: true }] };
  await ada.broadcastMessage(message, { repository: REPOSITORY });
  await ada.broadcastMessage({ last: true });
  const { repository, peerId } = await last;
  assert.deepEqual([repository, peerId], [REPOSITORY, idOf(ada)]);
  assert.deepEqual(heard, [message, { last: true }]);
  assert.deepEqual(own, []);
  await rejectsWith(ada.broadcastMessage({ x: 'x'.repeat(300_000) }), 'ERR_PAYLOAD_TOO_LARGE');
  await rejectsWith(ada.broadcastMessage({}, { repository: 'none' }), 'ERR_REPOSITORY_UNKNOWN', /none/);
});

eachBroker('messages are not kept for those who come later', async (t, broker) => {
  const ada = await onePeer(t, broker);
  await ada.broadcastMessage({ number: 1 });
  assert.equal(await ada.testConnection(), true); // The broker has had it.
  const ben = await onePeer(t, broker);
  const heard = [];
  ben.on('message', ({ message }) => heard.push(message));
  const second = nextEvent(ben, 'message', ({ message }) => message.number === 2);
  await ada.broadcastMessage({ number: 2 });
  await second;
  assert.deepEqual(heard, [{ number: 2 }]);
});

eachBroker('a cursor goes with its peer', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  const shown = nextEvent(ben, 'presence');
  await ada.setPresence(REPOSITORY, CANVAS, { cursor: { x: 1, y: 2 } });
  await shown;
  const gone = nextEvent(ben, 'presence');
  await ada.disconnect();
  const { peerId, presence } = await gone;
  assert.deepEqual([peerId, presence], [idOf(ada), null]);
});
