import { Command } from 'commander';
import { type HealthReport, MQTTIntegrationService, MqttP2pError } from '../index.js';
import { interruptible } from './lifetime.js';
import { CROSS, colour, print, printJson, TICK } from './output.js';
import { type CommonOptions, settings, withCommonOptions } from './settings.js';

/** Shorter than the service's own: whoever asks wants an answer. */
const CONNECT_TIMEOUT_MS = 3000;

/** `mqtt-p2p health`: exit status 1 when something is wrong. */
export function health(): Command {
  return withCommonOptions(new Command('health')).description('check the broker and this peer').action(run);
}

async function run(options: CommonOptions): Promise<void> {
  const { config, json } = settings(options, ['default']);
  config.broker = { connectTimeoutMs: CONNECT_TIMEOUT_MS, ...config.broker };
  const service = new MQTTIntegrationService(config);
  service.on('error', () => {}); // The report tells.
  await interruptible(
    async () => {
      const report = await check(service);
      if (json) printJson(report);
      else show(report);
      if (!report.healthy) process.exitCode = 1;
    },
    () => service.disconnect(),
  );
}

/** A broker that cannot be used is an unhealthy system, not a failure of the check. */
async function check(service: MQTTIntegrationService): Promise<HealthReport> {
  try {
    await service.initialize();
    return await service.healthCheck();
  } catch (error) {
    if (!(error instanceof MqttP2pError) || error.code === 'ERR_CONFIG_INVALID') throw error;
    return { healthy: false, checks: [{ name: 'broker', ok: false, detail: `${error.code}: ${error.message}` }] };
  }
}

function show({ healthy, checks }: HealthReport): void {
  const width = Math.max(...checks.map(({ name }) => name.length));
  for (const { name, ok, detail, remedy } of checks) {
    print(`${ok ? TICK : CROSS} ${name.padEnd(width)}  ${detail}`);
    if (remedy) print(`  ${' '.repeat(width)}  ${colour.yellow(remedy)}`);
  }
  print(healthy ? colour.green('healthy') : colour.red('unhealthy'));
}
