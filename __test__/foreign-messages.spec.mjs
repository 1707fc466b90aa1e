import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connectAsync } from 'mqtt';
import { eachBroker } from './helpers/broker.mjs';
import { nodeOf } from './helpers/canvases.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, REPOSITORY, twoPeers, untilEqual } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

const PREFIX = 'mind-git/v1';

/** Somebody else on the broker, with everything that goes over it in `captured`. */
async function stranger(t, broker) {
  const client = await connectAsync(`mqtt://${broker.host}:${broker.port}`, { protocolVersion: 4 });
  scoped(t).defer(() => client.endAsync());
  const captured = new Map();
  client.on('message', (topic, payload) => captured.set(topic, [...(captured.get(topic) ?? []), payload]));
  await client.subscribeAsync('mind-git/#');
  return { client, captured };
}

const rejectedBy = (peer) =>
  Object.values(peer.getRepositoryStatus(REPOSITORY).messages.rejected).reduce((sum, count) => sum + count, 0);

eachBroker('garbage and foreign messages on our topics are counted and do no harm', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  const { client, captured } = await stranger(t, broker);
  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x: 1 }] } }, 'ada');
  const changes = (topic) => topic.endsWith('/changes') && topic.includes('/canvas/');
  await until(() => [...captured.keys()].some(changes), 'a real message was captured');
  const [topic, [real]] = [...captured].find(([name]) => changes(name));

  const flipped = Buffer.from(real);
  flipped[flipped.length >> 1] ^= 0x40;
  const payloads = [
    Buffer.alloc(0),
    randomBytes(1),
    randomBytes(300),
    Buffer.from('{"type":"update","nodes":[]}'),
    Buffer.from([0x83, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), // CBOR that promises 2^64 - 1 items.
    Buffer.alloc(5000, 0x81), // CBOR, nested 5,000 deep.
    real.subarray(0, real.length - 1),
    real.subarray(0, real.length >> 1),
    flipped,
    randomBytes(3 << 20),
  ];
  const base = `${PREFIX}/${REPOSITORY}`;
  const topics = [topic, `${base}/sync`, `${base}/messages`, `${base}/peers/nobody`, `${base}/index/changes`];
  topics.push(`${base}/inbox/${ada.getNetworkStatus().peerId}`, `${base}/no/such/topic`);
  const before = rejectedBy(ada);
  for (const name of topics) {
    for (const payload of payloads) await client.publishAsync(name, payload, { qos: 1 });
  }
  // Retained garbage meets everyone who comes later.
  await client.publishAsync(`${base}/peers/z6MkNobody`, randomBytes(100), { qos: 1, retain: true });
  await client.publishAsync(topic.replace(/changes$/, 'heads/z6MkNobody'), randomBytes(100), { qos: 1, retain: true });
  await until(() => rejectedBy(ada) >= before + 30, 'most of it was counted as rejected');

  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x: 2 }] } }, 'ada');
  await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'b', x: 3 }] } }, 'ben');
  const canvas = await untilEqual(ada, ben, (read) => nodeOf(read, 'a').x === 2 && nodeOf(read, 'b').x === 3);
  assert.equal(canvas.nodes.length, 2);
});

eachBroker('a real message played again, or on another canvas, changes nothing', async (t, broker) => {
  const { ada, ben } = await twoPeers(t, broker);
  await ada.createCanvas(REPOSITORY, 'other', {}, 'ada');
  const { client, captured } = await stranger(t, broker);
  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x: 1 }] } }, 'ada');
  await ada.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x: 2 }] } }, 'ada');
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 2);
  const changes = () => [...captured].filter(([topic]) => topic.endsWith('/changes'));
  const seen = await until(() => changes().length > 0 && changes(), 'real messages were captured');
  for (const [topic, payloads] of seen) {
    for (const payload of payloads) {
      await client.publishAsync(topic, payload, { qos: 1 });
      await client.publishAsync(topic.replace('plan', 'other'), payload, { qos: 1 });
    }
  }
  await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'b', x: 3 }] } }, 'ben');
  const canvas = await untilEqual(ada, ben, (read) => nodeOf(read, 'b').x === 3);
  assert.equal(nodeOf(canvas, 'a').x, 2);
  assert.deepEqual(await ada.getCanvas(REPOSITORY, 'other'), { nodes: [], edges: [] });
});
