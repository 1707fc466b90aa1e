// What somebody with a key file reads of packets of an encrypted repository, by docs/protocol.md, section 10.1, and nothing of
// this package: the primitives are Node's, but for the step from ChaCha20 to XChaCha20.
import { createDecipheriv, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';

const TAG_BYTES = 16;

/**
 * Somebody who has a key file and knows the repository's name: `open(topic, payload)` gives `{ sender, plainTopic }` of what
 * the key opens, and undefined for everything else. `topic` has the prefix `mind-git`.
 */
export function keyHolder(keyFile, repository) {
  const secret = Buffer.from(readFileSync(keyFile, 'utf8').trim().split(' ').at(-2), 'hex');
  const info = Buffer.concat([counted('sealing'), counted(repository)]);
  const key = Buffer.from(hkdfSync('sha256', secret, 'mind-git/mqtt-p2p/encryption/v1', info, 32));
  return { open: (topic, payload) => opened(key, topic, payload) };
}

function opened(key, topic, payload) {
  const header = bytesAt(payload, 1);
  if (payload[0] !== 0x83 || !header) return undefined;
  const body = bytesAt(payload, header.end);
  // Keys 9 and 10, key id and nonce, end the header of what is sealed, or key 11 does, 32 bytes of what it vouches for.
  const { bytes } = header;
  const seal = (bytes.at(-35) === 11 && bytes.at(-34) === 0x58 ? bytes.subarray(0, -35) : bytes).subarray(-62);
  if (!body || seal[0] !== 9 || seal[35] !== 10) return undefined;
  const path = topic.replace(/^mind-git\//, '');
  const associated = Buffer.concat([Buffer.from('mind-git/mqtt-p2p/sealed/v1'), counted(path), counted(header.bytes)]);
  const content = decrypt(key, seal.subarray(38), associated, body.bytes);
  if (!content) return undefined;
  const sender = header.bytes.indexOf(Buffer.from([2, 0x58, 32])) + 3;
  const length = content.readUInt16BE(0);
  return {
    sender: header.bytes.subarray(sender, sender + 32).toString('hex'),
    plainTopic: content.subarray(2, 2 + length).toString(),
  };
}

/** XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha, section 2.3); undefined for what this key did not seal. */
function decrypt(key, nonce, associated, sealed) {
  const subkey = hChaCha20(key, nonce.subarray(0, 16));
  const short = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]);
  const options = { authTagLength: TAG_BYTES };
  const cipher = createDecipheriv('chacha20-poly1305', subkey, short, options);
  const text = sealed.subarray(0, -TAG_BYTES);
  cipher.setAAD(associated, { plaintextLength: text.length });
  cipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([cipher.update(text), cipher.final()]);
  } catch {
    return undefined;
  }
}

/** The same draft, section 2.2. */
function hChaCha20(key, nonce) {
  const state = new Uint32Array(16);
  const words = (bytes) => Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readUInt32LE(at * 4));
  state.set([...words(Buffer.from('expand 32-byte k')), ...words(key), ...words(nonce)]);
  const rotate = (word, by) => (word << by) | (word >>> (32 - by));
  const step = (a, b, d, by) => {
    state[a] += state[b];
    state[d] = rotate(state[d] ^ state[a], by);
  };
  const quarter = (a, b, c, d) => {
    step(a, b, d, 16);
    step(c, d, b, 12);
    step(a, b, d, 8);
    step(c, d, b, 7);
  };
  for (let round = 0; round < 10; round++) {
    for (let at = 0; at < 4; at++) quarter(at, 4 + at, 8 + at, 12 + at);
    for (let at = 0; at < 4; at++) quarter(at, 4 + ((at + 1) % 4), 8 + ((at + 2) % 4), 12 + ((at + 3) % 4));
  }
  const out = Buffer.alloc(32);
  for (const [at, word] of [0, 1, 2, 3, 12, 13, 14, 15].entries()) out.writeUInt32LE(state[word], at * 4);
  return out;
}

const counted = (text) => {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
};

/** The CBOR byte string at a place, and where it ends. */
function bytesAt(payload, at) {
  const first = payload[at];
  const sizes = { 88: 1, 89: 2, 90: 4 };
  const size = first >= 0x40 && first <= 0x57 ? 0 : sizes[first];
  if (size === undefined || payload.length < at + 1 + size) return undefined;
  const length = size === 0 ? first - 0x40 : payload.readUIntBE(at + 1, size);
  const begin = at + 1 + size;
  return { bytes: payload.subarray(begin, begin + length), end: begin + length };
}
