import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBroker } from '@mind-git/mqtt-p2p';
import { embedded } from './helpers/broker.mjs';
import { freePort } from './helpers/ports.mjs';
import { REPOSITORY } from './helpers/two-peers.mjs';
import { bound, card, textOf, untilCanvas, vaultAt } from './helpers/vault.mjs';
import { until } from './helpers/wait.mjs';
import { clones, withGit } from './helpers/work-trees.mjs';

const LAST = { id: 'b', type: 'text', x: 0, y: 0, width: 1, height: 1, text: 'last' };
const START = { plan: card('the cat sat'), other: card('other'), two: card('first', LAST) };

/** Two clones that are watched, and one that is not, in which commits are made. */
async function setUp(t, broker, options) {
  const [author, one, other] = clones(t, 3, START);
  const ada = await bound(t, broker, one, options);
  const ben = await bound(t, broker, other, options);
  for (const id of Object.keys(START)) await untilCanvas(ben, id, START[id]);
  return { author, one, other, ada, ben };
}

/** Pulls. Where the other one's pull has arrived live before, git would overwrite no uncommitted file. */
function pull(folder) {
  if (folder.attempt('pull', '--quiet').status === 0) return;
  folder.git('checkout', '--', '.');
  folder.git('pull', '--quiet');
}

/** Commits and publishes a new text. */
function publish(author, text, id = 'plan') {
  author.git('pull', '--quiet', '--rebase');
  author.edit(id, (canvas) => {
    canvas.nodes[0].text = text;
  });
  author.commit(text);
  author.git('push', '--quiet');
}

/** Waits until both services and both files have a text of the canvas, and checks that it stays through a last edit. */
async function settle({ one, other, ada, ben }, text, id = 'plan') {
  const fits = (canvas) => textOf(canvas) === text;
  await Promise.all([untilCanvas(ada, id, fits), untilCanvas(ben, id, fits)]);
  await Promise.all([one.until(id, fits), other.until(id, fits)]);
  // Whatever else was under way from one to the other has arrived before this.
  for (const [peer, folder] of [
    [ada, other],
    [ben, one],
  ]) {
    const color = `#${Math.random()}`;
    await peer.patchCanvas(REPOSITORY, id, { nodes: { upsert: [{ id: 'a', color }] } }, 'app');
    await folder.until(id, ({ nodes }) => nodes[0].color === color);
  }
  for (const peer of [ada, ben]) assert.equal(textOf(await peer.getCanvas(REPOSITORY, id)), text);
  for (const folder of [one, other]) assert.equal(textOf(folder.parsed(id)), text);
}

describe('two people pull one commit', { concurrency: 3 }, () => {
  test('at the same instant', async (t) => {
    const peers = await setUp(t, await embedded(t));
    publish(peers.author, 'the big cat sat down');
    // What is to come is there already, so that both moves follow at once.
    for (const folder of [peers.one, peers.other]) folder.git('fetch', '--quiet');
    pull(peers.one);
    pull(peers.other);
    await settle(peers, 'the big cat sat down');
    assert.deepEqual([...peers.ada.of('error'), ...peers.ben.of('error')], []);
  });

  test('one after the other', async (t) => {
    const peers = await setUp(t, await embedded(t));
    publish(peers.author, 'the big cat sat down');
    peers.one.git('pull', '--quiet');
    await untilCanvas(peers.ben, 'plan', (canvas) => textOf(canvas) === 'the big cat sat down');
    await peers.other.until('plan', (canvas) => textOf(canvas) === 'the big cat sat down');
    // The same content is there already; git minds, and is told to take its own.
    peers.other.git('checkout', '--', 'plan.canvas');
    peers.other.git('pull', '--quiet');
    await settle(peers, 'the big cat sat down');
  });

  test('both offline, with the broker coming back afterwards', async (t) => {
    const port = await freePort();
    const broker = await startBroker({ port });
    const peers = await setUp(t, { host: '127.0.0.1', port });
    await broker.stop();
    publish(peers.author, 'the big cat sat down');
    peers.one.git('pull', '--quiet');
    peers.other.git('pull', '--quiet');
    const fits = (canvas) => textOf(canvas) === 'the big cat sat down';
    await Promise.all([untilCanvas(peers.ada, 'plan', fits), untilCanvas(peers.ben, 'plan', fits)]);
    publish(peers.author, 'the very big cat sat down');
    peers.one.git('pull', '--quiet');
    peers.other.git('pull', '--quiet');
    await embedded(t, port);
    await settle(peers, 'the very big cat sat down');
  });

  test('with live edits before, between and after', async (t) => {
    const peers = await setUp(t, await embedded(t));
    const { author, one, other, ada, ben } = peers;
    publish(author, 'the big cat sat');
    const type = async (peer, text) => {
      const canvas = await peer.getCanvas(REPOSITORY, 'plan');
      canvas.nodes[0].text = text(canvas.nodes[0].text);
      await peer.updateCanvas(REPOSITORY, 'plan', canvas, 'app');
    };
    await type(ada, (text) => `${text} 1`);
    await other.until('plan', (canvas) => textOf(canvas).endsWith('1'));
    pull(one);
    await type(ben, (text) => `${text} 2`);
    await one.until('plan', (canvas) => textOf(canvas).endsWith('2'));
    pull(other);
    await type(ada, (text) => `${text} 3`);
    await settle(peers, 'the big cat sat 1 2 3');
  });

  test('while nothing is watched: the next start takes it in once', async (t) => {
    const broker = await embedded(t);
    for (const storage of [true, false]) {
      const [author, one, other] = clones(t, 3, START);
      const options = (folder) => (storage ? { storage: { path: `${folder.path}.data` } } : {});
      const topicPrefix = `p${storage}`;
      const start = (folder) => bound(t, broker, folder, { ...options(folder), topicPrefix });
      let [ada, ben] = [await start(one), await start(other)];
      publish(author, 'the big cat sat');
      one.git('pull', '--quiet');
      await untilCanvas(ben, 'plan', (canvas) => textOf(canvas) === 'the big cat sat');
      await other.until('plan', (canvas) => textOf(canvas) === 'the big cat sat');
      await ada.disconnect();
      await ben.disconnect();
      publish(author, 'the very big cat sat');
      one.git('pull', '--quiet');
      other.git('checkout', '--', 'plan.canvas');
      other.git('pull', '--quiet');
      [ada, ben] = await Promise.all([start(one), start(other)]);
      await settle({ one, other, ada, ben }, 'the very big cat sat');
      await ada.disconnect();
      await ben.disconnect();
    }
  });

  test('a new, a renamed and a deleted file', async (t) => {
    const peers = await setUp(t, await embedded(t));
    const { author, one, other, ada, ben } = peers;
    author.save('new', card('new'));
    author.remove('other');
    author.rename('plan', 'sub/plan');
    author.commit('much');
    author.git('push', '--quiet');
    pull(one);
    pull(other);
    await settle(peers, 'new', 'new');
    await settle(peers, 'the cat sat', 'sub/plan');
    for (const peer of [ada, ben]) {
      await until(async () => (await peer.listCanvases(REPOSITORY)).length === 3, 'three canvases are left');
    }
    for (const folder of [one, other]) {
      assert.deepEqual(folder.names(), ['new.canvas', 'sub/plan.canvas', 'two.canvas']);
    }
  });
});

describe('own commits', { concurrency: 3 }, () => {
  test('a merge commit', async (t) => {
    const peers = await setUp(t, await embedded(t));
    const { author, one, other } = peers;
    publish(author, 'the cat sat down', 'other');
    one.edit('plan', (canvas) => {
      canvas.nodes[0].text = 'the black cat sat';
    });
    await other.until('plan', (canvas) => textOf(canvas) === 'the black cat sat');
    one.commit('live');
    one.git('pull', '--quiet', '--no-rebase', '--no-edit');
    one.git('push', '--quiet');
    other.git('checkout', '--', '.');
    other.git('pull', '--quiet');
    await settle(peers, 'the black cat sat');
    await settle(peers, 'the cat sat down', 'other');
  });

  test('a merge of two changes of one canvas', async (t) => {
    const peers = await setUp(t, await embedded(t));
    const { author, one, other } = peers;
    author.edit('two', ({ nodes }) => {
      nodes[0].text = 'first and more';
    });
    author.commit('theirs');
    author.git('push', '--quiet');
    one.edit('two', ({ nodes }) => {
      nodes[1].text = 'the last';
    });
    await other.until('two', ({ nodes }) => nodes[1].text === 'the last');
    one.commit('ours');
    one.git('pull', '--quiet', '--no-rebase', '--no-edit');
    one.git('push', '--quiet');
    other.git('checkout', '--', '.');
    other.git('pull', '--quiet');
    await settle(peers, 'first and more', 'two');
    assert.equal((await peers.ben.getCanvas(REPOSITORY, 'two')).nodes[1].text, 'the last');
  });

  test('pull --rebase with local commits', async (t) => {
    const peers = await setUp(t, await embedded(t));
    const { author, one, other } = peers;
    publish(author, 'other text', 'other');
    one.edit('plan', (canvas) => {
      canvas.nodes[0].text = 'the black cat sat';
    });
    await other.until('plan', (canvas) => textOf(canvas) === 'the black cat sat');
    one.commit('live');
    one.git('pull', '--quiet', '--rebase');
    one.git('push', '--quiet');
    other.git('checkout', '--', '.');
    other.git('pull', '--quiet');
    await settle(peers, 'the black cat sat');
    await settle(peers, 'other text', 'other');
  });

  test('a commit of live edits is no edit, also for those who pull it while the typing goes on', async (t) => {
    const peers = await setUp(t, await embedded(t));
    const { one, other, ada, ben } = peers;
    let text = 'the cat sat';
    const type = async (peer, more) => {
      text += more;
      await peer.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [{ id: 'a', text }] } }, 'app');
      const fits = (canvas) => textOf(canvas) === text;
      await Promise.all([one.until('plan', fits), other.until('plan', fits)]);
    };
    await type(ada, ' on');
    await type(ben, ' the');
    one.git('add', '.');
    await type(ada, ' mat');
    one.git('commit', '--quiet', '--message', 'staged before the last words');
    one.git('push', '--quiet');
    await type(ben, ' and');
    other.git('checkout', '--', '.');
    other.git('pull', '--quiet');
    text += ' slept';
    await ada.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [{ id: 'a', text }] } }, 'app');
    await settle(peers, 'the cat sat on the mat and slept');
    const fromFiles = [...ada.of('canvas-updated'), ...ben.of('canvas-updated')].filter(
      ({ origin }) => origin === 'file',
    );
    assert.deepEqual(fromFiles, []);
  });
});

test('a linked worktree, and a folder within one', async (t) => {
  const broker = await embedded(t);
  const [author, one, other] = clones(t, 3, { 'boards/plan': card('the cat sat') });
  one.git('checkout', '--quiet', '--detach');
  one.git('worktree', 'add', '--quiet', `${one.path}-linked`, 'main');
  const linked = withGit(vaultAt(`${one.path}-linked`));
  const inner = (work) => vaultAt(`${work.path}/boards`);
  const ada = await bound(t, broker, inner(linked));
  const ben = await bound(t, broker, inner(other));
  publish(author, 'the big cat sat', 'boards/plan');
  linked.git('pull', '--quiet');
  other.git('pull', '--quiet');
  await settle({ one: inner(linked), other: inner(other), ada, ben }, 'the big cat sat');
  linked.git('checkout', '--quiet', '--detach');
  const { reason } = await ada.untilSeen('files-paused');
  assert.equal(reason, 'branch');
});
