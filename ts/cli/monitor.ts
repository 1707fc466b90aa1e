import { Command } from 'commander';
import type { NetworkStatus } from '../index.js';
import { pause, withService } from './lifetime.js';
import { clock, colour, print, printJson } from './output.js';
import { type CommonOptions, settings, wholeNumber, withCommonOptions } from './settings.js';

interface Options extends CommonOptions {
  interval: number;
  once?: boolean;
}

/** `mqtt-p2p monitor`: one line of figures at every interval. */
export function monitor(): Command {
  return withCommonOptions(new Command('monitor'))
    .description('report figures at an interval, until interrupted')
    .option('--interval <seconds>', 'time between two reports', wholeNumber(1, 86_400), 5)
    .option('--once', 'report once and end')
    .action(run);
}

async function run(options: Options): Promise<void> {
  const wanted = settings(options, ['default']);
  await withService(wanted, async (service, interrupted) => {
    let before: NetworkStatus | undefined;
    while (!interrupted.aborted) {
      const status = service.getNetworkStatus();
      if (wanted.json) printJson({ time: new Date().toISOString(), ...status });
      else print(line(status, before));
      if (options.once) return;
      before = status;
      await pause(options.interval * 1000, interrupted);
    }
  });
}

function line(status: NetworkStatus, before: NetworkStatus | undefined): string {
  const seconds = before ? (status.uptimeMs - before.uptimeMs) / 1000 : 0;
  const rate = (now: number, then: number | undefined) =>
    then === undefined || seconds <= 0 ? '-' : ((now - then) / seconds).toFixed(1);
  const repositories = Object.values(status.repositories);
  const sum = (of: (repository: (typeof repositories)[number]) => number) =>
    repositories.reduce((total, repository) => total + of(repository), 0);
  return [
    clock(),
    status.connected ? colour.green('connected   ') : colour.red('disconnected'),
    `peers ${status.peers}`,
    `canvases ${sum(({ canvases }) => canvases)}`,
    `in ${rate(status.messages.received, before?.messages.received)}/s`,
    `out ${rate(status.messages.sent, before?.messages.sent)}/s`,
    `queued ${status.queue.messages}`,
    `pending edits ${sum(({ pendingEdits }) => pendingEdits)}`,
    `dropped ${status.messages.dropped}`,
    `reconnects ${status.reconnects}`,
    `memory ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MB`,
  ].join('  ');
}
