import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { embedded } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { newKey } from './helpers/keys.mjs';
import { runNode } from './helpers/processes.mjs';
import { onePeer, rejectsWith, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

const CANVAS = 'plan';
const idOf = (peer) => peer.getNetworkStatus().peerId;

/** Two repositories of members, each with an admin who says who is what by the command line, and perhaps with a key. */
async function twoTeams(t, { encrypted = false } = {}) {
  const broker = await embedded(t);
  const team = async (name) => {
    const keyFile = encrypted ? await newKey(t) : undefined;
    const data = join(temporaryFolder(t), name);
    const run = async (...args) => {
      const of = ['--broker', `mqtt://${broker.host}:${broker.port}`, '--repositories', name, '--data-dir', data];
      const key = keyFile ? ['--key-file', keyFile] : [];
      const root = args[0] === 'id' ? [] : ['--root', 'self', ...key];
      const { code, stdout, stderr } = await runNode([
        'dist/mqtt-cli.js',
        'members',
        ...args,
        ...of,
        ...root,
        '--json',
      ]);
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout);
    };
    const { peerId: root } = await run('id');
    return { run, repository: { name, membership: { mode: 'members', root }, ...(keyFile ? { keyFile } : {}) } };
  };
  const [home, target] = await Promise.all([team('home'), team('target')]);
  const options = (...teams) => ({
    features: { encryption: encrypted },
    repositories: teams.map(({ repository }) => repository),
  });
  const both = await onePeer(t, broker, options(home, target));
  const hal = await onePeer(t, broker, options(home));
  const [tom, rita] = [await onePeer(t, broker, options(target)), await onePeer(t, broker, options(target))];
  await home.run('add', idOf(both), '--role', 'writer');
  await home.run('add', idOf(hal), '--role', 'writer');
  await target.run('add', idOf(both), '--role', 'writer');
  await target.run('add', idOf(tom), '--role', 'writer');
  await target.run('add', idOf(rita), '--role', 'reader');
  const knows = async (peer, repository, id, role) =>
    (await peer.listMembers(repository)).some((member) => member.peerId === id && member.role === role);
  const untilRole = (peer, repository, who, role) =>
    until(() => knows(peer, repository, idOf(who), role), `somebody is ${role} in ${repository}`);
  await untilRole(both, 'home', both, 'writer');
  await untilRole(both, 'target', both, 'writer');
  await Promise.all([tom, rita].map((peer) => untilRole(peer, 'target', rita, 'reader')));
  await both.createCanvas('home', CANVAS, smallCanvas(), 'ada');
  await untilListed(hal, CANVAS, 'home');
  return { broker, home, target, both, hal, tom, rita, untilRole };
}

/** Adds a node, once the canvas has come to this peer. */
const put = async (peer, repository, id) => {
  await untilListed(peer, CANVAS, repository);
  return peer.patchCanvas(repository, CANVAS, { nodes: { upsert: [{ id, type: 'text', text: id }] } }, 'somebody');
};
const has = async (peer, repository, id) => {
  const canvas = await peer.getCanvas(repository, CANVAS).catch(() => ({ nodes: [] }));
  return canvas.nodes.some((node) => node.id === id);
};
const untilHas = (peer, repository, id) => until(() => has(peer, repository, id), `${id} is there in ${repository}`);

describe('a canvas shared between repositories of members', () => {
  for (const encrypted of [false, true]) {
    const how = encrypted ? ', with keys' : '';
    test(`is edited by the writers of both, and by nobody else${how}`, async (t) => {
      const { both, hal, tom, rita } = await twoTeams(t, { encrypted });
      await rejectsWith(rita.shareCanvas('target', CANVAS, 'home'), 'ERR_FEATURE_DISABLED', /take part/);
      await both.shareCanvas('home', CANVAS, 'target');
      await Promise.all([tom, rita].map((peer) => untilListed(peer, CANVAS, 'target')));
      await put(tom, 'target', 'by-tom');
      await Promise.all([untilHas(hal, 'home', 'by-tom'), untilHas(rita, 'target', 'by-tom')]);
      await put(hal, 'home', 'by-hal');
      await Promise.all([untilHas(tom, 'target', 'by-hal'), untilHas(rita, 'target', 'by-hal')]);
      await rejectsWith(put(rita, 'target', 'by-rita'), 'ERR_NOT_A_MEMBER');
    });
  }

  test('a removed writer of one is refused by the other too', async (t) => {
    const { both, target, hal, tom, rita, untilRole } = await twoTeams(t);
    await both.shareCanvas('home', CANVAS, 'target');
    await untilListed(tom, CANVAS, 'target');
    await put(tom, 'target', 'before');
    await untilHas(hal, 'home', 'before');
    // From now on nobody is in both.
    await both.disconnect();
    await target.run('add', idOf(rita), '--role', 'writer');
    await untilRole(rita, 'target', rita, 'writer');
    await put(rita, 'target', 'by-rita');
    await untilHas(hal, 'home', 'by-rita');
    await target.run('remove', idOf(tom));
    await until(
      () =>
        put(tom, 'target', 'after').then(
          () => false,
          () => true,
        ),
      'Tom knows that he was removed',
    );
    await put(rita, 'target', 'once-more');
    await untilHas(hal, 'home', 'once-more');
  });

  test('is shared no longer when a writer of its repository says so', async (t) => {
    const { both, hal, tom } = await twoTeams(t);
    await both.shareCanvas('home', CANVAS, 'target');
    await untilListed(tom, CANVAS, 'target');
    await put(tom, 'target', 'before');
    await untilHas(hal, 'home', 'before');
    const told = nextEvent(tom, 'error');
    await hal.unshareCanvas('home', CANVAS);
    assert.equal((await told).code, 'ERR_SHARE_ENDED');
    await put(tom, 'target', 'outside');
    await put(hal, 'home', 'inside');
    await untilHas(tom, 'target', 'inside');
    assert.equal(await has(hal, 'home', 'outside'), false);
    await both.shareCanvas('home', CANVAS, 'target');
    await untilHas(hal, 'home', 'outside');
  });
});
