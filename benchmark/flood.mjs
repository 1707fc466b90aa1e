// What a member that floods does to the others: two peers edit one canvas through Mosquitto at 50 edits a second each, first
// in quiet, then while a third publishes 10,000 edits a second. Wanted: the p99 of the latency of their edits at most twice
// that in quiet, and at most 64 MB more memory.
//
// The flooding member and the broker take their share of the machine whatever the peers do. So before and after, in the same
// run, the same flood passes two pairs of peers that are nothing but mqtt.js: one is delivered the flood, as whoever edits that
// canvas is; the other is not. What the flood does to these is the floor.
//   node benchmark/flood.mjs [seconds of each round, default 20] [messages a second, default 10000]
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startMosquitto } from '../__test__/helpers/mosquitto.mjs';
import { build } from '../scripts/example.mjs';

const PER_SECOND = 50;
const WARM_UP = 100;
const ALLOWED_RATIO = 2;
const ALLOWED_MB = 64;
const CANVAS = 'plan';
/** Floors before and after the product are half as long each. */
const ROUNDS = [
  ['deaf', 0.5],
  ['hearing', 0.5],
  ['product', 1],
  ['hearing', 0.5],
  ['deaf', 0.5],
];
const NAMES = {
  deaf: 'mqtt.js, hears no flood',
  hearing: 'mqtt.js, hears the flood',
  product: 'edits',
};
const [seconds, rate] = [20, 10_000].map((value, n) => Number(process.argv[2 + n] ?? value));
const path = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The flooding member, its edits made and not yet sent: `flood(share)` sends that share of them, the first ones or the rest. */
async function startFlooder(port) {
  const program = process.env.FLOODER ?? build('flood');
  const file = path('../examples/stardust-roadmap.canvas');
  const node = 'flooded';
  const child = spawn(program, [String(port), 'bench', CANVAS, file, node, String(rate), String(seconds)]);
  child.stderr.pipe(process.stderr);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  const flood = async (share) => {
    child.stdin.write(`${Math.round(share * seconds * 1000)}\n`);
    const { value } = await lines.next();
    return value;
  };
  return { flood, stop: () => child.kill() };
}

/** Starts a peer in a process of its own and waits until it is ready. */
async function startPeer(kind, name, port, other) {
  const child = fork(path('./flood-peer.mjs'), [kind, name, String(port), CANVAS, other]);
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

function row(latencies) {
  const sorted = [...latencies].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { samples: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) };
}

/** A pair of peers in quiet, then flooded. */
async function pair(kind, share, flooder, port, running) {
  const peers = [await startPeer(kind, 'ada', port, 'ben'), await startPeer(kind, 'ben', port, 'ada')];
  running.push(...peers.map((peer) => ({ stop: () => peer.kill() })));
  await measure(peers, 0, WARM_UP);
  const count = Math.ceil(share * seconds * PER_SECOND);
  console.error(`${NAMES[kind]}: quiet, ${share * seconds} s`);
  const quiet = await measure(peers, 10_000, count);
  console.error(`${NAMES[kind]}: ${rate} messages a second, ${share * seconds} s`);
  const flooding = flooder.flood(share);
  const flooded = await measure(peers, 20_000, count);
  console.error(await flooding);
  for (const peer of peers) {
    peer.send('stop');
    await once(peer, 'exit');
  }
  return { quiet, flooded };
}

function print(kind, rounds) {
  const ms = (value) => value.toFixed(3).padStart(9);
  const rows = ['quiet', 'flooded'].map((state) => row(rounds.flatMap((round) => round[state].latencies)));
  for (const [state, { samples, p50, p95, p99, max }] of [
    ['quiet', rows[0]],
    ['flooded', rows[1]],
  ]) {
    const cores = rounds.flatMap((round) => round[state].ends.map((end) => end.cores));
    const busy = (cores.reduce((sum, one) => sum + one, 0) / cores.length).toFixed(2);
    const name = `${NAMES[kind]}, ${state}`;
    console.log(
      `${name.padEnd(34)} ${String(samples).padStart(7)}${ms(p50)} ${ms(p95)} ${ms(p99)} ${ms(max)}   ${busy}`,
    );
  }
  return rows[1].p99 / rows[0].p99;
}

const broker = await startMosquitto(['allow_anonymous true', 'set_tcp_nodelay true']);
const running = [];
try {
  console.error(`making ${rate * seconds} edits of the flooding member`);
  const flooder = await startFlooder(broker.port);
  running.push(flooder);
  const results = { deaf: [], hearing: [], product: [] };
  for (const [kind, share] of ROUNDS) results[kind].push(await pair(kind, share, flooder, broker.port, running));

  console.log(
    `\n${'latency in ms'.padEnd(34)} samples      p50       p95       p99       max   cores of ${availableParallelism()} each`,
  );
  const ratios = Object.fromEntries(Object.entries(results).map(([kind, rounds]) => [kind, print(kind, rounds)]));
  const [{ quiet, flooded }] = results.product;
  for (const { throttled, status } of flooded.ends) {
    const { received, rejected } = status.messages;
    console.log(`received ${received} messages, rejected ${JSON.stringify(rejected)}, told ${throttled} times`);
  }
  const growth = flooded.memory.map((most, n) => most - quiet.memory[n]);
  console.log(`memory grew by ${growth.map((mb) => mb.toFixed(1)).join(' and ')} MB; wanted: at most ${ALLOWED_MB}`);
  const times = (kind) => ratios[kind].toFixed(2);
  console.log(`p99 is ${times('product')} times the quiet one; wanted: at most ${ALLOWED_RATIO}`);
  console.log(
    `floor: ${times('hearing')} times for mqtt.js that hears the flood, ${times('deaf')} for one that does not`,
  );
} finally {
  for (const program of running) program.stop();
  await broker.stop();
}
