//! Changes that could be applied, but that which vouches for them cannot yet.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{ActorId, Change, ChangeHash};

use crate::limits::{MAX_CAUSAL_BUFFER_BYTES, MAX_UNSETTLED_CHANGES};

/// Changes of one document that lack a later change of their actor, or build on some that do.
///
/// They are looked at again when a change comes that one of them may lack, and not with every other: somebody who leaves
/// many here makes nobody's edits slow.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    /// In causal order.
    changes: Vec<Change>,
    hashes: BTreeSet<ChangeHash>,
    bytes: usize,
    /// The actors of these, and whether the last change of each lacks a later one.
    actors: BTreeMap<ActorId, bool>,
    /// Something that some of them build on is gone.
    stale: bool,
}

impl Unsettled {
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Bytes of changes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn contains(&self, hash: &ChangeHash) -> bool {
        self.hashes.contains(hash)
    }

    /// Whether there are more than are kept.
    pub(crate) fn is_too_much(&self) -> bool {
        self.changes.len() > MAX_UNSETTLED_CHANGES || self.bytes > MAX_CAUSAL_BUFFER_BYTES
    }

    /// Adds a change that comes after all that it depends on; `stands` if it lacks nothing itself.
    pub(crate) fn add(&mut self, change: Change, stands: bool) {
        self.bytes += change.raw_bytes().len();
        self.hashes.insert(change.hash());
        self.actors.insert(change.actor_id().clone(), !stands);
        self.changes.push(change);
    }

    /// What they build on may be gone: all are looked at again with what comes next.
    pub(crate) fn doubt(&mut self) {
        self.stale = !self.changes.is_empty();
    }

    /// All of them, if they are to be looked at again whatever comes.
    pub(crate) fn take_doubted(&mut self) -> Vec<Change> {
        if self.stale { self.take() } else { Vec::new() }
    }

    /// All of them, if one of these changes, which can be applied now, is what some lack.
    pub(crate) fn take_if_settled_by(&mut self, ready: &[Change], stands: impl Fn(&Change) -> bool) -> Vec<Change> {
        let settles = |change: &Change| self.actors.get(change.actor_id()) == Some(&true) && stands(change);
        if ready.iter().any(settles) { self.take() } else { Vec::new() }
    }

    /// Of changes in causal order, keeps those that build on what is here; gives back the others.
    pub(crate) fn keep_dependents(&mut self, ready: Vec<Change>, stands: impl Fn(&Change) -> bool) -> Vec<Change> {
        if self.changes.is_empty() {
            return ready;
        }
        let mut others = Vec::with_capacity(ready.len());
        for change in ready {
            if change.deps().iter().any(|dep| self.hashes.contains(dep)) {
                let stands = stands(&change);
                self.add(change, stands);
            } else {
                others.push(change);
            }
        }
        others
    }

    /// Drops those of some actors that nothing which waits can settle any more.
    pub(crate) fn drop_of(&mut self, actors: &BTreeSet<ActorId>, may_settle: impl Fn(&Change) -> bool) {
        if !actors.iter().any(|actor| self.actors.contains_key(actor)) {
            return;
        }
        let all = std::mem::take(self);
        for change in all.changes {
            if !actors.contains(change.actor_id()) || may_settle(&change) {
                let open = all.actors.get(change.actor_id()).is_some_and(|open| *open);
                self.add(change, !open);
            } else {
                self.stale = true;
            }
        }
        self.stale = (self.stale || all.stale) && !self.changes.is_empty();
    }

    fn take(&mut self) -> Vec<Change> {
        std::mem::take(self).changes
    }
}

#[cfg(test)]
mod tests {
    use automerge::transaction::Transactable;
    use automerge::{AutoCommit, ROOT};

    use super::*;

    /// So many changes of one actor, each on the one before.
    fn chain(count: u64) -> Vec<Change> {
        let mut doc = AutoCommit::new();
        for step in 0..count {
            doc.put(ROOT, "step", step).unwrap();
            doc.commit();
        }
        doc.get_changes(&[])
    }

    /// Which of two changes are given back, where the last of `left` lacks a later one.
    #[test]
    fn what_waits_is_looked_at_again_for_what_it_lacks_and_for_nothing_else() {
        let (left, others) = (chain(10), chain(3));
        let mut unsettled = Unsettled::default();
        for change in &left[..8] {
            unsettled.add(change.clone(), false);
        }
        assert!(unsettled.take_if_settled_by(&others, |_| true).is_empty(), "of another actor");
        assert!(unsettled.take_if_settled_by(&left[8..9], |_| false).is_empty(), "it lacks a later one itself");
        assert_eq!(unsettled.keep_dependents(others.clone(), |_| true).len(), others.len());
        assert!(unsettled.keep_dependents(left[8..9].to_vec(), |_| false).is_empty());
        assert_eq!(unsettled.take_if_settled_by(&left[9..], |_| true), left[..9]);
        assert_eq!((unsettled.len(), unsettled.bytes), (0, 0));
    }

    #[test]
    fn what_stands_and_waits_for_others_is_not_looked_at_for_more_of_its_actor() {
        let left = chain(3);
        let mut unsettled = Unsettled::default();
        unsettled.add(left[0].clone(), false);
        unsettled.add(left[1].clone(), true);
        assert!(unsettled.take_if_settled_by(&left[2..], |_| true).is_empty());
        assert!(unsettled.keep_dependents(left[2..].to_vec(), |_| true).is_empty());
    }

    #[test]
    fn what_builds_on_what_was_dropped_is_looked_at_again() {
        let (left, others) = (chain(4), chain(2));
        let mut unsettled = Unsettled::default();
        for change in left.iter().chain(&others) {
            unsettled.add(change.clone(), false);
        }
        let of = |changes: &[Change]| changes.iter().map(|change| change.actor_id().clone()).collect::<BTreeSet<_>>();
        unsettled.drop_of(&of(&chain(1)), |_| false);
        assert!(unsettled.take_doubted().is_empty(), "nothing of theirs is here");
        unsettled.drop_of(&of(&left), |change| change.seq() <= 2);
        assert_eq!(unsettled.len(), 4);
        assert_eq!(unsettled.take_doubted().len(), 4);
    }
}
