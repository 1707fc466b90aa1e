import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { type BrokerOptions, type EmbeddedBroker, startBroker } from '../index.js';
import { urlOf } from './broker.js';
import type { Settings } from './settings.js';

const DEFAULT_PORT = 1883;
const DEFAULT_PREFIX = 'mind-git';
const ANSWER_MS = 500;

/** Which broker is used, for people. */
export interface Choice {
  /** Its address; never a password. */
  url: string;
  /** `given` by the user; `found` on this machine's port for brokers; `embedded` in this process. */
  how: 'given' | 'found' | 'embedded';
  stop(): Promise<void>;
}

/** Takes the broker that was named; else the one that runs on this machine; else an embedded one, on any port. */
export async function chooseBroker(wanted: Settings): Promise<Choice> {
  const { config } = wanted;
  const stop = async () => {};
  if (!wanted.brokerGiven) {
    if (!(await answers({ host: '127.0.0.1', port: DEFAULT_PORT }))) {
      const embedded: EmbeddedBroker = await startBroker();
      config.broker = { ...config.broker, host: embedded.host, port: embedded.port };
      return { url: embedded.url, how: 'embedded', stop: () => embedded.stop() };
    }
    config.broker = { ...config.broker, host: '127.0.0.1', port: DEFAULT_PORT };
  }
  return { url: urlOf(config.broker), how: wanted.brokerGiven ? 'given' : 'found', stop };
}

/** Keeps what a command does apart from all else on the broker. */
export function apart(wanted: Settings, what: string): void {
  const prefix = wanted.config.topicPrefix ?? DEFAULT_PREFIX;
  wanted.config.topicPrefix = `${prefix}/${what}-${randomBytes(6).toString('hex')}`;
}

/** Whether something accepts connections there. */
export function answers({ host = '127.0.0.1', port = DEFAULT_PORT }: BrokerOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const settle = (answered: boolean) => {
      resolve(answered);
      socket.destroy();
    };
    socket.setTimeout(ANSWER_MS, () => settle(false));
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}
