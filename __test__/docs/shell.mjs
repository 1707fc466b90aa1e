import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../helpers/folders.mjs';
import { ROOT } from '../helpers/processes.mjs';
import { scoped } from '../helpers/teardown.mjs';
import { until } from '../helpers/wait.mjs';

const DEADLINE_MS = 120_000;

/** Lines that are not run here, and why: whoever adds one says so. Each must be in a document. */
const NOT_RUN = [
  [/^npm test$/, 'this test is part of it'],
  [/^npm install @mind-git\/mqtt-p2p$/, 'package.spec.mjs installs the packed package'],
  [/^apt-get install /, 'would change the machine'],
  [/^npm install --global /, 'would change the machine, and nothing is published yet'],
  [/^mosquitto_passwd (?!-U)/, 'asks for a password on a terminal; the tests use its -b'],
  [/^mkpasswd /, 'asks for a password on a terminal'],
  [/^chown /, 'needs users that the packages and images have'],
  [/^(BROKER_NAME=\S+ )?docker /, 'needs a container engine; deploy-files.spec.mjs does what it would do'],
  [/^kubectl /, 'needs a cluster; deploy-files.spec.mjs checks the manifests'],
  [/^systemctl /, 'needs a running systemd'],
  [/^systemd-sysusers$/, 'would change the machine'],
];

/** When a command that goes on has begun: it is then ended with Ctrl-C, and must end well. */
const GOES_ON = [
  [/^mqtt-p2p server\b/, /^repositories +\S/m],
  [/^mqtt-p2p watch\b/, /Ctrl-C stops/],
  [/^mqtt-p2p tail\b/, /\S/],
  [/^mqtt-p2p monitor\b(?!.*--once)/, /connected .*peers/],
  [/^mqtt-p2p test\b/, /broker/],
];

const used = new Set();

/** The command lines of a block, without comments; what follows a `\` belongs to its line. */
export function linesOf(text) {
  return text
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#\s.*$/, '').trim())
    .filter((line) => line !== '');
}

/** Why a line is not run here, if it is not. */
export function reasonNotToRun(line) {
  const found = NOT_RUN.find(([pattern]) => pattern.test(line));
  if (found) used.add(found);
  return found?.[1];
}

/** Reasons for lines that are in no document any more. */
export const unusedReasons = () => NOT_RUN.filter((entry) => !used.has(entry)).map(([pattern]) => String(pattern));

/**
 * A folder to run lines in, with a home, `mqtt-p2p` on the path, and nothing of this machine's user.
 * `run(line, { environment, status })` fails unless the line ends as it should.
 */
export function sandbox(t, environment = {}) {
  const top = temporaryFolder(t, 'docs');
  const [folder, home, bin] = ['work', 'home', 'bin'].map((name) => join(top, name));
  for (const made of [folder, home, bin]) mkdirSync(made);
  const program = `#!/bin/sh\nexec "${process.execPath}" "${join(ROOT, 'dist/mqtt-cli.js')}" "$@"\n`;
  writeFileSync(join(bin, 'mqtt-p2p'), program);
  chmodSync(join(bin, 'mqtt-p2p'), 0o755);
  const env = {
    PATH: `${bin}:${process.env.PATH}`,
    HOME: home,
    XDG_DATA_HOME: join(home, 'data'),
    XDG_CONFIG_HOME: join(home, 'config'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_EDITOR: 'true',
    GIT_PAGER: 'cat',
    NO_COLOR: '1',
    ...environment,
  };
  const run = (line, options = {}) =>
    runLine(t, line, { ...options, cwd: folder, env: { ...env, ...options.environment } });
  return { folder, home, run };
}

/** What belongs to the machine, and must have been put below a folder. */
const OF_THE_SYSTEM = /(^|[\s>])\/(boot|etc|home|lib|opt|root|srv|usr|var)(\/|\s|$)/;

async function runLine(t, line, { cwd, env, status = 0 }) {
  assert.doesNotMatch(line, OF_THE_SYSTEM, 'a line that is run here may not touch the system');
  const child = spawn('bash', ['-c', line], { cwd, env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  child.stdin.end();
  const ended = once(child, 'close');
  scoped(t).defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const begun = GOES_ON.find(([pattern]) => pattern.test(line.replace(/^(\w+=\S* )+/, '')))?.[1];
  const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
  if (begun) {
    await until(() => begun.test(output) || child.exitCode !== null, `${line} has begun: ${output}`, DEADLINE_MS);
    child.kill('SIGINT');
  }
  const [code, signal] = await ended;
  clearTimeout(timer);
  assert.deepEqual([code, signal], [status, null], `${line}\n${output}`);
  return output;
}
