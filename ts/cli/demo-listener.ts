import { connect } from 'node:net';

/** What the listener is told: where the broker is, and what to subscribe to. */
export interface ListenTo {
  host: string;
  port: number;
  username?: string;
  password?: string;
  filter: string;
}

/** What it heard: a topic, and the payload in base64. */
export type Overheard = { ready: true } | { topic: string; payload: string };

// A program of its own, which has nothing of this package: it speaks just enough MQTT 3.1.1 to listen.

const CONNECT = 0x10;
const PUBLISH = 3;
const SUBSCRIBE = 0x82;
const SUBACK = 9;
const MAX_LENGTH_BYTES = 4;

process.once('message', (to: ListenTo) => listen(to));
process.once('disconnect', () => process.exit());

function listen({ host, port, username, password, filter }: ListenTo): void {
  const socket = connect(port, host);
  const flags = 0x02 | (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40);
  const credentials = [username, password].filter((text) => text !== undefined).map(text16);
  const head = Buffer.concat([text16('MQTT'), Buffer.from([4, flags, 0, 0])]);
  socket.write(packet(CONNECT, head, text16(`listener-${process.pid}`), ...credentials));
  socket.write(packet(SUBSCRIBE, Buffer.from([0, 1]), text16(filter), Buffer.from([0])));
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (let next = take(rest); next; next = take(rest)) {
      rest = rest.subarray(next.end);
      if (next.type === SUBACK) tell({ ready: true });
      if (next.type === PUBLISH) tell(publication(next.body));
    }
  });
  socket.on('error', (error) => {
    console.error(`listener: ${error.message}`);
    process.exit(1);
  });
}

function tell(message: Overheard): void {
  process.send?.(message);
}

/** A publication at QoS 0, the only one asked for. */
function publication(body: Buffer): Overheard {
  const end = 2 + body.readUInt16BE(0);
  return { topic: body.toString('utf8', 2, end), payload: body.toString('base64', end) };
}

/** The first packet, if all of it is there. */
function take(buffer: Buffer): { type: number; body: Buffer; end: number } | undefined {
  let length = 0;
  for (let at = 1; at <= MAX_LENGTH_BYTES && at < buffer.length; at++) {
    const byte = buffer[at] ?? 0;
    length += (byte & 0x7f) * 128 ** (at - 1);
    if (byte & 0x80) continue;
    const end = at + 1 + length;
    return end > buffer.length ? undefined : { type: (buffer[0] ?? 0) >> 4, body: buffer.subarray(at + 1, end), end };
  }
  return undefined;
}

function packet(first: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  for (let left = body.length; length.length === 0 || left > 0; left = Math.floor(left / 128)) {
    length.push((left % 128) | (left >= 128 ? 0x80 : 0));
  }
  return Buffer.concat([Buffer.from([first, ...length]), body]);
}

function text16(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
