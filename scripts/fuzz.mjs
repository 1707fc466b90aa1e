// Fuzzes what takes in bytes of others, from the committed corpus: `node scripts/fuzz.mjs [seconds of each target, default 60]
// [target ...]`, as CI does; for 0 seconds the corpus alone is run. Two targets run at a time. A crash ends with status 1, and
// the input is kept in fuzz/artifacts/; `node scripts/fuzz.mjs --replay fuzz/artifacts/<target>/<file>` runs it again.
//
// libFuzzer on the stable toolchain: coverage is a pass of LLVM that rustc can be asked for; sanitizers, which need another
// toolchain, would find little where no code of ours is unsafe.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { root } from './stamps.mjs';

const TARGETS = ['envelope', 'bodies', 'fragments', 'topics', 'canvas_json', 'changes', 'documents'];
const AT_ONCE = 2;
/** More than any input needs; a bomb that is not stopped exceeds it. */
const MAX_MEMORY_MB = 2048;
/** An input that takes longer stalls a peer. */
const MAX_INPUT_SECONDS = 10;
/** Largest input, in bytes. */
const MAX_INPUT_BYTES = 16_384;
const COVERAGE = [
  '--cfg fuzzing',
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table',
  '-Cllvm-args=-sanitizer-coverage-trace-compares',
];

const fuzz = join(root, 'fuzz');

function build() {
  const host = /^host: (.+)$/m.exec(spawnSync('rustc', ['-vV'], { encoding: 'utf8' }).stdout ?? '')?.[1];
  // With a target named, build scripts and macros are built without coverage.
  const args = ['build', '--release', '--locked', '--bins', '--target', host];
  const env = { ...process.env, RUSTFLAGS: COVERAGE.join(' ') };
  const { status, error } = spawnSync('cargo', args, { cwd: fuzz, env, stdio: 'inherit' });
  if (error || status !== 0) throw new Error(`the fuzz targets cannot be built${error ? `: ${error.message}` : ''}`);
  return join(fuzz, 'target', host, 'release');
}

/** Runs one target on a copy of its corpus; what it executed and whether it held. */
function run(target, folder, seconds) {
  const scratch = mkdtempSync(join(tmpdir(), `fuzz-${target}-`));
  const artifacts = join(fuzz, 'artifacts', target);
  const seeds = join(fuzz, 'corpus', target);
  mkdirSync(artifacts, { recursive: true });
  if (existsSync(seeds)) cpSync(seeds, scratch, { recursive: true });
  const child = spawn(join(folder, target), [
    scratch,
    seconds === 0 ? '-runs=0' : `-max_total_time=${seconds}`,
    `-max_len=${MAX_INPUT_BYTES}`,
    `-rss_limit_mb=${MAX_MEMORY_MB}`,
    `-timeout=${MAX_INPUT_SECONDS}`,
    `-artifact_prefix=${artifacts}/`,
    '-print_final_stats=1',
  ]);
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      log = (log + data).slice(-100_000);
    });
  }
  return new Promise((resolve) => {
    child.on('close', (code) => {
      const inputs = readdirSync(scratch).length;
      rmSync(scratch, { recursive: true });
      const executed = Number(/number_of_executed_units:\s*(\d+)/.exec(log)?.[1] ?? 0);
      const covered = [...log.matchAll(/cov: (\d+)/g)].at(-1)?.[1] ?? '?';
      resolve({ target, ok: code === 0 && executed > 0, executed, covered, inputs, log });
    });
  });
}

async function main() {
  const words = process.argv.slice(2);
  if (words[0] === '--replay') {
    const input = words[1];
    const env = { ...process.env, FUZZ_PANICS: '1' };
    const { status } = spawnSync(join(build(), basename(dirname(input))), [input], { env, stdio: 'inherit' });
    return status === 0;
  }
  const seconds = Number(words.find((word) => /^\d+$/.test(word)) ?? 60);
  const named = words.filter((word) => TARGETS.includes(word));
  const waiting = named.length > 0 ? named : [...TARGETS];
  const folder = build();
  let held = true;
  const worker = async () => {
    for (let target = waiting.shift(); target; target = waiting.shift()) {
      const { ok, executed, covered, inputs, log } = await run(target, folder, seconds);
      const figures = `${executed.toLocaleString('en')} executions, ${covered} edges covered, ${inputs} inputs kept`;
      console.log(`${ok ? 'ok    ' : 'FAILED'}  ${target.padEnd(12)} ${seconds} s: ${figures}`);
      if (!ok) console.error(log.slice(-4_000));
      held &&= ok;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return held;
}

if (!(await main())) process.exitCode = 1;
