// How long it takes from saving a file in one folder until the file in another one has been replaced: two `watch` processes,
// Mosquitto, the 187-node canvas, one node moved at each save; the median of 100 saves.
//   node benchmark/files.mjs [saves, default 100]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startMosquitto } from '../__test__/helpers/mosquitto.mjs';

const SAVES = Number(process.argv[2] ?? 100);
const WARM_UP = 5;
const DEBOUNCE_MS = 50;
/** What may be added to the debounce. */
const ALLOWED_MS = 150;
/** People do not save more often, and a file is not written more often than every 200 ms. */
const PAUSE_MS = 250;
const FILE = 'plan.canvas';
const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Starts `mqtt-p2p watch` on a folder and waits until its canvases are live. */
async function watcher(folder, port) {
  const args = ['watch', folder, '--name', 'bench', '--broker', `mqtt://127.0.0.1:${port}`, '--memory', '--json'];
  const child = spawn(process.execPath, [at('../dist/mqtt-cli.js'), ...args, '--debounce', String(DEBOUNCE_MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (JSON.parse(line).event === 'files-ready') break;
  }
  child.stdout.resume();
  return child;
}

/** Resolves with the time at which the file holds the text; asked each time that something happens in its folder. */
function holds(folder, text) {
  return new Promise((resolve) => {
    const look = () => {
      let found = '';
      try {
        found = readFileSync(join(folder, FILE), 'utf8');
      } catch {
        // It is being replaced.
      }
      if (!found.includes(text)) return;
      watching.close();
      resolve(performance.now());
    };
    const watching = watch(folder, look);
    look();
  });
}

const scratch = mkdtempSync(join(tmpdir(), 'mqtt-p2p-bench-'));
const [from, to] = ['from', 'to'].map((name) => join(scratch, name));
const broker = await startMosquitto(['allow_anonymous true', 'set_tcp_nodelay true']);
const children = [];
try {
  for (const folder of [from, to]) mkdirSync(folder);
  copyFileSync(at('../examples/stardust-roadmap.canvas'), join(from, FILE));
  const arrived = holds(to, '"nodes"');
  for (const folder of [from, to]) children.push(await watcher(folder, broker.port));
  await arrived;
  const latencies = [];
  for (let save = 0; save < WARM_UP + SAVES; save++) {
    await wait(PAUSE_MS);
    const text = readFileSync(join(from, FILE), 'utf8');
    const moved = text.replace(/"x":-?\d+/, `"x":${100_000 + save}`);
    const followed = holds(to, `"x":${100_000 + save},`);
    const savedAt = performance.now();
    writeFileSync(join(from, FILE), moved);
    const ms = (await followed) - savedAt;
    if (save >= WARM_UP) latencies.push(ms);
  }
  latencies.sort((a, b) => a - b);
  const share = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))].toFixed(1);
  console.log(
    `from saving a file to the other being replaced, ms, ${latencies.length} saves, debounce ${DEBOUNCE_MS} ms:`,
  );
  console.log(`p50 ${share(0.5)}   p95 ${share(0.95)}   max ${latencies.at(-1).toFixed(1)}`);
  console.log(
    `the median without the debounce is ${(share(0.5) - DEBOUNCE_MS).toFixed(1)} ms; wanted: at most ${ALLOWED_MS}`,
  );
} finally {
  for (const child of children) {
    child.kill('SIGINT');
    if (child.exitCode === null) await once(child, 'exit');
  }
  await broker.stop();
  rmSync(scratch, { recursive: true, force: true });
}
