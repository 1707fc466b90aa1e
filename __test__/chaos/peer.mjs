import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nextEvent, until } from '../helpers/wait.mjs';

const EDITOR = fileURLToPath(new URL('./editor.mjs', import.meta.url));
const DEADLINE_MS = 120_000;

/** One peer of the chaos test: a directory that lasts, and one process after the other that works on it. */
export class ChaosPeer {
  name;
  /** Its id; every run must have the same one. */
  id;
  /** Edits that the present run has acknowledged. */
  acknowledged = 0;
  /** The same of all runs. */
  total = 0;
  #options;
  #run = 0;
  #child;
  #ended;
  #leaving = false;
  #orders = 0;
  #phase = 0;
  #onFailure;

  constructor(name, folder, options, onFailure) {
    this.name = name;
    this.#options = { ...options, name, path: join(folder, name), journal: join(folder, `${name}.journal`) };
    this.#onFailure = onFailure;
  }

  start() {
    this.acknowledged = 0;
    this.#leaving = false;
    const options = { ...this.#options, run: ++this.#run };
    const child = fork(EDITOR, [JSON.stringify(options)]);
    this.#child = child;
    this.#ended = once(child, 'exit');
    child.on('message', (message) => this.#hear(message));
    child.on('error', () => {}); // An order to a process that is gone.
    child.on('exit', (code, signal) => {
      if (!this.#leaving) this.#onFailure(new Error(`${this.name} ended by itself: status ${code}, ${signal}`));
      else if (signal === null && code !== 0) this.#onFailure(new Error(`${this.name} left with status ${code}`));
    });
    if (this.#phase > 0) this.enter(this.#phase);
  }

  /** Ends the process as a power cut would. */
  async kill() {
    this.#leaving = true;
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** Ends the process with `disconnect()`. */
  async leave() {
    this.#leaving = true;
    await this.ask('leave');
    await this.#ended;
  }

  /** Ends whatever runs. */
  async end() {
    this.#leaving = true;
    this.#child?.kill('SIGKILL');
    await this.#ended;
  }

  /** Other canvases from now on. */
  enter(phase) {
    this.#phase = phase;
    this.#send({ order: 'phase', to: phase });
  }

  async ask(order) {
    const number = ++this.#orders;
    const fits = (message) => message.number === number;
    const answer = nextEvent(this.#child, 'message', fits, DEADLINE_MS);
    this.#send({ number, order });
    const { result, error } = await answer;
    if (error) throw new Error(`${this.name}: ${error}`);
    return result;
  }

  /** Waits until the present run has acknowledged so many edits, or `given()` up. */
  async edits(count, given = () => false) {
    const reached = () => this.acknowledged >= count || given();
    await until(reached, `${this.name} has made ${count} edits`, DEADLINE_MS);
  }

  /** What was acknowledged, as the processes wrote it down. */
  journal() {
    let text = '';
    try {
      text = readFileSync(this.#options.journal, 'utf8');
    } catch {
      // No run has come so far.
    }
    // A line that was being written when the process was killed was not acknowledged.
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }

  #send(message) {
    this.#child.send(message, () => {});
  }

  #hear({ acknowledged, started, failed }) {
    this.acknowledged += acknowledged ?? 0;
    this.total += acknowledged ?? 0;
    if (failed) this.#onFailure(new Error(failed));
    if (started === undefined) return;
    this.id ??= started;
    if (this.id !== started) this.#onFailure(new Error(`${this.name} came back as another peer`));
  }
}
