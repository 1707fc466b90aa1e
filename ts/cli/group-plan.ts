import { createHash } from 'node:crypto';

/** What a member of a group of servers says of itself. It says it again with every heartbeat. */
export interface Word {
  /** How often it says so, in milliseconds. */
  heartbeatMs: number;
  /** How many members it means to serve each repository. */
  replicas: number;
  /** The repositories that it could serve. */
  able: ReadonlySet<string>;
  /** Those of them that it has caught up with and answers for. */
  serving: ReadonlySet<string>;
}

/** Heartbeats after which a member that says nothing counts as gone, as in presence. */
const EXPIRY_HEARTBEATS = 3;
/** What is believed of another's heartbeat, in milliseconds, so that nobody stays for ever. */
const [MIN_HEARTBEAT_MS, MAX_HEARTBEAT_MS] = [1000, 3_600_000];

/** The members of a group that are there, by peer id, and what each said last. */
export class Members {
  readonly #words = new Map<string, { word: Word; heardMs: number }>();

  /** Takes in what a member says. Gives whether it was not known before. */
  said(member: string, word: Word, nowMs: number): boolean {
    const isNew = !this.#words.has(member);
    this.#words.set(member, { word, heardMs: nowMs });
    return isNew;
  }

  /** A member is gone: it said so, or the broker did. */
  left(member: string): void {
    this.#words.delete(member);
  }

  /** Forgets those not heard for too long. After a time without a broker nobody could be heard: see `heardAgain`. */
  expire(nowMs: number): void {
    for (const [member, { word, heardMs }] of this.#words) {
      const heartbeatMs = Math.min(Math.max(word.heartbeatMs, MIN_HEARTBEAT_MS), MAX_HEARTBEAT_MS);
      if (nowMs - heardMs > EXPIRY_HEARTBEATS * heartbeatMs) this.#words.delete(member);
    }
  }

  /** Everybody has the time of an expiry from now to be heard. */
  heardAgain(nowMs: number): void {
    for (const entry of this.#words.values()) entry.heardMs = nowMs;
  }

  /** Everybody's last word. */
  get words(): Map<string, Word> {
    return new Map([...this.#words].map(([member, { word }]) => [member, word]));
  }
}

/**
 * The members that are to serve a repository: those with the highest hashes of it and them (rendezvous hashing, Thaler and
 * Ravishankar, 1998). A member that comes or goes moves only what it gets or had.
 */
export function owners(repository: string, words: ReadonlyMap<string, Word>, replicas: number): string[] {
  return [...words]
    .filter(([, { able }]) => able.has(repository))
    .map(([member]) => ({ member, weight: weight(repository, member) }))
    .sort((a, b) => Buffer.compare(b.weight, a.weight))
    .slice(0, replicas)
    .map(({ member }) => member);
}

/** What a member is to do. */
export interface Plan {
  /** Repositories to open, now. */
  open: string[];
  /** Repositories to leave, each after a while: whoever is to serve them instead does. */
  leave: string[];
}

/**
 * What `self` is to do, given everybody's last word, its own included, and what it holds: open or being opened. What it is
 * to serve it opens at once. What it is not to serve any more it keeps until all who are serve it, so nobody comes in vain.
 */
export function plan(self: string, words: ReadonlyMap<string, Word>, held: ReadonlySet<string>): Plan {
  const own = words.get(self);
  if (!own) return { open: [], leave: [] };
  const mine = new Map([...new Set([...own.able, ...held])].map((name) => [name, owners(name, words, own.replicas)]));
  const wanted = (name: string) => mine.get(name)?.includes(self) ?? false;
  const replaced = (name: string) => {
    const others = mine.get(name) ?? [];
    return others.length > 0 && others.every((member) => words.get(member)?.serving.has(name));
  };
  return {
    open: [...own.able].filter((name) => wanted(name) && !held.has(name)),
    leave: [...held].filter((name) => !wanted(name) && own.serving.has(name) && replaced(name)),
  };
}

/** A word as it is sent: `serving` are places in `able`. */
export function encode({ heartbeatMs, replicas, able, serving }: Word): object {
  const names = [...able];
  const places = names.flatMap((name, index) => (serving.has(name) ? [index] : []));
  return { serverGroup: { version: 1, heartbeatMs, replicas, able: names, serving: places } };
}

/** Reads what another sent; anybody may send anything there. */
export function decode(message: unknown): Word | undefined {
  const word = (message as { serverGroup?: unknown } | null)?.serverGroup;
  if (typeof word !== 'object' || word === null) return undefined;
  const { version, heartbeatMs, replicas, able, serving } = word as Record<string, unknown>;
  const whole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (version !== 1 || !whole(heartbeatMs) || !whole(replicas) || !Array.isArray(able) || !Array.isArray(serving)) {
    return undefined;
  }
  const served = serving.map((place: unknown) => (whole(place) ? able[place] : undefined));
  if (![...able, ...served].every((name) => typeof name === 'string')) return undefined;
  return { heartbeatMs, replicas, able: new Set<string>(able), serving: new Set<string>(served) };
}

function weight(repository: string, member: string): Buffer {
  return createHash('sha256').update(`${member}\n${repository}`).digest();
}
