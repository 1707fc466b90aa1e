import { stripVTControlCharacters } from 'node:util';
import type { NetworkStatus, PeerInfo } from '../index.js';
import { urlOf } from './broker.js';
import { editRate, type Quantiles, type Rates, totals } from './figures.js';
import { colour, milliseconds, shortPeer, table } from './output.js';
import { clip, count, pad, padLeft, size, visible, width } from './text.js';

/** Everything that a report is made of. */
export interface Report {
  status: NetworkStatus;
  before: NetworkStatus | undefined;
  rates: Rates | undefined;
  /** Through the broker and back, as measured just now. */
  roundTrip: Quantiles | null;
  /** Of the changes that came since the last report. */
  endToEnd: Quantiles | null;
  peers: PeerInfo[];
  /** How often each peer was throttled, by its id. */
  throttled: Map<string, number>;
  /** The last ones, the newest last. */
  errors: { time: Date; text: string }[];
  /** Of the reports so far, the newest last. */
  history: History;
  memoryBytes: number;
  intervalSeconds: number;
  now: Date;
}

/** Values of the last reports, the newest last; NaN where there was none. */
export interface History {
  messagesIn: number[];
  messagesOut: number[];
  roundTrip: number[];
  endToEnd: number[];
}

const SPARK_COLUMNS = 24;
const LEVELS = '▁▂▃▄▅▆▇█';
/** Lines that the head of the screen and its empty lines take; what is left is shared by the lists below. */
const LIST_SHARES = { peers: 0.3, errors: 0.2 };

/** The screen as lines, at most so many, none wider than the terminal. */
export function screen(report: Report, columns: number, rows: number): string[] {
  const head = [...title(report, columns), '', ...figures(report), ''];
  const room = Math.max(0, rows - head.length);
  const errors = section('last errors', errorLines(report), Math.floor(room * LIST_SHARES.errors));
  const peers = section('peers', peerLines(report), Math.floor(room * LIST_SHARES.peers));
  const repositories = list(repositoryLines(report), room - errors.length - peers.length);
  return [...head, ...repositories, ...peers, ...errors].slice(0, rows).map((line) => fit(line, columns));
}

/** A row of bars, each as high as its value is beside the highest. */
export function sparkline(values: number[], columns = SPARK_COLUMNS): string {
  const shown = values.slice(-columns);
  const highest = Math.max(...shown.filter(Number.isFinite), 0);
  const bar = (value: number) => {
    if (!Number.isFinite(value)) return ' ';
    const level = highest > 0 ? Math.ceil((value / highest) * LEVELS.length) - 1 : 0;
    return LEVELS[Math.max(0, level)] ?? ' ';
  };
  return shown.map(bar).join('');
}

function title({ status, intervalSeconds, now }: Report, columns: number): string[] {
  const { connected, broker, peerId, uptimeMs } = status;
  const link = connected ? colour.green('● connected') : colour.red('● no connection');
  const left = `${colour.bold('mqtt-p2p monitor')}  ${urlOf(broker)}  ${link}`;
  const right = colour.dim(
    `${shortPeer(peerId)}  up ${span(uptimeMs)}  every ${intervalSeconds} s  ${now.toTimeString().slice(0, 8)}`,
  );
  const gap = columns - width(left) - width(right);
  return gap >= 2 ? [left + ' '.repeat(gap) + right] : [left, right];
}

function figures({ status, rates, roundTrip, endToEnd, peers, throttled, history, memoryBytes }: Report): string[] {
  const { queue, reconnects, messages } = status;
  const { canvases, pendingEdits, bufferedChanges, catchingUp, quarantined } = totals(status);
  const spark = (values: number[]) => colour.cyan(sparkline(values));
  const rate = (value: number | undefined) => padLeft(value === undefined ? '-' : `${value.toFixed(1)}/s`, 10);
  const bytes = (value: number | undefined) => padLeft(value === undefined ? '-' : `${size(value)}/s`, 11);
  const warn = (number: number, text: string) => (number > 0 ? colour.yellow(text) : text);
  const throttles = [...throttled.values()].reduce((sum, times) => sum + times, 0);
  return [
    `${label('in')}${rate(rates?.messagesIn)} ${bytes(rates?.bytesIn)}  ${spark(history.messagesIn)}`,
    `${label('out')}${rate(rates?.messagesOut)} ${bytes(rates?.bytesOut)}  ${spark(history.messagesOut)}`,
    `${label('round trip')}${latency(roundTrip)}  ${spark(history.roundTrip)}`,
    `${label('end to end')}${latency(endToEnd)}  ${spark(history.endToEnd)}`,
    label('queues') +
      [
        `${queue.messages} waiting (${size(queue.bytes)})`,
        `${queue.inFlight} in flight`,
        warn(pendingEdits, `${count(pendingEdits, 'edit')} pending`),
        warn(bufferedChanges, `${count(bufferedChanges, 'change')} incomplete`),
        warn(catchingUp, `${count(catchingUp, 'document')} behind`),
      ].join(' · '),
    label('so far') +
      [
        count(canvases, 'canvas', 'canvases'),
        count(peers.length, 'peer'),
        warn(messages.dropped, `${messages.dropped} dropped`),
        warn(quarantined, `${quarantined} quarantined`),
        warn(throttles, `${throttles} throttled`),
        warn(reconnects, count(reconnects, 'reconnect')),
        `${size(memoryBytes)} of memory`,
      ].join(' · '),
  ];
}

function label(text: string): string {
  return colour.dim(pad(text, 12));
}

function latency(values: Quantiles | null): string {
  const shown = (ms: number | undefined) => padLeft(ms === undefined ? '-' : milliseconds(ms), 8);
  return `p50 ${shown(values?.p50)}  p95 ${shown(values?.p95)}  p99 ${shown(values?.p99)}`;
}

function repositoryLines({ status, before }: Report): string[] {
  const rows = Object.values(status.repositories).map((repository) => {
    const { name, canvases, live, peers, pendingEdits, catchingUp, bufferedChanges } = repository;
    const rate = editRate(name, status, before);
    const behind = catchingUp + bufferedChanges;
    const figures = [canvases, live, peers, rate?.toFixed(1) ?? '-', pendingEdits, behind];
    return [clip(visible(name), 32), ...figures.map(String)];
  });
  return table([['repository', 'canvases', 'live', 'peers', 'edits/s', 'pending', 'behind'], ...rows]);
}

function peerLines({ peers, throttled }: Report): string[] {
  return peers.map(({ id, repositories, capabilities, clockAheadMs }) => {
    const times = throttled.get(id) ?? 0;
    return [
      shortPeer(id),
      visible(repositories.join(', ')),
      colour.dim(visible(capabilities.join(' '))),
      clockAheadMs !== null && clockAheadMs < 0 ? colour.yellow(`clock ${-clockAheadMs} ms ahead`) : '',
      times > 0 ? colour.yellow(`throttled ${count(times, 'time')}`) : '',
    ]
      .filter((part) => part !== '')
      .join('  ');
  });
}

function errorLines({ errors }: Report): string[] {
  return [...errors]
    .reverse()
    .map(({ time, text }) => `${colour.dim(time.toTimeString().slice(0, 8))} ${colour.red(visible(text))}`);
}

/** A list under a heading, or nothing. */
function section(heading: string, lines: string[], rows: number): string[] {
  if (lines.length === 0) return [];
  return ['', ...list([colour.dim(heading), ...lines], Math.max(rows, 3) - 1)];
}

/** As many lines as there is room for; the last then says how many there are besides. */
function list(lines: string[], rows: number): string[] {
  if (lines.length <= rows) return lines;
  const kept = lines.slice(0, Math.max(0, rows - 1));
  return [...kept, colour.dim(`… and ${lines.length - kept.length} more`)];
}

/** Cuts a line that is too wide; it loses its colours then. */
function fit(line: string, columns: number): string {
  return width(line) <= columns ? line : clip(stripVTControlCharacters(line), columns);
}

function span(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}
