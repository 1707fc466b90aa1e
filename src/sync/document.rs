//! One replicated document with everything the synchroniser keeps for it.

use std::collections::BTreeSet;

use automerge::{ActorId, Change, ChangeHash};
use rand_core::Rng;

use super::announce::AnnounceTimer;
use super::catch_up::CatchUp;
use super::causal::CausalBuffer;
use super::outbox::Outbox;
use super::stored::{ActorMark, StoredDocument, Summary};
use super::unsaved::{Unsaved, only};
use crate::canvas::{CanvasDocument, CanvasError, IndexDocument, Replica, Told, decode_change};
use crate::ids::DocumentId;
use crate::limits::MAX_QUARANTINED_HASHES;

/// What kind of document it is.
pub(crate) enum Content {
    Index(Box<IndexDocument>),
    Canvas(Box<CanvasDocument>),
}

impl Content {
    /// A document that nothing is known of.
    pub(crate) fn new(id: &DocumentId) -> Self {
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
        let mut content = Self::of_snapshot(id, stored.snapshot)?;
        let decoded = stored.changes.into_iter().filter_map(|bytes| decode_change(bytes).ok());
        let changes: Vec<_> = decoded.filter(|change| !skip(&change.hash())).collect();
        content.apply(changes);
        Ok(content)
    }

    /// The same, but nothing may be left out: a change that Automerge refuses may be of use to a later version.
    pub(crate) fn restore_whole(id: &DocumentId, stored: StoredDocument) -> Result<Self, CanvasError> {
        let corrupt = |reason: String| CanvasError::Corrupt(reason);
        let mut content = Self::of_snapshot(id, stored.snapshot)?;
        let decoded = stored.changes.into_iter().map(decode_change).collect::<Result<Vec<_>, _>>();
        let changes = decoded.map_err(|error| corrupt(error.to_string()))?;
        let hashes: Vec<ChangeHash> = changes.iter().map(Change::hash).collect();
        content.apply(changes);
        if hashes.iter().all(|hash| content.replica().contains(hash)) {
            Ok(content)
        } else {
            Err(corrupt("some of its changes cannot be applied".to_owned()))
        }
    }

    fn of_snapshot(id: &DocumentId, snapshot: Option<Vec<u8>>) -> Result<Self, CanvasError> {
        snapshot.map_or_else(|| Ok(Self::new(id)), |bytes| Self::load(id, &bytes))
    }

    /// Takes in changes about which nobody need be told; returns those that were new.
    pub(crate) fn apply(&mut self, changes: Vec<Change>) -> Vec<ChangeHash> {
        match self {
            Self::Canvas(canvas) => canvas.apply(changes).hashes,
            Self::Index(index) => index.apply(changes).hashes,
        }
    }

    pub(crate) fn replica(&self) -> &Replica {
        match self {
            Self::Index(index) => index.replica(),
            Self::Canvas(canvas) => canvas.replica(),
        }
    }

    /// How many nodes and edges it shows; none for an index.
    pub(crate) fn counts(&self) -> (usize, usize) {
        match self {
            Self::Index(_) => (0, 0),
            Self::Canvas(canvas) => canvas.counts(),
        }
    }

    fn set_actor(&mut self, actor: ActorId) {
        match self {
            Self::Index(index) => index.set_actor(actor),
            Self::Canvas(canvas) => canvas.set_actor(actor),
        }
    }
}

/// Under which actor a document is edited here.
#[derive(Debug, Default)]
pub(crate) enum Actor {
    /// It was not edited yet: a random one will do.
    #[default]
    None,
    /// An orderly end has left this one, and storage says so still: after a crash it would be used twice.
    Left(ActorMark),
    /// An orderly end, or falling asleep, has left this one, and storage has forgotten it.
    Free(ActorMark),
    /// This one, from now on.
    Taken(ActorId),
}

impl Actor {
    /// Storage has forgotten it.
    pub(crate) fn free(&mut self) {
        if let Self::Left(mark) = self {
            *self = Self::Free(mark.clone());
        }
    }

    /// The one that was left where the document stands, if it was not taken since.
    pub(crate) fn left(&self) -> Option<&ActorMark> {
        match self {
            Self::Left(mark) | Self::Free(mark) => Some(mark),
            Self::None | Self::Taken(_) => None,
        }
    }
}

/// How much of a document is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// All that this peer has of it.
    Whole,
    /// Storage could not give back all of it: nobody knows what of it the broker has.
    Partial,
    /// Nothing that is of use: it is being loaded again.
    Damaged,
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
    /// What storage lacks of it.
    pub(crate) unsaved: Unsaved,
    /// When it was last needed.
    pub(crate) used_ms: u64,
    pub(crate) actor: Actor,
    pub(crate) state: State,
    /// What the application was told that the damaged document had still to take in.
    pub(crate) told: Option<Told>,
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
            unsaved: Unsaved::default(),
            used_ms: 0,
            actor: Actor::None,
            state: State::Whole,
            told: None,
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

    /// Two changes with the same actor and sequence number keep peers apart for ever, so an actor is used again only where
    /// an orderly end has left it, and the document has just what it had then.
    fn take_actor(&mut self, rng: &mut dyn Rng) {
        let left = match &self.actor {
            Actor::Taken(_) => return,
            Actor::Free(mark) if self.replica().last_sequence(&mark.actor) == mark.sequence => Some(mark.actor.clone()),
            Actor::None | Actor::Left(_) | Actor::Free(_) => None,
        };
        let actor = left.unwrap_or_else(|| {
            let mut bytes = [0; 16];
            rng.fill_bytes(&mut bytes);
            ActorId::from(bytes)
        });
        self.content.set_actor(actor.clone());
        self.actor = Actor::Taken(actor);
    }

    /// The actor that may go on where the document stands now, if it was edited.
    pub(crate) fn mark(&self) -> Option<ActorMark> {
        match &self.actor {
            Actor::Taken(actor) => {
                Some(ActorMark { actor: actor.clone(), sequence: self.replica().last_sequence(actor) })
            }
            actor => actor.left().cloned(),
        }
    }

    /// What is to be known of it while it is asleep.
    pub(crate) fn summary(&self) -> Summary {
        let (nodes, edges) = self.content.counts();
        Summary {
            heads: self.replica().heads(),
            nodes,
            edges,
            unsent: self.outbox.len() > 0 || self.state == State::Partial,
        }
    }

    /// Whether storage and the broker have all of it, and nothing of it is awaited; what was not reported yet is.
    pub(crate) fn may_sleep(&self) -> bool {
        let settled = self.reported && self.state == State::Whole && self.unsaved.is_empty() && self.outbox.len() == 0;
        self.canvas().is_some() && settled && self.causal.len() == 0 && self.catch_up.is_idle()
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
        if let Content::Canvas(canvas) = &mut self.content {
            self.told = canvas.take_told();
        }
        self.content = Content::new(&self.id);
        self.state = State::Damaged;
        self.outbox.clear();
        self.causal = CausalBuffer::default();
        self.actor = Actor::None;
    }

    /// The damaged document was loaded again. What storage did not have yet is still known by its bytes.
    pub(crate) fn replace(&mut self, content: Content) {
        self.content = content;
        self.state = State::Whole;
        let decoded = self.unsaved.take().into_iter().filter_map(|bytes| decode_change(bytes).ok());
        let changes: Vec<_> = decoded.filter(|change| !self.is_quarantined(&change.hash())).collect();
        let raw = |change: &Change| (change.hash(), change.raw_bytes().to_vec());
        let raw: Vec<_> = changes.iter().map(raw).collect();
        let applied = self.content.apply(changes);
        self.unsaved.add(only(raw, &applied));
    }

    /// What was refused before the document was unloaded stays refused.
    pub(crate) fn set_quarantined(&mut self, quarantined: BTreeSet<ChangeHash>) {
        self.quarantined = quarantined;
    }

    pub(crate) fn take_quarantined(&mut self) -> BTreeSet<ChangeHash> {
        std::mem::take(&mut self.quarantined)
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

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::canvas::CanvasPatch;
    use crate::ids::{CanvasId, Generation, RepositoryName};

    fn document() -> Document {
        let id = DocumentId::Canvas {
            repository: RepositoryName::new("r").unwrap(),
            canvas: CanvasId::new("c").unwrap(),
            generation: Generation(1),
        };
        Document::new(id, true)
    }

    fn edit(document: &mut Document, rng: &mut ChaCha8Rng, x: u64) -> Vec<Vec<u8>> {
        let patch = CanvasPatch::from_json(&format!(r#"{{"nodes":{{"upsert":[{{"id":"n","x":{x}}}]}}}}"#)).unwrap();
        let changes = document.edit_canvas(rng).unwrap().patch(&patch, "me").unwrap().changes;
        changes.iter().map(|change| change.raw_bytes().to_vec()).collect()
    }

    #[test]
    fn what_storage_did_not_have_survives_the_loss_of_the_document() {
        let (mut document, mut rng) = (document(), ChaCha8Rng::seed_from_u64(1));
        let saved = edit(&mut document, &mut rng, 1);
        let unsaved = edit(&mut document, &mut rng, 2);
        document.unsaved.add(unsaved);
        let heads = document.replica().heads();
        document.start_over();
        assert!(document.replica().is_pristine());
        let stored = StoredDocument { changes: saved, ..StoredDocument::default() };
        document.replace(Content::restore(&document.id, stored, |_| false).unwrap());
        assert_eq!((document.replica().heads(), document.unsaved.is_empty()), (heads, false));
    }

    #[test]
    fn an_actor_is_used_again_only_where_it_stopped_and_once_storage_has_forgotten_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut first = document();
        let saved = edit(&mut first, &mut rng, 1);
        let mark = first.mark().unwrap();
        let next = |free: bool, changes: &[Vec<u8>], rng: &mut ChaCha8Rng| {
            let mut document = document();
            let stored = StoredDocument { changes: changes.to_vec(), ..StoredDocument::default() };
            document.content = Content::restore(&document.id, stored, |_| false).unwrap();
            document.actor = Actor::Left(mark.clone());
            if free {
                document.actor.free();
            }
            edit(&mut document, rng, 2);
            document.mark().unwrap()
        };
        assert_ne!(next(false, &saved, &mut rng).actor, mark.actor, "storage still offers it to the next process");
        assert_ne!(next(true, &[], &mut rng).actor, mark.actor, "its changes are not here");
        assert_eq!(next(true, &saved, &mut rng), ActorMark { sequence: mark.sequence + 1, ..mark.clone() });
    }
}
