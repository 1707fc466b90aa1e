import { test } from 'node:test';
import { startBroker } from '@mind-git/mqtt-p2p';
import { MOSQUITTO, startMosquitto } from './mosquitto.mjs';
import { scoped } from './teardown.mjs';

/** Registers a test that needs Mosquitto. Without one it fails where CI is set, and is skipped with a word elsewhere. */
export function mosquittoTest(name, body) {
  const skip = !MOSQUITTO && !process.env.CI && 'Mosquitto is not installed: apt-get install mosquitto';
  test(name, { skip }, body);
}

/** Registers a test twice: with the embedded broker and with Mosquitto. `body(t, broker)`. */
export function eachBroker(name, body) {
  test(`${name} (embedded broker)`, async (t) => body(t, await embedded(t)));
  mosquittoTest(`${name} (Mosquitto)`, async (t) => body(t, await mosquitto(t)));
}

/** An embedded broker on a given or a free port, stopped after the test. */
export async function embedded(t, port = 0) {
  const broker = await startBroker({ port });
  scoped(t).defer(() => broker.stop());
  return { host: broker.host, port: broker.port };
}

/** Mosquitto on a given or a free port, stopped after the test; see `startMosquitto`. */
export async function mosquitto(t, lines, files, port) {
  const broker = await startMosquitto(lines, files, port);
  scoped(t).defer(() => broker.stop());
  return { host: broker.host, port: broker.port };
}
