// How this product grows: `node benchmark/scale/run.mjs [scenario…] [--size full|tenth|tiny]`, by default all, at full size and at
// a tenth of it. Prints tables; writes `target/scale.json`, to which runs add, and `docs/images/scale.svg` of all that is in it
// with `--chart`. Needs Mosquitto.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chart } from './chart.mjs';
import { SCENARIOS } from './scenarios.mjs';

const place = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { size: { type: 'string' }, chart: { type: 'boolean' }, output: { type: 'string' } },
});
const output = values.output ?? place('target/scale.json');
const wanted = positionals.length > 0 ? positionals : Object.keys(SCENARIOS);
const sizes = values.size ? [values.size] : ['tenth', 'full'];
const unknown = wanted.find((name) => !SCENARIOS[name]);
if (unknown) throw new Error(`no scenario ${unknown}; there are ${Object.keys(SCENARIOS).join(', ')}`);

const results = known();
for (const name of wanted) {
  const { title, run, sizes: parameters } = SCENARIOS[name];
  for (const size of sizes) {
    const figures = await run(parameters[size]);
    results[name] = { title, ...results[name], [size]: { parameters: parameters[size], figures } };
    console.log(`\n${title} (${JSON.stringify(parameters[size])})`);
    console.table(figures);
    mkdirSync(place('target'), { recursive: true });
    writeFileSync(output, `${JSON.stringify({ machine: machine(), results }, null, 2)}\n`);
  }
}
if (values.chart) writeFileSync(place('docs/images/scale.svg'), chart(results));

function known() {
  try {
    return JSON.parse(readFileSync(output, 'utf8')).results;
  } catch {
    return {};
  }
}

function machine() {
  return `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`;
}
