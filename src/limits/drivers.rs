//! Caps and defaults of what does I/O: connections, storage, the service, files.

// ---- drivers/mqtt -------------------------------------------------------------------------------------------------

/// Default MQTT keep-alive: a ping leaves after this long.
pub const DEFAULT_KEEP_ALIVE_MS: u64 = 30_000;
/// Smallest keep-alive. Smaller values are raised to it, so that the watchdog and not a second ping ends a stall.
pub const MIN_KEEP_ALIVE_MS: u64 = 10_000;
/// Largest keep-alive: MQTT 3.1.1 counts it in seconds in 16 bits. Larger values are lowered to it.
pub const MAX_KEEP_ALIVE_MS: u64 = 65_535_000;
/// Default time for one attempt to connect, up to the broker's answer. Beyond: the attempt has failed.
pub const DEFAULT_CONNECT_TIMEOUT_MS: u64 = 10_000;
/// Default number of unacknowledged publishes of one class (live or bulk). Beyond: publishes wait in the outbox.
pub const DEFAULT_IN_FLIGHT: u16 = 256;
/// Largest number of unacknowledged publishes of one class. Larger values are lowered to it.
pub const MAX_IN_FLIGHT: u16 = 8_192;
/// Unacknowledged bytes of live publishes. Beyond: they wait in the outbox; one alone may be larger.
pub const MAX_IN_FLIGHT_LIVE_BYTES: usize = 1 << 20;
/// Unacknowledged bytes of bulk publishes. Beyond: they wait in the outbox; one alone may be larger. Small, because a
/// live edit travels behind them.
pub const MAX_IN_FLIGHT_BULK_BYTES: usize = 256 << 10;
/// Publishes that wait in the outbox, for each priority. One more: refused with `QueueFull`.
pub const MAX_OUTBOX_MESSAGES: usize = 16_384;
/// Payload bytes that wait in the outbox, for each priority. Beyond: refused with `QueueFull`.
pub const MAX_OUTBOX_BYTES: usize = 64 << 20;
/// Filters in one SUBSCRIBE packet; AWS IoT takes no more than 8. More filters travel in further packets.
pub const MAX_FILTERS_PER_SUBSCRIBE: usize = 8;
/// SUBSCRIBE and UNSUBSCRIBE packets that are not acknowledged yet. Further ones wait.
pub const MAX_CONTROL_IN_FLIGHT: usize = 64;
/// Subscribe and unsubscribe packets that wait. At the bound subscriptions are reported as rejected, and unsubscriptions
/// dropped.
pub const MAX_CONTROL_QUEUED: usize = 16_384;
/// With something unanswered and nothing at all arriving for this long, a connection is rebuilt.
pub const WATCHDOG_TIMEOUT_MS: u64 = 10_000;
/// With a publish unacknowledged, and no acknowledgement for this long, a connection is rebuilt whatever else arrives.
pub const ACKNOWLEDGE_TIMEOUT_MS: u64 = 60_000;
/// After each rebuild by the watchdog both times double, up to this factor: on a slow link one large packet takes long,
/// and nothing else arrives meanwhile.
pub const WATCHDOG_MAX_PATIENCE: u32 = 16;
/// How often the watchdog looks.
pub const WATCHDOG_TICK_MS: u64 = 1_000;
/// The first pause before connecting again is random and at most this; it doubles with every failure.
pub const RECONNECT_BASE_MS: u64 = 200;
/// No pause before connecting again is longer than this.
pub const RECONNECT_MAX_MS: u64 = 15_000;
/// A connection that held for this long starts the pauses from the beginning.
pub const CONNECTION_STABLE_MS: u64 = 10_000;
/// After DISCONNECT, how long to wait for the broker to close the connection (not all do). Beyond: it is closed from here.
pub const DISCONNECT_LINGER_MS: u64 = 100;
/// Longest `broker.path`, query included. Longer: the configuration is refused.
pub const MAX_WEBSOCKET_PATH_BYTES: usize = 2_048;
/// Largest packet that MQTT 3.1.1 can express (its section 2.2.3).
pub const MAX_MQTT_PACKET_BYTES: usize = 268_435_455;

// ---- drivers/mqtt/embedded ----------------------------------------------------------------------------------------

/// Unacknowledged QoS 1 messages that the embedded broker sends to one client. Further ones wait in its queue.
pub const EMBEDDED_IN_FLIGHT: u16 = 1_024;
/// Messages that wait in the embedded broker for one client. One more: dropped, and catching up repairs it.
pub const EMBEDDED_QUEUE_MESSAGES: usize = 10_000;
/// Clients of the embedded broker. One more: refused.
pub const EMBEDDED_MAX_CONNECTIONS: usize = 10_000;
/// Retained messages in the embedded broker. One more topic: delivered, but not retained.
pub const EMBEDDED_RETAINED_MESSAGES: usize = 100_000;
/// Bytes of retained payloads in the embedded broker. Beyond: delivered, but not retained.
pub const EMBEDDED_RETAINED_BYTES: usize = 1 << 30;
/// How long a client may take from connecting to its CONNECT. Beyond: the embedded broker closes the connection.
pub const EMBEDDED_HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
/// How long a client may take no byte. Beyond: the embedded broker closes the connection, so what waits for a stalled
/// client stays bounded.
pub const EMBEDDED_SEND_TIMEOUT_MS: u64 = 15_000;
/// How long the embedded broker may take to start. Beyond: `EmbeddedBrokerError::Start`.
pub const EMBEDDED_START_TIMEOUT_MS: u64 = 10_000;
/// How long tasks of the embedded broker may take to end when it stops. Beyond: they are abandoned.
pub const EMBEDDED_STOP_TIMEOUT_MS: u64 = 2_000;

// ---- drivers/storage ----------------------------------------------------------------------------------------------

/// Memory in which the database keeps pages that it has read or is about to write. More is read again.
pub const STORAGE_CACHE_BYTES: usize = 32 << 20;
/// Documents that one repository asks storage for at the same time. Further ones wait in the repository's task.
pub const MAX_LOADS_UNDER_WAY: usize = 64;

// ---- service ------------------------------------------------------------------------------------------------------

/// Most repositories of one service. More: `ERR_CONFIG_INVALID`.
pub const MAX_REPOSITORIES: usize = 1_000;
/// Most messages that wait for one repository. One more: dropped, and caught up with later.
pub const MAX_INBOX_MESSAGES: usize = 16_384;
/// Most bytes of them. Beyond: dropped, and caught up with later.
pub const MAX_INBOX_BYTES: usize = 32 << 20;
/// Most calls of the application that wait for one repository. One more: `ERR_RATE_LIMITED`.
pub const MAX_INBOX_CALLS: usize = 50_000;
/// Longest patch, as JSON, that is made on the caller's thread when its repository is idle. Longer: on the core's threads.
pub const MAX_PATCH_HERE_BYTES: usize = 4 << 10;
/// Outcomes and events that may wait for the application when it makes an edit on its own thread. More: it makes many in one
/// turn of its event loop, and they go to the core's threads, where they may be refused.
pub const MAX_WAITING_HERE: usize = 1_024;
/// Bytes of outcomes and events that wait for the application before repositories take in no more.
pub const MAX_MAILBOX_BYTES: usize = 32 << 20;
/// Bytes that wait for the application when packets that were overheard are dropped and counted, and logs are dropped.
pub const MAX_OVERHEARD_BYTES: usize = 8 << 20;
/// How long a tap that ends waits for the broker to acknowledge what it was told to forget.
pub const TAP_STOP_MS: u64 = 1_000;
/// Most bytes that the application takes at once, unless a single item is larger: read as JSON in a fraction of a millisecond.
pub const MAX_DRAIN_BYTES: usize = 128 << 10;
/// Most outcomes and events that the application takes at once. Further ones wait where they can still be merged.
pub const MAX_DRAIN_ITEMS: usize = 128;
/// Outcomes and events that wait for the application when edits of one canvas begin to be merged into one event.
pub const MERGE_FROM_ITEMS: usize = 256;
/// Merged events are measured again when they may have grown to twice their size, and by this more.
pub const MERGE_SLACK_BYTES: usize = 4 << 10;
/// How long `disconnect()` waits for acknowledgements before it leaves all the same.
pub const LEAVE_TIMEOUT_MS: u64 = 5_000;
/// How long a round trip of `testConnection`, `healthCheck` or `performanceTest` may take.
pub const PROBE_TIMEOUT_MS: u64 = 5_000;
/// How long a retained message may take to come after subscribing, when it is looked whether the broker keeps any.
pub const PROBE_RETAINED_MS: u64 = 1_000;
/// Default of `discoverPeers({ timeoutMs })`.
pub const DEFAULT_DISCOVER_MS: u64 = 1_000;
/// Longest `discoverPeers({ timeoutMs })`; longer is shortened.
pub const MAX_DISCOVER_MS: u64 = 60_000;
/// Default and most messages of `performanceTest`.
pub const DEFAULT_PERFORMANCE_MESSAGES: usize = 500;
/// Most messages of `performanceTest`; more are not sent.
pub const MAX_PERFORMANCE_MESSAGES: usize = 100_000;
/// Default payload of `performanceTest`, in bytes.
pub const DEFAULT_PERFORMANCE_PAYLOAD_BYTES: usize = 200;
/// Bytes of changes that a document gathers in storage before it is compacted.
pub const COMPACT_BYTES: usize = 1 << 20;

// ---- files --------------------------------------------------------------------------------------------------------

/// Default of a repository's `debounceMs`: how long a file must have been left alone before it is read.
pub const DEFAULT_FILE_DEBOUNCE_MS: u64 = 50;
/// Default of a repository's `staleWindowMs`: how long after we wrote a file an editor may still save what it had read before.
pub const DEFAULT_STALE_WINDOW_MS: u64 = 5_000;
/// Files that have not come to rest. More: the whole folder is looked at instead.
pub const MAX_RESTLESS_FILES: usize = 4_096;
/// Contents that a file and its canvas had in common, kept to tell a save of an old copy from an edit. One more: the oldest
/// is forgotten, and a copy of it saved now would count as an edit of the next.
pub const MAX_FILE_COMMONS: usize = 8;
/// Versions kept of a canvas that git has too. One more: the oldest is forgotten, and what git brings on top of it becomes an
/// ordinary edit.
pub const MAX_NOTED_BLOBS: usize = 32;
/// Shortest time between two writes of one file. What changes meanwhile is written at its end.
pub const FILE_WRITE_INTERVAL_MS: u64 = 200;
/// How long a file may be half written before that is reported.
pub const UNUSABLE_FILE_GRACE_MS: u64 = 1_000;
/// How often a folder is looked at again at once because folders in it came meanwhile. More: with the next thing that happens.
pub const MAX_FOLLOWING_SCANS: u32 = 4;
/// How long until what failed with a file is tried again.
pub const FILE_RETRY_MS: u64 = 1_000;
/// How long a file that git has put back to its last commit is left so: time for a pull.
pub const RESTORED_FILE_HOLD_MS: u64 = 10_000;
/// How long git is left alone after it has written its index: it moves `HEAD` only then.
pub const GIT_SETTLE_MS: u64 = 200;
/// Commits that are followed one by one when several come at once. More of one file: they are taken as one, and whoever has
/// taken them one by one may have made other edits of them.
pub const MAX_GIT_STEPS: usize = 64;
/// How often, and at how long intervals, git is waited for while it is at work before the binding says that it pauses.
pub const MAX_GIT_WAITS: u32 = 200;
/// See [`MAX_GIT_WAITS`].
pub const GIT_WAIT_MS: u64 = 50;
/// Complaints about files that are remembered, so that each is made once. More: all are forgotten, and may be made again.
pub const MAX_FILE_COMPLAINTS: usize = 1_024;
