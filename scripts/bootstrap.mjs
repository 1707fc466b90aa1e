// Makes a fresh clone ready: npm dependencies, native addon, dist/. Does what is missing or stale and nothing else.
//   --release    insists on an addon built with the release profile (slow build, for measuring)
//   --dist-only  compiles dist/ where that is possible, and does not touch the rest
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildNative, hasPrebuilt, isFresh } from './native.mjs';
import { digest, root, stamp, stampOf } from './stamps.mjs';

const flags = new Set(process.argv.slice(2));

const manifests = ['package.json', 'package-lock.json'];
const compiled = ['ts', 'tsconfig.json', 'index.d.ts', 'binding.d.ts'];
const typescript = join(root, 'node_modules/typescript/bin/tsc');

const steps = [
  {
    what: 'npm dependencies',
    fresh: () => existsSync(join(root, 'node_modules')) && stampOf('npm') === digest(manifests),
    make: () => {
      // Without scripts: ours would build the addon with the slow release profile. Not `npm ci`: it refuses a lock file
      // that lacks optional packages of other platforms, which one written from a partial mirror does.
      run('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error']);
      stamp('npm', digest(manifests));
    },
    skip: flags.has('--dist-only'),
  },
  {
    what: 'native addon',
    fresh: () => (flags.has('--release') ? isFresh('release') : isFresh() || hasPrebuilt()),
    make: () => buildNative(flags.has('--release') ? 'release' : 'quick'),
    skip: flags.has('--dist-only'),
  },
  {
    what: 'dist/',
    fresh: () => existsSync(join(root, 'dist')) && stampOf('dist') === digest(compiled),
    make: () => {
      rmSync(join(root, 'dist'), { recursive: true, force: true });
      run(process.execPath, [typescript]);
      stamp('dist', digest(compiled));
    },
    // `npm install --omit=dev` has no compiler; a first install has no binding.d.ts yet when the addon is prebuilt.
    skip: flags.has('--dist-only') && !(existsSync(typescript) && existsSync(join(root, 'binding.d.ts'))),
  },
];

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32' && command === 'npm',
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`"${command} ${args.join(' ')}" failed, see above.`);
}

try {
  for (const { what, fresh, make, skip } of steps) {
    if (skip || fresh()) continue;
    console.error(`\n==> ${what}: missing or out of date, making it`);
    const start = Date.now();
    make();
    console.error(`==> ${what}: done in ${((Date.now() - start) / 1000).toFixed(1)} s`);
  }
} catch (error) {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
