// Carries out a Dockerfile without a container engine: each stage is a folder. What the base images hold is not there, so
// commands run with this machine's programs, and some are left out, each with a reason.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, posix, relative } from 'node:path';
import { ROOT } from '../helpers/processes.mjs';

/** The instructions of a Dockerfile: `[{ name, args }]`. */
export function instructionsOf(text) {
  const lines = text
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n\s*/g, ' ')
    .split('\n');
  const found = lines.map((line) => /^([A-Z]+)\s+(.*)$/.exec(line.trim())).filter(Boolean);
  return found.map(([, name, args]) => ({ name, args: args.trim() }));
}

/** Whether `.dockerignore` leaves a file of the project in the context; the last line that fits decides. */
export function inContext(path) {
  const lines = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
  let ignored = false;
  for (const line of lines.filter((line) => line && !line.startsWith('#'))) {
    const pattern = line.replace(/^!/, '');
    const whole = path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'));
    if (whole.some((part) => fits(part, pattern))) ignored = !line.startsWith('!');
  }
  return !ignored;
}

/** Whether a path is one that a pattern with `*` means. */
function fits(path, pattern) {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^/]*')}$`).test(path);
}

/** The paths below a folder that a pattern means whose last part may have a `*`. */
function pathsOf(pattern, base) {
  const parent = dirname(pattern);
  if (!existsSync(join(base, parent))) return [];
  const names = readdirSync(join(base, parent)).filter((name) => fits(name, basename(pattern)));
  return names.map((name) => join(parent, name));
}

/**
 * Carries out the stages below a folder. `instead(command, folder)` may stand in for a RUN: it gives whether it did. Gives the
 * folder that is the last stage's root, and how a container of it is run: `{ root, environment, user, cwd, config }`.
 */
export function carryOut(text, folder, instead) {
  const stages = new Map();
  let stage;
  for (const { name, args } of instructionsOf(text)) {
    if (name === 'FROM') {
      const title = / AS (\S+)$/i.exec(args)?.[1] ?? `stage-${stages.size}`;
      stage = { root: join(folder, title), cwd: '/', environment: {}, config: {} };
      mkdirSync(stage.root, { recursive: true });
      stages.set(title, stage);
    } else if (name === 'WORKDIR') {
      stage.cwd = args;
      mkdirSync(join(stage.root, args), { recursive: true });
    } else if (name === 'COPY') copy(stage, args, stages);
    else if (name === 'RUN') run(stage, args, instead);
    else if (name === 'ENV') {
      for (const [, key, value] of args.matchAll(/(\w+)=(\S+)/g)) stage.environment[key] = value;
    } else stage.config[name] = args;
  }
  return stage;
}

function copy(stage, args, stages) {
  const words = args.split(/\s+/);
  const from = /^--from=(.+)$/.exec(words[0])?.[1];
  const [sources, destination] = [words.slice(from ? 1 : 0, -1), words.at(-1)];
  const base = from ? stages.get(from).root : ROOT;
  // Of an image as it was published nothing is here.
  if (from && !existsSync(join(base, sources[0].split('/')[1]))) return;
  const into = join(stage.root, posix.resolve(stage.cwd, destination));
  for (const source of sources) {
    const found = pathsOf(source.replace(/^\//, ''), base);
    if (found.length === 0) throw new Error(`COPY ${source}: there is no such file`);
    for (const path of found) {
      const directory = statSync(join(base, path)).isDirectory();
      const target = /\/$|^\.$/.test(destination) && !directory ? join(into, basename(path)) : into;
      mkdirSync(dirname(target), { recursive: true });
      const filter = (file) => from !== undefined || inContext(relative(ROOT, file));
      cpSync(join(base, path), target, { recursive: true, filter });
      if (!existsSync(target)) throw new Error(`COPY ${source}: .dockerignore leaves it out`);
    }
  }
}

function run(stage, command, instead) {
  const cwd = join(stage.root, stage.cwd);
  if (instead(command, cwd)) return;
  execFileSync('sh', ['-c', command], {
    cwd,
    stdio: 'pipe',
    env: { ...process.env, npm_config_prefer_offline: 'true' },
  });
}
