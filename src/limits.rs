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
/// Longest topic prefix. Longer: the configuration is refused.
pub const MAX_TOPIC_PREFIX_BYTES: usize = 256;
/// Largest encoded header of an envelope, fields of later versions included. Larger: dropped and counted.
pub const MAX_HEADER_BYTES: usize = 1_024;
/// What an envelope adds to its body at most: header, signature and framing, and the fields reserved for encryption. A
/// packet holds this much less of a body.
pub const MAX_ENVELOPE_OVERHEAD_BYTES: usize = 256;
/// Largest back-reference window of compressed data (RFC 8878, section 3.1.1.1.2), as a power of two of bytes: 8 MiB.
/// Larger: refused, for the window is what inflating needs in memory.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 23;
/// Most parts of one snapshot.
pub const MAX_SNAPSHOT_PARTS: usize = 4_096;
/// Most vouchers in one message.
pub const MAX_VOUCHERS_PER_MESSAGE: usize = 16_384;
/// Longest capability that a presence lists, and author that a cursor names, in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 512;
/// Shortest and longest Automerge actor that a voucher may name.
pub const VOUCHER_ACTOR_BYTES: std::ops::RangeInclusive<usize> = 16..=40;
/// Unfinished fragmented messages kept in all. One more: the oldest is forgotten.
pub const MAX_REASSEMBLIES: usize = 256;
/// What a fragment in memory counts for beside its bytes, so that many tiny ones cannot exceed the cap in bytes.
pub const FRAGMENT_OVERHEAD_BYTES: usize = 128;
