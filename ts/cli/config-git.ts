import { join } from 'node:path';
import { Command, Option } from 'commander';
import { git, type Scope } from './git.js';
import { ATTRIBUTES, addAttributes, attributesFile, hasAttributes, removeAttributes } from './git-attributes.js';
import { CROSS, print, printJson, TICK } from './output.js';

interface Options {
  enable?: boolean;
  disable?: boolean;
  global?: boolean;
  system?: boolean;
  json?: boolean;
}

/** What git is told, for each key of its configuration. */
type Settings = Record<string, string>;

/** `mqtt-p2p config-git`: has git merge and compare canvases with `merge-driver` and `diff`. */
export function configGit(): Command {
  return new Command('config-git')
    .description('have git merge and compare .canvas files with mqtt-p2p, or tell whether it does')
    .addOption(new Option('--enable', 'from now on').conflicts('disable'))
    .option('--disable', 'no longer')
    .addOption(new Option('--global', 'in all repositories of this user').conflicts('system'))
    .option('--system', 'in all repositories of this machine')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(run);
}

const HELP = `
Without --global or --system, the repository of the current directory. \`git diff\` then tells in words what changed,
\`git diff --no-ext-diff\`, \`git show\` and \`git log -p\` show lines; patches made by git format-patch are as ever.`;

function run({ enable, disable, global, system, json }: Options): void {
  const scope: Scope = global ? 'global' : system ? 'system' : 'local';
  const settings = wanted();
  const file = attributesFile(scope);
  try {
    if (enable) turnOn(scope, settings, file);
    else if (disable) turnOff(scope, settings, file);
  } catch (error) {
    const { message } = error as Error;
    if (scope === 'local' || !/denied|EACCES|EPERM|EROFS|read-only/i.test(message)) throw error;
    throw new Error(`the ${scope} configuration of git cannot be written by this user: ${message}`);
  }
  const found = stateOf(scope, settings, file);
  if (json) printJson({ scope, ...found });
  else show(scope, settings, found);
}

function turnOn(scope: Scope, settings: Settings, file: string): void {
  for (const [key, value] of Object.entries(settings)) {
    git(['config', `--${scope}`, '--replace-all', key, value], { scope });
  }
  addAttributes(file);
}

function turnOff(scope: Scope, settings: Settings, file: string): void {
  removeAttributes(file);
  // Status 5: there was nothing to remove.
  for (const key of Object.keys(settings)) git(['config', `--${scope}`, '--unset-all', key], { scope, allowed: [5] });
}

interface State {
  state: 'enabled' | 'disabled' | 'incomplete';
  attributesFile: string;
  attributes: boolean;
  /** What git is told at present. */
  configuration: Record<string, string | null>;
}

function stateOf(scope: Scope, settings: Settings, file: string): State {
  const keys = Object.keys(settings);
  const configuration = Object.fromEntries(keys.map((key) => [key, configured(scope, key)]));
  const attributes = hasAttributes(file);
  const all = attributes && keys.every((key) => configuration[key] === settings[key]);
  const any = attributes || Object.values(configuration).some((value) => value !== null);
  return { state: all ? 'enabled' : any ? 'incomplete' : 'disabled', attributesFile: file, attributes, configuration };
}

const WHERE = { local: 'this repository', global: 'all repositories of this user', system: 'all repositories' };

function show(scope: Scope, settings: Settings, { state, attributesFile, attributes, configuration }: State): void {
  const where = WHERE[scope];
  if (state === 'enabled') print(`${TICK} git merges and compares canvases with mqtt-p2p in ${where}`);
  else if (state === 'disabled') print(`${CROSS} git is not told to use mqtt-p2p in ${where}; --enable changes that`);
  else {
    print(`${CROSS} git is told something else, or not all, in ${where}; --enable repairs that`);
    for (const [key, value] of Object.entries(settings)) {
      if (configuration[key] !== value) print(`  ${key} is ${configuration[key] ?? 'not set'}, not ${value}`);
    }
    if (!attributes) print(`  ${attributesFile} lacks the line ${ATTRIBUTES}`);
  }
}

/** Status 1: it is not set. A broken configuration is an error. */
function configured(scope: Scope, key: string): string | null {
  return git(['config', `--${scope}`, '--get', key], { scope, allowed: [1] }) ?? null;
}

function wanted(): Settings {
  const program = [process.execPath, join(__dirname, '../mqtt-cli.js')].map(quoted).join(' ');
  // In the merge driver's command a percent sign begins what git fills in.
  const driver = `${program.replaceAll('%', '%%')} merge-driver -- %O %A %B %L %P`;
  return {
    'merge.mqtt-p2p.name': 'JSON Canvas, merged as live edits are (mqtt-p2p)',
    'merge.mqtt-p2p.driver': driver,
    'diff.mqtt-p2p.command': `${program} diff --external --`,
    'diff.mqtt-p2p.textconv': `${program} diff --textconv --`,
  };
}

/** A word for the shell that git starts commands with; on Windows too that is sh. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
