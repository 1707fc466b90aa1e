import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectAsync } from 'mqtt';
import { eachBroker, mosquitto, mosquittoTest } from './helpers/broker.mjs';
import { roadmap } from './helpers/canvases.mjs';
import { runNode } from './helpers/processes.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, onePeer, REPOSITORY } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

/** The topics of which the broker keeps a message, once it keeps what fits. */
async function keptTopics(t, broker, fits) {
  const client = await connectAsync(`mqtt://${broker.host}:${broker.port}`, { protocolVersion: 4 });
  scoped(t).defer(() => client.endAsync());
  const kept = new Set();
  client.on('message', (topic, payload, { retain }) => {
    if (payload.length === 0) kept.delete(topic);
    else if (retain) kept.add(topic);
  });
  await client.subscribeAsync('mind-git/#');
  return until(() => fits([...kept]) && [...kept], 'the broker keeps what it should');
}

const ofCanvas = (topic) => topic.includes(`/${REPOSITORY}/canvas/`);
const isManifest = (topic) => topic.includes('/heads/');

eachBroker('a canvas, and what others changed in it, reaches who comes when all are gone', async (t, broker) => {
  const ada = await onePeer(t, broker);
  await ada.createCanvas(REPOSITORY, CANVAS, roadmap(), 'ada');
  await ada.disconnect();

  const ben = await onePeer(t, broker);
  const created = [];
  ben.on('canvas-created', (event) => created.push(event));
  const report = await ben.syncRepository(REPOSITORY);
  assert.equal(report.answered, true);
  assert.ok(report.changesReceived > 0);
  assert.deepEqual(
    created.map(({ canvasId, origin }) => [canvasId, origin]),
    [[CANVAS, 'remote']],
  );
  const { id } = roadmap().nodes[0];
  await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id, x: 12_345 }] } }, 'ben');
  const expected = await ben.getCanvas(REPOSITORY, CANVAS);
  assert.equal(expected.nodes.length, 187);
  await ben.disconnect();

  const cleo = await onePeer(t, broker);
  await cleo.enableRealTimeCollaboration(REPOSITORY, CANVAS);
  assert.deepEqual(await cleo.getCanvas(REPOSITORY, CANVAS), expected);
  // Ben's snapshot has taken the place of Ada's.
  await keptTopics(t, broker, (topics) => topics.filter(ofCanvas).filter(isManifest).length === 1);
});

eachBroker('a canvas in many small parts', async (t, broker) => {
  const performance = { maxMessageSize: 4096 };
  const ada = await onePeer(t, broker, { performance });
  await ada.createCanvas(REPOSITORY, CANVAS, roadmap(), 'ada');
  const made = await ada.getCanvas(REPOSITORY, CANVAS);
  await ada.disconnect();
  await keptTopics(t, broker, (topics) => topics.filter(ofCanvas).length > 5);
  const ben = await onePeer(t, broker, { performance });
  assert.equal((await ben.syncRepository(REPOSITORY)).answered, true);
  assert.deepEqual(await ben.getCanvas(REPOSITORY, CANVAS), made);
});

eachBroker('of a deleted canvas the broker keeps nothing', async (t, broker) => {
  const ada = await onePeer(t, broker);
  await ada.createCanvas(REPOSITORY, CANVAS, roadmap(), 'ada');
  await ada.disconnect();
  const ben = await onePeer(t, broker);
  await ben.syncRepository(REPOSITORY);
  await ben.deleteCanvas(REPOSITORY, CANVAS, 'ben');
  await ben.disconnect();
  const kept = await keptTopics(t, broker, (topics) => topics.some(isManifest) && !topics.some(ofCanvas));
  assert.ok(kept.length > 0);
  const cleo = await onePeer(t, broker);
  assert.equal((await cleo.syncRepository(REPOSITORY)).answered, true);
  assert.deepEqual(await cleo.listCanvases(REPOSITORY), []);
});

describe('demo:late-joiner', () => {
  const demo = (...args) => runNode(['dist/mqtt-cli.js', 'demo-late-joiner', '--json', ...args]);

  test('with the embedded broker', async () => {
    const { code, stdout, stderr } = await demo();
    assert.equal(code, 0, stderr);
    const { equal, peers, bytesReceived } = JSON.parse(stdout);
    assert.deepEqual([equal.nodes, peers], [1000, 0]);
    assert.ok(bytesReceived > 1000);
  });

  mosquittoTest('with a broker of which it leaves no canvas', async (t) => {
    const broker = await mosquitto(t);
    for (const nodes of ['10', '2000']) {
      const { code, stderr } = await demo('--broker', `mqtt://${broker.host}:${broker.port}`, '--nodes', nodes);
      assert.equal(code, 0, stderr);
    }
    await keptTopics(t, broker, (topics) => topics.length > 0 && !topics.some((topic) => topic.includes('/canvas/')));
  });
});
