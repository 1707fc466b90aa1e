import { Command } from 'commander';
import { MQTTIntegrationService, type PerformanceReport } from '../index.js';
import { type Choice, chooseBroker } from './broker-choice.js';
import { interruptible } from './lifetime.js';
import { colour, milliseconds, note, print, printJson, table } from './output.js';
import { working } from './progress.js';
import { type CommonOptions, settings, wholeNumber, withCommonOptions } from './settings.js';
import { size } from './text.js';

interface Options extends CommonOptions {
  messages: number;
  payload?: number;
}

const DEFAULT_MESSAGES = 500;
const MAX_MESSAGES = 100_000;
const PAYLOADS_BYTES = [100, 1000, 10_000, 100_000];
/** Large ones are sent less often, so that it stays quick. */
const MAX_BYTES_IN_ALL = 20_000_000;

/** `mqtt-p2p bench`: how fast a broker is, for this machine. */
export function bench(): Command {
  return withCommonOptions(new Command('bench'))
    .summary('measure latency and throughput of a broker')
    .description('measure latency and throughput of a broker with messages of several sizes')
    .option('--messages <number>', 'messages of each size', wholeNumber(1, MAX_MESSAGES), DEFAULT_MESSAGES)
    .option('--payload <bytes>', 'one size instead of several', wholeNumber(8, 1_000_000))
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  mqtt-p2p bench --broker mqtt://broker.example.org
  mqtt-p2p bench --payload 200 --messages 5000 --json
Without --broker it takes the one on this machine's port 1883, or else an embedded one. For limits, see test.`;

async function run(options: Options): Promise<void> {
  const wanted = settings(options, ['bench']);
  let choice: Choice | undefined;
  let service: MQTTIntegrationService | undefined;
  await interruptible(
    async () => {
      choice = await chooseBroker(wanted);
      note(colour.dim(`broker ${choice.url}${choice.how === 'embedded' ? ' (embedded)' : ''}`));
      const peer = new MQTTIntegrationService(wanted.config);
      service = peer;
      const sizes = options.payload === undefined ? PAYLOADS_BYTES : [options.payload];
      const reports = await working('connecting', async (progress) => {
        await peer.initialize();
        const reports: PerformanceReport[] = [];
        for (const payloadBytes of sizes) {
          progress(`messages of ${size(payloadBytes)}`);
          const messages = Math.max(1, Math.min(options.messages, Math.floor(MAX_BYTES_IN_ALL / payloadBytes)));
          reports.push(await peer.performanceTest({ messages, payloadBytes }));
        }
        return reports;
      });
      if (wanted.json) printJson({ broker: choice.url, how: choice.how, reports });
      else show(reports);
    },
    async () => {
      await service?.disconnect();
      await choice?.stop();
    },
  );
}

function show(reports: PerformanceReport[]): void {
  const rows = reports.map(({ payloadBytes, messages, latencyMs, throughputPerSecond }) => [
    size(payloadBytes),
    String(messages),
    ...[latencyMs.p50, latencyMs.p95, latencyMs.p99].map(milliseconds),
    `${Math.round(throughputPerSecond)}/s`,
    `${size(throughputPerSecond * payloadBytes)}/s`,
  ]);
  for (const line of table([['payload', 'messages', 'p50', 'p95', 'p99', 'round trips', 'bytes'], ...rows]))
    print(line);
}
