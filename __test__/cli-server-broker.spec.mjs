// The embedded broker of `server`, with what the API's `startBroker` has: TLS, users, rules. And passwords from files.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startBroker } from '@mind-git/mqtt-p2p';
import { certificateAuthority } from './helpers/certificates.mjs';
import { cli, cliJson, interrupt, lineOf, startCli } from './helpers/cli.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { scoped } from './helpers/teardown.mjs';
import { newPeer, onePeer, rejectsWith } from './helpers/two-peers.mjs';

const SERVER = ['server', '--memory', '--repositories', 'team', '--json', '--listen', '127.0.0.1:0'];
const USERS = { ada: 'canary-one', ben: 'canary-two' };
const TEAM = ['mind-git/v1/team/#', 'mind-git/v1/will/+', 'mind-git/v1/probe/+'];

/** A running server, and where its broker is. */
async function serve(t, args, options) {
  const server = startCli(t, [...SERVER, ...args], options);
  const ready = await lineOf(server, ({ event }) => event === 'ready', 'the server is up');
  const { hostname: host, port } = new URL(ready.broker);
  return { server, ready, broker: { host, port: Number(port) } };
}

/** A JSON file; gives its path. */
function jsonFile(t, value) {
  const path = join(temporaryFolder(t, 'json'), 'file.json');
  writeFileSync(path, JSON.stringify(value), { mode: 0o600 });
  return path;
}

describe('server --listen-tls-cert, --users-file and --rules-file', () => {
  test('take who has a password, over TLS, for what the rules allow, and nobody else', async (t) => {
    const ca = certificateAuthority(t);
    const { certFile, keyFile } = ca.issue('broker');
    const rules = [{ users: ['ada'], publish: TEAM, subscribe: TEAM }];
    const files = ['--users-file', jsonFile(t, USERS), '--rules-file', jsonFile(t, rules)];
    const tls = ['--listen-tls-cert', certFile, '--listen-tls-key', keyFile, '--tls-ca', ca.file];
    const { server, ready, broker } = await serve(t, [...tls, ...files, '--websocket-listen', '0']);
    assert.match(ready.broker, /^mqtts:/);
    assert.match(ready.websocket, /^wss:/);

    const as = (username, password = USERS[username]) => ({
      broker: { protocol: 'mqtts', tls: { caFile: ca.file }, username, password },
    });
    const ada = await onePeer(t, broker, as('ada'));
    await ada.createCanvas('team', 'plan', { nodes: [{ id: 'a' }] }, 'Ada');
    // The server's own peer has a user of its own, which the rules need not name.
    await lineOf(
      server,
      ({ event, canvasId }) => event === 'canvas-created' && canvasId === 'plan',
      'it has the canvas',
    );

    await rejectsWith(newPeer(t, broker, as('ada', 'wrong')).initialize(), 'ERR_BROKER_REJECTED');
    await rejectsWith(newPeer(t, broker, as('ben')).initialize(), 'ERR_BROKER_REJECTED');
    const { broker: anonymous } = as();
    await rejectsWith(
      newPeer(t, broker, { broker: { ...anonymous, username: undefined } }).initialize(),
      'ERR_BROKER_REJECTED',
    );
    const plain = newPeer(t, broker, { broker: { connectTimeoutMs: 700 } });
    await rejectsWith(plain.initialize(), 'ERR_BROKER_UNREACHABLE');
    await interrupt(server);
    assert.doesNotMatch(server.output(), /canary/);
  });

  test('ask for certificates where they are told to, and the server shows its own', async (t) => {
    const ca = certificateAuthority(t);
    // For no name of this machine: the server's own peer takes the name from the certificate.
    const { certFile, keyFile } = ca.issue('broker', { alternatives: [{ type: 2, value: '*.example.org' }] });
    const own = ca.issue('server', { alternatives: [] });
    const { broker } = await serve(t, [
      ...['--listen-tls-cert', certFile, '--listen-tls-key', keyFile, '--listen-tls-client-ca', ca.file],
      ...['--tls-ca', ca.file, '--tls-cert', own.certFile, '--tls-key', own.keyFile],
    ]);
    const tls = { caFile: ca.file, serverName: 'broker.example.org' };
    await rejectsWith(newPeer(t, broker, { broker: { protocol: 'mqtts', tls } }).initialize(), 'ERR_BROKER_REJECTED');
    const shown = { ...tls, certFile: own.certFile, keyFile: own.keyFile };
    await onePeer(t, broker, { broker: { protocol: 'mqtts', tls: shown } });
  });

  test('the environment may name the user of the server’s own peer', async (t) => {
    const env = { MQTT_USERNAME: 'ada', MQTT_PASSWORD: USERS.ada };
    const { ready } = await serve(t, ['--users-file', jsonFile(t, USERS)], { env });
    const { peers } = await cliJson(['peers', '--broker', ready.broker, '--repositories', 'team'], {
      env: { MQTT_USERNAME: 'ben', MQTT_PASSWORD: USERS.ben },
    });
    assert.equal(peers[0].id, ready.peerId);
  });

  test('are wrong usage where they do not fit together, or hold no JSON, of which nothing is printed', async (t) => {
    const ca = certificateAuthority(t);
    const { certFile } = ca.issue('broker');
    const notJson = jsonFile(t, 0);
    writeFileSync(notJson, '{ "ada": canary }');
    for (const args of [
      ['--listen-tls-cert', certFile],
      ['--listen-tls-client-ca', ca.file],
      ['--users-file', notJson],
      ['--users-file', join(notJson, 'absent')],
      ['--users-file', jsonFile(t, { ada: 5 })],
      ['--rules-file', notJson],
      ['--rules-file', jsonFile(t, {})],
      ['--broker', 'mqtt://127.0.0.1:1', '--users-file', jsonFile(t, USERS)],
    ]) {
      const { code, stdout, stderr } = await cli([...SERVER, ...args]);
      assert.equal(code, 2, `${args}: ${stderr}`);
      assert.doesNotMatch(stdout + stderr, /canary/);
      assert.match(stderr, /--(listen-tls|users-file|rules-file)/);
    }
  });
});

describe('MQTT_PASSWORD_FILE', () => {
  test('holds the password', async (t) => {
    const broker = await startBroker({ users: USERS });
    scoped(t).defer(() => broker.stop());
    const file = join(temporaryFolder(t, 'password'), 'password');
    writeFileSync(file, `${USERS.ada}\n`);
    const run = (env) =>
      cli(['peers', '--broker', broker.url, '--wait', '1'], { env: { MQTT_USERNAME: 'ada', ...env } });
    assert.equal((await run({ MQTT_PASSWORD_FILE: file })).code, 0);
    assert.equal((await run({ MQTT_PASSWORD_FILE: file, MQTT_PASSWORD: 'canary' })).code, 2);
    const absent = await run({ MQTT_PASSWORD_FILE: `${file}.absent` });
    assert.equal(absent.code, 2);
    assert.match(absent.stderr, /MQTT_PASSWORD_FILE: .*absent/);
    writeFileSync(file, 'wrong');
    assert.match((await run({ MQTT_PASSWORD_FILE: file })).stderr, /ERR_BROKER_REJECTED/);
  });
});
