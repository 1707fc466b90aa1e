import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { embedded, mosquitto, mosquittoTest } from './helpers/broker.mjs';
import { freePort } from './helpers/ports.mjs';
import { runNode, startNode } from './helpers/processes.mjs';
import { scoped } from './helpers/teardown.mjs';
import { onePeer, untilListed } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

const cli = (args, options) => runNode(['dist/mqtt-cli.js', ...args], options);
const urlOf = ({ host, port }) => `mqtt://${host}:${port}`;

/** A configuration file, removed after the test. */
function configFile(t, config) {
  const folder = mkdtempSync(join(tmpdir(), 'mqtt-p2p-cli-'));
  scoped(t).defer(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'config.json');
  writeFileSync(path, typeof config === 'string' ? config : JSON.stringify(config));
  return path;
}

describe('settings', () => {
  test('flags beat environment beats file beats defaults', async (t) => {
    const broker = await embedded(t);
    const dead = await freePort();
    const config = configFile(t, { broker: { host: '127.0.0.1', port: dead }, repositories: ['of-file'] });
    const environment = {
      MQTT_BROKER_HOST: broker.host,
      MQTT_BROKER_PORT: `${broker.port}`,
      MQTT_REPOSITORIES: 'of-env,two',
    };
    const once = ['monitor', '--once', '--json'];
    const seen = async (args, env = {}) => {
      const { code, stdout, stderr } = await cli([...once, ...args], { env });
      assert.equal(code, 0, stderr);
      const status = JSON.parse(stdout);
      return [status.broker.port, Object.keys(status.repositories).sort()];
    };
    assert.deepEqual(await seen(['--config', config], environment), [broker.port, ['of-env', 'two']]);
    const flags = ['--config', config, '--broker', urlOf(broker), '--repositories', 'of-flag'];
    assert.deepEqual(await seen(flags, { ...environment, MQTT_BROKER_PORT: `${dead}` }), [broker.port, ['of-flag']]);
    const working = configFile(t, { broker, repositories: ['of-file'] });
    assert.deepEqual(await seen(['--config', working]), [broker.port, ['of-file']]);
  });

  const wrong = [
    ['no command', []],
    ['an unknown command', ['sever']],
    ['an unknown option', ['health', '--jsn']],
    ['a broker that is no URL', ['health', '--broker', '//']],
    ['a scheme of another kind', ['health', '--broker', 'https://localhost']],
    ['no repository', ['health', '--repositories', ' , ']],
    ['an interval that is no number', ['monitor', '--interval', 'soon']],
    ['an interval of nothing', ['monitor', '--interval', '0']],
    ['a configuration that is not there', ['health', '--config', '/does/not/exist.json']],
    ['a port that is none', ['health'], { MQTT_BROKER_PORT: 'x' }],
  ];
  for (const [name, args, env] of wrong) {
    test(`${name} is wrong usage: status 2`, async () => {
      const { code, stdout, stderr } = await cli(args, { env });
      assert.equal(code, 2, stderr);
      assert.notEqual(stderr, '');
      assert.equal(stdout, '');
    });
  }

  test('a configuration with an unknown field, or that is no object, is wrong usage', async (t) => {
    for (const content of [{ brokers: {} }, '[]', '{']) {
      const { code, stderr } = await cli(['health', '--config', configFile(t, content)]);
      assert.equal(code, 2, stderr);
    }
  });

  test('help and version are no mistake', async () => {
    for (const args of [['--help'], ['--version'], ['server', '--help']]) {
      const { code, stdout } = await cli(args);
      assert.equal(code, 0);
      assert.notEqual(stdout, '');
    }
  });
});

describe('health', () => {
  test('tells a person and a program that all is well: status 0', async (t) => {
    const broker = urlOf(await embedded(t));
    const text = await cli(['health', '--broker', broker]);
    assert.equal(text.code, 0, text.stdout);
    assert.match(text.stdout, /healthy/);
    const json = await cli(['health', '--broker', broker, '--json']);
    assert.equal(JSON.parse(json.stdout).healthy, true);
  });

  test('a broker that is not there is unhealthy: status 1', async () => {
    const { code, stdout } = await cli(['health', '--json', '--broker', `mqtt://127.0.0.1:${await freePort()}`]);
    assert.equal(code, 1);
    assert.equal(JSON.parse(stdout).healthy, false);
  });

  mosquittoTest('a password is never printed', async (t) => {
    const broker = await mosquitto(t, ['allow_anonymous false', 'password_file {folder}/passwords'], { passwords: '' });
    const env = { MQTT_USERNAME: 'ada', MQTT_PASSWORD: 'hush-hush', DEBUG: 'mqtt:*' };
    const { code, stdout, stderr } = await cli(['health', '--broker', urlOf(broker)], { env });
    assert.equal(code, 1);
    assert.match(stdout, /ERR_BROKER_REJECTED/);
    assert.doesNotMatch(stdout + stderr, /hush-hush/);
  });
});

describe('server', () => {
  test('is a peer that stays on: a canvas is there when its author has gone', async (t) => {
    const port = await freePort();
    const server = startNode(t, [
      'dist/mqtt-cli.js',
      'server',
      '--listen',
      `127.0.0.1:${port}`,
      '--repositories',
      'team',
      '--json',
    ]);
    await until(() => /"ready"/.test(server.output()), 'the server is up');
    const broker = { host: '127.0.0.1', port };
    const ada = await onePeer(t, broker);
    await ada.createCanvas('team', 'kept', { nodes: [{ id: 'a' }] }, 'ada');
    await until(() => /"canvas-created"/.test(server.output()), 'the server has heard of it');
    await ada.disconnect();
    const ben = await onePeer(t, broker);
    await untilListed(ben, 'kept');
    const arrived = async () => (await ben.getCanvas('team', 'kept')).nodes.some(({ id }) => id === 'a');
    await until(arrived, 'the canvas arrived from the server');
  });

  test('a port that is taken is a failure: status 1', async (t) => {
    const { port } = await embedded(t);
    const { code, stderr } = await cli(['server', '--listen', `127.0.0.1:${port}`]);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`${port}`));
  });

  test('Ctrl-C ends it cleanly, a second one at once', async (t) => {
    const start = async () => {
      const server = startNode(t, ['dist/mqtt-cli.js', 'server', '--listen', `127.0.0.1:${await freePort()}`]);
      await until(() => /Ctrl-C/.test(server.output()), 'the server is up');
      return server;
    };
    const patient = await start();
    patient.kill('SIGINT');
    assert.deepEqual(await patient.ended, [0, null], patient.output());
    const hurried = await start();
    hurried.kill('SIGINT');
    hurried.kill('SIGTERM');
    const [code] = await hurried.ended;
    assert.ok(code === 0 || code === 130, `status ${code}`);
  });
});

describe('demo', () => {
  test('two processes end equal', async () => {
    const { code, stdout, stderr } = await cli(['demo', '--json']);
    assert.equal(code, 0, stdout + stderr);
    const { equal, authors } = JSON.parse(stdout);
    assert.match(equal.sha256, /^[0-9a-f]{64}$/);
    assert.ok(equal.nodes >= 187);
    for (const { edits, seenLive, p50 } of authors) assert.ok(edits > 300 && seenLive > 10 && p50 > 0);
  });

  test('is told in lines for people', async () => {
    const { code, stdout } = await cli(['demo']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /Ben saw it after/);
    assert.match(stdout, /equal: both hold/);
    assert.ok(!stdout.includes('\u001b'), 'no colours where it is no terminal');
  });
});
