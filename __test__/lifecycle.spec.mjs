import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { freePort } from './helpers/ports.mjs';
import { ROOT, runNode } from './helpers/processes.mjs';
import { newPeer, REPOSITORY, rejectsWith } from './helpers/two-peers.mjs';

eachBroker('initialize() connects, disconnect() closes, both can be called again', async (t, broker) => {
  const peer = newPeer(t, broker);
  const seen = [];
  for (const event of ['connected', 'disconnected']) peer.on(event, () => seen.push(event));
  await peer.initialize();
  assert.equal(peer.getNetworkStatus().connected, true);
  assert.deepEqual(seen, ['connected']);
  await Promise.all([peer.disconnect(), peer.disconnect()]);
  await peer.disconnect();
  await rejectsWith(peer.listCanvases(REPOSITORY), 'ERR_CLOSED');
});

test('methods before initialize() say so', async (t) => {
  const peer = newPeer(t, { host: '127.0.0.1', port: 1 });
  await rejectsWith(peer.listCanvases(REPOSITORY), 'ERR_NOT_INITIALIZED');
  await rejectsWith(peer.createCanvas(REPOSITORY, 'x', {}, 'ada'), 'ERR_NOT_INITIALIZED');
  await peer.disconnect();
});

test('a process ends by itself after disconnect(), and not before', async (t) => {
  const broker = await embedded(t);
  const script = `
    const { MQTTIntegrationService } = require(${JSON.stringify(ROOT)});
    const service = new MQTTIntegrationService({ broker: ${JSON.stringify(broker)}, repositories: ['team'] });
    process.on('exit', () => console.log('exit'));
    service.initialize().then(() => {
      // Unreferenced: it runs only because the service keeps the process alive.
      setTimeout(() => { console.log('alive'); service.disconnect().then(() => console.log('disconnected')); }, 300).unref();
    });`;
  const { code, signal, stdout, stderr } = await runNode(['-e', script]);
  assert.equal(signal, null, 'the process had to be killed');
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.trim().split('\n'), ['alive', 'disconnected', 'exit']);
});

test('a process ends by itself when initialize() fails and disconnect() follows', async () => {
  const script = `
    const { MQTTIntegrationService } = require(${JSON.stringify(ROOT)});
    const service = new MQTTIntegrationService({ broker: { host: '127.0.0.1', port: ${await freePort()}, connectTimeoutMs: 500 }, repositories: ['team'] });
    service.initialize().catch((error) => { console.log(error.code); return service.disconnect(); });`;
  const { code, signal, stdout, stderr } = await runNode(['-e', script]);
  assert.deepEqual([code, signal, stdout.trim()], [0, null, 'ERR_BROKER_UNREACHABLE'], stderr);
});

test('disconnect() overtakes initialize(), and both are settled before the process ends', async () => {
  const script = `
    const { MQTTIntegrationService } = require(${JSON.stringify(ROOT)});
    const service = new MQTTIntegrationService({ broker: { host: '127.0.0.1', port: ${await freePort()}, connectTimeoutMs: 60000 }, repositories: ['team'] });
    service.initialize().catch((error) => console.log(error.code));
    service.once('reconnecting', () => service.disconnect().then(() => console.log('disconnected')));`;
  const { code, signal, stdout, stderr } = await runNode(['-e', script]);
  assert.deepEqual([code, signal, stdout.trim().split('\n').sort()], [0, null, ['ERR_CLOSED', 'disconnected']], stderr);
});

test('a process that only loads the package, or only makes a service, ends by itself', async () => {
  const script = `
    const { MQTTIntegrationService } = require(${JSON.stringify(ROOT)});
    new MQTTIntegrationService({ broker: {}, repositories: ['team'] });`;
  const { code, signal, stderr } = await runNode(['-e', script]);
  assert.deepEqual([code, signal], [0, null], stderr);
});

test('logs are asked for with DEBUG and never hold the password', async (t) => {
  const broker = await embedded(t);
  const script = `
    const { MQTTIntegrationService } = require(${JSON.stringify(ROOT)});
    const broker = { ...${JSON.stringify(broker)}, username: 'ada', password: 'hush-hush' };
    const service = new MQTTIntegrationService({ broker, repositories: ['team'] });
    service.initialize().then(() => { console.log(JSON.stringify(service.getNetworkStatus())); return service.disconnect(); });`;
  const quiet = await runNode(['-e', script]);
  assert.equal(quiet.stderr, '');
  const verbose = await runNode(['-e', script], { env: { DEBUG: 'mqtt:*' } });
  assert.equal(verbose.code, 0, verbose.stderr);
  assert.notEqual(verbose.stderr, '');
  for (const text of [quiet.stdout, verbose.stdout, verbose.stderr]) assert.doesNotMatch(text, /hush-hush/);
});
