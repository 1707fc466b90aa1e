import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { cli, urlOf } from './helpers/cli.mjs';
import { NO_TERMINAL, startInTerminal } from './helpers/terminal.mjs';
import { onePeer, untilListed } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

const require = createRequire(import.meta.url);
const { board } = require('../dist/cli/client-board.js');
const { split } = require('../dist/cli/client-session.js');
const { width } = require('../dist/cli/text.js');

const OF_TEAM = ['--memory', '--repositories', 'team', '--canvas', 'plan', '--author', 'Ada'];

describe('the board', () => {
  const node = (id, x, y, more = {}) => ({ id, x, y, width: 120, height: 60, text: id, ...more });

  test('is boxes and arrows', () => {
    const edges = [{ id: 'e', fromNode: 'a', toNode: 'b' }];
    assert.deepEqual(board({ nodes: [node('a', 0, 0), node('b', 200, 0)], edges }, 80), [
      '╭──────────╮        ╭──────────╮',
      '│a         │───────▶│b         │',
      '╰──────────╯        ╰──────────╯',
    ]);
    const down = board({ nodes: [node('a', 0, 0), node('b', 0, 120)], edges }, 80);
    assert.deepEqual(down.slice(2, 7), ['╰──────────╯', '      │', '      │', '      ▼', '╭──────────╮']);
  });

  test('fits, whatever a canvas holds', () => {
    const strange = [
      node('far', 1e12, -1e12),
      node('none', Number.NaN, 0, { width: Number.POSITIVE_INFINITY, height: -5 }),
      { id: 'bare' },
      node('wide', 0, 0, { text: '日本語'.repeat(50) }),
      node('evil', 0, 0, { text: '\u001b[2J\u202e' }),
      node('group', -50, -50, { type: 'group', label: 'A group', width: 900, height: 900 }),
    ];
    const edges = [
      { id: '1', fromNode: 'far', toNode: 'bare' },
      { id: '2', fromNode: 'bare', toNode: 'bare' },
      { id: '3', fromNode: 'gone', toNode: 'bare' },
      { id: '4' },
    ];
    for (const columns of [10, 40, 200]) {
      const lines = board({ nodes: strange, edges }, columns);
      assert.ok(lines.length < 130);
      for (const line of lines) assert.ok(width(line) <= columns, line);
      assert.ok(!lines.join('').includes('\u001b'));
    }
    assert.deepEqual(board({ nodes: [], edges: [] }, 80), ['(an empty canvas)']);
  });

  test('words of a line', () => {
    assert.deepEqual(split('add a "two words" \'a "quoted" one\' b'), ['add', 'a', 'two words', 'a "quoted" one', 'b']);
    assert.deepEqual(split('  '), []);
    assert.deepEqual(split('say "a \\" in it"'), ['say', 'a " in it']);
  });
});

describe('client', () => {
  eachBroker('carries out what it is given, and another peer has it', async (t, broker) => {
    const ben = await onePeer(t, broker);
    const input =
      'create\nadd idea "An idea"\nadd plan A plan\nlink idea plan\nmove plan 500 0\nshow\npeers\nquit\nnonsense';
    const { code, stdout, stderr } = await cli(['client', ...OF_TEAM, '--broker', urlOf(broker)], { input });
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /│An idea +│─+▶│A plan +│/);
    await untilListed(ben, 'plan');
    const { nodes, edges } = await until(async () => {
      const canvas = await ben.getCanvas('team', 'plan');
      return canvas.nodes[1]?.x === 500 && canvas;
    }, 'all of it has come');
    assert.deepEqual([nodes[0].text, edges.map(({ id }) => id)], ['An idea', ['idea-plan']]);
  });

  eachBroker('a script begins with what the broker keeps of those who left', async (_, broker) => {
    const args = ['client', ...OF_TEAM, '--broker', urlOf(broker)];
    const left = await cli(args, { input: 'create\nadd idea "An idea"' });
    assert.equal(left.code, 0, left.stderr);
    const { code, stdout, stderr } = await cli(args, { input: 'show' });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /│An idea +│/);
  });

  test('a command that is wrong ends a script: status 1, and JSON lines are one a command', async (t) => {
    const broker = urlOf(await embedded(t));
    const run = (input, ...args) => cli(['client', ...OF_TEAM, '--broker', broker, ...args], { input });
    for (const [input, message] of [
      ['frobnicate', /there is no "frobnicate"/],
      ['add', /add <id> <text…>/],
      ['show', /ERR_CANVAS_NOT_FOUND/],
      ['create one\nlink a b', /there is no node a/],
      ['create two\ntext a b', /there is no node a/],
    ]) {
      const { code, stderr } = await run(input);
      assert.equal(code, 1, input);
      assert.match(stderr, message);
    }
    const { stdout } = await run('create fresh\nadd a b\nshow', '--json');
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map(({ command }) => command),
      ['create', 'add', 'show'],
    );
    assert.equal(lines[2].result.nodes[0].text, 'b');
  });

  test('with nothing to do it shows what can be done, step by step', async (t) => {
    const { code, stdout } = await cli(['client', ...OF_TEAM, '--broker', urlOf(await embedded(t))]);
    assert.equal(code, 0, stdout);
    for (const step of ['create', 'update', 'share', 'sync', 'enable', 'read'])
      assert.match(stdout, new RegExp(`✓ ${step}`));
  });

  test('in a terminal it is a session in which others are seen', { skip: NO_TERMINAL }, async (t) => {
    const broker = await embedded(t);
    const terminal = startInTerminal(t, ['client', ...OF_TEAM, '--broker', urlOf(broker)]);
    await until(() => terminal.output().includes('›'), 'a prompt');
    terminal.type('create\r');
    await until(() => /team\/plan is made/.test(terminal.output()), 'the canvas');
    const ben = await onePeer(t, broker);
    await untilListed(ben, 'plan');
    await until(() => /is in team/.test(terminal.output()), 'Ben is seen');
    await ben.patchCanvas('team', 'plan', { nodes: { upsert: [{ id: 'from-ben', text: 'hello' }] } }, 'Ben');
    await until(() => /← Ben changed plan \(\+from-ben\)/.test(terminal.output()), 'his edit is seen');
    terminal.type('frob\r');
    await until(() => /! there is no "frob"/.test(terminal.output()), 'a mistake is told, and it goes on');
    terminal.type('\u0003');
    assert.equal(await terminal.ended, 0, terminal.output());
  });
});
