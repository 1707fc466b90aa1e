import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { FrameSplitter, parseFrame, puback } from './helpers/mqtt-frames.mjs';
import { mqttProxy } from './helpers/mqtt-proxy.mjs';
import { seededRandom } from './helpers/random.mjs';
import { CANVAS, onePeer, REPOSITORY, twoPeers, untilEqual } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

const EDITS = 60;
const SEEDS = [1, 2, 3, 4];

/** A PUBLISH as it travels. */
function publish({ topic, id, payload, flags = 2 }) {
  const name = Buffer.from(topic);
  const body = Buffer.concat([
    Buffer.from([name.length >> 8, name.length & 0xff]),
    name,
    id === undefined ? Buffer.alloc(0) : Buffer.from([id >> 8, id & 0xff]),
    payload,
  ]);
  const length = [];
  for (let rest = body.length; ; rest = Math.floor(rest / 128)) {
    length.push(rest >= 128 ? (rest % 128) | 0x80 : rest);
    if (rest < 128) break;
  }
  return Buffer.concat([Buffer.from([0x30 | flags, ...length]), body]);
}

describe('frames', () => {
  const stream = Buffer.concat([
    Buffer.from([0xc0, 0]),
    publish({ topic: 'a/ü', id: 0x1234, payload: Buffer.alloc(200, 7), flags: 0x0b }),
    puback(0xabcd),
    publish({ topic: 't', payload: Buffer.from('x'), flags: 0 }),
    Buffer.from([0xd0, 0]),
  ]);
  const expected = ['PINGREQ', 'PUBLISH', 'PUBACK', 'PUBLISH', 'PINGRESP'];

  test('are found however the stream is cut, at every byte', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const splitter = new FrameSplitter();
      const frames = [...splitter.push(stream.subarray(0, cut)), ...splitter.push(stream.subarray(cut))];
      assert.deepEqual(
        frames.map(({ type }) => type),
        expected,
        `cut after ${cut} bytes`,
      );
      assert.ok(Buffer.concat(frames.map(({ bytes }) => bytes)).equals(stream));
    }
    const splitter = new FrameSplitter();
    const one = [...stream].flatMap((byte) => splitter.push(Buffer.from([byte])));
    assert.deepEqual(
      one.map(({ type }) => type),
      expected,
    );
  });

  test('tell what is in them', () => {
    const frames = new FrameSplitter().push(stream);
    const { topic, id, qos, retain, duplicate, payload } = frames[1];
    assert.deepEqual(
      { topic, id, qos, retain, duplicate, length: payload.length },
      { topic: 'a/ü', id: 0x1234, qos: 1, retain: true, duplicate: true, length: 200 },
    );
    assert.equal(frames[2].id, 0xabcd);
    assert.deepEqual([frames[3].topic, frames[3].id, frames[3].payload.toString()], ['t', undefined, 'x']);
  });

  test('of every size of the length field', () => {
    for (const size of [0, 1, 120, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
      const bytes = publish({ topic: 't', id: 1, payload: Buffer.alloc(size) });
      const [frame, ...more] = new FrameSplitter().push(bytes);
      assert.equal(frame.payload.length, size);
      assert.deepEqual(more, []);
      assert.equal(parseFrame(bytes).payload.length, size);
    }
  });

  test('that are none are refused', () => {
    assert.throws(() => new FrameSplitter().push(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 1])), /no MQTT/);
  });
});

test('a seed gives the same numbers, another one others', () => {
  const take = (seed) => Array.from({ length: 5 }, seededRandom(seed));
  assert.deepEqual(take(1), take(1));
  assert.ok(!isDeepStrictEqual(take(1), take(2)));
  const many = Array.from({ length: 10_000 }, seededRandom('mean'));
  assert.ok(many.every((number) => number >= 0 && number < 1));
  assert.ok(Math.abs(many.reduce((sum, number) => sum + number) / many.length - 0.5) < 0.02);
});

test('packets are held and come in order when they are released', async (t) => {
  const proxy = await mqttProxy(t, await embedded(t));
  const peer = await onePeer(t, proxy);
  await peer.createCanvas(REPOSITORY, CANVAS, {}, 'ada');
  await peer.flush();
  proxy.rules = [{ to: 'client', type: 'PUBACK', action: 'hold' }];
  // An edit does not wait for the broker; flush() does.
  await peer.patchCanvas(REPOSITORY, CANVAS, { properties: { title: 'x' } }, 'ada');
  let flushed = false;
  const flush = peer.flush().then(() => {
    flushed = true;
  });
  await until(() => proxy.counts.hold > 0, 'the acknowledgement is held');
  assert.equal(flushed, false);
  proxy.rules = [];
  proxy.release();
  await flush;
});

/** What a bad network and a bad broker do: some messages are lost, doubled or late, and the connection breaks. */
const BAD = [
  { to: 'client', type: 'PUBLISH', rate: 0.05, action: 'swallow' },
  { to: 'client', type: 'PUBLISH', rate: 0.05, action: 'duplicate' },
  { to: 'client', type: 'PUBLISH', rate: 0.1, action: 'delay', ms: 50 },
  { rate: 0.003, action: 'cut' },
];

for (const seed of SEEDS) {
  eachBroker(`a proxy that loses, doubles, delays and cuts: equal, with all edits; seed ${seed}`, async (t, broker) => {
    const proxy = await mqttProxy(t, broker, { seed });
    const { ada, ben } = await twoPeers(t, proxy, { nodes: [] });
    proxy.rules = BAD;
    const edit = async (peer, name) => {
      for (let n = 0; n < EDITS; n++) {
        await peer.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: `${name}-${n}`, x: n }] } }, name);
        // Each edit a message of its own, so that there is something to harm.
        if (n % 3 === 0) await peer.flush();
      }
    };
    await Promise.all([edit(ada, 'ada'), edit(ben, 'ben')]);
    await untilEqual(ada, ben, ({ nodes }) => nodes.length === 2 * EDITS);
    t.diagnostic(JSON.stringify({ ...proxy.counts, reconnects: ada.getNetworkStatus().reconnects }));
    for (const action of ['swallow', 'duplicate', 'delay']) {
      assert.ok(proxy.counts[action] > 0, `nothing met "${action}", so nothing was tested`);
    }
  });
}
