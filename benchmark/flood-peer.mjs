// One peer of the flood benchmark: `flood-peer.mjs <name> <port> <canvas> <other>`. It edits a node of its own at an even
// pace, and notes when the edits of the other peer arrive. Times are of the monotonic clock that all processes share, in
// milliseconds.
import { readFileSync } from 'node:fs';
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';

const [name, port, canvasId, other] = process.argv.slice(2);
const REPOSITORY = 'bench';
const SAMPLE_MS = 250;
const now = () => Number(process.hrtime.bigint()) / 1e6;

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

let arrived = [];
let throttled = 0;
service.on('peer-throttled', () => throttled++);
service.on('canvas-updated', ({ origin, changes }) => {
  const x = changes.nodes?.updated?.find(({ id }) => id === nodes[other])?.set?.x;
  if (origin === 'remote' && x !== undefined) arrived.push([x, now()]);
});

/** Edits numbered from `first`; when each was made, when those of the other arrived, and how much memory it took. */
async function round({ first, count, perSecond }) {
  const made = [];
  const memory = [process.memoryUsage().rss];
  const sampling = setInterval(() => memory.push(process.memoryUsage().rss), SAMPLE_MS);
  const start = now();
  for (let n = 0; n < count; n++) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, start + (n * 1000) / perSecond - now())));
    made.push(now());
    service.patchCanvas(REPOSITORY, canvasId, { nodes: { upsert: [{ id: nodes[name], x: first + n }] } }, name);
  }
  const last = first + count - 1;
  while (!arrived.some(([x]) => x === last)) await new Promise((resolve) => setTimeout(resolve, 10));
  clearInterval(sampling);
  const seen = arrived;
  arrived = [];
  return { made, seen, memory, throttled, status: service.getRepositoryStatus(REPOSITORY) };
}

process.on('message', async (message) => {
  if (message !== 'stop') {
    process.send(await round(message));
    return;
  }
  await service.disconnect();
  process.disconnect();
});
process.send('ready');
