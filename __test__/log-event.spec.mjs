import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eachBroker } from './helpers/broker.mjs';
import { freePort } from './helpers/ports.mjs';
import { runNode } from './helpers/processes.mjs';
import { newPeer } from './helpers/two-peers.mjs';
import { nextEvent } from './helpers/wait.mjs';

/** A process that connects and leaves, and prints the logs that it heard while it listened. */
const PROGRAM = `
  import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';
  const service = new MQTTIntegrationService({ broker: JSON.parse(process.argv[1]), repositories: ['team'] });
  const heard = [];
  const listener = (event) => heard.push(event);
  if (process.argv[2] !== 'deaf') service.on('log', listener);
  await service.initialize();
  await service.createCanvas('team', 'plan', { nodes: [{ id: 'a' }] }, 'Ada');
  service.off('log', listener);
  const before = heard.length;
  await service.disconnect();
  console.log(JSON.stringify({ heard, after: heard.length - before }));
`;

async function logs(broker, env, ...args) {
  const all = ['--input-type=module', '-e', PROGRAM, '--', JSON.stringify(broker), ...args];
  const { code, stdout, stderr } = await runNode(all, { env });
  assert.equal(code, 0, stderr);
  return { ...JSON.parse(stdout), stderr };
}

eachBroker('what DEBUG names comes as log events too, while somebody listens', async (_, broker) => {
  const { heard, after, stderr } = await logs(broker, { DEBUG: 'mqtt:*,-mqtt:net' });
  assert.ok(heard.length > 3 && stderr.includes('DEBUG mqtt'));
  assert.equal(after, 0);
  for (const { time, level, target, message, fields } of heard) {
    assert.ok(Math.abs(Date.now() - time) < 600_000);
    assert.ok(['error', 'warn', 'info', 'debug'].includes(level));
    assert.match(target, /^mqtt(:(?!net)|$)/);
    assert.equal(typeof message, 'string');
    assert.equal(typeof fields, 'object');
  }
  assert.ok(heard.some(({ fields }) => typeof fields.bytes === 'number' && typeof fields.topic === 'string'));
});

eachBroker('without DEBUG only warnings and errors come, and nothing is on standard error', async (_, broker) => {
  const { heard, stderr } = await logs(broker, {});
  assert.ok(heard.every(({ level }) => level === 'warn' || level === 'error'));
  assert.equal(stderr, '');
});

test('a warning is heard without DEBUG', async (t) => {
  const peer = newPeer(t, { host: '127.0.0.1', port: await freePort() }, { offline: 'allow' });
  const warned = nextEvent(peer, 'log');
  await peer.initialize();
  const { level, target, message, fields } = await warned;
  assert.deepEqual([level, target, message], ['warn', 'mqtt', 'not connected']);
  assert.match(fields.reason, /refused/);
});
