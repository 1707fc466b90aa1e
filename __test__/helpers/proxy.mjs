import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { scoped } from './teardown.mjs';

/**
 * A TCP proxy before a broker, as a cable that can be pulled: `pull()` lets nothing through any more, in silence, also
 * not for new connections; `plug()` makes a working cable of it again, over which the old connections are gone. `stall()`
 * holds back what comes from the broker until `flow()`, as a slow link does; nothing is lost.
 */
export async function cable(t, broker) {
  const pairs = new Set();
  let pulled = false;
  const server = createServer((client) => {
    const upstream = connect(broker.port, broker.host);
    const pair = { client, upstream };
    pairs.add(pair);
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    const end = () => {
      client.destroy();
      upstream.destroy();
      pairs.delete(pair);
    };
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
    // What arrives while the cable is pulled is lost, as are the connections it belonged to.
    client.on('data', (bytes) => pulled || upstream.write(bytes));
    upstream.on('data', (bytes) => pulled || client.write(bytes));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const dropAll = () => {
    for (const { client, upstream } of pairs) {
      client.destroy();
      upstream.destroy();
    }
  };
  scoped(t).defer(() => {
    server.close();
    dropAll();
  });
  return {
    host: '127.0.0.1',
    port: server.address().port,
    pull: () => {
      pulled = true;
    },
    plug: () => {
      pulled = false;
      dropAll();
    },
    stall: () => {
      for (const { upstream } of pairs) upstream.pause();
    },
    flow: () => {
      for (const { upstream } of pairs) upstream.resume();
    },
  };
}
