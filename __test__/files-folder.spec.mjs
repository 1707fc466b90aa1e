import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { REPOSITORY, untilListed } from './helpers/two-peers.mjs';
import { bound, card, textOf, twoVaults, vault } from './helpers/vault.mjs';
import { until } from './helpers/wait.mjs';

const CANVASES = { a: card('a'), b: card('b'), 'in/c': card('c') };

/** The files that others have, by name, when a last edit of theirs has been seen by the one that is paused. */
async function stillThere({ ada, ben, other }) {
  const color = `#${Math.random()}`;
  await ben.patchCanvas(REPOSITORY, 'a', { nodes: { upsert: [{ id: 'a', color }] } }, 'app');
  await until(async () => (await ada.getCanvas(REPOSITORY, 'a')).nodes[0].color === color, 'the last edit');
  return other.names();
}

describe('a folder that has lost all its files', { concurrency: 3 }, () => {
  const ways = [
    ['emptied', (folder) => ['a.canvas', 'b.canvas', 'in'].map((name) => [join(folder, name), name])],
    [
      'without its canvases',
      (folder) => ['a.canvas', 'b.canvas', 'in/c.canvas'].map((name) => [join(folder, name), name]),
    ],
  ];
  for (const [what, parts] of ways) {
    test(`${what}: pauses, deletes nothing for others, and goes on when all are back`, async (t) => {
      const peers = await twoVaults(t, await embedded(t), CANVASES);
      const { one, other, ada, ben } = peers;
      const away = vault(t).path;
      mkdirSync(join(away, 'in'));
      const moved = parts(one.path);
      const held = join(away, 'held');
      // All of it at once, as a file system that is unmounted goes.
      renameSync(one.path, held);
      mkdirSync(one.path);
      const paused = await ada.untilSeen('files-paused');
      assert.equal(paused.reason, 'folder');
      assert.deepEqual(await stillThere(peers), ['a.canvas', 'b.canvas', 'in/c.canvas']);
      assert.equal(ada.getRepositoryStatus(REPOSITORY).files.paused, 'folder');
      for (const [path, name] of moved) {
        mkdirSync(join(path, '..'), { recursive: true });
        renameSync(join(held, name), path);
        if (path !== moved.at(-1)[0]) assert.deepEqual(ada.of('files-resumed'), []);
      }
      await ada.untilSeen('files-resumed');
      // What others did meanwhile is written, and the folder is watched as before.
      await one.until('a', ({ nodes }) => nodes[0].color);
      one.save('new', card('new'));
      await other.until('new', card('new'));
      assert.deepEqual(ben.of('canvas-deleted'), []);
    });
  }

  test('is not told from one by one: several of many are deleted', async (t) => {
    const { one, other, ada } = await twoVaults(t, await embedded(t), CANVASES);
    one.remove('a');
    one.remove('b');
    await other.untilGone('a');
    await other.untilGone('b');
    assert.deepEqual(ada.of('files-paused'), []);
    assert.deepEqual(other.names(), ['in/c.canvas']);
  });

  test('goes on when the canvases are deleted by the API', async (t) => {
    const { one, other, ada } = await twoVaults(t, await embedded(t), CANVASES);
    for (const id of Object.keys(CANVASES)) one.remove(id);
    await until(() => ada.of('files-paused').length > 0 || other.names().length === 0, 'it is noticed');
    for (const { id } of await ada.listCanvases(REPOSITORY)) await ada.deleteCanvas(REPOSITORY, id, 'app');
    await until(() => other.names().length === 0, 'all are gone');
    one.save('new', card('new'));
    await other.until('new', card('new'));
  });

  test('that is gone itself, and comes back', async (t) => {
    const peers = await twoVaults(t, await embedded(t), CANVASES);
    const { one, other, ada } = peers;
    renameSync(one.path, `${one.path}-away`);
    t.after(() => rmSync(`${one.path}-away`, { recursive: true, force: true }));
    await ada.untilSeen('files-paused');
    assert.equal((await stillThere(peers)).length, 3);
    renameSync(`${one.path}-away`, one.path);
    await ada.untilSeen('files-resumed');
    await one.until('a', ({ nodes }) => nodes[0].color);
    one.edit('in/c', ({ nodes }) => {
      nodes[0].text = 'after';
    });
    await other.until('in/c', (canvas) => textOf(canvas) === 'after');
    assert.deepEqual(ada.of('error'), []);
  });

  test('while nothing watched it', async (t) => {
    const broker = await embedded(t);
    const storage = { path: vault(t).path };
    const folder = vault(t, CANVASES);
    const first = await bound(t, broker, folder, { storage });
    await first.disconnect();
    const held = `${folder.path}-held`;
    renameSync(folder.path, held);
    mkdirSync(folder.path);
    const second = await bound(t, broker, folder, { storage });
    await second.untilSeen('files-paused');
    assert.equal((await second.listCanvases(REPOSITORY)).length, 3);
    rmSync(folder.path, { recursive: true });
    renameSync(held, folder.path);
    await second.untilSeen('files-resumed');
    assert.equal((await second.listCanvases(REPOSITORY)).length, 3);
  });
});

test('many files that come at once are all taken in', async (t) => {
  const broker = await embedded(t);
  const folder = vault(t);
  const peer = await bound(t, broker, folder);
  for (let n = 0; n < 200; n++) folder.save(`deep/${n % 7}/${n}`, card(`${n}`));
  await until(async () => (await peer.listCanvases(REPOSITORY)).length === 200, 'all canvases are there');
  await untilListed(peer, 'deep/3/199');
});
