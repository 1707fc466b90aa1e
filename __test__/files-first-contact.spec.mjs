import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { freePort } from './helpers/ports.mjs';
import { onePeer, REPOSITORY, untilListed } from './helpers/two-peers.mjs';
import { bound, card, newBound, textOf, untilCanvas, vault } from './helpers/vault.mjs';
import { until } from './helpers/wait.mjs';
import { scratch } from './helpers/work-trees.mjs';

const node = (id, more = {}) => ({ id, type: 'text', x: 0, y: 0, width: 1, height: 1, text: id, ...more });

/** A broker, and a peer that has a canvas. */
async function withPlan(t, canvas) {
  const broker = await embedded(t);
  const peer = await onePeer(t, broker);
  await peer.createCanvas(REPOSITORY, 'plan', canvas, 'ben');
  return { broker, peer };
}

describe('outside git', () => {
  test('what only the file has is added, and nothing is deleted', async (t) => {
    const { broker, peer } = await withPlan(t, card('one', node('theirs')));
    const folder = vault(t, { plan: card('one', node('mine')), new: card('new') });
    const bind = await bound(t, broker, folder);
    const fits = ({ nodes }) => nodes.map(({ id }) => id).join() === 'a,theirs,mine';
    await folder.until('plan', fits);
    await untilCanvas(peer, 'plan', fits);
    await untilCanvas(peer, 'new', card('new'));
    assert.deepEqual(folder.names(), ['new.canvas', 'plan.canvas']);
    assert.deepEqual(bind.of('file-set-aside'), []);
  });

  test('what clashes is kept in a copy beside it', async (t) => {
    const { broker, peer } = await withPlan(t, card('theirs'));
    const folder = vault(t, { plan: card('mine', node('only mine')) });
    const before = folder.read('plan');
    const bind = await bound(t, broker, folder);
    const { aside } = await bind.untilSeen('file-set-aside');
    await folder.until('plan', card('theirs', node('only mine')));
    await untilCanvas(peer, 'plan', card('theirs', node('only mine')));
    assert.equal(folder.names().length, 2);
    const [copy] = folder.names().filter((name) => name !== 'plan.canvas');
    assert.match(copy, /^plan\.local-\d{4}-\d\d-\d\d\.canvas$/);
    assert.ok(aside.endsWith(copy));
    assert.equal(folder.read(copy.replace('.canvas', '')), before);
    folder.save('last', card(''));
    await untilListed(peer, 'last');
    assert.deepEqual((await peer.listCanvases(REPOSITORY)).map(({ id }) => id).sort(), ['last', 'plan']);
  });

  test('two that start with the same files have each canvas once', async (t) => {
    const broker = await embedded(t);
    const canvases = { plan: card('one'), 'in/b': card('b') };
    const folders = [vault(t, canvases), vault(t, canvases)];
    const before = folders.map((folder) => folder.stamp('plan'));
    const [ada, ben] = await Promise.all(folders.map((folder) => bound(t, broker, folder)));
    folders[0].edit('plan', ({ nodes }) => {
      nodes[0].text = 'one two';
    });
    await folders[1].until('plan', card('one two'));
    await until(async () => (await ben.getCanvas(REPOSITORY, 'in/b')).nodes.length === 1, 'in/b');
    assert.notDeepEqual(folders[1].stamp('plan'), before[1]);
    assert.deepEqual([...ada.of('file-set-aside'), ...ben.of('file-set-aside')], []);
  });

  test('what is edited between the start and the first contact is an edit', async (t) => {
    const port = await freePort();
    const folder = vault(t, { plan: card('one', node('b')) });
    const peer = newBound(t, { host: '127.0.0.1', port }, folder);
    await peer.initialize();
    folder.save('broken', '{');
    // It has been looked at when that has been told, and so has the other.
    await peer.untilSeen('error');
    folder.save('plan', card('one two'));
    const broker = await embedded(t, port);
    const ben = await onePeer(t, broker);
    await ben.createCanvas(REPOSITORY, 'plan', card('one', node('b')), 'ben').catch(() => {});
    await untilCanvas(ben, 'plan', card('one two'));
    await folder.until('plan', card('one two'));
    assert.deepEqual(folder.names(), ['broken.canvas', 'plan.canvas']);
  });

  test('nothing is imported before the network was asked; edits of what is known go on', async (t) => {
    const port = await freePort();
    const folder = vault(t, { plan: card('mine') });
    const storage = { path: vault(t).path };
    const peer = newBound(t, { host: '127.0.0.1', port }, folder, { storage });
    await peer.initialize();
    await peer.createCanvas(REPOSITORY, 'other', card('one'), 'app');
    await folder.until('other', card('one'));
    folder.edit('other', ({ nodes }) => {
      nodes[0].text = 'one two';
    });
    await untilCanvas(peer, 'other', card('one two'));
    assert.deepEqual(
      (await peer.listCanvases(REPOSITORY)).map(({ id }) => id),
      ['other'],
    );
    assert.deepEqual(peer.of('files-ready'), []);
    const broker = await embedded(t, port);
    const ben = await onePeer(t, broker);
    await untilCanvas(ben, 'plan', card('mine'));
    await untilCanvas(ben, 'other', card('one two'));
  });
});

describe('in git', () => {
  test('a file as it was committed takes the version of the network', async (t) => {
    const { broker, peer } = await withPlan(t, card('the cat sat'));
    const work = scratch(t, { plan: card('the cat', node('deleted since')) });
    const bind = await bound(t, broker, work);
    await work.until('plan', card('the cat sat'));
    await untilCanvas(peer, 'plan', card('the cat sat'));
    assert.deepEqual(work.names(), ['plan.canvas']);
    assert.deepEqual(bind.of('conflict'), []);
  });

  test('a changed file contributes its difference from the last commit', async (t) => {
    const { broker, peer } = await withPlan(t, card('the cat sat', node('theirs')));
    const work = scratch(t, { plan: card('the cat', node('b'), node('c')) });
    // What the others have was made from the same commit.
    work.save('plan', card('the big cat', node('c'), node('mine')));
    await peer.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [node('b'), node('c')] } }, 'ben');
    await bound(t, broker, work);
    const fits = (canvas) =>
      textOf(canvas) === 'the big cat sat' &&
      canvas.nodes
        .map(({ id }) => id)
        .sort()
        .join() === 'a,c,mine,theirs';
    await work.until('plan', fits);
    await untilCanvas(peer, 'plan', fits);
    assert.deepEqual(work.names(), ['plan.canvas']);
  });

  test('live edits that were never committed are not made again by a start without storage', async (t) => {
    const { broker, peer } = await withPlan(t, card('the cat'));
    const work = scratch(t, { plan: card('the cat') });
    const first = await bound(t, broker, work);
    await peer.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [{ id: 'a', text: 'the cat sat' }] } }, 'ben');
    await work.until('plan', card('the cat sat'));
    await first.disconnect();
    await peer.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [{ id: 'a', text: 'the cat sat down' }] } }, 'ben');
    await bound(t, broker, work);
    await work.until('plan', card('the cat sat down'));
    assert.equal(textOf(await peer.getCanvas(REPOSITORY, 'plan')), 'the cat sat down');
    assert.equal(work.status(), ' M plan.canvas');
  });

  test('a file that git does not know is met as outside git', async (t) => {
    const { broker } = await withPlan(t, card('theirs'));
    const work = scratch(t, { other: card('other') });
    work.save('plan', card('mine'));
    const bind = await bound(t, broker, work);
    await bind.untilSeen('file-set-aside');
    await work.until('plan', card('theirs'));
  });
});
