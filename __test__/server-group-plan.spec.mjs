import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { seededRandom } from './helpers/random.mjs';

const require = createRequire(import.meta.url);
const { decode, encode, Members, owners, plan } = require('../dist/cli/group-plan.js');

const REPOSITORIES = Array.from({ length: 60 }, (_, index) => `repository-${index}`);
const word = (able = REPOSITORIES, serving = [], heartbeatMs = 1000, replicas = 2) => ({
  heartbeatMs,
  replicas,
  able: new Set(able),
  serving: new Set(serving),
});
const group = (...names) => new Map(names.map((name) => [name, word()]));

describe('who serves what', () => {
  test('each repository has as many owners as it is to have, in any order of the members', () => {
    for (const name of REPOSITORIES) {
      const chosen = owners(name, group('a', 'b', 'c', 'd'), 2);
      assert.equal(new Set(chosen).size, 2);
      assert.deepEqual(owners(name, group('d', 'c', 'b', 'a'), 2), chosen);
      assert.equal(owners(name, group('a'), 2).length, 1);
      assert.equal(owners(name, group('a', 'b', 'c'), 9).length, 3);
    }
  });

  test('a member that goes moves only what it had, and the rest is spread', () => {
    const shares = new Map();
    for (const name of REPOSITORIES) {
      const before = owners(name, group('a', 'b', 'c', 'd'), 2);
      const after = owners(name, group('a', 'b', 'd'), 2);
      for (const owner of before) shares.set(owner, (shares.get(owner) ?? 0) + 1);
      assert.deepEqual(
        before.filter((owner) => owner !== 'c'),
        after.filter((owner) => before.includes(owner)),
      );
    }
    // 120 places among four: 30 each on average.
    for (const share of shares.values()) assert.ok(share > 15 && share < 45, `${[...shares]}`);
  });

  test('only members that can serve a repository are asked to', () => {
    const words = new Map([
      ['a', word(['x'])],
      ['b', word(['y'])],
    ]);
    assert.deepEqual(owners('x', words, 2), ['a']);
    assert.deepEqual(owners('z', words, 2), []);
  });

  test('what it is not to serve any more a member keeps until its owners serve it', () => {
    const words = group('a', 'b', 'c');
    const name = REPOSITORIES.find((each) => !owners(each, words, 2).includes('a'));
    words.set('a', word(REPOSITORIES, [name]));
    const held = new Set([name]);
    assert.deepEqual(plan('a', words, held).leave, []);
    words.set('b', word(REPOSITORIES, [name]));
    assert.deepEqual(plan('a', words, held).leave, []);
    words.set('c', word(REPOSITORIES, [name]));
    assert.deepEqual(plan('a', words, held).leave, [name]);
    words.set('b', word([]));
    assert.deepEqual(plan('a', words, held).leave, [], 'now it is an owner again');
  });

  test('a repository that nobody else can serve is kept, also by who is not to serve it', () => {
    const words = new Map([['a', word([], ['x'])]]);
    assert.deepEqual(plan('a', words, new Set(['x'])), { open: [], leave: [] });
  });

  for (let seed = 0; seed < 50; seed++) {
    test(`members come, go and are killed one at a time: each repository is served throughout (seed ${seed})`, () => {
      const random = seededRandom(seed);
      const held = new Map();
      const serving = new Map();
      const words = () => new Map([...held.keys()].map((member) => [member, word(REPOSITORIES, serving.get(member))]));
      // Members take their steps in a random order, and know of the others what they said in their last step.
      const settle = (known = words()) => {
        for (let idle = 0; idle < 40; ) {
          const member = [...held.keys()][Math.floor(random() * held.size)];
          known.set(member, word(REPOSITORIES, [...serving.get(member)]));
          const { open, leave } = plan(member, known, held.get(member));
          for (const name of open) held.get(member).add(name);
          const opened = [...held.get(member)].filter((name) => !serving.get(member).has(name));
          for (const name of opened) if (random() < 0.5) serving.get(member).add(name);
          for (const name of leave) {
            if (random() < 0.5) continue;
            held.get(member).delete(name);
            serving.get(member).delete(name);
          }
          assertServed();
          idle = open.length + opened.length + leave.length === 0 ? idle + 1 : 0;
        }
      };
      let begun = false;
      const assertServed = () => {
        if (!begun) return;
        for (const name of REPOSITORIES) {
          assert.ok(
            [...serving.values()].some((names) => names.has(name)),
            `${name} is served by nobody`,
          );
        }
      };
      const join = (member) => {
        held.set(member, new Set());
        serving.set(member, new Set());
      };
      for (const member of ['a', 'b', 'c']) join(member);
      settle();
      begun = true;
      for (let round = 0; round < 6; round++) {
        if (held.size > 2 && random() < 0.5) {
          const gone = [...held.keys()][Math.floor(random() * held.size)];
          held.delete(gone);
          serving.delete(gone);
          assertServed();
        } else {
          join(`m${round}`);
        }
        settle();
        for (const name of REPOSITORIES) {
          const members = [...held.keys()].filter((member) => held.get(member).has(name)).sort();
          assert.deepEqual(members, owners(name, words(), 2).sort());
        }
      }
    });
  }
});

describe('who is there', () => {
  test('a member counts as gone after three of its heartbeats, but not while nobody could be heard', () => {
    const members = new Members();
    assert.equal(members.said('a', word(), 0), true);
    assert.equal(members.said('a', word(), 1000), false);
    members.expire(4000);
    assert.equal(members.words.size, 1);
    members.heardAgain(9000);
    members.expire(12_000);
    assert.equal(members.words.size, 1);
    members.expire(12_001);
    assert.equal(members.words.size, 0);
  });

  test('whoever left is forgotten, and new when it comes back', () => {
    const members = new Members();
    members.said('a', word(), 0);
    members.left('a');
    assert.equal(members.words.size, 0);
    assert.equal(members.said('a', word(), 0), true);
  });

  test('a word survives the way', () => {
    const said = word(['x', 'y', 'z'], ['z', 'x']);
    assert.deepEqual(decode(JSON.parse(JSON.stringify(encode(said)))), said);
  });

  test('what is none is not taken for one', () => {
    const good = { version: 1, heartbeatMs: 1, replicas: 1, able: ['x'], serving: [0] };
    assert.ok(decode({ serverGroup: good }));
    for (const wrong of [
      null,
      'x',
      {},
      { serverGroup: null },
      ...Object.entries({
        version: 2,
        heartbeatMs: -1,
        replicas: 'two',
        able: [1],
        serving: [1],
      }).map(([field, value]) => ({ serverGroup: { ...good, [field]: value } })),
      { serverGroup: { ...good, serving: ['length'] } },
      { serverGroup: { ...good, serving: 0 } },
    ]) {
      assert.equal(decode(wrong), undefined, JSON.stringify(wrong));
    }
  });
});
