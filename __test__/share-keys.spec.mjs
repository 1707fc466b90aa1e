import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { createInvite } from '@mind-git/mqtt-p2p';
import { connectAsync } from 'mqtt';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { nodeOf, smallCanvas } from './helpers/canvases.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { encrypted, newKey } from './helpers/keys.mjs';
import { keyHolder } from './helpers/sealed.mjs';
import { scoped } from './helpers/teardown.mjs';
import { onePeer, rejectsWith, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

const CANVAS = 'plan';
const idOf = (peer) => peer.getNetworkStatus().peerId;
/** Moves a node, once the canvas has come to this peer. */
const move = async (peer, repository, x) => {
  await untilListed(peer, CANVAS, repository);
  return peer.patchCanvas(repository, CANVAS, { nodes: { upsert: [{ id: 'a', x }] } }, 'ada');
};
const untilAt = (peer, repository, x) =>
  until(async () => {
    const canvas = await peer.getCanvas(repository, CANVAS).catch(() => ({ nodes: [] }));
    return nodeOf(canvas, 'a')?.x === x;
  }, `it is at ${x} in ${repository}`);

/** Options of a peer of `home`, of one of `target`, and of one in both; the repositories have different keys. */
async function twoKeys(t) {
  const [home, target] = [await newKey(t), await newKey(t)];
  const repositories = [
    { name: 'home', keyFile: home },
    { name: 'target', keyFile: target },
  ];
  const of = (...named) => ({ features: { encryption: true }, repositories: named });
  return { home, target, inHome: of(repositories[0]), inTarget: of(repositories[1]), inBoth: of(...repositories) };
}

const stored = (t, options) => ({ ...options, storage: { path: temporaryFolder(t) } });

describe('a canvas shared between repositories of different keys', () => {
  eachBroker('is edited from both sides, and by who comes later with one key', async (t, broker) => {
    const keys = await twoKeys(t);
    const client = await connectAsync(`mqtt://${broker.host}:${broker.port}`, { protocolVersion: 4 });
    scoped(t).defer(() => client.endAsync());
    const heard = [];
    client.on('message', (topic, payload) => heard.push({ topic, payload }));
    await client.subscribeAsync('#');

    const both = await onePeer(t, broker, keys.inBoth);
    const [hal, tom] = [await onePeer(t, broker, keys.inHome), await onePeer(t, broker, keys.inTarget)];
    const told = nextEvent(tom, 'canvas-shared');
    await both.createCanvas('home', CANVAS, smallCanvas(), 'ada');
    await both.createCanvas('home', 'secret', smallCanvas(), 'ada');
    await both.shareCanvas('home', CANVAS, 'target');
    assert.equal((await told).canvasId, CANVAS);
    await move(hal, 'home', 11);
    await untilAt(tom, 'target', 11);
    await move(tom, 'target', 12);
    await Promise.all([untilAt(hal, 'home', 12), untilAt(both, 'home', 12), untilAt(both, 'target', 12)]);
    const late = await onePeer(t, broker, keys.inTarget);
    await untilAt(late, 'target', 12);
    await move(late, 'target', 13);
    await untilAt(hal, 'home', 13);
    assert.deepEqual(
      (await late.listCanvases('target')).map(({ id, origin }) => [id, origin]),
      [[CANVAS, 'home']],
    );

    // What somebody reads of all that with the key of either repository: nothing of the canvas by that of the other.
    await hal.patchCanvas('home', 'secret', { nodes: { upsert: [{ id: 'a', x: 99 }] } }, 'hal');
    const opened = (key, repository) => {
      const holder = keyHolder(key, repository);
      return heard.map(({ topic, payload }) => holder.open(topic, payload)?.plainTopic).filter(Boolean);
    };
    await until(() => opened(keys.home, 'home').some((topic) => topic.includes('/secret/')), 'it was heard');
    assert.ok(opened(keys.target, 'target').every((topic) => topic.startsWith('v1/target/')));
    assert.deepEqual(opened(keys.target, 'home'), []);
  });

  eachBroker('changes its key with that of either repository', async (t, broker) => {
    const keys = await twoKeys(t);
    const both = await onePeer(t, broker, stored(t, keys.inBoth));
    const [hal, tom] = [
      await onePeer(t, broker, stored(t, keys.inHome)),
      await onePeer(t, broker, stored(t, keys.inTarget)),
    ];
    const [exHal, exTom] = [await onePeer(t, broker, keys.inHome), await onePeer(t, broker, keys.inTarget)];
    await both.createCanvas('home', CANVAS, smallCanvas(), 'ada');
    await both.shareCanvas('home', CANVAS, 'target');
    const all = [
      [hal, 'home'],
      [tom, 'target'],
      [exHal, 'home'],
      [exTom, 'target'],
    ];
    await move(both, 'home', 1);
    await Promise.all(all.map(([peer, repository]) => untilAt(peer, repository, 1)));

    const left = nextEvent(exHal, 'error');
    await both.rotateKey('home', { recipients: [idOf(hal)] });
    assert.equal((await left).code, 'ERR_ENCRYPTION_KEY');
    await until(() => hal.getRepositoryStatus('home').epoch === 1, 'Hal has the new key');
    await move(hal, 'home', 2);
    await Promise.all([untilAt(tom, 'target', 2), untilAt(exTom, 'target', 2)]);
    await move(tom, 'target', 3);
    await untilAt(hal, 'home', 3);

    const file = join(temporaryFolder(t), 'target-1.key');
    const gone = nextEvent(exTom, 'error');
    await both.rotateKey('target', { recipients: [idOf(tom)], keyFile: file });
    assert.equal((await gone).code, 'ERR_ENCRYPTION_KEY');
    await until(() => tom.getRepositoryStatus('target').epoch === 1, 'Tom has the new key');
    await move(tom, 'target', 4);
    await Promise.all([untilAt(hal, 'home', 4), untilAt(both, 'target', 4)]);
    const late = await onePeer(t, broker, { ...encrypted(file), repositories: ['target'] });
    await untilAt(late, 'target', 4);
    assert.equal(nodeOf(await exHal.getCanvas('home', CANVAS), 'a').x, 1);
    assert.equal(nodeOf(await exTom.getCanvas('target', CANVAS), 'a').x, 3);
    // What was replaced before may be shared all the same.
    await both.createCanvas('home', 'more', smallCanvas(), 'ada');
    await both.shareCanvas('home', 'more', 'target');
    await untilListed(late, 'more', 'target');
  });

  test('goes on after restarts, and with passphrases', async (t) => {
    const broker = await embedded(t);
    const [one, two] = [await createInvite(), await createInvite()];
    const home = { name: 'home', passphrase: 'correct horse battery staple', invite: one };
    const target = { name: 'target', passphrase: 'another six words drawn by lot', invite: two };
    const of = (...repositories) => ({ features: { encryption: true }, repositories });
    const options = stored(t, of(home, target));
    let both = await onePeer(t, broker, options);
    const tom = await onePeer(t, broker, of(target));
    await both.createCanvas('home', CANVAS, smallCanvas(), 'ada');
    await both.shareCanvas('home', CANVAS, 'target');
    await untilListed(tom, CANVAS, 'target');
    await both.rotateKey('home', { recipients: [] });
    await both.disconnect();
    both = await onePeer(t, broker, options);
    await move(tom, 'target', 21);
    await untilAt(both, 'home', 21);
    await move(both, 'home', 22);
    await untilAt(tom, 'target', 22);
    assert.ok(isDeepStrictEqual(await both.getCanvas('home', CANVAS), await tom.getCanvas('target', CANVAS)));
  });

  test('is shared no longer when its repository says so, and again when it is shared again', async (t) => {
    const broker = await embedded(t);
    const keys = await twoKeys(t);
    const both = await onePeer(t, broker, keys.inBoth);
    const [hal, tom] = [await onePeer(t, broker, keys.inHome), await onePeer(t, broker, keys.inTarget)];
    await both.createCanvas('home', CANVAS, smallCanvas(), 'ada');
    await both.shareCanvas('home', CANVAS, 'target');
    await move(tom, 'target', 31);
    await untilAt(hal, 'home', 31);
    await rejectsWith(tom.unshareCanvas('target', CANVAS), 'ERR_FEATURE_DISABLED', /lives in repository 'home'/);
    const told = nextEvent(tom, 'error');
    await both.unshareCanvas('home', CANVAS);
    const { code, message } = await told;
    assert.equal(code, 'ERR_SHARE_ENDED');
    assert.match(message, /no longer shared with repository 'target'/);
    // Of those who have the new key, for whoever has not heard of it yet still writes with the old one.
    await move(both, 'home', 32);
    await untilAt(hal, 'home', 32);
    assert.equal(nodeOf(await tom.getCanvas('target', CANVAS), 'a').x, 31);
    await both.shareCanvas('home', CANVAS, 'target');
    await untilAt(tom, 'target', 32);
    const plain = await onePeer(t, broker, { repositories: ['plain'] });
    await plain.createCanvas('plain', CANVAS, smallCanvas(), 'ada');
    await rejectsWith(plain.unshareCanvas('plain', CANVAS), 'ERR_FEATURE_DISABLED', /encryption/);
  });
});
