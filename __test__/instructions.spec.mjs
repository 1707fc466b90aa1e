import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { accept, compare, incomparable } from '../scripts/instructions.mjs';

const MACHINE = { rustc: '1.0.0', target: 'a-b-c', cpu: 'fast' };
const baseline = {
  ...MACHINE,
  operations: { edit: { instructions: 1000, reason: 'first' }, load: { instructions: 5000, reason: 'first' } },
};
const now = (operations) => ({ ...MACHINE, operations });

test('an operation that takes over a tenth more than the baseline has grown, and so has one that it lacks', () => {
  const rows = compare(baseline, now({ edit: 1101, load: 5500, verify: 1 }));
  assert.deepEqual(
    rows.map(({ name, grown }) => [name, grown]),
    [
      ['edit', true],
      ['load', false],
      ['verify', true],
    ],
  );
  assert.ok(compare(baseline, now({ edit: 10, load: 10 })).every(({ grown }) => !grown));
});

test('accepting writes the reason to what changed, and to all when the compiler did', () => {
  const counted = now({ edit: 2000, load: 5001 });
  const accepted = accept(baseline, counted, 'it signs twice');
  assert.deepEqual(accepted.operations, {
    edit: { instructions: 2000, reason: 'it signs twice' },
    load: { instructions: 5000, reason: 'first' },
  });
  const anew = accept(baseline, { ...counted, rustc: '1.1.0' }, 'a new compiler');
  assert.deepEqual(anew.operations.load, { instructions: 5001, reason: 'a new compiler' });
  assert.equal(anew.rustc, '1.1.0');
});

test('counts of another platform or processor are not compared', () => {
  assert.equal(incomparable(baseline, now({})), undefined);
  assert.match(incomparable(baseline, { ...now({}), target: 'x-y-z' }), /a-b-c.+x-y-z/);
  assert.match(incomparable(baseline, { ...now({}), cpu: '' }), /fast/);
});

test('each operation of the committed baseline has its count and a reason', () => {
  const { operations } = JSON.parse(readFileSync(new URL('../benches/instructions.json', import.meta.url), 'utf8'));
  assert.deepEqual(Object.keys(operations), ['edit', 'encode', 'verify', 'apply', 'diff', 'load']);
  for (const { instructions, reason } of Object.values(operations)) {
    assert.ok(Number.isInteger(instructions) && instructions > 0);
    assert.ok(reason.trim());
  }
});
