// What deploy/nats and deploy/rabbitmq promise, on brokers that run with their files; deploy.spec.mjs is for Mosquitto.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipWithout } from './helpers/all-brokers.mjs';
import { nodeOf } from './helpers/canvases.mjs';
import { certificateAuthority } from './helpers/certificates.mjs';
import { encrypted, newKey } from './helpers/keys.mjs';
import { startHardenedNats } from './helpers/nats.mjs';
import { startHardenedRabbitmq } from './helpers/rabbitmq.mjs';
import { HASHES, PASSWORDS } from './helpers/team-passwords.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

/** How they start, and what who asks for something forbidden is told: RabbitMQ ends the connection, each time. */
const HARDENED = {
  NATS: [(certificate) => startHardenedNats(HASHES, certificate), 'ERR_BROKER_REJECTED', /mind-git\/v1\/team\//],
  RabbitMQ: [(certificate) => startHardenedRabbitmq(PASSWORDS, certificate), 'ERR_BROKER_UNREACHABLE', /access rules/],
};

for (const [name, [start, code, message]] of Object.entries(HARDENED)) {
  test(`a team uses ${name} with the files of deploy, and nobody else does`, { skip: skipWithout(name) }, async (t) => {
    const ca = certificateAuthority(t);
    const broker = await start(ca.issue('broker'));
    scoped(t).defer(() => broker.stop());
    const as = (username, password = PASSWORDS[username]) => ({
      broker: { protocol: 'mqtts', tls: { caFile: ca.file }, username, password, connectTimeoutMs: 20_000 },
    });
    await t.test('who belongs to it edits over TLS', async (t) => edits(t, broker, as));
    await t.test('without a password, with a wrong one, or without TLS nobody gets in', async (t) =>
      keepsOut(t, broker, as),
    );
    await t.test('who is not of the team is kept out of its repository', async (t) => {
      for (const error of await separates(t, broker, as)) {
        assert.equal(error.code, code);
        assert.match(error.message, message);
      }
    });
    await t.test('a prefix of its own lets a team use encrypted repositories', async (t) => encrypts(t, broker, as));
    assert.doesNotMatch(broker.log(), /canary/);
  });
}

async function edits(t, broker, as) {
  const [ada, ben] = await Promise.all([onePeer(t, broker, as('ada')), onePeer(t, broker, as('ben'))]);
  await ada.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', x: 0 }] }, 'ada');
  await untilListed(ben, CANVAS);
  await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x: 4 }] } }, 'ben');
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 4);
  assert.ok(await ada.testConnection());
  await ada.flush();
}

async function keepsOut(t, broker, as) {
  const { tls } = as('ada').broker;
  await rejectsWith(newPeer(t, broker, { broker: { protocol: 'mqtts', tls } }).initialize(), 'ERR_BROKER_REJECTED');
  await rejectsWith(newPeer(t, broker, as('ada', PASSWORDS.ben)).initialize(), 'ERR_BROKER_REJECTED');
  await rejectsWith(newPeer(t, broker, as('nobody', PASSWORDS.ada)).initialize(), 'ERR_BROKER_REJECTED');
  const plain = { broker: { username: 'ada', password: PASSWORDS.ada, connectTimeoutMs: 700 } };
  await rejectsWith(newPeer(t, broker, plain).initialize(), 'ERR_BROKER_UNREACHABLE');
}

/** Gives what who is kept out was told. */
async function separates(t, broker, as) {
  const ada = await onePeer(t, broker, as('ada'));
  const { broker: options } = as('cleo');
  const cleo = newPeer(t, broker, { broker: { ...options, connectTimeoutMs: 5_000 } });
  const errors = [];
  cleo.on('error', (error) => errors.push(error));
  await cleo.initialize().catch((error) => errors.push(error));
  await until(() => errors.length > 0, 'cleo is told');
  await cleo.createCanvas(REPOSITORY, 'of-cleo', {}, 'cleo').catch(() => {});
  await ada.createCanvas(REPOSITORY, 'later', {}, 'ada');
  await ada.flush();
  assert.ok(!(await ada.listCanvases(REPOSITORY)).some(({ id }) => id === 'of-cleo'));
  assert.deepEqual(
    await cleo.listCanvases(REPOSITORY).then(
      (all) => all.filter(({ id }) => id !== 'of-cleo'),
      () => [],
    ),
    [],
  );
  return errors;
}

async function encrypts(t, broker, as) {
  const options = { ...encrypted(await newKey(t)), topicPrefix: 'secret-team', ...as('cleo') };
  const [one, two] = [await onePeer(t, broker, options), await onePeer(t, broker, options)];
  await one.createCanvas(REPOSITORY, CANVAS, { nodes: [{ id: 'a', x: 0 }] }, 'cleo');
  await untilListed(two, CANVAS);
  await untilEqual(one, two);
}
