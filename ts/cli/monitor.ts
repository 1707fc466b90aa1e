import { Command } from 'commander';
import { MQTTIntegrationService, type NetworkStatus, type PeerInfo } from '../index.js';
import { endToEnd, type Quantiles, rates, totals } from './figures.js';
import { interruptible, pause } from './lifetime.js';
import { type History, type Report, screen } from './monitor-screen.js';
import { clock, colour, print, printJson } from './output.js';
import { Screen } from './screen.js';
import { type CommonOptions, type Settings, settings, wholeNumber, withCommonOptions } from './settings.js';

interface Options extends CommonOptions {
  interval: number;
  once?: boolean;
}

const MAX_ERRORS = 50;
const MAX_HISTORY = 120;
/** Round trips that are measured for each report. */
const PROBES = 20;
/** How often the others are asked for what they say of themselves, and how long that may take. */
const ASK_PEERS_MS = 60_000;
const ANSWER_MS = 200;
const PLAIN_COLUMNS = 120;

/** `mqtt-p2p monitor`: figures, live. */
export function monitor(): Command {
  return withCommonOptions(new Command('monitor'))
    .description('show live figures, until interrupted')
    .option('--interval <seconds>', 'time between two reports', wholeNumber(1, 86_400), 5)
    .option('--once', 'report once and end')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  mqtt-p2p monitor --repositories team --interval 2
  mqtt-p2p monitor --once
  mqtt-p2p monitor --json | jq '.rates'
In a terminal it fills the screen; elsewhere each report is a line.`;

async function run(options: Options): Promise<void> {
  const wanted = settings(options, ['default']);
  // A broker that is away is something to show.
  wanted.config = { offline: options.once ? 'reject' : 'allow', ...wanted.config };
  const service = new MQTTIntegrationService(wanted.config);
  const watch = new Watch(service, options.interval);
  let live: Screen | undefined;
  await interruptible(
    async (interrupted) => {
      await service.initialize();
      if (!options.once && !wanted.json && process.stdout.isTTY) live = new Screen(() => draw());
      let report: Report | undefined;
      const draw = () => live && report && live.draw(screen(report, live.columns, live.rows));
      while (!interrupted.aborted) {
        report = await watch.look();
        if (live) draw();
        else tell(report, wanted, options);
        if (options.once) return;
        await pause(options.interval * 1000, interrupted);
      }
    },
    async () => {
      live?.leave();
      await service.disconnect();
    },
  );
}

/** Prints a report where there is no screen. */
function tell(report: Report, { json }: Settings, { once }: Options): void {
  if (json) printJson(asJson(report));
  else if (once) for (const text of screen(report, PLAIN_COLUMNS, Number.POSITIVE_INFINITY)) print(text);
  else print(line(report));
}

/** Looks at a service, and remembers what is needed to say what has changed. */
class Watch {
  readonly #service: MQTTIntegrationService;
  readonly #intervalSeconds: number;
  readonly #peers = new Map<string, PeerInfo>();
  readonly #throttled = new Map<string, number>();
  readonly #errors: Report['errors'] = [];
  readonly #history: History = { messagesIn: [], messagesOut: [], roundTrip: [], endToEnd: [] };
  #before: NetworkStatus | undefined;
  #askAt = 0;

  constructor(service: MQTTIntegrationService, intervalSeconds: number) {
    this.#service = service;
    this.#intervalSeconds = intervalSeconds;
    service.on('peer-discovered', (peer) => this.#peers.set(peer.id, peer));
    service.on('peer-left', ({ id }) => this.#peers.delete(id));
    service.on('peer-throttled', ({ peerId }) => this.#throttled.set(peerId, (this.#throttled.get(peerId) ?? 0) + 1));
    service.on('error', ({ code, message }) => this.#note(`${code}: ${message}`));
    service.on('disconnected', ({ reason }) => this.#note(`broker away: ${reason}`));
  }

  async look(): Promise<Report> {
    const roundTrip = await this.#probe();
    await this.#refreshPeers();
    const status = this.#service.getNetworkStatus();
    const before = this.#before;
    this.#before = status;
    const report: Report = {
      status,
      before,
      rates: rates(status, before),
      roundTrip,
      endToEnd: endToEnd(status, before),
      peers: [...this.#peers.values()],
      throttled: this.#throttled,
      errors: this.#errors,
      history: this.#history,
      memoryBytes: process.memoryUsage.rss(),
      intervalSeconds: this.#intervalSeconds,
      now: new Date(),
    };
    this.#remember(report);
    return report;
  }

  /** Real round trips, if there is a connection. */
  async #probe(): Promise<Quantiles | null> {
    if (!this.#service.getNetworkStatus().connected) return null;
    try {
      const { latencyMs } = await this.#service.performanceTest({ messages: PROBES });
      return { p50: latencyMs.p50, p95: latencyMs.p95, p99: latencyMs.p99 };
    } catch {
      return null;
    }
  }

  /** What is known of the peers by now; everybody answers, so it is not asked often. */
  async #refreshPeers(): Promise<void> {
    if (performance.now() < this.#askAt || !this.#service.getNetworkStatus().connected) return;
    this.#askAt = performance.now() + ASK_PEERS_MS;
    const peers = await this.#service.discoverPeers({ timeoutMs: ANSWER_MS }).catch(() => []);
    for (const peer of peers) if (this.#peers.has(peer.id)) this.#peers.set(peer.id, peer);
  }

  #remember({ rates, roundTrip, endToEnd }: Report): void {
    const push = (values: number[], value: number | undefined) => {
      values.push(value ?? Number.NaN);
      if (values.length > MAX_HISTORY) values.shift();
    };
    push(this.#history.messagesIn, rates?.messagesIn);
    push(this.#history.messagesOut, rates?.messagesOut);
    push(this.#history.roundTrip, roundTrip?.p99);
    push(this.#history.endToEnd, endToEnd?.p99);
  }

  #note(text: string): void {
    this.#errors.push({ time: new Date(), text });
    if (this.#errors.length > MAX_ERRORS) this.#errors.shift();
  }
}

function asJson({ status, rates, roundTrip, endToEnd, peers, throttled, errors, memoryBytes, now }: Report): object {
  return {
    time: now.toISOString(),
    ...status,
    rates: rates ?? null,
    roundTripMs: roundTrip,
    endToEndMs: endToEnd,
    memoryBytes,
    peerList: peers,
    throttled: Object.fromEntries(throttled),
    errors: errors.map(({ time, text }) => ({ time: time.toISOString(), text })),
  };
}

function line({ status, rates, roundTrip, memoryBytes }: Report): string {
  const { canvases, pendingEdits } = totals(status);
  const rate = (value: number | undefined) => value?.toFixed(1) ?? '-';
  return [
    clock(),
    status.connected ? colour.green('connected   ') : colour.red('disconnected'),
    `peers ${status.peers}`,
    `canvases ${canvases}`,
    `in ${rate(rates?.messagesIn)}/s`,
    `out ${rate(rates?.messagesOut)}/s`,
    `round trip ${roundTrip ? `${roundTrip.p50.toFixed(2)} ms` : '-'}`,
    `queued ${status.queue.messages}`,
    `pending edits ${pendingEdits}`,
    `dropped ${status.messages.dropped}`,
    `reconnects ${status.reconnects}`,
    `memory ${Math.round(memoryBytes / 2 ** 20)} MB`,
  ].join('  ');
}
