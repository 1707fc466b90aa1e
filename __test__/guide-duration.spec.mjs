// The guide's longest command line takes the five minutes that it names, so it has a spec, and processor, beside others.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runNode } from './helpers/processes.mjs';
import { assertVerdict } from './helpers/verdict.mjs';

test('test --duration 5, without a broker, to its end', async () => {
  const tested = await runNode(['dist/mqtt-cli.js', 'test', '--duration', '5'], { deadlineMs: 480_000 });
  assert.match(tested.stdout, /\(embedded\)/);
  for (const figure of [
    'connecting',
    'discovery',
    'message latency',
    'messages',
    'sync after a cut',
    'merging conflicts',
  ]) {
    assert.match(tested.stdout, new RegExp(`^[✓✗] ${figure}.* at (most|least) `, 'm'), tested.stdout + tested.stderr);
  }
  assertVerdict(tested);
});
