import type { DurationHistogram, NetworkStatus, RepositoryStatus } from '../index.js';

/** Three quantiles of a latency, in milliseconds. */
export interface Quantiles {
  p50: number;
  p95: number;
  p99: number;
}

/** What happens a second, between two looks at a service. */
export interface Rates {
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Changes made here and taken in from others. */
  edits: number;
}

/** What all repositories have together. */
export interface Totals {
  canvases: number;
  pendingEdits: number;
  bufferedChanges: number;
  catchingUp: number;
  quarantined: number;
}

/** The rates between two looks; undefined without an earlier one. */
export function rates(now: NetworkStatus, before: NetworkStatus | undefined): Rates | undefined {
  const seconds = before ? (now.uptimeMs - before.uptimeMs) / 1000 : 0;
  if (!before || seconds <= 0) return undefined;
  const per = (value: (status: NetworkStatus) => number) => Math.max(0, (value(now) - value(before)) / seconds);
  return {
    messagesIn: per(({ messages }) => messages.received),
    messagesOut: per(({ messages }) => messages.sent),
    bytesIn: per(({ bytes }) => bytes.received),
    bytesOut: per(({ bytes }) => bytes.sent),
    edits: per((status) => sum(status, edits)),
  };
}

/** The changes of one repository a second; undefined without an earlier look at it. */
export function editRate(name: string, now: NetworkStatus, before: NetworkStatus | undefined): number | undefined {
  const [is, was] = [now.repositories[name], before?.repositories[name]];
  const seconds = before ? (now.uptimeMs - before.uptimeMs) / 1000 : 0;
  return is && was && seconds > 0 ? Math.max(0, (edits(is) - edits(was)) / seconds) : undefined;
}

export function totals(status: NetworkStatus): Totals {
  return {
    canvases: sum(status, ({ canvases }) => canvases),
    pendingEdits: sum(status, ({ pendingEdits }) => pendingEdits),
    bufferedChanges: sum(status, ({ bufferedChanges }) => bufferedChanges),
    catchingUp: sum(status, ({ catchingUp }) => catchingUp),
    quarantined: sum(status, ({ quarantined }) => quarantined),
  };
}

/** Quantiles of the changes of others that came between two looks; null if none came. */
export function endToEnd(now: NetworkStatus, before: NetworkStatus | undefined): Quantiles | null {
  const all = (status: NetworkStatus) =>
    added(Object.values(status.repositories).map(({ latency }) => latency.endToEnd));
  return quantiles(all(now), before && all(before));
}

/** Quantiles of what a histogram has counted since an earlier look; null for nothing. Exact to the width of a bucket. */
export function quantiles(now: DurationHistogram, before?: DurationHistogram): Quantiles | null {
  const count = now.count - (before?.count ?? 0);
  if (count <= 0) return null;
  const cumulative = now.buckets.map((bucket, index) => bucket.count - (before?.buckets[index]?.count ?? 0));
  const at = (share: number) => {
    const rank = share * count;
    const index = cumulative.findIndex((upTo) => upTo >= rank);
    const last = now.buckets.at(-1)?.atMostMs ?? 0;
    if (index < 0) return last;
    const [low, below] = index === 0 ? [0, 0] : [now.buckets[index - 1]?.atMostMs ?? 0, cumulative[index - 1] ?? 0];
    const within = (cumulative[index] ?? 0) - below;
    const high = now.buckets[index]?.atMostMs ?? last;
    return low + (high - low) * (within > 0 ? (rank - below) / within : 1);
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function added(histograms: DurationHistogram[]): DurationHistogram {
  const buckets = (histograms[0]?.buckets ?? []).map(({ atMostMs }, index) => ({
    atMostMs,
    count: histograms.reduce((total, histogram) => total + (histogram.buckets[index]?.count ?? 0), 0),
  }));
  const total = (of: (histogram: DurationHistogram) => number) => histograms.reduce((sum, one) => sum + of(one), 0);
  return { count: total(({ count }) => count), sumMs: total(({ sumMs }) => sumMs), buckets };
}

function edits({ edits }: RepositoryStatus): number {
  return edits.local + edits.remote;
}

function sum(status: NetworkStatus, of: (repository: RepositoryStatus) => number): number {
  return Object.values(status.repositories).reduce((total, repository) => total + of(repository), 0);
}
