// Real git merges real branches of real files.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { repository } from './helpers/git.mjs';
import { ROOT } from './helpers/processes.mjs';

const FILE = 'plan.canvas';

/** As Obsidian writes it. */
const BASE = `{
\t"nodes":[
\t\t{"id":"a","type":"text","text":"the cat","x":0,"y":0,"width":200,"height":60,"color":"1"},
\t\t{"id":"b","type":"text","text":"the dog","x":300,"y":0,"width":200,"height":60},
\t\t{"id":"c","type":"file","file":"c.md","x":600,"y":0,"width":200,"height":60}
\t],
\t"edges":[
\t\t{"id":"e","fromNode":"a","toNode":"b"}
\t]
}`;

/** A text with pieces of it replaced, each of which must be there. */
function edited(text, ...replacements) {
  return replacements.reduce((result, [old, now]) => {
    assert.ok(result.includes(old), old);
    return result.replace(old, now);
  }, text);
}

/** A repository in which main has `ours` and the branch `theirs` has `theirs`, both made from `base`. */
function branched(t, base, ours, theirs, { file = FILE, name } = {}) {
  const repo = repository(t, { name });
  repo.commit('readme.md', 'x');
  if (base !== null) repo.commit(file, base);
  repo.git('checkout', '--quiet', '-b', 'theirs');
  repo.commit(file, theirs);
  repo.git('checkout', '--quiet', 'main');
  repo.commit(file, ours);
  return repo;
}

const moved = (text) => edited(text, ['"x":300', '"x":350']);
const recoloured = (text) => edited(text, ['"color":"1"', '"color":"4"']);
const NEW = '{"height":1,"id":"n","type":"text","text":"new","x":1,"y":2,"width":3}';
const added = (text) =>
  edited(text, ['"y":0,"width":200,"height":60}\n\t],', `"y":0,"width":200,"height":60},\n\t\t${NEW}\n\t],`]);

describe('branches merge without conflicts where', () => {
  const cases = {
    'they edit different nodes': [moved, recoloured, (text) => moved(recoloured(text))],
    'they edit different properties of one node': [
      recoloured,
      (text) => edited(text, ['"x":0', '"x":-50']),
      (text) => edited(recoloured(text), ['"x":0', '"x":-50']),
    ],
    'they edit one text': [
      (text) => edited(text, ['the cat', 'the big cat']),
      (text) => edited(text, ['the cat', 'the cat sat']),
      (text) => edited(text, ['the cat', 'the big cat sat']),
    ],
    'one adds a node, which keeps its bytes': [moved, added, (text) => added(moved(text))],
    'both make the same change, and one more': [
      (text) => edited(text, ['the cat', 'a cat']),
      (text) => edited(moved(text), ['the cat', 'a cat']),
      (text) => edited(moved(text), ['the cat', 'a cat']),
    ],
    'one edits the content of a node that the other deletes: it stays': [
      (text) => edited(text, ['"color":"1"', '"color":"2"']),
      (text) => edited(text, [/\t\t\{"id":"a".*\n/.exec(text)[0], ''], [/\n\t\t\{"id":"e".*\n\t/.exec(text)[0], '']),
      (text) => edited(text, ['"color":"1"', '"color":"2"']),
    ],
    'one moves a node that the other deletes: it goes': [
      (text) => edited(text, ['"x":600', '"x":700']),
      (text) => edited(text, [/,\n\t\t\{"id":"c".*/.exec(text)[0], '']),
      (text) => edited(text, [/,\n\t\t\{"id":"c".*/.exec(text)[0], '']),
    ],
    'one raises a node': [
      (text) => {
        const [line] = /\t\t\{"id":"a".*,\n/.exec(text);
        return edited(
          text,
          [line, ''],
          ['"width":200,"height":60}\n\t],', `"width":200,"height":60},\n${line.replace(/,\n$/, '\n')}\t],`],
        );
      },
      moved,
      (text) => {
        const [line] = /\t\t\{"id":"a".*,\n/.exec(text);
        return edited(
          moved(text),
          [line, ''],
          ['"width":200,"height":60}\n\t],', `"width":200,"height":60},\n${line.replace(/,\n$/, '\n')}\t],`],
        );
      },
    ],
  };
  for (const [name, [ours, theirs, expected]] of Object.entries(cases)) {
    test(name, (t) => {
      const repo = branched(t, BASE, ours(BASE), theirs(BASE));
      repo.git('merge', '--quiet', '-m', 'merge', 'theirs');
      assert.equal(repo.read(FILE), expected(BASE));
      assert.equal(repo.git('status', '--porcelain'), '');
    });
  }

  test('both add the file', (t) => {
    const repo = branched(t, null, BASE, added(BASE));
    repo.git('merge', '--quiet', '-m', 'merge', 'theirs');
    assert.equal(repo.read(FILE), added(BASE));
  });

  test('lines end in CR LF, which stay', (t) => {
    const dos = (text) => `${text.replaceAll('\n', '\r\n')}\r\n`;
    const repo = branched(t, dos(BASE), dos(moved(BASE)), dos(recoloured(added(BASE))));
    repo.git('merge', '--quiet', '-m', 'merge', 'theirs');
    assert.equal(repo.read(FILE), dos(moved(recoloured(added(BASE)))));
  });

  test('names have spaces, quotes, dashes and percent signs, and git runs in a folder below', (t) => {
    // Windows allows no double quotes in names.
    const quotes = process.platform === 'win32' ? 'my' : '"my"';
    const file = `-it's ${quotes} 100%s/pl an's $HOME.canvas`;
    const repo = branched(t, BASE, moved(BASE), recoloured(BASE), { file, name: "re po's %O" });
    repo.write('deep/er/x', '');
    const { status, stderr } = repo.tryGit(['merge', '--quiet', '-m', 'merge', 'theirs'], {
      cwd: join(repo.folder, 'deep/er'),
    });
    assert.equal(status, 0, stderr);
    assert.equal(repo.read(file), moved(recoloured(BASE)));
  });
});

describe('a property that both changed to different values', () => {
  const ours = edited(moved(BASE), ['"color":"1"', '"color":"4"']);
  const theirs = edited(added(BASE), ['"color":"1"', '"color":"5"']);
  const line = (color) =>
    `\t\t{"id":"a","type":"text","text":"the cat","x":0,"y":0,"width":200,"height":60,"color":"${color}"},\n`;
  const both = `<<<<<<< ours\n${line(4)}=======\n${line(5)}>>>>>>> theirs\n`;

  test('is a conflict, with both versions between markers and everything else merged', (t) => {
    const repo = branched(t, BASE, ours, theirs);
    const { status, stderr } = repo.tryGit(['merge', '-m', 'merge', 'theirs']);
    assert.equal(status, 1);
    assert.match(stderr, /plan\.canvas: conflict: node "the cat" \(a\): color: ours "4", theirs "5"/);
    assert.equal(repo.read(FILE), edited(added(moved(BASE)), [line(1), both]));
    assert.match(repo.git('status', '--porcelain'), /^AA|^UU plan\.canvas/m);
    // Resolved as in any file.
    repo.commit(FILE, edited(repo.read(FILE), [both, line(6)]));
    assert.equal(repo.git('status', '--porcelain'), '');
    assert.equal(repo.git('rev-list', '--count', '--merges', 'HEAD'), '1\n');
    assert.match(repo.read(FILE), /"color":"6"/);
  });

  test('can be resolved by taking a side', (t) => {
    for (const [option, color] of [
      ['--ours', '4'],
      ['--theirs', '5'],
    ]) {
      const repo = branched(t, BASE, ours, theirs);
      assert.equal(repo.tryGit(['merge', 'theirs']).status, 1);
      repo.git('checkout', option, FILE);
      assert.equal(JSON.parse(repo.read(FILE)).nodes[0].color, color);
    }
  });

  test('has markers of the size that the file asks for', (t) => {
    const repo = branched(t, BASE, ours, theirs);
    repo.write('.git/info/attributes', `${repo.read('.git/info/attributes')}*.canvas conflict-marker-size=12\n`);
    assert.equal(repo.tryGit(['merge', 'theirs']).status, 1);
    assert.match(repo.read(FILE), /^<{12} ours\n.*\n={12}\n.*\n>{12} theirs\n/m);
  });
});

describe('the other ways in which git merges', () => {
  test('rebase and cherry-pick', (t) => {
    const repo = branched(t, BASE, moved(BASE), recoloured(BASE));
    repo.git('cherry-pick', 'theirs');
    assert.equal(repo.read(FILE), moved(recoloured(BASE)));
    repo.git('checkout', '--quiet', 'theirs');
    repo.commit(FILE, added(repo.read(FILE)));
    repo.git('rebase', '--quiet', 'main');
    assert.equal(repo.read(FILE), added(moved(recoloured(BASE))));
    assert.equal(repo.git('rev-list', '--count', '--merges', 'HEAD'), '0\n');
  });

  test('stash pop', (t) => {
    const repo = repository(t);
    repo.commit(FILE, BASE);
    repo.write(FILE, recoloured(BASE));
    repo.git('stash', '--quiet');
    repo.commit(FILE, moved(BASE));
    repo.git('stash', 'pop', '--quiet');
    assert.equal(repo.read(FILE), moved(recoloured(BASE)));
  });

  test('criss-cross branches, whose bases conflict', (t) => {
    const colour = (value) => edited(BASE, ['"color":"1"', `"color":"${value}"`]);
    const repo = branched(t, BASE, colour(2), colour(3));
    repo.git('tag', 'ours-before', 'main');
    repo.git('tag', 'theirs-before', 'theirs');
    const crossings = [
      ['theirs', 'ours-before', 4],
      ['main', 'theirs-before', 5],
    ];
    for (const [branch, other, value] of crossings) {
      repo.git('checkout', '--quiet', branch);
      assert.equal(repo.tryGit(['merge', other]).status, 1);
      repo.commit(FILE, colour(value));
    }
    assert.equal(repo.git('merge-base', '--all', 'main', 'theirs').split('\n').length - 1, 2);
    repo.commit(FILE, moved(repo.read(FILE)));
    const { status, stderr } = repo.tryGit(['merge', 'theirs']);
    assert.equal(status, 1);
    // Git has merged the two bases first, with a conflict whose markers are in the base that it passes then.
    assert.doesNotMatch(stderr, /not merged/);
    assert.match(stderr, /conflict: node "the cat" \(a\): color: ours "5", theirs "4"/);
    assert.match(repo.read(FILE), /^\t\t\{"id":"b".*"x":350/m);
  });
});

describe('what is no canvas', () => {
  test('leaves our version, tells where, and is a conflict', (t) => {
    const repo = branched(t, BASE, moved(BASE), edited(BASE, ['"id":"b"', '"ID":"b"']));
    const { status, stderr } = repo.tryGit(['merge', 'theirs']);
    assert.equal(status, 1);
    assert.match(stderr, /plan\.canvas: not merged, .*theirs: nodes\[1\]\.id \(line 4, column 3\): missing/);
    assert.equal(repo.read(FILE), moved(BASE));
    assert.match(repo.git('status', '--porcelain'), /^UU plan\.canvas/m);
  });

  test('or is missing, or no text, is told by the command itself', (t) => {
    const { folder, cli } = repository(t, { enabled: false });
    const file = (name, content) => {
      writeFileSync(join(folder, name), content);
      return name;
    };
    const [base, ours, theirs] = [file('base', BASE), file('ours', moved(BASE)), file('theirs', Buffer.from([0xff]))];
    for (const [parameters, message] of [
      [[base, ours, theirs], /theirs is not UTF-8/],
      [[base, ours, 'nowhere'], /ENOENT.*nowhere/],
      [[base, 'nowhere', ours], /ENOENT.*nowhere/],
      [
        [file('broken', '{"nodes":['), ours, file('other', recoloured(BASE)), '7', 'a\u001b[2Jb.canvas'],
        /a\\u\{1b\}\[2Jb\.canvas: .*base: not JSON/,
      ],
    ]) {
      const { status, stderr } = cli(['merge-driver', ...parameters]);
      assert.equal(status, 1);
      assert.match(stderr, message);
      assert.equal(readFileSync(join(folder, 'ours'), 'utf8'), moved(BASE));
    }
    assert.equal(existsSync(join(folder, 'nowhere')), false);
    for (const parameters of [[], [base, ours], [base, ours, theirs, '0'], [base, ours, theirs, 'x']]) {
      assert.equal(cli(['merge-driver', ...parameters]).status, 2);
    }
  });
});

test('every example keeps its bytes, but for what changed', (t) => {
  const repo = repository(t);
  const examples = readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.canvas'));
  assert.ok(examples.length >= 7);
  const original = (name) => readFileSync(join(ROOT, 'examples', name), 'utf8');
  for (const name of examples) repo.commit(name, original(name));
  const change = (pattern) => {
    for (const name of examples)
      repo.write(
        name,
        original(name).replace(pattern, (found) => found.replace(/\d+$/, '123456')),
      );
    repo.git('commit', '--quiet', '--all', '-m', 'change');
  };
  // The first x, and the last height.
  const [first, last] = [/"x": ?-?\d+/, /"height": ?\d+(?![\s\S]*"height")/];
  repo.git('checkout', '--quiet', '-b', 'theirs');
  change(first);
  repo.git('checkout', '--quiet', 'main');
  change(last);
  repo.git('merge', '--quiet', '-m', 'merge', 'theirs');
  for (const name of examples) {
    const expected = [first, last].reduce(
      (text, pattern) => text.replace(pattern, (found) => found.replace(/\d+$/, '123456')),
      original(name),
    );
    assert.equal(repo.read(name), expected, name);
  }
  rmSync(repo.folder, { recursive: true });
});
