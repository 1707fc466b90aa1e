import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { createKeyFile, MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { embedded, mosquittoTest } from './helpers/broker.mjs';
import { cli, linesOf, startCli, urlOf } from './helpers/cli.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { startMosquitto } from './helpers/mosquitto.mjs';
import { scoped } from './helpers/teardown.mjs';
import { onePeer } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

const REPOSITORIES = Array.from({ length: 10 }, (_, index) => `team-${index}`);
const REPLICAS = 2;
const CANVAS = 'plan';

/** Servers of one group, each with a data directory that it finds again. `start(name)` starts one. */
function servers(t, broker, options = {}) {
  const folder = temporaryFolder(t, 'group');
  const config = join(folder, 'config.json');
  writeFileSync(config, JSON.stringify({ performance: { heartbeatInterval: 1 }, ...options }));
  const running = new Map();
  const start = (name, ...args) => {
    const child = startCli(t, [
      ...['server', '--group', 'main', '--json', '--config', config, '--data-dir', join(folder, name)],
      ...['--broker', urlOf(broker), '--repositories', REPOSITORIES.join(','), ...args],
    ]);
    running.set(name, child);
    return child;
  };
  const kill = async (name) => {
    const child = running.get(name);
    running.delete(name);
    child.kill('SIGKILL');
    await child.ended;
  };
  /** The repositories that each running server serves, as it says. */
  const serving = () =>
    new Map(
      [...running].map(([name, child]) => {
        const served = new Set();
        for (const { event, repository } of linesOf(child)) {
          if (event === 'serving') served.add(repository);
          if (event === 'left') served.delete(repository);
        }
        return [name, served];
      }),
    );
  const servedBy = (repository) => [...serving()].filter(([, served]) => served.has(repository)).map(([name]) => name);
  /** Waits until each repository is served by as many as it should be. */
  const settled = () =>
    until(
      () => REPOSITORIES.every((repository) => servedBy(repository).length === Math.min(REPLICAS, running.size)),
      `each repository is served by two: ${REPOSITORIES.map((repository) => servedBy(repository))}`,
    );
  return { start, kill, serving, servedBy, settled };
}

/** Edits all repositories in turn until it is told to stop. `made` counts the edits of each that have resolved. */
function editing(peer) {
  const made = new Map(REPOSITORIES.map((repository) => [repository, 0]));
  let going = true;
  const work = async () => {
    for (let turn = 0; going; turn++) {
      const repository = REPOSITORIES[turn % REPOSITORIES.length];
      const number = made.get(repository);
      const patch = { nodes: { upsert: [{ id: 'a', [`edit-${number}`]: true }] } };
      await peer.patchCanvas(repository, CANVAS, patch, 'ada');
      made.set(repository, number + 1);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await peer.flush();
    return made;
  };
  const done = work();
  return {
    stop: () => {
      going = false;
      return done;
    },
  };
}

/** A peer that comes when no maker is there finds a server in each repository, and gets every edit. */
async function newcomerGets(broker, made) {
  const newcomer = new MQTTIntegrationService({ broker, repositories: REPOSITORIES });
  await newcomer.initialize();
  try {
    for (const repository of REPOSITORIES) {
      const { answered } = await newcomer.syncRepository(repository);
      assert.ok(answered, `somebody answers in ${repository}`);
      await until(async () => {
        const canvas = await newcomer.getCanvas(repository, CANVAS).catch(() => ({ nodes: [{}] }));
        return Object.keys(canvas.nodes[0]).filter((key) => key.startsWith('edit-')).length === made.get(repository);
      }, `all edits of ${repository} are there`);
    }
    const peers = await newcomer.discoverPeers({ timeoutMs: 200 });
    const servers = peers.filter(({ capabilities }) => capabilities.includes('server'));
    for (const repository of REPOSITORIES) {
      assert.ok(
        servers.some((peer) => peer.repositories.includes(repository)),
        `a server is there for ${repository}`,
      );
    }
  } finally {
    await newcomer.disconnect();
  }
}

async function maker(broker) {
  const ada = new MQTTIntegrationService({ broker, repositories: REPOSITORIES });
  await ada.initialize();
  for (const repository of REPOSITORIES) await ada.createCanvas(repository, CANVAS, { nodes: [{ id: 'a' }] }, 'ada');
  return ada;
}

/** What a map of sets holds, in order. */
const byName = (map) => [...map].map(([name, set]) => [name, [...set].sort()]).sort();

describe('server --group', () => {
  mosquittoTest('three servers divide the repositories, and any of them may be killed under load', async (t) => {
    const broker = await startMosquitto();
    scoped(t).defer(() => broker.stop());
    const { host, port } = broker;
    const group = servers(t, broker);
    for (const name of ['one', 'two', 'three']) group.start(name);
    await group.settled();
    for (const [name, served] of group.serving()) {
      assert.ok(served.size > 0 && served.size < REPOSITORIES.length, `${name} serves ${served.size}`);
    }

    const ada = await maker({ host, port });
    scoped(t).defer(() => ada.disconnect());
    const edits = editing(ada);
    let lost;
    const watch = setInterval(() => {
      lost ??= REPOSITORIES.find((repository) => group.servedBy(repository).length === 0);
    }, 20);
    scoped(t).defer(() => clearInterval(watch));

    for (const name of ['two', 'one']) {
      const before = group.serving();
      const began = performance.now();
      await group.kill(name);
      await group.settled();
      t.diagnostic(`taken over after ${Math.round(performance.now() - began)} ms; the heartbeat is 1 s`);
      group.start(name);
      await until(
        () => isDeepStrictEqual(byName(group.serving()), byName(before)),
        'who returns gets what it had, and all is as before',
      );
    }
    await group.kill('three');
    await group.settled();
    const made = await edits.stop();
    await ada.disconnect();
    await newcomerGets({ host, port }, made);
    assert.equal(lost, undefined, 'each repository was served throughout');

    // Only the servers have anything now: this broker keeps nothing over its end.
    await broker.end('SIGKILL');
    await broker.start();
    await newcomerGets({ host, port }, made);
    await group.kill('two');
    await group.settled();
    await newcomerGets({ host, port }, made);
  });

  test('a server that is told to end hands over what it served, of encrypted repositories too', async (t) => {
    const broker = await embedded(t);
    const keyFile = join(temporaryFolder(t, 'key'), 'team.key');
    await createKeyFile(keyFile);
    const encrypted = { topicPrefix: 'other', features: { encryption: true }, encryption: { keyFile } };
    const group = servers(t, broker, encrypted);
    const [first] = [group.start('one', '--replicas', '1'), group.start('two', '--replicas', '1')];
    const one = () => REPOSITORIES.every((repository) => group.servedBy(repository).length === 1);
    await until(one, 'each is served by one');
    first.kill('SIGTERM');
    assert.deepEqual(await first.ended, [0, null], first.output());
    await until(() => group.serving().get('two').size === REPOSITORIES.length, 'the other one serves all');
    const peer = await onePeer(t, broker, { repositories: ['team-0'], ...encrypted });
    const [server] = await peer.discoverPeers({ timeoutMs: 200 });
    assert.deepEqual([server.repositories, server.capabilities], [['team-0'], ['server']]);
  });

  const folder = (t) => temporaryFolder(t, 'group');
  const configured = (t, config) => {
    const path = join(folder(t), 'config.json');
    writeFileSync(path, JSON.stringify(config));
    return ['--config', path];
  };
  const refused = [
    ['no broker that stays', () => ['--group', 'main'], /needs --broker/],
    [
      'a port for the embedded broker',
      () => ['--group', 'main', '--broker', 'b', '--listen', '127.0.0.1:1'],
      /embedded/,
    ],
    ['replicas of no group', () => ['--replicas', '2'], /--group/],
    ['no replicas', () => ['--group', 'main', '--broker', 'b', '--replicas', '0'], /1 to 16/],
    ['a name that is none', () => ['--group', 'a/b', '--broker', 'b'], /1 to 64/],
    [
      'a repository in the place where groups meet',
      () => ['--group', 'main', '--broker', 'b', '--repositories', '.server-group/x'],
      /names that begin/,
    ],
    [
      'a folder of one machine',
      (t) => ['--group', 'main', '--broker', 'b', ...configured(t, { repositories: [{ name: 'x', path: '/tmp' }] })],
      /bound to the folder/,
    ],
    [
      'one client id for many connections',
      (t) => ['--group', 'main', ...configured(t, { broker: { host: 'b', clientId: 'x' } })],
      /clientId/,
    ],
    [
      'servers that do not show themselves',
      (t) => ['--group', 'main', '--broker', 'b', ...configured(t, { features: { discovery: false } })],
      /discovery/,
    ],
    [
      'encryption without a key for the group',
      (t) => ['--group', 'main', '--broker', 'b', ...configured(t, { features: { encryption: true } })],
      /key/,
    ],
    [
      'the data of a server without a group',
      (t) => {
        const path = folder(t);
        writeFileSync(join(path, 'identity.key'), '');
        return ['--group', 'main', '--broker', 'b', '--data-dir', path];
      },
      /without a group/,
    ],
  ];
  for (const [what, args, message] of refused) {
    test(`refuses ${what}`, async (t) => {
      const { code, stderr } = await cli(['server', ...args(t)]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    });
  }
});
