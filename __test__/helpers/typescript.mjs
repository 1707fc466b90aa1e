import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, runNode } from './processes.mjs';

const STRICT = '--strict --target es2022 --module nodenext --moduleDetection force --types node'.split(' ');

/** Makes a folder an application of ES modules that has this package installed, and compiles its sources with `tsc --strict`. */
export async function compileStrictly(folder, sources) {
  mkdirSync(join(folder, 'node_modules/@mind-git'), { recursive: true });
  symlinkSync(ROOT, join(folder, 'node_modules/@mind-git/mqtt-p2p'), 'dir');
  symlinkSync(join(ROOT, 'node_modules/@types'), join(folder, 'node_modules/@types'), 'dir');
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { code, stdout, stderr } = await runNode([tsc, ...STRICT, ...sources], { cwd: folder });
  assert.equal(code, 0, stdout + stderr);
}
