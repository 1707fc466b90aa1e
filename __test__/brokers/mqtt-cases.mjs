// What a broker does with MQTT itself, seen by plain clients. Each case gives what docs/brokers.md says of the broker.
import assert from 'node:assert/strict';
import { mqttClient, received, settled } from '../helpers/mqtt-client.mjs';
import { cable } from '../helpers/proxy.mjs';
import { nextEvent, until } from '../helpers/wait.mjs';

const QOS_1 = { qos: 1 };
const RETAINED = { qos: 1, retain: true };
const MEBIBYTE = 1 << 20;

async function deliversQos0And1(t, broker) {
  const client = await mqttClient(t, broker);
  for (const qos of [0, 1]) {
    await client.subscribeAsync(`qos/${qos}`, { qos });
    await client.publishAsync(`qos/${qos}`, 'x', { qos }); // At QoS 1 that waits for the acknowledgement.
    const message = await received(client, ({ topic }) => topic === `qos/${qos}`);
    assert.deepEqual([message.qos, message.retain], [qos, false]);
  }
  return 'yes';
}

async function keepsOrder(t, broker) {
  const COUNT = 2000;
  const [from, to] = [await mqttClient(t, broker), await mqttClient(t, broker)];
  await to.subscribeAsync('order', QOS_1);
  await Promise.all(Array.from({ length: COUNT }, (_, n) => from.publishAsync('order', String(n), QOS_1)));
  await until(() => to.heard.length >= COUNT, 'all arrive');
  assert.deepEqual(
    to.heard.map(({ text }) => Number(text)),
    Array.from({ length: COUNT }, (_, n) => n),
  );
  return 'yes';
}

async function takesOverClientIds(t, broker) {
  const first = await mqttClient(t, broker, { clientId: 'twin' });
  const ended = nextEvent(first, 'close');
  const second = await mqttClient(t, broker, { clientId: 'twin' });
  await ended;
  await settled(second, 'twin');
  return 'ends the older';
}

/** The retained messages that a new client finds. */
async function found(t, broker, filter) {
  const client = await mqttClient(t, broker);
  await client.subscribeAsync(filter, QOS_1);
  await settled(client);
  return client.heard.filter(({ retain }) => retain).map(({ topic, text }) => `${topic} ${text}`);
}

async function keepsRetained(t, broker) {
  const client = await mqttClient(t, broker);
  await client.publishAsync('retained/a', 'one', RETAINED);
  assert.deepEqual(await found(t, broker, 'retained/a'), ['retained/a one']);
  await client.publishAsync('retained/a', 'two', RETAINED);
  assert.deepEqual(await found(t, broker, 'retained/a'), ['retained/a two']);
  await client.publishAsync('retained/a', '', RETAINED);
  assert.deepEqual(await found(t, broker, 'retained/a'), []);
  return 'yes';
}

async function givesRetainedToWildcards(t, broker) {
  const client = await mqttClient(t, broker);
  await client.publishAsync('wild/a/x', 'one', RETAINED);
  await client.publishAsync('wild/b/x', 'two', RETAINED);
  const all = ['wild/a/x one', 'wild/b/x two'];
  const seen = [await found(t, broker, 'wild/+/x'), await found(t, broker, 'wild/#')];
  if (seen.every((topics) => topics.length === 0)) return 'no';
  for (const topics of seen) assert.deepEqual(topics.sort(), all);
  return 'yes';
}

async function matchesWildcards(t, broker) {
  const client = await mqttClient(t, broker);
  const filters = ['w/+/peers/+', 'v/1/+/canvas/+/+/changes', 'u/#'];
  await client.subscribeAsync(filters, QOS_1);
  const matching = ['w/team/peers/z6', 'v/1/team/canvas/plan/0/changes', 'u', 'u/x/y', 'u/%2E%2A%3E'];
  const others = ['w/team/peers', 'w/team/peers/z6/more', 'w/team/other/z6', 'v/1/team/canvas/plan/changes', 'uu'];
  for (const topic of [...others, ...matching]) await client.publishAsync(topic, 'x', QOS_1);
  await until(() => client.heard.length >= matching.length, 'all arrive');
  await settled(client);
  const topics = client.heard.map(({ topic }) => topic).filter((topic) => !topic.startsWith('settled/'));
  assert.deepEqual(topics.sort(), matching.sort());
  return 'yes';
}

async function deliversOverlapping(t, broker) {
  const client = await mqttClient(t, broker);
  await client.subscribeAsync(['twice/+', 'twice/#'], QOS_1);
  await client.publishAsync('twice/a', 'x', QOS_1);
  await settled(client);
  await settled(client);
  const count = client.heard.filter(({ topic }) => topic === 'twice/a').length;
  return count === 1 ? 'once' : `${count} times`;
}

async function publishesWills(t, broker) {
  const watcher = await mqttClient(t, broker);
  await watcher.subscribeAsync('will/+', QOS_1);
  const will = (topic) => ({ will: { topic, payload: Buffer.from('gone'), qos: 1, retain: false } });
  const [polite, broken] = [await mqttClient(t, broker, will('will/a')), await mqttClient(t, broker, will('will/b'))];
  await polite.endAsync();
  broken.stream.destroy();
  await received(watcher, ({ topic, text }) => topic === 'will/b' && text === 'gone');
  await settled(watcher);
  assert.ok(!watcher.heard.some(({ topic }) => topic === 'will/a'), 'who takes leave has no Will');
  return 'yes';
}

/** How long a broker may take over a message before it counts as not answering. Only brokers that do not answer are waited for. */
const SILENCE_MS = 5_000;

/** What becomes of a message on a topic, or of its size. */
async function roundTrip(t, broker, topic, payload = 'x', qos = 1) {
  const client = await mqttClient(t, broker);
  const ended = new Promise((resolve) => client.once('close', () => resolve('disconnects')));
  const [granted] = await client.subscribeAsync(topic, { qos }).catch(() => [{ qos: REFUSED }]);
  if (granted.qos === REFUSED) return 'refuses';
  client.publish(topic, payload, { qos });
  const message = await Promise.race([ended, received(client, () => true, SILENCE_MS).catch(() => 'falls silent')]);
  if (typeof message === 'string') return message;
  assert.equal(message.bytes, payload.length);
  if (granted.qos < qos) return `as QoS ${granted.qos}`;
  return message.topic === topic ? 'yes' : `becomes ${message.topic}`;
}

/** The answer to a subscription that is refused. */
const REFUSED = 128;

/** The longest topic that peers use: prefix, repository and canvas as long as they may be, each byte escaped. */
const LONGEST_TOPIC = `${'p'.repeat(256)}/v1/${'%2E'.repeat(512)}/canvas/${'%2E'.repeat(512)}/${'9'.repeat(19)}/snapshot/${'f'.repeat(64)}`;

async function grantsSubscriptions(t, broker) {
  const COUNT = 200;
  const client = await mqttClient(t, broker);
  for (let n = 0; n < COUNT; n += 8) {
    const filters = Array.from({ length: 8 }, (_, offset) => `many/${n + offset}/+`);
    await client.subscribeAsync(filters, QOS_1);
  }
  await client.publishAsync(`many/${COUNT - 1}/x`, 'x', QOS_1);
  await received(client, () => true);
  return 'yes';
}

/** More than any of the configurations keeps for one client. */
const TOO_MANY = 12_000;

async function servesTheSlow(t, broker) {
  const wire = await cable(t, broker);
  const [fast, slow] = [await mqttClient(t, broker), await mqttClient(t, wire)];
  await slow.subscribeAsync('slow', QOS_1);
  wire.stall();
  await Promise.all(Array.from({ length: TOO_MANY }, () => fast.publishAsync('slow', 'x'.repeat(100), QOS_1)));
  wire.flow();
  await until(async () => {
    await fast.publishAsync('slow', 'end', QOS_1);
    return slow.heard.some(({ text }) => text === 'end') || slow.disconnected;
  }, 'the last one arrives');
  const count = slow.heard.filter(({ bytes }) => bytes === 100).length;
  return count === TOO_MANY ? 'keeps all' : 'drops some';
}

export const MQTT_CASES = [
  ['QoS 0 and 1', deliversQos0And1],
  ['order of one sender at QoS 1', keepsOrder],
  ['a second connection with one client id', takesOverClientIds],
  ['retained messages: set, replaced, cleared', keepsRetained],
  ['retained messages for wildcard subscriptions', givesRetainedToWildcards],
  ['wildcards', matchesWildcards],
  ['a message on two subscriptions of one client', deliversOverlapping],
  ['Last Will of who breaks off, not of who leaves', publishesWills],
  ['12,000 messages for a client that does not read', servesTheSlow],
  ['the longest topic that peers use (3,434 bytes)', (t, broker) => roundTrip(t, broker, LONGEST_TOPIC)],
  ['a payload of 1 MiB', (t, broker) => roundTrip(t, broker, 'large/1', Buffer.alloc(MEBIBYTE))],
  ['a payload of 8 MiB', (t, broker) => roundTrip(t, broker, 'large/8', Buffer.alloc(8 * MEBIBYTE))],
  ['a payload of 9 MiB', (t, broker) => roundTrip(t, broker, 'large/9', Buffer.alloc(9 * MEBIBYTE))],
  ['QoS 2', (t, broker) => roundTrip(t, broker, 'qos/2', 'x', 2)],
  ['a full stop in a topic', (t, broker) => roundTrip(t, broker, 'odd/a.b')],
  ['a space in a topic', (t, broker) => roundTrip(t, broker, 'odd/a b')],
  ['an asterisk in a topic', (t, broker) => roundTrip(t, broker, 'odd/a/*')],
  ['an empty level in a topic', (t, broker) => roundTrip(t, broker, 'odd//b')],
  ['a per cent sign in a topic', (t, broker) => roundTrip(t, broker, 'odd/%2E%00%20')],
  ['letters beyond ASCII in a topic', (t, broker) => roundTrip(t, broker, 'odd/日本é')],
  ['200 subscriptions of one client', grantsSubscriptions],
];
