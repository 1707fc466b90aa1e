// Latency of one node's move, from process to process through Mosquitto, at 100 moves a second; beside it the floor: what
// mqtt.js takes for 200 bytes at QoS 1 through the same broker in the same run. TCP_NODELAY is on everywhere.
// The two take turns, half a second each, since a machine that others use too is not the same a second later.
//   node benchmark/latency.mjs [seconds of each, default 10] [--encrypted]
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createKeyFile } from '@mind-git/mqtt-p2p';
import { startMosquitto } from '../__test__/helpers/mosquitto.mjs';

const PER_SECOND = 100;
const WARM_UP = 100;
const TURN = 50;
const ALLOWED_RATIO = 2;
const encrypted = process.argv.includes('--encrypted');
const seconds = Number(process.argv.slice(2).find((word) => word !== '--encrypted') ?? 10);
const turns = Math.ceil((seconds * PER_SECOND) / TURN);

/** Starts a peer in a process of its own and waits until it is ready. */
async function start(kind, role, port) {
  const child = fork(fileURLToPath(new URL('./latency-peer.mjs', import.meta.url)), [
    kind,
    role,
    String(port),
    'bench',
  ]);
  await once(child, 'message');
  return child;
}

/** Both peers of one kind. */
async function pair(kind, port) {
  const receiver = await start(kind, 'receiver', port);
  const sender = await start(kind, 'sender', port);
  return { receiver, sender, from: 0, latencies: [] };
}

/** So many messages of one pair: latencies in milliseconds. */
async function turn(pair, count) {
  const received = once(pair.receiver, 'message');
  const sent = once(pair.sender, 'message');
  pair.receiver.send({ from: pair.from, count });
  pair.sender.send({ from: pair.from, count, perSecond: PER_SECOND });
  pair.from += count;
  const [[sentAt], [receivedAt]] = await Promise.all([sent, received]);
  return receivedAt.flatMap((at, n) => (at === null ? [] : [at - sentAt[n]]));
}

async function stop({ sender, receiver }) {
  for (const child of [sender, receiver]) {
    child.send('stop');
    await once(child, 'exit');
  }
}

function row(name, latencies) {
  const sorted = [...latencies].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { name, samples: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) };
}

const scratch = mkdtempSync(join(tmpdir(), 'mqtt-p2p-bench-'));
if (encrypted) {
  process.env.KEY_FILE = join(scratch, 'bench.key');
  await createKeyFile(process.env.KEY_FILE);
}
const broker = await startMosquitto(['allow_anonymous true', 'set_tcp_nodelay true']);
try {
  const floor = await pair('floor', broker.port);
  const move = await pair('move', broker.port);
  for (const each of [floor, move]) await turn(each, WARM_UP);
  for (let number = 1; number <= turns; number++) {
    if (process.stderr.isTTY) process.stderr.write(`\rturn ${number} of ${turns}`);
    for (const each of [floor, move]) each.latencies.push(...(await turn(each, TURN)));
  }
  for (const each of [floor, move]) await stop(each);
  const rows = [row('mqtt.js, 200 bytes (floor)', floor.latencies), row('one move of a node', move.latencies)];
  const ms = (value) => value.toFixed(3).padStart(9);
  console.log(`\n${'latency in ms'.padEnd(28)}  samples      p50       p95       p99       max`);
  for (const { name, samples, p50, p95, p99, max } of rows) {
    console.log(`${name.padEnd(28)}  ${String(samples).padStart(7)}${ms(p50)} ${ms(p95)} ${ms(p99)} ${ms(max)}`);
  }
  const ratio = rows[1].p50 / rows[0].p50;
  console.log(`\np50 is ${ratio.toFixed(2)} times the floor; wanted: at most ${ALLOWED_RATIO}`);
} finally {
  rmSync(scratch, { recursive: true });
  await broker.stop();
}
