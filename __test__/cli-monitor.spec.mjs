import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { cli, cliJson, interrupt, linesOf, startCli, urlOf } from './helpers/cli.mjs';
import { freePort } from './helpers/ports.mjs';
import { NO_TERMINAL, startInTerminal } from './helpers/terminal.mjs';
import { onePeer } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

process.env.NO_COLOR = '1';
const require = createRequire(import.meta.url);
const { screen, sparkline } = require('../dist/cli/monitor-screen.js');
const { quantiles, rates } = require('../dist/cli/figures.js');
const { width } = require('../dist/cli/text.js');

const NO_DURATIONS = {
  count: 0,
  sumMs: 0,
  buckets: [
    { atMostMs: 1, count: 0 },
    { atMostMs: 10, count: 0 },
  ],
};

function repository(name, more = {}) {
  return {
    ...{ name, canvases: 10, peers: 2, live: 10, pendingEdits: 0, bufferedChanges: 0, catchingUp: 0, quarantined: 0 },
    ...{ edits: { local: 1, remote: 2 }, latency: { apply: NO_DURATIONS, endToEnd: NO_DURATIONS } },
    ...more,
  };
}

function report(repositories, more = {}) {
  const status = {
    ...{ connected: true, broker: { host: 'h', port: 1 }, peerId: 'z6MkAbcdefgh', uptimeMs: 61_000, reconnects: 0 },
    ...{ messages: { sent: 5, received: 9, dropped: 0 }, bytes: { sent: 50, received: 90 }, peers: 2 },
    queue: { messages: 0, bytes: 0, inFlight: 0 },
    repositories: Object.fromEntries(repositories.map((one) => [one.name, one])),
  };
  return {
    ...{ status, before: undefined, rates: undefined, roundTrip: null, endToEnd: null, peers: [], errors: [] },
    history: { messagesIn: [1, 2], messagesOut: [], roundTrip: [], endToEnd: [] },
    ...{ throttled: new Map(), memoryBytes: 64e6, intervalSeconds: 5, now: new Date(0) },
    ...more,
  };
}

describe('figures', () => {
  test('quantiles come from what was counted between two looks', () => {
    const then = {
      count: 4,
      sumMs: 4,
      buckets: [
        { atMostMs: 1, count: 4 },
        { atMostMs: 10, count: 4 },
      ],
    };
    const now = {
      count: 14,
      sumMs: 9,
      buckets: [
        { atMostMs: 1, count: 4 },
        { atMostMs: 10, count: 14 },
      ],
    };
    const { p50, p99 } = quantiles(now, then);
    assert.ok(p50 > 1 && p50 < p99 && p99 <= 10);
    assert.equal(quantiles(then, then), null);
    const beyond = { ...now, count: 1000 };
    assert.equal(quantiles(beyond, then).p99, 10, 'beyond the last bucket only its bound is known');
  });

  test('rates need two looks', () => {
    const { status } = report([repository('a')]);
    assert.equal(rates(status, undefined), undefined);
    const later = { ...status, uptimeMs: 63_000, messages: { sent: 5, received: 13, dropped: 0 } };
    assert.deepEqual([rates(later, status).messagesIn, rates(later, status).messagesOut], [2, 0]);
  });
});

describe('the screen', () => {
  test('fits any terminal, however much there is to tell', () => {
    const many = Array.from({ length: 200 }, (_, index) => repository(`repository-${index}-${'長'.repeat(20)}`));
    const peers = many.map(({ name }) => ({
      id: `z6Mk${name}`,
      repositories: [name],
      capabilities: [],
      clockAheadMs: -9,
    }));
    const errors = many.map(({ name }) => ({ time: new Date(0), text: `\u001b[2J${name}` }));
    for (const columns of [20, 80, 200]) {
      for (const rows of [5, 24, 60]) {
        const lines = screen(report(many, { peers, errors }), columns, rows);
        assert.ok(lines.length <= rows);
        for (const line of lines) assert.ok(width(line) <= columns, `${columns}: ${line}`);
      }
    }
    const lines = screen(report(many, { peers, errors }), 100, 40);
    for (const part of [/… and \d+ more/, /^peers$/, /^last errors$/, /round trip/, /00:01:01/])
      assert.ok(
        lines.some((line) => part.test(line)),
        `${part}`,
      );
  });

  test('a sparkline is as high as its values', () => {
    assert.equal(sparkline([0, 1, 4, 8]), '▁▁▄█');
    assert.equal(sparkline([Number.NaN, 5]), ' █');
    assert.equal(sparkline([]), '');
    assert.equal(sparkline([1, 2, 3], 2).length, 2);
  });
});

describe('monitor', () => {
  eachBroker('reports once, as text and as JSON', async (t, broker) => {
    await onePeer(t, broker);
    const args = ['monitor', '--once', '--broker', urlOf(broker), '--repositories', 'team'];
    const { code, stdout } = await cli(args);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /● connected/);
    assert.match(stdout, /^round trip +p50 +[\d.]+ ms/m);
    assert.match(stdout, /^team +0 +0 +1 /m);
    const json = await cliJson(args);
    assert.ok(json.roundTripMs.p50 > 0 && json.memoryBytes > 0);
    assert.deepEqual([json.connected, json.rates, json.peerList.length], [true, null, 1]);
  });

  eachBroker('streams until Ctrl-C', async (t, broker) => {
    const child = startCli(t, ['monitor', '--interval', '1', '--json', '--broker', urlOf(broker)]);
    const report = await until(() => linesOf(child)[1], 'two reports');
    assert.ok(report.rates.messagesOut > 0);
    await interrupt(child);
    const plain = startCli(t, ['monitor', '--interval', '1', '--broker', urlOf(broker)]);
    await until(() => /connected .*round trip [\d.]+ ms/.test(plain.output()), 'a line');
    await interrupt(plain);
  });

  test('shows that there is no broker, and goes on', async (t) => {
    const child = startCli(t, ['monitor', '--interval', '1', '--broker', `mqtt://127.0.0.1:${await freePort()}`]);
    await until(() => /disconnected/.test(child.output()), 'it says so');
    await interrupt(child);
  });

  test('in a terminal it fills the screen, and gives it back', { skip: NO_TERMINAL }, async (t) => {
    const broker = urlOf(await embedded(t));
    const terminal = startInTerminal(t, ['monitor', '--interval', '1', '--broker', broker]);
    const shown = () => terminal.output().includes('\u001b[?1049h') && terminal.output().includes('● connected');
    await until(shown, 'the other screen');
    terminal.type('\u0003');
    assert.equal(await terminal.ended, 0, terminal.output());
    assert.ok(terminal.output().includes('\u001b[?1049l'), terminal.output());
  });
});
