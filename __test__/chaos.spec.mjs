import assert from 'node:assert/strict';
import { chaos, outcome } from './chaos/chaos.mjs';
import { mosquittoTest } from './helpers/broker.mjs';

const KILLS = 200;

mosquittoTest(
  `${KILLS} kills of peers, and kills of the broker: no acknowledged edit is lost, all end equal`,
  async (t) => {
    const result = await chaos({ kills: KILLS, seed: process.env.CHAOS_SEED ?? Date.now() });
    for (const line of outcome(result)) t.diagnostic(line);
    const again = `npm run test:chaos -- --kills ${KILLS} --seed ${result.seed}`;
    assert.deepEqual(result.lost, [], again);
    assert.deepEqual(result.divergent, [], again);
    assert.ok(result.kills >= KILLS);
    assert.ok(result.brokerKills > 0 && result.departures > 0 && result.acknowledged > 0);
  },
);
