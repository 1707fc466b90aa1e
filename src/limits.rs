//! Every cap and default in one place, its unit in its name, and what happens at it. Those of what does I/O are in `drivers`.

mod drivers;

pub use drivers::*;

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
/// `ERR_PAYLOAD_TOO_LARGE`; a change from elsewhere that has more: refused. The first import of 50,000 nodes with some words each
/// takes 1.5 million. To read a change takes about half a KiB of memory for each, however little room they take encoded.
pub const MAX_CHANGE_OPERATIONS: u64 = 2 << 20;
/// Most operations, and most changes, of a saved document that is read. More: refused.
pub const MAX_DOCUMENT_OPERATIONS: u64 = 64 << 20;
/// Most of them for each of its bytes, beyond those that a single change may have. A character takes a byte at least.
pub const MAX_DOCUMENT_OPERATIONS_PER_BYTE: u64 = 4;
/// Most operations and changes that a canvas grows to by changes of others: its whole history. Beyond: it is followed no
/// further (`ERR_PAYLOAD_TOO_LARGE`), and own edits are refused from seven eighths of it on; so with the next ones. 50,000 nodes
/// and ten million moves need 20 million.
pub const MAX_CANVAS_OPERATIONS: u64 = 32 << 20;
/// Most bytes of it, saved: more could not be handed to a newcomer in one message.
pub const MAX_CANVAS_BYTES: u64 = MAX_BODY_BYTES as u64;
/// Most nodes, edges and properties of it, deleted ones included.
pub const MAX_CANVAS_ENTRIES: u64 = 4 << 20;
/// Most operations and changes that a list of canvases grows to: creating one takes five, so that is each of the most canvases
/// created and deleted six times.
pub const MAX_INDEX_OPERATIONS: u64 = 4 << 20;
/// Most bytes of it, saved.
pub const MAX_INDEX_BYTES: u64 = MAX_BODY_BYTES as u64;
/// Most canvases in it, also of those that are not followed.
pub const MAX_INDEX_ENTRIES: u64 = 1 << 20;
/// Most canvases of a repository that are followed. More: `ERR_PAYLOAD_TOO_LARGE`, once.
pub const MAX_CANVASES_PER_REPOSITORY: usize = 100_000;
/// A change of more operations is given to Automerge at once.
pub const MAX_PLAIN_OPERATIONS: usize = 64;
/// So are changes that came together and have more. What somebody who was away edited meanwhile comes together.
pub const MAX_PLAIN_BATCH_OPERATIONS: usize = 4_096;
/// Changes of a document that wait for Automerge to take them in, beside those that came together. More: it does, together.
pub const MAX_TAIL_CHANGES: usize = 256;
/// How long they wait at most.
pub const TAIL_MS: u64 = 1_000;
/// Operations of a whole document that are taken over in a millisecond, at least.
pub const OPERATIONS_TAKEN_PER_MS: u64 = 1_000;
/// Keys of a document of which it is remembered what wrote them last. More: all are forgotten.
pub const MAX_KNOWN_WRITERS: usize = 1_024;
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
/// Changes remembered of each document as made from its file, and not by the application. Beyond: the oldest count as the
/// application's own when it passes an object that it got before them.
pub const MAX_ASIDE_CHANGES: usize = 4_096;
/// Changes made at one version that are looked at before another is made at it that may have been made before. Further ones
/// are not: what they did may be done again.
pub const MAX_SIBLING_CHANGES: usize = 16;
/// Texts whose differing middle parts, multiplied (where they are of one length), exceed this many characters squared are
/// replaced rather than compared character by character.
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

/// Heads of a message that its description names. Further ones are left out.
pub const MAX_DESCRIBED_HASHES: usize = 16;
/// What the first admin has said of members, kept of one repository: of so many peers. More: not heard. And what all other
/// admins together have said.
pub const MAX_MEMBER_STATEMENTS: usize = 100_000;
/// Of how many peers each other admin may speak. More: not heard.
pub const MAX_STATEMENTS_PER_ADMIN: usize = 10_000;
/// Statements of members that are looked at in changes of whom nobody knows yet whether they may write, and operations of such
/// a change. More: not before it is applied.
pub const MAX_STATEMENTS_AHEAD: usize = 256;

// ---- synchroniser -------------------------------------------------------------------------------------------------

/// Most changes of one document that wait for their dependencies. One more: dropped, and caught up with later.
pub const MAX_CAUSAL_BUFFER_CHANGES: usize = 4_096;
/// Most bytes of them. Beyond: dropped, and caught up with later.
pub const MAX_CAUSAL_BUFFER_BYTES: usize = 16 << 20;
/// Most changes of one document that wait for what vouches for them to be applicable. More: they and those that wait for their
/// dependencies are dropped, and caught up with later.
pub const MAX_UNSETTLED_CHANGES: usize = 2_048;
/// Most bytes of changes that wait, for either, in all documents of a repository. Beyond: those of the documents that have most
/// of them are dropped, and caught up with later.
pub const MAX_WAITING_BYTES: usize = 256 << 20;
/// Most changes published in one message; more leave in the next.
pub const MAX_BATCH_CHANGES: usize = 2_048;
/// Most bytes of changes published in one message, unless a single change is larger.
pub const MAX_BATCH_BYTES: usize = 256 << 10;
/// Most unpublished changes kept decoded per document; further ones are read from the document when their turn comes.
pub const MAX_CACHED_OUTBOX_CHANGES: usize = 2_048;
/// Shortest interval of the Trickle timer that announces heads (RFC 6206, Imin).
pub const ANNOUNCE_MIN_MS: u64 = 2_000;
/// Longest interval of the Trickle timer that announces heads (RFC 6206, Imax).
pub const ANNOUNCE_MAX_MS: u64 = 300_000;
/// Peers of which it is remembered what was heard of them. One more: the one silent for longest is forgotten, and old messages of
/// it would be believed once.
pub const MAX_HEARD_PEERS: usize = 512;
/// Streams (session and topic) of one peer whose windows are remembered. One more: the one silent for longest is forgotten.
pub const MAX_HEARD_STREAMS: usize = 64;
/// Manifests of one peer whose age is remembered. One more: one of them is forgotten.
pub const MAX_HEARD_MANIFESTS: usize = 256;
/// How long storage may be behind on what was heard: after a crash, messages of this time would be believed once more.
pub const HEARD_SAVE_MS: u64 = 5_000;
/// How long a peer whose Last Will arrived has to show that it is there.
pub const WILL_GRACE_MS: u64 = 1_000;
/// Most message streams (sender, session, topic) whose counters are followed. Beyond: the longest silent is forgotten.
pub const MAX_COUNTER_STREAMS: usize = 16_384;
/// Most hashes that a document notes as heard of but lacking. Beyond: not noted.
pub const MAX_WANTED_HEADS: usize = 256;
/// How long something unknown may still arrive by itself before it is asked for; up to twice that, with jitter.
pub const CATCH_UP_GRACE_MS: u64 = 100;
/// How long the first request waits for its answer; doubled at each further one.
pub const CATCH_UP_RETRY_MS: u64 = 1_000;
/// The longest that a request waits before it is repeated.
pub const CATCH_UP_MAX_RETRY_MS: u64 = 60_000;
/// How often in a row something known to be lacking is asked for without anything new coming, some minutes in all. Then
/// it is given up until somebody announces it again: the process that made it may have ended before it was stored.
pub const CATCH_UP_FRUITLESS_ATTEMPTS: u32 = 10;
/// How often a request is made that nobody answers, when nothing is known to be lacking.
pub const CATCH_UP_UNANSWERED_ATTEMPTS: u32 = 2;
/// How long a request waits when, as far as is known, nobody else is there.
pub const ALONE_WAIT_MS: u64 = 300;
/// How long each lower-ranked peer waits for the one before it to answer a request.
pub const ANSWER_STEP_MS: u64 = 150;
/// Peers that rank lower than this do not answer; the requester asks again, and then others rank first.
pub const MAX_ANSWER_RANK: usize = 8;
/// KiB of answers that one peer gets, each second. Beyond: it is not answered.
pub const MAX_ANSWER_KIB_PER_SECOND: u64 = 4 << 10;
/// KiB that an answer counts for at least.
pub const MIN_ANSWER_KIB: u64 = 64;
/// Answers of how many milliseconds a peer may get at once.
pub const ANSWER_BURST_MS: u64 = 60_000;
/// All peers together get as much as so many.
pub const ANSWERED_AT_ONCE: u64 = 4;
/// How often somebody asks again for what others announced that they send, before that is not relied on.
pub const MAX_BROKEN_PROMISES: u32 = 2;
/// How long such an announcement is remembered.
pub const PROMISE_MS: u64 = 120_000;
/// Peers that rank lower than this do not answer where announcements are not relied on, for each that does is one too many.
pub const MAX_DOUBTED_RANK: usize = 2;
/// Concurrent newest changes of a document. More: whoever may write makes an empty change on top of them, long before they are
/// more than fit into a list.
pub const MAX_CONCURRENT_ENDS: usize = 1_024;
/// Requests of others that wait for our turn. One more: ignored, the requester asks again.
pub const MAX_PENDING_ANSWERS: usize = 1_024;
/// Most bytes of changes in one answer. More: the answer is the saved document.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;
/// An answer of at least this many changes to a peer that has nothing is the saved document instead.
pub const DOCUMENT_ANSWER_CHANGES: usize = 64;
/// Operations of a saved document that are put together again to see that it is right, some 100 bytes each meanwhile. Of a
/// larger one the changes are taken in one by one.
pub const MAX_REBUILT_OPERATIONS: usize = 4 << 20;
/// The same of at least so many operations: the saved document is read in less than half the time of its changes.
pub const DOCUMENT_ANSWER_OPERATIONS: u64 = 16_384;
/// Answers to a newcomer's hello are spread over this long for each known peer.
pub const HELLO_JITTER_PER_PEER_MS: u64 = 5;
/// The longest that answers to a newcomer's hello are spread.
pub const MAX_HELLO_JITTER_MS: u64 = 2_000;
/// How often peers not heard and unfinished fragments are looked for: twice in a heartbeat, within these bounds, so that a
/// hundred repositories at rest do not keep a processor awake.
pub const EXPIRY_CHECK_MS: std::ops::RangeInclusive<u64> = 5_000..=15_000;
/// How long after the first acknowledgement on a topic our own echo may take, before the broker is said to reject it.
pub const ECHO_TIMEOUT_MS: u64 = 10_000;
/// How often the first publish on a topic is repeated for want of an echo before that is reported.
pub const ECHO_ATTEMPTS: u32 = 3;
/// Documents of deleted canvases that are kept, should someone bring them back. One more: the oldest is forgotten.
pub const MAX_CLOSED_DOCUMENTS: usize = 64;
/// Bytes of changes that storage lacks, kept beside their document. Beyond: they are read from the document when storage
/// can take them.
pub const MAX_UNSAVED_CACHE_BYTES: usize = 1 << 20;
/// How long storage that failed is left alone before it is tried again; doubled with every failure.
pub const SAVE_RETRY_MS: u64 = 500;
/// The longest that storage that failed is left alone.
pub const SAVE_MAX_RETRY_MS: u64 = 4_000;
/// How long a leave-taking waits for the broker before it ends without it; less than the service waits.
pub const LEAVE_WAIT_MS: u64 = LEAVE_TIMEOUT_MS - 500;
/// How long storage may be behind on what the broker has acknowledged; a crash meanwhile makes us send some edits twice.
pub const SAVE_LAZILY_MS: u64 = 1_000;
/// Default of `performance.maxOpenCanvases`: documents of one repository in memory. More: those longest untouched are let
/// go of, and loaded again when touched.
pub const DEFAULT_MAX_OPEN_CANVASES: usize = 256;
/// Messages that wait for one document to be loaded. One more: dropped, and caught up with once it is.
pub const MAX_PARKED_MESSAGES: usize = 1_024;
/// Bytes of changes in them, for all documents together, unless a single one has more. Beyond: as with too many.
pub const MAX_PARKED_BYTES: usize = 64 << 20;
/// Most bytes of changes that came together and go into a document together, unless a single message has more.
pub const MAX_ARRIVED_BYTES: usize = 16 << 20;
/// How long a publish that the driver could not take waits before it is tried again.
pub const PUBLISH_RETRY_MS: u64 = 200;
/// How long `enableRealTimeCollaboration` waits for a canvas that is not known yet.
pub const CANVAS_WAIT_MS: u64 = 5_000;
/// How long `syncCanvas`, `syncRepository` and `enableRealTimeCollaboration` wait for what others lack too.
pub const SYNC_WAIT_MS: u64 = 10_000;
/// How long sharing into a foreign repository waits for that repository's index.
pub const SHARE_WAIT_MS: u64 = 3_000;
/// Calls of an application that wait for something. One more: `ERR_RATE_LIMITED`.
pub const MAX_WAITING_CALLS: usize = 10_000;
/// Default of `performance.heartbeatInterval`.
pub const DEFAULT_HEARTBEAT_MS: u64 = 30_000;
/// Beyond so many peers of a repository each says more rarely that it is there, so that nobody hears more than so many of them
/// in a heartbeat.
pub const HEARTBEAT_PEERS: u64 = 50;
/// Longest heartbeat, configured or stretched, and the longest that is believed of another.
pub const MAX_HEARTBEAT_MS: u64 = 3_600_000;
/// Peers beyond those listed that are counted. Further ones are not.
pub const MAX_UNLISTED_PEERS: usize = 10_000;
/// About so many peers answer a newcomer's hello, and every server does.
pub const HELLO_ANSWERS: u64 = 50;
/// Default of `performance.maxConnections`: most peers listed per repository.
pub const DEFAULT_MAX_PEERS: usize = 100;
/// Default of `performance.maxPeerMessagesPerSecond`: messages of one peer that a repository takes in. Beyond: dropped, and
/// changes are caught up with later.
pub const DEFAULT_MAX_PEER_PER_SECOND: u32 = 1_000;
/// Default of `performance.maxInboundMessagesPerSecond`: messages that a repository takes in. Beyond: dropped, and changes
/// are caught up with later.
pub const DEFAULT_MAX_INBOUND_PER_SECOND: u32 = 10_000;
/// Default of `performance.maxOutboundMessagesPerSecond`: messages of changes that a service sends. Beyond: edits wait, and leave together. Less than others take in.
pub const DEFAULT_MAX_OUTBOUND_PER_SECOND: u32 = 500;
/// Most that can be configured of these three.
pub const MAX_MESSAGES_PER_SECOND: u32 = 1_000_000;
/// Messages of how many milliseconds may come at once after a pause; from one peer for catching up, and from all together, of
/// four times as many.
pub const INBOUND_BURST_MS: u32 = 500;
/// Messages of how many milliseconds may be sent at once after a pause: fewer than others take in.
pub const OUTBOUND_BURST_MS: u32 = 500;
/// Of a peer that sent too much, one message is looked at in this time, and counts for all that it may send in it.
pub const THROTTLE_SAMPLE_MS: u64 = 10;
/// Messages of peers that sent too much wait for others, or for so many more of them, before a repository is woken.
pub const MUTED_BATCH_MESSAGES: usize = 64;
/// KiB of messages of one peer that a repository takes in, each second. Beyond: as with too many messages.
pub const MAX_PEER_KIB_PER_SECOND: u32 = 32 << 10;
/// KiB of messages of one peer that may come at once after a pause: more than the largest message.
pub const MAX_PEER_BURST_KIB: u32 = 256 << 10;
/// Peers of which it is counted what they send. One more: the one silent for longest is forgotten.
pub const MAX_PEER_ACCOUNTS: usize = 1_024;
/// Topics and documents, each, of which it is remembered that changes were dropped. One more: all are caught up with.
pub const MAX_OWED_TOPICS: usize = 256;
/// How long after the first message was dropped what was dropped is caught up with; doubled while more is dropped.
pub const THROTTLE_PERIOD_MS: u64 = 500;
/// The longest that this takes.
pub const MAX_THROTTLE_PERIOD_MS: u64 = 8_000;
/// How long it is not told again that a peer sends too much.
pub const THROTTLE_REPORT_MS: u64 = 10_000;
/// Most refused changes remembered per document. Beyond: the smallest hashes are forgotten.
pub const MAX_QUARANTINED_HASHES: usize = 256;
/// How long a writer waits at most for others to stand by what a removed member had written.
pub const STAND_BY_JITTER_MS: u64 = 2_000;
/// Most documents of one repository that ask for what they lack at the same time; others wait their turn.
pub const MAX_ACTIVE_REQUESTS: usize = 32;
/// Most cursors of others that are remembered, to be taken away when their peer leaves. Beyond: not remembered.
pub const MAX_CURSORS: usize = 10_000;
/// Longest topic prefix. Longer: the configuration is refused.
pub const MAX_TOPIC_PREFIX_BYTES: usize = 256;
/// Largest encoded header of an envelope, fields of later versions included. Larger: dropped and counted.
pub const MAX_HEADER_BYTES: usize = 1_024;
/// What an envelope adds to its body at most: header, signature and framing, and the fields reserved for encryption. A
/// packet holds this much less of a body.
pub const MAX_ENVELOPE_OVERHEAD_BYTES: usize = 256;
/// Smallest size class of what is sealed in an encrypted repository; a short edit has this size.
pub const MIN_SEALED_BYTES: usize = 256;
/// Repositories whose keys are remembered: one's own, and those in which canvases shared with it live. One more: what
/// comes from there is not recognised.
pub const MAX_KEYED_REPOSITORIES: usize = 1_024;
/// Canvases of one encrypted repository that are shared and have keys of their own, for each peer. More:
/// `ERR_PAYLOAD_TOO_LARGE`, and what others share beyond that is not read.
pub const MAX_SHARED_CANVASES: usize = 512;
/// Repositories of members that one canvas is shared between, its own included. More: `ERR_PAYLOAD_TOO_LARGE`.
pub const MAX_PARTIES: usize = 64;
/// What is told of the members of one of these at most, in statements; further ones are not told.
pub const MAX_STATEMENTS_PER_PARTY: usize = 4_096;
/// A peer tells others of the parties to a canvas at most this often, and up to as long after it had reason to.
pub const PARTIES_INTERVAL_MS: u64 = 5_000;
/// How long who has replaced a repository's key has to replace those of its shared canvases, too, before others do; and half
/// of that at random.
pub const SHARE_RENEWAL_MS: u64 = 5_000;
/// Memory that the slow hash of an encrypted repository's name takes, in KiB; once at the start.
pub const NAME_TAG_MEMORY_KIB: u32 = 8 << 10;
/// How often that hash goes over its memory.
pub const NAME_TAG_PASSES: u32 = 2;
/// Shortest passphrase, in bytes of UTF-8. It says nothing of how easily one is guessed.
pub const MIN_PASSPHRASE_BYTES: usize = 8;
/// Longest passphrase, in bytes of UTF-8.
pub const MAX_PASSPHRASE_BYTES: usize = 1_024;
/// Longest invite as text, in bytes.
pub const MAX_INVITE_BYTES: usize = 128;
/// Memory that an invite may ask for to make a key of a passphrase, in KiB. New invites ask for the least.
pub const INVITE_MEMORY_KIB: std::ops::RangeInclusive<u32> = 64 << 10..=1 << 20;
/// How often that memory is gone over. New invites ask for the least.
pub const INVITE_PASSES: std::ops::RangeInclusive<u32> = 3..=16;
/// A peer answers others that use another key at most this often.
pub const KEY_NOTICE_INTERVAL_MS: u64 = 2_000;
/// How long others who use another key have to hand over what replaced ours before that is an error.
pub const OTHER_KEY_GRACE_MS: u64 = 3_000;
/// Most peers for whom an epoch's secret is wrapped. More: `ERR_ENCRYPTION_KEY`.
pub const MAX_EPOCH_RECIPIENTS: usize = 4_096;
/// Epochs that a peer has left and answers for. One more: who comes with the oldest one's key is not told of the next.
pub const MAX_PAST_EPOCHS: usize = 32;
/// Records of epochs in one data directory. More: `ERR_ENCRYPTION_KEY` at the start.
pub const MAX_STORED_EPOCHS: usize = 4_096;
/// A peer tells those who come with the key of one past epoch what replaced it at most this often.
pub const EPOCH_ANSWER_INTERVAL_MS: u64 = 10_000;
/// Smallest `performance.maxMessageSize` with encryption: names of canvases travel within each packet.
pub const MIN_SEALED_MAX_MESSAGE_BYTES: usize = 8 << 10;
/// Largest back-reference window of compressed data (RFC 8878, section 3.1.1.1.2), as a power of two of bytes: 8 MiB.
/// Larger: refused, for the window is what inflating needs in memory.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 23;
/// Most parts of one snapshot.
pub const MAX_SNAPSHOT_PARTS: usize = 4_096;
/// Most vouchers in one message, and so most actors of a document, for a newcomer gets one for each: of 100 people who each
/// begin every day and never end in good order, in three and a half years. They take 27 MB, and six seconds to verify.
pub const MAX_VOUCHERS_PER_MESSAGE: usize = 131_072;
/// Of so many peers the key is kept as it is used to verify; of others it is made again each time.
pub const MAX_REMEMBERED_KEYS: usize = 16;
/// Longest capability that a presence lists, and author that a cursor names, in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 512;
/// Shortest and longest Automerge actor that a voucher may name.
pub const VOUCHER_ACTOR_BYTES: std::ops::RangeInclusive<usize> = 24..=40;
/// Unfinished fragmented messages kept in all. One more: the oldest is forgotten.
pub const MAX_REASSEMBLIES: usize = 256;
/// What a fragment in memory counts for beside its bytes, so that many tiny ones cannot exceed the cap in bytes.
pub const FRAGMENT_OVERHEAD_BYTES: usize = 128;

// ---- snapshots ----------------------------------------------------------------------------------------------------

/// Manifests that are remembered. One more: the oldest is forgotten, as if the broker did not have it.
pub const MAX_MANIFESTS: usize = 65_536;
/// Manifests of one document that are remembered. One more: the oldest is forgotten.
pub const MAX_MANIFESTS_PER_DOCUMENT: usize = 16;
/// Hashes and digests in all manifests that are remembered: 32 MiB. Beyond: the oldest manifests are forgotten.
pub const MAX_MANIFEST_HASHES: usize = 1 << 20;
/// How long after our own presence has come back the broker may still deliver manifests that it kept; before, no snapshot
/// is written.
pub const MANIFEST_WAIT_MS: u64 = 100;
/// How long the broker has for that when our presence does not come back, or none is published.
pub const MANIFEST_MAX_WAIT_MS: u64 = 1_000;
/// Snapshots that are read at the same time. Further ones wait.
pub const MAX_ACTIVE_FETCHES: usize = 16;
/// Bytes of snapshots that are read at the same time, unless a single one is larger. Further ones wait.
pub const MAX_FETCH_BYTES: usize = 64 << 20;
/// Parts of one snapshot that are subscribed to at the same time.
pub const MAX_PARTS_FETCHING: usize = 4;
/// How long the broker may take to deliver the next part of a snapshot. Beyond: it does not have it.
pub const PART_TIMEOUT_MS: u64 = 5_000;
/// A document of which enough has changed is written after this long without a change.
pub const SNAPSHOT_QUIET_MS: u64 = 5_000;
/// How many changes are enough.
pub const SNAPSHOT_ENOUGH_CHANGES: usize = 64;
/// A document of which anything has changed is written after this long without a change.
pub const SNAPSHOT_LONG_QUIET_MS: u64 = 30_000;
/// A document that does not come to rest is written this long after its first change that no snapshot covers.
pub const SNAPSHOT_MAX_WAIT_MS: u64 = 60_000;
/// How long each lower-ranked peer waits for the one before it to write a snapshot.
pub const SNAPSHOT_STEP_MS: u64 = 2_000;
/// Peers that rank lower than this wait as long as this one.
pub const MAX_SNAPSHOT_RANK: usize = 8;
/// Snapshots that are written at the same time. Further ones wait.
pub const MAX_ACTIVE_WRITES: usize = 8;
/// Parts of one snapshot that are published and not yet acknowledged.
pub const MAX_PARTS_WRITING: usize = 4;
/// How long a snapshot that could not be written yet waits before it is tried again.
pub const SNAPSHOT_RETRY_MS: u64 = 200;
/// Parts that this peer has published and is still to clear. Beyond: the oldest documents' parts stay on the broker.
pub const MAX_LITTER_PARTS: usize = 16_384;
/// Retained messages of a canvas that another peer deleted are cleared after a random time of at most this.
pub const CLEAR_JITTER_MS: u64 = 10_000;
/// How often the retained messages of one deleted canvas are cleared: another repository may go on with it.
pub const MAX_CLEARINGS: u32 = 3;
/// Deleted canvases whose clearings are counted. One more: the count of one begins anew.
pub const MAX_CLEARED_DOCUMENTS: usize = 1_024;
