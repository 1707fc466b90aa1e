// Child processes that are asked things, and what they cost.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Clock ticks a second in which Linux counts a process's time. */
const TICKS_PER_SECOND = 100;
const PATIENCE_MS = 120_000;

/** Starts a script next to this one; `ask(task, ...args)` gives its answer. `ready` is what it said first. */
export async function start(script, args = [], execArgv = []) {
  const child = fork(fileURLToPath(new URL(script, import.meta.url)), args.map(String), { execArgv });
  const [{ result: ready }] = await once(child, 'message');
  const asked = new Map();
  let last = 0;
  const settle = (id, outcome) => {
    const { resolve, reject, timer } = asked.get(id);
    asked.delete(id);
    clearTimeout(timer);
    if (outcome.error) reject(new Error(outcome.error));
    else resolve(outcome.result);
  };
  child.on('message', ({ id, ...outcome }) => settle(id, outcome));
  child.on('exit', (code) => {
    for (const id of [...asked.keys()]) settle(id, code === 0 ? {} : { error: `${script} ended with ${code}` });
  });
  return {
    ready,
    pid: child.pid,
    ask: (task, ...taskArgs) =>
      new Promise((resolve, reject) => {
        const id = ++last;
        const timer = setTimeout(() => settle(id, { error: `${args[0]}: no answer to ${task}` }), PATIENCE_MS);
        asked.set(id, { resolve, reject, timer });
        if (child.connected) child.send({ id, task, args: taskArgs });
        else settle(id, { error: `${args[0]} has ended` });
      }),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** CPU seconds that processes have used so far, all threads, in user and kernel mode. */
export function cpuSeconds(pids) {
  const ticks = pids.map((pid) => {
    // The name, in brackets, may hold spaces; the fields after it do not.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND;
}
