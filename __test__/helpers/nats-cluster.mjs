import { connectAsync } from 'mqtt';
import { newNats, opened } from './nats.mjs';
import { freePort } from './ports.mjs';
import { scoped } from './teardown.mjs';
import { until } from './wait.mjs';

const NAMES = ['nats-1', 'nats-2', 'nats-3'];

/**
 * Three NATS servers that are one broker, with the configuration of `deploy/nats-cluster`, but without TLS and open to everybody on the
 * loopback. All take clients when this resolves, and are stopped after the test.
 */
export async function natsCluster(t) {
  const routes = [];
  for (const _ of NAMES) routes.push(await freePort());
  const nodes = [];
  for (const [index, name] of NAMES.entries()) {
    const edit = (config) =>
      NAMES.reduce(
        (text, other, at) => text.replace(`${other}.example.org:6222`, `127.0.0.1:${routes[at]}`),
        opened(config),
      ).replace('0.0.0.0:6222', `127.0.0.1:${routes[index]}`);
    nodes.push(await newNats('deploy/nats-cluster/nats.conf', edit, { NODE: name }));
  }
  for (const node of nodes) scoped(t).defer(() => node.stop());
  await Promise.all(nodes.map((node) => node.start()));
  for (const node of nodes) await takesClients(node);
  return nodes;
}

/** How long three servers may take to elect leaders, on a busy machine. */
const ELECTED_MS = 60_000;

/**
 * NATS hangs up on clients while it has no leader, and on the first ones while it sets up what MQTT needs; MQTT.js notices by its
 * time-out alone.
 */
async function takesClients(node) {
  const options = { protocolVersion: 4, reconnectPeriod: 0, connectTimeout: 5000 };
  await until(() => node.log().includes('metadata leader'), 'NATS has elected a leader', ELECTED_MS);
  const connects = async () => {
    const client = await connectAsync(`mqtt://${node.host}:${node.port}`, options).catch(() => undefined);
    await client?.endAsync(true);
    return client;
  };
  await until(connects, 'a node takes clients', ELECTED_MS);
}
