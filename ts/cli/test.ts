import { Command } from 'commander';
import { type EmbeddedBroker, MQTTIntegrationService, type PerformanceReport, startBroker } from '../index.js';
import { interruptible } from './lifetime.js';
import { CROSS, colour, milliseconds, print, printJson, TICK, table } from './output.js';
import { type CommonOptions, type Settings, settings, wholeNumber, withCommonOptions } from './settings.js';

interface Options extends CommonOptions {
  duration: number;
}

/** One measured figure and the limit it must keep. */
interface Figure {
  name: string;
  measured: string;
  limit: string;
  ok: boolean;
}

/** The worst values that pass: those which the guide calls typical. */
const MAX_CONNECT_MS = 500;
const MAX_LATENCY_MS = 50;
const MIN_THROUGHPUT_PER_SECOND = 100;

/** `mqtt-p2p test`: measures round trips and compares them with limits; exit status 1 when one is missed. */
export function test(): Command {
  return withCommonOptions(new Command('test'))
    .description('measure round trips through a broker (embedded unless --broker) against limits')
    .option('--duration <seconds>', 'how long to measure', wholeNumber(1, 3600), 5)
    .action((options: Options) => run(options.duration, settings(options, ['mqtt-p2p-test'])));
}

async function run(duration: number, { config, brokerGiven, json }: Settings): Promise<void> {
  let broker: EmbeddedBroker | undefined;
  let service: MQTTIntegrationService | undefined;
  await interruptible(
    async (interrupted) => {
      if (!brokerGiven) broker = await startBroker();
      if (broker) config.broker = { ...config.broker, host: broker.host, port: broker.port };
      service = new MQTTIntegrationService(config);
      const start = performance.now();
      await service.initialize();
      const connectMs = performance.now() - start;
      const rounds = await measure(service, duration * 1000, interrupted);
      const figures = judge(connectMs, rounds);
      if (json) printJson({ passed: figures.every(({ ok }) => ok), figures });
      else show(figures, rounds.length);
      if (!figures.every(({ ok }) => ok)) process.exitCode = 1;
    },
    async () => {
      await service?.disconnect();
      await broker?.stop();
    },
  );
}

async function measure(
  service: MQTTIntegrationService,
  durationMs: number,
  interrupted: AbortSignal,
): Promise<PerformanceReport[]> {
  const rounds: PerformanceReport[] = [];
  const end = performance.now() + durationMs;
  do {
    rounds.push(await service.performanceTest());
  } while (performance.now() < end && !interrupted.aborted);
  return rounds;
}

function judge(connectMs: number, rounds: PerformanceReport[]): Figure[] {
  // Of all rounds the worst one counts.
  const p50 = Math.max(...rounds.map(({ latencyMs }) => latencyMs.p50));
  const p99 = Math.max(...rounds.map(({ latencyMs }) => latencyMs.p99));
  const throughput = Math.min(...rounds.map(({ throughputPerSecond }) => throughputPerSecond));
  const atMost = (name: string, ms: number, limit: number): Figure => ({
    name,
    measured: milliseconds(ms),
    limit: `at most ${limit} ms`,
    ok: ms <= limit,
  });
  return [
    atMost('connecting', connectMs, MAX_CONNECT_MS),
    atMost('round trip, p50', p50, MAX_LATENCY_MS),
    atMost('round trip, p99', p99, MAX_LATENCY_MS),
    {
      name: 'round trips',
      measured: `${Math.round(throughput)}/s`,
      limit: `at least ${MIN_THROUGHPUT_PER_SECOND}/s`,
      ok: throughput >= MIN_THROUGHPUT_PER_SECOND,
    },
  ];
}

function show(figures: Figure[], rounds: number): void {
  const [heading, ...lines] = table([
    ['figure', 'measured', 'limit'],
    ...figures.map(({ name, measured, limit }) => [name, measured, limit]),
  ]);
  print(`  ${heading}`);
  for (const [index, line] of lines.entries()) print(`${figures[index]?.ok ? TICK : CROSS} ${line}`);
  print(colour.dim(`the worst of ${rounds} rounds`));
}
