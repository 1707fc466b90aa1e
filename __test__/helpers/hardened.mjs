import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { certificateAuthority } from './certificates.mjs';
import { temporaryFolder } from './folders.mjs';
import { MOSQUITTO } from './mosquitto.mjs';
import { answers, freePort } from './ports.mjs';
import { ROOT } from './processes.mjs';
import { scoped } from './teardown.mjs';
import { until } from './wait.mjs';

const DEPLOY = join(ROOT, 'deploy/mosquitto');
const FOLDER = '/etc/mosquitto/mqtt-p2p';

/**
 * Mosquitto as `deploy/mosquitto/README.md` says: with the configuration and the rules that are there, a certificate, and
 * passwords by user name. Only folder and port are the test's own. `more`: lines of configuration in addition.
 */
export async function hardenedMosquitto(t, passwords, more = []) {
  const folder = temporaryFolder(t, 'hardened');
  const ca = certificateAuthority(t);
  const { cert, key } = ca.issue('broker');
  writeFileSync(join(folder, 'broker.pem'), cert);
  writeFileSync(join(folder, 'broker.key'), key);
  // Newer versions of Mosquitto warn of files that others may read.
  writeFileSync(join(folder, 'acl'), readFileSync(join(DEPLOY, 'acl')), { mode: 0o600 });
  writeFileSync(join(folder, 'passwords'), '', { mode: 0o600 });
  for (const [user, password] of Object.entries(passwords)) {
    execFileSync('mosquitto_passwd', ['-b', join(folder, 'passwords'), user, password], { stdio: 'ignore' });
  }
  mkdirSync(join(folder, 'data'));
  const port = await freePort();
  const written = readFileSync(join(DEPLOY, 'mosquitto.conf'), 'utf8');
  const config = written
    .replaceAll(FOLDER, folder)
    .replace('/var/lib/mosquitto/', `${join(folder, 'data')}/`)
    .replace(/^listener 8883$/m, `listener ${port} 127.0.0.1`);
  writeFileSync(join(folder, 'mosquitto.conf'), [config, `user ${userInfo().username}`, ...more, ''].join('\n'));
  const server = spawn(MOSQUITTO, ['-c', join(folder, 'mosquitto.conf')]);
  let log = '';
  server.stderr.setEncoding('utf8').on('data', (text) => {
    log += text;
  });
  const ended = once(server, 'exit');
  scoped(t).defer(async () => {
    server.kill();
    await ended;
  });
  await until(() => server.exitCode === null && answers(port), `Mosquitto listens: ${log}`);
  return { host: '127.0.0.1', port, caFile: ca.file, log: () => log };
}
