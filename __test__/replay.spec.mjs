import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { mosquitto, mosquittoTest } from './helpers/broker.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

const EVENTS = ['canvas-created', 'canvas-updated', 'canvas-deleted', 'canvas-shared', 'peer-discovered', 'peer-left'];
EVENTS.push('presence', 'message', 'conflict', 'error');

/** Everything that goes over a broker, until `stop()` gives it. */
async function recorder(t, { host, port }) {
  const client = await connectAsync(`mqtt://${host}:${port}`, { protocolVersion: 4 });
  scoped(t).defer(() => client.endAsync());
  const recording = [];
  client.on('message', (topic, payload, { retain }) => {
    if (!retain && payload.length > 0) recording.push({ topic, payload });
  });
  await client.subscribeAsync('#', { qos: 1 });
  const stop = async () => {
    await client.unsubscribeAsync('#');
    return recording;
  };
  return { client, recording, stop };
}

const bytesIn = (folder) => readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
const replayed = (peer) => peer.getRepositoryStatus(REPOSITORY).messages.rejected.replayed ?? 0;

mosquittoTest('a recording of everything, played ten times, is no event to peers old and new', async (t) => {
  const broker = await mosquitto(t, ['allow_anonymous true', 'max_queued_messages 100000']);
  const { client, recording, stop } = await recorder(t, broker);
  const folders = { ada: temporaryFolder(t), ben: temporaryFolder(t) };
  const start = (name) => onePeer(t, broker, { storage: { path: folders[name] } });
  const [ada, ben] = [await start('ada'), await start('ben')];
  await ada.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', type: 'text', text: 'plan' }] }, 'ada');
  await untilListed(ben, CANVAS);
  for (let x = 0; x < 50; x++) {
    await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x }] } }, 'ada');
    await ben.setPresence(REPOSITORY, CANVAS, { cursor: { x, y: 0 } });
    await ben.broadcastMessage({ x });
  }
  const made = await untilEqual(ada, ben, ({ nodes }) => nodes[0].x === 49);
  await until(() => recording.filter(({ topic }) => topic.endsWith('/messages')).length === 50, 'all was recorded');
  await ben.disconnect();
  await stop();
  const again = await start('ben');
  await untilEqual(ada, again);
  const met = (peer) => peer.getRepositoryStatus(REPOSITORY).peers === 1;
  await until(() => met(ada) && met(again), 'they have met');
  // Events and outcomes come in one order: with these, all that has happened so far has been told.
  for (const peer of [ada, again]) await peer.listCanvases(REPOSITORY);

  const happened = [];
  for (const [name, peer] of Object.entries({ ada, again })) {
    for (const event of EVENTS) peer.on(event, (payload) => happened.push({ name, event, payload }));
  }
  const before = { ada: bytesIn(folders.ada), ben: bytesIn(folders.ben) };
  for (let time = 0; time < 10; time++) {
    for (const { topic, payload } of recording) await client.publishAsync(topic, payload, { qos: 1 });
  }
  const count = 10 * recording.filter(({ topic }) => topic.endsWith('/messages')).length;
  for (const peer of [ada, again]) await until(() => replayed(peer) >= count, 'all of it arrived, and was refused');
  assert.deepEqual(happened, []);
  for (const name of ['ada', 'ben']) {
    const grown = bytesIn(folders[name]) / before[name] - 1;
    assert.ok(grown < 0.01, `the storage of ${name} grew by ${(100 * grown).toFixed(2)} %`);
  }
  assert.deepEqual(await untilEqual(ada, again), made);
});

mosquittoTest('a retained snapshot replaced by an older one: nothing is lost, and it is told of', async (t) => {
  const broker = await mosquitto(t);
  const folders = { ada: temporaryFolder(t), ben: temporaryFolder(t) };
  const start = (name) => onePeer(t, broker, { storage: { path: folders[name] } });
  const client = await connectAsync(`mqtt://${broker.host}:${broker.port}`, { protocolVersion: 4 });
  scoped(t).defer(() => client.endAsync());
  const manifests = [];
  client.on('message', (topic, payload) => manifests.push({ topic, payload }));
  await client.subscribeAsync(`mind-git/v1/${REPOSITORY}/canvas/+/+/heads/+`, { qos: 1 });

  let ada = await start('ada');
  await ada.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', type: 'text', text: 'plan' }] }, 'ada');
  await ada.disconnect();
  const [old] = await until(() => manifests.length === 1 && manifests, 'a snapshot was kept');
  ada = await start('ada');
  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'b', type: 'text', text: 'more' }] } }, 'ada');
  await ada.disconnect();
  await until(() => manifests.length >= 2, 'a newer snapshot took its place');
  let ben = await start('ben');
  await untilListed(ben, CANVAS);
  await until(async () => (await ben.getCanvas(REPOSITORY, CANVAS)).nodes.length === 2, 'the newer one was read');
  await ben.disconnect();

  await client.publishAsync(old.topic, old.payload, { qos: 1, retain: true });
  ben = newPeer(t, broker, { storage: { path: folders.ben } });
  const errors = [];
  ben.on('error', (error) => errors.push(error));
  await ben.initialize();
  await until(() => errors.length > 0, 'it is told of');
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['ERR_ROLLBACK_SUSPECTED'],
  );
  assert.equal((await ben.getCanvas(REPOSITORY, CANVAS)).nodes.length, 2);
});
