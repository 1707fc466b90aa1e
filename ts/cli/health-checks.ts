import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type {
  HealthReport,
  MQTTIntegrationService,
  NetworkStatus,
  PeerInfo,
  RepositoryStatus,
  SyncReport,
} from '../index.js';
import { milliseconds } from './output.js';
import { count, size, visible } from './text.js';

/** One thing that was looked at; `remedy` says what to do about it when it is not `ok`. */
export type Check = HealthReport['checks'][number];

/** Clocks that differ by more confuse people: times of edits are shown in the wrong order. */
const MAX_CLOCK_DIFFERENCE_MS = 2000;
/** Less room on the disk than this is soon none. */
const MIN_FREE_BYTES = 100_000_000;

/** How long a repository that has caught up may still be about it. */
const SETTLE_MS = 3000;
const POLL_MS = 20;

/** How long connecting took. */
export function connecting(durationMs: number): Check {
  return { name: 'connecting', ok: true, detail: milliseconds(durationMs) };
}

/** Whether the clocks of the peers that were heard agree with this machine's. */
export function clocks(peers: PeerInfo[]): Check {
  const name = 'clocks';
  const known = peers.flatMap(({ clockAheadMs }) => (clockAheadMs === null ? [] : [clockAheadMs]));
  if (known.length === 0) return { name, ok: true, detail: 'no other peer was heard to compare with' };
  const worst = known.reduce((worst, ahead) => (Math.abs(ahead) > Math.abs(worst) ? ahead : worst), 0);
  const others = count(known.length, 'peer was', 'peers were');
  const detail = `${others} heard; they differ by at most ${milliseconds(Math.abs(worst))}, the time on the way included`;
  if (Math.abs(worst) <= MAX_CLOCK_DIFFERENCE_MS) return { name, ok: true, detail };
  return {
    name,
    ok: false,
    detail,
    remedy: 'synchronise the clocks (NTP): times that people see are wrong; edits merge all the same',
  };
}

/** Catches up with a repository and says whether something is still lacking. */
export async function catchingUp(service: MQTTIntegrationService, repository: string): Promise<Check> {
  const report = await service.syncRepository(repository);
  const end = performance.now() + SETTLE_MS;
  for (;;) {
    const check = service.getNetworkStatus().connected
      ? behind(report, service.getRepositoryStatus(repository))
      : unasked(repository);
    // Canvases that were just heard of are asked for one after the other.
    if (check.ok || performance.now() > end) return check;
    await setTimeout(POLL_MS);
  }
}

function unasked(repository: string): Check {
  const name = `catching up with ${visible(repository)}`;
  return { name, ok: false, detail: 'nobody could be asked: there is no connection', remedy: 'see the broker' };
}

/** A connection that breaks again and again looks like one that is being made; why it broke last says more. */
export function withReason(check: Check, { lastError }: Pick<NetworkStatus, 'lastError'>): Check {
  if (check.ok || !lastError || !check.name.startsWith('broker ') || check.detail.includes(lastError.message))
    return check;
  return { ...check, detail: `${check.detail}; last error: ${lastError.message}` };
}

/** Whether a repository lacks something after catching up. */
export function behind(
  { repository, answered, changesReceived, durationMs }: SyncReport,
  { canvases, catchingUp, bufferedChanges }: Pick<RepositoryStatus, 'canvases' | 'catchingUp' | 'bufferedChanges'>,
): Check {
  const name = `catching up with ${visible(repository)}`;
  const lacking = catchingUp + bufferedChanges > 0;
  const what = `${count(canvases, 'canvas', 'canvases')}, ${count(changesReceived, 'change')} in ${milliseconds(durationMs)}`;
  if (!lacking)
    return { name, ok: true, detail: answered ? what : `${what}; nobody answered, and nothing is known to be missing` };
  const detail = `${what}; ${count(catchingUp, 'document')} incomplete, ${count(bufferedChanges, 'change')} waiting for others`;
  const remedy = 'start a peer that has what is missing, such as a server; it is asked for again by itself';
  return { name, ok: false, detail, remedy };
}

/** Whether a service could store its canvases at a path: it can be written to, and there is room. */
export function storage(path: string): Check {
  const name = 'storage';
  const place = existing(resolve(path));
  const remedy = 'name another directory with --data-dir, make this one writable for this user, or make room';
  try {
    if (place === resolve(path)) tryWriting(place);
    else accessSync(place, constants.W_OK);
    const { bavail, bsize } = statfsSync(place);
    const free = bavail * bsize;
    const made = place === resolve(path) ? 'takes and keeps what is written' : 'can be made';
    const detail = `${path} ${made}; ${size(free)} free`;
    return free < MIN_FREE_BYTES ? { name, ok: false, detail, remedy } : { name, ok: true, detail };
  } catch (error) {
    return { name, ok: false, detail: `${path}: ${(error as Error).message}`, remedy };
  }
}

/** The path, or what of it exists. */
function existing(path: string): string {
  let place = path;
  while (!existsSync(place) && dirname(place) !== place) place = dirname(place);
  return place;
}

/** Writes a file to the disk and removes it; throws what the system says. */
function tryWriting(folder: string): void {
  const path = join(folder, `.health-${process.pid}`);
  const file = openSync(path, 'wx', 0o600);
  try {
    writeSync(file, 'x');
    fsyncSync(file);
  } finally {
    closeSync(file);
    unlinkSync(path);
  }
}
