import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { BrokerProcess } from './broker-process.mjs';
import { freePort } from './ports.mjs';
import { ROOT } from './processes.mjs';

/** The Mosquitto broker's program, if it is installed; Debian puts it where only root's PATH leads. */
export const MOSQUITTO = ['mosquitto', '/usr/sbin/mosquitto'].find((path) => !spawnSync(path, ['-h']).error);

/**
 * Starts Mosquitto on a loopback port, a free one unless one is given, with its default settings and the given lines of
 * configuration, in which `{folder}` stands for the folder that holds the given files. `kill()` ends it with SIGKILL.
 */
export async function startMosquitto(lines = ['allow_anonymous true'], files = {}, givenPort = undefined) {
  if (!MOSQUITTO) throw new Error('Mosquitto is not installed: apt-get install mosquitto');
  const args = ({ folder }) => ['-c', join(folder, 'mosquitto.conf')];
  const launch = (broker) => ({ program: MOSQUITTO, args: args(broker) });
  const broker = new BrokerProcess('Mosquitto', givenPort ?? (await freePort()), launch);
  const { folder, port } = broker;
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content, { mode: 0o600 });
  // Started by root it would change to a user that cannot read the folder.
  const config = [`listener ${port} 127.0.0.1`, `user ${userInfo().username}`, ...lines];
  writeFileSync(join(folder, 'mosquitto.conf'), `${config.join('\n').replaceAll('{folder}', folder)}\n`);
  return broker.start();
}

/** Mosquitto with the configuration of `deploy/mosquitto`, but without TLS and open to everybody on the loopback. */
export function startDeployedMosquitto() {
  const written = readFileSync(join(ROOT, 'deploy/mosquitto/mosquitto.conf'), 'utf8');
  const secured = /^(listener|(password|acl|cert|key)_?file|tls_version|allow_anonymous) .*$/gm;
  const config = written.replaceAll(secured, '').replace('/var/lib/mosquitto/', '{folder}/');
  return startMosquitto(['allow_anonymous true', ...config.split('\n')]);
}
