// What the blocks of the documents take for granted: brokers, files, a git repository. Addresses and ids that stand for
// the reader's own are replaced; nothing else of a line is changed.
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MQTTIntegrationService, startBroker } from '@mind-git/mqtt-p2p';
import { certificateAuthority } from '../helpers/certificates.mjs';
import { hardenedMosquitto } from '../helpers/hardened.mjs';
import { startHardenedNats } from '../helpers/nats.mjs';
import { ROOT } from '../helpers/processes.mjs';
import { startHardenedRabbitmq } from '../helpers/rabbitmq.mjs';
import { HASHES, PASSWORDS } from '../helpers/team-passwords.mjs';
import { scoped } from '../helpers/teardown.mjs';
import { linesOf, sandbox } from './shell.mjs';

const PASSWORD = 'canary';
const SCRIPTS = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts;

/**
 * The stage of a block: `run` as of `sandbox`; `replace` has what is replaced in its lines (`[what, by]`), `environment` and
 * `status` say what a line runs with and how it must end. The first that fits is taken.
 */
export async function stageFor(t, { file, text }) {
  const block = { file, lines: linesOf(text).join('\n') };
  return STAGES.find(([fits]) => fits(block))[1](t, block);
}

const STAGES = [
  ...Object.entries({
    mosquitto: hardenedMosquitto,
    nats: async (t) => withCa(t, (certificate) => startHardenedNats(HASHES, certificate)),
    'nats-cluster': undefined,
    rabbitmq: async (t) => withCa(t, (certificate) => startHardenedRabbitmq(PASSWORDS, certificate)),
  }).map(([name, start]) => [
    ({ file }) => file === `deploy/${name}/README.md`,
    (t, { lines }) => brokerStage(t, name, lines, start),
  ]),
  [({ file }) => file === 'deploy/README.md', deployStage],
  [({ lines }) => lines.includes('broker.example.org') && lines.includes('--tls-ca'), tlsStage],
  [({ lines }) => /^git merge/m.test(lines), gitStage],
  [() => true, plainStage],
];

/** A broker on a port of its own, with a peer and its canvas; an encrypted repository; files, and a git repository. */
async function plainStage(t) {
  const broker = await startedBroker(t);
  const place = sandbox(t);
  const { folder, home, run } = place;
  const address = { MQTT_BROKER_HOST: broker.host, MQTT_BROKER_PORT: String(broker.port) };
  const peer = new MQTTIntegrationService({
    broker: { host: broker.host, port: broker.port },
    repositories: ['repo-1', 'team'],
    storage: { path: join(folder, 'canvases') },
  });
  await peer.initialize();
  const { peerId } = peer.getNetworkStatus();
  await peer.createCanvas('repo-1', 'plan', { nodes: [{ id: 'a', type: 'text', text: 'Hello' }] }, 'ada');
  await peer.flush();
  await peer.disconnect();

  mkdirSync(join(home, 'vault'));
  const examples = readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.canvas'));
  copyFileSync(join(ROOT, 'examples', examples[0]), join(home, 'vault/board.canvas'));
  for (const [name, x] of Object.entries({ base: 0, ours: 1, theirs: 0, 'old.canvas': 0, 'new.canvas': 5 })) {
    writeFileSync(
      join(folder, name),
      `${JSON.stringify({ nodes: [{ id: 'a', type: 'text', text: 'A', x, y: 0 }] })}\n`,
    );
  }
  await run('git init --quiet .');
  const replace = [
    ['mqtt://broker.example.org', broker.url],
    ['z6Mk…,z6Mk…', peerId],
    ['z6Mk…', peerId],
    // What comes before a script (`pre…`) is done already.
    [/^npm run (\S+)/, (_, name) => SCRIPTS[name].replace('node dist/mqtt-cli.js', 'mqtt-p2p')],
    // The usual port may be somebody's.
    [/^mqtt-p2p server(?!.*--broker)/, '$& --listen 127.0.0.1:0'],
  ];
  return { run, replace, environment: (line) => (/ server\b/.test(line) ? {} : address) };
}

/** Three brokers with TLS: for users with passwords, with WebSockets, and for those with a certificate. */
async function tlsStage(t) {
  const ca = certificateAuthority(t);
  const name = 'broker.example.org';
  const { certFile, keyFile } = ca.issue(name);
  const named = ca.issue(name, { alternatives: [{ type: 2, value: name }] });
  const tls = { certFile, keyFile };
  const users = await startedBroker(t, { tls, users: { ada: PASSWORD } });
  const web = await startedBroker(t, { tls, websocket: {} });
  const own = await startedBroker(t, {
    tls: { certFile: named.certFile, keyFile: named.keyFile, clientCaFile: ca.file },
  });
  const { folder, home, run } = sandbox(t, { SSL_CERT_FILE: ca.file });
  mkdirSync(join(home, 'vault'));
  const ada = ca.issue('ada');
  copyFileSync(ca.file, join(folder, 'ca.pem'));
  copyFileSync(ada.certFile, join(folder, 'ada.pem'));
  copyFileSync(ada.keyFile, join(folder, 'ada.key'));
  const replace = [
    [`ada@${name}`, `ada@127.0.0.1:${users.port}`],
    [`wss://${name}/`, `wss://127.0.0.1:${web.websocketPort}/`],
    ['mqtts://10.0.0.7', `mqtts://127.0.0.1:${own.port}`],
  ];
  return { run, replace, environment: (line) => (line.includes('ada@') ? { MQTT_PASSWORD: PASSWORD } : {}) };
}

/** Two branches that changed one canvas each in its own way. */
async function gitStage(t) {
  const { folder, run } = sandbox(t);
  const canvas = (x, text) => `${JSON.stringify({ nodes: [{ id: 'a', type: 'text', text, x, y: 0 }], edges: [] })}\n`;
  const commit = async (...of) => {
    writeFileSync(join(folder, 'old.canvas'), canvas(...of));
    await run('git add -A && git commit --quiet -m step');
  };
  await run("git init --quiet -b main && git config user.name T && git config user.email 't@example.org'");
  writeFileSync(join(folder, 'new.canvas'), canvas(3, 'other'));
  await commit(0, 'first');
  await run('git checkout --quiet -b other-branch');
  await commit(0, 'second');
  await run('git checkout --quiet main');
  await commit(7, 'first');
  return { run };
}

/** What the README of a broker in `deploy/` sets up: the broker, if it is used, and paths of the system below a folder. */
async function brokerStage(t, name, lines, start) {
  const broker = lines.includes('--broker') ? await start(t, PASSWORDS) : {};
  const { folder, run } = sandbox(t, broker.caFile && { SSL_CERT_FILE: broker.caFile });
  cpSync(join(ROOT, 'deploy', name), folder, { recursive: true });
  for (const made of SYSTEM) mkdirSync(join(folder, made), { recursive: true });
  const replace = [
    ...below(folder),
    [/^mkdir /, 'mkdir -p '],
    ['MQTT_PASSWORD=…', `MQTT_PASSWORD=${PASSWORDS.ada}`],
    ['mqtts://ada@broker.example.org', `mqtts://ada@127.0.0.1:${broker.port}`],
    ['mqtt://broker.example.org', `mqtt://127.0.0.1:${broker.port}`],
  ];
  // Nothing but TLS is open; and RabbitMQ gives no retained messages to wildcards, which is told.
  const fails = (line) => line.includes('--broker mqtt://') || name === 'rabbitmq';
  return { run, replace, status: (line) => (line.includes('--broker') && fails(line) ? 1 : 0) };
}

/** Directories of the system that packages, or steps before, have made. */
const SYSTEM = [
  'etc/mosquitto/mqtt-p2p',
  'etc/mqtt-p2p-nats',
  'etc/rabbitmq/mqtt-p2p',
  'etc/sysusers.d',
  'etc/systemd/system',
  'var/lib/mqtt-p2p-nats',
];

/** Puts paths of the system below a folder. */
const below = (folder) => [[/(?<= )\/(etc|var)\//g, `${folder}/$1/`]];

/** A broker with a certificate that is trusted here. */
async function withCa(t, start) {
  const ca = certificateAuthority(t);
  const broker = await start(ca.issue('broker'));
  scoped(t).defer(() => broker.stop());
  return { port: broker.port, caFile: ca.file };
}

/** `deploy/` as it is, with paths of the system below a folder. */
async function deployStage(t) {
  const { folder, run } = sandbox(t);
  cpSync(join(ROOT, 'deploy'), folder, { recursive: true });
  for (const made of SYSTEM) mkdirSync(join(folder, made), { recursive: true });
  writeFileSync(join(folder, 'environment'), '');
  return { run, replace: below(folder) };
}

async function startedBroker(t, options = {}) {
  const broker = await startBroker(options);
  scoped(t).defer(() => broker.stop());
  return broker;
}
