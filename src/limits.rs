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
/// Largest integer that is stored as one, in magnitude: 2^53 - 1, the largest that JavaScript holds exactly. Beyond:
/// stored as a floating-point number.
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;
/// Largest encoded change accepted from elsewhere. Larger: refused.
pub const MAX_CHANGE_BYTES: usize = 120 << 20;
/// Most operations in a change: each property and each character counts. An edit that needs more:
/// `ERR_PAYLOAD_TOO_LARGE`; a change from elsewhere that has more: refused.
pub const MAX_CHANGE_OPERATIONS: u64 = 16 << 20;
/// Most conflicts that one edit or one batch of changes reports. Further ones are resolved alike, but not reported.
pub const MAX_CONFLICTS_REPORTED: usize = 1_024;
/// Patches remembered by value before they are folded into the canvas that the application last had.
pub const MAX_UNFOLDED_PATCHES: usize = 256;
/// Old versions on which chains of updates are remembered. One more: the least recent is forgotten, and the next
/// update from it starts a new chain.
pub const MAX_UPDATE_CHAINS: usize = 32;
/// Runs of own edits remembered for each text, to be put into another text if it loses to one. One more: the oldest is
/// forgotten.
pub const MAX_TEXT_RUNS: usize = 256;
/// Texts whose differing middle parts, multiplied, exceed this many characters squared are replaced rather than
/// compared character by character.
pub const MAX_TEXT_COMPARISON: usize = 4 << 20;

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
