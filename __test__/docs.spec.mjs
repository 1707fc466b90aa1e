// Every code block of every document is checked here, by its language: programs are compiled and run, command lines are
// run, configurations are read by what they are for. A block that nothing here can check fails.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { blocksOf, documents, place } from './docs/blocks.mjs';
import { cddlProblems, expressionOf } from './docs/grammars.mjs';
import { configurationProblems, runProgram } from './docs/programs.mjs';
import { linesOf, reasonNotToRun, unusedReasons } from './docs/shell.mjs';
import { stageFor } from './docs/stages.mjs';
import { skipWithout } from './helpers/all-brokers.mjs';
import { withoutModule } from './helpers/checkers.mjs';
import { ROOT, runNode } from './helpers/processes.mjs';

const blocks = documents().flatMap(blocksOf);
const ofLanguage = (...languages) => blocks.filter(({ language }) => languages.includes(language));
const vectors = JSON.parse(readFileSync(join(ROOT, 'tests/vectors/protocol.json'), 'utf8'));

test('there is no block of a language that is not checked here', () => {
  const known = ['sh', 'js', 'ts', 'json', 'ini', 'abnf', 'cddl', 'text'];
  const others = blocks.filter(({ language }) => !known.includes(language));
  assert.deepEqual(
    others.map((block) => `${place(block)}: ${block.language || 'no language'}`),
    [],
  );
  assert.ok(blocks.length > 30);
});

describe('programs compile with tsc --strict, and run:', () => {
  // The examples of a document are one program.
  for (const file of new Set(ofLanguage('js', 'ts').map(({ file }) => file))) {
    const text = ofLanguage('js', 'ts')
      .filter((block) => block.file === file)
      .map(({ text }) => text);
    test(file, (t) => runProgram(t, file, text.join('\n')));
  }
});

describe('command lines run:', () => {
  const demosSeen = new Set();
  for (const block of ofLanguage('sh')) {
    const lines = linesOf(block.text);
    const needed =
      { 'deploy/nats/README.md': 'NATS', 'deploy/rabbitmq/README.md': 'RabbitMQ' }[block.file] ?? 'Mosquitto';
    test(place(block), { skip: block.file.startsWith('deploy/') && skipWithout(needed) }, async (t) => {
      const wanted = lines.filter((line) => {
        const reason = reasonNotToRun(line);
        if (reason) t.diagnostic(`not run: ${line} (${reason})`);
        return !reason;
      });
      if (wanted.length === 0) return;
      const { run, replace = [], environment = () => ({}), status = () => 0 } = await stageFor(t, block);
      for (const line of wanted) {
        const ours = replace.reduce((changed, [what, by]) => changed.replace(what, by), line);
        // Demos take their time, and need nothing of a stage: once is enough.
        if (/^mqtt-p2p demo/.test(ours) && demosSeen.has(ours)) continue;
        demosSeen.add(ours);
        await run(ours, { environment: environment(line), status: status(line) });
      }
    });
  }

  test('what is not run has a reason that is needed', () => {
    for (const { text } of ofLanguage('sh')) for (const line of linesOf(text)) reasonNotToRun(line);
    assert.deepEqual(unusedReasons(), []);
  });
});

describe('configurations are valid:', () => {
  for (const block of ofLanguage('json')) {
    test(place(block), () => assert.deepEqual(configurationProblems(JSON.parse(block.text)), []));
  }
});

test('environments set variables that the command line knows', async () => {
  const { stdout } = await runNode(['dist/mqtt-cli.js', '--help']);
  const lines = ofLanguage('ini').flatMap((block) => block.text.trim().split('\n'));
  for (const line of lines) assert.ok(stdout.includes(/^(MQTT_\w+)=\S+$/.exec(line)?.[1] ?? 'none'), line);
});

describe('the grammars fit the test vectors:', () => {
  const grammar = (language) =>
    ofLanguage(language)
      .map(({ text }) => text)
      .join('\n');

  test('topics', () => {
    const peer = '<peer id as text, section 1>';
    const topic = expressionOf(grammar('abnf'), 'topic', { [peer]: 'z6Mk[1-9A-HJ-NP-Za-km-z]{44}' });
    const { accepted, refused } = vectors.topics;
    assert.deepEqual(
      accepted.filter((text) => !topic.test(text)),
      [],
    );
    // What the text says beyond the grammar: the one spelling of a name, UTF-8, a bound, and which prefix is meant.
    const beyond = [
      'mind-git/v1/%61/sync',
      'mind-git/v1/%FF/sync',
      'mind-git/v1/a/canvas/b/18446744073709551616/changes',
      'other/v1/a/sync',
    ];
    assert.deepEqual(
      refused.filter((text) => topic.test(text)),
      beyond,
    );
  });

  test('messages', { skip: withoutModule('cddl_verifier') }, () => {
    const specification = readFileSync(join(ROOT, 'docs/protocol.md'), 'utf8');
    const rules = new Map(
      [...specification.matchAll(/^\| (\d+) +\| `\w+` +\| `([\w-]+)`/gm)].map(([, n, rule]) => [Number(n), rule]),
    );
    const items = vectors.accepted.flatMap(({ body, kind, packets }) => [
      [body, rules.get(kind)],
      ...packets.flatMap(({ header, payload }) => [
        [header, 'header'],
        [payload, 'envelope'],
      ]),
    ]);
    assert.ok(items.length > 50);
    assert.deepEqual(cddlProblems(grammar('cddl'), items).filter(Boolean), []);
    // And it does refuse.
    const wrong = vectors.refused.find(({ name }) => name === 'header: priority 4').payload;
    assert.match(cddlProblems(grammar('cddl'), [[wrong, 'envelope']])[0], /./);
  });
});

test('what drawings name is there', () => {
  const paths = ofLanguage('text').flatMap((block) =>
    [...block.text.matchAll(/\b(?:src|ts|docs|deploy|scripts)\/[\w/.-]*/g)].map(([path]) => [place(block), path]),
  );
  assert.ok(paths.length > 5);
  assert.deepEqual(
    paths.filter(([, path]) => !existsSync(join(ROOT, path))),
    [],
  );
});

test('relative links lead to files that are there', () => {
  const broken = documents().flatMap((file) => {
    const text = readFileSync(join(ROOT, file), 'utf8');
    const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, link]) => link);
    const relative = links.filter((link) => !/^[a-z]+:/.test(link));
    return relative.filter((link) => !existsSync(join(ROOT, dirname(file), link))).map((link) => [file, link]);
  });
  assert.deepEqual(broken, []);
});

test("the README's limits are those of the code", () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const code = readFileSync(join(ROOT, 'src/limits.rs'), 'utf8');
  const limits = readme.slice(readme.indexOf('## Limits'), readme.indexOf('## Compared'));
  for (const [words, constant, value] of [
    ['100,000 nodes and 100,000 edges', 'MAX_ELEMENTS', '100_000'],
    ['64 MiB as JSON', 'MAX_CANVAS_JSON_BYTES', '64 << 20'],
    ['a text of 1 MiB', 'MAX_STRING_BYTES', '1 << 20'],
    ['512 bytes of UTF-8', 'MAX_NAME_BYTES', '512'],
    ['256 KiB', 'MAX_APPLICATION_MESSAGE_BYTES', '256 << 10'],
    ['1 MiB (`performance.maxMessageSize`)', 'DEFAULT_MAX_MESSAGE_BYTES', '1 << 20'],
    ['Of others 8 MiB', 'MAX_INBOUND_PACKET_BYTES', '8 << 20'],
  ]) {
    assert.ok(limits.includes(words), words);
    assert.match(code, new RegExp(`pub const ${constant}: \\w+ = ${value};`), constant);
  }
});
