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
    const users = Object.entries(passwords).reduce(
      (text, [user, hash]) =>
        text.replace(
          new RegExp(`(user: "${user}"\\s+password: )"[^"]*"`),
          () => `user: "${user}"\n password: "${hash}"`,
        ),
      readFileSync(join(ROOT, 'deploy/nats/users.conf'), 'utf8'),
    );
    writeFileSync(join(folder, 'users.conf'), users);
    return config;
  });
}

/** NATS with the configuration of `deploy/nats`, but without TLS and open to everybody on the loopback. */
export async function startDeployedNats() {
  const open = (config) => config.replace('include "users.conf"', '').replace(/^ {2}tls \{[^}]*\}$/m, '');
  return startNats(open);
}

/** NATS with the configuration of `deploy/nats`, its paths and ports the test's own, changed by `edit(text, folder)`. */
export async function startNats(edit) {
  if (!NATS) throw new Error('NATS is not installed: apt-get install nats-server');
  const file = ({ folder }) => join(folder, 'nats.conf');
  const launch = (broker) => ({ program: NATS, args: ['-c', file(broker)] });
  const broker = new BrokerProcess('NATS', await freePort(), launch);
  const written = readFileSync(join(ROOT, 'deploy/nats/nats.conf'), 'utf8');
  const config = written
    .replace('"127.0.0.1:4222"', `"127.0.0.1:${await freePort()}"`)
    .replace('"0.0.0.0:8883"', `"127.0.0.1:${broker.port}"`)
    .replaceAll('/etc/mqtt-p2p-nats', broker.folder)
    .replace('/var/lib/mqtt-p2p-nats', join(broker.folder, 'data'));
  writeFileSync(file(broker), edit(config, broker.folder));
  return broker.start();
}
