import { join } from 'node:path';
import { Command } from 'commander';
import {
  type BrokerOptions,
  type CanvasEvent,
  type EmbeddedBroker,
  MQTTIntegrationService,
  type MqttP2pError,
  startBroker,
} from '../index.js';
import { urlOf } from './broker.js';
import { answers } from './broker-choice.js';
import { checkDataDirectory, type Group, type GroupFlags, groupOf, withGroupOptions } from './group-options.js';
import { forever, interruptible } from './lifetime.js';
import { address, type ListenFlags, listening, ownAddress, wantsEmbedded, withListenOptions } from './listen.js';
import { clock, colour, note, print, printJson, shortPeer } from './output.js';
import { nameOf, ServerGroup } from './server-group.js';
import { type Followed, type Observatory, observe } from './server-http.js';
import {
  type Settings,
  type StorageOptions,
  settings,
  UsageError,
  withStorage,
  withStorageOptions,
} from './settings.js';

interface Options extends StorageOptions, ListenFlags, GroupFlags {
  http?: BrokerOptions;
}

/** `mqtt-p2p server`: a broker, unless another is named, and a peer that stays on and keeps all canvases. */
export function server(): Command {
  return withGroupOptions(withListenOptions(withStorageOptions(new Command('server'))))
    .summary('a peer that stays on, with a broker if none is named')
    .description('start a broker (unless --broker names another one) and a peer that stays on')
    .option('--http <host:port>', 'serve /healthz, /readyz and /metrics (Prometheus) there', address)
    .addHelpText('after', EXAMPLES)
    .action((options: Options, command: Command) => {
      const asked = wantsEmbedded(options);
      const listen = command.getOptionValueSource('listen') === 'default' && !asked ? 'if-free' : 'always';
      const wanted = settings(options, ['default']);
      if (asked && wanted.brokerGiven) {
        throw new UsageError(`${asked} is for the embedded broker, and another one is named`);
      }
      const group = groupOf(options, wanted);
      if (group && command.getOptionValueSource('listen') !== 'default') {
        throw new UsageError('--listen is for the embedded broker, and a group of servers needs another one');
      }
      return run(options, wanted, listen, group);
    });
}

const EXAMPLES = `
Examples:
  mqtt-p2p server --repositories team
  mqtt-p2p server --broker mqtt://broker.example.org --repositories team --http 127.0.0.1:8780
  mqtt-p2p server --broker mqtt://broker.example.org --repositories team,sales --group main --replicas 2
  mqtt-p2p server --listen 0.0.0.0:8883 --listen-tls-cert broker.pem --listen-tls-key broker.key --users-file users.json
Without --broker and --listen it takes the broker that runs on this machine's port 1883, or else starts the embedded one
there. Its own peer connects as any other: with TLS it needs --tls-ca unless the system knows the CA, and with
--listen-tls-client-ca a certificate of its own (--tls-cert, --tls-key). With --users-file it has a user of its own.
SIGTERM and Ctrl-C end it within two seconds; a second one at once.`;

async function run(
  options: Options,
  wanted: Settings,
  listen: 'always' | 'if-free',
  group: Group | undefined,
): Promise<void> {
  const { config, json } = wanted;
  let broker: EmbeddedBroker | undefined;
  let service: MQTTIntegrationService | ServerGroup | undefined;
  let observatory: Observatory | undefined;
  await interruptible(
    async () => {
      // By the address asked for, not the one given: port 0 is another one each time.
      if (!wanted.brokerGiven) config.broker = { ...config.broker, ...options.listen };
      withStorage(wanted, options, group ? join('server-group', group.name) : 'server');
      if (group) checkDataDirectory(config.storage?.path);
      // Whoever has a broker running on the usual port means that one.
      const found = !wanted.brokerGiven && listen === 'if-free' && (await answers(options.listen));
      if (found) note(colour.dim('something listens there already: no embedded broker is started'));
      if (!wanted.brokerGiven && !found) {
        const { options: ofBroker, user } = listening(options, config.broker);
        broker = await listenOn(ofBroker);
        config.broker = { ...config.broker, ...user, ...ownAddress(broker, ofBroker, config.broker) };
      }
      service = group
        ? new ServerGroup(config, group.name, group.replicas)
        : new MQTTIntegrationService({ capabilities: ['server'], ...config });
      follow(service, json);
      if (service instanceof ServerGroup) followGroup(service.division, json);
      // Before it is connected: probes want an answer at once.
      if (options.http) observatory = await observeOn(service, options.http);
      await service.initialize();
      const repositories = config.repositories.map(nameOf);
      announce(service, { broker, observatory, repositories, dataDir: config.storage?.path ?? null }, json);
      await forever();
    },
    async () => {
      await observatory?.stop();
      await service?.disconnect();
      await broker?.stop();
    },
  );
}

/** That a port cannot be had is a failure, not wrong usage, whatever the error's code. */
function listenOn(options: BrokerOptions): Promise<EmbeddedBroker> {
  return startBroker(options).catch((error: MqttP2pError) => {
    throw new Error(`${error.code}: ${error.message}`);
  });
}

/** That a port cannot be had is a failure that names the port. */
function observeOn(service: Followed, options: BrokerOptions): Promise<Observatory> {
  return observe(service, options).catch((error: Error) => {
    throw new Error(`--http ${options.host}:${options.port}: ${error.message}`);
  });
}

interface Started {
  repositories: string[];
  broker: EmbeddedBroker | undefined;
  observatory: Observatory | undefined;
  dataDir: string | null;
}

function announce(service: Followed, { broker, observatory, repositories, dataDir }: Started, json: boolean): void {
  const status = service.getNetworkStatus();
  const url = broker?.url ?? urlOf(status.broker);
  if (json) {
    const { peerId } = status;
    const embedded = broker !== undefined;
    const http = observatory?.url ?? null;
    printJson({
      event: 'ready',
      time: new Date().toISOString(),
      broker: url,
      websocket: broker?.websocketUrl ?? null,
      embedded,
      peerId,
      repositories,
      dataDir,
      http,
    });
    return;
  }
  print(`broker        ${url}${broker ? ' (embedded: it ends with this process)' : ''}`);
  if (broker?.websocketUrl) print(`websocket     ${broker.websocketUrl}`);
  print(`peer          ${status.peerId}`);
  print(`repositories  ${repositories.join(', ')}`);
  print(`data          ${dataDir ?? 'in memory only'}`);
  if (observatory) print(`http          ${observatory.url} (/healthz, /readyz, /metrics)`);
  print(colour.dim('Ctrl-C stops.'));
}

/** Prints one thing that happened. */
const teller = (json: boolean) => (event: string, line: string, payload: object) => {
  if (json) printJson({ event, time: new Date().toISOString(), ...payload });
  else print(`${clock()} ${line}`);
};

/** Prints how a group divides its repositories. */
function followGroup(group: ServerGroup['division'], json: boolean): void {
  const tell = teller(json);
  group.on('members', (event) => tell('members', `the group has ${event.members.length} members`, event));
  group.on('serving', (event) => tell('serving', `serves ${event.repository} as ${shortPeer(event.peerId)}`, event));
  group.on('left', (event) => tell('left', `leaves ${event.repository} to others`, event));
}

/** Prints what happens. */
function follow(service: Followed, json: boolean): void {
  const tell = teller(json);
  for (const event of ['canvas-created', 'canvas-deleted', 'canvas-shared'] as const) {
    service.on(event, ({ repository, canvasId, author }: CanvasEvent) => {
      tell(event, `${event.replace('-', ' ')}: ${repository}/${canvasId} by ${author || 'unknown'}`, {
        repository,
        canvasId,
        author,
      });
    });
  }
  for (const event of ['peer-discovered', 'peer-left'] as const) {
    service.on(event, (peer) => {
      const verb = event === 'peer-left' ? 'left' : 'joined';
      tell(event, `peer ${shortPeer(peer.id)} ${verb} ${peer.repository}`, peer);
    });
  }
  for (const event of ['connected', 'disconnected', 'reconnecting'] as const) {
    service.on(event, (link: object) => tell(event, `broker ${event}`, link));
  }
  service.on('error', ({ code, message }) => tell('error', colour.red(`${code}: ${message}`), { code, message }));
}
