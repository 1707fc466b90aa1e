import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBroker } from '@mind-git/mqtt-p2p';
import { answers } from './helpers/ports.mjs';
import { runNode } from './helpers/processes.mjs';
import { rejectsWith } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

test('a broker takes a free port, says which, and gives it back', async () => {
  const broker = await startBroker();
  assert.equal(broker.host, '127.0.0.1');
  assert.ok(broker.port > 0);
  assert.equal(broker.url, `mqtt://127.0.0.1:${broker.port}`);
  assert.ok(await answers(broker.port));
  await Promise.all([broker.stop(), broker.stop()]);
  await until(async () => !(await answers(broker.port)), 'the port is free');
  const again = await startBroker({ port: broker.port });
  assert.equal(again.port, broker.port);
  await again.stop();
});

test('a port that is taken is an error', async (t) => {
  const broker = await startBroker();
  t.after(() => broker.stop());
  await rejectsWith(startBroker({ port: broker.port }), 'ERR_CONFIG_INVALID', new RegExp(`${broker.port}`));
});

test('wrong options are an error', async () => {
  for (const options of [{ port: -1 }, { port: 'x' }, { host: 7 }, { hots: '127.0.0.1' }]) {
    await rejectsWith(startBroker(options), 'ERR_CONFIG_INVALID');
  }
});

test('a broker that is stopped while clients send says nothing about it', async () => {
  const program = `
    import { startBroker } from '@mind-git/mqtt-p2p';
    import { connectAsync } from 'mqtt';
    for (let round = 0; round < 5; round++) {
      const broker = await startBroker();
      const client = () => connectAsync(broker.url, { protocolVersion: 4, reconnectPeriod: 0 });
      const clients = await Promise.all([client(), client(), client()]);
      for (const client of clients) await client.on('error', () => {}).subscribeAsync('busy');
      for (let n = 0; n < 3000; n++) for (const client of clients) client.publish('busy', 'x');
      await new Promise((resolve) => clients[0].once('message', resolve));
      await broker.stop();
      for (const client of clients) client.end(true);
    }`;
  const { code, stderr } = await runNode(['--input-type=module', '-e', program]);
  assert.deepEqual([code, stderr], [0, '']);
});
