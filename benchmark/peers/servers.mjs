// The servers between the peers: one fresh for every workload.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startMosquitto } from '../../__test__/helpers/mosquitto.mjs';
import { answers, freePort } from '../../__test__/helpers/ports.mjs';
import { until } from '../../__test__/helpers/wait.mjs';

/** TCP_NODELAY, as the other servers have it; and room for what a flat-out sender is ahead. */
const MOSQUITTO = ['allow_anonymous true', 'set_tcp_nodelay true', 'max_queued_messages 100000'];

async function startNode(script, args, env, port) {
  const child = spawn(process.execPath, [script, ...args], { stdio: 'ignore', env: { ...process.env, ...env } });
  await until(() => answers(port), `${script} listens`);
  const stop = async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { port, pid: child.pid, stop };
}

const starts = {
  mosquitto: () => startMosquitto(MOSQUITTO),
  async 'y-websocket'() {
    const port = await freePort();
    const entry = createRequire(import.meta.url).resolve('@y/websocket-server/package.json');
    const env = { HOST: '127.0.0.1', PORT: String(port) };
    return startNode(join(dirname(entry), 'src/server.js'), [], env, port);
  },
  async 'automerge-repo'() {
    const port = await freePort();
    return startNode(fileURLToPath(new URL('./automerge-server.mjs', import.meta.url)), [port], {}, port);
  },
};

/** Starts a server: `{ port, pid, stop() }`. */
export const startServer = (name) => starts[name]();
