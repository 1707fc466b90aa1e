import { closeSync, openSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { apart, type Choice, chooseBroker } from './broker-choice.js';
import { interruptible } from './lifetime.js';
import { CROSS, colour, note, print, printJson, TICK, table } from './output.js';
import { working } from './progress.js';
import { type CommonOptions, settings, UsageError, withCommonOptions } from './settings.js';
import { sweep } from './sweep.js';
import { type Figure, judge, passed, shown } from './test-figures.js';
import { html } from './test-report.js';
import { Suite } from './test-suite.js';

interface Options extends CommonOptions {
  duration: number;
  report?: string;
}

const MINUTE_MS = 60_000;
const MAX_MINUTES = 1440;

/** `mqtt-p2p test`: the integration suite, measured; exit status 1 when a limit is missed. */
export function test(): Command {
  return withCommonOptions(new Command('test'))
    .summary('measure a suite through a broker, against limits')
    .description(
      'measure connecting, latency, throughput, syncing, discovery and merging through a broker, against limits',
    )
    .option('--duration <minutes>', 'how long to measure; everything is measured once at least', minutes, 1)
    .option('--report <file>', 'write a page with the figures and a picture of the latency')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  mqtt-p2p test --duration 5 --broker mqtt://broker.example.org --report out.html
  mqtt-p2p test --duration 0.5 --json | jq '.figures[] | select(.ok | not)'
Without --broker it takes the one on this machine's port 1883, or else an embedded one. Two peers meet below a topic prefix
of their own, and take away what they leave.`;

async function run(options: Options): Promise<void> {
  const wanted = settings(options, ['test']);
  if (options.repositories) throw new UsageError('test makes its own repositories');
  // Not after minutes of measuring.
  if (options.report) closeSync(openSync(options.report, 'a'));
  let choice: Choice | undefined;
  let suite: Suite | undefined;
  await interruptible(
    async (interrupted) => {
      choice = await chooseBroker(wanted);
      const { url, how } = choice;
      const name = how === 'embedded' ? `${url} (embedded)` : url;
      note(colour.dim(`broker ${name}`));
      apart(wanted, 'test');
      const running = new Suite(wanted.config);
      suite = running;
      const start = performance.now();
      await working('testing', (progress) => running.run(options.duration * MINUTE_MS, interrupted, progress));
      const durationMs = performance.now() - start;
      const figures = judge(running.measured);
      const { latencyMs } = running.measured;
      if (options.report) {
        const report = { broker: name, time: new Date().toISOString(), durationMs, figures, latencyMs };
        writeFileSync(options.report, html(report));
      }
      if (wanted.json) printJson({ passed: passed(figures), broker: url, how, durationMs, figures });
      else show(figures);
      if (options.report) note(`the report is in ${options.report}`);
      if (!passed(figures)) process.exitCode = 1;
    },
    async () => {
      await suite?.stop();
      if (suite) await sweep(wanted.config);
      await choice?.stop();
    },
  );
}

function show(figures: Figure[]): void {
  const rows = figures.map(({ name, value, unit, must, limit, samples }) => {
    return [name, shown(value, unit), `${must} ${limit}${unit === '/s' ? '/s' : ` ${unit}`}`, String(samples)];
  });
  const [heading, ...lines] = table([['figure', 'measured', 'limit', 'samples'], ...rows]);
  print(`  ${heading}`);
  for (const [index, line] of lines.entries()) {
    const figure = figures[index];
    print(`${figure?.value === null ? colour.dim('–') : figure?.ok ? TICK : CROSS} ${line}`);
  }
  print(passed(figures) ? colour.green('passed') : colour.red('missed'));
}

function minutes(text: string): number {
  const number = Number(text);
  if (!(number > 0 && number <= MAX_MINUTES)) {
    throw new InvalidArgumentError(`Expected a number of minutes above 0, at most ${MAX_MINUTES}.`);
  }
  return number;
}
