// Whether `monitor` stays responsive: 100 repositories with 10 canvases each, one of them edited all the time. Prints how late
// its reports are, what it needs of a processor, and how long Ctrl-C takes.
//   node benchmark/monitor.mjs [repositories, default 100] [canvases of each, default 10]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MQTTIntegrationService, startBroker } from '@mind-git/mqtt-p2p';

const REPOSITORIES = Number(process.argv[2] ?? 100);
const CANVASES = Number(process.argv[3] ?? 10);
const INTERVAL_S = 1;
const REPORTS = 10;
/** A screen that is this late still feels live. */
const ALLOWED_LATE_MS = 500;

const broker = await startBroker();
const repositories = Array.from({ length: REPOSITORIES }, (_, index) => `repository-${index}`);
const service = new MQTTIntegrationService({ broker: { host: broker.host, port: broker.port }, repositories });
await service.initialize();
const nodes = Array.from({ length: 20 }, (_, index) => ({
  id: `${index}`,
  type: 'text',
  text: 'some words',
  x: index,
}));
for (const repository of repositories) {
  await Promise.all(
    Array.from({ length: CANVASES }, (_, index) =>
      service.createCanvas(repository, `canvas-${index}`, { nodes }, 'bench'),
    ),
  );
}
console.log(`${REPOSITORIES} repositories, ${REPOSITORIES * CANVASES} canvases`);

const cli = fileURLToPath(new URL('../dist/mqtt-cli.js', import.meta.url));
const args = [
  'monitor',
  '--json',
  '--interval',
  `${INTERVAL_S}`,
  '--broker',
  broker.url,
  '--repositories',
  repositories.join(),
];
const started = performance.now();
const monitor = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
const lines = createInterface({ input: monitor.stdout })[Symbol.asyncIterator]();
const next = async () => JSON.parse((await lines.next()).value);

let edits = 0;
let running = true;
const editing = (async () => {
  for (; running; edits++) {
    const patch = { nodes: { upsert: [{ id: '1', x: edits }] } };
    await service.patchCanvas(repositories[edits % REPOSITORIES], 'canvas-0', patch, 'bench');
    await wait(5);
  }
})();

await next();
console.log(`first report after ${Math.round(performance.now() - started)} ms`);
let report = await next();
for (
  let tries = 0;
  tries < 60 && Object.values(report.repositories).some(({ canvases }) => canvases < CANVASES);
  tries++
)
  report = await next();
console.log(`all canvases known after ${Math.round(performance.now() - started)} ms`);

const late = [];
const cpuBefore = await cpuMs(monitor.pid);
const from = performance.now();
for (let count = 0; count < REPORTS; count++) {
  const before = performance.now();
  report = await next();
  late.push(performance.now() - before - INTERVAL_S * 1000);
}
const cpu = ((await cpuMs(monitor.pid)) - cpuBefore) / (performance.now() - from);
late.sort((a, b) => a - b);
const worst = late.at(-1);
console.log(`reports late by ${late[Math.floor(REPORTS / 2)].toFixed(0)} ms (median), ${worst.toFixed(0)} ms (worst)`);
console.log(
  `processor ${(cpu * 100).toFixed(1)} %, memory ${Math.round(report.memoryBytes / 1e6)} MB, ${report.rates.messagesIn.toFixed(0)} messages/s in`,
);

const interrupted = performance.now();
monitor.kill('SIGINT');
await once(monitor, 'exit');
const ended = performance.now() - interrupted;
console.log(`Ctrl-C took ${Math.round(ended)} ms`);
running = false;
await editing;
await service.disconnect();
await broker.stop();
const good = worst <= ALLOWED_LATE_MS && ended <= 2000;
console.log(good ? 'responsive' : 'not responsive');
process.exitCode = good ? 0 : 1;

/** Processor time of a process so far, where the system tells (Linux); else 0. */
async function cpuMs(pid) {
  const { readFile } = await import('node:fs/promises');
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  // In ticks of 10 ms, on every Linux that Node runs on.
  return (user + system) * 10;
}
