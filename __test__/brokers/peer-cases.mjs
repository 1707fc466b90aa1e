// What peers can do through a broker. Each case gives what docs/brokers.md says of the broker. Cases share a broker, so each has a
// topic prefix of its own.
import assert from 'node:assert/strict';
import { nodeOf, roadmap, smallCanvas } from '../helpers/canvases.mjs';
import { cli, urlOf } from '../helpers/cli.mjs';
import { mqttClient } from '../helpers/mqtt-client.mjs';
import { startEditor } from '../helpers/processes.mjs';
import { cable } from '../helpers/proxy.mjs';
import { seededRandom } from '../helpers/random.mjs';
import { CANVAS, onePeer, REPOSITORY, twoPeers, untilEqual, untilListed } from '../helpers/two-peers.mjs';
import { nextEvent, until } from '../helpers/wait.mjs';

const move = (x, id = 'a') => ({ nodes: { upsert: [{ id, x }] } });

/** What is wrong, and that it is said what to do about it. */
async function isHealthy(_, broker) {
  const { stdout } = await cli(['health', '--broker', urlOf(broker), '--json']);
  const { healthy, checks } = JSON.parse(stdout);
  const wrong = checks.filter(({ ok }) => !ok);
  for (const { name, remedy } of wrong) if (name === 'retained messages') assert.match(remedy, /mqtt-p2p server/);
  return healthy ? 'healthy' : wrong.map(({ name }) => name).join(', ');
}

async function twoEdit(t, broker) {
  const { ada, ben } = await twoPeers(t, broker, roadmap(), { topicPrefix: 'two' });
  const ids = roadmap().nodes.map(({ id }) => id);
  const edits = [ada, ben].flatMap((peer, of) =>
    Array.from({ length: 100 }, (_, n) => {
      const name = ['ada', 'ben'][of];
      return peer.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: ids[n], x: n, [name]: n }] } }, name);
    }),
  );
  await Promise.all(edits);
  const both = (node) => node.ada !== undefined && node.ben !== undefined;
  await untilEqual(ada, ben, ({ nodes }) => nodes.filter(both).length === 100);
  return 'yes';
}

async function joinsLate(t, broker) {
  const options = { topicPrefix: 'late' };
  const { ada } = await twoPeers(t, broker, roadmap(), options);
  const cleo = await onePeer(t, broker, options);
  await untilListed(cleo, CANVAS);
  await untilEqual(ada, cleo, ({ nodes }) => nodes.length === 187);
  return 'yes';
}

/** Whether somebody who comes when nobody is there gets the canvas from the broker. */
async function isGivenByTheBroker(t, broker, options) {
  const later = await onePeer(t, broker, options);
  const { answered } = await later.syncRepository(REPOSITORY);
  const canvases = await later.listCanvases(REPOSITORY);
  await later.disconnect();
  assert.equal(answered, canvases.length === 1);
  return answered ? 'yes' : 'no';
}

async function leaves(t, broker, options) {
  const ada = await onePeer(t, broker, options);
  await ada.createCanvas(REPOSITORY, CANVAS, roadmap(), 'ada');
  await ada.flush();
  await ada.disconnect();
}

async function joinsAlone(t, broker) {
  const options = { topicPrefix: 'alone' };
  await leaves(t, broker, options);
  return isGivenByTheBroker(t, broker, options);
}

async function joinsAloneAfterRestart(t, broker) {
  const options = { topicPrefix: 'restarted' };
  await leaves(t, broker, options);
  await broker.end('SIGTERM');
  await broker.start();
  return isGivenByTheBroker(t, broker, options);
}

async function survivesACut(t, broker) {
  const wire = await cable(t, broker);
  const options = { topicPrefix: 'cut' };
  const [ada, ben] = await Promise.all([onePeer(t, broker, options), onePeer(t, wire, options)]);
  await ada.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  await untilListed(ben, CANVAS);
  await untilEqual(ada, ben);
  wire.pull();
  for (let x = 1; x <= 20; x++) await ada.patchCanvas(REPOSITORY, CANVAS, move(x), 'ada');
  await ben.patchCanvas(REPOSITORY, CANVAS, move(7, 'b'), 'ben');
  wire.plug();
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 20 && nodeOf(canvas, 'b').x === 7);
  return 'yes';
}

async function noticesDeath(t, broker) {
  const ada = await onePeer(t, broker, { topicPrefix: 'death' });
  const discovered = nextEvent(ada, 'peer-discovered');
  const ben = startEditor(t, { name: 'ben', topicPrefix: 'death', broker: { host: broker.host, port: broker.port } });
  await ben.started;
  const { id } = await discovered;
  const left = nextEvent(ada, 'peer-left', (event) => event.id === id);
  process.kill(ben.pid, 'SIGKILL');
  await left; // By silence it would take three heartbeats: a minute and a half.
  return 'yes';
}

/** More messages for one peer than any broker of these keeps, while it does not read; nothing of them means anything to it. */
const NOISE = 12_000;

async function servesTheSlow(t, broker) {
  const wire = await cable(t, broker);
  const options = { topicPrefix: 'slow' };
  const [ada, ben] = await Promise.all([onePeer(t, broker, options), onePeer(t, wire, options)]);
  await ada.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  await untilListed(ben, CANVAS);
  await untilEqual(ada, ben);
  const noise = await mqttClient(t, broker);
  wire.stall();
  const topic = `slow/v1/${REPOSITORY}/inbox/${ben.getNetworkStatus().peerId}`;
  await Promise.all(Array.from({ length: NOISE }, () => noise.publishAsync(topic, 'noise', { qos: 1 })));
  for (let x = 1; x <= 20; x++) {
    await ada.patchCanvas(REPOSITORY, CANVAS, move(x), 'ada');
    await until(() => ada.getRepositoryStatus(REPOSITORY).pendingEdits === 0, 'the broker has it');
  }
  wire.flow();
  await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 20);
  return 'yes';
}

async function survivesAKill(t, broker) {
  const { ada, ben } = await twoPeers(t, broker, smallCanvas(), { topicPrefix: 'kill' });
  const peers = { ada, ben };
  const made = { ada: 0, ben: 0 };
  let editing = true;
  const edit = async (name) => {
    for (; editing; made[name]++) {
      const patch = { nodes: { upsert: [{ id: 'a', x: made[name], [`${name}-${made[name]}`]: true }] } };
      await peers[name].patchCanvas(REPOSITORY, CANVAS, patch, name);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const edited = Promise.all([edit('ada'), edit('ben')]);
  await until(() => made.ada > 20 && made.ben > 20, 'edits are under way');
  await broker.end('SIGKILL');
  await broker.start();
  const reached = Math.max(made.ada, made.ben) + 20;
  await until(() => made.ada > reached && made.ben > reached, 'edits go on');
  editing = false;
  await edited;
  await Promise.all([ada.flush(), ben.flush()]);
  const all = (canvas) => Object.keys(nodeOf(canvas, 'a')).filter((key) => /^(ada|ben)-/.test(key)).length;
  await untilEqual(ada, ben, (canvas) => all(canvas) === made.ada + made.ben);
  return 'yes';
}

/** Every character of ASCII; the longest name, each byte of it escaped; others that are easily taken for something else. */
const NAMES = [
  String.fromCharCode(...Array(128).keys()),
  '.'.repeat(512),
  '*.>/+#$SYS %2E',
  ' ',
  'é日本\u202e𝒳',
  '__proto__',
];

async function carriesNames(t, broker) {
  const options = { topicPrefix: 'names', repositories: NAMES };
  const [ada, ben] = await Promise.all([onePeer(t, broker, options), onePeer(t, broker, options)]);
  for (const [index, repository] of NAMES.entries()) {
    const id = NAMES.at(index - 1);
    await ada.createCanvas(repository, id, { nodes: [{ id: 'a', text: `in ${index}` }] }, 'ada');
    await untilListed(ben, id, repository);
    const read = async () => nodeOf(await ben.getCanvas(repository, id), 'a')?.text;
    await until(async () => (await read()) === `in ${index}`, `${JSON.stringify(id)} arrives`);
    await ben.patchCanvas(repository, id, { properties: { of: 'ben' } }, 'ben');
    await until(async () => (await ada.getCanvas(repository, id)).of === 'ben', 'the edit arrives');
  }
  return 'yes';
}

async function carriesManyRepositories(t, broker) {
  const repositories = Array.from({ length: 30 }, (_, n) => `repository-${n}`);
  const options = { topicPrefix: 'many', repositories };
  const [ada, ben] = await Promise.all([onePeer(t, broker, options), onePeer(t, broker, options)]);
  await Promise.all(repositories.map((name) => ada.createCanvas(name, CANVAS, {}, 'ada')));
  for (const name of repositories) await untilListed(ben, CANVAS, name);
  return 'yes';
}

async function carriesLargeCanvases(t, broker) {
  const random = seededRandom('large');
  const noise = () =>
    Array.from({ length: 400_000 }, () => String.fromCharCode(33 + Math.floor(random() * 94))).join('');
  const nodes = Array.from({ length: 8 }, (_, n) => ({ id: `n${n}`, type: 'file', blob: noise() }));
  // 3.2 MB that do not compress: several packets, each as large as peers send.
  const { ada, ben } = await twoPeers(t, broker, { nodes }, { topicPrefix: 'large' });
  await untilEqual(ada, ben, (canvas) => canvas.nodes.length === 8);
  return 'yes';
}

export const PEER_CASES = [
  ['`mqtt-p2p health`', isHealthy],
  ['two peers edit one canvas', twoEdit],
  ['who joins late has the canvas from another peer', joinsLate],
  ['who joins when nobody is there has it from the broker', joinsAlone],
  ['a peer is cut off, and catches up', survivesACut],
  ['a peer that is killed is noticed at once', noticesDeath],
  ['a peer that does not read for a while catches up', servesTheSlow],
  ['names with any character', carriesNames],
  ['30 repositories in one service', carriesManyRepositories],
  ['a canvas of 3 MB', carriesLargeCanvases],
  ['the broker is killed while peers edit: nothing is lost', survivesAKill],
  ['boards outlive a restart of the broker', joinsAloneAfterRestart],
];
