// The guide's examples and command lines, as they stand there. They mean a broker on port 1883 of this machine; no other
// spec uses that port.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startBroker } from '@mind-git/mqtt-p2p';
import { answers } from './helpers/ports.mjs';
import { ROOT, runNode, startNode } from './helpers/processes.mjs';
import { until } from './helpers/wait.mjs';

const PORT = 1883;
const CLI = 'dist/mqtt-cli.js';

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
    mkdirSync(join(folder, 'node_modules/@mind-git'), { recursive: true });
    symlinkSync(ROOT, join(folder, 'node_modules/@mind-git/mqtt-p2p'), 'dir');
    symlinkSync(join(ROOT, 'node_modules/@types'), join(folder, 'node_modules/@types'), 'dir');
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    const sources = readdirSync(folder).filter((name) => name.endsWith('.ts'));
    const options = [
      '--strict',
      '--target',
      'es2022',
      '--module',
      'nodenext',
      '--moduleDetection',
      'force',
      '--types',
      'node',
    ];
    const { code, stdout, stderr } = await runNode(
      [join(ROOT, 'node_modules/typescript/bin/tsc'), ...options, ...sources],
      { cwd: folder },
    );
    assert.equal(code, 0, stdout + stderr);
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

describe("the guide's command lines", { skip: skip || (taken && 'the server needs the port for itself') }, () => {
  test('server, client, health and monitor', async (t) => {
    const server = startNode(t, [CLI, 'server', '--repositories', 'repo-1,repo-2']);
    await until(() => /repositories\s+repo-1, repo-2/.test(server.output()), 'the server is up');
    assert.match(server.output(), /mqtt:\/\/127\.0\.0\.1:1883/);

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

    server.kill('SIGINT');
    assert.deepEqual(await server.ended, [0, null], server.output());
  });

  test('server with verbose logging', async (t) => {
    const server = startNode(t, [CLI, 'server'], { env: { DEBUG: 'mqtt:*' } });
    await until(() => /repositories/.test(server.output()), 'the server is up');
    assert.match(server.output(), /DEBUG/);
    server.kill('SIGINT');
    assert.deepEqual(await server.ended, [0, null]);
  });

  test('test --duration, and simple-demo.js', async () => {
    const tested = await runNode([CLI, 'test', '--duration', '1']);
    assert.match(tested.stdout, /round trip, p99/, tested.stderr);
    const demo = await runNode(['simple-demo.js']);
    assert.equal(demo.code, 0, demo.stderr);
    assert.match(demo.stdout, /^equal$/m);
  });
});
