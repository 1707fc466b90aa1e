import assert from 'node:assert/strict';
import { runNode, startNode } from './processes.mjs';
import { until } from './wait.mjs';

/** Runs the command line to its end. */
export const cli = (args, options) => runNode(['dist/mqtt-cli.js', ...args], options);

/** Starts the command line and gives the child. */
export const startCli = (t, args, options) => startNode(t, ['dist/mqtt-cli.js', ...args], options);

/** The address of a broker, for `--broker`. */
export const urlOf = ({ host, port }) => `mqtt://${host}:${port}`;

/** Runs the command line and gives the one JSON value that it prints; it must end with the status. */
export async function cliJson(args, { code: expected = 0, ...options } = {}) {
  const { code, stdout, stderr } = await cli([...args, '--json'], options);
  assert.equal(code, expected, stdout + stderr);
  return JSON.parse(stdout);
}

/** Two seconds are promised; a machine that runs many tests at once may need more to start and end a process. */
const GOODBYE_MS = 2000 + 3000;

/** Interrupts a child as Ctrl-C does: it must end by itself, well, and soon. */
export async function interrupt(child) {
  const began = performance.now();
  child.kill('SIGINT');
  assert.deepEqual(await child.ended, [0, null], child.output());
  const took = performance.now() - began;
  assert.ok(took < GOODBYE_MS, `it took ${took} ms`);
}

/** The JSON lines that a child has printed and that fit. */
export function linesOf(child, fits = () => true) {
  const lines = child.output().split('\n').slice(0, -1);
  return lines
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(fits);
}

/** Waits until a child has printed a JSON line that fits, and gives it. */
export function lineOf(child, fits, what) {
  return until(() => linesOf(child, fits)[0], `${what}; it printed: ${child.output()}`);
}
