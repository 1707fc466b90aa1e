import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { REPOSITORY, untilListed } from './helpers/two-peers.mjs';
import { bound, card, textOf, twoVaults, untilCanvas, vault } from './helpers/vault.mjs';
import { until } from './helpers/wait.mjs';

const node = (id) => ({ id, type: 'text', x: 0, y: 0, width: 1, height: 1, text: id });
const idsOf = ({ nodes }) => nodes.map(({ id }) => id);

describe('a save of an old copy', { concurrency: true }, () => {
  test('within the window takes nothing back that came meanwhile', async (t) => {
    const { one, other, ben } = await twoVaults(t, await embedded(t), { plan: card('one') });
    const copy = other.parsed('plan');
    one.edit('plan', ({ nodes }) => nodes.push(node('b')));
    await other.until('plan', (canvas) => idsOf(canvas).length === 2);
    one.edit('plan', ({ nodes }) => nodes.push(node('c')));
    await other.until('plan', (canvas) => idsOf(canvas).length === 3);
    copy.nodes[0].color = '1';
    copy.nodes.push(node('mine'));
    other.save('plan', copy);
    const fits = (canvas) => idsOf(canvas).sort().join() === 'a,b,c,mine' && canvas.nodes[0].color === '1';
    await one.until('plan', fits);
    await other.until('plan', fits);
    assert.deepEqual(ben.of('conflict'), []);
  });

  test('outside the window is an edit, says what it overwrote, and history has it', async (t) => {
    const options = { folder: { staleWindowMs: 0 } };
    const { one, other, ben } = await twoVaults(t, await embedded(t), { plan: card('one') }, options);
    const copy = other.parsed('plan');
    one.edit('plan', ({ nodes }) => {
      nodes[0].text = 'one two';
      nodes.push(node('b'));
    });
    await other.until('plan', (canvas) => idsOf(canvas).length === 2);
    copy.nodes[0].color = '1';
    other.save('plan', copy);
    await one.until('plan', (canvas) => idsOf(canvas).join() === 'a' && canvas.nodes[0].color === '1');
    await until(() => ben.of('conflict').length === 2, 'both losses are told');
    const lost = ben.of('conflict').map(({ id, property }) => `${id}.${property}`);
    assert.deepEqual(lost.sort(), ['a.text', 'b.id']);
    const [{ version, path, canvasId }] = ben.of('conflict');
    assert.deepEqual([path, canvasId], [other.file('plan'), 'plan']);
    const before = await ben.getCanvas(REPOSITORY, 'plan', { at: version });
    assert.deepEqual([idsOf(before), textOf(before)], [['a', 'b'], 'one two']);
  });

  test('an undo by hand is an edit, also within the window', async (t) => {
    const { one, other } = await twoVaults(t, await embedded(t), { plan: smallCanvas() });
    one.edit('plan', ({ nodes }) => {
      nodes[0].x = 50;
      nodes.push(node('c'));
    });
    await other.until('plan', (canvas) => idsOf(canvas).length === 3);
    other.edit('plan', ({ nodes }) => {
      nodes.splice(1, 1);
    });
    await one.until('plan', (canvas) => idsOf(canvas).join() === 'a,c');
  });
});

describe('a file that is being written', { concurrency: true }, () => {
  test('in two parts is taken up when it is whole, and others go on meanwhile', async (t) => {
    const { one, other, ada } = await twoVaults(t, await embedded(t), { plan: card('one') });
    await one.saveInParts('plan', { ...card('one two'), nodes: [...card('one two').nodes, node('b')] }, async () => {
      other.edit('plan', ({ nodes }) => {
        nodes[0].x = 9;
      });
      await untilCanvas(ada, 'plan', ({ nodes }) => nodes[0].x === 9);
    });
    const fits = (canvas) => textOf(canvas) === 'one two' && idsOf(canvas).length === 2 && canvas.nodes[0].x === 9;
    await one.until('plan', fits);
    await other.until('plan', fits);
    assert.deepEqual(ada.of('error'), []);
    assert.deepEqual([one.names(), other.names()], [['plan.canvas'], ['plan.canvas']]);
  });

  test('beside the file and moved into place is one edit', async (t) => {
    const { one, other, ada } = await twoVaults(t, await embedded(t), { plan: card('one') });
    for (const text of ['two', 'three', 'four']) {
      one.replace('plan', card(text));
      await other.until('plan', card(text));
    }
    assert.equal(ada.of('canvas-updated').length, 3);
    assert.deepEqual(ada.of('canvas-deleted'), []);
  });

  test('removed and written anew at once is an edit', async (t) => {
    const { one, other, ada } = await twoVaults(t, await embedded(t), { plan: card('one'), x: card('x') });
    for (let n = 1; n <= 5; n++) {
      rmSync(one.file('plan'));
      one.save('plan', card(`text ${n}`));
    }
    await other.until('plan', card('text 5'));
    assert.equal(await ada.getCanvas(REPOSITORY, 'plan').then(textOf), 'text 5');
  });
});

describe('a file that cannot be read', { concurrency: true }, () => {
  const broken = [
    ['half written', '{\n\t"nodes": [\n\t\t{"id": "a"', { line: 3 }],
    ['with a conflict marker', '{\n"nodes": [\n<<<<<<< HEAD\n]}', { line: 3, column: 1 }],
    ['empty', '', { line: 1, column: 1 }],
    ['no canvas', '[]', {}],
    ['not UTF-8', Buffer.from([0x7b, 0x0a, 0xff]), { line: 2, column: 1 }],
    ['with one id twice', JSON.stringify({ nodes: [node('a'), node('a')] }), {}],
  ];
  for (const [what, text, place] of broken) {
    test(`${what}: is left alone, told once, and taken up when it can be read`, async (t) => {
      const { one, other, ada, ben } = await twoVaults(t, await embedded(t), { plan: card('one'), last: card('') });
      writeFileSync(one.file('plan'), text);
      const error = await ada.untilSeen('error');
      assert.equal(error.path, one.file('plan'));
      assert.deepEqual(
        { line: error.line, column: error.column, ...place },
        { line: error.line, column: error.column },
      );
      // What others do meanwhile does not touch it.
      other.edit('plan', ({ nodes }) => {
        nodes[0].x = 9;
      });
      await untilCanvas(ada, 'plan', ({ nodes }) => nodes[0].x === 9);
      other.edit('last', ({ nodes }) => {
        nodes[0].text = 'after';
      });
      await one.until('last', (canvas) => textOf(canvas) === 'after');
      assert.equal(one.read('plan'), text.toString());
      assert.equal(ada.of('error').length, 1);
      one.save('plan', card('one two'));
      const fits = (canvas) => textOf(canvas) === 'one two' && canvas.nodes[0].x === 9;
      await other.until('plan', fits);
      await one.until('plan', fits);
      assert.deepEqual(ben.of('error'), []);
    });
  }

  test('at the start: is no canvas until it can be read', async (t) => {
    const folder = vault(t, { plan: '{"nodes": [' });
    const peer = await bound(t, await embedded(t), folder);
    const error = await peer.untilSeen('error');
    assert.equal(error.code, 'ERR_CANVAS_INVALID');
    assert.deepEqual(await peer.listCanvases(REPOSITORY), []);
    folder.save('plan', card('one'));
    await untilListed(peer, 'plan');
  });
});
