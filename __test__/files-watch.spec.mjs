import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startBroker } from '@mind-git/mqtt-p2p';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { freePort } from './helpers/ports.mjs';
import { runNode, startNode } from './helpers/processes.mjs';
import { onePeer } from './helpers/two-peers.mjs';
import { card, textOf, untilCanvas, vault } from './helpers/vault.mjs';
import { until } from './helpers/wait.mjs';
import { startWatch, watching } from './helpers/watching.mjs';
import { clones } from './helpers/work-trees.mjs';

const cli = (args) => runNode(['dist/mqtt-cli.js', 'watch', ...args]);

eachBroker('two processes that watch two clones keep them alike', async (t, broker) => {
  const [author, one, other] = clones(t, 3, { 'boards/plan': card('the cat sat'), small: smallCanvas() });
  const first = await watching(t, broker, [one]);
  const second = await watching(t, broker, [other]);
  one.edit('boards/plan', ({ nodes }) => {
    nodes[0].text = 'the cat sat down';
  });
  await other.until('boards/plan', card('the cat sat down'));
  other.save('new', card('new'));
  await one.until('new', card('new'));
  other.remove('small');
  await one.untilGone('small');
  author.edit('boards/plan', ({ nodes }) => {
    nodes[0].text = 'the big cat sat';
  });
  author.commit('big');
  author.git('push', '--quiet');
  for (const folder of [one, other]) {
    folder.git('fetch', '--quiet');
    folder.git('checkout', '--', '.');
  }
  one.git('merge', '--quiet', '--ff-only', 'origin/main');
  other.git('merge', '--quiet', '--ff-only', 'origin/main');
  for (const folder of [one, other]) await folder.until('boards/plan', card('the big cat sat down'));
  one.save('last', card('last'));
  await other.until('last', card('last'));
  for (const folder of [one, other]) assert.equal(textOf(folder.parsed('boards/plan')), 'the big cat sat down');
  const errors = [...first.events(), ...second.events()].filter(({ event }) => event === 'error');
  assert.deepEqual(errors, []);
});

describe('what it says', () => {
  test('with --json, an object a line', async (t) => {
    const broker = await embedded(t);
    const folder = vault(t, { plan: card('one') });
    const child = await watching(t, broker, [folder]);
    const start = await child.untilSaid('watching');
    assert.deepEqual([start.connected, start.repositories.map(({ name }) => name)], [true, ['team']]);
    const created = await child.untilSaid('canvas-created');
    assert.deepEqual([created.canvasId, created.author, created.origin], ['plan', 'ada', 'file']);
    const ben = await onePeer(t, broker);
    await untilCanvas(ben, 'plan', card('one'));
    await ben.patchCanvas('team', 'plan', { nodes: { upsert: [{ id: 'a', x: 7 }] } }, 'ben');
    const written = await child.untilSaid('file-written');
    assert.deepEqual([written.path, written.created], [folder.file('plan'), false]);
    folder.save('broken', '{\n"nodes": x');
    const error = await child.untilSaid('error');
    assert.deepEqual([error.path, error.line], [folder.file('broken'), 2]);
  });

  test('for people, what was saved and written', async (t) => {
    const broker = await embedded(t);
    const folder = vault(t, { plan: card('one') });
    const url = `mqtt://${broker.host}:${broker.port}`;
    const child = startNode(t, ['dist/mqtt-cli.js', 'watch', folder.path, '--broker', url, '--memory']);
    const said = () => /1 canvas is live/.test(child.output()) && /→ plan\.canvas created/.test(child.output());
    await until(said, 'both lines');
  });
});

describe('several folders', () => {
  test('are each their own repository, by the folder’s name or a given one', async (t) => {
    const broker = await embedded(t);
    const parent = vault(t);
    const folders = ['alpha', 'beta'].map((name) => {
      mkdirSync(join(parent.path, name));
      parent.save(`${name}/plan`, card(name));
      return { path: join(parent.path, name) };
    });
    const child = startWatch(t, broker, folders, ['--name', 'first']);
    for (const name of ['first', 'beta']) await child.untilSaid('files-ready', ({ repository }) => repository === name);
    const peer = await onePeer(t, broker, { repositories: ['first', 'beta'] });
    for (const [name, text] of [
      ['first', 'alpha'],
      ['beta', 'beta'],
    ]) {
      const there = async () => textOf(await peer.getCanvas(name, 'plan').catch(() => card(''))) === text;
      await until(there, `plan of ${name}`);
    }
  });

  test('wrong use says what to do: status 2', async (t) => {
    const parent = vault(t, { 'x/same/plan': card(''), 'y/same/plan': card('') });
    const [one, two] = ['x/same', 'y/same'].map((name) => join(parent.path, name));
    for (const [args, message] of [
      [[], /missing required argument/],
      [[join(parent.path, 'nowhere')], /is no folder/],
      [[join(one, 'plan.canvas')], /is no folder/],
      [[one, two], /--name/],
      [[one, '--name', 'a', 'b'], /more names than folders/],
      [[one, '--name', 'a', '--repositories', 'b'], /--name, not --repositories/],
      [[one, '--debounce', '0'], /whole number/],
    ]) {
      const { code, stderr } = await cli(args);
      assert.equal(code, 2, `${args}: ${stderr}`);
      assert.match(stderr, message);
    }
  });
});

test('starts offline, and sends what was saved meanwhile', async (t) => {
  const port = await freePort();
  const folder = vault(t, { plan: card('one') });
  const child = startWatch(t, { host: '127.0.0.1', port }, [folder]);
  const { connected } = await child.untilSaid('watching');
  assert.equal(connected, false);
  folder.save('more', card('more'));
  const broker = await embedded(t, port);
  const peer = await onePeer(t, broker);
  await untilCanvas(peer, 'plan', card('one'));
  await untilCanvas(peer, 'more', card('more'));
});

test('Ctrl-C ends it after taking in what was saved, also when the broker is away', async (t) => {
  const storage = vault(t).path;
  const folder = vault(t, { plan: card('one') });
  const port = await freePort();
  const broker = await startBroker({ port });
  const address = { host: '127.0.0.1', port };
  const slow = ['--debounce', '60000', '--data-dir', storage];
  const child = await watching(t, address, [folder], slow);
  folder.save('plan', card('one two'));
  child.kill('SIGINT');
  const [code, signal] = await child.ended;
  assert.deepEqual([code, signal], [0, null], child.output());
  assert.match(child.output(), /"canvas-updated"/);
  await broker.stop();
  const again = startWatch(t, address, [folder], slow);
  await again.untilSaid('watching');
  again.kill('SIGINT');
  assert.deepEqual(await again.ended, [0, null], again.output());
  const peer = await onePeer(t, await embedded(t, port));
  const last = await watching(t, address, [folder], slow);
  await untilCanvas(peer, 'plan', card('one two'));
  last.kill('SIGTERM');
  assert.deepEqual(await last.ended, [0, null]);
});
