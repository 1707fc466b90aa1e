import { randomBytes } from 'node:crypto';
import { type EmbeddedBroker, startBroker } from '../index.js';
import { urlOf } from './broker.js';
import { REPOSITORY } from './demo-protocol.js';
import type { Settings } from './settings.js';

const DEFAULT_PREFIX = 'mind-git';

/**
 * Where a demo takes place: on an embedded broker of its own, which is returned; or on the given broker, apart from all
 * else, for a broker keeps canvases, and another demo may have left some.
 */
export async function stage(wanted: Settings): Promise<EmbeddedBroker | undefined> {
  const { config } = wanted;
  config.repositories = [REPOSITORY];
  if (wanted.brokerGiven) {
    config.topicPrefix = `${config.topicPrefix ?? DEFAULT_PREFIX}/demo-${randomBytes(6).toString('hex')}`;
    return undefined;
  }
  const broker = await startBroker();
  config.broker = { ...config.broker, host: broker.host, port: broker.port };
  return broker;
}

/** The broker in a word. */
export function brokerName({ config }: Settings, embedded: EmbeddedBroker | undefined): string {
  return embedded ? `${embedded.url} (embedded)` : urlOf(config.broker);
}
