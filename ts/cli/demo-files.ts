import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Command } from 'commander';
import type { EmbeddedBroker, ReadCanvas } from '../index.js';
import { brokerName, stage } from './demo-stage.js';
import { asObsidianWrites, FILE, git, node, type Style, Vault } from './demo-vault.js';
import { interruptible } from './lifetime.js';
import { colour, milliseconds, print, printJson, TICK } from './output.js';
import { type CommonOptions, type Settings, settings, withCommonOptions } from './settings.js';

const REPOSITORY = 'team-notes';
const CLI = join(__dirname, '../mqtt-cli.js');

/** What the two begin with. */
const PLAN: ReadCanvas = {
  nodes: [
    { id: 'goal', type: 'text', x: 0, y: 0, width: 260, height: 80, text: 'Ship the spring release' },
    { id: 'docs', type: 'text', x: 0, y: 160, width: 260, height: 80, text: 'Write the docs' },
    { id: 'tests', type: 'text', x: 320, y: 160, width: 260, height: 80, text: 'Test on Windows' },
  ],
  edges: [
    { id: 'goal-docs', fromNode: 'goal', toNode: 'docs' },
    { id: 'goal-tests', fromNode: 'goal', toNode: 'tests' },
  ],
};

/** `mqtt-p2p demo-files`: two git clones whose canvas files are live, watched. */
export function demoFiles(): Command {
  return withCommonOptions(new Command('demo-files'))
    .description('watch the .canvas files of two git clones follow one another (embedded broker unless --broker)')
    .action((options: CommonOptions) => run(settings(options, [REPOSITORY])));
}

async function run(wanted: Settings): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'mqtt-p2p-demo-'));
  let broker: EmbeddedBroker | undefined;
  let vaults: Vault[] = [];
  await interruptible(
    async () => {
      broker = await stage(wanted);
      const show = new Show(wanted, scratch);
      vaults = show.vaults;
      await show.open(brokerName(wanted, broker));
      await show.follow('truncate and write');
      await show.follow('write and rename');
      await show.together();
      await show.branches();
      show.end();
    },
    async () => {
      await Promise.all(vaults.map((vault) => vault.stop()));
      await broker?.stop();
      rmSync(scratch, { recursive: true, force: true });
    },
  );
}

class Show {
  readonly #settings: Settings;
  readonly #scratch: string;
  readonly #ada: Vault;
  readonly #ben: Vault;
  readonly #latencies: number[] = [];

  constructor(wanted: Settings, scratch: string) {
    this.#settings = wanted;
    this.#scratch = scratch;
    this.#ada = new Vault('Ada', join(scratch, 'ada'));
    this.#ben = new Vault('Ben', join(scratch, 'ben'));
  }

  get vaults(): Vault[] {
    return [this.#ada, this.#ben];
  }

  /** Two clones of one repository, each watched by a process of its own. */
  async open(broker: string): Promise<void> {
    this.#say(colour.bold('The .canvas files of two git clones'));
    this.#say();
    this.#say(`broker  ${broker}`);
    const origin = join(this.#scratch, 'origin.git');
    mkdirSync(origin);
    git(origin, 'init', '--quiet', '--bare', '--initial-branch=main');
    for (const { name, folder } of this.vaults) {
      git(this.#scratch, 'clone', '--quiet', origin, folder);
      git(folder, 'config', 'user.name', name);
      git(folder, 'config', 'user.email', `${name.toLowerCase()}@example.org`);
      if (name === 'Ada') this.#begin();
    }
    for (const vault of this.vaults) {
      await vault.watch(REPOSITORY, this.#settings.config, join(this.#scratch, `${vault.name}-data`));
      this.#say(`${TICK} ${vault.name}, process ${vault.pid}, watches a clone with ${FILE}`);
    }
  }

  #begin(): void {
    this.#ada.git('checkout', '--quiet', '-B', 'main');
    writeFileSync(join(this.#ada.folder, FILE), asObsidianWrites(PLAN));
    this.#ada.git('add', FILE);
    this.#ada.git('commit', '--quiet', '--message', 'the plan');
    this.#ada.git('push', '--quiet', 'origin', 'main');
  }

  /** One saves, the other's file follows. */
  async follow(style: Style): Promise<void> {
    const [from, to] = style === 'truncate and write' ? [this.#ada, this.#ben] : [this.#ben, this.#ada];
    const id = `idea-${from.name}`;
    from.edit(style, (canvas) => {
      canvas.nodes.push({ id, type: 'text', x: 640, y: 0, width: 200, height: 60, text: `An idea of ${from.name}’s` });
    });
    const ms = await to.until(`the idea of ${from.name}’s`, ({ nodes }) => nodes.some((found) => found.id === id));
    this.#latencies.push(ms);
    this.#say(`${TICK} ${from.name} saved ${FILE} (${style}); ${to.name}’s file has it after ${milliseconds(ms)}`);
  }

  /** Both save at once: other nodes, and other places of one text. */
  async together(): Promise<void> {
    this.#ada.edit('truncate and write', (canvas) => {
      node(canvas, 'docs').text = 'Write the docs, with pictures';
      node(canvas, 'goal').color = '4';
    });
    this.#ben.edit('write and rename', (canvas) => {
      node(canvas, 'docs').text = 'Write all the docs';
      node(canvas, 'tests').x = 400;
    });
    const merged = (canvas: ReadCanvas) =>
      node(canvas, 'docs').text === 'Write all the docs, with pictures' &&
      node(canvas, 'goal').color === '4' &&
      node(canvas, 'tests').x === 400;
    await Promise.all(this.vaults.map((vault) => vault.until('the edits of both', merged)));
    this.#check('the files are equal', isDeepStrictEqual(this.#ada.canvas(), this.#ben.canvas()));
    this.#say(`${TICK} both saved at the same moment: merged, down to the text "Write all the docs, with pictures"`);
    this.#say(`  since the last commit, as "mqtt-p2p diff" says it:`);
    for (const line of this.#changesInWords()) this.#say(colour.dim(`    ${line}`));
  }

  /** Branches go on as ever: another one is nobody's edit, and the merge driver merges by the same rules. */
  async branches(): Promise<void> {
    const ada = this.#ada;
    const { status, stderr } = spawnSync(process.execPath, [CLI, 'config-git', '--enable'], { cwd: ada.folder });
    this.#check(`config-git: ${stderr}`, status === 0);
    ada.git('commit', '--quiet', '--all', '--message', 'what we did live');
    ada.forgetTold();
    ada.git('checkout', '--quiet', '-b', 'bold');
    await ada.told('files-paused');
    ada.edit('truncate and write', (canvas) => {
      node(canvas, 'goal').text = 'Ship the bold spring release';
    });
    ada.git('commit', '--quiet', '--all', '--message', 'bolder');
    this.#say(`${TICK} Ada works on a branch of her own: her watcher pauses, Ben sees nothing of it`);
    ada.git('checkout', '--quiet', 'main');
    await ada.told('files-resumed');
    this.#ben.edit('truncate and write', (canvas) => {
      node(canvas, 'goal').text = 'Ship the spring release in May';
    });
    await ada.until('Ben’s edit', (canvas) => node(canvas, 'goal').text === 'Ship the spring release in May');
    this.#check('the branch stayed Ada’s', !this.#ben.text().includes('bold'));
    ada.git('commit', '--quiet', '--all', '--message', 'in May');
    ada.git('merge', '--quiet', '--no-edit', 'bold');
    const both = (canvas: ReadCanvas) => node(canvas, 'goal').text === 'Ship the bold spring release in May';
    this.#check('git merged through the driver', both(ada.canvas() ?? PLAN));
    const ms = await this.#ben.until('the merged branch', both);
    this.#say(`${TICK} git merged the branch through the driver: "Ship the bold spring release in May";`);
    this.#say(`  Ben’s file has it after ${milliseconds(ms)}`);
    await ada.until('what Ben has', (canvas) => isDeepStrictEqual(canvas, this.#ben.canvas()));
  }

  end(): void {
    const canvas = this.#ben.canvas() ?? PLAN;
    this.#say();
    this.#say(
      `${TICK} ${colour.bold('equal')}: ${canvas.nodes.length} nodes, ${canvas.edges.length} edges in both files`,
    );
    if (this.#settings.json) {
      printJson({ equal: true, nodes: canvas.nodes.length, edges: canvas.edges.length, latenciesMs: this.#latencies });
    }
  }

  #changesInWords(): string[] {
    const before = join(this.#scratch, 'committed.canvas');
    writeFileSync(before, this.#ben.git('show', `HEAD:${FILE}`));
    const diff = spawnSync(process.execPath, [CLI, 'diff', before, join(this.#ben.folder, FILE)], { encoding: 'utf8' });
    return diff.stdout.trimEnd().split('\n');
  }

  #check(what: string, holds: boolean): void {
    if (!holds) throw new Error(`this did not hold: ${what}`);
  }

  #say(line = ''): void {
    if (!this.#settings.json) print(line);
  }
}
