// Ctrl-C ends every command cleanly, also while it waits for a broker that says nothing.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { embedded } from './helpers/broker.mjs';
import { interrupt, startCli, urlOf } from './helpers/cli.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { scoped } from './helpers/teardown.mjs';
import { until } from './helpers/wait.mjs';

/** Accepts connections, and never answers. `met()`: how many. */
async function silence(t) {
  const sockets = new Set();
  const server = createServer((socket) => sockets.add(socket.on('error', () => {}))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  scoped(t).defer(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `mqtt://127.0.0.1:${server.address().port}`, met: () => sockets.size };
}

const COMMANDS = ['server --memory', 'canvases', 'peers', 'tail', 'health', 'monitor', 'test', 'bench'];

for (const command of COMMANDS) {
  test(`${command.split(' ')[0]}, while it waits for the broker`, async (t) => {
    const { url, met } = await silence(t);
    const child = startCli(t, [...command.split(' '), '--broker', url]);
    await until(met, 'it connects');
    await interrupt(child);
  });
}

for (const [command, begun] of [
  ['watch {folder} --memory', /folder/],
  ['server --memory --http 127.0.0.1:0', /http/],
  ['monitor', /connected/],
  ['tail', /listening/],
  ['test --duration 5', /broker/],
]) {
  test(`${command.split(' ')[0]}, while it works`, async (t) => {
    const broker = urlOf(await embedded(t));
    const args = command.replace('{folder}', temporaryFolder(t)).split(' ');
    const child = startCli(t, [...args, '--broker', broker]);
    await until(() => begun.test(child.output()), 'it has begun');
    await interrupt(child);
  });
}

test('a second one ends at once, however long the first takes', async (t) => {
  const { url, met } = await silence(t);
  // It would tell the broker to forget what it left, and the broker says nothing: that takes more than a second.
  const child = startCli(t, ['test', '--broker', url]);
  await until(met, 'it connects');
  child.kill('SIGINT');
  await wait(200);
  child.kill('SIGINT');
  assert.deepEqual(await child.ended, [130, null], child.output());
});
