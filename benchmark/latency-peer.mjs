// One process of the latency benchmark: `latency-peer.mjs <floor|move> <sender|receiver> <port> <canvas>`.
// Times are of the monotonic clock that all processes of a machine share, in milliseconds.
import { readFileSync } from 'node:fs';
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { connectAsync } from 'mqtt';

const [kind, role, port, canvasId] = process.argv.slice(2);
const { KEY_FILE } = process.env;
const now = () => Number(process.hrtime.bigint()) / 1e6;

/** Raw publishes of 200 bytes at QoS 1, numbered. */
async function floor() {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4 });
  client.stream.setNoDelay(true);
  if (role === 'receiver') await client.subscribeAsync('floor', { qos: 1 });
  const payload = Buffer.alloc(200);
  return {
    send: (n) => {
      payload.writeUInt32BE(n);
      client.publish('floor', Buffer.from(payload), { qos: 1 });
    },
    receive: (note) => client.on('message', (_, bytes) => note(bytes.readUInt32BE())),
    stop: () => client.endAsync(),
  };
}

/** Moves of one node of the 187-node canvas, numbered by `x`. */
async function move() {
  const service = new MQTTIntegrationService({
    broker: { host: '127.0.0.1', port: Number(port) },
    repositories: ['bench'],
    ...(KEY_FILE && { features: { encryption: true }, encryption: { keyFile: KEY_FILE } }),
  });
  await service.initialize();
  const canvas = JSON.parse(readFileSync(new URL('../examples/stardust-roadmap.canvas', import.meta.url), 'utf8'));
  const { id } = canvas.nodes[0];
  if (role === 'receiver') await service.createCanvas('bench', canvasId, canvas, 'bench');
  while (!(await service.listCanvases('bench')).some((listed) => listed.id === canvasId)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return {
    send: (n) => service.patchCanvas('bench', canvasId, { nodes: { upsert: [{ id, x: n }] } }, 'bench'),
    receive: (note) =>
      service.on('canvas-updated', ({ origin, changes }) => {
        const x = changes.nodes?.updated?.find((update) => update.id === id)?.set?.x;
        if (origin === 'remote' && x !== undefined) note(x);
      }),
    stop: () => service.disconnect(),
  };
}

const peer = await (kind === 'floor' ? floor() : move());

/** Sends numbers at an even pace and reports when each was sent. */
function sendAll({ from, count, perSecond }) {
  const sentAt = [];
  const start = now();
  const next = () => {
    sentAt.push(now());
    peer.send(from + sentAt.length - 1);
    if (sentAt.length === count) process.send(sentAt);
    else setTimeout(next, Math.max(0, start + (sentAt.length * 1000) / perSecond - now()));
  };
  next();
}

/** What is being waited for. */
let expected = { from: 0, count: 0, receivedAt: [] };

/** Reports when each number arrived (null: as part of a later one), once the last has. */
function receiveAll({ from, count }) {
  expected = { from, count, receivedAt: new Array(count).fill(null) };
}

if (role === 'receiver') {
  peer.receive((n) => {
    const { from, count, receivedAt } = expected;
    if (n < from || n >= from + count) return;
    receivedAt[n - from] ??= now();
    if (n === from + count - 1) process.send(receivedAt);
  });
}

process.on('message', async (message) => {
  if (message !== 'stop') {
    if (role === 'sender') sendAll(message);
    else receiveAll(message);
    return;
  }
  await peer.stop();
  process.disconnect();
});
process.send('ready');
