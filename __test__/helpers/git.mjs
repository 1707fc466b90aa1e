import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from './folders.mjs';
import { ROOT } from './processes.mjs';

const CLI = join(ROOT, 'dist/mqtt-cli.js');

/**
 * A git repository of its own, and a home in which nobody's configuration is. `git(...)` gives what git printed and fails
 * when git does; `tryGit(...)` and `cli(...)` give `{ status, stdout, stderr }`.
 */
export function repository(t, { name = 'repository', enabled = true } = {}) {
  const top = temporaryFolder(t, 'git');
  const folder = join(top, name);
  const home = join(top, 'home');
  for (const made of [folder, home]) mkdirSync(made, { recursive: true });
  const env = {
    PATH: process.env.PATH,
    SystemRoot: process.env.SystemRoot,
    HOME: home,
    USERPROFILE: home,
    XDG_CONFIG_HOME: join(home, '.config'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_EDITOR: 'true',
    NO_COLOR: '1',
  };
  const run = (program, args, { cwd = folder, env: more = {} } = {}) => {
    const { status, stdout, stderr, error } = spawnSync(program, args, {
      cwd,
      env: { ...env, ...more },
      encoding: 'utf8',
      timeout: 60_000,
    });
    if (error) throw error;
    return { status, stdout, stderr };
  };
  const tryGit = (args, options) => run('git', args, options);
  const git = (...args) => {
    const { status, stdout, stderr } = tryGit(args);
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${status}\n${stdout}${stderr}`);
    return stdout;
  };
  const cli = (args, options) => run(process.execPath, [CLI, ...args], options);
  git('init', '--quiet', '--initial-branch=main');
  git('config', 'user.name', 'Test');
  git('config', 'user.email', 'test@example.org');
  git('config', 'core.autocrlf', 'false');
  if (enabled) {
    const { status, stderr } = cli(['config-git', '--enable']);
    if (status !== 0) throw new Error(stderr);
  }
  const write = (file, text) => {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  };
  const commit = (file, text) => {
    write(file, text);
    git('add', '--all');
    git('commit', '--quiet', '-m', `change ${file}`);
  };
  return {
    folder,
    home,
    env,
    git,
    tryGit,
    cli,
    write,
    commit,
    read: (file) => readFileSync(join(folder, file), 'utf8'),
  };
}
