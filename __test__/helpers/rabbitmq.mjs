import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BrokerProcess } from './broker-process.mjs';
import { answers, freePort } from './ports.mjs';
import { ROOT } from './processes.mjs';
import { until } from './wait.mjs';

/** RabbitMQ's own start script, if it is installed; the one on root's PATH insists on a user named rabbitmq. */
export const RABBITMQ = ['/usr/lib/rabbitmq/bin/rabbitmq-server'].find(existsSync);

/** RabbitMQ as `deploy/rabbitmq/README.md` says, with passwords by user name; only folder, ports and passwords are the test's own. */
export async function startHardenedRabbitmq(passwords, { cert, key }) {
  return startRabbitmq((config, port, folder) => {
    writeFileSync(join(folder, 'broker.pem'), cert);
    writeFileSync(join(folder, 'broker.key'), key);
    const definitions = JSON.parse(readFileSync(join(ROOT, 'deploy/rabbitmq/definitions.json'), 'utf8'));
    for (const user of definitions.users) user.password_hash = hashed(passwords[user.name]);
    writeFileSync(join(folder, 'definitions.json'), JSON.stringify(definitions));
    return config.replaceAll('/etc/rabbitmq/mqtt-p2p', folder).replace('= 8883', `= 127.0.0.1:${port}`);
  });
}

/** As `rabbitmqctl hash_password` does. */
function hashed(password) {
  const salt = randomBytes(4);
  const digest = createHash('sha256').update(salt).update(password).digest();
  return Buffer.concat([salt, digest]).toString('base64');
}

/** RabbitMQ with the configuration of `deploy/rabbitmq`, but without TLS and open to everybody on the loopback. */
export async function startDeployedRabbitmq() {
  return startRabbitmq((config, port) =>
    config
      .replace('mqtt.allow_anonymous = false', 'mqtt.allow_anonymous = true')
      .replace('mqtt.listeners.tcp = none', `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`)
      .replace(/^load_definitions.*$/m, '')
      .replaceAll(/^(mqtt\.listeners\.ssl|ssl_options)\..*$/gm, ''),
  );
}

/**
 * RabbitMQ with the configuration of `deploy/rabbitmq`, changed by `edit(text, port, folder)`, as this user and apart from any other Erlang
 * on the machine: with a name service (epmd) of its own, and nothing that listens anywhere but on the loopback.
 */
export async function startRabbitmq(edit) {
  if (!RABBITMQ) throw new Error('RabbitMQ is not installed: apt-get install rabbitmq-server');
  const [port, distributionPort] = [await freePort(), await freePort()];
  const names = await startNameService();
  const launch = ({ folder }) => ({
    program: RABBITMQ,
    args: [],
    env: environment(folder, { namePort: names.port, distributionPort }),
  });
  const broker = new RabbitProcess('RabbitMQ', port, launch);
  broker.names = names;
  mkdirSync(join(broker.folder, 'home'));
  const written = readFileSync(join(ROOT, 'deploy/rabbitmq/rabbitmq.conf'), 'utf8');
  writeFileSync(join(broker.folder, 'rabbitmq.conf'), edit(written, port, broker.folder));
  writeFileSync(join(broker.folder, 'rabbitmq-env.conf'), '');
  return broker.start();
}

class RabbitProcess extends BrokerProcess {
  /** The listener is there before all that serves it is. */
  async start() {
    await super.start();
    await until(() => this.log().includes('completed with'), 'RabbitMQ has started');
    return this;
  }

  async stop() {
    await super.stop();
    await this.names.stop();
  }

  async kill() {
    await super.kill();
    await this.names.stop();
  }
}

/** Where Erlang nodes find each other; otherwise the first one would start one that stays when it ends. */
async function startNameService() {
  const port = await freePort();
  const child = spawn('epmd', ['-address', '127.0.0.1', '-port', String(port)], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await until(() => answers(port), 'epmd listens');
  const stop = async () => {
    child.kill();
    await ended;
  };
  return { port, stop };
}

function environment(folder, { namePort, distributionPort }) {
  return {
    PATH: process.env.PATH,
    // Where the node's secret lies.
    HOME: join(folder, 'home'),
    RABBITMQ_CONF_ENV_FILE: join(folder, 'rabbitmq-env.conf'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(ROOT, 'deploy/rabbitmq/enabled_plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(folder, 'config'),
    RABBITMQ_NODENAME: `test-${distributionPort}@localhost`,
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(namePort),
    // Makes the script become the node, rather than wait for it as a parent: then a signal reaches the node.
    detached: 'true',
  };
}
