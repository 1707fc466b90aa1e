// One workload of one system: its server, and its peers, which all end with it.
import { readFile } from 'node:fs/promises';
import { cpuSeconds, start } from './processes.mjs';
import { startServer } from './servers.mjs';

const brokerOf = async (system) => (await import(`./systems/${system}.mjs`)).broker;

/** Runs `act` with a stage, and takes it down in any case. */
export async function onStage(system, options, act) {
  const server = await startServer(await brokerOf(system));
  const processes = [];
  const begin = async (...args) => {
    const child = await start(...args);
    processes.push(child);
    return child;
  };
  const stage = {
    system,
    server,
    /** A peer of the system; `port` leads to the server unless a proxy's is given. */
    peer: (port = server.port) => begin('./peer.mjs', [system, JSON.stringify({ ...options, port })], ['--expose-gc']),
    proxy: () => begin('./proxy.mjs', [server.port]),
    cpuSeconds: () => cpuSeconds([server.pid, ...processes.map(({ pid }) => pid)]),
  };
  try {
    return await act(stage);
  } finally {
    for (const child of processes) await child.stop();
    await server.stop();
  }
}

/** Resident memory of a process, in bytes. */
export async function residentBytes(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024;
}
