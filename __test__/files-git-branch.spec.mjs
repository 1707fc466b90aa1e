import assert from 'node:assert/strict';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { REPOSITORY } from './helpers/two-peers.mjs';
import { bound, card, newBound, textOf, untilCanvas, vault } from './helpers/vault.mjs';
import { clones, scratch } from './helpers/work-trees.mjs';

const hasText = (text) => (canvas) => textOf(canvas) === text;

/** A work tree with a branch `side` beside `main`, bound; and another folder of the same canvases. */
async function setUp(t, options = {}) {
  const broker = await embedded(t);
  const work = scratch(t, { plan: card('the cat sat'), gone: card('gone') });
  work.git('checkout', '--quiet', '-b', 'side');
  work.edit('plan', ({ nodes }) => {
    nodes[0].text = 'another branch';
  });
  work.remove('gone');
  work.save('only-there', card('only there'));
  work.commit('side');
  work.git('checkout', '--quiet', 'main');
  const ada = Object.assign(await bound(t, broker, work, options), { storagePath: options.storage?.path });
  const other = vault(t);
  const ben = await bound(t, broker, other);
  await other.until('plan', card('the cat sat'));
  return { broker, work, other, ada, ben };
}

const type = (peer, text) => peer.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [{ id: 'a', text }] } }, 'app');

describe('another branch', () => {
  test('is never broadcast; what others do meanwhile is there afterwards', async (t) => {
    const { work, other, ada, ben } = await setUp(t);
    work.git('checkout', '--quiet', 'side');
    const paused = await ada.untilSeen('files-paused');
    assert.equal(paused.reason, 'branch');
    assert.match(paused.message, /'side' is checked out.*'main'/);
    // Also what is edited there stays there.
    work.edit('plan', ({ nodes }) => {
      nodes[0].text = 'another branch, edited';
    });
    await type(ben, 'the cat sat down');
    await untilCanvas(ada, 'plan', hasText('the cat sat down'));
    assert.equal(textOf(work.parsed('plan')), 'another branch, edited');
    work.git('checkout', '--quiet', '--', '.');
    work.git('checkout', '--quiet', 'main');
    await ada.untilSeen('files-resumed');
    await work.until('plan', hasText('the cat sat down'));
    assert.deepEqual(other.names(), ['gone.canvas', 'plan.canvas']);
    assert.deepEqual(work.names(), ['gone.canvas', 'plan.canvas']);
    await type(ada, 'the cat sat down again');
    await other.until('plan', hasText('the cat sat down again'));
    assert.deepEqual(ben.of('canvas-deleted'), []);
    assert.deepEqual([...ada.of('error'), ...ada.of('conflict')], []);
  });

  test('with uncommitted edits carried along and back, which become edits once', async (t) => {
    const { work, other, ada, ben } = await setUp(t);
    work.git('checkout', '--quiet', '-b', 'copy');
    await ada.untilSeen('files-paused');
    work.edit('plan', ({ nodes }) => {
      nodes[0].text = 'the big cat sat';
    });
    await type(ben, 'the cat sat down');
    await untilCanvas(ada, 'plan', hasText('the cat sat down'));
    work.git('checkout', '--quiet', 'main');
    await other.until('plan', hasText('the big cat sat down'));
    await work.until('plan', hasText('the big cat sat down'));
  });

  test('takes along what others made and nobody committed here: it comes back', async (t) => {
    const { work, other, ada, ben } = await setUp(t);
    other.save('precious', card('precious'));
    await work.until('precious', card('precious'));
    work.git('checkout', '--quiet', '-b', 'keep');
    await ada.untilSeen('files-paused');
    work.commit('all that is here');
    work.git('checkout', '--quiet', 'main');
    await ada.untilSeen('files-resumed');
    await work.until('precious', card('precious'));
    work.commit('it again');
    work.git('reset', '--quiet', '--hard', 'HEAD~1');
    await work.until('precious', card('precious'));
    await type(ada, 'the end');
    await other.until('plan', hasText('the end'));
    assert.ok(other.has('precious'));
    assert.deepEqual(ben.of('canvas-deleted'), []);
  });

  test('at a later start does nothing: the binding belongs to that of the last time', async (t) => {
    const { broker, work, other, ada } = await setUp(t, { storage: { path: temporaryFolder(t, 'data') } });
    const path = ada.storagePath;
    await ada.disconnect();
    work.git('checkout', '--quiet', 'side');
    const again = newBound(t, broker, work, { storage: { path } });
    await again.initialize();
    const { reason } = await again.untilSeen('files-paused');
    assert.equal(reason, 'branch');
    assert.deepEqual(other.names(), ['gone.canvas', 'plan.canvas']);
  });

  test('of a repository within the folder is none of ours', async (t) => {
    const broker = await embedded(t);
    const folder = vault(t, { plan: card('plan') });
    const { path } = scratch(t, { inner: card('inner') });
    cpSync(path, join(folder.path, 'clone'), { recursive: true });
    const ada = await bound(t, broker, folder);
    const other = vault(t);
    const ben = await bound(t, broker, other);
    await other.until('plan', card('plan'));
    await ben.createCanvas(REPOSITORY, 'clone/theirs', card('theirs'), 'ben');
    await ben.createCanvas(REPOSITORY, 'theirs', card('theirs'), 'ben');
    await folder.until('theirs', card('theirs'));
    rmSync(folder.file('clone/inner'));
    folder.remove('plan');
    await other.untilGone('plan');
    assert.deepEqual(
      folder.names().filter((name) => !/\/\.git\//.test(name)),
      ['theirs.canvas'],
    );
    assert.deepEqual(ada.of('error'), []);
  });

  test('may be named: until it is checked out, nothing is done', async (t) => {
    const broker = await embedded(t);
    const work = scratch(t, { plan: card('of main') });
    work.git('branch', 'side');
    const peer = newBound(t, broker, work, { folder: { branch: 'side' } });
    await peer.initialize();
    await peer.untilSeen('files-paused');
    work.git('checkout', '--quiet', 'side');
    await untilCanvas(peer, 'plan', card('of main'));
  });
});

describe('git in the middle of something', { concurrency: true }, () => {
  test('however long it is at work, what it changes is nobody’s edit', async (t) => {
    const { work, other, ada, ben } = await setUp(t);
    const lock = join(work.path, '.git', 'index.lock');
    writeFileSync(lock, '');
    work.save('plan', card('half another branch'));
    work.remove('gone');
    const paused = await ada.untilSeen('files-paused');
    assert.equal(paused.reason, 'lock');
    await type(ben, 'the cat sat down');
    await other.until('plan', hasText('the cat sat down'));
    assert.ok(other.has('gone'));
    // It moves `HEAD` last.
    writeFileSync(join(work.path, '.git', 'HEAD'), 'ref: refs/heads/side\n');
    rmSync(lock);
    await ada.untilSeen('files-paused', ({ reason }) => reason === 'branch');
    work.git('checkout', '--quiet', '--force', 'main');
    await work.until('plan', hasText('the cat sat down'));
    assert.ok(other.has('gone'));
    assert.deepEqual(textOf(other.parsed('plan')), 'the cat sat down');
    assert.deepEqual(ben.of('canvas-deleted'), []);
  });

  test('a merge with conflicts pauses until it is committed', async (t) => {
    const { work, other, ada } = await setUp(t);
    work.edit('plan', ({ nodes }) => {
      nodes[0].text = 'the big cat sat';
    });
    work.commit('ours');
    await other.until('plan', hasText('the big cat sat'));
    work.attempt('merge', 'side');
    const paused = await ada.untilSeen('files-paused');
    assert.equal(paused.reason, 'merge');
    work.save('plan', card('resolved'));
    work.commit('merged');
    await ada.untilSeen('files-resumed');
    await other.until('plan', hasText('resolved'));
    await other.until('only-there', card('only there'));
    await other.untilGone('gone');
    assert.deepEqual(ada.of('error'), []);
  });

  test('a merge that is aborted leaves everything as it was', async (t) => {
    const { work, other, ada, ben } = await setUp(t);
    work.edit('plan', ({ nodes }) => {
      nodes[0].text = 'the big cat sat';
    });
    work.commit('ours');
    await other.until('plan', hasText('the big cat sat'));
    work.attempt('merge', 'side');
    await ada.untilSeen('files-paused');
    work.git('merge', '--abort');
    await ada.untilSeen('files-resumed');
    await type(ben, 'the big cat sat down');
    await work.until('plan', hasText('the big cat sat down'));
    assert.deepEqual(other.names(), ['gone.canvas', 'plan.canvas']);
  });

  test('a rebase that stops, and a bisect', async (t) => {
    const { work, other, ada, ben } = await setUp(t);
    work.edit('plan', ({ nodes }) => {
      nodes[0].text = 'the big cat sat';
    });
    work.commit('ours');
    await other.until('plan', hasText('the big cat sat'));
    work.attempt('rebase', 'side');
    assert.equal((await ada.untilSeen('files-paused')).reason, 'rebase');
    work.git('rebase', '--abort');
    await ada.untilSeen('files-resumed');
    work.git('bisect', 'start', 'HEAD', 'HEAD~1');
    assert.equal((await ada.untilSeen('files-paused', ({ reason }) => reason === 'bisect')).reason, 'bisect');
    work.git('bisect', 'reset');
    await type(ben, 'the big cat sat down');
    await work.until('plan', hasText('the big cat sat down'));
    assert.deepEqual(other.names(), ['gone.canvas', 'plan.canvas']);
  });
});

describe('git puts files back', { concurrency: true }, () => {
  test('reset --hard and checkout of a file are no edits', async (t) => {
    const { work, other, ada, ben } = await setUp(t);
    await type(ben, 'the cat sat down');
    await work.until('plan', hasText('the cat sat down'));
    work.git('reset', '--quiet', '--hard');
    work.save('next', card('next'));
    await other.until('next', card('next'));
    assert.equal(textOf(await ben.getCanvas(REPOSITORY, 'plan')), 'the cat sat down');
    // After a while the present is written again.
    await work.until('plan', hasText('the cat sat down'));
    work.git('checkout', '--', 'plan.canvas');
    work.save('last', card('last'));
    await other.until('last', card('last'));
    assert.equal(textOf(await ada.getCanvas(REPOSITORY, 'plan')), 'the cat sat down');
    assert.deepEqual([...ada.of('conflict'), ...ada.of('error')], []);
  });

  test('reset to an older commit keeps what was edited since', async (t) => {
    const { work, other, ada } = await setUp(t);
    work.edit('plan', ({ nodes }) => {
      nodes[0].text = 'the cat sat down';
    });
    await other.until('plan', hasText('the cat sat down'));
    work.commit('down');
    work.git('reset', '--quiet', '--hard', 'HEAD~1');
    await work.until('plan', hasText('the cat sat down'));
    assert.equal(textOf(await ada.getCanvas(REPOSITORY, 'plan')), 'the cat sat down');
    assert.equal(work.status(), ' M plan.canvas');
  });

  test('stash, pull, stash pop, with a pause between any two', async (t) => {
    const broker = await embedded(t);
    const last = { id: 'b', type: 'text', x: 0, y: 0, width: 1, height: 1, text: 'last' };
    const [author, work, far] = clones(t, 3, { plan: card('the cat sat', last) });
    const ada = await bound(t, broker, work);
    const ben = await bound(t, broker, far);
    await ben.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [{ id: 'b', text: 'at last' }] } }, 'app');
    const has = (first, second) => (canvas) => textOf(canvas) === first && canvas.nodes[1].text === second;
    await work.until('plan', has('the cat sat', 'at last'));
    author.edit('plan', ({ nodes }) => {
      nodes[0].text = 'the big cat sat';
    });
    author.commit('big');
    author.git('push', '--quiet');
    // What the binding has seen by now shows in what it does of another file.
    let number = 0;
    const seen = async () => {
      const id = `seen-${++number}`;
      work.save(id, card(id));
      await untilCanvas(ben, id, card(id));
    };
    work.git('stash', '--quiet');
    await seen();
    work.git('pull', '--quiet');
    await untilCanvas(ben, 'plan', has('the big cat sat', 'at last'));
    await seen();
    await ben.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [{ id: 'b', text: 'at long last' }] } }, 'app');
    await untilCanvas(ada, 'plan', has('the big cat sat', 'at long last'));
    work.git('stash', 'pop', '--quiet');
    await work.until('plan', has('the big cat sat', 'at long last'));
    await seen();
    for (const peer of [ada, ben]) {
      assert.ok(has('the big cat sat', 'at long last')(await peer.getCanvas(REPOSITORY, 'plan')));
    }
  });
});
