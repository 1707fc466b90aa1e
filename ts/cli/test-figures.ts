import { percentile } from './output.js';
import type { Measured } from './test-suite.js';

/** One measured figure and the limit that it must keep. */
export interface Figure {
  name: string;
  /** Null where it could not be measured. */
  value: number | null;
  unit: 'ms' | '/s' | 'MB' | '%';
  limit: number;
  /** Whether the value must be at most, or at least, the limit. */
  must: 'at most' | 'at least';
  ok: boolean;
  /** How many measurements it is made of. */
  samples: number;
}

/** What the guide calls typical; the last three it does not name. */
export const LIMITS = {
  connectMs: 500,
  latencyMs: 50,
  messagesPerSecond: 100,
  memoryMb: 50,
  idleCpuPercent: 5,
  syncMs: 5000,
  discoveryMs: 2000,
  mergeMs: 1000,
};

/** Compares what was measured with the limits. */
export function judge(measured: Measured): Figure[] {
  const { connectMs, latencyMs, messagesPerSecond, editsPerSecond, syncMs, discoveryMs, mergeMs } = measured;
  const once = (value: number) => (Number.isNaN(value) ? [] : [value]);
  const megabytes = once(measured.memoryPerRepository / 1e6);
  const percent = once(measured.idleCpu * 100);
  return [
    atMost('connecting, p95', connectMs, 0.95, 'ms', LIMITS.connectMs),
    atMost('discovery, p95', discoveryMs, 0.95, 'ms', LIMITS.discoveryMs),
    atMost('message latency, p50', latencyMs, 0.5, 'ms', LIMITS.latencyMs),
    atMost('message latency, p95', latencyMs, 0.95, 'ms', LIMITS.latencyMs),
    atMost('message latency, p99', latencyMs, 0.99, 'ms', LIMITS.latencyMs),
    atLeast('messages', messagesPerSecond, LIMITS.messagesPerSecond),
    atLeast('edits', editsPerSecond, LIMITS.messagesPerSecond),
    atMost('sync after a cut, longest', syncMs, 1, 'ms', LIMITS.syncMs),
    atMost('merging conflicts, longest', mergeMs, 1, 'ms', LIMITS.mergeMs),
    atMost('memory a repository', megabytes, 1, 'MB', LIMITS.memoryMb),
    atMost('processor, idle', percent, 1, '%', LIMITS.idleCpuPercent),
  ];
}

/** Whether every figure that could be measured keeps its limit. */
export function passed(figures: Figure[]): boolean {
  return figures.every(({ ok, value }) => ok || value === null) && figures.some(({ value }) => value !== null);
}

/** A value with its unit, for people. */
export function shown(value: number | null, unit: Figure['unit']): string {
  if (value === null) return '-';
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return unit === '/s' ? `${Math.round(value)}/s` : `${value.toFixed(digits)} ${unit}`;
}

function atMost(name: string, values: number[], share: number, unit: Figure['unit'], limit: number): Figure {
  const value =
    values.length > 0
      ? percentile(
          [...values].sort((a, b) => a - b),
          share,
        )
      : null;
  return { name, value, unit, limit, must: 'at most', ok: value !== null && value <= limit, samples: values.length };
}

/** Of all rounds the slowest counts. */
function atLeast(name: string, values: number[], limit: number): Figure {
  const value = values.length > 0 ? Math.min(...values) : null;
  return {
    name,
    value,
    unit: '/s',
    limit,
    must: 'at least',
    ok: value !== null && value >= limit,
    samples: values.length,
  };
}
