// The guide's examples and command lines, as they stand there. They mean a broker on port 1883 of this machine; no other
// spec uses that port.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startBroker } from '@mind-git/mqtt-p2p';
import { MOSQUITTO } from './helpers/mosquitto.mjs';
import { answers } from './helpers/ports.mjs';
import { ROOT, runNode, startNode } from './helpers/processes.mjs';
import { compileStrictly } from './helpers/typescript.mjs';
import { assertVerdict } from './helpers/verdict.mjs';
import { until } from './helpers/wait.mjs';

const PORT = 1883;
const CLI = 'dist/mqtt-cli.js';
const MOSQUITTO_CLIENTS = !spawnSync('mosquitto_pub', ['--help']).error;

// A broker of somebody else on that port must not get our canvases.
const taken = await answers(PORT);
const skip = taken && !process.env.CI && `something listens on port ${PORT} already`;

describe("the guide's examples", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'mqtt-p2p-guide-'));
  let broker;

  before(async () => {
    if (!taken) broker = await startBroker({ port: PORT });
  });
  after(async () => {
    await broker?.stop();
    rmSync(folder, { recursive: true });
  });

  test('compile with tsc --strict', async () => {
    const examples = join(ROOT, '__test__/guide');
    cpSync(examples, folder, { recursive: true });
    const sources = readdirSync(folder).filter((name) => name.endsWith('.ts'));
    await compileStrictly(folder, sources);
  });

  test('run, and do what they say', async () => {
    const { code, stdout, stderr } = await runNode([join(folder, 'run.mjs')], { cwd: folder });
    assert.equal(code, 0, stdout + stderr);
    const lines = stdout.trim().split('\n');
    const { connected, updated, shared } = JSON.parse(lines.at(-1));
    assert.equal(connected, true);
    assert.deepEqual(updated.nodes, [{ id: 'a', x: 1 }, { id: 'b' }]);
    assert.deepEqual(shared.nodes, [{ id: 'a', x: 0 }]);
    assert.ok(lines.includes('Canvas canvas-1 updated by user1'), stdout);
  });
});

// Each with the broker that it names: one that `server` starts, or Mosquitto, as the guide recommends.
const lines = { skip: skip || (taken && 'the broker needs the port for itself') };

describe("the guide's command lines, without a broker", lines, () => {
  test('server, client, health and monitor', async (t) => {
    const server = startNode(t, [CLI, 'server', '--repositories', 'repo-1,repo-2']);
    await until(() => /repositories\s+repo-1, repo-2/.test(server.output()), 'the server is up');
    assert.match(server.output(), /mqtt:\/\/127\.0\.0\.1:1883 \(embedded/);
    await clientHealthMonitor(t);
    server.kill('SIGINT');
    assert.deepEqual(await server.ended, [0, null], server.output());
  });

  test('server with verbose logging', async (t) => {
    const server = startNode(t, [CLI, 'server'], { env: { DEBUG: 'mqtt:*' } });
    await until(() => /repositories/.test(server.output()), 'the server is up');
    assert.match(server.said().stderr, /DEBUG/);
    assert.doesNotMatch(server.said().stdout, /DEBUG/);
    server.kill('SIGINT');
    assert.deepEqual(await server.ended, [0, null]);
  });

  test('simple-demo.js', async () => {
    const demo = await runNode(['simple-demo.js']);
    assert.equal(demo.code, 0, demo.stderr);
    assert.match(demo.stdout, /^equal$/m);
  });
});

describe("the guide's command lines, with Mosquitto", { skip: lines.skip || (!MOSQUITTO && 'no Mosquitto') }, () => {
  let pid;
  // As the guide starts it and looks for it: in the background.
  before(async () => {
    assert.equal(spawnSync(MOSQUITTO, ['-d', '-p', String(PORT), '-v']).status, 0);
    await until(() => answers(PORT), 'Mosquitto listens');
    const found = spawnSync('sh', ['-c', 'ps aux | grep mosquitto'], { encoding: 'utf8' });
    pid = Number(new RegExp(`^\\S+ +(\\d+) .*mosquitto -d -p ${PORT} -v$`, 'm').exec(found.stdout)?.[1]);
    assert.ok(pid, found.stdout + found.stderr);
  });
  after(async () => {
    if (!pid) return;
    process.kill(pid);
    await until(async () => !(await answers(PORT)), 'Mosquitto has ended');
  });

  test('server uses what runs; client, health and monitor; topics to be watched', async (t) => {
    const server = startNode(t, [CLI, 'server', '--repositories', 'repo-1,repo-2']);
    await until(() => /repositories\s+repo-1, repo-2/.test(server.output()), 'the server is up');
    assert.match(server.output(), /mqtt:\/\/127\.0\.0\.1:1883$/m);
    await clientHealthMonitor(t);
    if (MOSQUITTO_CLIENTS) {
      assert.equal(spawnSync('mosquitto_pub', ['-h', 'localhost', '-t', 'test', '-m', 'hello']).status, 0);
      const watched = spawnSync('mosquitto_sub', ['-h', 'localhost', '-t', 'mind-git/#', '-v', '-W', '1'], {
        encoding: 'utf8',
      });
      assert.match(watched.stdout, /^mind-git\/v1\/repo-1\/peers\/z6Mk/m);
    }
    server.kill('SIGINT');
    assert.deepEqual(await server.ended, [0, null], server.output());
  });

  test('monitor --interval 10, and test --duration 1 to its end', async (t) => {
    const monitor = startNode(t, [CLI, 'monitor', '--interval', '10']);
    const tested = await runNode([CLI, 'test', '--duration', '1'], { deadlineMs: 180_000 });
    assert.match(tested.stdout, /message latency, p99 +[\d.]+ ms +at most 50 ms/, tested.stderr);
    assertVerdict(tested);
    await until(() => /connected .*in [\d.]+\/s/.test(monitor.output()), 'the second report');
    monitor.kill('SIGINT');
    assert.deepEqual(await monitor.ended, [0, null]);
  });
});

async function clientHealthMonitor(t) {
  const client = await runNode([CLI, 'client', '--repositories', 'demo-repo']);
  assert.equal(client.code, 0, client.stderr);
  for (const step of ['create', 'update', 'share', 'sync', 'enable'])
    assert.match(client.stdout, new RegExp(`✓ ${step}`));

  const health = await runNode([CLI, 'health']);
  assert.equal(health.code, 0, health.stdout + health.stderr);
  assert.match(health.stdout, /^healthy$/m);

  const monitor = startNode(t, [CLI, 'monitor', '--interval', '5']);
  await until(() => /connected .*peers .*canvases/.test(monitor.output()), 'the first report');
  monitor.kill('SIGINT');
  assert.deepEqual(await monitor.ended, [0, null]);
}
