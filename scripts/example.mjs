// Builds a program of Cargo.toml's examples with the profile of the addon, so that all dependencies are there already.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './stamps.mjs';

/** Builds the program of a name; gives its path. */
export function build(name) {
  const args = ['build', '--example', name, '--message-format=json-render-diagnostics'];
  const { status, stdout } = spawnSync(process.execPath, [join(root, 'scripts/cargo.mjs'), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`${name} could not be built`);
  const made = stdout.split('\n').filter((line) => line.includes('"executable":"'));
  const program = made.map((line) => JSON.parse(line)).find(({ target }) => target.name === name);
  return program.executable;
}
