// A password, a key and what is in files are searched for in everything that anybody could see.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { MQTTIntegrationService, startBroker } from '@mind-git/mqtt-p2p';
import { smallCanvas } from './helpers/canvases.mjs';
import { certificateAuthority } from './helpers/certificates.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { encrypted, newKey } from './helpers/keys.mjs';
import { freePort } from './helpers/ports.mjs';
import { runNode, startNode } from './helpers/processes.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

const PASSWORD = 'canary-password-4kd82j';
const cli = (args, options) => runNode(['dist/mqtt-cli.js', ...args], options);

/** A broker with TLS and a user; what a peer needs for it; and what must not be seen of all that. */
async function guarded(t) {
  const ca = certificateAuthority(t);
  const own = ca.issue('ada', { alternatives: [] });
  const { certFile, keyFile } = ca.issue('broker');
  const broker = await startBroker({ tls: { certFile, keyFile }, users: { ada: PASSWORD } });
  scoped(t).defer(() => broker.stop());
  const key = await newKey(t);
  const digits = readFileSync(key, 'utf8').split(' ')[1];
  const pem = [own.key, readFileSync(keyFile, 'utf8')].map((text) => text.split('\n')[2]);
  const canaries = [PASSWORD, encodeURIComponent(PASSWORD), digits, digits.slice(0, 24), ...pem];
  const clean = (shown, where) => {
    const text =
      typeof shown === 'string' ? shown : `${inspect(shown, { depth: 9, showHidden: true })}${JSON.stringify(shown)}`;
    for (const canary of canaries) assert.ok(!text.includes(canary), `${where} shows a secret: ${text}`);
  };
  const url = `mqtts://ada:${PASSWORD}@127.0.0.1:${broker.port}`;
  const tls = { caFile: ca.file, certFile: own.certFile, keyFile: own.keyFile };
  const flags = ['--tls-ca', ca.file, '--tls-cert', own.certFile, '--tls-key', own.keyFile, '--key-file', key];
  return { broker, url, tls, flags, key, clean };
}

test('no command prints a secret, whatever goes well or wrong, with all logs on', async (t) => {
  const { broker, url, flags, clean } = await guarded(t);
  const dead = await freePort();
  const folder = temporaryFolder(t);
  const config = join(folder, 'config.json');
  writeFileSync(config, `{ "broker": { "password": "${PASSWORD}" ${PASSWORD} } }`);
  const misplaced = join(folder, 'misplaced.json');
  writeFileSync(misplaced, JSON.stringify({ broker: url }));
  const env = { DEBUG: 'mqtt:*' };
  const common = ['--repositories', REPOSITORY, ...flags];
  const runs = [
    [0, ['health', '--broker', url, ...common]],
    [0, ['monitor', '--once', '--json', '--broker', url, ...common]],
    [0, ['canvases', '--json', '--broker', url, ...common]],
    [0, ['peers', '--wait', '100', '--broker', url, ...common]],
    [0, ['bench', '--messages', '20', '--payload', '100', '--broker', url, ...flags]],
    [0, ['client', '--memory', '--broker', url, ...common]],
    // Nobody there, no TLS, another password, no trust.
    [1, ['health', '--broker', url.replace(`:${broker.port}`, `:${dead}`), ...common]],
    [1, ['health', '--broker', url.replace('mqtts:', 'wss:'), ...common]],
    [1, ['health', '--broker', url.replace(PASSWORD, `${PASSWORD}x`), ...common]],
    [1, ['health', '--broker', url, '--repositories', REPOSITORY]],
    // Wrong usage.
    [2, ['health', '--broker', url.replace('mqtts:', 'mqtt:'), ...common]],
    [2, ['health', '--broker', url.replace('mqtts:', 'https:'), ...common]],
    [2, ['health', '--broker', url.replace('127.0.0.1', ''), ...common]],
    [2, ['health', '--broker', url.replace('127.0.0.1', '['), ...common]],
    [2, ['health', url, ...common]],
    [2, ['health', '--config', config]],
    [2, ['health', '--config', misplaced]],
  ];
  for (const [status, args] of runs) {
    const { code, stdout, stderr } = await cli(args, { env });
    assert.equal(code, status, stdout + stderr);
    clean(stdout + stderr, args.slice(0, 1).join(' '));
  }
});

test('what runs on shows none either: a server with its figures, and who listens to the broker', async (t) => {
  const { url, flags, clean } = await guarded(t);
  const env = { DEBUG: 'mqtt:*', MQTT_LOG_FORMAT: 'json' };
  const common = ['--json', '--broker', url, ...flags];
  const listener = startNode(t, ['dist/mqtt-cli.js', 'tail', ...common], { env });
  await until(() => listener.output().includes('connected'), 'it listens');
  const server = startNode(t, ['dist/mqtt-cli.js', 'server', '--memory', '--http', '127.0.0.1:0', ...common], { env });
  await until(() => server.output().includes('"ready"'), 'the server runs');
  await until(() => listener.output().includes('/peers/'), 'the server is heard');
  const [http] = /http:\/\/127\.0\.0\.1:\d+/.exec(server.output());
  for (const path of ['/metrics', '/health', '/']) clean(await (await fetch(http + path)).text(), path);
  clean(server.output(), 'the server');
  clean(listener.output(), 'tail');
});

test('a password in a URL is not in the list of processes while a command runs, nor printed back', async (t) => {
  const { url, flags, clean } = await guarded(t);
  const server = startNode(t, ['dist/mqtt-cli.js', 'server', '--json', '--memory', '--broker', url, ...flags]);
  await until(() => server.output().includes('"ready"'), 'the server runs');
  clean(server.output(), 'the server');
  const ready = JSON.parse(
    server
      .output()
      .split('\n')
      .find((line) => line.includes('"ready"')),
  );
  assert.equal(ready.broker, new URL(url).href.replace(/\/\/.*@/, '//'));
  if (process.platform !== 'linux') return;
  clean(readFileSync(`/proc/${server.pid}/cmdline`, 'latin1'), 'its command line');
  clean(readFileSync(`/proc/${server.pid}/comm`, 'latin1'), 'its title');
});

test('a service shows no secret in itself, its status, errors, events and reports', async (t) => {
  const { broker, tls, key, clean } = await guarded(t);
  const given = { protocol: 'mqtts', tls, username: 'ada', password: PASSWORD };
  const peer = newPeer(t, broker, { ...encrypted(key), broker: given, storage: { path: temporaryFolder(t) } });
  const events = [];
  for (const name of ['error', 'connected', 'disconnected', 'reconnecting', 'canvas-created', 'peer-discovered']) {
    peer.on(name, (event) => events.push(event, event.stack));
  }
  await peer.initialize();
  await peer.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  const other = await onePeer(t, broker, { ...encrypted(await newKey(t)), broker: given });
  await nextEvent(other, 'error');
  const wrong = newPeer(t, broker, { broker: { ...given, password: `${PASSWORD}x` } });
  const refused = await wrong.initialize().then(assert.fail, (error) => error);
  const shown = [
    peer,
    broker,
    peer.getNetworkStatus(),
    peer.getAllRepositoryStatuses(),
    await peer.healthCheck(),
    wrong.getNetworkStatus(),
    refused.stack,
    await peer.getCanvas(REPOSITORY, 'none').catch((error) => error.stack),
  ];
  await broker.stop();
  await until(() => !peer.getNetworkStatus().connected, 'the broker is gone');
  clean([...shown, peer.getNetworkStatus(), events], 'the service');
});

describe('what is in the wrong place is refused without being shown:', () => {
  const url = `mqtt://ada:${PASSWORD}@localhost`;
  const wrong = [
    ['a URL as the broker', { broker: url }],
    ['a URL as the host', { broker: { host: url } }],
    ['a URL as the protocol', { broker: { protocol: url } }],
    ['a password as the port', { broker: { port: PASSWORD } }],
    ['a password without a user', { broker: { password: PASSWORD } }],
    ['a list of passwords', { broker: { username: 'ada', password: [PASSWORD] } }],
    ['a password as TLS', { broker: { protocol: 'mqtts', tls: PASSWORD } }],
    ['a key as encryption', { encryption: PASSWORD }],
    ['a key as a switch', { features: { encryption: PASSWORD } }],
  ];
  for (const [name, options] of wrong) {
    test(name, () => {
      const config = { repositories: [REPOSITORY], broker: {}, ...options };
      assert.throws(
        () => new MQTTIntegrationService(config),
        ({ code, stack }) => code === 'ERR_CONFIG_INVALID' && !stack.includes(PASSWORD),
      );
    });
  }

  test('users of the embedded broker', async () => {
    for (const users of [PASSWORD, [PASSWORD], { ada: [PASSWORD] }, { ada: { password: PASSWORD } }]) {
      const error = await startBroker({ users }).then(assert.fail, (error) => error);
      assert.equal(error.code, 'ERR_CONFIG_INVALID');
      assert.ok(!error.stack.includes(PASSWORD), error.stack);
    }
  });
});
