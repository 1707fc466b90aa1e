//! One replicated document with everything the synchroniser keeps for it.

use std::collections::BTreeSet;

use automerge::{ActorId, Change, ChangeHash};
use rand_core::Rng;

use super::announce::AnnounceTimer;
use super::catch_up::CatchUp;
use super::causal::CausalBuffer;
use super::content::Content;
use super::outbox::Outbox;
use super::stored::{ActorMark, Summary};
use super::unsaved::{Unsaved, only};
use super::unsettled::Unsettled;
use super::vouching::{Admitted, Incoming, Vouching};
use crate::canvas::{CanvasDocument, IndexDocument, Replica, Told, decode_change, is_derived};
use crate::crypto::Identity;
use crate::crypto::actor::{ACTOR_NONCE_BYTES, actor_of, owns};
use crate::ids::{DocumentId, PeerId};
use crate::limits::MAX_QUARANTINED_HASHES;
use crate::wire::{SavedDocument, Voucher};

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
    /// It has grown to the bound: nothing of others is taken in any more.
    pub(crate) full: bool,
    /// Whether the application was told that the canvas exists.
    pub(crate) reported: bool,
    /// How many changes the present round of catching up brought.
    pub(crate) received_in_round: u64,
    /// What storage lacks of it.
    pub(crate) unsaved: Unsaved,
    pub(crate) vouching: Vouching,
    unsettled: Unsettled,
    /// When it was last needed.
    pub(crate) used_ms: u64,
    pub(crate) actor: Actor,
    pub(crate) state: State,
    /// How often it was damaged. Then what comes is taken in change by change, so that those at fault are found.
    pub(crate) damages: u32,
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
            full: false,
            reported: false,
            received_in_round: 0,
            unsaved: Unsaved::default(),
            vouching: Vouching::default(),
            unsettled: Unsettled::default(),
            used_ms: 0,
            actor: Actor::None,
            state: State::Whole,
            damages: 0,
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
    pub(crate) fn edit_canvas(&mut self, owner: &PeerId, rng: &mut dyn Rng) -> Option<&mut CanvasDocument> {
        self.take_actor(owner, rng);
        match &mut self.content {
            Content::Canvas(canvas) => Some(canvas),
            Content::Index(_) => None,
        }
    }

    /// Stands by everything that is here, under this peer's own actor.
    pub(crate) fn stand_by(&mut self, owner: &PeerId, rng: &mut dyn Rng) -> Option<Change> {
        self.take_actor(owner, rng);
        self.content.stand_by()
    }

    /// The index, ready to be edited.
    pub(crate) fn edit_index(&mut self, owner: &PeerId, rng: &mut dyn Rng) -> Option<&mut IndexDocument> {
        self.take_actor(owner, rng);
        match &mut self.content {
            Content::Index(index) => Some(index),
            Content::Canvas(_) => None,
        }
    }

    /// Two changes with the same actor and sequence number keep peers apart for ever, so an actor is used again only where
    /// an orderly end has left it, and the document has just what it had then.
    fn take_actor(&mut self, owner: &PeerId, rng: &mut dyn Rng) {
        let left = match &self.actor {
            Actor::Taken(_) => return,
            Actor::Free(mark) if self.replica().last_sequence(&mark.actor) == mark.sequence => Some(mark.actor.clone()),
            Actor::None | Actor::Left(_) | Actor::Free(_) => None,
        };
        let actor = left.unwrap_or_else(|| {
            let mut nonce = [0; ACTOR_NONCE_BYTES];
            rng.fill_bytes(&mut nonce);
            ActorId::from(actor_of(owner, nonce))
        });
        self.content.set_actor(actor.clone());
        self.actor = Actor::Taken(actor);
    }

    /// Goes on under the actor of before it fell asleep: what others send may call for an edit in answer.
    pub(crate) fn take_actor_again(&mut self, owner: &PeerId, rng: &mut dyn Rng) {
        if matches!(self.actor, Actor::Free(_)) {
            self.take_actor(owner, rng);
        }
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

    /// Whether storage and the broker have all of it, and nothing of it is awaited; what has come and was not reported yet is.
    pub(crate) fn may_sleep(&self) -> bool {
        let reported = self.reported || self.replica().is_pristine();
        let settled = reported && self.state == State::Whole && self.unsaved.is_empty() && self.outbox.len() == 0;
        self.canvas().is_some() && settled && self.waiting() == 0 && self.catch_up.is_idle()
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
        self.damages = self.damages.saturating_add(1);
        self.state = State::Damaged;
        self.outbox.clear();
        self.forget_waiting();
        self.actor = Actor::None;
    }

    /// The damaged document was loaded again. What storage did not have yet is still known by its bytes.
    pub(crate) fn replace(&mut self, content: Content, vouchers: Vec<Voucher>) {
        self.content = content;
        self.state = State::Whole;
        let decoded = self.unsaved.take().into_iter().filter_map(|bytes| decode_change(bytes).ok());
        let changes: Vec<_> = decoded.filter(|change| !self.is_quarantined(&change.hash())).collect();
        let raw = |change: &Change| (change.hash(), change.raw_bytes().to_vec());
        let raw: Vec<_> = changes.iter().map(raw).collect();
        let applied = self.content.apply(changes);
        self.unsaved.add(only(raw, &applied));
        self.vouching.restore(vouchers, self.content.replica().newest_of_actors());
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

    /// Of what arrived, what somebody vouches for; see [`Vouching::admit`].
    pub(crate) fn admit(&mut self, incoming: Incoming) -> Admitted {
        let Self { id, content, causal, unsettled, vouching, .. } = self;
        let waits = |hash: &ChangeHash| causal.contains(hash) || unsettled.contains(hash);
        vouching.admit(id, incoming, |hash| content.replica().contains(hash), waits)
    }

    /// What a peer made itself, and what proves itself, of the changes that are no ancestors of these.
    pub(crate) fn own_changes_since(&self, own: &PeerId, heads: &[ChangeHash]) -> Vec<Change> {
        let mut changes = self.replica().changes_since(heads);
        changes.retain(|change| is_derived(change) || owns(own, change.actor_id().to_bytes()));
        changes
    }

    /// All of it, as others get it.
    pub(crate) fn saved(&self, identity: &Identity) -> SavedDocument {
        let newest = self.replica().newest_of_actors().iter().map(|(actor, newest)| (actor, *newest));
        let vouchers = self.vouching.vouchers(&self.id, identity, newest);
        SavedDocument { document: self.replica().save(), vouchers }
    }

    /// Whether nothing was ever put into it, waits to be, or was refused.
    pub(crate) fn is_untouched(&self) -> bool {
        self.replica().is_pristine() && self.unsaved.is_empty() && self.quarantined.is_empty() && self.waiting() == 0
    }

    /// How many changes wait for others.
    pub(crate) fn waiting(&self) -> usize {
        self.causal.len() + self.unsettled.len()
    }

    /// How many bytes of them.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.causal.bytes() + self.unsettled.bytes()
    }

    /// What waits is not to be had, or is brought again.
    pub(crate) fn forget_waiting(&mut self) {
        self.causal = CausalBuffer::default();
        self.unsettled = Unsettled::default();
        self.vouching.forget_all_awaited();
    }

    /// Forgets the vouchers of those of these changes that came to nothing, and what nothing else vouches for.
    pub(crate) fn forget_vouchers(&mut self, of: &BTreeSet<ChangeHash>) {
        let Self { causal, unsettled, vouching, .. } = self;
        let forgotten = vouching.forget_awaited(of, |hash| causal.contains(hash) || unsettled.contains(hash));
        unsettled.drop_of(&forgotten, |change| vouching.may_settle(change));
    }

    /// Keeps changes until what vouches for them can be applied too. Returns what was dropped because there are too many.
    pub(crate) fn hold(&mut self, changes: Vec<Change>) -> Vec<ChangeHash> {
        let dropped = changes.iter().map(Change::hash).collect();
        let mut all = true;
        for change in changes {
            let refused = change.deps().iter().any(|dep| self.quarantined.contains(dep));
            if self.vouching.may_settle(&change) && !refused {
                let stands = self.vouching.stands(&change);
                self.unsettled.add(change, stands);
            } else {
                all = false;
            }
        }
        if !all {
            self.unsettled.doubt();
        }
        if !self.unsettled.is_too_much() {
            return Vec::new();
        }
        // What waits for others may count on these.
        self.forget_waiting();
        dropped
    }

    /// Puts incoming changes into causal order; see [`CausalBuffer::sort`]. What depends on a refused change is refused,
    /// and what builds on an unsettled one is held, unless there now is what that lacked.
    pub(crate) fn sort(&mut self, changes: Vec<Change>) -> (Vec<Change>, Vec<ChangeHash>) {
        let doubted = self.unsettled.take_doubted();
        let mut wanted = Vec::with_capacity(doubted.len() + changes.len());
        for change in doubted.into_iter().chain(changes) {
            if change.deps().iter().any(|dep| self.quarantined.contains(dep)) {
                self.quarantine(change.hash());
            }
            if !self.quarantined.contains(&change.hash()) {
                wanted.push(change);
            }
        }
        let Self { content, causal, unsettled, vouching, .. } = self;
        let replica = content.replica();
        let (ready, mut dropped) = causal.sort(wanted, |hash| replica.contains(hash) || unsettled.contains(hash));
        let mut all = unsettled.take_if_settled_by(&ready, |change| vouching.stands(change));
        all.extend(ready);
        // What some of them did not wait for, since it was held, may have been dropped meanwhile.
        let (ready, late) = causal.sort(all, |hash| replica.contains(hash) || unsettled.contains(hash));
        dropped.extend(late);
        (unsettled.keep_dependents(ready, |change| vouching.stands(change)), dropped)
    }

    /// Automerge refused a change: neither it nor what waits for it will ever be applied.
    pub(crate) fn quarantine(&mut self, hash: ChangeHash) {
        let mut refused: BTreeSet<ChangeHash> = self.causal.reject(&hash).into_iter().collect();
        refused.insert(hash);
        self.unsettled.doubt();
        self.forget_vouchers(&refused);
        self.quarantined.append(&mut refused);
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

    use super::super::stored::StoredDocument;
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
        let changes = document.edit_canvas(&PeerId([1; 32]), rng).unwrap().patch(&patch, "me").unwrap().changes;
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
        document.replace(Content::restore(&document.id, stored, |_| false).unwrap(), Vec::new());
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
