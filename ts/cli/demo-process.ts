import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Order, Report } from './demo-protocol.js';
import type { Author } from './demo-script.js';

type Kind = Report['report'];
type ReportOf<K extends Kind> = Extract<Report, { report: K }>;

/** A peer in a process of its own, as the conductor sees it. */
export class DemoProcess {
  readonly name: Author;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #listeners = new Set<(report: Report) => void>();
  #end: Error | undefined;

  constructor(name: Author) {
    this.name = name;
    this.#child = fork(join(__dirname, 'demo-peer.js'));
    this.pid = this.#child.pid ?? 0;
    this.#child.on('message', (report: Report) => this.#hear(report));
    this.#child.once('exit', () => this.#hear({ report: 'failed', message: 'its process ended' }));
  }

  tell(order: Order): void {
    if (this.#child.connected) this.#child.send(order);
  }

  /** Calls back for every report of a kind. */
  on<K extends Kind>(kind: K, listener: (report: ReportOf<K>) => void): void {
    this.#listeners.add((report) => {
      if (report.report === kind) listener(report as ReportOf<K>);
    });
  }

  /** The next report of a kind; rejects when the peer fails, or when the time is over. */
  next<K extends Kind>(kind: K, timeoutMs = 20_000): Promise<ReportOf<K>> {
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
      };
      const fail = (message: string) => {
        done();
        reject(new Error(`${this.name}: ${message}`));
      };
      const listener = (report: Report) => {
        if (report.report === 'failed') fail(report.message);
        if (report.report !== kind) return;
        done();
        resolve(report as ReportOf<K>);
      };
      const timer = setTimeout(() => fail(`no "${kind}" within ${timeoutMs} ms`), timeoutMs);
      this.#listeners.add(listener);
      if (this.#end) fail(this.#end.message);
    });
  }

  /** Lets it say goodbye and waits for its end. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.tell({ order: 'stop' });
    await gone;
  }

  #hear(report: Report): void {
    if (report.report === 'failed') this.#end ??= new Error(report.message);
    for (const listener of [...this.#listeners]) listener(report);
  }
}
