// What the command line owes a shell: completion, help, streams, logs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { cli, urlOf } from './helpers/cli.mjs';
import { ROOT } from './helpers/processes.mjs';

const require = createRequire(import.meta.url);
const { pad, clip, size, visible, width } = require('../dist/cli/text.js');

const has = (shell) => spawnSync(shell, ['-c', 'true']).status === 0;

describe('completion', () => {
  const complete = async (...words) => {
    const { stdout } = await cli(['completion', 'bash']);
    const script = `${stdout}\nCOMP_WORDS=(mqtt-p2p ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _mqtt_p2p; echo "\${COMPREPLY[@]}"`;
    const { stdout: reply, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
    assert.equal(stderr, '');
    return reply.trim().split(' ').filter(Boolean);
  };

  test('bash completes commands, options and choices', { skip: !has('bash') && 'no bash' }, async () => {
    assert.deepEqual(await complete('can'), ['canvases']);
    assert.deepEqual(await complete('monitor', '--inte'), ['--interval']);
    assert.deepEqual(await complete('completion', 'fi'), ['fish']);
    assert.deepEqual(await complete('members', 'ad'), ['add']);
    assert.deepEqual(await complete('monitor', '--interval', ''), []);
    assert.ok((await complete('')).length > 15);
  });

  for (const [shell, check] of [
    ['bash', ['-n']],
    ['zsh', ['-n']],
    ['fish', ['--no-execute']],
  ]) {
    test(`${shell} accepts its script`, { skip: !has(shell) && `no ${shell}` }, async () => {
      const { code, stdout } = await cli(['completion', shell]);
      assert.equal(code, 0);
      const { status, stderr } = spawnSync(shell, check, { input: stdout, encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    });
  }

  test('every command is in each script', async () => {
    const { stdout: help } = await cli(['--help']);
    const commands = [...help.matchAll(/^ {2}([a-z][a-z-]+) /gm)]
      .map(([, name]) => name)
      .filter((name) => name !== 'help');
    assert.ok(commands.length > 15, help);
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { stdout } = await cli(['completion', shell]);
      for (const name of commands) assert.ok(stdout.includes(name), `${shell}: ${name}`);
    }
    assert.equal((await cli(['completion', 'tcsh'])).code, 2);
  });
});

describe('help', () => {
  test('a mistyped command or option gets a suggestion', async () => {
    const { code, stderr } = await cli(['moniter']);
    assert.equal(code, 2);
    assert.match(stderr, /Did you mean monitor\?/);
    assert.match((await cli(['monitor', '--intervall', '5'])).stderr, /Did you mean --interval\?/);
  });

  test('every command has one, with examples where it takes part', async () => {
    const { stdout } = await cli(['--help']);
    for (const group of ['Taking part:', 'Looking:', 'Measuring:']) assert.ok(stdout.includes(group), stdout);
    for (const command of [
      'server',
      'client',
      'watch',
      'canvases',
      'peers',
      'tail',
      'health',
      'monitor',
      'test',
      'bench',
    ]) {
      const { code, stdout: text } = await cli([command, '--help']);
      assert.equal(code, 0);
      assert.match(text, /Examples:\n {2}mqtt-p2p |Examples:\n {2}echo /, command);
    }
  });
});

describe('docs/cli.md', () => {
  test('has every command and every option, and no other', async () => {
    const docs = readFileSync(join(ROOT, 'docs/cli.md'), 'utf8');
    const { stdout: script } = await cli(['completion', 'fish']);
    const commands = [...script.matchAll(/__fish_use_subcommand -f -a (\S+)/g)].map(([, name]) => name);
    for (const command of commands)
      assert.ok(docs.includes(`\`${command}`) || docs.includes(`mqtt-p2p ${command} `), command);
    const options = new Set([...script.matchAll(/ -l ([a-z-]+)/g)].map(([, name]) => `--${name}`));
    for (const option of options) assert.ok(docs.includes(option), option);
    for (const [option] of docs.matchAll(/--[a-z][a-z-]+/g)) {
      assert.ok(options.has(option) || option === '--help', `${option} is in the documentation alone`);
    }
  });
});

describe('logs', () => {
  const health = (broker, env, ...args) => cli(['health', '--json', '--broker', urlOf(broker), ...args], { env });
  const targets = (stderr) => new Set([...stderr.matchAll(/DEBUG (mqtt[a-z:]*?): /g)].map(([, target]) => target));

  test('are on standard error, of the parts that DEBUG names', async (t) => {
    const broker = await embedded(t);
    const all = await health(broker, { DEBUG: 'mqtt:*' });
    JSON.parse(all.stdout);
    assert.ok(targets(all.stderr).has('mqtt'), all.stderr);
    const some = await health(broker, { DEBUG: 'mqtt:*,-mqtt' });
    assert.ok(!targets(some.stderr).has('mqtt'), some.stderr);
    assert.equal((await health(broker, { DEBUG: 'express:*' })).stderr, '');
  });

  test('are JSON lines if that is asked for', async (t) => {
    const broker = await embedded(t);
    for (const [env, args] of [
      [{ DEBUG: 'mqtt:*' }, ['--log-format', 'json']],
      [{ DEBUG: 'mqtt:*', MQTT_LOG_FORMAT: 'json' }, []],
    ]) {
      const { stdout, stderr } = await health(broker, env, ...args);
      JSON.parse(stdout);
      const lines = stderr
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      assert.ok(lines.length > 3);
      for (const { timestamp, level, target } of lines) assert.ok(timestamp && level && target.startsWith('mqtt'));
    }
    assert.equal((await cli(['health', '--log-format', 'xml'])).code, 2);
  });
});

describe('text for terminals', () => {
  test('what others wrote is harmless, and as wide as it says', () => {
    assert.equal(visible('a\u001b[31m\u202e\n'), 'a\\u{1b}[31m\\u{202e}\\u{a}');
    assert.equal(visible('日本 👩‍👩‍👧 é'), '日本 👩‍👩‍👧 é');
    assert.deepEqual(['abc', '日本', '👩‍👩‍👧', 'e\u0301', '\u001b[1mx\u001b[0m'].map(width), [3, 4, 2, 1, 1]);
    assert.equal(clip('日本語', 5), '日本…');
    assert.equal(clip('abc', 3), 'abc');
    assert.equal(clip('abc', 0), '');
    assert.equal(width(pad('日', 4)), 4);
    assert.deepEqual([0, 999, 1000, 12_345, 2_000_000_000].map(size), ['0 B', '999 B', '1.0 kB', '12.3 kB', '2.0 GB']);
  });
});
