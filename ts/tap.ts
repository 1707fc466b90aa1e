import { NativeTap } from '../binding.js';
import type { JsonValue, MQTTIntegrationConfig } from '../index.js';
import { publicError, toJson } from './errors.js';
import { insecureWarning } from './insecure.js';
import { Mailbox } from './mailbox.js';

/** A packet that went over the broker, and what it says. What is not known of it is absent. */
export interface Packet {
  topic: string;
  /** Size of the payload. */
  bytes: number;
  /** Whether the broker had kept it from before. */
  retained: boolean;
  /** How many packets before it were dropped, because they came faster than they were taken. */
  missed: number;
  /**
   * `message`: verified and read; `fragment`: verified, a piece of one; `encrypted`: its key is not at hand; `empty`: a
   * retained message was cleared; `probe`: a peer measures a round trip; `refused`: peers drop it, see `reason`.
   */
  standing: 'message' | 'fragment' | 'encrypted' | 'empty' | 'probe' | 'refused';
  reason?: string;
  /** Its name, or what stands for it on the topic where names are hidden. */
  repository?: string;
  /** Its id, or what stands for it on the topic where names are hidden. */
  canvas?: string;
  /** In words, such as `sync-request`. */
  kind?: string;
  /** The sender's id. */
  peer?: string;
  /** When it was sent, in milliseconds since the Unix epoch by the sender's clock. */
  sent?: number;
  /** What the body says, by kind; null where it was not read. */
  details: { [field: string]: JsonValue } | null;
}

/** What a tap tells. */
export interface TapEvents {
  /** From now on nothing is missed. */
  listening(event: { filter: string }): void;
  packet(packet: Packet): void;
  /** The broker refuses the connection or the subscription. */
  refused(event: { reason: string }): void;
  /** There is no connection; it is being made again. */
  away(event: { reason: string }): void;
}

/** Listens to everything below the topic prefix, and publishes nothing unless it is told to clear. Keeps the process alive until `stop`. */
export class Tap {
  readonly #native: NativeTap;
  readonly #mailbox: Mailbox;
  #stopping: Promise<void> | undefined;

  /** Connects where a service of this configuration would, with its keys. Throws `ERR_CONFIG_INVALID`, `ERR_ENCRYPTION_KEY`. */
  constructor(config: MQTTIntegrationConfig, events: TapEvents) {
    try {
      this.#native = new NativeTap(toJson(config, 'ERR_CONFIG_INVALID', 'the configuration'));
    } catch (cause) {
      throw publicError(cause);
    }
    const warnInsecure = insecureWarning(config);
    this.#mailbox = new Mailbox(this.#native, (event, payload) => {
      if (event === 'listening') warnInsecure();
      events[event as keyof TapEvents](payload as never);
    });
    this.#mailbox.open();
    this.#mailbox.hold();
  }

  /** Has the broker forget what it keeps on a topic. Needs a connection; whoever stops waits for it. */
  clear(topic: string): void {
    this.#native.clear(topic);
  }

  /** Ends the connection. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#mailbox
      .call<void>((call) => this.#native.stop(call))
      .finally(() => this.#mailbox.release());
    return this.#stopping;
  }
}
