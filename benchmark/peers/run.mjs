// This product beside Yjs, automerge-repo and the raw broker, the same workloads in one run, every peer a process of its
// own:
//   npm run bench:peers [-- --quick] [--only latency,throughput] [--systems floor,mqtt-p2p] [--out results.json]
//     [--chart chart.svg] [--rounds 3]
// `--systems floor,mqtt-p2p-sealed` is this product with encryption and on disk.
// Where a workload is repeated, systems take turns, and each figure is the median.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
if (!existsSync(join(here, 'node_modules'))) {
  console.error('installing what is measured against');
  spawnSync('npm', ['install', '--no-save', '--no-audit', '--no-fund'], { cwd: here, stdio: 'inherit' });
}
const { chart } = await import('./chart.mjs');
const { quantile, workloads } = await import('./workloads.mjs');

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(workloads).join(',') },
    systems: { type: 'string', default: 'floor,mqtt-p2p,yjs,automerge-repo' },
    out: { type: 'string' },
    chart: { type: 'string' },
    rounds: { type: 'string', default: '3' },
  },
});

const format = (value) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3));

/** Rates are the better the more they are, all else the less it is. */
const better = (name) => (name.endsWith('/s') ? Math.max : Math.min);

/** A row for each system, with its ratios to the first, and to the best of those that are neither the first nor itself. */
function print(title, rows) {
  const [first, base] = rows[0];
  const times = (value, of) => (value / of).toFixed(2);
  console.log(`\n${title}`);
  for (const [system, figures] of rows) {
    const cells = Object.entries(figures).map(([name, value]) => {
      if (typeof value !== 'number') return `${name} ${value}`;
      const others = rows.filter(([other]) => other !== first && other !== system).map(([, row]) => row[name]);
      const best = better(name)(...others.filter((other) => typeof other === 'number'));
      const ratios = [
        base[name] && system !== first && `${times(value, base[name])}x`,
        system !== first && Number.isFinite(best) && `${times(value, best)} of the best other`,
      ];
      const shown = ratios.filter(Boolean).join(', ');
      return `${name} ${format(value)}${shown && ` (${shown})`}`;
    });
    console.log(`  ${system.padEnd(16)}${cells.map((cell) => cell.padEnd(54)).join('')}`.trimEnd());
  }
}

/** Each figure's median over the rounds that gave one; why it failed where none did. */
function medians(figures) {
  const good = figures.filter(({ failed }) => failed === undefined);
  if (good.length === 0) return figures[0];
  const names = Object.keys(good[0]);
  return Object.fromEntries(
    names.map((name) => [
      name,
      quantile(
        good.map((each) => each[name]),
        0.5,
      ),
    ]),
  );
}

/** Where peers put what is not to stay. */
process.env.SCRATCH = mkdtempSync(join(tmpdir(), 'mqtt-p2p-bench-'));
process.on('exit', () => rmSync(process.env.SCRATCH, { recursive: true, force: true }));

const rounds = flags.quick ? 1 : Number(flags.rounds);
const results = {};
for (const name of flags.only.split(',')) {
  const { title, better: way, run } = workloads[name];
  const runs = new Map(flags.systems.split(',').map((system) => [system, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const [system, figures] of runs) {
      if (process.stderr.isTTY) process.stderr.write(`\r${title}: ${system}, round ${round} of ${rounds}\x1b[K`);
      try {
        figures.push(await run(system, { quick: flags.quick, options: {} }));
      } catch (error) {
        figures.push({ failed: error.message.split('\n')[0] });
      }
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const rows = [...runs].map(([system, figures]) => [system, medians(figures)]);
  print(title, rows);
  results[name] = { title, better: way, systems: Object.fromEntries(rows) };
}
if (flags.chart) writeFileSync(flags.chart, chart(results));
if (flags.out) writeFileSync(flags.out, `${JSON.stringify(results, null, 2)}\n`);
