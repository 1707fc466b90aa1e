import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { embedded } from './helpers/broker.mjs';
import { nodeOf, smallCanvas } from './helpers/canvases.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { freePort } from './helpers/ports.mjs';
import { runNode } from './helpers/processes.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

const urlOf = ({ host, port }) => `mqtt://${host}:${port}`;
const idOf = (peer) => peer.getNetworkStatus().peerId;
const within = (membership) => ({ repositories: [{ name: REPOSITORY, membership }] });
const members = (root) => within({ mode: 'members', root });

/** The admin is a process of its own for each thing that it says; what it is lives in a data directory. */
async function admin(t, broker) {
  const data = join(temporaryFolder(t), 'admin');
  const run = async (...args) => {
    const { code, stdout, stderr } = await runNode([
      'dist/mqtt-cli.js',
      'members',
      ...args,
      ...(args[0] === 'id' ? [] : ['--root', 'self']),
      ...['--broker', urlOf(broker), '--repositories', REPOSITORY, '--data-dir', data, '--json'],
    ]);
    return code === 0 ? JSON.parse(stdout) : { code, stderr };
  };
  const { peerId } = await run('id');
  return { data, peerId, run };
}

/** Peers of a repository with an admin, in the roles given, and one canvas that the first of them made. */
async function team(t, roles) {
  const broker = await embedded(t);
  const { run, ...who } = await admin(t, broker);
  const peers = await Promise.all(roles.map(() => onePeer(t, broker, members(who.peerId))));
  for (const [index, role] of roles.entries()) {
    if (role !== 'nobody') await run('add', idOf(peers[index]), '--role', role);
  }
  await untilRole(peers[0], idOf(peers[0]), roles[0]);
  await peers[0].createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  await Promise.all(peers.map((peer) => untilListed(peer, CANVAS)));
  return { broker, run, ...who, peers };
}

const roleIn = async (peer, id) =>
  (await peer.listMembers(REPOSITORY)).find(({ peerId }) => peerId === id)?.role ?? 'nobody';

function untilRole(peer, id, role) {
  return until(async () => (await roleIn(peer, id)) === role, `${id} is ${role}`);
}

const put = (peer, id) =>
  peer.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id, type: 'text', text: id }] } }, 'somebody');

describe('members', () => {
  test('a reader reads and cannot edit, a stranger neither; the admin is told who is who', async (t) => {
    const { peers, peerId, run } = await team(t, ['writer', 'reader', 'nobody']);
    const [writer, reader, stranger] = peers;
    await untilRole(reader, idOf(reader), 'reader');
    for (const peer of [reader, stranger]) {
      await rejectsWith(put(peer, 'refused'), 'ERR_NOT_A_MEMBER', /needs a member that is a writer/);
      await rejectsWith(peer.createCanvas(REPOSITORY, 'another', {}, 'x'), 'ERR_NOT_A_MEMBER');
      await rejectsWith(peer.deleteCanvas(REPOSITORY, CANVAS, 'x'), 'ERR_NOT_A_MEMBER');
      await rejectsWith(peer.addMember(REPOSITORY, idOf(stranger)), 'ERR_NOT_A_MEMBER', /an admin/);
    }
    await rejectsWith(writer.addMember(REPOSITORY, idOf(stranger)), 'ERR_NOT_A_MEMBER');
    await rejectsWith(writer.addMember(REPOSITORY, 'nobody'), 'ERR_CANVAS_INVALID', /peer id/);
    await put(writer, 'written');
    await untilEqual(...peers, (canvas) => nodeOf(canvas, 'written') !== undefined);
    const listed = await run('list');
    assert.equal(listed.repository, REPOSITORY);
    const roles = Object.fromEntries(listed.members.map(({ peerId, role, root }) => [peerId, { role, root }]));
    assert.deepEqual(roles, {
      [peerId]: { role: 'admin', root: true },
      [idOf(writer)]: { role: 'writer', root: false },
      [idOf(reader)]: { role: 'reader', root: false },
    });
  });

  test("a removed member's later edits reach nobody, and what it had written stays", async (t) => {
    const { peers, run } = await team(t, ['writer', 'writer']);
    const [ada, ben] = peers;
    await untilRole(ben, idOf(ben), 'writer');
    await put(ben, 'before');
    await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'before') !== undefined);
    await run('remove', idOf(ben));
    await untilRole(ada, idOf(ben), 'nobody');
    // Ben learns of it too; and had it not, nobody would take in what it sends.
    await untilRole(ben, idOf(ben), 'nobody');
    await rejectsWith(put(ben, 'after'), 'ERR_NOT_A_MEMBER');
    await put(ada, 'still there');
    const canvas = await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'still there') !== undefined);
    assert.ok(nodeOf(canvas, 'before') && !nodeOf(canvas, 'after'));
  });

  test('one that takes itself for a member, by another admin, is not heard', async (t) => {
    const { broker, peers } = await team(t, ['writer']);
    const [writer] = peers;
    // It says of itself that it is the first admin, so it may edit; nobody else thinks so.
    const data = temporaryFolder(t);
    const own = newPeer(t, broker, { storage: { path: join(data, 'own') } });
    const rebel = newPeer(t, broker, { ...members(idOf(own)), storage: { path: join(data, 'own') } });
    await rebel.initialize();
    await rebel.createCanvas(REPOSITORY, 'rebellion', smallCanvas(), 'rebel');
    await rebel.flush();
    await rebel.broadcastMessage({ hello: 'world' }, { repository: REPOSITORY });
    const rejected = () => writer.getRepositoryStatus(REPOSITORY).messages.rejected;
    await until(() => rejected()['not by a writer'] > 0 && rejected()['not a member'] > 0, 'it was heard, and ignored');
    assert.deepEqual(
      (await writer.listCanvases(REPOSITORY)).map(({ id }) => id),
      [CANVAS],
    );
  });

  test('canvases are not shared with a repository of another mode', async (t) => {
    const broker = await embedded(t);
    const { peerId, data } = await admin(t, broker);
    const peer = newPeer(t, broker, {
      repositories: [{ name: REPOSITORY, membership: { mode: 'members', root: peerId } }, 'other'],
      storage: { path: data },
    });
    await peer.initialize();
    await peer.createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
    await peer.createCanvas('other', 'theirs', smallCanvas(), 'ada');
    await rejectsWith(peer.shareCanvas(REPOSITORY, CANVAS, 'other'), 'ERR_FEATURE_DISABLED', /of mode 'members'/);
    await rejectsWith(peer.shareCanvas('other', 'theirs', REPOSITORY), 'ERR_FEATURE_DISABLED', /of mode 'members'/);
    await rejectsWith(peer.shareCanvas(REPOSITORY, CANVAS, 'elsewhere'), 'ERR_FEATURE_DISABLED', /take part/);
    await rejectsWith(peer.listMembers('other'), 'ERR_FEATURE_DISABLED', /has no members/);
  });
});

describe('the first admin', () => {
  test('is kept with the data, and another one is a hard error', async (t) => {
    const broker = { host: '127.0.0.1', port: await freePort() };
    const path = join(temporaryFolder(t), 'data');
    const options = { offline: 'allow', storage: { path } };
    const one = newPeer(t, broker, options);
    const [root, other] = [idOf(one), idOf(newPeer(t, broker))];
    const first = newPeer(t, broker, { ...options, ...members(root) });
    await first.initialize();
    await first.disconnect();
    const changed = newPeer(t, broker, { ...options, ...members(other) });
    await rejectsWith(changed.initialize(), 'ERR_MEMBERSHIP_ROOT', /is now said to be/);
    await changed.disconnect();
    const again = newPeer(t, broker, { ...options, ...members(root) });
    await again.initialize();
  });

  test('may be trusted on first use, by choice, and is kept then too', async (t) => {
    const { broker, peers, peerId } = await team(t, ['writer']);
    const path = join(temporaryFolder(t), 'data');
    const trusting = newPeer(t, broker, {
      ...within({ mode: 'members', trustOnFirstUse: true }),
      storage: { path },
    });
    await trusting.initialize();
    await untilListed(trusting, CANVAS);
    await untilEqual(trusting, ...peers);
    assert.equal((await trusting.listMembers(REPOSITORY)).find(({ root }) => root).peerId, peerId);
    await trusting.disconnect();
    const other = newPeer(t, broker, { ...members(idOf(peers[0])), storage: { path } });
    await rejectsWith(other.initialize(), 'ERR_MEMBERSHIP_ROOT');
  });

  for (const [name, membership, message] of [
    ['nobody', { mode: 'members' }, /needs root/],
    ['two choices', { mode: 'members', root: 'x', trustOnFirstUse: true }, /needs root/],
    ['no peer id', { mode: 'members', root: 'x' }, /must be a peer id/],
    ['of a repository without members', { mode: 'open', root: 'x' }, /are for mode 'members'/],
    ['a key without encryption', { mode: 'key' }, /needs features.encryption/],
    ['an unknown mode', { mode: 'closed' }, /repositories/],
  ]) {
    test(`${name}: the configuration is refused`, () => {
      const config = { broker: {}, ...within(membership) };
      assert.throws(() => new MQTTIntegrationService(config), { code: 'ERR_CONFIG_INVALID', message });
    });
  }
});

test('mqtt-p2p members says what is missing', async (t) => {
  const { run, peerId } = await admin(t, await embedded(t));
  assert.match(peerId, /^z6Mk/);
  const added = await run('add', 'z6Mk');
  assert.match(added.stderr, /ERR_CANVAS_INVALID: .*peer id/);
  const without = await runNode(['dist/mqtt-cli.js', 'members', 'list', '--memory']);
  assert.equal(without.code, 2);
  assert.match(without.stderr, /name the first admin of 'default' with --root/);
});
