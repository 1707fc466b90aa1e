//! One replicated document with everything the synchroniser keeps for it.

use std::collections::BTreeSet;

use automerge::{ActorId, Change, ChangeHash};
use rand_core::Rng;

use super::announce::AnnounceTimer;
use super::catch_up::CatchUp;
use super::causal::CausalBuffer;
use super::outbox::Outbox;
use super::stored::StoredDocument;
use crate::canvas::{CanvasDocument, CanvasError, IndexDocument, Replica, decode_change};
use crate::ids::DocumentId;
use crate::limits::MAX_QUARANTINED_HASHES;

/// What kind of document it is.
pub(crate) enum Content {
    Index(Box<IndexDocument>),
    Canvas(Box<CanvasDocument>),
}

impl Content {
    fn new(id: &DocumentId) -> Self {
        match id {
            DocumentId::Index { .. } => Self::Index(Box::default()),
            DocumentId::Canvas { .. } => Self::Canvas(Box::default()),
        }
    }

    /// Reads a saved document.
    pub(crate) fn load(id: &DocumentId, bytes: &[u8]) -> Result<Self, CanvasError> {
        Ok(match id {
            DocumentId::Index { .. } => Self::Index(Box::new(IndexDocument::load(bytes)?)),
            DocumentId::Canvas { .. } => Self::Canvas(Box::new(CanvasDocument::load(bytes)?)),
        })
    }

    /// Puts a document together from what storage has of it. Changes that Automerge refuses are left out, as are those
    /// that `skip` names; storage may have some that are in the snapshot already.
    pub(crate) fn restore(
        id: &DocumentId,
        stored: StoredDocument,
        skip: impl Fn(&ChangeHash) -> bool,
    ) -> Result<Self, CanvasError> {
        let mut content = match stored.snapshot {
            Some(bytes) => Self::load(id, &bytes)?,
            None => Self::new(id),
        };
        let decoded = stored.changes.into_iter().filter_map(|bytes| decode_change(bytes).ok());
        let changes: Vec<_> = decoded.filter(|change| !skip(&change.hash())).collect();
        match &mut content {
            Self::Canvas(canvas) => drop(canvas.apply(changes)),
            Self::Index(index) => drop(index.apply(changes)),
        }
        Ok(content)
    }

    pub(crate) fn replica(&self) -> &Replica {
        match self {
            Self::Index(index) => index.replica(),
            Self::Canvas(canvas) => canvas.replica(),
        }
    }

    fn set_actor(&mut self, actor: ActorId) {
        match self {
            Self::Index(index) => index.set_actor(actor),
            Self::Canvas(canvas) => canvas.set_actor(actor),
        }
    }
}

/// A document and its synchronisation.
pub(crate) struct Document {
    pub(crate) id: DocumentId,
    pub(crate) content: Content,
    pub(crate) outbox: Outbox,
    pub(crate) causal: CausalBuffer,
    pub(crate) catch_up: CatchUp,
    pub(crate) announce: AnnounceTimer,
    /// Whether changes are published and taken in as they are made.
    pub(crate) live: bool,
    /// Whether the application was told that the canvas exists.
    pub(crate) reported: bool,
    /// How many changes the present round of catching up brought.
    pub(crate) received_in_round: u64,
    has_actor: bool,
    /// Changes that Automerge refused. Bounded by [`MAX_QUARANTINED_HASHES`]; beyond, the smallest hashes are forgotten,
    /// and would be fetched and refused again.
    quarantined: BTreeSet<ChangeHash>,
}

impl Document {
    pub(crate) fn new(id: DocumentId, live: bool) -> Self {
        Self {
            content: Content::new(&id),
            id,
            outbox: Outbox::default(),
            causal: CausalBuffer::default(),
            catch_up: CatchUp::default(),
            announce: AnnounceTimer::default(),
            live,
            reported: false,
            received_in_round: 0,
            has_actor: false,
            quarantined: BTreeSet::new(),
        }
    }

    pub(crate) fn replica(&self) -> &Replica {
        self.content.replica()
    }

    pub(crate) fn canvas(&self) -> Option<&CanvasDocument> {
        match &self.content {
            Content::Canvas(canvas) => Some(canvas),
            Content::Index(_) => None,
        }
    }

    /// The canvas, ready to be edited: with an actor of this session's own, taken at the first edit, since actors cost.
    pub(crate) fn edit_canvas(&mut self, rng: &mut dyn Rng) -> Option<&mut CanvasDocument> {
        self.take_actor(rng);
        match &mut self.content {
            Content::Canvas(canvas) => Some(canvas),
            Content::Index(_) => None,
        }
    }

    /// The index, ready to be edited.
    pub(crate) fn edit_index(&mut self, rng: &mut dyn Rng) -> Option<&mut IndexDocument> {
        self.take_actor(rng);
        match &mut self.content {
            Content::Index(index) => Some(index),
            Content::Canvas(_) => None,
        }
    }

    /// Two changes with the same actor and sequence number keep peers apart for ever, so a session never takes over
    /// another's actor.
    fn take_actor(&mut self, rng: &mut dyn Rng) {
        if !self.has_actor {
            let mut actor = [0; 16];
            rng.fill_bytes(&mut actor);
            self.content.set_actor(ActorId::from(actor));
            self.has_actor = true;
        }
    }

    /// The connection is gone: what was in flight leaves again on the next, what was asked is asked again there.
    pub(crate) fn disconnected(&mut self) {
        self.outbox.reset();
        self.catch_up.disconnected();
        self.announce = AnnounceTimer::default();
    }

    /// The canvas is no longer listed; nothing is sent or asked until it comes back.
    pub(crate) fn close(&mut self) {
        self.disconnected();
        self.reported = false;
        self.received_in_round = 0;
    }

    /// The document was damaged by a panic inside Automerge: begin anew, under an actor of its own, since the old one may
    /// have been used beyond what was stored. What was refused stays refused.
    pub(crate) fn start_over(&mut self) {
        self.content = Content::new(&self.id);
        self.outbox = Outbox::default();
        self.causal = CausalBuffer::default();
        self.has_actor = false;
    }

    /// Of these hashes, those that the document lacks and could have.
    pub(crate) fn unknown<'a>(&self, hashes: impl IntoIterator<Item = &'a ChangeHash>) -> Vec<ChangeHash> {
        let lacking = |hash: &&ChangeHash| !self.replica().contains(hash) && !self.quarantined.contains(*hash);
        hashes.into_iter().filter(lacking).copied().collect()
    }

    /// Whether Automerge refused this change before.
    pub(crate) fn is_quarantined(&self, hash: &ChangeHash) -> bool {
        self.quarantined.contains(hash)
    }

    /// Puts incoming changes into causal order; see [`CausalBuffer::sort`]. What depends on a refused change is refused.
    pub(crate) fn sort(&mut self, changes: Vec<Change>) -> (Vec<Change>, Vec<ChangeHash>) {
        let mut wanted = Vec::with_capacity(changes.len());
        for change in changes {
            if change.deps().iter().any(|dep| self.quarantined.contains(dep)) {
                self.quarantine(change.hash());
            }
            if !self.quarantined.contains(&change.hash()) {
                wanted.push(change);
            }
        }
        let replica = self.content.replica();
        self.causal.sort(wanted, |hash| replica.contains(hash))
    }

    /// Automerge refused a change: neither it nor what waits for it will ever be applied.
    pub(crate) fn quarantine(&mut self, hash: ChangeHash) {
        self.quarantined.extend(self.causal.reject(&hash));
        self.quarantined.insert(hash);
        while self.quarantined.len() > MAX_QUARANTINED_HASHES {
            self.quarantined.pop_first();
        }
    }

    /// Tells the catching up what the document has by now, or will never have.
    pub(crate) fn settle(&mut self) {
        let replica = self.content.replica();
        self.catch_up.settle(|hash| replica.contains(hash) || self.quarantined.contains(hash));
    }
}
