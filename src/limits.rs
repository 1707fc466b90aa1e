//! Every cap and default in one place, its unit in its name, and what happens at it.

/// Longest repository name or canvas id, in bytes of UTF-8. Longer: refused.
pub const MAX_NAME_BYTES: usize = 512;

// ---- canvas -------------------------------------------------------------------------------------------------------

/// Longest string in a canvas. Longer: `ERR_PAYLOAD_TOO_LARGE`.
pub const MAX_STRING_BYTES: usize = 1 << 20;
/// Deepest nesting of a property's value. Deeper: `ERR_CANVAS_INVALID`.
pub const MAX_NESTING: usize = 64;
/// Most nodes, and most edges, of a canvas. More: `ERR_PAYLOAD_TOO_LARGE`.
pub const MAX_ELEMENTS: usize = 100_000;
/// Largest canvas as JSON text. Larger: `ERR_PAYLOAD_TOO_LARGE`.
pub const MAX_CANVAS_JSON_BYTES: usize = 64 << 20;
/// Order keys longer than this are re-keyed when next touched.
pub const MAX_ORDER_KEY_BYTES: usize = 64;

// ---- wire ---------------------------------------------------------------------------------------------------------

/// Default of `performance.maxMessageSize`: largest MQTT payload sent. Larger messages travel in fragments.
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Smallest `performance.maxMessageSize` that can be configured.
pub const MIN_MAX_MESSAGE_BYTES: usize = 4 << 10;
/// Largest MQTT payload accepted, whatever we send ourselves. Larger: dropped and counted.
pub const MAX_INBOUND_PACKET_BYTES: usize = 8 << 20;
/// Largest body after inflation. Larger: the message is dropped and counted.
pub const MAX_BODY_BYTES: usize = 128 << 20;
/// Most fragments of one message. More: dropped and counted.
pub const MAX_FRAGMENTS: u32 = 16_384;
/// Unfinished fragmented messages kept per sender. One more: the oldest is forgotten, and catching up repairs it.
pub const MAX_REASSEMBLIES_PER_PEER: usize = 4;
/// Bytes of unfinished fragmented messages kept in all. Beyond: the oldest are forgotten.
pub const MAX_REASSEMBLY_BYTES: usize = 256 << 20;
/// An unfinished fragmented message is forgotten after this long without a new fragment.
pub const REASSEMBLY_TIMEOUT_MS: u64 = 30_000;
/// Bodies smaller than this are not compressed.
pub const MIN_COMPRESS_BYTES: usize = 512;
/// Most changes in one message.
pub const MAX_CHANGES_PER_MESSAGE: usize = 65_536;
/// Most hashes in one list (heads, ancestors).
pub const MAX_HASHES_PER_LIST: usize = 4_096;
/// Most documents in one announcement of heads.
pub const MAX_DOCUMENTS_PER_ANNOUNCEMENT: usize = 256;
/// Most repositories or capabilities that a presence lists.
pub const MAX_PRESENCE_LIST: usize = 1_024;
/// Largest application message, or cursor presence, as JSON. Larger: `ERR_PAYLOAD_TOO_LARGE`.
pub const MAX_APPLICATION_MESSAGE_BYTES: usize = 256 << 10;

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
