import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answers } from './ports.mjs';
import { until } from './wait.mjs';

/** How long a broker may take to listen: RabbitMQ takes eleven seconds on a quiet machine. */
const START_DEADLINE_MS = 90_000;

/**
 * A broker in a process of its own on a loopback port, with a folder of its own. `launch(broker)` is called for each start and gives
 * `{ program, args, env }`. It is always ended by its process id.
 */
export class BrokerProcess {
  host = '127.0.0.1';
  #title;
  #launch;
  #child;
  #ended;
  #log = '';

  /** Without starting it. */
  constructor(title, port, launch) {
    this.#title = title;
    this.port = port;
    this.#launch = launch;
    this.folder = mkdtempSync(join(tmpdir(), `mqtt-p2p-${title.toLowerCase()}-`));
  }

  /** Starts it; it listens when this resolves. */
  async start() {
    const { program, args, env = process.env } = this.#launch(this);
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#log = '';
    this.#ended = once(child, 'close');
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.#log = (this.#log + text).slice(-20_000);
      });
    }
    const listens = async () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended: ${this.#log}`);
      return answers(this.port);
    };
    await until(listens, `${this.#title} listens`, START_DEADLINE_MS).catch(async (error) => {
      await this.end('SIGKILL');
      throw new Error(`${this.#title} does not start: ${error.message}`);
    });
    return this;
  }

  /** The process's id. */
  get pid() {
    return this.#child.pid;
  }

  /** What it has said since its start, the last of it. */
  log() {
    return this.#log;
  }

  /** Ends the process, and keeps the folder; `start()` goes on with what is in it. */
  async end(signal) {
    this.#child.kill(signal);
    await this.#ended;
  }

  /** Ends it as an operator does, and removes its folder. */
  async stop() {
    await this.end('SIGTERM');
    this.#clean();
  }

  /** Ends it with SIGKILL, and removes its folder. */
  async kill() {
    await this.end('SIGKILL');
    this.#clean();
  }

  #clean() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
