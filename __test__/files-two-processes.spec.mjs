// The rules of docs/files.md between two processes that watch a folder each; the other specs have more of each.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { card, textOf, vault } from './helpers/vault.mjs';
import { watching } from './helpers/watching.mjs';
import { clones } from './helpers/work-trees.mjs';

const NOTE = { id: 'b', type: 'text', x: 0, y: 90, width: 9, height: 9, text: 'note' };
const nodeOf = (canvas, id) => canvas.nodes.find((node) => node.id === id);

/** Two folders with the given canvases, each watched by a process of its own. */
async function setUp(t, canvases) {
  const broker = await embedded(t);
  const [one, other] = [vault(t, canvases), vault(t)];
  const first = await watching(t, broker, [one]);
  const second = await watching(t, broker, [other]);
  for (const id of Object.keys(canvases)) await other.until(id, one.parsed(id));
  return { one, other, first, second };
}

test('a save of an old copy takes nothing back', async (t) => {
  const { one, other } = await setUp(t, { plan: card('the cat') });
  const old = other.parsed('plan');
  one.edit('plan', ({ nodes }) => nodes.push(NOTE));
  await other.until('plan', (canvas) => nodeOf(canvas, 'b'));
  old.nodes[0].x = 77;
  other.save('plan', old);
  const both = (canvas) => nodeOf(canvas, 'a').x === 77 && nodeOf(canvas, 'b')?.text === 'note';
  await one.until('plan', both);
  await other.until('plan', both);
});

test('a broken file is left alone and told of, and is taken up when it is mended', async (t) => {
  const { one, other, second } = await setUp(t, { plan: card('the cat') });
  other.save('plan', '{\n"nodes": [ }');
  const { line, path } = await second.untilSaid('error');
  assert.deepEqual([line, path.endsWith('plan.canvas')], [2, true]);
  one.edit('plan', ({ nodes }) => {
    nodes[0].color = '4';
  });
  // What comes after it has come, so that this was there before.
  one.save('later', card('later'));
  await other.until('later', card('later'));
  assert.equal(other.read('plan'), '{\n"nodes": [ }');
  other.save('plan', card('the big cat'));
  const both = (canvas) => textOf(canvas) === 'the big cat' && nodeOf(canvas, 'a').color === '4';
  await one.until('plan', both);
  await other.until('plan', both);
});

test('a folder that has lost all its files deletes nothing', async (t) => {
  const { one, other, second } = await setUp(t, { plan: card('plan'), two: card('two') });
  const kept = ['plan', 'two'].map((id) => [id, other.read(id)]);
  for (const [id] of kept) other.remove(id);
  assert.equal((await second.untilSaid('files-paused')).reason, 'folder');
  one.save('plan', card('plan, edited'));
  for (const [id, text] of kept) other.save(id, text);
  await second.untilSaid('files-resumed');
  await other.until('plan', card('plan, edited'));
  assert.deepEqual(one.names(), ['plan.canvas', 'two.canvas']);
});

test('a clone that was edited before its first contact adds its edits; another branch is nobody’s', async (t) => {
  const broker = await embedded(t);
  const [one, other] = clones(t, 2, { plan: card('the cat sat') });
  await watching(t, broker, [one]);
  one.edit('plan', ({ nodes }) => {
    nodes[0].text = 'the cat sat down';
  });
  other.edit('plan', ({ nodes }) => {
    nodes[0].text = 'the big cat sat';
  });
  const second = await watching(t, broker, [other]);
  const text = (wanted) => (canvas) => textOf(canvas) === wanted;
  for (const folder of [one, other]) await folder.until('plan', text('the big cat sat down'));
  other.commit('what is live');
  other.git('checkout', '--quiet', '-b', 'side');
  await second.untilSaid('files-paused');
  other.edit('plan', ({ nodes }) => {
    nodes[0].text = 'another branch';
  });
  other.commit('side');
  one.edit('plan', ({ nodes }) => {
    nodes[0].color = '4';
  });
  other.git('checkout', '--quiet', 'main');
  await other.until('plan', (canvas) => nodeOf(canvas, 'a').color === '4');
  for (const folder of [one, other]) assert.equal(textOf(folder.parsed('plan')), 'the big cat sat down');
});
