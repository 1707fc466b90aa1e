/** Packet types by their number (MQTT 3.1.1, table 2.1). */
const TYPES = [
  'RESERVED',
  'CONNECT',
  'CONNACK',
  'PUBLISH',
  'PUBACK',
  'PUBREC',
  'PUBREL',
  'PUBCOMP',
  'SUBSCRIBE',
  'SUBACK',
  'UNSUBSCRIBE',
  'UNSUBACK',
  'PINGREQ',
  'PINGRESP',
  'DISCONNECT',
];
/** Those whose variable header is a packet id first of all. */
const WITH_ID = new Set(['PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP', 'SUBSCRIBE', 'SUBACK', 'UNSUBSCRIBE', 'UNSUBACK']);
const MAX_LENGTH_BYTES = 4;

/** Cuts a byte stream into MQTT 3.1.1 packets, however TCP cut it into chunks. */
export class FrameSplitter {
  #rest = Buffer.alloc(0);

  /** Takes a chunk; gives the packets that it completes, see `parseFrame`. Throws on what is not MQTT. */
  push(chunk) {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames = [];
    for (;;) {
      const size = sizeOf(this.#rest);
      if (size === undefined || this.#rest.length < size) return frames;
      frames.push(parseFrame(this.#rest.subarray(0, size)));
      this.#rest = this.#rest.subarray(size);
    }
  }
}

/** Size of the packet that begins here, header included; undefined while its length is not there yet. */
function sizeOf(bytes) {
  const length = remainingLength(bytes);
  return length && 1 + length.bytes + length.value;
}

/** MQTT 3.1.1, section 2.2.3: seven bits a byte, lowest first, the eighth says that more follow. */
function remainingLength(bytes) {
  let value = 0;
  for (let n = 0; n < MAX_LENGTH_BYTES; n++) {
    const byte = bytes[1 + n];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 128 ** n;
    if (byte < 0x80) return { value, bytes: n + 1 };
  }
  throw new Error('no MQTT: the remaining length has more than four bytes');
}

/** One whole packet: `{ type, bytes }` and, where it has them, `id`, `topic`, `qos`, `retain`, `duplicate`, `payload`. */
export function parseFrame(bytes) {
  const type = TYPES[bytes[0] >> 4] ?? 'RESERVED';
  const start = 1 + remainingLength(bytes).bytes;
  if (type === 'PUBLISH') return { type, bytes, ...publishOf(bytes, start) };
  return WITH_ID.has(type) ? { type, bytes, id: bytes.readUInt16BE(start) } : { type, bytes };
}

function publishOf(bytes, start) {
  const flags = bytes[0] & 0x0f;
  const qos = (flags >> 1) & 3;
  const afterTopic = start + 2 + bytes.readUInt16BE(start);
  return {
    topic: bytes.toString('utf8', start + 2, afterTopic),
    ...(qos > 0 && { id: bytes.readUInt16BE(afterTopic) }),
    qos,
    retain: (flags & 1) === 1,
    duplicate: (flags & 8) === 8,
    payload: bytes.subarray(qos > 0 ? afterTopic + 2 : afterTopic),
  };
}

/** A PUBACK for a packet id. */
export function puback(id) {
  return Buffer.from([0x40, 2, id >> 8, id & 0xff]);
}
