import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scoped } from './teardown.mjs';
import { DEADLINE_MS, nextEvent } from './wait.mjs';

/** The root of the package. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Runs Node with the given arguments to its end: `{ code, signal, stdout, stderr }`. Killed at the deadline, which shows
 * as its signal.
 */
export async function runNode(args, { env = {}, deadlineMs = DEADLINE_MS, cwd = ROOT, input } = {}) {
  const child = spawn(process.execPath, args, { cwd, env: { ...cleanEnvironment(), ...env } });
  return finish(child, deadlineMs, input);
}

/** Starts Node and gives the child, whose text so far is `child.output()`, or `child.said()` by stream. Killed after the test. */
export function startNode(t, args, { env = {} } = {}) {
  const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...cleanEnvironment(), ...env } });
  let text = '';
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
      said[name] += chunk;
    });
  }
  const ended = once(child, 'close');
  scoped(t).defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return Object.assign(child, { output: () => text, said: () => said, ended });
}

/**
 * Starts `helpers/editor.mjs` as a process of its own. `ask(order)` sends an order and gives the answer to it.
 */
export function startEditor(t, options) {
  const child = fork(fileURLToPath(new URL('./editor.mjs', import.meta.url)), { cwd: ROOT });
  const ended = once(child, 'exit');
  scoped(t).defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let last = 0;
  const ask = async (order, parameters = {}, deadlineMs = 120_000) => {
    const number = ++last;
    child.send({ number, order, ...parameters });
    const answer = await nextEvent(child, 'message', (message) => message.number === number, deadlineMs);
    if (answer.error) throw new Error(`${options.name}: ${answer.error}`);
    return answer.result;
  };
  return { ask, started: ask('start', options), pid: child.pid };
}

async function finish(child, deadlineMs, input) {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (chunk) => {
      output[name] += chunk;
    });
  }
  child.stdin.end(input);
  const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
  const [code, signal] = await once(child, 'close');
  clearTimeout(timer);
  return { code, signal, ...output };
}

/** What this shell happens to set must not reach the programs under test, and what they store nobody's own data. */
function cleanEnvironment() {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(MQTT_|DEBUG$|FORCE_COLOR$|NODE_TEST_CONTEXT$)/.test(name),
  );
  return { ...Object.fromEntries(kept), ...applicationData(), NO_COLOR: '1' };
}

let dataFolder;

/** Environment that leads programs to a data directory of this test process alone, removed at its end. */
function applicationData() {
  if (!dataFolder) {
    dataFolder = mkdtempSync(join(tmpdir(), 'mqtt-p2p-data-'));
    process.on('exit', () => rmSync(dataFolder, { recursive: true, force: true }));
  }
  const home = process.platform === 'darwin' && { HOME: dataFolder };
  return { XDG_DATA_HOME: dataFolder, LOCALAPPDATA: dataFolder, ...home };
}
