// `npm run test:chaos -- --kills 1000`: see `chaos.mjs`. The same `--seed` takes the same decisions again; when exactly
// they strike is up to the machine.
import { parseArgs } from 'node:util';
import { chaos, outcome } from './chaos.mjs';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    peers: { type: 'string', default: '4' },
    seed: { type: 'string', default: String(Date.now()) },
  },
});

const { isTTY } = process.stdout;
const report = (line) => process.stdout.write(isTTY ? `\r\u001b[K${line}` : `${line}\n`);
console.log(`seed ${values.seed}`);
const start = performance.now();
const result = await chaos({ kills: Number(values.kills), peers: Number(values.peers), seed: values.seed, report });
console.log(`${isTTY ? '\n' : ''}${outcome(result).join('\n')}`);
console.log(`took                ${Math.round((performance.now() - start) / 1000)} s`);
if (result.lost.length > 0 || result.divergent.length > 0) process.exitCode = 1;
