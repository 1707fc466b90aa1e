// Committed files stay short and speak of the project alone: no registry hosts, no paths of somebody's machine.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './stamps.mjs';

/** Longest source file, in lines. */
const MAX_LINES = 450;
const SOURCE = /^(src|ts|scripts|tests|fuzz\/targets|__test__|benchmark|benches)\/.*\.(rs|ts|mjs)$/;
const MACHINE_PATH = /(?<![\w./-])\/(home|root|Users|work)\/[\w.-]+/;

const problems = [];
const registry = registryHost();
const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean);

for (const file of files.filter((file) => existsSync(join(root, file)))) {
  const bytes = readFileSync(join(root, file));
  if (bytes.includes(0)) continue; // Not text.
  const lines = bytes.toString('utf8').split('\n');
  if (SOURCE.test(file) && lines.length - 1 > MAX_LINES) {
    problems.push(`${file}: ${lines.length - 1} lines; at most ${MAX_LINES}: split it`);
  }
  for (const [index, line] of lines.entries()) {
    const where = `${file}:${index + 1}`;
    if (registry && line.includes(registry)) problems.push(`${where}: names the package registry's host`);
    if (file !== 'scripts/check-hygiene.mjs' && MACHINE_PATH.test(line)) problems.push(`${where}: path of a machine`);
    if (file === 'package-lock.json' && line.includes('"resolved"')) problems.push(`${where}: download address`);
  }
}

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exitCode = 1;
}

function registryHost() {
  const options = { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' };
  const url = spawnSync('npm', ['config', 'get', 'registry'], options).stdout?.trim();
  return URL.canParse(url) ? new URL(url).host : undefined;
}
