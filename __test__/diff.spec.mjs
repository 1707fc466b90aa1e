// What changed in a canvas: told in words by the command, and by git through it.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { repository } from './helpers/git.mjs';
import { ROOT } from './helpers/processes.mjs';

const OLD = `{
  "nodes": [
    {"id": "a1", "type": "text", "text": "# Login flow\\nasks for a name", "x": 10, "y": 20, "width": 9, "height": 9},
    {"id": "b2", "type": "file", "file": "Database.md", "x": 0, "y": 0, "width": 9, "height": 9}
  ],
  "edges": []
}
`;
const NEW = OLD.replace('"x": 10', '"x": 40')
  .replace('a name', 'a long name')
  .replace('[]', '[{"id": "e", "fromNode": "a1", "toNode": "b2", "label": "uses"}]');
const WORDS = [
  'node "Login flow" (a1): moved from 10,20 to 40,20',
  'node "Login flow" (a1): text: "… asks for a name" → "… asks for a long name"',
  'added edge Login flow → Database.md ("uses")',
];

function files(t, contents) {
  const repo = repository(t, { enabled: false });
  for (const [name, content] of Object.entries(contents)) writeFileSync(join(repo.folder, name), content);
  return repo;
}

describe('diff of two files', () => {
  test('is told in words, or as JSON', (t) => {
    const { cli } = files(t, { old: OLD, new: NEW });
    assert.deepEqual(cli(['diff', 'old', 'new']), { status: 0, stdout: `${WORDS.join('\n')}\n`, stderr: '' });
    assert.deepEqual(JSON.parse(cli(['diff', 'old', 'new', '--json']).stdout), { changes: WORDS });
    assert.deepEqual(cli(['diff', 'old', 'old']), { status: 0, stdout: '', stderr: '' });
  });

  test('one of which is missing is a diff to nothing', (t) => {
    const { cli } = files(t, { old: OLD, blank: '\n' });
    const { stdout } = cli(['diff', '/dev/null', 'old']);
    assert.equal(stdout, 'added node "Login flow" (a1)\nadded node "Database.md" (b2)\n');
    for (const other of ['nowhere', 'blank']) assert.equal(cli(['diff', other, 'old']).stdout, stdout);
    assert.match(cli(['diff', 'old', '/dev/null']).stdout, /^removed node/);
    assert.equal(cli(['diff', 'no', 'nowhere']).status, 1);
  });

  test('of what is no canvas says which, and where', (t) => {
    const { cli } = files(t, { old: OLD, broken: OLD.replace('"a1"', '7') });
    const { status, stderr } = cli(['diff', 'old', 'broken']);
    assert.equal(status, 1);
    assert.match(stderr, /ERR_CANVAS_INVALID: after: nodes\[0\]\.id \(line 3, column 12\): expected a string/);
    for (const args of [
      ['diff'],
      ['diff', 'old'],
      ['diff', '--textconv', 'old', 'old'],
      ['diff', '--external', 'a', 'b'],
    ]) {
      assert.equal(cli(args).status, 2, args.join(' '));
    }
  });
});

describe('git', () => {
  test('tells in words what changed in the work tree, the index and commits', (t) => {
    const repo = repository(t);
    repo.commit('plan.canvas', OLD);
    repo.write('plan.canvas', NEW);
    const expected = ['plan.canvas', ...WORDS.map((line) => `  ${line}`), ''].join('\n');
    assert.equal(repo.git('diff'), expected);
    repo.git('add', '.');
    assert.equal(repo.git('diff', '--cached'), expected);
    repo.git('commit', '--quiet', '-m', 'new');
    assert.equal(repo.git('diff', 'HEAD~'), expected);
    repo.git('mv', 'plan.canvas', 'plän two.canvas');
    repo.write('plän two.canvas', NEW.replace('40', '41'));
    const renamed = repo.git('diff', '-M', 'HEAD');
    assert.match(
      renamed,
      /^plan\.canvas → plän two\.canvas\n {2}node "Login flow" \(a1\): moved from 40,20 to 41,20\n$/,
    );
    repo.write('plän two.canvas', NEW.replaceAll(': ', ':'));
    assert.match(repo.git('diff', '--no-renames', 'HEAD'), /removed node[\s\S]*added node/);
    repo.commit('plän two.canvas', NEW);
    repo.write('plän two.canvas', NEW.replaceAll(': ', ':'));
    assert.match(repo.git('diff'), /holds the same, written in another way/);
  });

  test('shows lines of one element each in logs, however the file is written', (t) => {
    const repo = repository(t);
    const pretty = (text) => JSON.stringify(JSON.parse(text), null, 2);
    repo.commit('plan.canvas', pretty(OLD));
    repo.commit('plan.canvas', pretty(OLD.replace('"x": 10', '"x": 40')));
    const lines = repo
      .git('show', '--format=')
      .split('\n')
      .filter((line) => /^[-+]\s/.test(line));
    assert.deepEqual(
      lines.map((line) => line.slice(0, 12)),
      ['-\t\t{"id":"a1', '+\t\t{"id":"a1'],
    );
    assert.match(repo.git('diff', '--no-ext-diff', 'HEAD~'), /^\+\t\t\{"id":"a1".*"x":40/m);
    // Patches for machines are of the file itself.
    assert.match(repo.git('format-patch', '--stdout', 'HEAD~'), /^\+ {6}"x": 40,$/m);
  });

  test('goes on where a file is no canvas, or has conflicts', (t) => {
    const repo = repository(t);
    repo.commit('plan.canvas', OLD);
    repo.write('plan.canvas', '{"nodes":[}');
    repo.write('other.canvas', OLD);
    repo.git('add', '--all');
    assert.match(
      repo.git('diff', '--cached'),
      /^other\.canvas\n[\s\S]*\nplan\.canvas\n {2}after: not JSON: .*\(line 1, column 11\)\n$/,
    );
    assert.match(repo.git('diff', '--cached', '--no-ext-diff'), /^\+\{"nodes":\[\}$/m);
    repo.git('reset', '--quiet', '--hard');
    repo.git('checkout', '--quiet', '-b', 'theirs');
    repo.commit('plan.canvas', OLD.replace('"x": 10', '"x": 11'));
    repo.git('checkout', '--quiet', 'main');
    repo.commit('plan.canvas', OLD.replace('"x": 10', '"x": 12'));
    assert.equal(repo.tryGit(['merge', 'theirs']).status, 1);
    assert.match(repo.git('diff', '--cached'), /^plan\.canvas\n {2}has conflicts that are not resolved\n/);
    // Compared with both sides, in the plain form of all three.
    const lines = repo
      .git('diff')
      .split('\n')
      .filter((line) => /^[ +-]{2}[^+-]/.test(line));
    assert.deepEqual(
      lines.filter((line) => !line.startsWith('  ')).map((line) => line.slice(0, 15)),
      ['++<<<<<<< ours', ' +\t\t{"id":"a1",', '++=======', '+ \t\t{"id":"a1",', '++>>>>>>> theirs'].map((line) =>
        line.slice(0, 15),
      ),
    );
  });

  test('takes the command from the environment, too', (t) => {
    const repo = repository(t, { enabled: false });
    repo.commit('plan.canvas', OLD);
    repo.write('plan.canvas', NEW);
    const command = `'${process.execPath}' '${join(ROOT, 'dist/mqtt-cli.js')}' diff --external --`;
    const { stdout } = repo.tryGit(['diff'], { env: { GIT_EXTERNAL_DIFF: command } });
    assert.match(stdout, /^plan\.canvas\n {2}node "Login flow"/);
  });
});

test('examples read the same from their plain form', (t) => {
  const { cli, folder } = repository(t, { enabled: false });
  for (const name of readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.canvas'))) {
    const path = join(ROOT, 'examples', name);
    const { stdout } = cli(['diff', '--textconv', path]);
    assert.deepEqual(JSON.parse(stdout), { edges: [], ...JSON.parse(readFileSync(path, 'utf8')) }, name);
    writeFileSync(join(folder, 'plain'), stdout);
    assert.equal(cli(['diff', path, 'plain']).stdout, '');
  }
});
