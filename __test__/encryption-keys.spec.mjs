import assert from 'node:assert/strict';
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createKeyFile, MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { connectAsync } from 'mqtt';
import { embedded, mosquitto, mosquittoTest } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { encrypted, newKey } from './helpers/keys.mjs';
import { runNode } from './helpers/processes.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

const cli = (args, options) => runNode(['dist/mqtt-cli.js', ...args], options);
const urlOf = ({ host, port }) => `mqtt://${host}:${port}`;
const NOWHERE = { host: '127.0.0.1', port: 1 };

describe('keygen', () => {
  test('makes a key for its owner alone, says what to do with it, and never overwrites', async (t) => {
    const path = join(temporaryFolder(t), 'team.key');
    const first = await cli(['keygen', path]);
    assert.equal(first.code, 0, first.stderr);
    const text = readFileSync(path, 'utf8');
    assert.match(text, /^mqtt-p2p-key-1 [0-9a-f]{64} [0-9a-f]{8}\n$/);
    if (process.platform !== 'win32') assert.equal(statSync(path).mode & 0o777, 0o600);
    for (const word of ['--key-file', 'MQTT_KEY_FILE', '"encryption": true'])
      assert.ok(first.stdout.includes(word), word);
    assert.ok(!first.stdout.includes(text.split(' ')[1]));
    const second = await cli(['keygen', path]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /ERR_ENCRYPTION_KEY: .*exists already/);
    assert.equal(readFileSync(path, 'utf8'), text);
    await rejectsWith(createKeyFile(path), 'ERR_ENCRYPTION_KEY', /exists already/);
    await rejectsWith(createKeyFile(join(path, 'below-a-file')), 'ERR_ENCRYPTION_KEY', /cannot be used/);
  });

  test('prints JSON; two keys differ', async (t) => {
    const folder = temporaryFolder(t);
    const [one, two] = await Promise.all(
      ['one', 'two'].map(
        async (name) => JSON.parse((await cli(['keygen', '--json', join(folder, name)])).stdout).keyFile,
      ),
    );
    assert.notEqual(readFileSync(one, 'utf8'), readFileSync(two, 'utf8'));
  });
});

describe('configuration', () => {
  const valid = { broker: {}, repositories: [REPOSITORY] };
  const wrong = [
    ['a key without the feature', { encryption: { keyFile: 'k' } }, /encryption\.keyFile needs features\.encryption/],
    [
      "a repository's key without the feature",
      { repositories: [{ name: 'a', keyFile: 'k' }] },
      /repositories\[0\]\.keyFile/,
    ],
    ['no file', { features: { encryption: true }, encryption: { keyFile: '' } }, /encryption\.keyFile must name/],
    ['a key of no file', { features: { encryption: true }, encryption: {} }, /encryption must name a keyFile/],
    ['an unknown field', { features: { encryption: true }, encryption: { keyFile: 'k', key: 'x' } }, /encryption\.key/],
    [
      'messages too small for names',
      { features: { encryption: true }, encryption: { keyFile: 'k' }, performance: { maxMessageSize: 4096 } },
      /maxMessageSize must be 8192/,
    ],
  ];
  for (const [name, part, message] of wrong) {
    test(`${name} is refused, naming the field`, () => {
      const config = { ...valid, ...part };
      assert.throws(() => new MQTTIntegrationService(config), { code: 'ERR_CONFIG_INVALID', message });
    });
  }

  test('without a key, a service is made and refuses to connect', async (t) => {
    const broker = await embedded(t);
    const peer = newPeer(t, broker, { features: { encryption: true } });
    await rejectsWith(peer.initialize(), 'ERR_ENCRYPTION_KEY', /'team' has no key.*keygen/);
    const own = newPeer(t, broker, {
      features: { encryption: true },
      repositories: [{ name: 'a', keyFile: await newKey(t) }, 'b'],
    });
    await rejectsWith(own.initialize(), 'ERR_ENCRYPTION_KEY', /'b' has no key/);
  });
});

describe('a key file', () => {
  const broken = [
    ['that is missing', (path) => rmSync(path), /does not exist.*keygen/],
    ['that was cut off', (path) => writeFileSync(path, readFileSync(path, 'utf8').slice(0, 60)), /cut off/],
    ['that is empty', (path) => writeFileSync(path, ''), /no key of mqtt-p2p/],
    ['of something else', (path) => writeFileSync(path, '-----BEGIN OPENSSH PRIVATE KEY-----'), /no key of mqtt-p2p/],
    ['of bytes', (path) => writeFileSync(path, Buffer.alloc(32, 0xff)), /no key of mqtt-p2p/],
    [
      'in which one digit differs',
      (path) => {
        const text = readFileSync(path, 'utf8');
        writeFileSync(
          path,
          text.replace(/ (.)/, (_, digit) => ` ${digit === '0' ? '1' : '0'}`),
        );
      },
      /checksum/,
    ],
    ...(process.platform === 'win32'
      ? []
      : [
          ['that the group can read', (path) => chmodSync(path, 0o640), /mode 0640.*chmod 600/],
          ['that all can write', (path) => chmodSync(path, 0o602), /mode 0602/],
        ]),
  ];
  for (const [name, spoil, message] of broken) {
    test(`${name} is refused by initialize(), which can be called again`, async (t) => {
      const broker = await embedded(t);
      const path = await newKey(t);
      const secret = readFileSync(path, 'utf8').split(' ')[1];
      spoil(path);
      const peer = newPeer(t, broker, encrypted(path));
      const error = await rejectsWith(peer.initialize(), 'ERR_ENCRYPTION_KEY', message);
      assert.ok(error.message.includes(path));
      assert.ok(!error.message.includes(secret.slice(1, 20)));
      rmSync(path, { force: true });
      await createKeyFile(path);
      await peer.initialize();
    });
  }
});

describe('command line', () => {
  test('--key-file and MQTT_KEY_FILE turn encryption on; the flag beats the environment', async (t) => {
    const broker = await embedded(t);
    const [key, other] = [await newKey(t), await newKey(t)];
    const peer = await onePeer(t, broker, encrypted(key));
    let met = 0;
    peer.on('peer-discovered', () => met++);
    const run = async (args, env) => {
      const flags = ['--once', '--broker', urlOf(broker), '--repositories', REPOSITORY, ...args];
      const { code, stderr } = await cli(['monitor', ...flags], { env });
      assert.equal(code, 0, stderr);
    };
    await run([]);
    await run(['--key-file', other]);
    await run(['--key-file', other], { MQTT_KEY_FILE: key });
    assert.equal(met, 0);
    await run(['--key-file', key]);
    await until(() => met === 1, 'who has the key by a flag is met');
    await run([], { MQTT_KEY_FILE: key });
    await until(() => met === 2, 'who has it by the environment is met');
    await run(['--key-file', key], { MQTT_KEY_FILE: other });
    await until(() => met === 3, 'the flag beats the environment');
    const missing = await cli([
      'monitor',
      '--once',
      '--broker',
      urlOf(broker),
      '--key-file',
      join(temporaryFolder(t), 'none.key'),
    ]);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /ERR_ENCRYPTION_KEY.*does not exist/);
  });
});

mosquittoTest('neither the key nor the password is in any output, log, status, error or event', async (t) => {
  const password = 'canary-password-8fjw2k';
  const lines = ['allow_anonymous true'];
  const broker = await mosquitto(t, lines);
  const key = await newKey(t);
  const digits = readFileSync(key, 'utf8').split(' ')[1];
  const canaries = [
    password,
    digits,
    digits.slice(0, 24),
    digits.slice(-24),
    Buffer.from(digits, 'hex').toString('base64'),
  ];
  const clean = (text, where) => {
    for (const canary of canaries) assert.ok(!text.includes(canary), `${where} shows a secret`);
  };
  const env = { DEBUG: 'mqtt:*', MQTT_USERNAME: 'ada', MQTT_PASSWORD: password };
  const common = ['--repositories', REPOSITORY, '--key-file', key];
  const there = ['--broker', urlOf(broker), ...common];
  const outputs = await Promise.all([
    cli(['health', ...there], { env }),
    cli(['monitor', '--once', '--json', ...there], { env }),
    cli(['test', '--duration', '1', ...there], { env }),
    cli(['client', '--memory', ...there], { env }),
    cli(['health', '--broker', urlOf(NOWHERE), ...common], { env }),
    cli(['health', '--broker', '//', ...common], { env }),
  ]);
  for (const { stdout, stderr } of outputs) clean(stdout + stderr, 'a command');

  const options = { ...encrypted(key), broker: { username: 'ada', password }, storage: { path: temporaryFolder(t) } };
  const peer = await onePeer(t, broker, options);
  const events = [];
  for (const name of ['error', 'connected', 'disconnected', 'canvas-created'])
    peer.on(name, (event) => events.push(event));
  await peer.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  const wrong = await onePeer(t, broker, encrypted(await newKey(t)));
  await nextEvent(wrong, 'error');
  const shown = [
    peer.getNetworkStatus(),
    peer.getAllRepositoryStatuses(),
    await peer.healthCheck(),
    peer.validateConfig({ broker: options.broker, repositories: [''], encryption: { keyFile: key } }),
    await peer.getCanvas(REPOSITORY, 'none').catch((error) => error.message),
    events.map((event) => ({ ...event, message: event.message })),
  ];
  clean(JSON.stringify(shown), 'the service');
});

describe('npm run demo:encrypted', () => {
  test('shows two peers edit, and finds nothing where it finds everything without a key', async () => {
    const { code, stdout, stderr } = await cli(['demo-encrypted'], { deadlineMs: 60_000 });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /nothing found/);
    assert.match(stdout, /mind-git\/v1\/[0-9a-f]{32}\/canvas\/[0-9a-f]{32}\/[0-9a-f]{32}\/changes {2}\d+ × \d+ bytes/);
    const json = JSON.parse((await cli(['demo-encrypted', '--json'], { deadlineMs: 60_000 })).stdout);
    assert.deepEqual([json.encrypted, json.plain], [[], json.looked]);
    assert.ok(json.overheard.length > 10);
  });

  test('fails when something is found', async (t) => {
    const broker = await embedded(t);
    const client = await connectAsync(urlOf(broker), { protocolVersion: 4 });
    scoped(t).defer(() => client.endAsync());
    client.once('message', (topic) =>
      client.publish(`${topic.split('/v1/')[0]}/leak`, 'in orchard-launch all is open'),
    );
    await client.subscribeAsync('mind-git/#');
    const { code, stderr } = await cli(['demo-encrypted', '--broker', urlOf(broker)], { deadlineMs: 60_000 });
    assert.equal(code, 1);
    assert.match(stderr, /found orchard-launch/);
  });
});
