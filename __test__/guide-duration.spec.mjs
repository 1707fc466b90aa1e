// The guide's longest command line takes the five minutes that it names, so it has a spec, and a broker, beside others.
import assert from 'node:assert/strict';
import { mosquitto, mosquittoTest } from './helpers/broker.mjs';
import { runNode } from './helpers/processes.mjs';
import { assertVerdict } from './helpers/verdict.mjs';

const FIGURES = ['connecting', 'discovery', 'message latency', 'messages', 'sync after a cut', 'merging conflicts'];

mosquittoTest('test --duration 5, to its end', async (t) => {
  const broker = await mosquitto(t);
  const env = { MQTT_BROKER_PORT: String(broker.port) };
  const tested = await runNode(['dist/mqtt-cli.js', 'test', '--duration', '5'], { env, deadlineMs: 480_000 });
  assert.match(tested.stderr, new RegExp(`^broker mqtt://\\S+:${broker.port}$`, 'm'));
  for (const figure of FIGURES) {
    assert.match(tested.stdout, new RegExp(`^[✓✗] ${figure}.* at (most|least) `, 'm'), tested.stdout + tested.stderr);
  }
  assertVerdict(tested);
});
