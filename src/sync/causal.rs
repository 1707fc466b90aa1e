//! Changes that wait for others on which they depend.
//!
//! Automerge would queue them itself, but at quadratic cost and without a bound.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Change, ChangeHash};

use crate::limits::{MAX_CAUSAL_BUFFER_BYTES, MAX_CAUSAL_BUFFER_CHANGES};

/// A bounded buffer of changes of one document whose dependencies have not all arrived.
///
/// At the bound a new change is dropped; its hash stays among what the document wants, so catching up brings it.
#[derive(Debug, Default)]
pub(crate) struct CausalBuffer {
    waiting: BTreeMap<ChangeHash, Waiting>,
    /// Missing dependency -> those that wait for it.
    waiters: BTreeMap<ChangeHash, BTreeSet<ChangeHash>>,
    /// Those of them that do not wait here themselves.
    lacking: BTreeSet<ChangeHash>,
    bytes: usize,
    /// How many changes ever had to wait.
    waited: u64,
}

#[derive(Debug)]
struct Waiting {
    change: Change,
    missing: usize,
}

impl CausalBuffer {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of changes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a change waits here.
    pub(crate) fn contains(&self, hash: &ChangeHash) -> bool {
        self.waiting.contains_key(hash)
    }

    /// How many changes ever had to wait.
    pub(crate) fn waited(&self) -> u64 {
        self.waited
    }

    /// Puts incoming changes into causal order: returns those that can be applied now, one after the other, including
    /// buffered ones that they release. The rest is buffered. `known` says which hashes the document holds.
    /// The second value is the changes dropped because the buffer was full.
    pub(crate) fn sort(
        &mut self,
        changes: Vec<Change>,
        known: impl Fn(&ChangeHash) -> bool,
    ) -> (Vec<Change>, Vec<ChangeHash>) {
        let mut ready = Vec::with_capacity(changes.len());
        let mut ready_hashes = BTreeSet::new();
        let mut dropped = Vec::new();
        for change in changes {
            let hash = change.hash();
            if known(&hash) || ready_hashes.contains(&hash) || self.waiting.contains_key(&hash) {
                continue;
            }
            let missing: BTreeSet<ChangeHash> =
                change.deps().iter().filter(|dep| !ready_hashes.contains(*dep) && !known(dep)).copied().collect();
            if missing.is_empty() {
                self.release(change, &mut ready, &mut ready_hashes);
            } else if !self.wait(change, &missing) {
                dropped.push(hash);
            }
        }
        (ready, dropped)
    }

    /// What is missing: dependencies that neither the document nor the buffer has.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &ChangeHash> {
        self.lacking.iter()
    }

    /// Forgets a change and all that waits for it: it will never be applied. Returns the hashes of what was forgotten.
    pub(crate) fn reject(&mut self, hash: &ChangeHash) -> Vec<ChangeHash> {
        let mut forgotten = Vec::new();
        let mut doomed = vec![*hash];
        while let Some(hash) = doomed.pop() {
            if let Some(waiting) = self.waiting.remove(&hash) {
                self.forget(&waiting.change);
                forgotten.push(hash);
            }
            self.lacking.remove(&hash);
            doomed.extend(self.waiters.remove(&hash).unwrap_or_default());
        }
        forgotten
    }

    fn release(&mut self, change: Change, ready: &mut Vec<Change>, ready_hashes: &mut BTreeSet<ChangeHash>) {
        let mut released = vec![change];
        while let Some(change) = released.pop() {
            let hash = change.hash();
            ready_hashes.insert(hash);
            ready.push(change);
            self.lacking.remove(&hash);
            for waiter in self.waiters.remove(&hash).unwrap_or_default() {
                let Some(waiting) = self.waiting.get_mut(&waiter) else { continue };
                waiting.missing -= 1;
                if waiting.missing == 0
                    && let Some(waiting) = self.waiting.remove(&waiter)
                {
                    self.bytes -= waiting.change.raw_bytes().len();
                    released.push(waiting.change);
                }
            }
        }
    }

    fn wait(&mut self, change: Change, missing: &BTreeSet<ChangeHash>) -> bool {
        let bytes = change.raw_bytes().len();
        if self.waiting.len() >= MAX_CAUSAL_BUFFER_CHANGES || self.bytes + bytes > MAX_CAUSAL_BUFFER_BYTES {
            return false;
        }
        let hash = change.hash();
        for dep in missing {
            self.waiters.entry(*dep).or_default().insert(hash);
            if !self.waiting.contains_key(dep) {
                self.lacking.insert(*dep);
            }
        }
        self.lacking.remove(&hash);
        self.bytes += bytes;
        self.waited += 1;
        self.waiting.insert(hash, Waiting { change, missing: missing.len() });
        true
    }

    fn forget(&mut self, change: &Change) {
        self.bytes -= change.raw_bytes().len();
        for dep in change.deps() {
            if let Some(waiters) = self.waiters.get_mut(dep) {
                waiters.remove(&change.hash());
                if waiters.is_empty() {
                    self.waiters.remove(dep);
                    self.lacking.remove(dep);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use automerge::transaction::Transactable;
    use automerge::{AutoCommit, ROOT};
    use proptest::prelude::*;

    use super::*;

    /// A history of `count` changes made by two actors that merge now and then.
    fn history(count: usize) -> Vec<Change> {
        let mut one = AutoCommit::new();
        let mut two = AutoCommit::new();
        for step in 0..count {
            let doc = if step % 2 == 0 { &mut one } else { &mut two };
            doc.put(ROOT, "step", step as u64).unwrap();
            doc.commit();
            if step % 5 == 4 {
                one.merge(&mut two).unwrap();
                two.merge(&mut one).unwrap();
            }
        }
        one.merge(&mut two).unwrap();
        one.get_changes(&[])
    }

    proptest! {
        #[test]
        fn whatever_the_order_everything_comes_out_causally_ordered(
            order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(),
            batch in 1_usize..8,
        ) {
            let changes = history(40);
            let mut buffer = CausalBuffer::default();
            let mut known = BTreeSet::new();
            for indices in order.chunks(batch) {
                let incoming = indices.iter().map(|index| changes[*index].clone()).collect();
                let (ready, dropped) = buffer.sort(incoming, |hash| known.contains(hash));
                prop_assert!(dropped.is_empty());
                for change in ready {
                    prop_assert!(change.deps().iter().all(|dep| known.contains(dep)));
                    prop_assert!(known.insert(change.hash()));
                }
                let lacking = buffer.waiters.keys().filter(|hash| !buffer.waiting.contains_key(hash));
                prop_assert!(lacking.eq(buffer.missing()));
            }
            prop_assert_eq!(known.len(), changes.len());
            prop_assert_eq!(buffer.len(), 0);
            prop_assert_eq!(buffer.bytes, 0);
            prop_assert!(buffer.waiters.is_empty() && buffer.lacking.is_empty());
        }
    }

    #[test]
    fn rejecting_a_change_forgets_what_waits_for_it() {
        let changes = history(10);
        let mut buffer = CausalBuffer::default();
        let (ready, _) = buffer.sort(changes[1..].to_vec(), |_| false);
        let first = changes[0].hash();
        assert!(buffer.missing().any(|hash| *hash == first));
        let independent = ready.len();
        buffer.reject(&first);
        assert!(independent + buffer.len() < 9);
        let (late, _) = buffer.sort(vec![changes[0].clone()], |_| false);
        assert_eq!(late.len(), 1, "nothing waits for it any more");
    }

    #[test]
    fn a_full_buffer_drops_and_says_so() {
        let mut doc = AutoCommit::new();
        let mut changes = Vec::new();
        for step in 0..MAX_CAUSAL_BUFFER_CHANGES + 3 {
            doc.put(ROOT, "step", step as u64).unwrap();
            doc.commit();
        }
        changes.extend(doc.get_changes(&[]));
        changes.remove(0);
        let mut buffer = CausalBuffer::default();
        let (ready, dropped) = buffer.sort(changes, |_| false);
        assert!(ready.is_empty());
        assert_eq!(buffer.len(), MAX_CAUSAL_BUFFER_CHANGES);
        assert_eq!(dropped.len(), 2);
    }
}
