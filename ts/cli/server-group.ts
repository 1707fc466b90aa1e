import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import {
  type MessageEvent,
  type MQTTIntegrationConfig,
  type MQTTIntegrationEvents,
  MQTTIntegrationService,
  type NetworkStatus,
  type PeerInfo,
  type RepositoryConfig,
} from '../index.js';
import { decode, encode, Members, plan, type Word } from './group-plan.js';
import { merged } from './group-status.js';

/** Repositories that are opened at the same time; further ones wait, so that who returns asks nobody for everything at once. */
const OPENING_AT_ONCE = 8;
/** How long others have to say that they are there before a new member begins. */
const MEET_MS = 1000;
const DEFAULT_HEARTBEAT_SECONDS = 30;
/** Heartbeats after which a repository that could not be opened is tried again. Until then others are to serve it. */
const RETRY_HEARTBEATS = 3;

/** Events of the services that are passed on. */
const PASSED_ON = [
  'canvas-created',
  'canvas-deleted',
  'canvas-shared',
  'peer-discovered',
  'peer-left',
  'peer-throttled',
  'error',
];

/** What a group tells besides. */
export interface GroupEvents {
  /** This member serves a repository now, as the peer with that id, or does not any more. */
  serving: [event: { repository: string; peerId: string }];
  left: [event: { repository: string }];
  /** The members that are there, this one included. */
  members: [event: { members: string[] }];
}

interface Held {
  service: MQTTIntegrationService;
  state: 'opening' | 'serving' | 'leaving';
  /** Runs while the random time before leaving does. */
  timer?: NodeJS.Timeout | undefined;
}

/** One member of a group of servers that divide repositories among them; `docs/scaling.md` says how. */
export class ServerGroup extends EventEmitter<MQTTIntegrationEvents> {
  /** How the group divides the repositories; what services tell is told by the group itself. */
  readonly division = new EventEmitter<GroupEvents>();
  readonly #config: MQTTIntegrationConfig;
  readonly #room: string;
  readonly #replicas: number;
  readonly #heartbeatMs: number;
  readonly #meeting: MQTTIntegrationService;
  readonly #repositories: Map<string, string | RepositoryConfig>;
  readonly #able: Set<string>;
  readonly #members = new Members();
  readonly #held = new Map<string, Held>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #begun = false;
  #ending = false;
  #answering: NodeJS.Timeout | undefined;

  constructor(config: MQTTIntegrationConfig, group: string, replicas: number) {
    super();
    this.#config = config;
    this.#room = roomOf(group);
    this.#replicas = replicas;
    this.#heartbeatMs = 1000 * (config.performance?.heartbeatInterval ?? DEFAULT_HEARTBEAT_SECONDS);
    this.#repositories = new Map(config.repositories.map((entry) => [nameOf(entry), entry]));
    this.#able = new Set(this.#repositories.keys());
    this.#meeting = this.#service(this.#room, 'group', ['server-group']);
    this.#passOn(this.#meeting, ['connected', 'disconnected', 'reconnecting', 'error']);
  }

  /** This member's id: that of its peer in the group's own repository. */
  get id(): string {
    return this.#meeting.getNetworkStatus().peerId;
  }

  /** Connects, meets the others, and begins to serve. */
  async initialize(): Promise<void> {
    const meeting = this.#meeting;
    meeting.on('message', (event) => this.#heard(event));
    meeting.on('peer-discovered', () => this.#answer());
    meeting.on('peer-left', ({ id }: PeerInfo) => {
      this.#members.left(id);
      this.#step();
    });
    meeting.on('connected', () => this.#members.heardAgain(Date.now()));
    await meeting.initialize();
    await this.#say();
    await meeting.discoverPeers({ timeoutMs: MEET_MS });
    this.#begun = true;
    const beat = setInterval(() => {
      // Without a broker nobody could be heard.
      if (meeting.getNetworkStatus().connected) this.#members.expire(Date.now());
      void this.#say();
      this.#step();
    }, this.#heartbeatMs);
    this.#timers.add(beat);
    this.#step();
  }

  /** Leaves the group and every repository. */
  async disconnect(): Promise<void> {
    this.#ending = true;
    for (const timer of this.#timers) clearTimeout(timer);
    clearTimeout(this.#answering);
    // The others begin to take over while the repositories here are being left.
    await this.#meeting.disconnect();
    const all = [...this.#held.values()];
    for (const { timer } of all) clearTimeout(timer);
    await Promise.all(all.map(({ service }) => service.disconnect()));
  }

  /** All services at a glance. Connected: each is that is to serve something now. */
  getNetworkStatus(): NetworkStatus {
    const services = [...this.#held.values()].filter(({ state }) => state !== 'opening').map(({ service }) => service);
    return merged(
      this.#meeting.getNetworkStatus(),
      services.map((service) => service.getNetworkStatus()),
    );
  }

  #heard({ peerId, message }: MessageEvent): void {
    const word = decode(message);
    if (!word) return;
    if (this.#members.said(peerId, word, Date.now())) {
      this.#answer();
      this.division.emit('members', { members: [this.id, ...this.#members.words.keys()] });
    }
    this.#step();
  }

  /** What this member says of itself. */
  #word(): Word {
    const serving = [...this.#held].filter(([, { state }]) => state === 'serving').map(([name]) => name);
    return { heartbeatMs: this.#heartbeatMs, replicas: this.#replicas, able: this.#able, serving: new Set(serving) };
  }

  async #say(): Promise<void> {
    if (this.#ending) return;
    // While there is no broker nobody hears it; the next heartbeat says it again.
    await this.#meeting.broadcastMessage(encode(this.#word()), { repository: this.#room }).catch(() => {});
  }

  /** Says it once soon, however many ask or however much changes. */
  #answer(): void {
    this.#answering ??= setTimeout(() => {
      this.#answering = undefined;
      void this.#say();
    }, Math.random() * 100);
  }

  /** Does what is to be done, given what is known now. */
  #step(): void {
    if (!this.#begun || this.#ending || !this.#meeting.getNetworkStatus().connected) return;
    const { open } = this.#plan();
    const opening = [...this.#held.values()].filter(({ state }) => state === 'opening').length;
    for (const name of open.slice(0, Math.max(0, OPENING_AT_ONCE - opening))) void this.#open(name);
    const { leave } = this.#plan();
    for (const [name, held] of this.#held) {
      if (!leave.includes(name)) {
        clearTimeout(held.timer);
        held.timer = undefined;
      } else if (held.state === 'serving') {
        // At a random time, so that not all leave at once, who then would all say goodbye and write snapshots.
        held.timer ??= setTimeout(() => void this.#leave(name, held), Math.random() * this.#heartbeatMs);
      }
    }
  }

  #plan() {
    const words = this.#members.words.set(this.id, this.#word());
    return plan(this.id, words, new Set(this.#held.keys()));
  }

  async #open(name: string): Promise<void> {
    const entry = this.#repositories.get(name);
    if (entry === undefined) return;
    const service = this.#service(entry, join('repositories', folderOf(name)), ['server']);
    const held: Held = { service, state: 'opening' };
    this.#held.set(name, held);
    this.#passOn(service, PASSED_ON);
    try {
      await service.initialize();
      await service.syncRepository(name);
      held.state = 'serving';
      this.division.emit('serving', { repository: name, peerId: service.getNetworkStatus().peerId });
    } catch (error) {
      if (!this.#ending) this.#failed(name, error as Error);
      await this.#end(name, service);
    }
    this.#answer();
    this.#step();
  }

  /** Others are to serve it for a while. */
  #failed(name: string, error: Error): void {
    this.emit('error', Object.assign(error, { message: `${name}: ${error.message}` }) as never);
    this.#able.delete(name);
    const retry = setTimeout(() => {
      this.#timers.delete(retry);
      this.#able.add(name);
      this.#answer();
      this.#step();
    }, RETRY_HEARTBEATS * this.#heartbeatMs);
    this.#timers.add(retry);
  }

  async #leave(name: string, held: Held): Promise<void> {
    held.timer = undefined;
    if (this.#ending || !this.#plan().leave.includes(name)) return;
    held.state = 'leaving';
    await this.#say();
    await this.#end(name, held.service);
    this.division.emit('left', { repository: name });
    this.#step();
  }

  /** Whatever becomes of the service, the repository is held no more, and may be opened again. */
  async #end(name: string, service: MQTTIntegrationService): Promise<void> {
    try {
      await service.disconnect();
    } catch (error) {
      this.#failed(name, error as Error);
    } finally {
      this.#held.delete(name);
    }
  }

  /** Names and payloads are the services' own, so no type is needed to vouch for them. */
  #passOn(service: EventEmitter, events: string[]): void {
    for (const event of events) service.on(event, (payload) => (this as EventEmitter).emit(event, payload));
  }

  #service(repository: string | RepositoryConfig, folder: string, capabilities: string[]): MQTTIntegrationService {
    const { storage, ...config } = this.#config;
    return new MQTTIntegrationService({
      ...config,
      repositories: [repository],
      capabilities: [...capabilities, ...(config.capabilities ?? [])],
      ...(storage && { storage: { path: join(storage.path, folder) } }),
    });
  }
}

/** The repository in which the members of a group meet. It holds no canvases. */
export function roomOf(group: string): string {
  return `${ROOMS}${group}`;
}

/** What the names of such repositories begin with. */
export const ROOMS = '.server-group/';

export const nameOf = (entry: string | RepositoryConfig): string => (typeof entry === 'string' ? entry : entry.name);

/** A folder's name that every file system takes and tells from others. */
function folderOf(repository: string): string {
  const readable = repository.replace(/[^\w-]/g, '_').slice(0, 64);
  return `${readable}-${createHash('sha256').update(repository).digest('hex').slice(0, 16)}`;
}
