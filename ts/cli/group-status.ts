import type { DurationHistogram, NetworkStatus } from '../index.js';

/** The status of several services as that of one. `first` says who it is, and where the broker is. */
export function merged(first: NetworkStatus, others: NetworkStatus[]): NetworkStatus {
  const all = [first, ...others];
  const sum = (value: (status: NetworkStatus) => number) => all.reduce((total, status) => total + value(status), 0);
  return {
    ...first,
    connected: all.every(({ connected }) => connected),
    reconnects: sum(({ reconnects }) => reconnects),
    messages: {
      sent: sum(({ messages }) => messages.sent),
      received: sum(({ messages }) => messages.received),
      dropped: sum(({ messages }) => messages.dropped),
    },
    bytes: { sent: sum(({ bytes }) => bytes.sent), received: sum(({ bytes }) => bytes.received) },
    queue: {
      messages: sum(({ queue }) => queue.messages),
      bytes: sum(({ queue }) => queue.bytes),
      inFlight: sum(({ queue }) => queue.inFlight),
    },
    acknowledge: all.map(({ acknowledge }) => acknowledge).reduce(together),
    repositories: Object.assign({}, ...others.map(({ repositories }) => repositories)),
    peers: sum(({ peers }) => peers),
    lastError: all.map(({ lastError }) => lastError).find((error) => error !== null) ?? null,
  };
}

/** The buckets are the same everywhere. */
function together(a: DurationHistogram, b: DurationHistogram): DurationHistogram {
  const buckets = a.buckets.map((bucket, index) => ({
    ...bucket,
    count: bucket.count + (b.buckets[index]?.count ?? 0),
  }));
  return { ...a, count: a.count + b.count, sumMs: a.sumMs + b.sumMs, buckets };
}
