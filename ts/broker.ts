import { type NativeBroker, startBroker as startNativeBroker } from '../binding.js';
import type { BrokerOptions, EmbeddedBroker } from '../index.js';
import { publicError, toJson } from './errors.js';

/** Starts the broker that is built in; see `index.d.ts`. */
export async function startBroker(options: BrokerOptions = {}): Promise<EmbeddedBroker> {
  const json = toJson(options, 'ERR_CONFIG_INVALID', 'the options');
  try {
    return new Broker((await startNativeBroker(json)) as NativeBroker);
  } catch (cause) {
    throw publicError(cause);
  }
}

class Broker implements EmbeddedBroker {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly websocketPort: number | null;
  readonly websocketUrl: string | null;
  readonly #native: NativeBroker;
  #stopping: Promise<void> | undefined;

  constructor(native: NativeBroker) {
    this.#native = native;
    this.host = native.host;
    this.port = native.port;
    this.url = native.url;
    this.websocketPort = native.websocketPort ?? null;
    this.websocketUrl = native.websocketUrl ?? null;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    try {
      await this.#native.stop();
    } catch (cause) {
      throw publicError(cause);
    }
  }
}
