//! Whose changes are whose: what is let into a document, and the owners' words that are kept for it.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{ActorId, Change, ChangeHash};

use crate::canvas::{Newest, is_derived};
use crate::crypto::{Identity, owns};
use crate::ids::{DocumentId, PeerId};
use crate::limits::MAX_VOUCHERS_PER_MESSAGE;
use crate::wire::Voucher;

/// Changes as they arrived together, and what vouches for them.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) changes: Vec<Change>,
    /// What the signatures of verified envelopes say.
    pub(crate) proven: Vec<Voucher>,
    /// What is still to be verified.
    pub(crate) claimed: Vec<Voucher>,
}

impl Incoming {
    /// Adds what came after it.
    pub(crate) fn append(&mut self, mut later: Self) {
        self.changes.append(&mut later.changes);
        self.proven.append(&mut later.proven);
        self.claimed.append(&mut later.claimed);
    }
}

/// What of [`Incoming`] may go on towards the document.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    pub(crate) changes: Vec<Change>,
    /// How many changes nobody vouches for.
    pub(crate) unvouched: usize,
    /// Whether a voucher was forged; what was not verified before it counts for nothing.
    pub(crate) forged: bool,
    /// How many vouchers were verified.
    pub(crate) verified: usize,
}

/// The vouchers of one document.
///
/// In the document is, of each actor that somebody owns, an unbroken chain of changes, each of which depends on the one
/// before; and its owner has signed the last. So a chain is let in up to a change that is signed, and no further, and what
/// a document holds can be shown to anyone. Whoever owns the actors that are its own signs when asked.
#[derive(Debug, Default)]
pub(crate) struct Vouching {
    /// For the last change of each actor of others.
    newest: BTreeMap<ActorId, Voucher>,
    /// Verified, for changes that are not in the document yet. Bounded by the changes that wait.
    awaited: BTreeMap<ChangeHash, Voucher>,
    /// The same, by actor and number.
    reach: BTreeMap<ActorId, BTreeSet<(u64, ChangeHash)>>,
    /// Actors of which storage lacks the newest.
    unsaved: BTreeSet<ActorId>,
    /// Those of them in the batch under way.
    under_way: BTreeSet<ActorId>,
}

impl Vouching {
    /// Lets in what is content-derived, which proves itself, and what leads to a change that its actor's owner has
    /// signed. `holds` says which changes the document has, `waits` which were let in before and wait.
    pub(crate) fn admit(
        &mut self,
        document: &DocumentId,
        incoming: Incoming,
        holds: impl Fn(&ChangeHash) -> bool,
        waits: impl Fn(&ChangeHash) -> bool,
    ) -> Admitted {
        let Incoming { mut changes, proven, claimed } = incoming;
        let mut verified = 0;
        let (chained, forged) = self.chained(document, &changes, proven, claimed, &holds, &mut verified);
        let arrived = changes.len();
        changes.retain(|change| {
            let hash = change.hash();
            is_derived(change) || chained.contains(&hash) || waits(&hash) || holds(&hash)
        });
        Admitted { unvouched: arrived - changes.len(), changes, forged, verified }
    }

    /// The changes among these that lead to one for which a voucher holds, and whether a voucher was forged.
    fn chained(
        &mut self,
        document: &DocumentId,
        changes: &[Change],
        proven: Vec<Voucher>,
        mut claimed: Vec<Voucher>,
        holds: impl Fn(&ChangeHash) -> bool,
        verified: &mut usize,
    ) -> (BTreeSet<ChangeHash>, bool) {
        let by_hash: BTreeMap<ChangeHash, &Change> = changes.iter().map(|change| (change.hash(), change)).collect();
        let mut chained = BTreeSet::new();
        let proven = proven.into_iter().map(|voucher| (voucher, true));
        // The last of each actor first: it speaks for those before.
        claimed.sort_by_key(|voucher| std::cmp::Reverse(voucher.sequence));
        for (voucher, proven) in proven.chain(claimed.into_iter().map(|voucher| (voucher, false))) {
            let Some(change) = by_hash.get(&voucher.hash) else { continue };
            if holds(&voucher.hash) || (!proven && chained.contains(&voucher.hash)) {
                continue;
            }
            *verified += usize::from(!proven && !self.awaited.contains_key(&voucher.hash));
            if !self.accept(document, change, voucher, proven) {
                // Nobody passes on what does not hold: whoever does is not listened to further.
                return (chained, true);
            }
            follow(change, &by_hash, &mut chained);
        }
        (chained, false)
    }

    /// Notes a voucher for a change that is at hand, if it holds.
    fn accept(&mut self, document: &DocumentId, change: &Change, voucher: Voucher, verified: bool) -> bool {
        if voucher.actor != *change.actor_id() || voucher.sequence != change.seq() {
            return false;
        }
        if self.awaited.contains_key(&voucher.hash) {
            return true;
        }
        let owned = || self.owned_by(&voucher.actor, &voucher.owner);
        let holds = if verified { owned() } else { voucher.verify(document).is_ok() };
        if holds {
            self.reach.entry(voucher.actor.clone()).or_default().insert((voucher.sequence, voucher.hash));
            self.awaited.insert(voucher.hash, voucher);
        }
        holds
    }

    fn take_awaited(&mut self, hash: &ChangeHash) -> Option<Voucher> {
        let voucher = self.awaited.remove(hash)?;
        if let Some(others) = self.reach.get_mut(&voucher.actor) {
            others.remove(&(voucher.sequence, *hash));
            if others.is_empty() {
                self.reach.remove(&voucher.actor);
            }
        }
        Some(voucher)
    }

    fn owned_by(&self, actor: &ActorId, owner: &PeerId) -> bool {
        match self.newest.get(actor) {
            Some(known) => known.owner == *owner,
            None => owns(owner, actor.to_bytes()),
        }
    }

    /// Whether a change that was let in may be applied with none after it.
    pub(crate) fn stands(&self, change: &Change) -> bool {
        is_derived(change) || self.awaited.contains_key(&change.hash())
    }

    /// These changes are in the document now.
    pub(crate) fn applied(&mut self, hashes: &[ChangeHash]) {
        for hash in hashes {
            if let Some(voucher) = self.take_awaited(hash) {
                self.unsaved.insert(voucher.actor.clone());
                self.newest.insert(voucher.actor.clone(), voucher);
            }
        }
    }

    /// A whole document was taken over, and these, which were verified, vouch for all of it.
    pub(crate) fn take_over(&mut self, vouchers: Vec<Voucher>) {
        self.unsaved.extend(vouchers.iter().map(|voucher| voucher.actor.clone()));
        self.newest.extend(vouchers.into_iter().map(|voucher| (voucher.actor.clone(), voucher)));
    }

    /// Whether a voucher that waits for its change could vouch for this one too, or none is needed.
    pub(crate) fn may_settle(&self, change: &Change) -> bool {
        let last = self.reach.get(change.actor_id()).and_then(BTreeSet::last);
        is_derived(change) || last.is_some_and(|(sequence, _)| *sequence >= change.seq())
    }

    /// Forgets, of these, what was awaited and does not wait. Returns the actors of what was forgotten.
    pub(crate) fn forget_awaited(
        &mut self,
        of: &BTreeSet<ChangeHash>,
        waits: impl Fn(&ChangeHash) -> bool,
    ) -> BTreeSet<ActorId> {
        let gone = of.iter().filter(|hash| !waits(hash));
        gone.filter_map(|hash| self.take_awaited(hash)).map(|voucher| voucher.actor).collect()
    }

    /// Forgets all that was awaited.
    pub(crate) fn forget_all_awaited(&mut self) {
        self.awaited.clear();
        self.reach.clear();
    }

    /// Who made a change of this actor, where that is known: an owner, not who passed it on.
    pub(crate) fn owner(&self, actor: &ActorId, own: &PeerId) -> Option<PeerId> {
        let known = self.newest.get(actor).map(|voucher| voucher.owner);
        known.or_else(|| owns(own, actor.to_bytes()).then_some(*own))
    }

    /// The owners of the actors of these changes, as far as somebody vouched for them.
    pub(crate) fn owners<'a>(&self, changes: &'a [Change], own: &PeerId) -> BTreeMap<&'a ActorId, PeerId> {
        let awaited = |actor| {
            let (_, hash) = self.reach.get(actor)?.first()?;
            Some(self.awaited.get(hash)?.owner)
        };
        let owner = |actor| awaited(actor).or_else(|| self.owner(actor, own));
        let actors: BTreeSet<&ActorId> = changes.iter().map(Change::actor_id).collect();
        actors.into_iter().filter_map(|actor| Some((actor, owner(actor)?))).collect()
    }

    /// What shows others whose changes these are: the last one of each actor, in any order.
    pub(crate) fn vouchers<'a>(
        &self,
        document: &DocumentId,
        identity: &Identity,
        last: impl Iterator<Item = (&'a ActorId, Newest)>,
    ) -> Vec<Voucher> {
        let own = identity.peer();
        let voucher = |(actor, Newest { sequence, hash }): (&ActorId, Newest)| match self.newest.get(actor) {
            Some(known) if known.hash == hash => Some(known.clone()),
            _ => owns(&own, actor.to_bytes()).then(|| Voucher::sign(identity, document, actor.clone(), sequence, hash)),
        };
        last.filter_map(voucher).take(MAX_VOUCHERS_PER_MESSAGE).collect()
    }

    // ---- storage --------------------------------------------------------------------------------------------------

    /// What storage has, of a document that was loaded with these changes; nothing of it is verified again. Of what was
    /// known before, what the document still has stays.
    pub(crate) fn restore(&mut self, stored: Vec<Voucher>, newest: &BTreeMap<ActorId, Newest>) {
        let before = std::mem::take(&mut self.newest).into_values();
        self.forget_all_awaited();
        for voucher in stored.into_iter().chain(before) {
            if newest.get(&voucher.actor).is_some_and(|last| last.hash == voucher.hash) {
                self.newest.insert(voucher.actor.clone(), voucher);
            }
        }
    }

    /// What storage lacks, for one batch.
    pub(crate) fn begin_saving(&mut self) -> Vec<Voucher> {
        self.under_way.append(&mut self.unsaved);
        self.under_way.iter().filter_map(|actor| self.newest.get(actor).cloned()).collect()
    }

    /// The batch is on disk.
    pub(crate) fn saved(&mut self) {
        self.under_way.clear();
    }

    /// The batch is not.
    pub(crate) fn save_failed(&mut self) {
        self.unsaved.append(&mut self.under_way);
    }
}

/// The last change of each actor among these, which are in causal order.
pub(crate) fn last_of_actors(changes: &[Change]) -> BTreeMap<&ActorId, Newest> {
    let newest = |change: &Change| Newest { sequence: change.seq(), hash: change.hash() };
    changes.iter().filter(|change| !is_derived(change)).map(|change| (change.actor_id(), newest(change))).collect()
}

/// Marks a change and those of the same actor before it, as far as each names the one before.
fn follow(change: &Change, by_hash: &BTreeMap<ChangeHash, &Change>, chained: &mut BTreeSet<ChangeHash>) {
    let mut next = Some(change);
    while let Some(change) = next.take_if(|change| chained.insert(change.hash())) {
        let before = |dep: &&Change| dep.actor_id() == change.actor_id() && dep.seq() + 1 == change.seq();
        next = change.deps().iter().filter_map(|dep| by_hash.get(dep).copied()).find(before);
    }
}
