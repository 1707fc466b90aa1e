// What scenarios stand on: a broker, and processes with services. Both are measured from here.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { startMosquitto } from '../../__test__/helpers/mosquitto.mjs';

const WORKER = fileURLToPath(new URL('./worker.mjs', import.meta.url));
const TICKS_PER_SECOND = 100;
/** A broker that is asked for more than it holds back by default drops messages, and catching up would be measured. */
const LINES = ['allow_anonymous true', 'set_tcp_nodelay true', 'max_queued_messages 0', 'max_inflight_messages 0'];

/** Runs `scene` with a broker and processes, and ends them all. */
export async function onStage(scene) {
  const broker = await startMosquitto(LINES);
  const workers = [];
  const worker = () => {
    const made = new Worker();
    workers.push(made);
    return made;
  };
  try {
    return await scene({
      worker,
      broker: { host: broker.host, port: broker.port },
      brokerFigures: () => figuresOf(broker.pid),
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.end()));
    await broker.stop();
  }
}

class Worker {
  #child = fork(WORKER, { cwd: tmpdir(), execArgv: ['--expose-gc'] });
  #ended = once(this.#child, 'exit');
  #waiting = new Map();
  #last = 0;

  constructor() {
    this.#child.on('message', ({ number, result, error }) => {
      const { resolve, reject } = this.#waiting.get(number);
      this.#waiting.delete(number);
      if (error) reject(new Error(error));
      else resolve(result);
    });
  }

  ask(order, parameters = {}) {
    const number = ++this.#last;
    const answer = new Promise((resolve, reject) => this.#waiting.set(number, { resolve, reject }));
    this.#child.send({ number, order, ...parameters });
    return answer;
  }

  async end() {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

/** Processor time and memory of another process, where the system tells; zeros elsewhere. */
function figuresOf(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    const [, rss] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return { cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND, rss: Number(rss) * 1024 };
  } catch {
    return { cpuMs: 0, rss: 0 };
  }
}

/** The sum of a figure over several. */
export const sum = (all, name) => all.reduce((total, each) => total + each[name], 0);

/** The value below which a part of them lies. */
export function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
