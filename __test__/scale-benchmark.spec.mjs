import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { chart } from '../benchmark/scale/chart.mjs';
import { SCENARIOS } from '../benchmark/scale/scenarios.mjs';
import { mosquittoTest } from './helpers/broker.mjs';

/** Figures that may be nothing where hardly anything happens, or where the system does not tell. */
const MAY_BE_NOTHING = /CPU|MiB|KiB| s$|ms$/;

describe('what docs/scaling.md shows is measured by programs that run', () => {
  for (const [name, { run, sizes, title }] of Object.entries(SCENARIOS)) {
    mosquittoTest(name, async () => {
      const figures = await run(sizes.tiny);
      for (const [figure, value] of Object.entries(figures)) {
        assert.ok(Number.isFinite(value), `${figure}: ${value}`);
        assert.ok(value > 0 || MAY_BE_NOTHING.test(figure), `${figure}: ${value}`);
      }
      const picture = chart({ [name]: { title, tenth: { figures }, full: { figures } } });
      assert.ok(picture.includes(title));
    });
  }
});
