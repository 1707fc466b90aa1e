import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './processes.mjs';

/** Where `scripts/checkers.mjs` puts checkers that come as Python packages. */
const FOLDER = join(ROOT, 'target/checkers');
const PYTHON = process.platform === 'win32' ? 'python' : 'python3';

/** Runs Python with those packages: `{ status, stdout, stderr }`. */
export function python(args, input) {
  const env = { ...process.env, PYTHONPATH: FOLDER, PATH: `${join(FOLDER, 'bin')}:${process.env.PATH}` };
  return spawnSync(PYTHON, args, { cwd: ROOT, env, input, encoding: 'utf8' });
}

/** Runs one of those programs: `{ status, stdout, stderr }`. */
export function tool(name, args, input) {
  const env = { ...process.env, PYTHONPATH: FOLDER, PATH: `${join(FOLDER, 'bin')}:${process.env.PATH}` };
  return spawnSync(join(FOLDER, 'bin', name), args, { cwd: ROOT, env, input, encoding: 'utf8' });
}

/** Why tests that need a Python module are skipped; false where it is there, and where CI is set, so that they fail. */
export const withoutModule = (name) => missing(name, () => python(['-c', `import ${name}`]).status === 0);

/** The same of a program. */
export const withoutTool = (name) => missing(name, () => !tool(name, ['--version']).error);

function missing(name, isThere) {
  return !process.env.CI && !isThere() && `${name} is not installed: node scripts/checkers.mjs`;
}
