// The follower of the courtesy benchmark: `courtesy-peer.mjs <port> <repository> <canvases> <file> <ms>` makes these canvases from a
// file, follows them by their events as an application does, works so long for each, and measures its event loop meanwhile.
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isDeepStrictEqual } from 'node:util';
import { applyCanvasChanges, MQTTIntegrationService } from '@mind-git/mqtt-p2p';

const [port, repository, canvases, file, work] = process.argv.slice(2);
/** How often the event loop's delay is sampled. */
const RESOLUTION_MS = 1;
const DEADLINE_MS = 120_000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const service = new MQTTIntegrationService({
  broker: { host: '127.0.0.1', port: Number(port) },
  repositories: [repository],
  // What is measured here is not what is dropped.
  performance: { maxPeerMessagesPerSecond: 100_000, maxInboundMessagesPerSecond: 100_000 },
});
await service.initialize();
const content = JSON.parse(readFileSync(file, 'utf8'));
const ids = canvases.split(',');
const copies = new Map();
for (const id of ids) {
  await service.createCanvas(repository, id, content, 'bench');
  copies.set(id, await service.getCanvas(repository, id));
}

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
let [events, merged] = [0, 0];
service.on('canvas-updated', (event) => {
  copies.set(event.canvasId, applyCanvasChanges(copies.get(event.canvasId), event.changes));
  events++;
  merged += (event.merged ?? 1) - 1;
  for (const end = performance.now() + Number(work); performance.now() < end; );
});

/** Waits until the copies say where each node ended; how long that took, and what the event loop's delay was. */
async function finish(last) {
  const sent = performance.now();
  const arrived = (id) => copies.get(id).nodes.every((node) => node.x === (last[`${id} ${node.id}`] ?? node.x));
  while (!ids.every(arrived) && performance.now() - sent < DEADLINE_MS) await sleep(5);
  const behindMs = performance.now() - sent;
  delay.disable();
  const now = await Promise.all(ids.map((id) => service.getCanvas(repository, id)));
  const same = ids.every(arrived) && now.every((canvas, n) => isDeepStrictEqual(canvas, copies.get(ids[n])));
  // What is sampled includes the pause between two samples.
  const ms = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  const delays = { p50: ms(delay.percentile(50)), p99: ms(delay.percentile(99)), max: ms(delay.max) };
  return { events, merged, delay: delays, behindMs, same };
}

process.on('message', async (message) => {
  if (message === 'stop') {
    await service.disconnect();
    process.disconnect();
  } else if (message === 'begin') {
    delay.enable();
    process.send('begun');
  } else {
    process.send(await finish(message.last));
  }
});
process.send('ready');
