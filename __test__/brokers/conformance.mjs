import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BROKERS, skipWithout } from '../helpers/all-brokers.mjs';
import { ROOT } from '../helpers/processes.mjs';
import { MQTT_CASES } from './mqtt-cases.mjs';
import { PEER_CASES } from './peer-cases.mjs';

/**
 * Runs all cases on one broker, with the configuration of `deploy/`: each must come out as `docs/brokers.md` says in the column of that
 * broker. One broker serves them all, as it would in use.
 */
export function conformance(name) {
  describe(`${name} does what docs/brokers.md says`, { skip: skipWithout(name) }, () => {
    const said = table(name);
    let broker;
    before(async () => {
      broker = await BROKERS[name].start();
    });
    after(() => broker?.stop());

    for (const [title, run] of [...MQTT_CASES, ...PEER_CASES]) {
      test(title, async (t) => {
        assert.equal(
          await run(t, broker),
          said.get(title),
          `${title}, on ${name}: seen, and what docs/brokers.md says`,
        );
      });
    }

    test('the table has no other rows', () => {
      const titles = [...MQTT_CASES, ...PEER_CASES].map(([title]) => title);
      assert.deepEqual([...said.keys()].sort(), titles.sort());
    });
  });
}

/** What the table of `docs/brokers.md` says of one broker: by the first cell of each row. */
function table(name) {
  const text = readFileSync(join(ROOT, 'docs/brokers.md'), 'utf8').split('\n## What each was seen to do\n')[1];
  const rows = text
    .split('\n## ')[0]
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const column = rows[0].indexOf(name);
  assert.ok(column > 0, `docs/brokers.md has a column ${name}`);
  return new Map(
    rows
      .filter((cells) => !/^-*$/.test(cells[0]))
      .slice(1)
      .map((cells) => [cells[0], cells[column]]),
  );
}
