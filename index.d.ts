/**
 * Real-time, peer-to-peer collaboration on JSON Canvas boards through any MQTT broker.
 *
 * Every error is an {@link MqttP2pError} with a stable `code`; `docs/errors.md` gives the cause and the remedy of each.
 */
import { EventEmitter } from 'node:events';

// ---- JSON Canvas ---------------------------------------------------------------------------------------------------

/** Any JSON value. Integers up to 2^53 - 1 in magnitude stay integers. */
export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

/** A node of a canvas. Properties that JSON Canvas 1.0 does not know are kept and come back unchanged. */
export interface CanvasNode {
  /** Unique within the canvas's nodes. */
  id: string;
  /** `text`, `file`, `link` or `group` in JSON Canvas 1.0. */
  type?: string;
  /** Left edge, in pixels. */
  x?: number;
  /** Top edge, in pixels. */
  y?: number;
  /** In pixels. */
  width?: number;
  /** In pixels. */
  height?: number;
  /** Markdown of a text node. Concurrent edits merge per character; every other property merges as a whole. */
  text?: string;
  /** Anything else. */
  [property: string]: unknown;
}

/** An edge of a canvas. Hidden from readers while one of its ends is a deleted node; comes back with it. */
export interface CanvasEdge {
  /** Unique within the canvas's edges. */
  id: string;
  /** Id of the node where it starts. */
  fromNode?: string;
  /** Id of the node where it ends. */
  toNode?: string;
  /** Anything else. */
  [property: string]: unknown;
}

/** A JSON Canvas 1.0 document, read leniently: both arrays may be absent, unknown properties are kept. */
export interface CanvasData {
  /** In z-order, lowest first. Default: none. */
  nodes?: CanvasNode[];
  /** Default: none. */
  edges?: CanvasEdge[];
  /** Other top-level properties. */
  [property: string]: unknown;
}

/** A canvas as it is read: both arrays are there. */
export interface ReadCanvas extends CanvasData {
  nodes: CanvasNode[];
  edges: CanvasEdge[];
}

/** Names a state of one canvas. Opaque: keep it and hand it back. */
export type CanvasVersion = string;

/** What to change; whatever is not named stays. In an upsert, `null` removes a property and absent ones stay. */
export interface CanvasPatch {
  nodes?: {
    /** Nodes to add, or to change by id. */
    upsert?: ({ id: string } & { [property: string]: unknown })[];
    /** Ids of nodes to delete; their edges are hidden with them. */
    remove?: string[];
  };
  edges?: {
    /** Edges to add, or to change by id. */
    upsert?: ({ id: string } & { [property: string]: unknown })[];
    /** Ids of edges to delete. */
    remove?: string[];
  };
  /** Top-level properties other than `nodes` and `edges`; `null` removes one. */
  properties?: { [property: string]: unknown };
}

/** How the nodes, or the edges, of a canvas changed. Empty parts are absent. */
export interface ElementChanges<E> {
  /** New ones, whole. */
  added?: E[];
  /** Properties that got another value (`set`) or went (`removed`). */
  updated?: { id: string; set?: { [property: string]: JsonValue }; removed?: string[] }[];
  /** Ids of those that went. */
  removed?: string[];
  /** Every added or moved element, in ascending final order, each with the id that it directly follows (null: first). */
  order?: { id: string; after: string | null }[];
}

/** What changed in a canvas: all that is needed to follow it without reading it again. Empty parts are absent. */
export interface CanvasChanges {
  nodes?: ElementChanges<CanvasNode>;
  edges?: ElementChanges<CanvasEdge>;
  /** Top-level properties. */
  properties?: { set?: { [property: string]: JsonValue }; removed?: string[] };
}

/**
 * Applies what an event brought to what the application has. Pure: `canvas` is left as it is, and what did not change
 * is shared with the result. Applied in order, it gives what `getCanvas` returns after the event.
 *
 * The result remembers its version, as objects from `getCanvas` do, when `canvas` did and `changes` is an event's.
 * Elements that `canvas` lacks are skipped.
 */
export function applyCanvasChanges(canvas: CanvasData, changes: CanvasChanges): ReadCanvas;

// ---- Configuration -------------------------------------------------------------------------------------------------

/** Configuration of a service. An unknown field is an error. */
export interface MQTTIntegrationConfig {
  /** The MQTT 3.1.1 broker to use. */
  broker: {
    /** Name or address. Default: `localhost`. */
    host?: string;
    /**
     * What carries MQTT: TCP, TLS, WebSockets, or WebSockets over TLS. With `mqtt` and `ws` everybody on the way reads the
     * password. Default: `mqtt`.
     */
    protocol?: 'mqtt' | 'mqtts' | 'ws' | 'wss';
    /** TCP port, 1 to 65535. Default: 1883, with `mqtts` 8883, with `ws` 80, with `wss` 443. */
    port?: number;
    /** Where the server takes WebSockets (`ws`, `wss`); may have a query. Default: `/mqtt`. */
    path?: string;
    /** How TLS is done (`mqtts`, `wss`). A connection that it does not let come about is not made in any other way. */
    tls?: BrokerTlsConfig;
    /** Default: none. */
    username?: string;
    /** Needs a user name. Never appears in a log, a status or an error. Default: none. */
    password?: string;
    /** MQTT client id; must be unique on the broker. Default: derived from the peer id. */
    clientId?: string;
    /** MQTT keep-alive, in seconds, 10 to 65535. Default: 30. */
    keepAliveSeconds?: number;
    /** How long `initialize()` tries, in milliseconds; see also `offline`. Default: 10000. */
    connectTimeoutMs?: number;
  };
  /** Repositories to take part in, at least one: groups of canvases that the same peers replicate. */
  repositories: (string | RepositoryConfig)[];
  /** What is switched on. */
  features?: {
    /** Send and receive each edit at once. Default: true. */
    realTimeCollaboration?: boolean;
    /** Catch up by itself after connecting and whenever something is found missing. Default: true. */
    autoSync?: boolean;
    /** Tell others of this peer and learn of them. Default: true. */
    discovery?: boolean;
    /**
     * Encrypt all repositories end to end: the broker, and whoever listens there, sees neither canvases nor the names of
     * repositories, canvases and authors. Every repository needs a key. See `docs/security.md` for what this gives and
     * what it does not. Default: false.
     */
    encryption?: boolean;
  };
  /** Which key encrypts the repositories; needs `features.encryption: true`. */
  encryption?: {
    /**
     * File that `mqtt-p2p keygen` or {@link createKeyFile} made, readable by its owner alone; read by `initialize()`. For
     * all repositories that name no key of their own. One of `keyFile`, `passphrase` and `passphraseFile` is needed.
     */
    keyFile?: string;
    /**
     * Passphrase of which `initialize()` makes the key, with the parameters of `invite` (Argon2id; takes some hundred
     * milliseconds and 64 MiB, on another thread). 8 to 1024 bytes of UTF-8; accents may be typed either way (NFC). A key is
     * no better than its passphrase: whoever records messages can try passphrases at their own computers.
     */
    passphrase?: string;
    /**
     * File with the passphrase, readable by its owner alone; read by `initialize()`. One end of a line at its end does not
     * belong to it.
     */
    passphraseFile?: string;
    /** The invite that belongs to the passphrase: what `mqtt-p2p keygen --passphrase` or {@link createInvite} gave. */
    invite?: string;
  };
  /** Limits. */
  performance?: {
    /** Largest MQTT payload sent, in bytes; larger messages travel in fragments. Default: 1 MiB. */
    maxMessageSize?: number;
    /** Most peers listed per repository. Default: 100. */
    maxConnections?: number;
    /** How often the peer says that it is there, in seconds. Default: 30. */
    heartbeatInterval?: number;
    /**
     * With `storage`: most canvases of a repository kept in memory; the others are on disk alone and are read when they
     * are needed. A canvas with edits on their way, or one being read or caught up with, stays for that long, beyond the
     * limit too. Without `storage` all are in memory. Default: 256.
     */
    maxOpenCanvases?: number;
    /**
     * Most messages a second that a repository takes in from one peer; twice as many at once after a pause. Beyond, its
     * cursors, presence and application messages are dropped first, then its edits come later, all of them, by catching up;
     * see `peer-throttled`. 1 to 1000000. Default: 1000.
     */
    maxPeerMessagesPerSecond?: number;
    /**
     * Most messages a second that a repository takes in from all peers together; twice as many at once after a pause. What
     * edits are beyond that come later. 1 to 1000000. Default: 10000.
     */
    maxInboundMessagesPerSecond?: number;
    /**
     * Most messages with edits a second that this service sends. Edits beyond that wait for the next message and leave
     * together, so fewer messages cost nothing but a few milliseconds. More than others take in of one peer
     * (`maxPeerMessagesPerSecond`) makes them throttle this one. 1 to 1000000. Default: 500.
     */
    maxOutboundMessagesPerSecond?: number;
  };
  /**
   * Keeps every canvas, and who this peer is, on disk; without it a process that ends forgets both. With it, an edit that
   * has resolved is on the disk (fsync) and survives the crash of the process and of the machine, and a service that
   * starts again goes on where the last one ended. Default: none, memory only.
   */
  storage?: {
    /**
     * Directory of this service's data; made where it is missing, readable by its owner alone. One service at a time uses
     * it. Do not run two copies of one directory: they would be the same peer twice.
     */
    path: string;
  };
  /** First levels of all topics. Peers with different prefixes do not meet. Default: `mind-git`. */
  topicPrefix?: string;
  /** Words that tell other peers what this one is for, such as `server`. Default: none. */
  capabilities?: string[];
  /**
   * What `initialize()` does when no broker answers. `reject`: it fails when `broker.connectTimeoutMs` is over. `allow`:
   * it resolves as soon as an attempt to connect has failed, or when that time is over; canvases can be read and edited
   * from then on, connecting goes on being tried, and `connected` tells when it has come about. Default: `reject`.
   */
  offline?: 'allow' | 'reject';
}

/** TLS to the broker, versions 1.2 and 1.3. Files are PEM and read by `initialize()`. */
export interface BrokerTlsConfig {
  /** Certificates of the CAs to trust instead of the system's. Default: the system's. */
  caFile?: string;
  /** This client's certificate, with its chain if there is one; needs `keyFile`. Default: none. */
  certFile?: string;
  /** The private key of `certFile`, without a passphrase. Default: none. */
  keyFile?: string;
  /**
   * The name that the broker's certificate must have. What is asked for in the handshake (SNI) stays `host`.
   * Default: `host`.
   */
  serverName?: string;
  /**
   * Danger: trusts whoever answers, so that anybody on the way can read and change everything, the password too. For
   * tests. Gives a process warning (`MQTT_P2P_TLS_INSECURE`) at every connection. Default: false.
   */
  insecure?: boolean;
}

/** A repository with more than a name. */
export interface RepositoryConfig {
  /** Its name. */
  name: string;
  /**
   * A folder whose `.canvas` files are the repository's canvases, both ways: `boards/plan.canvas` below it is the canvas
   * `boards/plan`. It may be (in) a git work tree. Hidden files and folders and what `.gitignore` names are left alone. It
   * must be there. See `docs/files.md`. Default: none.
   */
  path?: string;
  /** Whose edits those made in the files are. Default: git's `user.name` there, else the system's user. */
  author?: string;
  /** The git branch whose files are bound; see `files-paused`. Default: the one that is checked out at the start. */
  branch?: string;
  /** How long a file must have been left alone before it is read, in milliseconds, 1 to 60000. Default: 50. */
  debounceMs?: number;
  /**
   * How long after this service wrote a file an editor may still save what it had read before, in milliseconds, 0 to
   * 3600000: such a save is taken as a difference from what the editor had read. Default: 5000.
   */
  staleWindowMs?: number;
  /** File with the key of this repository; needs `features.encryption: true`. Default: the key of `encryption`. */
  keyFile?: string;
  /** Passphrase of this repository instead; see `encryption.passphrase`. Needs its own `invite`. Default: none. */
  passphrase?: string;
  /** File with that passphrase; see `encryption.passphraseFile`. Needs its own `invite`. Default: none. */
  passphraseFile?: string;
  /** The invite that belongs to the passphrase of this repository. Default: none. */
  invite?: string;
  /**
   * Who may take part. `open`: anybody whom the broker lets in (the default without encryption). `key`: whoever has the
   * repository's key (the default with encryption). `members`: those whom admins say to be members, see
   * {@link MQTTIntegrationService.addMember}; edits of others count nowhere. All peers of a repository must say the same.
   */
  membership?:
    | { mode: 'open' | 'key' }
    | {
        mode: 'members';
        /** The peer id of the first admin, which stays one. With `storage` it is kept, and another one is refused later. */
        root: string;
      }
    | {
        mode: 'members';
        /**
         * Trust whoever is said to be the first admin when the repository is first read; with `storage` that is kept. Whoever
         * answers first decides: name `root` where you can.
         */
        trustOnFirstUse: true;
      };
}

/** Every default. Names no repository, so it needs some to be a valid configuration. */
export const DEFAULT_MQTT_INTEGRATION_CONFIG: Readonly<MQTTIntegrationConfig>;

// ---- Reports -------------------------------------------------------------------------------------------------------

/** A canvas in a repository's list. */
export interface CanvasInfo {
  /** The canvas's id. */
  id: string;
  /** The repository that was asked. */
  repository: string;
  /** The repository in which the document lives; another one when the canvas was shared into this one. */
  origin: string;
  /** Grows each time that the id is created anew after a deletion; starts at 1. */
  generation: number;
  /** Who created it, where that is known. */
  createdBy: string | null;
  /** Number of nodes. */
  nodes: number;
  /** Number of edges that readers see. */
  edges: number;
  /** Its present version. */
  version: CanvasVersion;
  /** Whether real-time collaboration is on for it. */
  live: boolean;
}

/** Another peer. */
export interface PeerInfo {
  /** The peer's public key in multibase form (`z6Mk…`). */
  id: string;
  /** The repository through which it was met. */
  repository: string;
  /** All repositories in which it takes part. */
  repositories: string[];
  /** Words such as `canvas` or `server`. */
  capabilities: string[];
  /** When it was last heard, in milliseconds since the Unix epoch by this machine's clock. */
  lastSeen: number;
  /** False until something live was heard from it; what a broker retained may be of the past. */
  confirmed: boolean;
  /**
   * By how many milliseconds this machine's clock is ahead of the peer's, the time on the way included: the smallest
   * difference between when a live presence of it came and when it says that it was sent. Null before the first.
   */
  clockAheadMs: number | null;
}

/** A member of a repository whose membership mode is `members`. */
export interface Member {
  /** Whose membership (`z6Mk…`). */
  peerId: string;
  /** `reader`: is seen and heard; `writer`: also edits; `admin`: also says who is a reader or writer. */
  role: 'admin' | 'writer' | 'reader';
  /** The admin who says so. */
  addedBy: string;
  /** Whether it is the first admin, who alone makes and unmakes admins. */
  root: boolean;
}

/** What a catch-up did. */
export interface SyncReport {
  /** The repository. */
  repository: string;
  /** The canvas, where one was asked for. */
  canvasId?: string;
  /** Number of canvases caught up with. */
  canvases: number;
  /**
   * False when, for some document, no peer answered in time: what is here is all that could be had. A snapshot that others
   * left on the broker counts as an answer once everything in it is here.
   */
  answered: boolean;
  /** Number of changes that came in. */
  changesReceived: number;
  /** How long it took, in milliseconds. */
  durationMs: number;
}

/** An amount of messages. */
export interface TrafficVolume {
  messages: number;
  /** Of payload. */
  bytes: number;
}

/** Durations since the start, counted in fixed buckets. */
export interface DurationHistogram {
  /** How many. */
  count: number;
  /** All together, in milliseconds. */
  sumMs: number;
  /** How many lasted at most so long, by ascending bounds; those above the last are in `count` only. */
  buckets: { atMostMs: number; count: number }[];
}

/** One repository at a glance. */
export interface RepositoryStatus {
  /** The repository's name. */
  name: string;
  /** With encryption: how often its key has been replaced; 0 for the first key. Null without encryption. */
  epoch: number | null;
  /** Number of canvases. */
  canvases: number;
  /** Number of other peers. */
  peers: number;
  /** Number of canvases with real-time collaboration on. */
  live: number;
  /** Edits that the broker has not acknowledged yet. */
  pendingEdits: number;
  /** Changes received that wait for others on which they build. */
  bufferedChanges: number;
  /** Number of documents (canvases, and the list of them) that are asking for what they lack. */
  catchingUp: number;
  /** Changes made here (also to the list of canvases), and taken in from others, since the start. */
  edits: { local: number; remote: number };
  /** Messages since the start. `gaps`: how often some were found missing; `rejected`: dropped ones, by reason. */
  messages: { sent: number; received: number; gaps: number; rejected: Record<string, number> };
  /** Packets, and bytes of their payload, since the start, by kind of message (`changes`, `presence`, …). */
  traffic: Record<string, { sent: TrafficVolume; received: TrafficVolume }>;
  /** Changes since the start that were refused and set aside, because they are no changes to a canvas. */
  quarantined: number;
  /**
   * `apply`: how long taking in one batch of messages took. `endToEnd`: from when live changes of others were sent, by
   * their clock, until they were here, by this machine's; as wrong as the clocks differ (see `PeerInfo.clockAheadMs`).
   */
  latency: { apply: DurationHistogram; endToEnd: DurationHistogram };
  /** Requests to catch up since the start: own ones, and those of others that were answered. */
  requests: { asked: number; answered: number };
  /** When a catch-up last ended with an answer, in milliseconds since the Unix epoch; null before the first. */
  lastSync: number | null;
  /**
   * The folder that is bound to it, the number of canvases that are files there, and why nothing is done with them for the
   * moment (see `files-paused`); null without a folder.
   */
  files: { path: string; canvases: number; paused: FilesPausedReason | null } | null;
}

/** The service at a glance. */
export interface NetworkStatus {
  /** Whether the broker link is up. */
  connected: boolean;
  /** The configured broker; never a password. */
  broker: { protocol: 'mqtt' | 'mqtts' | 'ws' | 'wss'; host: string; port: number };
  /** This peer's id (`z6Mk…`). */
  peerId: string;
  /** The MQTT client id. */
  clientId: string;
  /** Time since `initialize()`, in milliseconds. */
  uptimeMs: number;
  /** Times that the link was made again. */
  reconnects: number;
  /** Messages since the start. */
  messages: { sent: number; received: number; dropped: number };
  /** Bytes of payload since the start. */
  bytes: { sent: number; received: number };
  /** What waits to be sent. */
  queue: { messages: number; bytes: number; inFlight: number };
  /** From handing a publish to the connection until the broker acknowledged it. */
  acknowledge: DurationHistogram;
  /** By name. */
  repositories: Record<string, RepositoryStatus>;
  /** Number of other peers in all repositories. */
  peers: number;
  /** The last error of the broker link; null when there was none. */
  lastError: { code: ErrorCode; message: string } | null;
}

/** The outcome of real checks. */
export interface HealthReport {
  /** Whether every check passed. */
  healthy: boolean;
  /** Each check; `remedy` says what to do about a failed one. */
  checks: { name: string; ok: boolean; detail: string; remedy?: string }[];
}

/** Who gets the new key of a repository. */
export interface RotationOptions {
  /** Ids of the peers that stay (`z6Mk…`), at most 4096; this peer does in any case. Others see nothing more. */
  recipients: string[];
  /**
   * A new file (mode 0600) that gets the new key too: for a copy, and for peers that are not among the recipients, which use it
   * as their `keyFile`. It must not exist. Default: none.
   */
  keyFile?: string;
}

/** What `performanceTest` sends. */
export interface PerformanceOptions {
  /** Number of messages; the first 200 at most are sent one by one for the latency. Default: 500, at most 100000. */
  messages?: number;
  /** Size of each message, in bytes. Default: 200. */
  payloadBytes?: number;
}

/** Measured round trips through the broker. */
export interface PerformanceReport {
  /** Messages sent at full speed. */
  messages: number;
  /** Size of each message, in bytes. */
  payloadBytes: number;
  /** Time for all of them, in milliseconds. */
  durationMs: number;
  /** Messages per second, sent and received back. */
  throughputPerSecond: number;
  /** Latency of one round trip at a time, in milliseconds. */
  latencyMs: { min: number; p50: number; p95: number; p99: number; max: number };
}

// ---- Errors --------------------------------------------------------------------------------------------------------

/** The stable codes. */
export type ErrorCode =
  | 'ERR_CONFIG_INVALID'
  | 'ERR_NOT_INITIALIZED'
  | 'ERR_CLOSED'
  | 'ERR_BROKER_UNREACHABLE'
  | 'ERR_BROKER_REJECTED'
  | 'ERR_REPOSITORY_UNKNOWN'
  | 'ERR_CANVAS_NOT_FOUND'
  | 'ERR_CANVAS_EXISTS'
  | 'ERR_CANVAS_INVALID'
  | 'ERR_PAYLOAD_TOO_LARGE'
  | 'ERR_FEATURE_DISABLED'
  | 'ERR_STORAGE_LOCKED'
  | 'ERR_STORAGE_CORRUPT'
  | 'ERR_STORAGE_FULL'
  | 'ERR_ENCRYPTION_KEY'
  | 'ERR_ROLLBACK_SUSPECTED'
  | 'ERR_NOT_A_MEMBER'
  | 'ERR_SHARE_ENDED'
  | 'ERR_MEMBERSHIP_ROOT'
  | 'ERR_RATE_LIMITED'
  | 'ERR_TIMEOUT';

/** Every error of this package. The message says what to do. */
export class MqttP2pError extends Error {
  constructor(code: ErrorCode, message: string, place?: { path?: string; line?: number; column?: number });
  /** Tells what happened, for programs. */
  readonly code: ErrorCode;
  /** The file that it is about, if it is about one; an absolute path. */
  readonly path?: string;
  /** The line in that file, from 1, where that is known. */
  readonly line?: number;
  /** The column in that line, from 1, where that is known. */
  readonly column?: number;
}

// ---- Events --------------------------------------------------------------------------------------------------------

/** Something happened to a canvas. */
export interface CanvasEvent {
  /** The repository in which it happened. */
  repository: string;
  /** The canvas. */
  canvasId: string;
  /** What the peer claims for its user, empty where it said nothing; `peerId` vouches for it. */
  author: string;
  /**
   * The peer that made the edit, also where others passed it on: its signature was verified. Only of what has no author of
   * its own (the first import of a canvas, what git brought) it is the peer that brought it.
   */
  peerId: string;
  /** Who brought it: this service, another peer, or a file that is bound to the canvas here. */
  origin: 'local' | 'remote' | 'file';
  /** When it was made, in milliseconds since the Unix epoch by its author's clock. Information only. */
  timestamp: number;
  /** The version that the canvas has reached. */
  version: CanvasVersion;
  /** How the canvas changed. */
  changes: CanvasChanges;
  /**
   * Of how many events of the canvas this one was made, because the application does not keep up with them; absent where it is one
   * by itself. `changes` leads from before the first to after the last; `author`, `peerId` and `timestamp` are the last one's. Only
   * `canvas-updated` of one origin is merged, and never across the outcome of a call.
   */
  merged?: number;
}

/** A canvas was shared into this repository, or from it into another one. */
export interface CanvasSharedEvent extends CanvasEvent {
  /** The repository at the other end. */
  sharedWith?: string;
}

/** A cursor, selection or the like of another peer. */
export interface PresenceEvent {
  repository: string;
  canvasId: string;
  /** Whose it is. */
  peerId: string;
  /** The application's name for that peer's user, where it gave one. */
  author?: string;
  /** What that peer gave to `setPresence`; null when it is gone. */
  presence: { [key: string]: JsonValue } | null;
}

/** What another peer gave to `broadcastMessage`. */
export interface MessageEvent {
  repository: string;
  peerId: string;
  message: { [key: string]: JsonValue };
  /** When it was sent, in milliseconds since the Unix epoch by the sender's clock. */
  timestamp: number;
}

/** A concurrent write that lost. */
export interface ConflictEvent {
  repository: string;
  canvasId: string;
  /** What was written to. */
  element: 'node' | 'edge' | 'canvas';
  /** Id of the node or edge. */
  id: string;
  /** The property written to. */
  property: string;
  /** The value that stays. */
  winner: JsonValue;
  /** The value that lost. */
  loser: JsonValue;
  /** When a save of a file overwrote it: that file. `property` is `id` where a whole element was removed. */
  path?: string;
  /** When a save of a file overwrote it: a version that still has it, for `getCanvas`. */
  version?: CanvasVersion;
}

/** Why nothing is done with a folder's files: another branch is checked out, git is in the middle of something, or the files
 *  have gone all at once. */
export type FilesPausedReason = 'branch' | 'rebase' | 'merge' | 'cherry-pick' | 'bisect' | 'lock' | 'folder';

/** The files of a repository's folder and its canvases have been brought together for the first time. */
export interface FilesReadyEvent {
  repository: string;
  /** The folder. */
  path: string;
  /** Number of canvases that are files there. */
  canvases: number;
}

/** Nothing is done with a folder's files for a while; what happens to them and to their canvases meanwhile is kept. */
export interface FilesPausedEvent {
  repository: string;
  /** The folder. */
  path: string;
  reason: FilesPausedReason;
  /** What it is, and what to do, in words. */
  message: string;
}

/** It goes on. */
export interface FilesResumedEvent {
  repository: string;
  /** The folder. */
  path: string;
}

/** The canvas was written into its file. */
export interface FileWrittenEvent {
  repository: string;
  canvasId: string;
  /** The file. */
  path: string;
  /** The version that the file holds. */
  version: CanvasVersion;
  /** Whether there was no such file before. */
  created: boolean;
}

/** A file was removed, because its canvas was deleted. */
export interface FileRemovedEvent {
  repository: string;
  canvasId: string;
  /** The file. */
  path: string;
}

/** A file and a canvas met with different values and nothing to tell which is newer: the file's are in a copy beside it. */
export interface FileSetAsideEvent {
  repository: string;
  canvasId: string;
  /** The file. */
  path: string;
  /** The copy. */
  aside: string;
}

/** The broker link is up: connected, subscribed and announced. */
export interface ConnectedEvent {
  /** Counts the connections of this service, from 1. */
  connection: number;
}

/** The broker link is gone; connecting again is being tried. */
export interface DisconnectedEvent {
  /** Why. */
  reason: string;
}

/** Connecting failed and will be tried again. */
export interface ReconnectingEvent {
  /** How many times it failed in a row. */
  attempt: number;
  /** Time until the next try, in milliseconds. */
  retryInMs: number;
  /** Why it failed. */
  reason: string;
}

/**
 * A peer sends more than `performance.maxPeerMessagesPerSecond` (or 32 MiB a second). For up to some seconds its cursors,
 * presence and application messages are dropped, and its edits come later, by catching up. At most once in 10 s for each
 * peer and repository.
 */
export interface ThrottledEvent {
  /** The repository in which it does. */
  repository: string;
  /** The peer, whose signature the messages bear (`z6Mk…`). */
  peerId: string;
}

/** A line of the log. */
export interface LogEvent {
  /** When, in milliseconds since the Unix epoch. */
  time: number;
  level: 'error' | 'warn' | 'info' | 'debug';
  /** The part that it is of, such as `mqtt:sync`. */
  target: string;
  /** What happened, in words. */
  message: string;
  /** What it is about. */
  fields: { [field: string]: string | number | boolean };
}

/** An encrypted repository has a new key, and this peer has it and uses it from now on. */
export interface KeyRotatedEvent {
  repository: string;
  /** How often its key has been replaced. */
  epoch: number;
  /** Who replaced it. */
  peerId: string;
}

/** The events of {@link MQTTIntegrationService}. Results and events of one canvas come in document order. */
export interface MQTTIntegrationEvents {
  'canvas-created': [event: CanvasEvent];
  'canvas-updated': [event: CanvasEvent];
  'canvas-deleted': [event: CanvasEvent];
  'canvas-shared': [event: CanvasSharedEvent];
  'peer-discovered': [peer: PeerInfo];
  'peer-left': [peer: PeerInfo];
  'key-rotated': [event: KeyRotatedEvent];
  presence: [event: PresenceEvent];
  message: [event: MessageEvent];
  conflict: [event: ConflictEvent];
  'sync-completed': [report: SyncReport];
  connected: [event: ConnectedEvent];
  disconnected: [event: DisconnectedEvent];
  reconnecting: [event: ReconnectingEvent];
  'peer-throttled': [event: ThrottledEvent];
  'files-ready': [event: FilesReadyEvent];
  'files-paused': [event: FilesPausedEvent];
  'files-resumed': [event: FilesResumedEvent];
  'file-written': [event: FileWrittenEvent];
  'file-removed': [event: FileRemovedEvent];
  'file-set-aside': [event: FileSetAsideEvent];
  /** What the core logs, of the whole process: warnings and errors, and what `DEBUG` names. Costs nothing without a listener. */
  log: [event: LogEvent];
  /** Only what no promise can carry. Without a listener it becomes a process warning; it never ends the process. */
  error: [error: MqttP2pError];
}

// ---- Service -------------------------------------------------------------------------------------------------------

/**
 * One peer: takes part in repositories of canvases through a broker.
 *
 * An edit resolves once it is in the local document and, with `storage`, on the disk; it does not wait for the network,
 * works offline and is delivered later. With `storage` every edit may reject with `ERR_STORAGE_FULL`: it is made and
 * reaches the other peers, but is not durable yet; it is written by itself once that is possible. All methods that return a promise reject with `ERR_NOT_INITIALIZED` before `initialize()`, with `ERR_CLOSED`
 * after `disconnect()` and with `ERR_RATE_LIMITED` when too many calls wait; what else is stated at each. Arguments of a
 * wrong JavaScript type give Node's own `ERR_INVALID_ARG_TYPE`.
 */
export class MQTTIntegrationService extends EventEmitter<MQTTIntegrationEvents> {
  /**
   * With `storage`, who this peer is comes from there; the rest of it is opened by `initialize()`.
   * @throws {MqttP2pError} `ERR_CONFIG_INVALID`, naming the field; also when the peer's key in `storage.path` can neither
   *   be read nor made.
   */
  constructor(config: MQTTIntegrationConfig);

  /**
   * Connects, subscribes, announces this peer and requests the first catch-up; with `offline: 'allow'` it does not insist
   * on the connection. From now on the service keeps the process alive until `disconnect()`, but not when it rejects. A
   * connection that breaks later is made again by itself, for as long as it takes, see `reconnecting` and `connected`.
   * @throws `ERR_BROKER_UNREACHABLE` when `broker.connectTimeoutMs` is over (not with `offline: 'allow'`),
   *   `ERR_BROKER_REJECTED` (for example wrong credentials, or a certificate that cannot be trusted),
   *   `ERR_CONFIG_INVALID` when a file of `broker.tls` cannot be used; with `storage`, `ERR_STORAGE_LOCKED` when another service
   *   uses the directory, `ERR_STORAGE_CORRUPT` when it cannot be read, `ERR_STORAGE_FULL` when it cannot be written to,
   *   `ERR_CONFIG_INVALID` when a newer version wrote it; with `features.encryption`, `ERR_ENCRYPTION_KEY` when a
   *   repository has no key, or its file is missing, can be read by others, or is damaged.
   *   It can be called again then.
   */
  initialize(): Promise<void>;

  /**
   * Resolves when the broker has acknowledged everything edited so far in all repositories; what is edited after the call
   * is not waited for. Waits for as long as there is no connection.
   * @throws `ERR_CLOSED` when `disconnect()` comes before the broker's acknowledgements.
   */
  flush(): Promise<void>;

  /** Sends what waits, says goodbye and frees everything; nothing keeps the process alive afterwards. Idempotent. */
  disconnect(): Promise<void>;

  /**
   * Creates a canvas.
   * @param canvasId any non-empty string of at most 512 bytes of UTF-8; slashes are allowed.
   * @param author what this application calls its user.
   * @returns the version of what was passed in, which `canvasData` remembers from now on.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_CANVAS_EXISTS`, `ERR_CANVAS_INVALID` (with a path such as `nodes[3].id`),
   *   `ERR_PAYLOAD_TOO_LARGE`.
   */
  createCanvas(repository: string, canvasId: string, canvasData: CanvasData, author: string): Promise<CanvasVersion>;

  /**
   * Takes the whole canvas and makes the edits by which it differs from what this application had: `options.base`; else
   * the version that the object remembers (objects from `getCanvas` and `applyCanvasChanges`, also after being changed
   * in place); else what was last passed in or returned for the canvas. So what others added meanwhile, unseen here, is
   * never deleted.
   * @returns the version of what was passed in (not of the merged canvas), which `updatedData` remembers from now on.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_CANVAS_NOT_FOUND`, `ERR_CANVAS_INVALID`, `ERR_PAYLOAD_TOO_LARGE`.
   */
  updateCanvas(
    repository: string,
    canvasId: string,
    updatedData: CanvasData,
    author: string,
    options?: { base?: CanvasVersion },
  ): Promise<CanvasVersion>;

  /**
   * Changes what the patch names and nothing else: the cheapest edit. A node's `text` is named whole and means an edit of
   * the text at `options.base`, into which what others edited since is merged; without a base, of the text that it differs
   * from least: what this application last had, what its listeners were last told of, or the present one.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_CANVAS_NOT_FOUND`, `ERR_CANVAS_INVALID`, `ERR_PAYLOAD_TOO_LARGE`.
   */
  patchCanvas(
    repository: string,
    canvasId: string,
    patch: CanvasPatch,
    author: string,
    options?: { base?: CanvasVersion },
  ): Promise<CanvasVersion>;

  /**
   * Reads the canvas as it is now, or as it was at a version. The object remembers its version, see `updateCanvas`.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_CANVAS_NOT_FOUND`, `ERR_CANVAS_INVALID` (unknown version).
   */
  getCanvas(repository: string, canvasId: string, options?: { at?: CanvasVersion }): Promise<ReadCanvas>;

  /** Lists a repository's canvases. @throws `ERR_REPOSITORY_UNKNOWN`. */
  listCanvases(repository: string): Promise<CanvasInfo[]>;

  /**
   * Deletes a canvas for everyone. A peer with edits that nobody had seen keeps it. Creating the id again makes a new,
   * empty canvas. @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_CANVAS_NOT_FOUND`.
   */
  deleteCanvas(repository: string, canvasId: string, author: string): Promise<void>;

  /**
   * Puts the canvas into another repository's list as well. Nothing is copied: both edit one document.
   * @param targetRepository default: announces the canvas to its own repository only.
   * With encryption, whoever has the target's key can then read and edit this canvas, and nothing else of the repository;
   * the two may have different keys if this service takes part in both. Where only members take part, both must be of mode
   * `members`, this peer a writer of both, and then the writers of both edit it. See `docs/security.md`.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_CANVAS_NOT_FOUND`, `ERR_CANVAS_EXISTS` (the target has another canvas of
   *   that id), `ERR_ENCRYPTION_KEY` (this service takes no part in the target, and the repository's key was replaced),
   *   `ERR_PAYLOAD_TOO_LARGE` (512 canvases of the repository are shared, or it is full), `ERR_NOT_A_MEMBER`, `ERR_FEATURE_DISABLED` (one
   *   has members, and the other is none or is not of this service).
   */
  shareCanvas(repository: string, canvasId: string, targetRepository?: string): Promise<void>;

  /**
   * Ends that a canvas is shared with others: of an encrypted repository it gets a new key, which none of them is given; where
   * only members take part, the writers of others may not edit it any more. They keep what they have, and are told (`error`,
   * `ERR_SHARE_ENDED`). To take the canvas out of a repository that it was shared into, delete it there.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_CANVAS_NOT_FOUND`, `ERR_NOT_A_MEMBER`, `ERR_FEATURE_DISABLED` (the repository is
   *   neither encrypted nor of members, so that anybody can edit it; or the canvas lives in another repository).
   */
  unshareCanvas(repository: string, canvasId: string): Promise<void>;

  /**
   * Replaces the key of an encrypted repository. The recipients get the new one, wrapped for each of them, now or when they
   * come back, and go on with it by themselves (`key-rotated`); everybody else is told (`error`, `ERR_ENCRYPTION_KEY`) and sees
   * nothing that is sent from then on, but keeps what they had. A recipient is recognised by its peer id, so it needs `storage`
   * to be one in its next process. Everybody who has the key may do this. See `docs/security.md`.
   * @returns how often the key has been replaced.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_FEATURE_DISABLED` (it is not encrypted), `ERR_BROKER_UNREACHABLE`,
   *   `ERR_ENCRYPTION_KEY` (a recipient is no peer id, there are too many for one message, the file cannot be written, or
   *   somebody else has just replaced the key). Nothing was replaced then.
   */
  rotateKey(repository: string, options: RotationOptions): Promise<{ epoch: number }>;

  /**
   * Catches up with one canvas now.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_CANVAS_NOT_FOUND`, `ERR_PAYLOAD_TOO_LARGE` (it has grown to the bound, and is
   *   followed no further).
   */
  syncCanvas(repository: string, canvasId: string): Promise<SyncReport>;

  /** Catches up with the list and all canvases of a repository now. @throws `ERR_REPOSITORY_UNKNOWN`. */
  syncRepository(repository: string): Promise<SyncReport>;

  /**
   * Turns live exchange of one canvas on.
   * @throws `ERR_FEATURE_DISABLED` with `features.realTimeCollaboration: false`, `ERR_REPOSITORY_UNKNOWN`,
   *   `ERR_CANVAS_NOT_FOUND`.
   */
  enableRealTimeCollaboration(repository: string, canvasId: string): Promise<void>;

  /** Turns live exchange of one canvas off; catching up still works. @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_CANVAS_NOT_FOUND`. */
  disableRealTimeCollaboration(repository: string, canvasId: string): Promise<void>;

  /**
   * Shows others this user's cursor, selection or the like; `null` takes it away. Not stored, may be lost.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_CANVAS_NOT_FOUND`, `ERR_PAYLOAD_TOO_LARGE` (over 256 KiB as JSON).
   */
  setPresence(
    repository: string,
    canvasId: string,
    presence: object | null,
    options?: { author?: string },
  ): Promise<void>;

  /**
   * Asks who is there and gives all peers known when the time is over.
   * @param options.timeoutMs how long to wait for answers, in milliseconds. Default: 1000.
   * @throws `ERR_FEATURE_DISABLED` with `features.discovery: false`.
   */
  discoverPeers(options?: { timeoutMs?: number }): Promise<PeerInfo[]>;

  /**
   * Who may take part, as far as is known here; call `syncRepository` first to be up to date.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_FEATURE_DISABLED` if the repository's membership mode is not `members`.
   */
  listMembers(repository: string): Promise<Member[]>;

  /**
   * Lets a peer take part, or gives it another role. Signed by this peer and kept with the repository's list of canvases, so
   * it need not be online when others learn of it.
   * @param role default: `writer`. Only the first admin makes admins, or makes one something else.
   * @throws `ERR_NOT_A_MEMBER` if this peer may not say so, `ERR_CANVAS_INVALID` if `peerId` is none, and as `listMembers`.
   */
  addMember(repository: string, peerId: string, role?: 'admin' | 'writer' | 'reader'): Promise<void>;

  /**
   * Ends a membership. What the peer had written stays; what it writes from now on counts for nobody who knows. Of an admin
   * what it had said of others is said again by this peer.
   * @throws as `addMember`.
   */
  removeMember(repository: string, peerId: string): Promise<void>;

  /**
   * Sends a message to the other peers: once, not stored.
   * @param options.repository default: all repositories of this service.
   * @throws `ERR_REPOSITORY_UNKNOWN`, `ERR_PAYLOAD_TOO_LARGE` (over 256 KiB as JSON).
   */
  broadcastMessage(message: object, options?: { repository?: string }): Promise<void>;

  /** The service at a glance, as of now. */
  getNetworkStatus(): NetworkStatus;

  /** One repository at a glance, as of now. @throws {MqttP2pError} `ERR_REPOSITORY_UNKNOWN`. */
  getRepositoryStatus(repository: string): RepositoryStatus;

  /** All repositories at a glance, by name. */
  getAllRepositoryStatuses(): Record<string, RepositoryStatus>;

  /** Checks the link, a round trip, queues and repositories. Resolves also when something is wrong. */
  healthCheck(): Promise<HealthReport>;

  /** Whether a message makes the round trip through the broker. */
  testConnection(): Promise<boolean>;

  /** Measures round trips through the broker. @throws `ERR_TIMEOUT`, `ERR_BROKER_UNREACHABLE`. */
  performanceTest(options?: PerformanceOptions): Promise<PerformanceReport>;

  /** Checks a configuration without using it; `errors` name the fields. */
  validateConfig(config: unknown): { valid: boolean; errors: string[] };
}

// ---- Embedded broker -----------------------------------------------------------------------------------------------

/** Where the embedded broker listens, and whom it lets in. An unknown field is an error. */
export interface BrokerOptions {
  /**
   * Address to bind. Default: 127.0.0.1; anything else is open to the network, and without `users` to everybody there.
   */
  host?: string;
  /** TCP port; 0 takes a free one. Default: 0. */
  port?: number;
  /** TLS (1.2 and 1.3) on all ports, which take nothing else then. Files are PEM. Default: none. */
  tls?: {
    /** The broker's certificate, with its chain if there is one. */
    certFile: string;
    /** The private key of `certFile`, without a passphrase. */
    keyFile: string;
    /** Certificates of CAs; a client must show a certificate that one of them has signed. Default: clients need none. */
    clientCaFile?: string;
  };
  /** A second port, for MQTT over WebSockets, at any path; 0, the default for it, takes a free one. Default: none. */
  websocket?: { port?: number };
  /**
   * Passwords by user name. Clients with another one are refused (CONNACK code 4), as are those without any (code 5).
   * Default: everybody may connect.
   */
  users?: Record<string, string>;
  /** What clients may do: what no rule allows is refused. Default: everything. */
  rules?: BrokerRule[];
}

/**
 * Allows topics to users of the embedded broker. Topics are written as MQTT filters: `+` stands for one level, `#` at the
 * end for all that follow; a level that is `${user}` or `${clientId}` for the client's own user name or client id. For the
 * peers of one repository: `{ users: ['ada', 'ben'], publish: topics, subscribe: topics }` with the `topics` `mind-git/v1/team/#`,
 * `mind-git/v1/will/+` and `mind-git/v1/probe/+`.
 *
 * A refused subscription is told to the client. A refused message is dropped, and acknowledged: MQTT 3.1.1 has no other
 * answer; a peer finds out by itself and says so. A client whose Last Will is not allowed cannot connect (code 5).
 */
export interface BrokerRule {
  /** For whom it is; each must be one of `users`. Default: for everybody. */
  users?: string[];
  /** Topics to which they may publish. Default: none. */
  publish?: string[];
  /** Filters to which they may subscribe, and all that ask for less. Default: none. */
  subscribe?: string[];
}

/** A small MQTT 3.1.1 broker in this process. Retained messages live in memory. */
export interface EmbeddedBroker {
  /** The bound address. */
  readonly host: string;
  /** The bound port. */
  readonly port: number;
  /** Such as `mqtt://127.0.0.1:1883`; `mqtts://` with TLS. */
  readonly url: string;
  /** The bound port for WebSockets; null without. */
  readonly websocketPort: number | null;
  /** Such as `ws://127.0.0.1:9001/mqtt`; `wss://` with TLS; null without. */
  readonly websocketUrl: string | null;
  /** Closes all connections and frees the port. Idempotent. */
  stop(): Promise<void>;
}

/** Starts a broker. @throws `ERR_CONFIG_INVALID` (also a port that is taken, or a file that cannot be used), `ERR_BROKER_UNREACHABLE`. */
export function startBroker(options?: BrokerOptions): Promise<EmbeddedBroker>;

// ---- Storage -------------------------------------------------------------------------------------------------------

/** What {@link recoverStorage} found. */
export interface StorageRecovery {
  /** Documents (canvases, and each repository's list of them) of which something is there. */
  documents: number;
  /** Those of them of which everything is there that was noted of them; fewer than `documents`: something is lost. */
  complete: number;
  /** Changes in them. */
  changes: number;
  /** Changes among these that depend on lost ones: they count again once another peer brings those. */
  waitingChanges: number;
  /** Compacted documents that could be read, among them older ones. */
  snapshots: number;
  /** Bytes that belonged to documents and could not be used; what was overwritten as a whole is not known of. */
  lostBytes: number;
  /** Where the damaged file is now; null when nothing was damaged, and nothing was changed. */
  damagedFile: string | null;
}

/**
 * Rescues what can be read of storage that gave `ERR_STORAGE_CORRUPT`, into a new file in its place; the damaged one is kept
 * beside it, unchanged. The peer stays who it is. Deleted canvases may come back. No service may use the directory.
 * @param path what was `storage.path`.
 * @throws {MqttP2pError} `ERR_STORAGE_LOCKED`, `ERR_STORAGE_FULL` (or the system refuses), `ERR_CONFIG_INVALID` (there is no
 *   storage, or it was written by a newer version). Nothing was changed then.
 */
export function recoverStorage(path: string): Promise<StorageRecovery>;

// ---- Keys ----------------------------------------------------------------------------------------------------------

/**
 * Makes a random key for encrypted repositories, in a new file that its owner alone can read (mode 0600). Whoever has the
 * file reads and writes everything in the repositories that use it, so take it to other peers over a trusted channel.
 * @throws {MqttP2pError} `ERR_ENCRYPTION_KEY`: the file exists already (it is never overwritten), or cannot be written.
 */
export function createKeyFile(path: string): Promise<void>;

/**
 * Makes an invite: a random salt, and how much work it is to make a key of a passphrase. All peers of a repository need the
 * same invite and passphrase (`encryption.invite`, `encryption.passphrase`). An invite is no secret.
 * @throws {MqttP2pError} `ERR_ENCRYPTION_KEY`: the system gives no random numbers.
 */
export function createInvite(): Promise<string>;
