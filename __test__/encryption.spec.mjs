import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { encrypted, newKey } from './helpers/keys.mjs';
import { startNode } from './helpers/processes.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, onePeer, REPOSITORY, twoPeers, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

/** Somebody who hears everything on the broker, and has no key. */
async function listener(t, { host, port }) {
  const client = await connectAsync(`mqtt://${host}:${port}`, { protocolVersion: 4 });
  scoped(t).defer(() => client.endAsync());
  const heard = [];
  client.on('message', (topic, payload, { retain }) => heard.push({ topic, payload, retain }));
  await client.subscribeAsync('#');
  return { client, heard };
}

const rejected = (peer, repository = REPOSITORY) => peer.getRepositoryStatus(repository).messages.rejected;
const errorsOf = (peer) => {
  const errors = [];
  peer.on('error', (error) => errors.push(error));
  return errors;
};
const move = (peer, x, author = 'ada') =>
  peer.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x }] } }, author);
const at = (x) => (canvas) => canvas.nodes.some((node) => node.id === 'a' && node.x === x);

eachBroker(
  'peers with one key edit, and who comes when all are gone has the canvas from the broker',
  async (t, broker) => {
    const options = encrypted(await newKey(t));
    const { ada, ben } = await twoPeers(t, broker, smallCanvas(), options);
    await Promise.all([move(ada, 77), ben.patchCanvas(REPOSITORY, CANVAS, { properties: { title: 'Plan' } }, 'ben')]);
    const made = await untilEqual(ada, ben, (canvas) => at(77)(canvas) && canvas.title === 'Plan');
    await Promise.all([ada.disconnect(), ben.disconnect()]);
    const cleo = await onePeer(t, broker, options);
    assert.equal((await cleo.syncRepository(REPOSITORY)).answered, true);
    assert.deepEqual(await cleo.getCanvas(REPOSITORY, CANVAS), made);
    assert.deepEqual(rejected(cleo), {});
  },
);

eachBroker('of an encrypted repository nobody else sees a text, or a name', async (t, broker) => {
  const { heard } = await listener(t, broker);
  const secrets = {
    repository: 'orchard-launch-repository',
    canvas: 'boards/secret-pricing',
    author: 'author-lovelace',
    text: 'The price will be 499 from March on',
    cursor: 'cursor-at-the-price',
    message: 'message-about-the-price',
    capability: 'capability-of-accounting',
  };
  const options = {
    ...encrypted(await newKey(t)),
    repositories: [secrets.repository],
    capabilities: [secrets.capability],
  };
  const [ada, ben] = await Promise.all([onePeer(t, broker, options), onePeer(t, broker, options)]);
  const canvas = { nodes: [{ ...smallCanvas().nodes[0], type: 'text', text: secrets.text }], edges: [] };
  await ada.createCanvas(secrets.repository, secrets.canvas, canvas, secrets.author);
  await untilListed(ben, secrets.canvas, secrets.repository);
  const shown = nextEvent(ben, 'presence');
  await ada.setPresence(secrets.repository, secrets.canvas, { at: secrets.cursor }, { author: secrets.author });
  await shown;
  const said = nextEvent(ben, 'message');
  await ada.broadcastMessage({ text: secrets.message });
  await said;
  const { peerId } = ada.getNetworkStatus();
  await Promise.all([ada.disconnect(), ben.disconnect()]);
  const gone = ({ topic, payload }) => topic.includes('/peers/') && payload.length === 0;
  await until(() => heard.filter(gone).length >= 2, 'both have left');
  assert.ok(heard.some(({ topic }) => topic.includes('/snapshot/')));
  for (const secret of [...Object.values(secrets), 'secret-pricing']) {
    for (const { topic, payload } of heard) {
      assert.ok(!decodeURIComponent(topic).includes(secret), `${secret} is in ${topic}`);
      assert.ok(!payload.includes(secret), `${secret} is in a payload on ${topic}`);
    }
  }
  // What stays visible, and is said to be.
  assert.ok(heard.some(({ topic }) => topic.includes(peerId)));
});

test('the Last Will tells no repository, encrypted or not', async (t) => {
  const broker = await embedded(t);
  const { heard } = await listener(t, broker);
  const args = ['--broker', `mqtt://${broker.host}:${broker.port}`, '--repositories', 'orchard-launch'];
  const child = startNode(t, ['dist/mqtt-cli.js', 'monitor', ...args, '--key-file', await newKey(t)]);
  await until(() => heard.some(({ topic }) => topic.includes('/peers/')), 'it is there');
  child.kill('SIGKILL');
  const will = await until(() => heard.find(({ topic }) => topic.includes('/will/')), 'the Will was published');
  assert.ok(!will.topic.includes('orchard') && !will.payload.includes('orchard'));
});

describe('messages that are not of a peer with the key', () => {
  eachBroker('plain text, flipped bits and other topics are counted, and do nothing', async (t, broker) => {
    const options = encrypted(await newKey(t));
    const { ada, ben } = await twoPeers(t, broker, smallCanvas(), options);
    const { client, heard } = await listener(t, broker);
    const plain = await onePeer(t, broker);
    await plain.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'mallory');
    await move(ada, 5);
    await untilEqual(ada, ben, at(5));
    const changes = (hidden) =>
      heard.find(
        ({ topic }) =>
          topic.endsWith('/changes') && topic.includes('/canvas/') && topic.includes(REPOSITORY) !== hidden,
      );
    await until(() => changes(true) && changes(false), 'changes of both were heard');
    const [sealed, open] = [changes(true), changes(false)];
    const before = await ben.getCanvas(REPOSITORY, CANVAS);

    await client.publishAsync(sealed.topic, open.payload, { qos: 1 });
    await until(() => rejected(ben)['not encrypted'] === 1, 'plain text was counted');
    const flipped = Buffer.from(sealed.payload);
    flipped[flipped.length >> 1] ^= 1;
    await client.publishAsync(sealed.topic, flipped, { qos: 1 });
    await until(() => rejected(ben).unverified === 1, 'the flipped bit was counted');
    await client.publishAsync(sealed.topic.replace(/canvas\/.*/, 'index/changes'), sealed.payload, { qos: 1 });
    await until(() => rejected(ben).unverified === 2, 'the other topic was counted');
    // And the other way round: an encrypted message is nothing to a peer without encryption.
    await client.publishAsync(open.topic, sealed.payload, { qos: 1 });
    await until(() => rejected(plain).encrypted === 1, 'the encrypted message was counted');
    assert.deepEqual(await ben.getCanvas(REPOSITORY, CANVAS), before);
  });

  eachBroker('with and without encryption, peers of one repository name do not meet', async (t, broker) => {
    const { ada } = await twoPeers(t, broker, smallCanvas(), encrypted(await newKey(t)));
    const plain = await onePeer(t, broker);
    const errors = errorsOf(plain);
    await plain.createCanvas(REPOSITORY, 'of-plain', {}, 'ben');
    await plain.flush();
    await move(ada, 9);
    await ada.flush();
    assert.deepEqual(
      (await ada.listCanvases(REPOSITORY)).map(({ id }) => id),
      [CANVAS],
    );
    assert.deepEqual(
      (await plain.listCanvases(REPOSITORY)).map(({ id }) => id),
      ['of-plain'],
    );
    assert.deepEqual(errors, []);
  });
});

describe('another key', () => {
  eachBroker('is told once on each side and connection, and does nothing else', async (t, broker) => {
    const [right, wrong] = [await newKey(t), await newKey(t)];
    const { ada, ben } = await twoPeers(t, broker, smallCanvas(), encrypted(right));
    const told = [errorsOf(ada), errorsOf(ben)];
    const mallory = await onePeer(t, broker, encrypted(wrong));
    const own = errorsOf(mallory);
    await until(() => [own, ...told].every((errors) => errors.length > 0), 'all are told');
    for (const errors of [own, ...told]) {
      assert.equal(errors[0].code, 'ERR_ENCRYPTION_KEY');
      assert.match(errors[0].message, /'team' use another key/);
    }
    await mallory.createCanvas(REPOSITORY, 'of-mallory', {}, 'mallory');
    await mallory.flush();
    await move(ada, 31);
    await untilEqual(ada, ben, at(31));
    assert.deepEqual(
      (await mallory.listCanvases(REPOSITORY)).map(({ id }) => id),
      ['of-mallory'],
    );
    assert.deepEqual(
      (await ada.listCanvases(REPOSITORY)).map(({ id }) => id),
      [CANVAS],
    );
    // Another one with the wrong key is heard of too, and nobody is told a second time.
    const second = await onePeer(t, broker, encrypted(wrong));
    const seconds = errorsOf(second);
    await until(() => seconds.length > 0, 'the second is told');
    assert.deepEqual(
      [own, ...told, seconds].map((errors) => errors.length),
      [1, 1, 1, 1],
    );
  });

  test('is asked for no further, and nothing of it is stored', async (t) => {
    const broker = await embedded(t);
    const { ada } = await twoPeers(t, broker, smallCanvas(), encrypted(await newKey(t)));
    const storage = { path: temporaryFolder(t) };
    const mallory = await onePeer(t, broker, { ...encrypted(await newKey(t)), storage });
    const errors = errorsOf(mallory);
    for (let x = 0; x < 50; x++) await move(ada, x);
    await ada.flush();
    await until(() => errors.length > 0, 'it is told');
    const sent = () => mallory.getRepositoryStatus(REPOSITORY).messages.sent;
    const requests = () => mallory.getRepositoryStatus(REPOSITORY).requests.asked;
    const before = requests();
    // The time in which a request that is repeated would be.
    await pause(3_000);
    assert.ok(requests() - before <= 2, `${requests() - before} requests`);
    assert.ok(sent() < 20, `${sent()} messages`);
    assert.equal(mallory.getRepositoryStatus(REPOSITORY).canvases, 0);
  });
});

describe('several repositories', () => {
  test('each may have a key of its own; who has one key hears nothing of the other', async (t) => {
    const broker = await embedded(t);
    const [one, two] = [await newKey(t), await newKey(t)];
    const repositories = [REPOSITORY, { name: 'finance', keyFile: two }, { name: 'legal', keyFile: one }];
    const ada = await onePeer(t, broker, { ...encrypted(one), repositories });
    const ben = await onePeer(t, broker, encrypted(one));
    const cleo = await onePeer(t, broker, { ...encrypted(two), repositories: ['finance'] });
    const known = async (peer) => (await peer.discoverPeers({ timeoutMs: 300 })).map((info) => info.repositories);
    await until(async () => (await known(ben)).length === 1, 'Ben knows of Ada');
    assert.deepEqual(await known(ben), [[REPOSITORY, 'legal']]);
    assert.deepEqual(await known(cleo), [['finance']]);
    await ada.createCanvas('finance', 'budget', {}, 'ada');
    await untilListed(cleo, 'budget', 'finance');
  });

  eachBroker('of one key share canvases', async (t, broker) => {
    const options = encrypted(await newKey(t));
    const ada = await onePeer(t, broker, { ...options, repositories: ['other', REPOSITORY] });
    const ben = await onePeer(t, broker, options);
    await ada.createCanvas('other', CANVAS, smallCanvas(), 'ada');
    await ada.shareCanvas('other', CANVAS, REPOSITORY);
    await untilListed(ben, CANVAS);
    await until(async () => (await ben.getCanvas(REPOSITORY, CANVAS)).nodes.length > 0, 'Ben has the content');
    await move(ben, 41, 'ben');
    await until(async () => at(41)(await ada.getCanvas('other', CANVAS)), 'Ada has the edit');
    assert.deepEqual(rejected(ben), {});
  });
});

test('a repository on disk is encrypted on the way, and goes on after a restart', async (t) => {
  const broker = await embedded(t);
  const options = encrypted(await newKey(t));
  const storage = { path: temporaryFolder(t) };
  const ada = await onePeer(t, broker, { ...options, storage });
  await ada.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  await ada.disconnect();
  const again = await onePeer(t, broker, { ...options, storage });
  const ben = await onePeer(t, broker, options);
  await untilListed(ben, CANVAS);
  await move(again, 12);
  await untilEqual(again, ben, at(12));
});
