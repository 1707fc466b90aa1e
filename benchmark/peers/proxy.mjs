// A cable: `proxy.mjs <port>` passes TCP through to a server on loopback. It counts bytes, and can be pulled out and put
// back. Messages: `cut`, `join`, `bytes`; each is answered.
import { connect, createServer } from 'node:net';

const target = Number(process.argv[2]);
const sockets = new Set();
let down = false;
let bytes = 0;
/** When the first connection was made after the cable was put back. */
let joinedAt = null;

const server = createServer({ noDelay: true }, (client) => {
  if (down) return client.destroy();
  joinedAt ??= Number(process.hrtime.bigint()) / 1e6;
  const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true });
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ]) {
    sockets.add(from);
    from.on('data', (chunk) => {
      bytes += chunk.length;
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('error', () => {});
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
  }
});

const answers = {
  cut() {
    down = true;
    joinedAt = null;
    for (const socket of sockets) socket.destroy();
  },
  join() {
    down = false;
  },
  joined: () => joinedAt,
  bytes: () => bytes,
};

process.on('message', ({ id, task }) => process.send({ id, result: answers[task]() }));
server.listen(0, '127.0.0.1', () => process.send({ id: 0, result: server.address().port }));
