import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { answers, freePort } from './ports.mjs';
import { until } from './wait.mjs';

/** The Mosquitto broker's program, if it is installed; Debian puts it where only root's PATH leads. */
export const MOSQUITTO = ['mosquitto', '/usr/sbin/mosquitto'].find((path) => !spawnSync(path, ['-h']).error);

/**
 * Starts Mosquitto on a loopback port, a free one unless one is given, with its default settings and the given lines of
 * configuration, in which `{folder}` stands for the folder that holds the given files. `kill()` ends it with SIGKILL.
 */
export async function startMosquitto(lines = ['allow_anonymous true'], files = {}, givenPort = undefined) {
  if (!MOSQUITTO) throw new Error('Mosquitto is not installed: apt-get install mosquitto');
  const folder = mkdtempSync(join(tmpdir(), 'mqtt-p2p-mosquitto-'));
  const port = givenPort ?? (await freePort());
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content, { mode: 0o600 });
  // Started by root it would change to a user that cannot read the folder.
  const config = [`listener ${port} 127.0.0.1`, `user ${userInfo().username}`, ...lines];
  writeFileSync(join(folder, 'mosquitto.conf'), `${config.join('\n').replaceAll('{folder}', folder)}\n`);
  const server = spawn(MOSQUITTO, ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
  const ended = once(server, 'exit');
  await until(() => answers(port), 'Mosquitto listens');
  const end = async (signal) => {
    server.kill(signal);
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  return { host: '127.0.0.1', port, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') };
}
