import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
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

const uleb = (value) => {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) | (rest > 127 ? 0x80 : 0));
    if (rest <= 127) return Buffer.from(bytes);
  }
};

/** A chunk of Automerge, of a type, with the checksum that fits. */
function chunk(type, body) {
  const tail = Buffer.concat([Buffer.from([type]), uleb(body.length), body]);
  const checksum = createHash('sha256').update(tail).digest().subarray(0, 4);
  return Buffer.concat([Buffer.from([0x85, 0x6f, 0x4a, 0x83]), checksum, tail]);
}

/** A column of so many nulls takes seven bytes at most. */
const nulls = (count) => Buffer.concat([Buffer.from([0]), uleb(count)]);

/** A change of so many operations, in some thirty bytes. */
function longChange(operations) {
  const column = nulls(operations);
  return chunk(1, Buffer.concat([Buffer.from([0, 1, 9, 1, 1, 0, 0, 0, 1, 0x42, column.length]), column]));
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
    ...[3e6, 2 ** 24, 2 ** 31, 2 ** 40].map((count) => [
      changes,
      seal(changes, CHANGES, cbor([[longChange(count)], []])),
    ]),
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

/** A figure of a process in MiB: `VmHWM` is the most memory that it has had, `VmData` what it may write to. */
const figure = (pid, name) =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

/**
 * Has the system give a process no more than so much memory, whatever of it it reads or writes: it ends if it asks for more.
 * What it has reserved and does not use is not counted.
 */
function limit(pid, mebibytes) {
  const data = Math.floor((figure(pid, 'VmData') - figure(pid, 'VmRSS') + mebibytes) * MIB);
  const { error, status } = spawnSync('prlimit', ['--pid', String(pid), `--data=${data}`]);
  assert.ok(!error && status === 0, 'prlimit, of util-linux, limits the process');
}

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
  limit(ada.pid, MEMORY_MIB);
  const member = newMember();
  for (const [topic, payload] of bombs(member)) await client.publishAsync(PREFIX + topic, payload, { qos: 1 });
  await until(async () => (await rejectedOf()) > 4_000, 'most of it was dropped');
  await ada.ask('moves', { count: 10, id: 'a' });
  assert.equal((await ada.ask('look', { id: 'a' })).x, 10);
  const peak = figure(ada.pid, 'VmHWM');
  t.diagnostic(`at most ${Math.round(peak)} MiB, ${await rejectedOf()} messages dropped`);
  assert.ok(peak < MEMORY_MIB, `${peak} MiB`);
});
