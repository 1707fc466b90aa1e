import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { seededRandom } from './helpers/random.mjs';
import { onePeer, REPOSITORY } from './helpers/two-peers.mjs';
import { bound, card, textOf, untilCanvas, vault } from './helpers/vault.mjs';
import { until } from './helpers/wait.mjs';
import { watching } from './helpers/watching.mjs';

const START = { kept: card('kept'), edited: card('the cat sat'), deleted: card('deleted'), both: card('both') };
const ids = async (peer) => (await peer.listCanvases(REPOSITORY)).map(({ id }) => id).sort();

/** A watched folder that was left in good order, and a peer that goes on. */
async function left(t, options) {
  const broker = await embedded(t);
  const folder = vault(t, START);
  const peer = await onePeer(t, broker);
  const first = await bound(t, broker, folder, options);
  for (const id of Object.keys(START)) await untilCanvas(peer, id, START[id]);
  await first.disconnect();
  return { broker, folder, peer };
}

describe('files that changed while nothing watched them', { concurrency: true }, () => {
  test('with storage', async (t) => {
    const storage = { path: vault(t).path };
    const { broker, folder, peer } = await left(t, { storage });
    const stamp = folder.stamp('kept');
    folder.edit('edited', ({ nodes }) => {
      nodes[0].text = 'the big cat sat';
    });
    folder.remove('deleted');
    folder.save('new', card('new'));
    await peer.patchCanvas(REPOSITORY, 'edited', { nodes: { upsert: [{ id: 'a', text: 'the cat sat down' }] } }, 'ben');
    const bind = await bound(t, broker, folder, { storage });
    await folder.until('edited', card('the big cat sat down'));
    await untilCanvas(peer, 'edited', card('the big cat sat down'));
    await untilCanvas(peer, 'new', card('new'));
    await until(async () => (await ids(peer)).join() === 'both,edited,kept,new', 'the deleted one is gone');
    assert.deepEqual(folder.stamp('kept'), stamp);
    assert.deepEqual([...bind.of('conflict'), ...bind.of('error')], []);
  });

  test('without storage, where nothing says what was deleted', async (t) => {
    const { broker, folder, peer } = await left(t, {});
    folder.remove('deleted');
    folder.save('new', card('new'));
    await peer.deleteCanvas(REPOSITORY, 'both', 'ben');
    await bound(t, broker, folder);
    await untilCanvas(peer, 'new', card('new'));
    await folder.until('deleted', card('deleted'));
    assert.deepEqual(folder.stamp('kept').text, `${JSON.stringify(START.kept, null, '\t')}\n`);
  });

  test('removed here and edited by others: the file comes back', async (t) => {
    const storage = { path: vault(t).path };
    const { broker, folder, peer } = await left(t, { storage });
    folder.remove('both');
    await peer.patchCanvas(REPOSITORY, 'both', { nodes: { upsert: [{ id: 'a', text: 'edited' }] } }, 'ben');
    await bound(t, broker, folder, { storage });
    await folder.until('both', card('edited'));
    await untilCanvas(peer, 'both', card('edited'));
  });

  test('deleted by others and edited here: the edit survives', async (t) => {
    const storage = { path: vault(t).path };
    const { broker, folder, peer } = await left(t, { storage });
    await peer.deleteCanvas(REPOSITORY, 'both', 'ben');
    await peer.deleteCanvas(REPOSITORY, 'deleted', 'ben');
    folder.edit('both', ({ nodes }) => {
      nodes[0].text = 'both, edited';
    });
    await bound(t, broker, folder, { storage });
    await untilCanvas(peer, 'both', card('both, edited'));
    await folder.untilGone('deleted');
    assert.equal(textOf(folder.parsed('both')), 'both, edited');
    assert.deepEqual(await ids(peer), ['both', 'edited', 'kept']);
  });
});

test('a process that is killed at any moment loses nothing that was saved, and repeats nothing', async (t) => {
  const seed = process.env.FILES_SEED ?? `${Date.now()}`;
  t.diagnostic(`FILES_SEED=${seed}`);
  const random = seededRandom(seed);
  const broker = await embedded(t);
  const folder = vault(t, { plan: card(''), doomed: card('doomed') });
  const peer = await onePeer(t, broker);
  const args = ['--data-dir', vault(t).path];
  let child = await watching(t, broker, [folder], args);
  await untilCanvas(peer, 'plan', card(''));
  await peer.deleteCanvas(REPOSITORY, 'doomed', 'ben');
  await folder.untilGone('doomed');
  const words = [];
  for (let round = 0; round < 8; round++) {
    const [here, there] = [`here${round} `, `there${round} `];
    // Each writes at its own end, so that every word has its place.
    await peer.patchCanvas(
      REPOSITORY,
      'plan',
      { nodes: { upsert: [{ id: `n${round}`, type: 'text', x: 0, y: 0, width: 1, height: 1, text: there }] } },
      'ben',
    );
    folder.edit('plan', ({ nodes }) => {
      nodes.find(({ id }) => id === 'a').text += here;
    });
    words.push(here);
    // At any moment: from before it has noticed until long after.
    const moment = performance.now() + random() * 60;
    while (performance.now() < moment) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGKILL');
    await child.ended;
    child = await watching(t, broker, [folder], args);
    const fits = (canvas) => textOf(canvas) === words.join('') && canvas.nodes.length === round + 2;
    await untilCanvas(peer, 'plan', fits);
    await folder.until('plan', fits);
  }
  assert.deepEqual(folder.names(), ['plan.canvas']);
  assert.deepEqual(await ids(peer), ['plan']);
});
