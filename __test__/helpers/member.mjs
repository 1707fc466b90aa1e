// A member of an open repository that signs whatever it likes: envelopes as docs/protocol.md, section 3, has them.
import { generateKeyPairSync, sign } from 'node:crypto';

/** CBOR of numbers, byte strings, texts, arrays and maps (as arrays of pairs), in its shortest form. */
export function cbor(value) {
  if (typeof value === 'number' || typeof value === 'bigint') return head(0, value);
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  const pairs = [...value.entries()].map(([key, item]) => Buffer.concat([cbor(key), cbor(item)]));
  return Buffer.concat([head(5, pairs.length), ...pairs]);
}

function head(major, number) {
  const type = major << 5;
  if (number < 24) return Buffer.from([type | Number(number)]);
  if (number < 2 ** 8) return Buffer.from([type | 24, Number(number)]);
  const [length, info] = number < 2 ** 16 ? [2, 25] : number < 2 ** 32 ? [4, 26] : [8, 27];
  const bytes = Buffer.alloc(9);
  bytes.writeBigUInt64BE(BigInt(number), 1);
  return Buffer.concat([Buffer.from([type | info]), bytes.subarray(9 - length)]);
}

const counted = (bytes) => {
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
};

/** A new peer: `seal(topic, kind, body, { codec, fragment })` makes a payload for a topic without its prefix. */
export function newMember() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const peer = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  const session = BigInt(Date.now()) << 16n;
  const counters = new Map();
  const seal = (topic, kind, body, { codec = 0, fragment } = {}) => {
    const counter = counters.get(topic) ?? 0;
    counters.set(topic, counter + 1);
    const fields = [1, kind, peer, session, counter, Date.now(), 1, codec, ...(fragment ? [fragment] : [])];
    const header = cbor(new Map(fields.entries()));
    const domain = Buffer.from('mind-git/mqtt-p2p/envelope/v1');
    const input = Buffer.concat([domain, counted(Buffer.from(topic)), counted(header), body]);
    return cbor([header, body, sign(null, input, privateKey)]);
  };
  return { seal };
}
