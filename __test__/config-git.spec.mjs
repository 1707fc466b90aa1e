// What `config-git` tells git, and that it takes back exactly that.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { repository } from './helpers/git.mjs';

const LINE = '*.canvas merge=mqtt-p2p diff=mqtt-p2p';

/** The state that the command reports as JSON. */
function state({ cli }, args = [], options = {}) {
  const { status, stdout, stderr } = cli(['config-git', '--json', ...args], options);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

const attribute = (repo, file = 'x.canvas') => repo.git('check-attr', 'merge', 'diff', '--', file);

describe('config-git', () => {
  test('enables, tells, and disables for a repository', (t) => {
    const repo = repository(t, { enabled: false });
    const attributes = join(repo.folder, '.git/info/attributes');
    const before = repo.git('config', '--local', '--list');
    assert.equal(state(repo).state, 'disabled');
    assert.match(repo.cli(['config-git']).stdout, /git is not told/);
    const enabled = state(repo, ['--enable']);
    assert.equal(enabled.state, 'enabled');
    assert.equal(enabled.attributesFile, attributes);
    assert.equal(readFileSync(attributes, 'utf8'), `${LINE}\n`);
    assert.match(attribute(repo, 'a folder/x.canvas'), /merge: mqtt-p2p\n.*diff: mqtt-p2p\n/);
    assert.match(attribute(repo, 'x.md'), /merge: unspecified/);
    assert.match(repo.cli(['config-git']).stdout, /git merges and compares canvases/);
    assert.deepEqual(state(repo, ['--enable']), enabled, 'twice is once');
    assert.equal(readFileSync(attributes, 'utf8'), `${LINE}\n`);
    assert.equal(repo.git('config', '--local', '--get-all', 'merge.mqtt-p2p.driver').trim().split('\n').length, 1);
    assert.equal(state(repo, ['--disable']).state, 'disabled');
    assert.equal(repo.git('config', '--local', '--list'), before);
    assert.equal(existsSync(attributes), false);
    assert.equal(state(repo, ['--disable']).state, 'disabled');
  });

  test('keeps every other line, byte for byte', (t) => {
    const repo = repository(t, { enabled: false });
    const attributes = join(repo.folder, '.git/info/attributes');
    mkdirSync(dirname(attributes), { recursive: true });
    for (const text of ['*.md text\n\n# *.canvas\n', '*.md text', '*.canvas -text\r\n', '\n']) {
      writeFileSync(attributes, text);
      state(repo, ['--enable']);
      assert.ok(readFileSync(attributes, 'utf8').startsWith(text));
      assert.match(attribute(repo), /merge: mqtt-p2p/);
      state(repo, ['--disable']);
      assert.equal(readFileSync(attributes, 'utf8'), text);
    }
    repo.git('config', 'merge.mqtt-p2p.recursive', 'binary');
    state(repo, ['--enable']);
    state(repo, ['--disable']);
    assert.equal(repo.git('config', 'merge.mqtt-p2p.recursive'), 'binary\n');
  });

  test('repairs what points elsewhere', (t) => {
    const repo = repository(t);
    repo.git('config', 'merge.mqtt-p2p.driver', 'gone %A');
    assert.equal(state(repo).state, 'incomplete');
    assert.match(repo.cli(['config-git']).stdout, /merge\.mqtt-p2p\.driver is gone %A, not '/);
    writeFileSync(join(repo.folder, '.git/info/attributes'), '');
    assert.match(repo.cli(['config-git']).stdout, /info\/attributes lacks the line/);
    assert.equal(state(repo, ['--enable']).state, 'enabled');
  });

  test('works from a folder below and from a worktree, for all worktrees', (t) => {
    const repo = repository(t, { enabled: false });
    repo.commit('below/x', '');
    const other = join(repo.folder, '../other worktree');
    repo.git('worktree', 'add', '--quiet', '-b', 'other', other);
    assert.equal(state(repo, ['--enable'], { cwd: other }).attributesFile, join(repo.folder, '.git/info/attributes'));
    assert.equal(state(repo, [], { cwd: join(repo.folder, 'below') }).state, 'enabled');
    assert.match(attribute(repo), /merge: mqtt-p2p/);
  });

  test('serves all repositories of a user, in whichever file git reads', (t) => {
    const repo = repository(t, { enabled: false });
    const places = [
      [{}, join(repo.home, '.config/git/attributes')],
      [{ XDG_CONFIG_HOME: '' }, join(repo.home, '.config/git/attributes')],
      [{ XDG_CONFIG_HOME: join(repo.home, 'xdg') }, join(repo.home, 'xdg/git/attributes')],
    ];
    for (const [env, path] of places) {
      const enabled = state(repo, ['--enable', '--global'], { env });
      assert.deepEqual([enabled.state, enabled.scope, enabled.attributesFile], ['enabled', 'global', path]);
      assert.equal(readFileSync(path, 'utf8'), `${LINE}\n`);
      assert.match(repo.tryGit(['check-attr', 'merge', 'x.canvas'], { env }).stdout, /merge: mqtt-p2p/);
      assert.equal(state(repo).state, 'disabled', 'the repository itself is not changed');
      assert.equal(state(repo, ['--disable', '--global'], { env }).state, 'disabled');
    }
    repo.git('config', '--global', 'core.attributesFile', '~/my attributes');
    // What a repository says of the file does not make it the user's.
    repo.git('config', '--local', 'core.attributesFile', 'nowhere');
    const named = state(repo, ['--enable', '--global']);
    assert.equal(named.attributesFile, join(repo.home, 'my attributes'));
    const outside = repo.cli(['config-git', '--global', '--json'], { cwd: repo.home });
    assert.equal(JSON.parse(outside.stdout).state, 'enabled');
  });

  test('serves the machine, where git says its files are', { skip: process.platform === 'win32' }, (t) => {
    const repo = repository(t, { enabled: false });
    const folder = join(repo.home, 'etc');
    mkdirSync(folder);
    // In place of the machine's own files.
    const shim = join(repo.home, 'bin/git');
    mkdirSync(dirname(shim));
    const script = `#!/bin/sh\n[ "$*" = "var GIT_ATTR_SYSTEM" ] && echo "$ATTRIBUTES" && exit\nPATH="\${PATH#*:}" exec git "$@"\n`;
    writeFileSync(shim, script);
    chmodSync(shim, 0o755);
    const env = {
      PATH: `${dirname(shim)}${delimiter}${repo.env.PATH}`,
      GIT_CONFIG_NOSYSTEM: '0',
      GIT_CONFIG_SYSTEM: join(folder, 'gitconfig'),
      ATTRIBUTES: join(folder, 'gitattributes'),
    };
    assert.equal(state(repo, ['--enable', '--system'], { env }).state, 'enabled');
    assert.equal(readFileSync(env.ATTRIBUTES, 'utf8'), `${LINE}\n`);
    assert.match(readFileSync(env.GIT_CONFIG_SYSTEM, 'utf8'), /\[merge "mqtt-p2p"\]/);
    assert.equal(state(repo, ['--disable', '--system'], { env }).state, 'disabled');
    assert.equal(existsSync(env.ATTRIBUTES), false);
    const unwritable = {
      ...env,
      GIT_CONFIG_SYSTEM: '/proc/nowhere/gitconfig',
      ATTRIBUTES: '/proc/nowhere/gitattributes',
    };
    const { status, stderr } = repo.cli(['config-git', '--enable', '--system'], { env: unwritable });
    assert.equal(status, 1);
    assert.notEqual(stderr, '');
  });

  test('fails with a reason outside of a repository; contradictions are wrong usage', (t) => {
    const repo = repository(t, { enabled: false });
    const { status, stderr } = repo.cli(['config-git', '--enable'], { cwd: repo.home });
    assert.equal(status, 1);
    assert.match(stderr, /not a git repository/);
    for (const args of [['--enable', '--disable'], ['--global', '--system'], ['on']]) {
      assert.equal(repo.cli(['config-git', ...args]).status, 2, args.join(' '));
    }
  });
});
