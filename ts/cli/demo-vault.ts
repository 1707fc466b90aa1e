import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import type { CanvasNode, MQTTIntegrationConfig, ReadCanvas } from '../index.js';

/** The canvas that the demo is about, as a file and as an id. */
export const FILE = 'plan.canvas';

/** How long anything may take. */
const DEADLINE_MS = 20_000;
/** How often a file is looked at while it is waited for. */
const LOOK_EVERY_MS = 5;
const CLI = join(__dirname, '../mqtt-cli.js');

/** What `mqtt-p2p watch --json` prints. */
type Told = { event: string; [field: string]: unknown };

/** How an editor puts a file in place. */
export type Style = 'truncate and write' | 'write and rename';

/** A git clone with a canvas in it, and the process that watches it. */
export class Vault {
  readonly name: string;
  readonly folder: string;
  #watcher: ChildProcess | undefined;
  readonly #told: Told[] = [];

  constructor(name: string, folder: string) {
    this.name = name;
    this.folder = folder;
  }

  /** Runs git here; gives what it printed. Nobody's own configuration is read. */
  git(...args: string[]): string {
    return git(this.folder, ...args);
  }

  /** Starts `mqtt-p2p watch` and waits until the canvases are live. */
  async watch(repository: string, config: MQTTIntegrationConfig, dataDir: string): Promise<void> {
    const { password, ...broker } = config.broker;
    const settings = join(dataDir, '..', `${this.name}.json`);
    writeFileSync(settings, JSON.stringify({ ...config, broker, repositories: undefined }));
    const args = [
      CLI,
      'watch',
      this.folder,
      '--name',
      repository,
      '--config',
      settings,
      '--data-dir',
      dataDir,
      '--json',
    ];
    const env = { ...gitEnvironment(), ...(password && { MQTT_PASSWORD: password }) };
    this.#watcher = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    if (this.#watcher.stdout) {
      createInterface({ input: this.#watcher.stdout }).on('line', (line) => this.#told.push(JSON.parse(line) as Told));
    }
    await this.told('files-ready');
  }

  get pid(): number {
    return this.#watcher?.pid ?? 0;
  }

  /** Waits until the watcher has told of an event, counted from the last call. */
  async told(event: string): Promise<Told> {
    return until(`${this.name}: "${event}"`, () => {
      const at = this.#told.findIndex((told) => told.event === event);
      return at < 0 ? undefined : this.#told.splice(0, at + 1).at(-1);
    });
  }

  /** Forgets what the watcher has told so far. */
  forgetTold(): void {
    this.#told.length = 0;
  }

  text(): string {
    return readFileSync(join(this.folder, FILE), 'utf8');
  }

  /** The canvas that the file holds; nothing while it cannot be parsed. */
  canvas(): ReadCanvas | undefined {
    try {
      return JSON.parse(this.text()) as ReadCanvas;
    } catch {
      return undefined;
    }
  }

  /** Changes the file as an editor does: reads it, and saves all of it. */
  edit(style: Style, change: (canvas: ReadCanvas) => void): void {
    const canvas = JSON.parse(this.text()) as ReadCanvas;
    change(canvas);
    const path = join(this.folder, FILE);
    if (style === 'truncate and write') {
      writeFileSync(path, asObsidianWrites(canvas));
      return;
    }
    writeFileSync(`${path}.part`, asObsidianWrites(canvas));
    renameSync(`${path}.part`, path);
  }

  /** Waits until the file holds what is wanted; gives how long that took. */
  async until(what: string, holds: (canvas: ReadCanvas) => boolean): Promise<number> {
    const startedAt = performance.now();
    await until(`${this.name}'s file: ${what}`, () => {
      const canvas = this.canvas();
      return canvas && holds(canvas) ? canvas : undefined;
    });
    return performance.now() - startedAt;
  }

  /** Ends the watcher in order. */
  async stop(): Promise<void> {
    const watcher = this.#watcher;
    if (!watcher || watcher.exitCode !== null || watcher.signalCode !== null) return;
    const gone = once(watcher, 'exit');
    watcher.kill('SIGINT');
    await gone;
  }
}

/** Waits until there is something; fails at the deadline, naming it. */
async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`not within ${DEADLINE_MS / 1000} s: ${what}`);
    await wait(LOOK_EVERY_MS);
  }
}

/** Runs git in a folder. */
export function git(folder: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync('git', ['-C', folder, ...args], {
    encoding: 'utf8',
    env: gitEnvironment(),
  });
  if (error) throw new Error(`git cannot be run: ${error.message}`);
  if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr || stdout}`);
  return stdout;
}

/** The scratch repositories are nobody's, and read nobody's configuration. */
function gitEnvironment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: process.platform === 'win32' ? 'NUL' : '/dev/null',
  };
}

/** The form in which Obsidian saves a canvas. */
export function asObsidianWrites({ nodes, edges, ...rest }: ReadCanvas): string {
  const list = (elements: unknown[]) =>
    elements.length === 0 ? '[]' : `[\n${elements.map((element) => `\t\t${JSON.stringify(element)}`).join(',\n')}\n\t]`;
  const others = Object.entries(rest).map(([key, value]) => `,\n\t${JSON.stringify(key)}:${JSON.stringify(value)}`);
  return `{\n\t"nodes":${list(nodes)},\n\t"edges":${list(edges)}${others.join('')}\n}`;
}

/** A node by its id. */
export function node(canvas: ReadCanvas, id: string): CanvasNode {
  const found = canvas.nodes.find((candidate) => candidate.id === id);
  if (!found) throw new Error(`there is no node ${id}`);
  return found;
}
