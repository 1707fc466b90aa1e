// Everything that must hold before a commit, apart from the tests: `npm run check`. CI runs the same.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './stamps.mjs';

const bin = 'node_modules';
const checks = [
  ['rustfmt', 'cargo', ['fmt', '--check']],
  ['layers', process.execPath, ['scripts/check-layers.mjs']],
  ['hygiene', process.execPath, ['scripts/check-hygiene.mjs']],
  ['biome', process.execPath, [`${bin}/@biomejs/biome/bin/biome`, 'ci', '--error-on-warnings']],
  ['typescript', process.execPath, [`${bin}/typescript/bin/tsc`, '--noEmit']],
  ['clippy', process.execPath, ['scripts/cargo.mjs', 'clippy', '--all-targets', '--', '-D', 'warnings']],
];

// Where `.ci/run` puts it, or wherever it is installed.
const deny = [join(root, 'target/tools/bin/cargo-deny'), 'cargo-deny'].find((path) => !spawnSync(path, ['-V']).error);
if (deny || process.env.CI) {
  checks.push(['cargo-deny', deny ?? 'cargo-deny', ['--locked', 'check', 'bans', 'licenses', 'sources']]);
} else {
  console.log('cargo-deny is not installed (cargo install cargo-deny --locked): dependencies are not checked');
}

const results = checks.map(([name, command, args]) => {
  console.log(`\n==> ${name}`);
  const start = Date.now();
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) console.error(error.message);
  return { name, passed: status === 0, seconds: (Date.now() - start) / 1000 };
});

console.log('');
for (const { name, passed, seconds } of results) {
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${name.padEnd(12)} ${seconds.toFixed(1)} s`);
}
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
