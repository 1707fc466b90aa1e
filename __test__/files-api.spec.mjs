import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyCanvasChanges } from '@mind-git/mqtt-p2p';
import { embedded } from './helpers/broker.mjs';
import { REPOSITORY } from './helpers/two-peers.mjs';
import { bound, card, textOf, twoVaults, untilCanvas, vault } from './helpers/vault.mjs';

const node = (id) => ({ id, type: 'text', x: 0, y: 0, width: 1, height: 1, text: id });
const idsOf = ({ nodes }) => nodes.map(({ id }) => id).sort();

test('an application that passes back what it last had deletes nothing that came from the file', async (t) => {
  const broker = await embedded(t);
  const { one, other, ada } = await twoVaults(t, broker, { plan: card('one') });
  const object = await ada.getCanvas(REPOSITORY, 'plan');
  one.edit('plan', ({ nodes }) => nodes.push(node('of the file')));
  await untilCanvas(ada, 'plan', ({ nodes }) => nodes.length === 2);
  object.nodes.push(node('of the app'));
  await ada.updateCanvas(REPOSITORY, 'plan', object, 'app');
  const fits = (canvas) => idsOf(canvas).join() === 'a,of the app,of the file';
  await one.until('plan', fits);
  await other.until('plan', fits);
  object.nodes[0].color = '1';
  one.edit('plan', ({ nodes }) => {
    nodes[0].text = 'one two';
  });
  await untilCanvas(ada, 'plan', (canvas) => textOf(canvas) === 'one two');
  await ada.updateCanvas(REPOSITORY, 'plan', object, 'app');
  await other.until('plan', (canvas) => fits(canvas) && textOf(canvas) === 'one two' && canvas.nodes[0].color === '1');
});

test('a file deletes nothing that the application has made since', async (t) => {
  const broker = await embedded(t);
  const folder = vault(t, { plan: card('one') });
  const peer = await bound(t, broker, folder);
  const copy = folder.parsed('plan');
  await peer.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [node('of the app')] } }, 'app');
  await folder.until('plan', ({ nodes }) => nodes.length === 2);
  copy.nodes.push(node('of the file'));
  folder.save('plan', copy);
  await folder.until('plan', (canvas) => idsOf(canvas).join() === 'a,of the app,of the file');
  await peer.deleteCanvas(REPOSITORY, 'plan', 'app');
  await folder.untilGone('plan');
  folder.save('plan', card('again'));
  await untilCanvas(peer, 'plan', card('again'));
});

test('events say that a file brought it, and agree with what is read', async (t) => {
  const broker = await embedded(t);
  const folder = vault(t, { plan: card('one') });
  const peer = await bound(t, broker, folder);
  let canvas = await peer.getCanvas(REPOSITORY, 'plan');
  const origins = [];
  let wrong;
  peer.on('canvas-updated', (event) => {
    canvas = applyCanvasChanges(canvas, event.changes);
    origins.push(`${event.origin} ${event.author}`);
    if (event.version === undefined) wrong = event;
  });
  folder.edit('plan', ({ nodes }) => {
    nodes[0].text = 'one two';
    nodes.unshift(node('first'));
  });
  await untilCanvas(peer, 'plan', ({ nodes }) => nodes.length === 2);
  const edits = [];
  for (let n = 0; n < 20; n++) {
    edits.push(peer.patchCanvas(REPOSITORY, 'plan', { nodes: { upsert: [node(`n${n}`)] } }, 'app'));
    if (n % 5 === 0) {
      folder.edit('plan', ({ nodes }) => {
        nodes.find(({ id }) => id === 'a').y = n;
      });
    }
  }
  await Promise.all(edits);
  folder.edit('plan', ({ nodes }) => nodes.push(node('last')));
  await untilCanvas(peer, 'plan', ({ nodes }) => nodes.length === 23);
  await folder.until('plan', ({ nodes }) => nodes.length === 23);
  assert.deepEqual(canvas, await peer.getCanvas(REPOSITORY, 'plan'));
  assert.deepEqual(new Set(origins), new Set(['file ada', 'local app']));
  assert.equal(wrong, undefined);
});
