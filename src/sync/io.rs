//! Everything that goes into the synchroniser and everything that comes out of it.

use automerge::ChangeHash;
use bytes::Bytes;

pub use super::canvas_event::{CanvasEvent, CanvasEventKind, Origin};
use super::epochs::Epoch;
use super::error::SyncError;
use super::files::{FileCommand, Standing};
use super::membership::Member;
use super::peers::PeerInfo;
use super::shares::{Grant, SharingKey};
use super::stored::{KnownDocument, StoreOperation, StoredDocument};
use crate::canvas::{Canvas, CanvasPatch, Conflict, IndexEntry, Seen, Version};
use crate::crypto::RootSecret;
use crate::ids::{CanvasId, DocumentId, PeerId, RepositoryName};
use crate::wire::{Header, Priority, Role};

/// Something that happened, to be given to [`handle`](super::CanvasP2PSynchronizer::handle).
#[derive(Debug)]
pub enum Input {
    /// The broker accepted a connection, the `connection`-th of this process; it remembers nothing of an earlier one.
    Connected {
        /// Grows with each connect.
        connection: u64,
    },
    /// The connection is gone, and with it whatever was not yet acknowledged.
    Disconnected,
    /// The broker accepted a subscription.
    Subscribed {
        /// The topic filter as it stood in [`Output::subscribe`].
        filter: String,
    },
    /// The broker refused a subscription.
    SubscribeRejected {
        /// The topic filter.
        filter: String,
    },
    /// Messages arrived; what came together is applied together.
    Messages(Vec<Message>),
    /// The driver had to drop messages for this repository because its queue was full.
    MessagesLost,
    /// The broker acknowledged a publish.
    Acknowledged(PublishToken),
    /// The driver could not take a publish, its queue being full.
    PublishRefused(PublishToken),
    /// What storage has from an earlier process. At most once, before anything else.
    Restored {
        /// All documents that it has.
        documents: Vec<KnownDocument>,
        /// This repository's index.
        index: Option<StoredDocument>,
    },
    /// What was put out under this token is stored, and will survive a crash.
    Stored(StoreToken),
    /// Nothing of what was put out under this token is stored.
    StoreFailed {
        /// The token.
        token: StoreToken,
        /// Why, in words for the application.
        reason: String,
    },
    /// What storage has of a document that [`Output::load`] asked for.
    Loaded {
        /// Which document.
        document: DocumentId,
        /// What it has; `None` when it has nothing, or cannot read it.
        stored: Option<StoredDocument>,
    },
    /// An application wants something.
    Command {
        /// Names the call; the outcome carries it.
        call: u64,
        /// What it wants.
        command: Command,
    },
    /// The time of [`Output::wake_at_ms`] has come (calling earlier or later does no harm).
    Timer,
}

/// A message as it came from the broker.
#[derive(Debug, Clone)]
pub struct Message {
    /// The topic it was published on.
    pub topic: String,
    /// The sealed envelope, or anything that anyone sent.
    pub payload: Bytes,
    /// Whether the broker had kept it for new subscribers.
    pub retained: bool,
}

impl Message {
    /// Whether the broker had kept it. Anybody can claim that of any message; of kinds that are never kept it is not believed.
    pub(super) fn was_kept(&self, header: &Header) -> bool {
        self.retained && header.kind.is_kept()
    }
}

/// Names a publish whose acknowledgement matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishToken(pub u64);

/// Names a batch of writes to storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreToken(pub u64);

/// What an application can ask of one repository.
#[derive(Debug)]
pub enum Command {
    /// Create a canvas. Answer: [`Reply::Version`].
    Create {
        /// Its id, which must not be in use.
        canvas: CanvasId,
        /// What it holds at first.
        content: Canvas,
        /// Who creates it.
        author: String,
    },
    /// Replace a whole canvas, meaning the difference from what the application had. Answer: [`Reply::Version`].
    Update {
        /// Which canvas.
        canvas: CanvasId,
        /// What it should be.
        content: Canvas,
        /// The version that the application names as its base.
        base: Option<Version>,
        /// The version that the passed object remembers.
        remembered: Option<Version>,
        /// Who edits.
        author: String,
    },
    /// Change named parts of a canvas. Answer: [`Reply::Version`].
    Patch {
        /// Which canvas.
        canvas: CanvasId,
        /// What changes.
        patch: CanvasPatch,
        /// From what the application made it.
        seen: Seen,
        /// Who edits.
        author: String,
    },
    /// Read a canvas, at a version or as it is. Answer: [`Reply::Canvas`].
    Get {
        /// Which canvas.
        canvas: CanvasId,
        /// The version; the present when absent.
        at: Option<Version>,
    },
    /// List the canvases. Answer: [`Reply::Canvases`].
    List,
    /// Delete a canvas. Answer: [`Reply::Done`].
    Delete {
        /// Which canvas.
        canvas: CanvasId,
        /// Who deletes.
        author: String,
    },
    /// Say where a canvas lives, in order to share it. Answer: [`Reply::Entry`].
    Describe {
        /// Which canvas.
        canvas: CanvasId,
    },
    /// Say who is to get a canvas that is to be listed here too. Answer: [`Reply::SharingKey`].
    SharingKey {
        /// What is to be listed.
        entry: IndexEntry,
    },
    /// Let another repository have a canvas. Answer: [`Reply::Share`].
    Share {
        /// Which canvas.
        canvas: CanvasId,
        /// Which repository.
        with: Box<SharingKey>,
    },
    /// Take a canvas of another repository into this repository's index. Answer: [`Reply::Done`].
    Adopt {
        /// What to take in.
        entry: IndexEntry,
        /// Who shares.
        author: String,
        /// What the other repository gave for it.
        grant: Box<Grant>,
    },
    /// Have a canvas of this repository shared with no other any more. Answer: [`Reply::Done`].
    Unshare {
        /// Which canvas.
        canvas: CanvasId,
    },
    /// Put a canvas into the index of a repository in which this service takes no part. Answer: [`Reply::Done`].
    ShareOut {
        /// Which canvas.
        canvas: CanvasId,
        /// Into which repository.
        target: RepositoryName,
    },
    /// Announce a canvas to this repository's peers again. Answer: [`Reply::Done`].
    Announce {
        /// Which canvas.
        canvas: CanvasId,
    },
    /// Catch up with one canvas, or with all of the repository. Answer: [`Reply::Synced`].
    Sync {
        /// Which canvas; all when absent.
        canvas: Option<CanvasId>,
    },
    /// Follow a canvas live, or stop. Answer: [`Reply::Done`].
    SetLive {
        /// Which canvas.
        canvas: CanvasId,
        /// Whether to follow it.
        live: bool,
    },
    /// Show a cursor or selection to those who have the canvas open. Answer: [`Reply::Done`].
    SetCursor {
        /// Which canvas.
        canvas: CanvasId,
        /// The application's JSON, or `None` to remove it.
        presence: Option<String>,
        /// Whose it is.
        author: Option<String>,
    },
    /// Ask who is there, wait, and list who answered. Answer: [`Reply::Peers`].
    DiscoverPeers {
        /// How long to wait.
        timeout_ms: u64,
    },
    /// Send a message to all peers of the repository. Answer: [`Reply::Done`].
    Broadcast {
        /// The application's JSON.
        message: String,
    },
    /// List the members. Answer: [`Reply::Members`].
    Members,
    /// Say what a peer may do from now on. Answer: [`Reply::Done`].
    SetMember {
        /// Who.
        peer: PeerId,
        /// What.
        role: Role,
    },
    /// Say how often the repository's key has been replaced. Answer: [`Reply::Epoch`].
    DescribeKey,
    /// Replace the repository's key. Answer: [`Reply::Epoch`].
    RotateKey {
        /// The secret of the next epoch, which must be random and new.
        secret: RootSecret,
        /// Who stays; this peer does in any case.
        peers: Vec<PeerId>,
    },
    /// What the binding of canvases to files wants; the application has no part in it.
    File(FileCommand),
    /// Wait until the broker has everything edited so far. Answer: [`Reply::Done`].
    Flush,
    /// Send what waits, then say goodbye. Answer: [`Reply::Done`], once everything is acknowledged.
    Leave,
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Done, nothing to say.
    Done,
    /// The version of what was passed in.
    Version(Version),
    /// A canvas as JSON text.
    Canvas {
        /// Its version.
        version: Version,
        /// JSON Canvas.
        json: String,
    },
    /// The repository's canvases.
    Canvases(Vec<CanvasInfo>),
    /// Where a canvas lives.
    Entry(IndexEntry),
    /// How a canvas stands.
    Standing(Standing),
    /// The outcome of catching up.
    Synced(SyncReport),
    /// The peers that are there.
    Peers(Vec<PeerInfo>),
    /// The members.
    Members(Vec<Member>),
    /// How often the key has been replaced.
    Epoch(u64),
    /// Who is to get a canvas.
    SharingKey(Box<SharingKey>),
    /// What goes with a shared canvas.
    Share(Box<Grant>),
}

/// One canvas of a repository.
#[derive(Debug, Clone, PartialEq)]
pub struct CanvasInfo {
    /// Where it lives and who created it.
    pub entry: IndexEntry,
    /// How many nodes it shows.
    pub nodes: usize,
    /// How many edges it shows.
    pub edges: usize,
    /// Its present version.
    pub version: Version,
    /// Whether it is followed live.
    pub live: bool,
}

/// The outcome of catching up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncReport {
    /// Which canvas; all when absent.
    pub canvas: Option<CanvasId>,
    /// How many documents were asked for, the index included.
    pub documents: usize,
    /// Whether for each of them a peer answered, or the broker kept a snapshot of others and everything in it is here.
    pub answered: bool,
    /// How many changes came.
    pub changes_received: u64,
    /// How long it took.
    pub duration_ms: u64,
}

/// Everything that the driver must carry out after one [`handle`](super::CanvasP2PSynchronizer::handle), in the order
/// of the fields; within a field, in order.
#[derive(Debug, Default)]
pub struct Output {
    /// To be kept for [`encrypt`](super::CanvasP2PSynchronizer::encrypt), each in the place of one with the same
    /// [`previous`](crate::wire::EpochRecord::previous) key, before anything else is done.
    pub epochs: Vec<Epoch>,
    /// To subscribe, with the quality of service wanted.
    pub subscribe: Vec<(String, QualityOfService)>,
    /// To unsubscribe.
    pub unsubscribe: Vec<String>,
    /// To publish.
    pub publish: Vec<Publish>,
    /// To write to storage, as a whole; [`Input::Stored`] or [`Input::StoreFailed`] with the token is due. There is never
    /// more than one batch under way.
    pub store: Option<(StoreToken, Vec<StoreOperation>)>,
    /// To read from storage; [`Input::Loaded`] is due for each.
    pub load: Vec<DocumentId>,
    /// To tell the application: outcomes of calls and events, in document order.
    pub notices: Vec<Notice>,
    /// When [`Input::Timer`] is next due, in [`Now::elapsed_ms`](crate::time::Now); never when absent.
    pub wake_at_ms: Option<u64>,
}

/// MQTT's delivery promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QualityOfService {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
}

/// One MQTT publish.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Set when [`Input::Acknowledged`] is wanted.
    pub token: Option<PublishToken>,
    /// Where to.
    pub topic: String,
    /// The sealed envelope, or nothing, to clear a retained message.
    pub payload: Vec<u8>,
    /// Delivery promise.
    pub quality: QualityOfService,
    /// Whether the broker keeps it for new subscribers.
    pub retain: bool,
    /// What goes first when the connection is busy.
    pub priority: Priority,
}

/// Something for the application.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The outcome of a call.
    Outcome {
        /// The call.
        call: u64,
        /// What it brought.
        result: Result<Reply, SyncError>,
    },
    /// Something happened.
    Event(Event),
}

/// Something that happened without a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Subscribed, announced, and the first catching up requested.
    Ready {
        /// On which connection.
        connection: u64,
    },
    /// Who is the first admin was not known, and is trusted from now on.
    RootTrusted(PeerId),
    /// A canvas changed.
    Canvas(Box<CanvasEvent>),
    /// A concurrent write lost.
    Conflict {
        /// In which canvas.
        canvas: CanvasId,
        /// What lost to what.
        conflict: Conflict,
    },
    /// A peer was heard for the first time, or again after it had left.
    PeerDiscovered(PeerInfo),
    /// A peer took its leave or was not heard for too long.
    PeerLeft(PeerInfo),
    /// A peer sends more than is taken in of one; what was over is dropped, and its changes are caught up with.
    PeerThrottled(PeerId),
    /// A cursor or selection moved.
    Cursor {
        /// On which canvas.
        canvas: CanvasId,
        /// Whose peer.
        peer: PeerId,
        /// Whose, as the application said.
        author: Option<String>,
        /// The application's JSON; gone when absent.
        presence: Option<String>,
    },
    /// Another peer broadcast a message.
    Message {
        /// Who.
        peer: PeerId,
        /// The application's JSON.
        message: String,
        /// By the sender's clock.
        timestamp_unix_ms: u64,
    },
    /// The key of our repository, or of one in which canvases shared with us live, was replaced, and this peer has the new one.
    KeyRotated(Box<Epoch>),
    /// Catching up came to an end.
    SyncCompleted(SyncReport),
    /// Something went wrong that no call can be told.
    Error(SyncError),
    /// Changes that Automerge would not take; they are dropped, and everything else goes on.
    Quarantined {
        /// In which document.
        document: DocumentId,
        /// Which change.
        hash: ChangeHash,
        /// What Automerge said.
        reason: String,
    },
}
