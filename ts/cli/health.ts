import { Command } from 'commander';
import { type HealthReport, MQTTIntegrationService, MqttP2pError } from '../index.js';
import { applicationData, type Environment } from './data-directory.js';
import { type Check, catchingUp, clocks, connecting, storage, withReason } from './health-checks.js';
import { interruptible } from './lifetime.js';
import { CROSS, colour, print, printJson, TICK } from './output.js';
import { working } from './progress.js';
import { type CommonOptions, repositoryNames, type Settings, settings, withCommonOptions } from './settings.js';

interface Options extends CommonOptions {
  dataDir?: string;
}

/** Shorter than the service's own: whoever asks wants an answer. */
const CONNECT_TIMEOUT_MS = 3000;

/** `mqtt-p2p health`: exit status 1 when something is wrong. */
export function health(): Command {
  return withCommonOptions(new Command('health'))
    .summary('check broker, peers and storage, and say what to do')
    .description('check the broker, the other peers and the place for canvases, and say what to do')
    .option(
      '--data-dir <path>',
      'where canvases are kept (default: MQTT_DATA_DIR, the configuration, or the system’s place)',
    )
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  mqtt-p2p health --broker mqtt://broker.example.org --repositories team
  mqtt-p2p health --json | jq '.checks[] | select(.ok | not)'
It joins for a moment. What it publishes to test the broker is taken back.`;

async function run(options: Options): Promise<void> {
  const wanted = settings(options, ['default']);
  wanted.config.broker = { connectTimeoutMs: CONNECT_TIMEOUT_MS, ...wanted.config.broker };
  const service = new MQTTIntegrationService(wanted.config);
  service.on('error', () => {}); // The report tells.
  await interruptible(
    async (interrupted) => {
      const checks = [...(await network(service, wanted)), storage(place(options, wanted))];
      // Of what was not finished nothing is known.
      if (interrupted.aborted) return;
      const report = { healthy: checks.every(({ ok }) => ok), checks };
      if (wanted.json) printJson(report);
      else show(report);
      if (!report.healthy) process.exitCode = 1;
    },
    () => service.disconnect(),
  );
}

/** A broker that cannot be used is an unhealthy system, not a failure of the check. */
async function network(service: MQTTIntegrationService, wanted: Settings): Promise<Check[]> {
  const start = performance.now();
  try {
    return await working('connecting', async (progress) => {
      await service.initialize();
      const connected = connecting(performance.now() - start);
      progress('asking the other peers');
      const caughtUp = await Promise.all(repositoryNames(wanted).map((name) => catchingUp(service, name)));
      const peers = await discover(service);
      progress('testing the broker');
      const { checks } = await service.healthCheck();
      const status = service.getNetworkStatus();
      return [connected, ...checks.map((check) => withReason(check, status)), clocks(peers), ...caughtUp];
    });
  } catch (error) {
    if (!(error instanceof MqttP2pError) || error.code === 'ERR_CONFIG_INVALID') throw error;
    return [
      {
        name: 'broker',
        ok: false,
        detail: `${error.code}: ${error.message}`,
        remedy: 'start the broker, or check --broker, user, password and its access rules',
      },
    ];
  }
}

async function discover(service: MQTTIntegrationService) {
  try {
    return await service.discoverPeers();
  } catch (error) {
    if (error instanceof MqttP2pError && error.code === 'ERR_FEATURE_DISABLED') return [];
    throw error;
  }
}

function place({ dataDir }: Options, { storage }: Settings, environment: Environment = process.env): string {
  return dataDir ?? (environment.MQTT_DATA_DIR || storage?.path) ?? applicationData(environment);
}

function show({ healthy, checks }: HealthReport): void {
  const width = Math.max(...checks.map(({ name }) => name.length));
  for (const { name, ok, detail, remedy } of checks) {
    print(`${ok ? TICK : CROSS} ${name.padEnd(width)}  ${detail}`);
    if (remedy) print(`  ${' '.repeat(width)}  ${colour.yellow(remedy)}`);
  }
  print(healthy ? colour.green('healthy') : colour.red('unhealthy'));
}
