import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, twoPeers } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

eachBroker('statuses count what happens', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  await ada.patchCanvas(REPOSITORY, CANVAS, { properties: { title: 'x' } }, 'ada');
  await until(() => ben.getRepositoryStatus(REPOSITORY).edits.remote > 0, 'the edit arrived');
  // A status is that of a moment ago.
  await until(() => ada.getRepositoryStatus(REPOSITORY).edits.local >= 2, 'the creation and the patch are counted');
  await until(() => ada.getRepositoryStatus(REPOSITORY).pendingEdits === 0, 'the broker has it');

  const network = ada.getNetworkStatus();
  assert.equal(network.connected, true);
  assert.deepEqual(network.broker, { protocol: 'mqtt', host: broker.host, port: broker.port });
  assert.match(network.peerId, /^z6Mk/);
  assert.equal(typeof network.clientId, 'string');
  assert.ok(network.uptimeMs >= 0);
  assert.equal(network.reconnects, 0);
  assert.equal(network.lastError, null);
  assert.ok(network.messages.sent > 0 && network.messages.received > 0);
  assert.ok(network.bytes.sent > 0 && network.bytes.received > 0);

  const repository = ada.getRepositoryStatus(REPOSITORY);
  assert.deepEqual(ada.getAllRepositoryStatuses(), { [REPOSITORY]: repository });
  assert.equal(repository.name, REPOSITORY);
  assert.equal(repository.canvases, 1);
  assert.equal(repository.peers, 1);
  assert.equal(ben.getRepositoryStatus(REPOSITORY).edits.local, 0);
  assert.deepEqual(repository.messages.rejected, {});
});

eachBroker('messages are counted by kind, and durations in buckets', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  await ada.patchCanvas(REPOSITORY, CANVAS, { properties: { title: 'x' } }, 'ada');
  await until(() => ben.getRepositoryStatus(REPOSITORY).traffic.changes?.received.messages >= 1, 'changes came');
  await until(
    () => ada.getRepositoryStatus(REPOSITORY).traffic.changes?.sent.bytes > 100,
    'they were counted here too',
  );
  const { traffic, latency, quarantined } = ben.getRepositoryStatus(REPOSITORY);
  assert.ok(traffic.presence.sent.messages >= 1);
  assert.equal(quarantined, 0);
  const { acknowledge } = ada.getNetworkStatus();
  for (const { count, sumMs, buckets } of [latency.apply, latency.endToEnd, acknowledge]) {
    assert.ok(count >= 1 && sumMs >= 0);
    const counts = buckets.map((bucket) => bucket.count);
    assert.deepEqual(
      counts,
      [...counts].sort((a, b) => a - b),
      'cumulative',
    );
    assert.ok(counts.at(-1) <= count);
  }
});

test('an unknown repository has no status', async (t) => {
  const peer = await onePeer(t, await embedded(t));
  assert.throws(() => peer.getRepositoryStatus('none'), { code: 'ERR_REPOSITORY_UNKNOWN', message: /none/ });
});

test('statuses can be read before initialize() and after disconnect()', async (t) => {
  const peer = newPeer(t, await embedded(t));
  assert.equal(peer.getNetworkStatus().connected, false);
  await peer.initialize();
  await peer.disconnect();
  assert.equal(peer.getNetworkStatus().connected, false);
});

eachBroker('health is checked for real', async (t, broker) => {
  const peer = await onePeer(t, broker);
  const report = await peer.healthCheck();
  assert.equal(report.healthy, true, JSON.stringify(report));
  assert.ok(report.checks.length >= 2);
  for (const { name, ok, detail } of report.checks) assert.ok(name && detail && ok === true);
  assert.equal(await peer.testConnection(), true);
});

eachBroker('performance is measured with real round trips', async (t, broker) => {
  const peer = await onePeer(t, broker);
  const before = peer.getNetworkStatus().messages.sent;
  const report = await peer.performanceTest({ messages: 50, payloadBytes: 1000 });
  assert.deepEqual([report.messages, report.payloadBytes], [50, 1000]);
  const { min, p50, p95, p99, max } = report.latencyMs;
  assert.ok(0 < min && min <= p50 && p50 <= p95 && p95 <= p99 && p99 <= max, JSON.stringify(report));
  assert.ok(report.durationMs > 0 && report.throughputPerSecond > 0);
  assert.ok(peer.getNetworkStatus().messages.sent - before >= 50);
  assert.ok((await peer.performanceTest()).messages > 0);
});
