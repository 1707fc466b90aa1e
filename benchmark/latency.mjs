// Latency of one node's move, from process to process through Mosquitto, at 100 moves a second; beside it the floor: what
// mqtt.js takes for 200 bytes at QoS 1 through the same broker in the same run. TCP_NODELAY is on everywhere.
//   node benchmark/latency.mjs [seconds of each round, default 5] [--encrypted]
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
const ROUNDS = 2;
const ALLOWED_RATIO = 2;
const encrypted = process.argv.includes('--encrypted');
const seconds = Number(process.argv.slice(2).find((word) => word !== '--encrypted') ?? 5);
const count = WARM_UP + seconds * PER_SECOND;

/** Starts a peer in a process of its own and waits until it is ready. */
async function start(kind, role, port, canvas) {
  const child = fork(fileURLToPath(new URL('./latency-peer.mjs', import.meta.url)), [kind, role, String(port), canvas]);
  await once(child, 'message');
  return child;
}

/** One round of one kind: latencies in milliseconds. */
async function measure(kind, port, canvas) {
  const receiver = await start(kind, 'receiver', port, canvas);
  const sender = await start(kind, 'sender', port, canvas);
  const received = once(receiver, 'message');
  const sent = once(sender, 'message');
  receiver.send({ count });
  sender.send({ count, perSecond: PER_SECOND });
  const [[sentAt], [receivedAt]] = await Promise.all([sent, received]);
  for (const child of [sender, receiver]) {
    child.send('stop');
    await once(child, 'exit');
  }
  return receivedAt.flatMap((at, n) => (n < WARM_UP || at === null ? [] : [at - sentAt[n]]));
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
  const latencies = { floor: [], move: [] };
  for (let round = 1; round <= ROUNDS; round++) {
    for (const kind of ['floor', 'move']) {
      console.error(`round ${round} of ${ROUNDS}: ${kind}, ${seconds} s`);
      latencies[kind].push(...(await measure(kind, broker.port, `round-${round}`)));
    }
  }
  const rows = [row('mqtt.js, 200 bytes (floor)', latencies.floor), row('one move of a node', latencies.move)];
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
