// What a member that floods does to the others: two peers edit one canvas through Mosquitto at 50 edits a second each, first
// in quiet, then while a third publishes 10,000 edits a second. Wanted: the p99 of the latency of their edits at most twice
// that in quiet, and at most 64 MB more memory.
//   node benchmark/flood.mjs [seconds of each round, default 20] [messages a second, default 10000]
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startMosquitto } from '../__test__/helpers/mosquitto.mjs';
import { build } from '../scripts/example.mjs';

const PER_SECOND = 50;
const WARM_UP = 100;
const ALLOWED_RATIO = 2;
const ALLOWED_MB = 64;
const CANVAS = 'plan';
const [seconds, rate] = [20, 10_000].map((value, n) => Number(process.argv[2 + n] ?? value));
const path = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The flooding member, its edits made and not yet sent: `flood()` sends them and says how long that took. */
async function startFlooder(port) {
  const program = build('flood');
  const file = path('../examples/stardust-roadmap.canvas');
  const node = 'flooded';
  const child = spawn(program, [String(port), 'bench', CANVAS, file, node, String(rate), String(seconds)]);
  child.stderr.pipe(process.stderr);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  const flood = async () => {
    child.stdin.write('\n');
    const { value } = await lines.next();
    return value;
  };
  return { flood, stop: () => child.kill() };
}

/** Starts a peer in a process of its own and waits until it is ready. */
async function startPeer(name, port, other) {
  const child = fork(path('./flood-peer.mjs'), [name, String(port), CANVAS, other]);
  await once(child, 'message');
  return child;
}

/** Both peers edit; latencies in milliseconds, and the most memory that each took in MB. */
async function measure(peers, first, count) {
  const answers = peers.map((peer) => once(peer, 'message'));
  for (const peer of peers) peer.send({ first, count, perSecond: PER_SECOND });
  const [ada, ben] = (await Promise.all(answers)).map(([answer]) => answer);
  const latencies = [
    [ada, ben],
    [ben, ada],
  ].flatMap(([sender, receiver]) => sender.made.map((at, n) => arrival(receiver.seen, first + n) - at));
  return { latencies, memory: [ada, ben].map(({ memory }) => Math.max(...memory) / 2 ** 20), ends: [ada, ben] };
}

/** When an edit, or a later one that replaced it on the way, arrived. */
const arrival = (seen, x) => Math.min(...seen.filter(([later]) => later >= x).map(([, at]) => at));

function row(name, latencies) {
  const sorted = [...latencies].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { name, samples: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) };
}

const broker = await startMosquitto(['allow_anonymous true', 'set_tcp_nodelay true']);
const running = [];
try {
  console.error(`making ${rate * seconds} edits of the flooding member`);
  const flooder = await startFlooder(broker.port);
  running.push(flooder);
  const peers = [await startPeer('ada', broker.port, 'ben'), await startPeer('ben', broker.port, 'ada')];
  running.push(...peers.map((peer) => ({ stop: () => peer.kill() })));
  await measure(peers, 0, WARM_UP);
  const count = seconds * PER_SECOND;
  console.error(`quiet, ${seconds} s`);
  const quiet = await measure(peers, 10_000, count);
  console.error(`flooded with ${rate} messages a second, ${seconds} s`);
  const flooding = flooder.flood();
  const flooded = await measure(peers, 20_000, count);
  console.error(`sent: ${await flooding}`);

  const rows = [row('quiet', quiet.latencies), row('flooded', flooded.latencies)];
  const ms = (value) => value.toFixed(3).padStart(9);
  console.log(`\n${'latency in ms'.padEnd(14)}  samples      p50       p95       p99       max`);
  for (const { name, samples, p50, p95, p99, max } of rows) {
    console.log(`${name.padEnd(14)}  ${String(samples).padStart(7)}${ms(p50)} ${ms(p95)} ${ms(p99)} ${ms(max)}`);
  }
  const growth = flooded.memory.map((most, n) => most - quiet.memory[n]);
  for (const { throttled, status } of flooded.ends) {
    const { received, rejected } = status.messages;
    console.log(`received ${received} messages, rejected ${JSON.stringify(rejected)}, told ${throttled} times`);
  }
  console.log(`memory grew by ${growth.map((mb) => mb.toFixed(1)).join(' and ')} MB; wanted: at most ${ALLOWED_MB}`);
  console.log(`p99 is ${(rows[1].p99 / rows[0].p99).toFixed(2)} times the quiet one; wanted: at most ${ALLOWED_RATIO}`);
  for (const peer of peers) {
    peer.send('stop');
    await once(peer, 'exit');
  }
} finally {
  for (const program of running) program.stop();
  await broker.stop();
}
