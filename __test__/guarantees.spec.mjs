// Every sentence of docs/guarantees.md, and every row of the tables of docs/security.md, names the tests that check it, and
// those tests exist.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from './helpers/processes.mjs';

const read = (path) => readFileSync(join(ROOT, path), 'utf8');

/** The file of a name among the tests of either language, or of a path. */
function sourceOf(name) {
  if (name.includes('/')) return existsSync(join(ROOT, name)) ? read(name) : undefined;
  const folders = ['__test__', 'tests', 'src'];
  for (const folder of folders) {
    const paths = readdirSync(join(ROOT, folder), { recursive: true });
    const path = paths.find((path) => basename(path) === name);
    if (path) return read(join(folder, path));
  }
  return undefined;
}

/** Each sentence with the tests that it names: `[{ sentence, tests: [[file, name]] }]`. */
function promises() {
  const items = read('docs/guarantees.md').split(/\n(?=[-#])/);
  return items
    .filter((item) => item.startsWith('- '))
    .map((item) => {
      const text = item.replace(/\s+/g, ' ');
      const [, sentence, references] = /^- (.*?)(?: \((`[\w.-]+`: ".*)\))?\s*$/.exec(text);
      return { sentence, tests: testsIn(references ?? '') };
    });
}

/** The rows of threats: `[{ sentence, tests }]`. */
function threats() {
  const rows = read('docs/security.md')
    .split('\n')
    .filter((line) => /^\| (?!threat |-)/.test(line));
  return rows.map((row) => {
    const [, sentence, , references] = row.split('|').map((cell) => cell.trim());
    return { sentence, tests: testsIn(references) };
  });
}

/** The tests of references such as `file`: "one", "two"; `other`: "three". */
function testsIn(references) {
  return references.split(/; (?=`)/).flatMap((part) => {
    const file = /^`([\w./-]+)`: /.exec(part)?.[1];
    return [...part.matchAll(/"([^"]+)"/g)].map(([, name]) => [file, name]);
  });
}

test('every promise names a test', () => {
  const all = [...promises(), ...threats()];
  assert.ok(promises().length >= 20 && threats().length >= 14, `${all.length}`);
  assert.deepEqual(
    all.filter(({ tests }) => tests.length === 0).map(({ sentence }) => sentence),
    [],
  );
});

test('every test that is named exists', () => {
  for (const { sentence, tests } of [...promises(), ...threats()]) {
    for (const [file, name] of tests) {
      const source = sourceOf(file);
      assert.ok(source, `${file} is not there: ${sentence}`);
      const there = file.endsWith('.rs') ? source.includes(`fn ${name}(`) : source.includes(name);
      assert.ok(there, `${file} has no test "${name}": ${sentence}`);
    }
  }
});
