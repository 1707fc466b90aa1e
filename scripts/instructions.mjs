// Counts the instructions that core operations take, under valgrind, and compares them with the committed baseline,
// benches/instructions.json: `npm run bench:instructions`. Fails when one takes over 10 % more.
//   --accept "why"   writes what was counted into the baseline, with the reason, for those that changed
//
// Instructions, and not time: they are the same on a busy machine.
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { root } from './stamps.mjs';

/** How much more an operation may take than the baseline says. */
export const TOLERANCE = 0.1;
/** Hash tables with random seeds make so much of a difference from run to run, and more. */
const NOISE = 0.01;
/** What is counted is between entering and leaving this function. */
const COUNTED = 'instructions::counted';

const baselineFile = join(root, 'benches/instructions.json');
const outputs = join(root, 'target/instructions');
const run = promisify(execFile);

/** Why counts cannot be compared with a baseline's, in words for people; undefined when they can. */
export function incomparable(baseline, now) {
  if (baseline.target !== now.target) return `the baseline was counted on ${baseline.target}, this is ${now.target}`;
  const [then, here] = [baseline.cpu, now.cpu].map((features) => features || 'none of its extensions');
  return then === here ? undefined : `the baseline was counted on a processor with ${then}, this one has ${here}`;
}

/** Each operation with its counts, and whether it takes too much more. One that the baseline lacks has grown. */
export function compare(baseline, now) {
  return Object.entries(now.operations).map(([name, instructions]) => {
    const before = baseline.operations[name]?.instructions;
    const growth = before ? instructions / before - 1 : Number.POSITIVE_INFINITY;
    return { name, before, instructions, growth, grown: !(instructions <= before * (1 + TOLERANCE)) };
  });
}

/** The baseline with what was counted now. What is as before keeps its count and its reason. */
export function accept(baseline, now, reason) {
  const all = incomparable(baseline, now) !== undefined || baseline.rustc !== now.rustc;
  const operations = compare(baseline, now).map(({ name, instructions, growth }) => {
    const changed = all || Math.abs(growth) > NOISE;
    return [name, changed ? { instructions, reason } : baseline.operations[name]];
  });
  const { rustc, target, cpu } = now;
  return { rustc, target, cpu, operations: Object.fromEntries(operations) };
}

function build() {
  // Only this program keeps its symbols; all else is as the tests have built it.
  const args = ['rustc', '--bench', 'instructions', '--message-format', 'json-render-diagnostics'];
  const cargo = [join(root, 'scripts/cargo.mjs'), ...args, '--', '-C', 'strip=none'];
  const { status, stdout } = spawnSync(process.execPath, cargo, { stdio: ['ignore', 'pipe', 'inherit'] });
  if (status !== 0) throw new Error('the program to be counted cannot be built, see above');
  const messages = stdout.toString().split('\n').filter(Boolean).map(JSON.parse);
  return messages.findLast(({ executable }) => executable).executable;
}

async function count(program, name) {
  const output = join(outputs, `${name}.out`);
  const valgrind = ['--tool=callgrind', `--toggle-collect=${COUNTED}`, `--callgrind-out-file=${output}`];
  const { stdout } = await run('valgrind', [...valgrind, program, name]);
  const { rounds, cpu } = JSON.parse(stdout);
  const total = Number(/^totals: (\d+)$/m.exec(readFileSync(output, 'utf8'))?.[1]);
  if (!total) throw new Error(`valgrind has not found ${COUNTED} in ${program}`);
  return { instructions: Math.round(total / rounds), cpu };
}

/** What the operations take now, with what it depends on besides the sources. */
async function countAll() {
  const program = build();
  mkdirSync(outputs, { recursive: true });
  const names = spawnSync(program, { encoding: 'utf8' }).stdout.trim().split(' ');
  const counted = await Promise.all(names.map((name) => count(program, name)));
  const version = spawnSync('rustc', ['-vV'], { encoding: 'utf8' }).stdout;
  const said = (what) => new RegExp(`^${what}: (.+)$`, 'm').exec(version)?.[1];
  return {
    rustc: said('release'),
    target: said('host'),
    cpu: counted[0].cpu.join(' '),
    operations: Object.fromEntries(names.map((name, index) => [name, counted[index].instructions])),
  };
}

function show(rows) {
  const number = (value) => (value ? value.toLocaleString('en') : '-').padStart(12);
  console.log(`\n${'operation'.padEnd(12)} ${'baseline'.padStart(12)} ${'now'.padStart(12)}`);
  for (const { name, before, instructions, growth, grown } of rows) {
    const percent = before ? `${growth < 0 ? '' : '+'}${(100 * growth).toFixed(1)} %` : 'new';
    console.log(
      `${name.padEnd(12)} ${number(before)} ${number(instructions)} ${percent.padStart(9)}${grown ? '  !' : ''}`,
    );
  }
}

async function main() {
  const accepting = process.argv.indexOf('--accept');
  const reason = accepting < 0 ? undefined : process.argv[accepting + 1]?.trim();
  if (accepting >= 0 && !reason)
    throw new Error('--accept wants a reason: why may the operations take what they take?');
  if (spawnSync('valgrind', ['--version']).error) {
    console.log('valgrind is not installed: the instructions of core operations are not counted');
    if (process.env.CI || reason) process.exitCode = 1;
    return;
  }
  const baseline = JSON.parse(readFileSync(baselineFile, 'utf8'));
  const now = await countAll();
  const rows = compare(baseline, now);
  show(rows);
  if (reason) {
    writeFileSync(baselineFile, `${JSON.stringify(accept(baseline, now, reason), null, 2)}\n`);
    console.log('\nbenches/instructions.json says so now: commit it with what made the difference.');
    return;
  }
  const differ = incomparable(baseline, now);
  if (differ) {
    console.log(`\nNot compared: ${differ}.`);
    return;
  }
  if (rows.some(({ grown }) => grown)) {
    const compiler =
      baseline.rustc === now.rustc ? '' : ` The compiler may be why: it was ${baseline.rustc}, now ${now.rustc}.`;
    console.error(
      `\nMore than ${100 * TOLERANCE} % over benches/instructions.json.${compiler} Where they go: ` +
        'callgrind_annotate target/instructions/<operation>.out\n' +
        'If it must be so: npm run bench:instructions -- --accept "why", and commit the baseline with the change.',
    );
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    await main();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
