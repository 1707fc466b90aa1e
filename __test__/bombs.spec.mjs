import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { connectAsync } from 'mqtt';
import { embedded } from './helpers/broker.mjs';
import { cbor, newMember } from './helpers/member.mjs';
import { startEditor } from './helpers/processes.mjs';
import { scoped } from './helpers/teardown.mjs';
import { REPOSITORY } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

const MIB = 2 ** 20;
const MEMORY_MIB = 256;
const PREFIX = 'mind-git/';
const [CHANGES, SYNC_REQUEST, APPLICATION] = [3, 6, 11];
const changes = `v1/${REPOSITORY}/canvas/boards%2Fplan/1/changes`;
const messages = `v1/${REPOSITORY}/messages`;
const sync = `v1/${REPOSITORY}/sync`;

/** One MiB of zstd that inflates to 32 GiB: blocks of one byte that is repeated (RFC 8878, section 3.1.1.2). */
function zstdBomb() {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
  const block = (last) => Buffer.from([(2 | last) + 0, 0x00, 0x10, 0x81]);
  return Buffer.concat([head, ...new Array(MIB / 4 - 2).fill(block(0)), block(1)]);
}

/** A compressed change of Automerge that inflates to 256 MiB. */
function deflatedChange() {
  const data = deflateRawSync(Buffer.alloc(256 * MIB));
  const length = [];
  for (let rest = data.length; ; rest >>= 7) {
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([Buffer.from([0x85, 0x6f, 0x4a, 0x83, 1, 2, 3, 4, 2, ...length]), data]);
}

/** Payloads, each with its topic. */
function bombs({ seal }) {
  const nested = (byte, length) => Buffer.alloc(length, byte);
  const json = (length) => Buffer.from('['.repeat(length)).toString();
  const whole = [
    [changes, seal(changes, CHANGES, zstdBomb(), { codec: 1 })],
    [messages, seal(messages, APPLICATION, zstdBomb(), { codec: 1 })],
    [changes, seal(changes, CHANGES, nested(0x81, MIB))],
    [sync, seal(sync, SYNC_REQUEST, nested(0x9f, MIB))],
    [changes, seal(changes, CHANGES, Buffer.from([0x82, 0x9b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]))],
    [changes, seal(changes, CHANGES, cbor([[deflatedChange()], []]))],
    [messages, seal(messages, APPLICATION, cbor(json(MIB)))],
    [messages, seal(messages, APPLICATION, cbor(json(MIB / 4)))],
  ];
  const fragments = Array.from({ length: 5_000 }, (_, n) => [
    messages,
    seal(messages, APPLICATION, Buffer.alloc(64, n), { fragment: [n, 0, 16_384] }),
  ]);
  const large = Array.from({ length: 300 }, (_, n) => [
    messages,
    seal(messages, APPLICATION, Buffer.alloc(MIB, n), { fragment: [7, n, 16_384] }),
  ]);
  return [...whole, ...large, ...fragments];
}

/** The most memory that a process has had, in MiB. */
const peakOf = (pid) => Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

const skip = !existsSync('/proc/self/status') && 'the memory of a process is read from /proc';
test('bombs of every kind, signed by a member: a process stays below 256 MiB and goes on', { skip }, async (t) => {
  const broker = await embedded(t);
  const ada = startEditor(t, { name: 'ada', broker });
  await ada.started;
  await ada.ask('create', { canvas: { nodes: [{ id: 'a', type: 'text', text: 'plan' }] } });
  const client = await connectAsync(`mqtt://${broker.host}:${broker.port}`, { protocolVersion: 4 });
  scoped(t).defer(() => client.endAsync());
  const rejectedOf = async () => {
    const { rejected } = (await ada.ask('status')).repositories[REPOSITORY].messages;
    return Object.values(rejected).reduce((sum, count) => sum + count, 0);
  };
  const member = newMember();
  for (const [topic, payload] of bombs(member)) await client.publishAsync(PREFIX + topic, payload, { qos: 1 });
  await until(async () => (await rejectedOf()) > 4_000, 'most of it was dropped');
  await ada.ask('moves', { count: 10, id: 'a' });
  assert.equal((await ada.ask('look', { id: 'a' })).x, 10);
  const peak = peakOf(ada.pid);
  t.diagnostic(`at most ${Math.round(peak)} MiB, ${await rejectedOf()} messages dropped`);
  assert.ok(peak < MEMORY_MIB, `${peak} MiB`);
});
