import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applyCanvasChanges } from '@mind-git/mqtt-p2p';

const canvas = () => ({
  nodes: [{ id: 'a', x: 1, color: '1' }, { id: 'b' }, { id: 'c' }],
  edges: [{ id: 'e', fromNode: 'a', toNode: 'b' }],
  title: 'old',
  gone: true,
});

/** Keeps a canvas from being changed in place. */
function deepFreeze(value) {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}

/** Pseudo-random numbers below a bound (mulberry32), so that a failure can be replayed from its seed. */
function randomFrom(seed) {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

describe('applyCanvasChanges()', () => {
  test('adds, updates, removes and moves, and leaves its input as it is', () => {
    const before = deepFreeze(canvas());
    const after = applyCanvasChanges(
      before,
      deepFreeze({
        nodes: {
          added: [{ id: 'd', x: 4 }],
          updated: [{ id: 'a', set: { x: 2, y: 3 }, removed: ['color'] }],
          removed: ['b'],
          order: [
            { id: 'd', after: null },
            { id: 'a', after: 'c' },
          ],
        },
        edges: { removed: ['e'] },
        properties: { set: { title: 'new' }, removed: ['gone'] },
      }),
    );
    assert.deepEqual(after, {
      nodes: [{ id: 'd', x: 4 }, { id: 'c' }, { id: 'a', x: 2, y: 3 }],
      edges: [],
      title: 'new',
    });
    assert.deepEqual(before, canvas());
  });

  test('no changes give an equal canvas, with both arrays', () => {
    assert.deepEqual(applyCanvasChanges(canvas(), {}), canvas());
    assert.deepEqual(applyCanvasChanges({}, {}), { nodes: [], edges: [] });
  });

  test('what is not here is skipped; what follows it goes to the end', () => {
    const changes = {
      nodes: {
        updated: [{ id: 'x', set: { y: 1 } }],
        removed: ['x'],
        order: [
          { id: 'a', after: 'x' },
          { id: 'y', after: 'a' },
        ],
      },
    };
    const after = applyCanvasChanges(canvas(), changes);
    assert.deepEqual(
      after.nodes.map(({ id }) => id),
      ['b', 'c', 'a'],
    );
  });

  test('names such as __proto__ are data and touch no prototype', () => {
    const changes = JSON.parse(`{
      "nodes": { "added": [{ "id": "__proto__", "__proto__": 1 }],
                 "updated": [{ "id": "a", "set": { "__proto__": { "polluted": true }, "constructor": 2 } }],
                 "order": [{ "id": "__proto__", "after": "c" }] },
      "properties": { "set": { "__proto__": { "polluted": true } } } }`);
    const after = applyCanvasChanges(canvas(), changes);
    for (const object of [after, after.nodes[0], after.nodes[3], {}]) {
      assert.equal(Object.getPrototypeOf(object), Object.prototype);
      assert.equal(object.polluted, undefined);
    }
    assert.deepEqual(Object.getOwnPropertyDescriptor(after.nodes[0], '__proto__').value, { polluted: true });
    assert.deepEqual(Object.getOwnPropertyDescriptor(after, '__proto__').value, { polluted: true });
    assert.equal(after.nodes[0].constructor, 2);
    assert.equal(Object.getOwnPropertyDescriptor(after.nodes[3], '__proto__').value, 1);

    const without = applyCanvasChanges(
      after,
      JSON.parse(`{
      "nodes": { "updated": [{ "id": "a", "removed": ["__proto__", "constructor"] }], "removed": ["__proto__"] },
      "properties": { "removed": ["__proto__"] } }`),
    );
    assert.deepEqual(without, canvas());
  });

  test('gives any order from any order (random permutations)', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = randomFrom(seed);
      const shuffled = (list) =>
        list
          .map((id) => [random(1000), id])
          .sort((a, b) => a[0] - b[0])
          .map(([, id]) => id);
      const before = shuffled(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']).slice(0, random(9));
      const after = shuffled(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']).slice(0, random(11));
      // Moving everything is the largest change; what is in place already may be left out.
      const kept = longestCommonRun(before, after);
      const order = after.map((id, index) => ({ id, after: index === 0 ? null : after[index - 1] }));
      const changes = {
        nodes: {
          added: after.filter((id) => !before.includes(id)).map((id) => ({ id })),
          removed: before.filter((id) => !after.includes(id)),
          order: order.filter(({ id }) => !kept.includes(id)),
        },
      };
      const result = applyCanvasChanges({ nodes: before.map((id) => ({ id })) }, changes);
      assert.deepEqual(
        result.nodes.map(({ id }) => id),
        after,
        `seed ${seed}`,
      );
    }
  });
});

/** Ids that are in both lists in the same order: greedy, so not always the most. */
function longestCommonRun(before, after) {
  let from = 0;
  return after.filter((id) => {
    const index = before.indexOf(id, from);
    if (index >= 0) from = index + 1;
    return index >= 0;
  });
}
