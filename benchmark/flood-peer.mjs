// One peer of the flood benchmark: `flood-peer.mjs <kind> <name> <port> <canvas> <other>`. It sends at an even pace, and notes
// when what the other peer sends arrives. Times are of the monotonic clock that all processes share, in milliseconds.
//   deaf     mqtt.js, which is subscribed to what the other sends alone: what the machine and the broker leave to anybody
//   hearing  mqtt.js, which is delivered the flood too, and looks at no message of it
//   product  edits of a node of its own
import { readFileSync } from 'node:fs';
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { connectAsync } from 'mqtt';

const [kind, name, port, canvasId, other] = process.argv.slice(2);
const REPOSITORY = 'bench';
const FLOODED = 'mind-git/#';
/** What the product publishes for an edit. */
const PLAIN_BYTES = 400;
const SAMPLE_MS = 250;
const now = () => Number(process.hrtime.bigint()) / 1e6;

let arrived = [];

async function plain() {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4 });
  client.stream.setNoDelay(true);
  const topic = `floor/${other}`;
  await client.subscribeAsync(kind === 'hearing' ? [topic, FLOODED] : [topic], { qos: 1 });
  client.on('message', (on, bytes) => on === topic && arrived.push([bytes.readUInt32BE(), now()]));
  return {
    send: (number) => {
      const payload = Buffer.alloc(PLAIN_BYTES);
      payload.writeUInt32BE(number);
      client.publish(`floor/${name}`, payload, { qos: 1 });
    },
    report: () => ({}),
    stop: () => client.endAsync(),
  };
}

async function product() {
  const service = new MQTTIntegrationService({
    broker: { host: '127.0.0.1', port: Number(port) },
    repositories: [REPOSITORY],
  });
  await service.initialize();
  const canvas = JSON.parse(readFileSync(new URL('../examples/stardust-roadmap.canvas', import.meta.url), 'utf8'));
  const nodes = { ada: canvas.nodes[0].id, ben: canvas.nodes[1].id };
  if (name === 'ada') await service.createCanvas(REPOSITORY, canvasId, canvas, 'bench');
  while (!(await service.listCanvases(REPOSITORY)).some((listed) => listed.id === canvasId)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  let throttled = 0;
  service.on('peer-throttled', () => throttled++);
  service.on('canvas-updated', ({ origin, changes }) => {
    const x = changes.nodes?.updated?.find(({ id }) => id === nodes[other])?.set?.x;
    if (origin === 'remote' && x !== undefined) arrived.push([x, now()]);
  });
  return {
    send: (x) => service.patchCanvas(REPOSITORY, canvasId, { nodes: { upsert: [{ id: nodes[name], x }] } }, name),
    report: () => ({ throttled, status: service.getRepositoryStatus(REPOSITORY) }),
    stop: () => service.disconnect(),
  };
}

const peer = await (kind === 'product' ? product() : plain());

/** Sends numbers from `first`; when each was sent, when those of the other arrived, and what it took of the machine. */
async function round({ first, count, perSecond }) {
  const made = [];
  const memory = [process.memoryUsage().rss];
  const sampling = setInterval(() => memory.push(process.memoryUsage().rss), SAMPLE_MS);
  const start = now();
  const before = process.cpuUsage();
  for (let n = 0; n < count; n++) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, start + (n * 1000) / perSecond - now())));
    made.push(now());
    peer.send(first + n);
  }
  const { user, system } = process.cpuUsage(before);
  const cores = (user + system) / 1000 / (now() - start);
  const last = first + count - 1;
  while (!arrived.some(([x]) => x === last)) await new Promise((resolve) => setTimeout(resolve, 10));
  clearInterval(sampling);
  const seen = arrived;
  arrived = [];
  return { made, seen, memory, cores, ...peer.report() };
}

process.on('message', async (message) => {
  if (message !== 'stop') {
    process.send(await round(message));
    return;
  }
  await peer.stop();
  process.disconnect();
});
process.send('ready');
