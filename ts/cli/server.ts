import { Command, InvalidArgumentError } from 'commander';
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
import { forever, interruptible } from './lifetime.js';
import { clock, colour, note, print, printJson, shortPeer } from './output.js';
import { type Observatory, observe } from './server-http.js';
import {
  type Settings,
  type StorageOptions,
  settings,
  UsageError,
  wholeNumber,
  withStorage,
  withStorageOptions,
} from './settings.js';

interface Options extends StorageOptions {
  listen: BrokerOptions;
  websocketListen?: number;
  http?: BrokerOptions;
}

/** `mqtt-p2p server`: a broker, unless another is named, and a peer that stays on and keeps all canvases. */
export function server(): Command {
  return withStorageOptions(new Command('server'))
    .summary('a peer that stays on, with a broker if none is named')
    .description('start a broker (unless --broker names another one) and a peer that stays on')
    .option('--listen <host:port>', 'where the embedded broker listens', address, { host: '127.0.0.1', port: 1883 })
    .option(
      '--websocket-listen <port>',
      'port of the same address where the embedded broker takes MQTT over WebSockets too',
      wholeNumber(0, 65_535),
    )
    .option('--http <host:port>', 'serve /healthz, /readyz and /metrics (Prometheus) there', address)
    .addHelpText('after', EXAMPLES)
    .action((options: Options, command: Command) => {
      const listen =
        command.getOptionValueSource('listen') === 'default' && options.websocketListen === undefined
          ? 'if-free'
          : 'always';
      return run(options, settings(options, ['default']), listen);
    });
}

const EXAMPLES = `
Examples:
  mqtt-p2p server --repositories team
  mqtt-p2p server --broker mqtt://broker.example.org --repositories team --http 127.0.0.1:8780
Without --broker and --listen it takes the broker that runs on this machine's port 1883, or else starts the embedded one
there.
SIGTERM and Ctrl-C end it within two seconds; a second one at once.`;

async function run(options: Options, wanted: Settings, listen: 'always' | 'if-free'): Promise<void> {
  const { config, json } = wanted;
  let broker: EmbeddedBroker | undefined;
  let service: MQTTIntegrationService | undefined;
  let observatory: Observatory | undefined;
  await interruptible(
    async () => {
      // By the address asked for, not the one given: port 0 is another one each time.
      if (!wanted.brokerGiven) config.broker = { ...config.broker, ...options.listen };
      withStorage(wanted, options, 'server');
      // Whoever has a broker running on the usual port means that one.
      if (wanted.brokerGiven && options.websocketListen !== undefined) {
        throw new UsageError('--websocket-listen is for the embedded broker, and --broker names another one');
      }
      const found = !wanted.brokerGiven && listen === 'if-free' && (await answers(options.listen));
      if (found) note(colour.dim('something listens there already: no embedded broker is started'));
      if (!wanted.brokerGiven && !found) {
        const port = options.websocketListen;
        broker = await listenOn({ ...options.listen, ...(port !== undefined && { websocket: { port } }) });
        config.broker = { ...config.broker, host: broker.host, port: broker.port };
      }
      service = new MQTTIntegrationService({ capabilities: ['server'], ...config });
      follow(service, json);
      // Before it is connected: probes want an answer at once.
      if (options.http) observatory = await observeOn(service, options.http);
      await service.initialize();
      announce(service, { broker, observatory, dataDir: config.storage?.path ?? null }, json);
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
function observeOn(service: MQTTIntegrationService, options: BrokerOptions): Promise<Observatory> {
  return observe(service, options).catch((error: Error) => {
    throw new Error(`--http ${options.host}:${options.port}: ${error.message}`);
  });
}

interface Started {
  broker: EmbeddedBroker | undefined;
  observatory: Observatory | undefined;
  dataDir: string | null;
}

function announce(service: MQTTIntegrationService, { broker, observatory, dataDir }: Started, json: boolean): void {
  const status = service.getNetworkStatus();
  const url = broker?.url ?? urlOf(status.broker);
  const repositories = Object.keys(status.repositories);
  if (json) {
    const { peerId } = status;
    const embedded = broker !== undefined;
    const http = observatory?.url ?? null;
    printJson({
      event: 'ready',
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

/** Prints what happens. */
function follow(service: MQTTIntegrationService, json: boolean): void {
  const tell = (event: string, line: string, payload: object) => {
    if (json) printJson({ event, time: new Date().toISOString(), ...payload });
    else print(`${clock()} ${line}`);
  };
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

function address(text: string): BrokerOptions {
  const [, host, port] = /^(.+):(\d+)$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65535) throw new InvalidArgumentError('Expected host:port.');
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}
