import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { createKeyFile, type EmbeddedBroker, type MQTTIntegrationConfig, MQTTIntegrationService } from '../index.js';
import type { ListenTo, Overheard } from './demo-listener.js';
import { brokerName, stage } from './demo-stage.js';
import { interruptible } from './lifetime.js';
import { colour, print, printJson, TICK } from './output.js';
import { type CommonOptions, type Settings, settings, UsageError, withCommonOptions } from './settings.js';

const REPOSITORY = 'orchard-launch';
const CANVAS = 'boards/secret-pricing';
const [ADA, BEN] = ['ada.lovelace', 'ben.franklin'];
const TEXTS = {
  card: 'The price will be 499 from March on',
  edit: 'Nobody outside of the team knows yet',
  cursor: 'looking-at-the-price',
  message: 'Please review the pricing board',
};
/** Everything that nobody else may see. */
const SECRETS = [REPOSITORY, CANVAS, 'secret-pricing', ADA, BEN, ...Object.values(TEXTS)];
const DEADLINE_MS = 20_000;

/** `mqtt-p2p demo-encrypted`: two peers edit, a third program listens to everything on the broker. */
export function demoEncrypted(): Command {
  return withCommonOptions(new Command('demo-encrypted'))
    .summary('watch an encrypted canvas, and what the broker sees of it')
    .description('watch two peers edit an encrypted canvas, and what somebody who listens to the broker can see of it')
    .action((options: CommonOptions) => run(settings(options, [REPOSITORY])));
}

async function run(wanted: Settings): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'mqtt-p2p-demo-'));
  let broker: EmbeddedBroker | undefined;
  const listeners: Listener[] = [];
  const listen = async (config: MQTTIntegrationConfig) => {
    const listener = new Listener(config);
    listeners.push(listener);
    await listener.ready;
    return listener;
  };
  await interruptible(
    async () => {
      broker = await stage(wanted);
      const say = (line = '') => wanted.json || print(line);
      say(colour.bold('Two peers edit; a third program listens to everything on the broker'));
      say();
      say(`broker  ${brokerName(wanted, broker)}`);
      const { encryption: _, ...plain } = wanted.config;
      const base = { ...plain, repositories: [REPOSITORY] };

      const keyFile = join(scratch, 'orchard.key');
      await createKeyFile(keyFile);
      const closed = { ...base, features: { ...base.features, encryption: true }, encryption: { keyFile } };
      const listener = await listen(closed);
      const nodes = await edit(closed);
      const overheard = await listener.all();
      listener.stop();
      say(`${TICK} Ada and Ben share a key, edited a board, and both have its ${nodes} cards`);
      say();
      say(`  What the third program sees of that: ${overheard.length} messages`);
      for (const line of summary(overheard)) say(colour.dim(`    ${line}`));
      say();
      const leaks = found(overheard);
      if (leaks.length > 0) throw new Error(`the third program found ${leaks.join(', ')}`);
      say(
        `${TICK} ${colour.bold('nothing found')}: no text, name of a board, repository or author in any topic or payload`,
      );

      // What finds nothing where nothing is hidden would have proved nothing.
      const open = { ...base, features: { ...base.features, encryption: false } };
      const control = await listen(open);
      await edit(open);
      const plainly = found(await control.all());
      if (plainly.length < SECRETS.length) throw new Error('the search itself does not work');
      say(
        `${TICK} the same again without a key: ${plainly.length} of ${SECRETS.length} found, such as "${TEXTS.card}"`,
      );
      if (wanted.json) printJson({ looked: SECRETS, encrypted: leaks, plain: plainly, overheard: sizes(overheard) });
    },
    async () => {
      for (const listener of listeners) listener.stop();
      await broker?.stop();
      rmSync(scratch, { recursive: true, force: true });
    },
  );
}

/** Two peers make a board, edit it, show a cursor and send a message; how many cards both have in the end. */
async function edit(config: MQTTIntegrationConfig): Promise<number> {
  const ada = new MQTTIntegrationService(config);
  const ben = new MQTTIntegrationService(config);
  try {
    await Promise.all([ada.initialize(), ben.initialize()]);
    const arrived = heard(ben, 'canvas-created');
    const place = { x: 0, y: 0, width: 260, height: 80 };
    const card = { id: 'price', type: 'text', ...place, text: TEXTS.card };
    await ada.createCanvas(REPOSITORY, CANVAS, { nodes: [card], edges: [] }, ADA);
    await arrived;
    const changed = heard(ada, 'canvas-updated');
    const other = { id: 'note', type: 'text', ...place, y: 120, text: TEXTS.edit };
    await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [other] } }, BEN);
    await changed;
    const cursor = heard(ada, 'presence');
    await ben.setPresence(REPOSITORY, CANVAS, { at: TEXTS.cursor }, { author: BEN });
    await cursor;
    const message = heard(ben, 'message');
    await ada.broadcastMessage({ text: TEXTS.message });
    await message;
    return (await ada.getCanvas(REPOSITORY, CANVAS)).nodes.length;
  } finally {
    // Whoever leaves has the broker keep a snapshot: that is to be looked at too.
    await ada.disconnect();
    await ben.disconnect();
  }
}

function heard(service: MQTTIntegrationService, event: 'canvas-created' | 'canvas-updated' | 'presence' | 'message') {
  return once(service, event, { signal: AbortSignal.timeout(DEADLINE_MS) });
}

interface Message {
  topic: string;
  payload: Buffer;
}

/** The third program. */
class Listener {
  readonly ready: Promise<unknown>;
  readonly #child: ChildProcess;
  readonly #messages: Message[] = [];

  constructor({ broker, topicPrefix }: MQTTIntegrationConfig) {
    this.#child = fork(join(__dirname, 'demo-listener.js'));
    this.ready = once(this.#child, 'message', { signal: AbortSignal.timeout(DEADLINE_MS) });
    this.#child.on('message', (message: Overheard) => {
      if ('topic' in message) this.#messages.push({ ...message, payload: Buffer.from(message.payload, 'base64') });
    });
    const { protocol = 'mqtt', host = 'localhost', port = 1883, username, password } = broker;
    if (protocol !== 'mqtt') throw new UsageError('the third program listens over mqtt:// only; name such a broker');
    const user = { ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
    const filter = topicPrefix ? `${topicPrefix}/#` : '#';
    this.#child.send({ host, port, ...user, filter } satisfies ListenTo);
  }

  /** What it has heard once both peers have left: each ends with clearing its presence. */
  async all(): Promise<Message[]> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    while (new Set(this.#messages.filter(isGoodbye).map(({ topic }) => topic)).size < 2) {
      await once(this.#child, 'message', { signal });
    }
    return this.#messages;
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}

const isGoodbye = ({ topic, payload }: Message) => payload.length === 0 && topic.includes('/peers/');

/** Which of the secrets are on a topic or in a payload. */
function found(messages: Message[]): string[] {
  return SECRETS.filter((secret) =>
    messages.some(({ topic, payload }) => decodeURIComponent(topic).includes(secret) || payload.includes(secret)),
  );
}

function sizes(messages: Message[]) {
  return messages.map(({ topic, payload }) => ({ topic, bytes: payload.length }));
}

/** Each topic once, with how many messages and bytes it had. */
function summary(messages: Message[]): string[] {
  const totals = new Map<string, { count: number; bytes: number }>();
  for (const { topic, payload } of messages) {
    const total = totals.get(topic) ?? { count: 0, bytes: 0 };
    totals.set(topic, { count: total.count + 1, bytes: total.bytes + payload.length });
  }
  return [...totals].map(([topic, { count, bytes }]) => `${topic}  ${count} × ${Math.round(bytes / count)} bytes`);
}
