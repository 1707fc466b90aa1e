import { publicError } from './errors.js';

/** What the native side puts into the mailbox: the outcome of a call, or an event. */
type Item =
  | { call: number; value?: unknown; error?: { code: string; message: string } }
  | { event: string; payload: unknown };

interface PendingCall {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** The part of the native service that the mailbox uses. */
interface Source {
  start(doorbell: () => void): void;
  drain(): string;
}

/** The longest that Node takes: its callback has nothing to do, only the timer's being there counts. */
const LONGEST_INTERVAL_MS = 2 ** 31 - 1;

/** How long events are handed over before the application's own work has its turn, in milliseconds. One listener may take longer. */
const SLICE_MS = 3;

/**
 * The one ordered channel from the native side: outcomes of calls and events arrive in batches and are handed over in
 * the order in which the core produced them.
 */
export class Mailbox {
  readonly #source: Source;
  readonly #emit: (event: string, payload: unknown) => void;
  readonly #calls = new Map<number, PendingCall>();
  #lastCall = 0;
  #items: Item[] = [];
  #next = 0;
  #dispatching = false;
  #sliceEndMs = 0;
  #rang = false;
  #ringing = false;
  #alive: NodeJS.Timeout | undefined;

  /** Events go to `emit`; what it throws is reported as an uncaught exception and stops nothing. */
  constructor(source: Source, emit: (event: string, payload: unknown) => void) {
    this.#source = source;
    this.#emit = emit;
  }

  /** Opens the channel. By itself it does not keep the process alive, see `hold`. */
  open(): void {
    this.#source.start(() => this.#ring());
  }

  /** Keeps the process alive until `release`. */
  hold(): void {
    this.#alive ??= setInterval(() => {}, LONGEST_INTERVAL_MS);
  }

  /** Lets the process end. */
  release(): void {
    clearInterval(this.#alive);
    this.#alive = undefined;
  }

  /**
   * Sends a command under a fresh number; settles with its outcome. `send` may return `true`: the mailbox has something, of
   * which the native side does not tell then.
   */
  call<T>(send: (call: number) => unknown): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const call = ++this.#lastCall;
      this.#calls.set(call, { resolve: resolve as (value: unknown) => void, reject });
      try {
        if (send(call) === true) this.#ringSoon();
      } catch (cause) {
        this.#calls.delete(call);
        reject(publicError(cause));
      }
    });
  }

  /** In a turn of the event loop of its own: who awaits one call after the other must not starve the application's I/O. */
  #ringSoon(): void {
    if (this.#ringing) return;
    this.#ringing = true;
    setImmediate(() => {
      this.#ringing = false;
      this.#ring();
    });
  }

  #ring(): void {
    this.#rang = true;
    if (!this.#dispatching) this.#drain();
  }

  #drain(): void {
    this.#rang = false;
    this.#dispatching = true;
    this.#items = JSON.parse(this.#source.drain()) as Item[];
    this.#next = 0;
    this.#dispatchSlice();
  }

  /** What is left after a slice goes on in a later turn of the event loop, after timers and I/O of the application's own. */
  #dispatchSlice(): void {
    this.#sliceEndMs = performance.now() + SLICE_MS;
    this.#dispatch();
  }

  #dispatch(): void {
    let settled = false;
    while (this.#next < this.#items.length) {
      const item = this.#items[this.#next] as Item;
      if ('event' in item) {
        if (settled) {
          this.#dispatchAfterReactions();
          return;
        }
        if (performance.now() > this.#sliceEndMs) {
          setImmediate(() => this.#dispatchSlice());
          return;
        }
        this.#deliver(item.event, item.payload);
      } else {
        this.#settle(item);
        settled = true;
      }
      this.#next++;
    }
    this.#items = [];
    this.#dispatching = false;
    // A turn of the event loop between batches: a busy peer must not starve the application's own I/O.
    if (this.#rang) this.#ringSoon();
  }

  /**
   * Goes on once everything that waited for the settled promises has run, so that `model = await getCanvas()` is done
   * before the events that follow it in document order. A tick scheduled from a microtask runs when no microtask is left.
   */
  #dispatchAfterReactions(): void {
    queueMicrotask(() => process.nextTick(() => this.#dispatch()));
  }

  #settle({ call, value, error }: Extract<Item, { call: number }>): void {
    const pending = this.#calls.get(call);
    this.#calls.delete(call);
    if (error) pending?.reject(publicError(error));
    else pending?.resolve(value);
  }

  #deliver(event: string, payload: unknown): void {
    try {
      this.#emit(event, payload);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
