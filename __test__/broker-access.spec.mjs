import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBroker } from '@mind-git/mqtt-p2p';
import { connectAsync } from 'mqtt';
import { nodeOf } from './helpers/canvases.mjs';
import { certificateAuthority } from './helpers/certificates.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, twoPeers, untilEqual } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

/** The embedded broker with the given options, stopped after the test. */
async function started(t, options) {
  const broker = await startBroker(options);
  scoped(t).defer(() => broker.stop());
  return broker;
}

/** A plain MQTT client, ended after the test. */
async function client(t, url, options = {}) {
  const made = await connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0, ...options });
  scoped(t).defer(() => made.endAsync(true));
  return made;
}

/** The code with which a broker refuses a client. */
const refusal = (t, url, options) =>
  client(t, url, options).then(
    () => 0,
    (error) => error.code,
  );

/** Placeholders of rules. */
const [USER, CLIENT_ID] = ['user', 'clientId'].map((name) => `\${${name}}`);
const move = (x) => ({ nodes: { upsert: [{ id: 'a', x }] } });
const everything = ['mind-git/v1/team/#', 'mind-git/v1/will/+', 'mind-git/v1/probe/+'];

describe('TLS of the embedded broker', () => {
  test('carries peers over TCP and over WebSockets, and nothing without it', async (t) => {
    const ca = certificateAuthority(t);
    const { certFile, keyFile } = ca.issue('broker');
    const broker = await started(t, { tls: { certFile, keyFile }, websocket: {} });
    assert.equal(broker.url, `mqtts://127.0.0.1:${broker.port}`);
    assert.equal(broker.websocketUrl, `wss://127.0.0.1:${broker.websocketPort}/mqtt`);
    const tls = { caFile: ca.file };
    const ada = await onePeer(t, broker, { broker: { protocol: 'mqtts', tls } });
    const ben = await onePeer(
      t,
      { host: broker.host, port: broker.websocketPort },
      { broker: { protocol: 'wss', tls } },
    );
    await ada.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', x: 0 }] }, 'ada');
    await until(async () => (await ben.listCanvases(REPOSITORY)).length === 1, 'the canvas arrived');
    await ben.patchCanvas(REPOSITORY, CANVAS, move(5), 'ben');
    await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 5);

    for (const port of [broker.port, broker.websocketPort]) {
      for (const protocol of ['mqtt', 'ws']) {
        const plain = newPeer(t, { host: broker.host, port }, { broker: { protocol, connectTimeoutMs: 700 } });
        await rejectsWith(plain.initialize(), 'ERR_BROKER_UNREACHABLE');
      }
    }
    const stranger = newPeer(t, broker, { broker: { protocol: 'mqtts' } });
    await rejectsWith(stranger.initialize(), 'ERR_BROKER_REJECTED', /CA/);
  });

  test('asks clients for a certificate where it is told to', async (t) => {
    const ca = certificateAuthority(t);
    const { certFile, keyFile } = ca.issue('broker');
    const broker = await started(t, { tls: { certFile, keyFile, clientCaFile: ca.file } });
    const own = ca.issue('ada', { alternatives: [] });
    const with_ = (tls) => ({
      broker: { protocol: 'mqtts', connectTimeoutMs: 1_000, tls: { caFile: ca.file, ...tls } },
    });
    await onePeer(t, broker, with_({ certFile: own.certFile, keyFile: own.keyFile }));
    const without = await newPeer(t, broker, with_({}))
      .initialize()
      .then(assert.fail, (error) => error);
    assert.match(without.message, /client certificate/);
    const foreign = certificateAuthority(t, 'somebody else').issue('ada', { alternatives: [] });
    const { certFile: cert, keyFile: key } = foreign;
    const refused = newPeer(t, broker, with_({ certFile: cert, keyFile: key })).initialize();
    assert.match((await refused.then(assert.fail, (error) => error)).message, /client certificate/);
  });
});

test('WebSockets without TLS are a second port', async (t) => {
  const broker = await started(t, { websocket: { port: 0 } });
  assert.equal(broker.url, `mqtt://127.0.0.1:${broker.port}`);
  assert.equal(broker.websocketUrl, `ws://127.0.0.1:${broker.websocketPort}/mqtt`);
  const { ada, ben } = await twoPeers(t, { host: broker.host, port: broker.websocketPort }, undefined, {
    broker: { protocol: 'ws' },
  });
  await ada.patchCanvas(REPOSITORY, CANVAS, move(3), 'ada');
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 3);
  const other = await onePeer(t, broker);
  await until(async () => (await other.listCanvases(REPOSITORY)).length === 1, 'both ports are of one broker');
});

describe('users of the embedded broker', () => {
  const users = { ada: 'canary-ada', ben: 'canary-ben' };

  test('get in with their passwords, and nobody else does, with the code that says why', async (t) => {
    const broker = await started(t, { users });
    assert.equal(await refusal(t, broker.url, { username: 'ada', password: 'canary-ada' }), 0);
    assert.equal(await refusal(t, broker.url), 5);
    for (const [username, password] of [
      ['ada', 'canary-ben'],
      ['ada', 'canary-ad'],
      ['ada', 'canary-ada '],
      ['ada', ''],
      ['Ada', 'canary-ada'],
      ['', 'canary-ada'],
      ['nobody', 'canary-ada'],
    ]) {
      assert.equal(await refusal(t, broker.url, { username, password }), 4, `${username}:${password}`);
    }
    assert.equal(await refusal(t, broker.url, { username: 'ada' }), 4, 'without a password');
  });

  test('are told what is wrong, without the password', async (t) => {
    const broker = await started(t, { users });
    await onePeer(t, broker, { broker: { username: 'ben', password: 'canary-ben' } });
    const wrong = newPeer(t, broker, { broker: { username: 'ben', password: 'canary-wrong' } });
    const error = await rejectsWith(wrong.initialize(), 'ERR_BROKER_REJECTED', /user name or password/);
    assert.doesNotMatch(`${error.stack}${JSON.stringify(wrong.getNetworkStatus())}`, /canary/);
    await rejectsWith(newPeer(t, broker).initialize(), 'ERR_BROKER_REJECTED', /not authorise/);
  });
});

describe('rules of the embedded broker', () => {
  const users = { ada: 'a', ben: 'b', eve: 'e' };
  const as = (user) => ({ broker: { username: user, password: users[user] } });

  test('let a team work, and keep others out, naming the topic', async (t) => {
    const rules = [
      { users: ['ada', 'ben'], publish: everything, subscribe: everything },
      { users: ['eve'], publish: ['mind-git/v1/other/#', 'mind-git/v1/will/+'], subscribe: ['mind-git/v1/other/#'] },
    ];
    const broker = await started(t, { users, rules });
    const [ada, ben] = await Promise.all([onePeer(t, broker, as('ada')), onePeer(t, broker, as('ben'))]);
    await ada.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', x: 0 }] }, 'ada');
    await until(async () => (await ben.listCanvases(REPOSITORY)).length === 1, 'the canvas arrived');
    await untilEqual(ada, ben);

    const eve = newPeer(t, broker, as('eve'));
    const errors = [];
    eve.on('error', (error) => errors.push(error));
    await eve.initialize().catch((error) => errors.push(error));
    await until(() => errors.length > 0, 'eve is told');
    for (const { code, message } of errors) {
      assert.equal(code, 'ERR_BROKER_REJECTED');
      assert.match(message, /mind-git\/v1\/(team\/|will)/);
    }
    await eve.createCanvas(REPOSITORY, 'of-eve', {}, 'eve').catch(() => {});
    await ada.patchCanvas(REPOSITORY, CANVAS, move(9), 'ada');
    await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 9);
    assert.deepEqual(
      (await ada.listCanvases(REPOSITORY)).map(({ id }) => id),
      [CANVAS],
    );
    assert.deepEqual(
      (await eve.listCanvases(REPOSITORY)).filter(({ id }) => id === CANVAS),
      [],
    );
  });

  test('hold for publishing, subscribing, and Last Wills, with placeholders', async (t) => {
    const rules = [
      { publish: [`of/${USER}/#`, `id/${CLIENT_ID}`], subscribe: [`of/${USER}/#`] },
      { users: ['ada'], subscribe: ['of/+/public'] },
    ];
    const broker = await started(t, { users, rules });
    const ada = await client(t, broker.url, { username: 'ada', password: 'a', clientId: 'one' });
    const granted = async (filter) => (await ada.subscribeAsync(filter).catch(() => [{ qos: 128 }]))[0].qos < 128;
    for (const filter of ['of/ada/#', 'of/ada/x/+', 'of/+/public']) assert.ok(await granted(filter), filter);
    for (const filter of ['#', '+/ada/#', 'of/#', 'of/ben/#', 'of/+/private', '$SYS/#']) {
      assert.ok(!(await granted(filter)), filter);
    }

    const ben = await client(t, broker.url, { username: 'ben', password: 'b', clientId: 'two' });
    const seen = [];
    ada.on('message', (topic) => seen.push(topic));
    const last = nextEvent(ada, 'message', (topic) => topic === 'of/ada/last');
    await ben.publishAsync('of/ada/forged', 'x', { qos: 1 });
    await ben.publishAsync('of/ben/private', 'x', { qos: 1 });
    await ben.publishAsync('of/ben/public', 'x', { qos: 1 });
    await ada.publishAsync('of/ada/last', 'x', { qos: 1 });
    await last;
    assert.deepEqual(seen.toSorted?.() ?? [...seen].sort(), ['of/ada/last', 'of/ben/public']);

    const dying = (topic) =>
      refusal(t, broker.url, { username: 'ben', password: 'b', will: { topic, payload: 'x', qos: 1 } });
    assert.equal(await dying('of/ada/will'), 5);
    assert.equal(await dying('of/ben/will'), 0);
  });

  test('that are for everybody hold without users too', async (t) => {
    const broker = await started(t, { rules: [{ publish: everything, subscribe: everything }] });
    await twoPeers(t, broker);
    assert.equal(await refusal(t, broker.url, { will: { topic: 'elsewhere', payload: 'x', qos: 1 } }), 5);
  });
});

describe('options that cannot be used are refused, naming the field:', () => {
  const wrong = [
    ['no certificate', { tls: {} }, /certFile/],
    ['a file that is not there', { tls: { certFile: '/none.pem', keyFile: '/none.key' } }, /certFile: \/none\.pem/],
    ['users without a password', { users: { ada: '' } }, /'ada'/],
    ['no users', { users: {} }, /users/],
    ['a rule for somebody unknown', { users: { ada: 'a' }, rules: [{ users: ['eve'] }] }, /rules\[0\]\.users.*'eve'/],
    ['a rule with an unknown field', { rules: [{ write: ['#'] }] }, /write/],
    ['a topic that is none', { rules: [{ publish: ['a/#/b'] }] }, /rules\[0\]\.publish.*'a\/#\/b'/],
    ['an unknown field of TLS', { tls: { certFile: 'a', keyFile: 'b', insecure: true } }, /insecure/],
  ];
  for (const [name, options, message] of wrong) {
    test(name, async () => {
      await rejectsWith(startBroker(options), 'ERR_CONFIG_INVALID', message);
    });
  }

  test('a key that is not the certificate’s', async (t) => {
    const ca = certificateAuthority(t);
    const tls = { certFile: ca.issue('a').certFile, keyFile: ca.issue('b').keyFile };
    await rejectsWith(startBroker({ tls }), 'ERR_CONFIG_INVALID', /TLS/);
  });
});
