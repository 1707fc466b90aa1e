import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { freePort } from './helpers/ports.mjs';
import { ROOT, runNode } from './helpers/processes.mjs';
import { cable } from './helpers/proxy.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

const pendingOf = (peer) =>
  Object.values(peer.getAllRepositoryStatuses()).reduce((sum, { pendingEdits }) => sum + pendingEdits, 0);

eachBroker('flush() resolves when the broker has every edit made so far, of all repositories', async (t, broker) => {
  const peer = await onePeer(t, broker, { repositories: ['one', 'two'] });
  await peer.createCanvas('one', CANVAS, {}, 'ada');
  await peer.createCanvas('two', CANVAS, {}, 'ada');
  const edits = [];
  for (let n = 0; n < 200; n++) {
    edits.push(peer.patchCanvas(n % 2 ? 'one' : 'two', CANVAS, { properties: { [`p${n}`]: n } }, 'ada'));
  }
  // Not awaited before: what was called before flush() counts, not what has resolved.
  await Promise.all([peer.flush(), ...edits]);
  await until(() => pendingOf(peer) === 0, 'the figures show it');
  await peer.flush();
});

test('flush() waits while there is no connection, and for the broker then', async (t) => {
  const wire = await cable(t, await embedded(t));
  const peer = await onePeer(t, wire);
  await peer.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
  await peer.flush();
  wire.pull();
  await peer.patchCanvas(REPOSITORY, CANVAS, { properties: { title: 'x' } }, 'ada');
  let flushed = false;
  const flush = peer.flush().then(() => {
    flushed = true;
  });
  const gone = nextEvent(peer, 'disconnected');
  wire.plug();
  await gone;
  assert.equal(flushed, false, 'nothing went through the pulled cable');
  await flush;
  assert.equal(peer.getNetworkStatus().connected, true);
});

test('flush() of a service that started offline resolves when the broker has come', async (t) => {
  const port = await freePort();
  const ada = newPeer(t, { host: '127.0.0.1', port }, { offline: 'allow' });
  await ada.initialize();
  await ada.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
  let flushed = false;
  const flush = ada.flush().then(() => {
    flushed = true;
  });
  await nextEvent(ada, 'reconnecting');
  assert.equal(flushed, false, 'there is no broker that could have acknowledged');
  const broker = await embedded(t, port);
  await flush;
  const ben = await onePeer(t, broker);
  await untilListed(ben, CANVAS);
});

test('disconnect() ends a flush() that waits: ERR_CLOSED', async (t) => {
  const peer = newPeer(t, { host: '127.0.0.1', port: await freePort() }, { offline: 'allow' });
  await rejectsWith(peer.flush(), 'ERR_NOT_INITIALIZED');
  await peer.initialize();
  await peer.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
  const waiting = rejectsWith(peer.flush(), 'ERR_CLOSED');
  await peer.disconnect();
  await waiting;
  await rejectsWith(peer.flush(), 'ERR_CLOSED');
});

test('a flush() that waits is settled before the process ends', async () => {
  const script = `
    const { MQTTIntegrationService } = require(${JSON.stringify(ROOT)});
    const broker = { host: '127.0.0.1', port: ${await freePort()} };
    const service = new MQTTIntegrationService({ broker, repositories: ['a', 'b', 'c'], offline: 'allow' });
    service.initialize().then(async () => {
      await service.createCanvas('b', 'x', {}, 'ada');
      service.flush().catch((error) => console.log(error.code));
      await service.disconnect();
    });`;
  const { code, signal, stdout, stderr } = await runNode(['-e', script]);
  assert.deepEqual([code, signal, stdout.trim()], [0, null, 'ERR_CLOSED'], stderr);
});
