import { EventEmitter } from 'node:events';
import { NativeService, validateConfig } from '../binding.js';
import type {
  CanvasChanges,
  CanvasData,
  CanvasInfo,
  CanvasPatch,
  CanvasVersion,
  ErrorCode,
  HealthReport,
  Member,
  MQTTIntegrationConfig,
  MQTTIntegrationEvents,
  NetworkStatus,
  PeerInfo,
  PerformanceOptions,
  PerformanceReport,
  ReadCanvas,
  RepositoryStatus,
  RotationOptions,
  SyncReport,
} from '../index.js';
import { MqttP2pError, type Place, publicError, toJson } from './errors.js';
import { insecureWarning } from './insecure.js';
import { Mailbox } from './mailbox.js';
import { type Remembered, remember, versionFor } from './versions.js';

/** One canvas of this peer, as versions are remembered for it. */
type Home = Omit<Remembered, 'version'>;

/** One peer; `index.d.ts` documents every member. Here is delegation only: the work is done by the native core. */
export class MQTTIntegrationService extends EventEmitter<MQTTIntegrationEvents> {
  readonly #native: NativeService;
  readonly #mailbox: Mailbox;
  readonly #warnInsecure: () => void;
  /** The version of each canvas that listeners were last told of. */
  readonly #told = new Map<string, CanvasVersion>();
  #opened = false;
  #connected = false;
  #closing: Promise<void> | undefined;

  constructor(config: MQTTIntegrationConfig) {
    super();
    this.#native = attempt(() => new NativeService(toJson(config, 'ERR_CONFIG_INVALID', 'the configuration')));
    this.#warnInsecure = insecureWarning(config);
    this.#mailbox = new Mailbox(this.#native, (event, payload) => this.#deliver(event, payload));
    const inside = this as EventEmitter;
    inside.on(
      'newListener',
      (event) => event === 'log' && this.listenerCount('log') === 0 && this.#native.setLogs(true),
    );
    inside.on(
      'removeListener',
      (event) => event === 'log' && this.listenerCount('log') === 0 && this.#native.setLogs(false),
    );
  }

  // ---- life ----

  async initialize(): Promise<void> {
    this.#open();
    this.#mailbox.hold();
    try {
      await this.#call((call) => this.#native.initialize(call));
      this.#connected = true;
    } finally {
      // A disconnect that overtook us still waits for its own outcome.
      if (!this.#connected && !this.#closing) this.#mailbox.release();
    }
  }

  async flush(): Promise<void> {
    await this.#call((call) => this.#native.flush(call));
  }

  disconnect(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#open();
    this.#mailbox.hold();
    try {
      await this.#call((call) => this.#native.disconnect(call));
    } finally {
      this.#connected = false;
      this.#mailbox.release();
    }
  }

  #open(): void {
    if (!this.#opened) attempt(() => this.#mailbox.open());
    this.#opened = true;
  }

  // ---- canvases ----

  createCanvas(repository: string, canvasId: string, canvasData: CanvasData, author: string): Promise<CanvasVersion> {
    return this.#passCanvas(this.#place(repository, canvasId), canvasData, (call, json) =>
      this.#native.createCanvas(call, repository, canvasId, json, author),
    );
  }

  updateCanvas(
    repository: string,
    canvasId: string,
    updatedData: CanvasData,
    author: string,
    options?: { base?: CanvasVersion },
  ): Promise<CanvasVersion> {
    const place = this.#place(repository, canvasId);
    const remembered = versionFor(updatedData, place);
    return this.#passCanvas(place, updatedData, (call, json) =>
      this.#native.updateCanvas(call, repository, canvasId, json, author, options?.base, remembered),
    );
  }

  async patchCanvas(
    repository: string,
    canvasId: string,
    patch: CanvasPatch,
    author: string,
    options?: { base?: CanvasVersion },
  ): Promise<CanvasVersion> {
    const json = toJson(patch, 'ERR_CANVAS_INVALID', 'the patch');
    const told = this.#told.get(keyOf(repository, canvasId));
    return this.#call((call) =>
      this.#native.patchCanvas(call, repository, canvasId, json, author, options?.base, told),
    );
  }

  async getCanvas(repository: string, canvasId: string, options?: { at?: CanvasVersion }): Promise<ReadCanvas> {
    const { version, canvas } = await this.#call<{ version: CanvasVersion; canvas: ReadCanvas }>((call) =>
      this.#native.getCanvas(call, repository, canvasId, options?.at),
    );
    remember(canvas, { ...this.#place(repository, canvasId), version });
    return canvas;
  }

  listCanvases(repository: string): Promise<CanvasInfo[]> {
    return this.#call((call) => this.#native.listCanvases(call, repository));
  }

  async deleteCanvas(repository: string, canvasId: string, author: string): Promise<void> {
    await this.#call((call) => this.#native.deleteCanvas(call, repository, canvasId, author));
  }

  async shareCanvas(repository: string, canvasId: string, targetRepository?: string): Promise<void> {
    await this.#call((call) => this.#native.shareCanvas(call, repository, canvasId, targetRepository));
  }

  async unshareCanvas(repository: string, canvasId: string): Promise<void> {
    await this.#call((call) => this.#native.unshareCanvas(call, repository, canvasId));
  }

  rotateKey(repository: string, options: RotationOptions): Promise<{ epoch: number }> {
    return this.#call((call) => {
      this.#native.rotateKey(call, repository, toJson(options, 'ERR_ENCRYPTION_KEY', 'the options'));
    });
  }

  // ---- exchange ----

  syncCanvas(repository: string, canvasId: string): Promise<SyncReport> {
    return this.#call((call) => this.#native.syncCanvas(call, repository, canvasId));
  }

  syncRepository(repository: string): Promise<SyncReport> {
    return this.#call((call) => this.#native.syncRepository(call, repository));
  }

  async enableRealTimeCollaboration(repository: string, canvasId: string): Promise<void> {
    await this.#call((call) => this.#native.enableRealTimeCollaboration(call, repository, canvasId));
  }

  async disableRealTimeCollaboration(repository: string, canvasId: string): Promise<void> {
    await this.#call((call) => this.#native.disableRealTimeCollaboration(call, repository, canvasId));
  }

  async setPresence(
    repository: string,
    canvasId: string,
    presence: object | null,
    options?: { author?: string },
  ): Promise<void> {
    const json = presence === null ? undefined : toJson(presence, 'ERR_CANVAS_INVALID', 'the presence');
    await this.#call((call) => this.#native.setPresence(call, repository, canvasId, json, options?.author));
  }

  discoverPeers(options?: { timeoutMs?: number }): Promise<PeerInfo[]> {
    return this.#call((call) => this.#native.discoverPeers(call, options?.timeoutMs));
  }

  listMembers(repository: string): Promise<Member[]> {
    return this.#call((call) => this.#native.listMembers(call, repository));
  }

  async addMember(repository: string, peerId: string, role: 'admin' | 'writer' | 'reader' = 'writer'): Promise<void> {
    await this.#call((call) => this.#native.setMember(call, repository, peerId, role));
  }

  async removeMember(repository: string, peerId: string): Promise<void> {
    await this.#call((call) => this.#native.setMember(call, repository, peerId, 'removed'));
  }

  async broadcastMessage(message: object, options?: { repository?: string }): Promise<void> {
    const json = toJson(message, 'ERR_CANVAS_INVALID', 'the message');
    await this.#call((call) => this.#native.broadcastMessage(call, json, options?.repository));
  }

  // ---- observation ----

  getNetworkStatus(): NetworkStatus {
    return JSON.parse(attempt(() => this.#native.networkStatus()));
  }

  getRepositoryStatus(repository: string): RepositoryStatus {
    return JSON.parse(attempt(() => this.#native.repositoryStatus(repository)));
  }

  getAllRepositoryStatuses(): Record<string, RepositoryStatus> {
    return this.getNetworkStatus().repositories;
  }

  healthCheck(): Promise<HealthReport> {
    return this.#call((call) => this.#native.healthCheck(call));
  }

  testConnection(): Promise<boolean> {
    return this.#call((call) => this.#native.testConnection(call));
  }

  async performanceTest(options: PerformanceOptions = {}): Promise<PerformanceReport> {
    const json = toJson(options, 'ERR_CONFIG_INVALID', 'the options');
    return this.#call((call) => this.#native.performanceTest(call, json));
  }

  validateConfig(config: unknown): { valid: boolean; errors: string[] } {
    try {
      return JSON.parse(validateConfig(toJson(config, 'ERR_CONFIG_INVALID', 'the configuration')));
    } catch (error) {
      return { valid: false, errors: [(error as Error).message] };
    }
  }

  // ---- inside ----

  #place(repository: string, canvasId: string): Home {
    return { peer: this, repository, canvasId };
  }

  #call<T>(send: (call: number) => unknown): Promise<T> {
    return this.#mailbox.call(send);
  }

  /** Passes a whole canvas; the object remembers the version that comes back. */
  async #passCanvas(
    place: Home,
    canvas: CanvasData,
    send: (call: number, json: string) => void,
  ): Promise<CanvasVersion> {
    const json = toJson(canvas, 'ERR_CANVAS_INVALID', 'the canvas');
    const version = await this.#call<CanvasVersion>((call) => send(call, json));
    remember(canvas, { ...place, version });
    return version;
  }

  #deliver(event: string, payload: unknown): void {
    if (event === 'error') {
      this.#report(payload as { code: ErrorCode; message: string } & Place);
      return;
    }
    if (event === 'connected') this.#warnInsecure();
    const { repository, canvasId, version, changes } = payload as Partial<Omit<Remembered, 'peer'>> & {
      changes?: CanvasChanges;
    };
    if (repository !== undefined && canvasId !== undefined && version !== undefined) {
      remember(changes, { ...this.#place(repository, canvasId), version });
      if (event === 'canvas-deleted') this.#told.delete(keyOf(repository, canvasId));
      else if (this.listenerCount(event as 'canvas-updated') > 0) this.#told.set(keyOf(repository, canvasId), version);
    }
    // The names and payloads come from the core, which no type can vouch for; tests do.
    (this as EventEmitter).emit(event, payload);
  }

  /** An error that no promise can carry. Trouble with a network must not end a process that did not ask to hear of it. */
  #report({ code, message, path, line, column }: { code: ErrorCode; message: string } & Place): void {
    const place = { ...(path && { path }), ...(line && { line }), ...(column && { column }) };
    const error = new MqttP2pError(code, message, place);
    if (this.listenerCount('error') > 0) this.emit('error', error);
    else process.emitWarning(error);
  }
}

/** Names may hold any character, so none can part the two. */
const keyOf = (repository: string, canvasId: string) => JSON.stringify([repository, canvasId]);

function attempt<T>(action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw publicError(cause);
  }
}
