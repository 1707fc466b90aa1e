import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startBroker } from '@mind-git/mqtt-p2p';
import { scoped } from './teardown.mjs';
import { until } from './wait.mjs';

/** Debian puts it where only root's PATH leads. */
const MOSQUITTO = ['mosquitto', '/usr/sbin/mosquitto'].find((path) => !spawnSync(path, ['-h']).error);

/** Registers a test that needs Mosquitto. Without one it fails where CI is set, and is skipped with a word elsewhere. */
export function mosquittoTest(name, body) {
  const skip = !MOSQUITTO && !process.env.CI && 'Mosquitto is not installed: apt-get install mosquitto';
  test(name, { skip }, body);
}

/** Registers a test twice: with the embedded broker and with Mosquitto. `body(t, broker)`. */
export function eachBroker(name, body) {
  test(`${name} (embedded broker)`, async (t) => body(t, await embedded(t)));
  mosquittoTest(`${name} (Mosquitto)`, async (t) => body(t, await mosquitto(t)));
}

/** An embedded broker on a free port, stopped after the test. */
export async function embedded(t) {
  const broker = await startBroker();
  scoped(t).defer(() => broker.stop());
  return { host: broker.host, port: broker.port };
}

/** Mosquitto on a free loopback port, with its default settings and the given lines; stopped after the test. */
export async function mosquitto(t, lines = ['allow_anonymous true'], files = {}) {
  if (!MOSQUITTO) throw new Error('Mosquitto is not installed: apt-get install mosquitto');
  const folder = mkdtempSync(join(tmpdir(), 'mqtt-p2p-'));
  const port = await freePort();
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content, { mode: 0o644 });
  const config = [`listener ${port} 127.0.0.1`, 'user root', ...lines.map((line) => line.replace('{folder}', folder))];
  writeFileSync(join(folder, 'mosquitto.conf'), `${config.join('\n')}\n`);
  const server = spawn(MOSQUITTO, ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
  const ended = once(server, 'exit');
  scoped(t).defer(async () => {
    server.kill();
    await ended;
    rmSync(folder, { recursive: true });
  });
  await until(() => answers(port), 'Mosquitto listens');
  return { host: '127.0.0.1', port, kill: () => server.kill('SIGKILL') };
}

/** A port on which nothing listens. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether something accepts connections on a loopback port. */
export function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
