import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { freePort } from './helpers/ports.mjs';
import { ROOT, runNode, startNode } from './helpers/processes.mjs';
import { onePeer, untilListed } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

const cli = (args, options) => runNode(['dist/mqtt-cli.js', ...args], options);
const urlOf = ({ host, port }) => `mqtt://${host}:${port}`;
const SERVER = ['dist/mqtt-cli.js', 'server', '--repositories', 'team', '--json'];

/** A running `mqtt-p2p server` with a broker of its own, and what it said when it was ready. */
async function startServer(t, args = [], env = {}) {
  const port = await freePort();
  const server = startNode(t, [...SERVER, '--listen', `127.0.0.1:${port}`, ...args], { env });
  const line = () => /^.*"ready".*$/m.exec(server.output())?.[0];
  const ready = JSON.parse(await until(line, `the server is up; it said: ${server.output()}`));
  return { server, ready, broker: { host: '127.0.0.1', port } };
}

test('a server that was killed has all canvases when it starts again, and is the same peer', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'made', 'on the way');
  const first = await startServer(t, ['--data-dir', path]);
  assert.equal(first.ready.dataDir, path);
  const ada = await onePeer(t, first.broker);
  await ada.createCanvas('team', 'kept', { nodes: [{ id: 'a' }] }, 'ada');
  await until(() => /"canvas-created"/.test(first.server.output()), 'the server has heard of it');
  await ada.disconnect();
  first.server.kill('SIGKILL');
  await first.server.ended;

  const second = await startServer(t, [], { MQTT_DATA_DIR: path });
  assert.equal(second.ready.peerId, first.ready.peerId);
  const ben = await onePeer(t, second.broker);
  await untilListed(ben, 'kept');
  const arrived = async () => (await ben.getCanvas('team', 'kept')).nodes.some(({ id }) => id === 'a');
  await until(arrived, 'the canvas arrived from the server');
});

test('a second server on the same directory is told what to do: status 1', async (t) => {
  const path = temporaryFolder(t);
  await startServer(t, ['--data-dir', path]);
  const second = ['server', '--listen', `127.0.0.1:${await freePort()}`, '--data-dir', path];
  const { code, stderr } = await cli(second);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /ERR_STORAGE_LOCKED/);
  assert.match(stderr, /--data-dir.*--memory/);
});

test('--memory leaves nothing on disk', async (t) => {
  const base = temporaryFolder(t);
  const env = { XDG_DATA_HOME: base, LOCALAPPDATA: base, HOME: base };
  const { ready } = await startServer(t, ['--memory'], env);
  assert.equal(ready.dataDir, null);
  assert.deepEqual(readdirSync(base), []);
});

test('by default a server and a client have directories of their own, and work at the same time', async (t) => {
  const base = temporaryFolder(t);
  const env = { XDG_DATA_HOME: base, LOCALAPPDATA: base, HOME: base };
  const { ready, broker } = await startServer(t, [], env);
  assert.ok(ready.dataDir.startsWith(base), ready.dataDir);
  assert.ok(existsSync(ready.dataDir));
  const { code, stderr } = await cli(['client', '--broker', urlOf(broker)], { env });
  assert.equal(code, 0, stderr);
  const kept = readdirSync(base, { recursive: true }).filter((path) => /(server|client)[\\/][^\\/]+$/.test(path));
  assert.equal(kept.length, 2, kept.join());
});

test('probes store nothing, not even with the configuration file of a running server', async (t) => {
  const folder = temporaryFolder(t);
  const port = await freePort();
  const path = join(folder, 'data');
  const config = join(folder, 'config.json');
  const content = { broker: { host: '127.0.0.1', port }, repositories: ['team'], storage: { path } };
  writeFileSync(config, JSON.stringify(content));
  const broker = await embedded(t, port);
  const server = startNode(t, ['dist/mqtt-cli.js', 'server', '--config', config, '--json']);
  await until(() => /"ready"/.test(server.output()), 'the server is up');
  assert.ok(existsSync(path));
  for (const probe of [['health'], ['monitor', '--once'], ['test', '--duration', '1']]) {
    const { code, stdout, stderr } = await cli([...probe, '--config', config, '--broker', urlOf(broker)]);
    assert.doesNotMatch(stdout + stderr, /ERR_/);
    if (probe[0] !== 'test') assert.equal(code, 0, stderr);
  }
});

test('--data-dir and --memory exclude each other: status 2', async () => {
  for (const command of ['server', 'client']) {
    const { code, stderr } = await cli([command, '--memory', '--data-dir', 'x']);
    assert.equal(code, 2, stderr);
  }
});

test('the default directory is where each system keeps data of applications', async () => {
  const { dataDirectory } = await import(join(ROOT, 'dist/cli/data-directory.js'));
  const config = { broker: { host: '::1', port: 1884 } };
  const of = (platform, environment) => dataDirectory('server', config, environment, platform).replaceAll('\\', '/');
  assert.equal(of('linux', { XDG_DATA_HOME: '/data' }), '/data/mqtt-p2p/server/__1-1884');
  assert.match(of('linux', {}), /\/\.local\/share\/mqtt-p2p\/server\/__1-1884$/);
  assert.match(of('darwin', {}), /\/Library\/Application Support\/mqtt-p2p\/server\/__1-1884$/);
  assert.equal(of('win32', { LOCALAPPDATA: 'C:/Local' }), 'C:/Local/mqtt-p2p/server/__1-1884');
  const defaults = dataDirectory('client', { broker: {}, topicPrefix: 'a/b' }, { XDG_DATA_HOME: '/data' }, 'linux');
  assert.equal(defaults.replaceAll('\\', '/'), '/data/mqtt-p2p/client/localhost-1883-a_b');
});
