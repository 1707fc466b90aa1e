import assert from 'node:assert/strict';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { embedded } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { onePeer, REPOSITORY, untilListed } from './helpers/two-peers.mjs';
import { bound, card, twoVaults, vault } from './helpers/vault.mjs';

const ids = async (peer) => (await peer.listCanvases(REPOSITORY)).map(({ id }) => id).sort();

describe('which files are canvases', () => {
  test('all below the folder but hidden and ignored ones', async (t) => {
    const broker = await embedded(t);
    const folder = vault(t, { plan: smallCanvas(), 'boards/deep/plan': smallCanvas(), 'draft/x': smallCanvas() });
    for (const id of ['.hidden/x', '.git/x', '.x', 'out/x', 'plan.local-2026-01-01']) folder.save(id, smallCanvas());
    folder.save('kept/secret', smallCanvas());
    writeFileSync(join(folder.path, '.gitignore'), 'out/\ndraft\n');
    writeFileSync(join(folder.path, 'kept', '.gitignore'), 'secret.canvas\n');
    writeFileSync(join(folder.path, 'notes.md'), '# no canvas');
    const peer = await bound(t, broker, folder);
    assert.deepEqual(await ids(peer), ['boards/deep/plan', 'plan']);
    // What is no longer ignored is found, and what is from now on is left alone: neither deleted nor followed.
    writeFileSync(join(folder.path, '.gitignore'), 'out/\nplan.canvas\n!boards/deep/plan.canvas\n');
    await untilListed(peer, 'draft/x');
    folder.save('plan', card('of nobody else'));
    folder.save('after', smallCanvas());
    await untilListed(peer, 'after');
    assert.deepEqual(await ids(peer), ['after', 'boards/deep/plan', 'draft/x', 'plan']);
    assert.deepEqual(await peer.getCanvas(REPOSITORY, 'plan'), smallCanvas());
    // Nor does what others do there get a file.
    const other = await onePeer(t, broker);
    await untilListed(other, 'plan');
    await other.createCanvas(REPOSITORY, 'out/theirs', smallCanvas(), 'ben');
    await other.createCanvas(REPOSITORY, 'theirs', smallCanvas(), 'ben');
    await folder.until('theirs', smallCanvas());
  });

  test('an ignored file of a canvas that there is stays by itself', async (t) => {
    const broker = await embedded(t);
    const folder = vault(t, { plan: smallCanvas(), last: smallCanvas() });
    const peer = await bound(t, broker, folder);
    writeFileSync(join(folder.path, '.gitignore'), 'plan.canvas\nmine.canvas\n');
    folder.save('y', smallCanvas());
    await untilListed(peer, 'y');
    folder.save('plan', card('of nobody else'));
    folder.save('mine', card('secret'));
    const before = ['plan', 'mine'].map((id) => folder.stamp(id));
    const other = await onePeer(t, broker);
    await untilListed(other, 'plan');
    await other.createCanvas(REPOSITORY, 'mine', smallCanvas(), 'ben');
    // Files are looked at in the order of their names, so after this one both have been.
    for (const id of ['z', 'zz']) {
      folder.save(id, smallCanvas());
      await untilListed(other, id);
    }
    for (const id of ['plan', 'mine']) assert.deepEqual(await other.getCanvas(REPOSITORY, id), smallCanvas());
    assert.deepEqual(
      ['plan', 'mine'].map((id) => folder.stamp(id)),
      before,
    );
    assert.deepEqual(peer.of('file-set-aside'), []);
  });

  test('a folder full of files that is moved in, and away again', async (t) => {
    const broker = await embedded(t);
    const { one, other, ada } = await twoVaults(t, broker, { plan: smallCanvas() });
    const elsewhere = vault(t, { 'in/a': card('a'), 'in/b/c': card('c') });
    renameSync(join(elsewhere.path, 'in'), join(one.path, 'in'));
    await other.until('in/a', card('a'));
    await other.until('in/b/c', card('c'));
    renameSync(join(one.path, 'in'), join(elsewhere.path, 'out'));
    await other.untilGone('in/a');
    await other.untilGone('in/b/c');
    assert.deepEqual(ada.of('files-paused'), []);
    assert.deepEqual(await ids(ada), ['plan']);
  });
});

describe('both ways', () => {
  test('new, changed, renamed and deleted files, and what others do', async (t) => {
    const broker = await embedded(t);
    const { one, other, ada, ben } = await twoVaults(t, broker, { plan: card('one') });
    one.save('new', card('new'));
    await other.until('new', card('new'));
    one.edit('plan', (canvas) => {
      canvas.nodes[0].text = 'one two';
    });
    await other.until('plan', card('one two'));
    other.rename('new', 'sub/renamed');
    await one.until('sub/renamed', card('new'));
    await one.untilGone('new');
    one.remove('sub/renamed');
    await other.untilGone('sub/renamed');
    assert.deepEqual(await ids(ada), ['plan']);
    assert.deepEqual(await ids(ben), ['plan']);
    assert.deepEqual(other.names(), ['plan.canvas']);
    assert.deepEqual([...ada.of('error'), ...ben.of('error'), ...ada.of('conflict')], []);
    const [created] = ben.of('canvas-created').filter(({ canvasId }) => canvasId === 'sub/renamed');
    assert.deepEqual([created.origin, created.author], ['file', 'ben']);
    const [heard] = ada.of('canvas-created').filter(({ canvasId }) => canvasId === 'sub/renamed');
    assert.deepEqual([heard.origin, heard.author], ['remote', 'ben']);
  });

  test('what the API does is written; its own writes come back as no edit', async (t) => {
    const broker = await embedded(t);
    const folder = vault(t);
    const peer = await bound(t, broker, folder);
    await peer.createCanvas(REPOSITORY, 'boards/plan', card('one'), 'app');
    await folder.until('boards/plan', card('one'));
    for (let n = 1; n <= 20; n++) {
      await peer.patchCanvas(REPOSITORY, 'boards/plan', { nodes: { upsert: [{ id: 'a', x: n }] } }, 'app');
    }
    await folder.until('boards/plan', ({ nodes }) => nodes[0].x === 20);
    folder.save('last', card('last'));
    await untilListed(peer, 'last');
    assert.deepEqual(
      peer.of('canvas-updated').filter(({ origin }) => origin === 'file'),
      [],
    );
    await peer.deleteCanvas(REPOSITORY, 'boards/plan', 'app');
    await folder.untilGone('boards/plan');
    assert.deepEqual(
      folder.names().filter((name) => name !== 'last.canvas'),
      [],
    );
  });
});

describe('the file stays as its editor left it', () => {
  const STYLED = `{
    "metadata": {"version": "1.0", "frontmatter": {}},
    "edges": [],
    "nodes": [
        {"type": "text", "id": "a", "zz": [1, 2], "text": "one", "x": 0, "y": 0, "width": 1, "height": 1},
        {"type": "text", "id": "b", "text": "two", "x": 0, "y": 0, "width": 1, "height": 1}
    ]
}`;

  test('a change of one node changes one line', async (t) => {
    const broker = await embedded(t);
    const folder = vault(t, { plan: STYLED });
    const peer = await bound(t, broker, folder);
    await peer.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [{ id: 'b', text: 'three' }] } }, 'app');
    await folder.until('plan', ({ nodes }) => nodes[1].text === 'three');
    assert.equal(folder.read('plan'), STYLED.replace('"two"', '"three"'));
  });

  test('what nobody changed is never written, also not at a start', async (t) => {
    const broker = await embedded(t);
    const odd = '{ "nodes":[ {"y":0,"x":0,"id":"a",   "type":"text","text":"t","width":1,"height":1}],"edges":[] }\r\n';
    const folder = vault(t, { odd, plan: smallCanvas() });
    const before = folder.stamp('odd');
    const path = vault(t).path;
    for (const options of [{}, {}, { storage: { path } }, { storage: { path } }]) {
      const peer = await bound(t, broker, folder, options);
      await peer.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [{ id: 'a', x: Math.random() }] } }, 'app');
      await peer.untilSeen('file-written');
      assert.deepEqual(folder.stamp('odd'), before);
      assert.deepEqual(
        peer.of('canvas-updated').filter(({ canvasId }) => canvasId === 'odd'),
        [],
      );
      await peer.disconnect();
    }
  });

  test('the same canvas in another layout is no edit, and keeps that layout', async (t) => {
    const broker = await embedded(t);
    const { one, other, ada } = await twoVaults(t, broker, { plan: card('one') });
    const before = other.stamp('plan');
    one.save('plan', JSON.stringify(card('one')));
    one.save('next', card('next'));
    await other.until('next', card('next'));
    assert.deepEqual(other.stamp('plan'), before);
    assert.deepEqual(ada.of('canvas-updated'), []);
    other.edit('plan', (canvas) => {
      canvas.nodes[0].x = 7;
    });
    await one.until('plan', ({ nodes }) => nodes[0].x === 7);
    assert.equal(one.read('plan').split('\n').length, 1);
  });
});

test('a folder that is not there, or within another, is refused', async (t) => {
  const folder = vault(t);
  mkdirSync(join(folder.path, 'inner'));
  const service = (...paths) =>
    new MQTTIntegrationService({ repositories: paths.map((path, n) => ({ name: `r${n}`, path })) });
  assert.throws(() => service(join(folder.path, 'nowhere')), { code: 'ERR_CONFIG_INVALID' });
  assert.throws(() => service(folder.path, join(folder.path, 'inner')), { code: 'ERR_CONFIG_INVALID' });
});
