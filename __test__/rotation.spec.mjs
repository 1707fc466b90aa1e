import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connectAsync } from 'mqtt';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { encrypted, newKey } from './helpers/keys.mjs';
import { runNode, startEditor } from './helpers/processes.mjs';
import { keyHolder } from './helpers/sealed.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

const cli = (args, options) => runNode(['dist/mqtt-cli.js', ...args], { deadlineMs: 60_000, ...options });
const idOf = (peer) => peer.getNetworkStatus().peerId;
const epochOf = (peer) => peer.getRepositoryStatus(REPOSITORY).epoch;
const untilEpoch = (epoch, ...peers) =>
  until(() => peers.every((peer) => epochOf(peer) === epoch), `all are in epoch ${epoch}`);
const move = (peer, x) => peer.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'a', x }] } }, 'ada');
const untilAt = (peer, x) =>
  until(async () => {
    const canvas = await peer.getCanvas(REPOSITORY, CANVAS).catch(() => ({ nodes: [] }));
    return canvas.nodes.some((node) => node.id === 'a' && node.x === x);
  }, `it is at ${x}`);
const keyErrors = (peer) => {
  const errors = [];
  peer.on('error', (error) => errors.push(error));
  return errors;
};

/** The options of a peer that stays who it is. */
const stored = (t, keyFile) => ({ ...encrypted(keyFile), storage: { path: temporaryFolder(t) } });

eachBroker(
  'a listener with the old key opens nothing of what real processes do with the new one',
  async (t, broker) => {
    const key = await newKey(t);
    const newKeyFile = join(temporaryFolder(t), 'new.key');
    const client = await connectAsync(`mqtt://${broker.host}:${broker.port}`, { protocolVersion: 4 });
    scoped(t).defer(() => client.endAsync());
    const heard = [];
    client.on('message', (topic, payload) => heard.push({ topic, payload }));
    await client.subscribeAsync('#');

    const { host, port } = broker;
    const editors = ['ada', 'ben'].map((name) => startEditor(t, { name, broker: { host, port }, ...stored(t, key) }));
    await Promise.all(editors.map((editor) => editor.started));
    const [ada, ben] = editors;
    const cleo = await onePeer(t, broker, encrypted(key));
    const told = keyErrors(cleo);
    await ada.ask('create', { canvas: smallCanvas() });
    await Promise.all([ben.ask('listed'), untilListed(cleo, CANVAS)]);
    const ids = await Promise.all(editors.map(async (editor) => (await editor.ask('status')).peerId));

    const args = ['--broker', `mqtt://${host}:${port}`, '--repositories', REPOSITORY, '--key-file', key];
    const options = { env: { DEBUG: 'mqtt:*' } };
    const rotated = await cli(['rotate-key', ...args, '--for', ids.join(), '--out', newKeyFile, '--json'], options);
    assert.equal(rotated.code, 0, rotated.stderr);
    assert.deepEqual(JSON.parse(rotated.stdout), {
      repository: REPOSITORY,
      epoch: 1,
      recipients: ids,
      leftOut: [idOf(cleo)],
      keyFile: newKeyFile,
    });
    const digits = readFileSync(newKeyFile, 'utf8').split(' ')[2];
    assert.ok(!(rotated.stdout + rotated.stderr).includes(digits));
    const epoch = async (editor) => (await editor.ask('status')).repositories[REPOSITORY].epoch;
    await until(async () => (await epoch(ada)) === 1 && (await epoch(ben)) === 1, 'both have the new key');
    await until(() => told.length > 0, 'who was left out is told');

    const [before, from] = [heard.length, await cleo.getCanvas(REPOSITORY, CANVAS)];
    await ada.ask('edits', { count: 50, ids: ['a'] });
    await ben.ask('edits', { count: 50, ids: ['a'] });
    const digest = async (editor) => (await editor.ask('look', {})).digest;
    await until(async () => (await digest(ada)) === (await digest(ben)), 'both have the same');
    await move(cleo, 4711);
    await cleo.flush();

    const [old, fresh] = [key, newKeyFile].map((file) => keyHolder(file, REPOSITORY));
    const opens = (holder, messages) =>
      messages.map(({ topic, payload }) => holder.open(topic, payload)).filter(Boolean);
    const stay = opens(fresh, heard).map(({ sender }) => sender);
    assert.ok(opens(old, heard.slice(0, before)).length > 10, 'before, the old key opens what is sent');
    for (const what of ['changes', 'sync']) {
      const now = opens(fresh, heard);
      assert.ok(
        now.some(({ plainTopic }) => plainTopic.endsWith(`/${what}`)),
        `the new key opens ${what}`,
      );
    }
    for (const { sender, plainTopic } of opens(old, heard.slice(before))) {
      // Who was left out goes on alone; the others say there what replaced the key, and nothing else.
      assert.ok(!stay.includes(sender) || plainTopic.endsWith('/epoch'), `the old key opens ${plainTopic}`);
    }
    const left = await cleo.getCanvas(REPOSITORY, CANVAS);
    assert.deepEqual(
      { ...left.nodes.find(({ id }) => id === 'a'), x: 0 },
      { ...from.nodes.find(({ id }) => id === 'a'), x: 0 },
    );
    assert.equal(told.length, 1);
    assert.equal(told[0].code, 'ERR_ENCRYPTION_KEY');
    assert.match(told[0].message, /'team' has been replaced \(epoch 1\).*ask them for the new key/);

    const tooLate = await cli(['rotate-key', ...args, '--for', ids.join()]);
    assert.equal(tooLate.code, 1);
    assert.match(tooLate.stderr, /ERR_ENCRYPTION_KEY: .*has been replaced/);

    const late = await onePeer(t, broker, encrypted(newKeyFile));
    await untilListed(late, CANVAS);
    assert.equal(epochOf(late), 1);
  },
);

describe('the new key', () => {
  test('comes to recipients that are away, is there after a restart, and is counted on', async (t) => {
    const broker = await embedded(t);
    const key = await newKey(t);
    const [one, two] = [stored(t, key), stored(t, key)];
    const ada = await onePeer(t, broker, one);
    let ben = await onePeer(t, broker, two);
    await ada.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
    await untilListed(ben, CANVAS);
    const recipients = [idOf(ben)];
    await ben.disconnect();
    const told = nextEvent(ada, 'key-rotated');
    assert.deepEqual(await ada.rotateKey(REPOSITORY, { recipients }), { epoch: 1 });
    assert.deepEqual(await told, { repository: REPOSITORY, epoch: 1, peerId: idOf(ada) });
    await move(ada, 7);
    ben = newPeer(t, broker, two);
    const errors = keyErrors(ben);
    await ben.initialize();
    await untilAt(ben, 7);
    assert.deepEqual(await ada.rotateKey(REPOSITORY, { recipients }), { epoch: 2 });
    await untilEpoch(2, ada, ben);
    assert.deepEqual(errors, []);

    await Promise.all([ada.disconnect(), ben.disconnect()]);
    const folder = join(two.storage.path, 'epochs');
    assert.equal(readdirSync(folder).length, 2);
    if (process.platform !== 'win32') {
      for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
    }
    const again = await onePeer(t, broker, two);
    assert.equal(epochOf(again), 2);
    await again.disconnect();
    const [damaged] = readdirSync(folder);
    writeFileSync(join(folder, damaged), 'nothing');
    await rejectsWith(newPeer(t, broker, two).initialize(), 'ERR_ENCRYPTION_KEY', /damaged/);
  });

  test('is in the file that was asked for, which counts on; who was left out can replace nothing', async (t) => {
    const broker = await embedded(t);
    const key = await newKey(t);
    const file = join(temporaryFolder(t), 'new.key');
    const ada = await onePeer(t, broker, encrypted(key));
    const mallory = await onePeer(t, broker, encrypted(key));
    await ada.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
    const told = nextEvent(mallory, 'error');
    await ada.rotateKey(REPOSITORY, { recipients: [], keyFile: file });
    assert.match(readFileSync(file, 'utf8'), /^mqtt-p2p-key-2 1 [0-9a-f]{64} [0-9a-f]{8}\n$/);
    if (process.platform !== 'win32') assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal((await told).code, 'ERR_ENCRYPTION_KEY');
    const ben = await onePeer(t, broker, encrypted(file));
    await untilListed(ben, CANVAS);
    assert.deepEqual(await ben.rotateKey(REPOSITORY, { recipients: [idOf(ada)] }), { epoch: 2 });
    await untilEpoch(2, ada, ben);
    const attempt = mallory.rotateKey(REPOSITORY, { recipients: [idOf(mallory), idOf(ada)] });
    await rejectsWith(attempt, 'ERR_ENCRYPTION_KEY', /has been replaced/);
  });

  test('is refused, with a reason, and then nothing was replaced', async (t) => {
    const broker = await embedded(t);
    const key = await newKey(t);
    const plain = await onePeer(t, broker);
    assert.equal(epochOf(plain), null);
    await rejectsWith(plain.rotateKey(REPOSITORY, { recipients: [] }), 'ERR_FEATURE_DISABLED', /encryption/);
    const ada = await onePeer(t, broker, { ...encrypted(key), repositories: [REPOSITORY, 'other'] });
    await ada.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
    const file = join(temporaryFolder(t), 'new.key');
    // A multibase text of the right form, whose bytes are no point of the curve.
    const nobody = 'z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP';
    const refused = [
      [{ recipients: ['ben'] }, /no.* peer id/],
      [{ recipients: [nobody], keyFile: file }, /no peer id/],
      [{ recipients: [], keyFile: key }, /exists already/],
    ];
    for (const [options, message] of refused) {
      await rejectsWith(ada.rotateKey(REPOSITORY, options), 'ERR_ENCRYPTION_KEY', message);
    }
    assert.ok(!existsSync(file));
    assert.equal(epochOf(ada), 0);
    await rejectsWith(ada.rotateKey('none', { recipients: [] }), 'ERR_REPOSITORY_UNKNOWN');
    await ada.rotateKey(REPOSITORY, { recipients: [] });
    await rejectsWith(ada.shareCanvas(REPOSITORY, CANVAS, 'elsewhere'), 'ERR_ENCRYPTION_KEY', /has been replaced/);
  });
});

test('rotate-key says what is wrong with its options', async () => {
  const peer = 'z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP';
  const wrong = [
    [[], /--for/],
    [['--for', 'ben', '--repositories', 'team'], /Expected peer ids/],
    [['--for', peer], /name the repositories/],
    [['--for', peer, '--repositories', 'a,b', '--out', 'k'], /--out is for one repository/],
  ];
  const outcomes = await Promise.all(wrong.map(([args]) => cli(['rotate-key', ...args])));
  for (const [at, { code, stderr }] of outcomes.entries()) {
    assert.equal(code, 2, stderr);
    assert.match(stderr, wrong[at][1]);
  }
});
