import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createInvite, MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { embedded } from './helpers/broker.mjs';
import { smallCanvas } from './helpers/canvases.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { newKey } from './helpers/keys.mjs';
import { runNode } from './helpers/processes.mjs';
import { newPeer, onePeer, REPOSITORY, rejectsWith, twoPeers, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

const PASSPHRASE = 'canary drawn by lot from a hat';
const features = { encryption: true };
const cli = (args, options) => runNode(['dist/mqtt-cli.js', ...args], options);
const urlOf = ({ host, port }) => `mqtt://${host}:${port}`;

/** A file with a passphrase, for its owner alone, removed after the test. */
function passphraseFile(t, text = `${PASSPHRASE}\n`) {
  const path = join(temporaryFolder(t, 'passphrase'), 'passphrase');
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

describe('keygen --passphrase', () => {
  test('prints an invite, and no passphrase; every invite is another', async () => {
    const { code, stdout, stderr } = await cli(['keygen', '--passphrase'], { env: { MQTT_PASSPHRASE: PASSPHRASE } });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^mqtt-p2p-invite-1:65536:3:[0-9a-f]{32}:[0-9a-f]{8}\n/);
    for (const word of ['--passphrase-file', 'MQTT_PASSPHRASE', '--invite', '"encryption": true'])
      assert.ok(stdout.includes(word), word);
    assert.ok(!stdout.includes(PASSPHRASE));
    const json = await cli(['keygen', '--passphrase', '--json']);
    assert.notEqual(JSON.parse(json.stdout).invite, stdout.split('\n')[0]);
    assert.equal((await cli(['keygen', '--passphrase', 'team.key'])).code, 2);
  });
});

describe('a passphrase', () => {
  test('and the invite make one key: given as text, as a file, by a repository, with accents typed either way', async (t) => {
    const broker = await embedded(t);
    const invite = await createInvite();
    const composed = { passphrase: 'caf\u00e9 au lait', invite };
    const { ada } = await twoPeers(t, broker, smallCanvas(), { features, encryption: composed });
    const path = passphraseFile(t, 'cafe\u0301 au lait\r\n');
    const others = [
      { encryption: { passphraseFile: path, invite } },
      { repositories: [{ name: REPOSITORY, passphrase: 'cafe\u0301 au lait', invite }] },
      { repositories: [{ name: REPOSITORY, passphraseFile: path, invite }], encryption: { keyFile: await newKey(t) } },
    ];
    for (const options of others) {
      const peer = await onePeer(t, broker, { features, ...options });
      await untilListed(peer, 'boards/plan');
    }
    assert.deepEqual(ada.getRepositoryStatus(REPOSITORY).messages.rejected, {});
  });

  for (const [name, options] of [
    ['another one', async (invite) => ({ passphrase: `${PASSPHRASE}!`, invite })],
    ['another invite', async () => ({ passphrase: PASSPHRASE, invite: await createInvite() })],
  ]) {
    test(`${name} makes another key, which is told`, async (t) => {
      const broker = await embedded(t);
      const invite = await createInvite();
      await onePeer(t, broker, { features, encryption: { passphrase: PASSPHRASE, invite } });
      const other = newPeer(t, broker, { features, encryption: await options(invite) });
      const told = nextEvent(other, 'error');
      await other.initialize();
      assert.equal((await told).code, 'ERR_ENCRYPTION_KEY');
    });
  }

  test('does not hold up the event loop while its key is made', async (t) => {
    const broker = await embedded(t);
    const peer = newPeer(t, broker, { features, encryption: { passphrase: PASSPHRASE, invite: await createInvite() } });
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await peer.initialize();
    clearInterval(timer);
    // It takes longer than that by far; were it made on this thread, there would be no turn meanwhile.
    assert.ok(turns >= 10, `${turns} turns`);
  });

  const broken = [
    ['whose invite is cut off', (invite) => ({ passphrase: PASSPHRASE, invite: invite.slice(0, 40) }), /cut off/],
    ['whose invite is none', () => ({ passphrase: PASSPHRASE, invite: PASSPHRASE }), /no invite of mqtt-p2p/],
    ['whose file is missing', (invite) => ({ passphraseFile: '/none/at/all', invite }), /does not exist/],
    [
      'whose invite asks for all memory',
      () => ({
        passphrase: PASSPHRASE,
        invite: 'mqtt-p2p-invite-1:4294967295:3:01010101010101010101010101010101:d1a500fb',
      }),
      /4294967295 KiB/,
    ],
    [
      'whose invite asks for little work',
      () => ({ passphrase: PASSPHRASE, invite: 'mqtt-p2p-invite-1:8:1:01010101010101010101010101010101:ec4d8733' }),
      /8 KiB/,
    ],
    ['whose file is too short', (invite, t) => ({ passphraseFile: passphraseFile(t, 'short\n'), invite }), /8 to 1024/],
  ];
  if (process.platform !== 'win32') {
    const open = (invite, t) => {
      const path = passphraseFile(t);
      chmodSync(path, 0o644);
      return { passphraseFile: path, invite };
    };
    broken.push(['whose file others can read', open, /mode 0644.*chmod 600/]);
  }
  for (const [name, encryption, message] of broken) {
    test(`${name} is refused by initialize()`, async (t) => {
      const broker = await embedded(t);
      const peer = newPeer(t, broker, { features, encryption: encryption(await createInvite(), t) });
      const error = await rejectsWith(peer.initialize(), 'ERR_ENCRYPTION_KEY', message);
      assert.ok(!error.message.includes('canary') && !error.message.includes('short'));
    });
  }
});

describe('configuration', () => {
  const wrong = [
    [
      'a passphrase without the feature',
      { encryption: { passphrase: PASSPHRASE } },
      /encryption\.passphrase needs features/,
    ],
    ['two keys', { features, encryption: { passphrase: PASSPHRASE, keyFile: 'k' } }, /one of keyFile, passphrase/],
    ['no key at all', { features, encryption: {} }, /must name a keyFile, a passphrase or/],
    ['no invite', { features, encryption: { passphrase: PASSPHRASE } }, /encryption\.passphrase needs the invite/],
    ['an invite alone', { features, encryption: { invite: 'i' } }, /encryption\.invite belongs/],
    [
      'no passphrase',
      { features, encryption: { passphrase: 'canary', invite: 'i' } },
      /encryption\.passphrase: .*8 to 1024/,
    ],
    [
      'a number',
      { features, encryption: { passphrase: 1234567890, invite: 'i' } },
      /encryption\.passphrase: must be a text/,
    ],
    ['a text for all', { features, encryption: PASSPHRASE }, /encryption: must be an object/],
    [
      "a repository's passphrase without an invite of its own",
      {
        features,
        encryption: { passphrase: PASSPHRASE, invite: 'i' },
        repositories: [{ name: 'a', passphrase: PASSPHRASE }],
      },
      /repositories\[0\]\.passphrase needs the invite/,
    ],
  ];
  for (const [name, part, message] of wrong) {
    test(`${name} is refused, naming the field and no secret`, () => {
      const make = () => new MQTTIntegrationService({ broker: {}, repositories: [REPOSITORY], ...part });
      assert.throws(make, (error) => {
        assert.equal(error.code, 'ERR_CONFIG_INVALID');
        assert.match(error.message, message);
        return !error.message.includes('canary') && !error.message.includes('1234567890');
      });
    });
  }
});

test('--passphrase-file and MQTT_PASSPHRASE with --invite and MQTT_INVITE turn encryption on, and show nothing', async (t) => {
  const broker = await embedded(t);
  const invite = await createInvite();
  const peer = await onePeer(t, broker, { features, encryption: { passphrase: PASSPHRASE, invite } });
  let met = 0;
  peer.on('peer-discovered', () => met++);
  const run = async (args, env = {}) => {
    const flags = ['--once', '--json', '--broker', urlOf(broker), '--repositories', REPOSITORY, ...args];
    const { code, stdout, stderr } = await cli(['monitor', ...flags], { env: { DEBUG: 'mqtt:*', ...env } });
    assert.ok(!(stdout + stderr).includes('canary'), 'the passphrase is shown');
    return { code, stderr };
  };
  const path = passphraseFile(t);
  const [byFlags, byEnvironment, both] = await Promise.all([
    run(['--passphrase-file', path, '--invite', invite]),
    run([], { MQTT_PASSPHRASE: PASSPHRASE, MQTT_INVITE: invite }),
    run(['--passphrase-file', path], { MQTT_KEY_FILE: '/none', MQTT_INVITE: invite }),
  ]);
  for (const { code, stderr } of [byFlags, byEnvironment, both]) assert.equal(code, 0, stderr);
  await until(() => met === 3, 'all three are met');
  const wrong = [
    [['--passphrase-file', path], {}, /passphraseFile needs the invite/],
    [['--passphrase-file', path, '--key-file', path], {}, /give one of them/],
    [[], { MQTT_PASSPHRASE: PASSPHRASE, MQTT_KEY_FILE: path }, /set one of them/],
  ];
  for (const [args, env, message] of wrong) {
    const { code, stderr } = await run(args, env);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  }
});
