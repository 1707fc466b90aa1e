import type { Packet } from '../tap.js';
import { colour, shortPeer } from './output.js';
import { clip, count, pad, padLeft, size, visible } from './text.js';

const PLACE_COLUMNS = 28;
const KIND_COLUMNS = 18;
const PEER_COLUMNS = 9;
const SIZE_COLUMNS = 7;
const MAX_TEXT = 100;
const HASH_DIGITS = 8;

type Details = NonNullable<Packet['details']>;

/** One readable line about a packet: time, place, kind, sender, size, and what it says. */
export function packetLine(packet: Packet, now: Date): string {
  const { kind, peer, bytes, standing } = packet;
  const paint = PAINT[standing];
  return [
    colour.dim(now.toTimeString().slice(0, 8)),
    colour.cyan(pad(clip(place(packet), PLACE_COLUMNS), PLACE_COLUMNS)),
    paint(pad(kind ?? standing, KIND_COLUMNS)),
    colour.dim(pad(peer === undefined ? '' : shortPeer(peer), PEER_COLUMNS)),
    padLeft(size(bytes), SIZE_COLUMNS),
    ` ${what(packet)}${packet.retained ? colour.dim(' (kept by the broker)') : ''}`,
  ].join(' ');
}

const PAINT = {
  message: colour.green,
  fragment: colour.green,
  encrypted: colour.magenta,
  empty: colour.dim,
  probe: colour.dim,
  refused: colour.red,
};

/** Where it belongs. */
function place({ repository, canvas, topic, standing }: Packet): string {
  if (repository === undefined) return standing === 'refused' ? visible(topic) : '';
  return visible(canvas === undefined ? repository : `${repository}/${canvas}`);
}

/** What it says. */
function what({ standing, reason, details, kind, missed }: Packet): string {
  const before = missed > 0 ? colour.yellow(`(${count(missed, 'packet')} missed) `) : '';
  switch (standing) {
    case 'message':
      return before + said(kind ?? '', details ?? {});
    case 'fragment':
      return `${before}part ${Number(details?.index) + 1} of ${details?.count}`;
    case 'encrypted':
      return `${before}encrypted, and its key is not here (--key-file and --repositories open it)`;
    case 'empty':
      return `${before}cleared: the broker keeps nothing here any more`;
    case 'probe':
      return `${before}a round trip of its sender`;
    case 'refused':
      return `${before}refused: ${visible(reason ?? 'not of this protocol')}`;
  }
}

/** What the body of a kind says. Kinds that are not named here show their fields. */
function said(kind: string, details: Details): string {
  const teller = TELLERS[kind];
  const text = teller ? teller(details) : JSON.stringify(details);
  return clip(visible(text), MAX_TEXT);
}

const TELLERS: Record<string, (details: Details) => string> = {
  presence: ({ status, capabilities, repositories }) =>
    `${status}${words(capabilities)} in ${list(repositories).length === 1 ? '' : `${list(repositories).length}: `}${list(repositories).join(', ')}`,
  will: () => 'its connection broke',
  changes: ({ changes, operations, unreadable, heads }) =>
    `${count(Number(changes), 'change')}, ${count(Number(operations), 'operation')}${Number(unreadable) > 0 ? `, ${unreadable} unreadable` : ''} → ${hashes(heads)}`,
  manifest: ({ parts, totalBytes, heads }) =>
    `snapshot of ${size(Number(totalBytes))} in ${count(Number(parts), 'part')}, covers ${hashes(heads)}`,
  'snapshot-part': ({ bytes }) => `${size(Number(bytes))} of a snapshot`,
  'sync-request': ({ document, heads }) => `lacks what comes after ${hashes(heads)} of ${document}`,
  'sync-announcement': ({ heads }) => `answers, up to ${hashes(heads)}`,
  'sync-reply': ({ document, content }) => `${reply(content)} of ${document}`,
  'heads-announcement': ({ documents }) => `${count(list(documents).length, 'document')} as of now`,
  cursor: ({ presence = null, author }) =>
    `${author ?? 'somebody'}: ${presence === null ? 'gone' : JSON.stringify(presence)}`,
  application: ({ message = null }) => JSON.stringify(message),
  epoch: ({ epoch, key, recipients }) =>
    `a new key, ${key}…, the ${epoch}. after the first, for ${count(list(recipients).length, 'peer')}`,
  members: ({ parties }) => `who counts in ${list(parties).map(party).join(', ')}`,
  'key-notice': ({ asks, key }) => `uses the key ${key}…${asks ? ', and asks who does not' : ''}`,
};

/** The kinds of messages, by the names that packets have. */
export const KINDS = Object.keys(TELLERS);

function reply(content: unknown): string {
  const { changes, documentBytes } = (content ?? {}) as { changes?: number; documentBytes?: number };
  return documentBytes === undefined ? count(changes ?? 0, 'change') : `all ${size(documentBytes)}`;
}

function party(of: unknown): string {
  const { repository, statements } = (of ?? {}) as { repository?: string; statements?: number };
  return `${repository} (${count(statements ?? 0, 'statement')})`;
}

function words(capabilities: unknown): string {
  const given = list(capabilities);
  return given.length > 0 ? ` (${given.join(', ')})` : '';
}

function hashes(heads: unknown): string {
  const given = list(heads).map((hash) => String(hash).slice(0, HASH_DIGITS));
  return given.length > 0 ? given.join(' ') : 'the beginning';
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
