import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { temporaryFolder } from './folders.mjs';
import { vaultAt } from './vault.mjs';

// Neither the tests nor the programs under test, which inherit this, read anybody's configuration.
Object.assign(process.env, {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_DATE: '2026-01-01T00:00:00Z',
  GIT_COMMITTER_DATE: '2026-01-01T00:00:00Z',
});
const IDENTITY = ['user.name=Ada', 'user.email=ada@example.org', 'init.defaultBranch=main', 'commit.gpgSign=false'];

/** Runs git in a folder; gives what it printed. */
export function git(folder, ...args) {
  const { status, stdout, stderr } = attempt(folder, ...args);
  if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout.trimEnd();
}

/** The same, where git may fail. */
export function attempt(folder, ...args) {
  const settings = IDENTITY.flatMap((setting) => ['-c', setting]);
  return spawnSync('git', ['-C', folder, ...settings, ...args], { encoding: 'utf8' });
}

/** A work tree with the given canvases committed. */
export function scratch(t, canvases = {}) {
  const path = join(temporaryFolder(t, 'git'), 'work');
  git('.', 'init', '--quiet', path);
  const work = withGit(vaultAt(path));
  for (const [id, canvas] of Object.entries(canvases)) work.save(id, canvas);
  work.commit('start');
  return work;
}

/** A bare repository with the given canvases, and any number of clones of it. */
export function clones(t, count, canvases = {}) {
  const first = scratch(t, canvases);
  const origin = join(temporaryFolder(t, 'origin'), 'origin.git');
  git('.', 'clone', '--quiet', '--bare', first.path, origin);
  const parent = temporaryFolder(t, 'clones');
  return Array.from({ length: count }, (_, number) => {
    const path = join(parent, `clone-${number}`);
    git('.', 'clone', '--quiet', origin, path);
    return withGit(vaultAt(path));
  });
}

/** A work tree that is there. */
export function withGit(folder) {
  return {
    ...folder,
    git: (...args) => git(folder.path, ...args),
    attempt: (...args) => attempt(folder.path, ...args),
    commit(message) {
      git(folder.path, 'add', '--all');
      git(folder.path, 'commit', '--quiet', '--allow-empty', '--message', message);
    },
    status: () => git(folder.path, 'status', '--porcelain'),
  };
}
