import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { ROOT } from './processes.mjs';
import { scoped } from './teardown.mjs';

/** Why there can be no terminal here, or false. */
export const NO_TERMINAL = spawnSync('script', ['--version']).error ? 'script(1) is not installed' : false;

/** Starts the command line in a terminal of its own: `output()`, `type(text)`, `ended`. Killed after the test. */
export function startInTerminal(t, args, { columns = 100, rows = 30, env = {} } = {}) {
  const words = ['dist/mqtt-cli.js', ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  const command = `stty cols ${columns} rows ${rows}; exec '${process.execPath}' ${words.join(' ')}`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: '1', TERM: 'xterm', ...env },
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  const ended = once(child, 'exit').then(([code]) => code);
  scoped(t).defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { output: () => text, type: (typed) => child.stdin.write(typed), ended };
}
