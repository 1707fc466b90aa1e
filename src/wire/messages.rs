//! The bodies of all messages, as values. `docs/protocol.md` gives their CBOR form.

use automerge::ChangeHash;

use crate::crypto::KeyId;
use crate::ids::{DocumentId, Heads, Nonce, RepositoryName};
use crate::wire::epoch_record::EpochRecord;
use crate::wire::party::Members;
use crate::wire::voucher::{EnvelopeProof, Voucher};

/// The body of one message; its variant is the `kind` of the envelope's header.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A peer's birth, heartbeat, answer to a newcomer, or leave-taking.
    Presence(Presence),
    /// The Last Will: this connection of this instance is gone.
    Will(Will),
    /// New changes of the document that the topic names.
    Changes(Changes),
    /// A writer's retained manifest: what its snapshot of the document covers.
    Manifest(Manifest),
    /// One part of a retained snapshot; the topic names its digest.
    SnapshotPart(Vec<u8>),
    /// A request to catch up with one document.
    SyncRequest(SyncRequest),
    /// "I am answering this request, and cover these heads."
    SyncAnnouncement(SyncAnnouncement),
    /// The answer to a request, sent to the requester's inbox.
    SyncReply(SyncReply),
    /// "These are my newest changes": the safety net that finds what got lost without a trace.
    HeadsAnnouncement(HeadsAnnouncement),
    /// A cursor or selection on a canvas; `None` removes it.
    Cursor(Cursor),
    /// What an application gave to `broadcastMessage`.
    Application(String),
    /// Which key a peer of an encrypted repository uses.
    KeyNotice(KeyNotice),
    /// What replaces an encrypted repository's key.
    Epoch(Box<EpochRecord>),
    /// Whose writers may edit a shared canvas.
    Members(Members),
}

/// Why a presence was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceStatus {
    /// The peer has just connected and asks the others to answer with their own presence.
    Birth,
    /// The peer is there: heartbeat, or answer to a birth.
    Alive,
    /// The peer takes its leave.
    Offline,
}

/// What a peer says of itself to a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Why it was sent.
    pub status: PresenceStatus,
    /// Random, new at every start of the process.
    pub instance: u64,
    /// Grows with each connect of the instance; what carries an older one is ignored.
    pub connection: u64,
    /// All repositories in which the peer takes part.
    pub repositories: Vec<RepositoryName>,
    /// Words such as `canvas`, `server`; unknown ones are kept.
    pub capabilities: Vec<String>,
    /// The interval at which the peer promises to be heard, in milliseconds.
    pub heartbeat_ms: u64,
}

/// Published by the broker when a connection breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// The instance whose connection broke.
    pub instance: u64,
    /// Which of its connections.
    pub connection: u64,
}

/// New changes of one document, in causal order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Raw, uncompressed Automerge change chunks.
    pub changes: Vec<Vec<u8>>,
    /// What vouches for them, where the envelope does not.
    pub vouchers: Vec<Voucher>,
    /// What the envelope that brought them says of the newest. No part of the body: the receiver sets it.
    pub proof: Option<Box<EnvelopeProof>>,
}

impl Changes {
    /// Bytes of the changes and of what vouches for them, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.changes.iter().map(Vec::len).sum::<usize>() + size_of::<Voucher>() * self.vouchers.len()
    }
}

/// A whole document with what vouches for its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedDocument {
    /// What Automerge saves without its own compression.
    pub document: Vec<u8>,
    /// For each owned actor in it, the owner's word for its newest change.
    pub vouchers: Vec<Voucher>,
}

/// What a writer's retained snapshot covers, and where its parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The heads that the snapshot covers.
    pub heads: Heads,
    /// SHA-256 of each part, in order; empty when only the heads are announced.
    pub parts: Vec<[u8; 32]>,
    /// Length of all parts together.
    pub total_bytes: u64,
}

/// "Send me what I lack of this document."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// Names the request; the answerers rank themselves by it.
    pub request: Nonce,
    /// The document.
    pub document: DocumentId,
    /// The requester's heads.
    pub heads: Heads,
    /// Ancestors of the heads at growing distances (1, 2, 4, 8, …), so that any peer finds a common point.
    pub have: Vec<ChangeHash>,
}

/// "I am answering this request."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncAnnouncement {
    /// The request being answered.
    pub request: Nonce,
    /// The heads that the answer covers.
    pub heads: Heads,
}

/// The answer to a [`SyncRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncReply {
    /// The request being answered.
    pub request: Nonce,
    /// The document.
    pub document: DocumentId,
    /// The answerer's heads.
    pub heads: Heads,
    /// What the requester lacks.
    pub content: SyncContent,
}

/// What a [`SyncReply`] carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncContent {
    /// Raw changes in causal order; empty when the requester lacks nothing.
    Changes(Changes),
    /// The whole document; cheaper for a requester that has nothing yet.
    Document(SavedDocument),
}

impl SyncContent {
    /// Bytes of what it carries, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Changes(changes) => changes.bytes(),
            Self::Document(saved) => saved.document.len() + size_of::<Voucher>() * saved.vouchers.len(),
        }
    }
}

/// The sender's heads of some documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadsAnnouncement {
    /// Document and heads.
    pub documents: Vec<(DocumentId, Heads)>,
}

/// A cursor or selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The application's JSON text, or `None` when the cursor is gone.
    pub presence: Option<String>,
    /// The application's name for its user, where it gave one.
    pub author: Option<String>,
}

/// Which key the sender uses for the repository of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyNotice {
    /// Whether those who use another key shall say so.
    pub asks: bool,
    /// The sender's key.
    pub key: KeyId,
}
