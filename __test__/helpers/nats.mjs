import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BrokerProcess } from './broker-process.mjs';
import { freePort } from './ports.mjs';
import { ROOT } from './processes.mjs';

/** The NATS server's program, if it is installed; Debian puts it where only root's PATH leads. */
export const NATS = ['nats-server', '/usr/sbin/nats-server'].find((path) => !spawnSync(path, ['-v']).error);

/** NATS as `deploy/nats/README.md` says, with passwords by user name; only folder, ports and passwords are the test's own. */
export async function startHardenedNats(passwords, { cert, key }) {
  return startNats((config, folder) => {
    writeFileSync(join(folder, 'broker.pem'), cert);
    writeFileSync(join(folder, 'broker.key'), key);
    let users = readFileSync(join(ROOT, 'deploy/nats/users.conf'), 'utf8');
    for (const [user, hash] of Object.entries(passwords)) {
      users = users.replace(new RegExp(`(user: "${user}"\\s+password: )"[^"]*"`), (_, start) => `${start}"${hash}"`);
    }
    writeFileSync(join(folder, 'users.conf'), users);
    return config;
  });
}

/** NATS with the configuration of `deploy/nats`, but without TLS and open to everybody on the loopback. */
export function startDeployedNats() {
  return startNats(opened);
}

async function startNats(edit) {
  const broker = await newNats('deploy/nats/nats.conf', edit);
  return broker.start();
}

/** A configuration without TLS and users. */
export function opened(config) {
  return config.replace('include "users.conf"', '').replaceAll(/^ {2}tls \{[^}]*\}$/gm, '');
}

/**
 * A NATS server that is still to be started, with the configuration in a file of `deploy`, its paths and ports the test's own, changed by
 * `edit(text, folder)`. `environment`: what the configuration takes from there.
 */
export async function newNats(path, edit, environment = {}) {
  if (!NATS) throw new Error('NATS is not installed: apt-get install nats-server');
  const file = ({ folder }) => join(folder, 'nats.conf');
  const env = { ...process.env, ...environment };
  const broker = new BrokerProcess('NATS', await freePort(), (broker) => ({
    program: NATS,
    args: ['-c', file(broker)],
    env,
  }));
  const config = readFileSync(join(ROOT, path), 'utf8')
    .replace('"127.0.0.1:4222"', `"127.0.0.1:${await freePort()}"`)
    .replace('"0.0.0.0:8883"', `"127.0.0.1:${broker.port}"`)
    .replaceAll('/etc/mqtt-p2p-nats', broker.folder)
    .replace('/var/lib/mqtt-p2p-nats', join(broker.folder, 'data'));
  writeFileSync(file(broker), edit(config, broker.folder));
  return broker;
}
