import { collectDefaultMetrics, type Metric, type MetricObjectWithValues, Registry } from 'prom-client';
import type { DurationHistogram, NetworkStatus, RepositoryStatus } from '../index.js';

type Labels = Record<string, string>;
type Sample = { value: number; labels?: Labels };

/** One figure of a service, as Prometheus wants it. */
interface Figure {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  /** Names of its labels. */
  labels: string[];
  samples(status: NetworkStatus, extra: Extra): Sample[] | LabelledHistogram[];
}

interface LabelledHistogram {
  histogram: DurationHistogram;
  labels?: Labels;
}

/** What the service tells by events alone. */
export interface Extra {
  /** Times that a peer was throttled. */
  throttled: number;
  /** Errors that no promise could carry. */
  errors: number;
}

const SECOND_MS = 1000;

const repositories = (status: NetworkStatus) => Object.values(status.repositories);

/** A figure that each repository has. */
const each =
  (value: (repository: RepositoryStatus) => number) =>
  (status: NetworkStatus): Sample[] =>
    repositories(status).map((repository) => ({
      value: value(repository),
      labels: { repository: repository.name },
    }));

const one =
  (value: (status: NetworkStatus, extra: Extra) => number) =>
  (status: NetworkStatus, extra: Extra): Sample[] => [{ value: value(status, extra) }];

/** A figure of messages or bytes by kind and direction. */
const traffic =
  (unit: 'messages' | 'bytes') =>
  (status: NetworkStatus): Sample[] =>
    repositories(status).flatMap(({ name, traffic }) =>
      Object.entries(traffic).flatMap(([kind, volumes]) =>
        (['sent', 'received'] as const).map((direction) => ({
          value: volumes[direction][unit],
          labels: { repository: name, kind, direction },
        })),
      ),
    );

const latency =
  (which: 'apply' | 'endToEnd') =>
  (status: NetworkStatus): LabelledHistogram[] =>
    repositories(status).map(({ name, latency }) => ({ histogram: latency[which], labels: { repository: name } }));

/** Every figure. Names and labels are an interface: dashboards and alerts in `deploy/` use them. */
export const FIGURES: readonly Figure[] = [
  gauge(
    'connected',
    'Whether the broker link is up.',
    [],
    one(({ connected }) => Number(connected)),
  ),
  counter(
    'reconnects_total',
    'Times that the broker link was made again.',
    [],
    one(({ reconnects }) => reconnects),
  ),
  gauge(
    'uptime_seconds',
    'Time since the service started.',
    [],
    one(({ uptimeMs }) => uptimeMs / SECOND_MS),
  ),
  counter('messages_total', 'MQTT messages, by direction.', ['direction'], ({ messages: { sent, received } }) => [
    { value: sent, labels: { direction: 'sent' } },
    { value: received, labels: { direction: 'received' } },
  ]),
  counter('bytes_total', 'Bytes of MQTT payload, by direction.', ['direction'], ({ bytes: { sent, received } }) => [
    { value: sent, labels: { direction: 'sent' } },
    { value: received, labels: { direction: 'received' } },
  ]),
  counter(
    'traffic_messages_total',
    'Packets by repository, kind and direction.',
    ['repository', 'kind', 'direction'],
    traffic('messages'),
  ),
  counter(
    'traffic_bytes_total',
    'Bytes of payload by repository, kind and direction.',
    ['repository', 'kind', 'direction'],
    traffic('bytes'),
  ),
  counter(
    'dropped_total',
    'Messages dropped for any reason.',
    [],
    one(({ messages }) => messages.dropped),
  ),
  counter('rejected_total', 'Messages dropped, by reason.', ['repository', 'reason'], (status) =>
    repositories(status).flatMap(({ name, messages }) =>
      Object.entries(messages.rejected).map(([reason, value]) => ({ value, labels: { repository: name, reason } })),
    ),
  ),
  counter(
    'throttled_total',
    'Times that a peer sent more than it may.',
    [],
    one((_, { throttled }) => throttled),
  ),
  counter(
    'errors_total',
    'Errors that no call could report.',
    [],
    one((_, { errors }) => errors),
  ),
  gauge(
    'outbox_messages',
    'Messages that wait to be sent.',
    [],
    one(({ queue }) => queue.messages),
  ),
  gauge(
    'outbox_bytes',
    'Bytes that wait to be sent.',
    [],
    one(({ queue }) => queue.bytes),
  ),
  gauge(
    'in_flight_messages',
    'Messages that the broker has not acknowledged.',
    [],
    one(({ queue }) => queue.inFlight),
  ),
  gauge(
    'peers',
    'Other peers, by repository.',
    ['repository'],
    each(({ peers }) => peers),
  ),
  gauge(
    'canvases',
    'Canvases, by repository.',
    ['repository'],
    each(({ canvases }) => canvases),
  ),
  gauge(
    'live_canvases',
    'Canvases with real-time collaboration on.',
    ['repository'],
    each(({ live }) => live),
  ),
  gauge(
    'pending_edits',
    'Edits that the broker has not acknowledged.',
    ['repository'],
    each((r) => r.pendingEdits),
  ),
  gauge(
    'buffered_changes',
    'Changes that wait for others.',
    ['repository'],
    each((r) => r.bufferedChanges),
  ),
  gauge(
    'catching_up_documents',
    'Documents that ask for what they lack.',
    ['repository'],
    each((r) => r.catchingUp),
  ),
  counter('edits_total', 'Changes, by where they were made.', ['repository', 'origin'], (status) =>
    repositories(status).flatMap(({ name, edits }) =>
      (['local', 'remote'] as const).map((origin) => ({ value: edits[origin], labels: { repository: name, origin } })),
    ),
  ),
  counter(
    'gaps_total',
    'Times that messages were found missing.',
    ['repository'],
    each(({ messages }) => messages.gaps),
  ),
  counter('requests_total', 'Requests to catch up, asked and answered.', ['repository', 'direction'], (status) =>
    repositories(status).flatMap(({ name, requests }) =>
      (['asked', 'answered'] as const).map((direction) => ({
        value: requests[direction],
        labels: { repository: name, direction },
      })),
    ),
  ),
  counter(
    'quarantined_total',
    'Changes refused and set aside.',
    ['repository'],
    each(({ quarantined }) => quarantined),
  ),
  gauge('last_sync_timestamp_seconds', 'When a catch-up last had an answer; 0 before.', ['repository'], (status) =>
    each(({ lastSync }) => (lastSync ?? 0) / SECOND_MS)(status),
  ),
  histogram('acknowledge_seconds', 'From publishing to the broker’s acknowledgement.', [], ({ acknowledge }) => [
    { histogram: acknowledge },
  ]),
  histogram('apply_seconds', 'Taking in one batch of messages.', ['repository'], latency('apply')),
  histogram(
    'end_to_end_seconds',
    'From when changes of others were sent, by their clock, until they were here.',
    ['repository'],
    latency('endToEnd'),
  ),
];

/** Metrics of a service, read when they are asked for; `/metrics` is `await registry.metrics()`. */
export function registry(status: () => NetworkStatus, extra: () => Extra): Registry {
  const all = new Registry();
  collectDefaultMetrics({ register: all });
  for (const figure of FIGURES) {
    const { name, help, type } = figure;
    const get = async (): Promise<MetricObjectWithValues<never>> => {
      const samples = figure.samples(status(), extra());
      const values = samples.flatMap((sample) => ('histogram' in sample ? buckets(name, sample) : [sample]));
      return { name, help, type, aggregator: 'sum', values: values as never[] } as never;
    };
    // The core counts; prom-client's own metrics would count once more.
    all.registerMetric({ name, help, get, reset() {} } as unknown as Metric);
  }
  return all;
}

/** The series of a histogram: cumulative buckets in seconds, sum and count. */
function buckets(name: string, { histogram, labels = {} }: LabelledHistogram) {
  const { count, sumMs, buckets } = histogram;
  const series = (suffix: string, value: number, more: Labels = {}) => ({
    metricName: `${name}_${suffix}`,
    value,
    labels: { ...labels, ...more },
  });
  return [
    ...buckets.map(({ atMostMs, count }) => series('bucket', count, { le: String(atMostMs / SECOND_MS) })),
    series('bucket', count, { le: '+Inf' }),
    series('sum', sumMs / SECOND_MS),
    series('count', count),
  ];
}

function figure(type: Figure['type']) {
  return (name: string, help: string, labels: string[], samples: Figure['samples']): Figure => ({
    name: `mqtt_p2p_${name}`,
    help,
    type,
    labels,
    samples,
  });
}

// Declarations, so that they are there before the table above is made.
function counter(...given: Parameters<ReturnType<typeof figure>>): Figure {
  return figure('counter')(...given);
}
function gauge(...given: Parameters<ReturnType<typeof figure>>): Figure {
  return figure('gauge')(...given);
}
function histogram(...given: Parameters<ReturnType<typeof figure>>): Figure {
  return figure('histogram')(...given);
}
