//! Which changes of a batch may be applied, where some stand only by a later one of their actor.

use std::collections::BTreeMap;

use automerge::{ActorId, Change, ChangeHash};

/// Of changes in causal order, each of an actor depending on the one before, those that stand: by themselves, as `stands`
/// says, or by a later change of their actor that does and is applied with them. What does not, and what depends on that,
/// is put into `unsettled`.
pub(super) fn settle(
    changes: Vec<Change>,
    stands: &dyn Fn(&Change) -> bool,
    unsettled: &mut Vec<Change>,
) -> Vec<Change> {
    let standing: Vec<bool> = changes.iter().map(stands).collect();
    if standing.iter().all(|stands| *stands) {
        return changes;
    }
    let falls = Standing::of(&changes, standing).fall();
    let mut settled = Vec::with_capacity(changes.len());
    for (change, falls) in changes.into_iter().zip(falls) {
        if falls { unsettled.push(change) } else { settled.push(change) }
    }
    settled
}

/// Changes by their places in the batch.
struct Standing<'a> {
    stands: Vec<bool>,
    /// Of each change: those that depend on it.
    dependents: Vec<Vec<usize>>,
    /// Of each actor: its changes that have not fallen, in order.
    by_actor: BTreeMap<&'a ActorId, Vec<usize>>,
    actors: Vec<&'a ActorId>,
}

impl<'a> Standing<'a> {
    fn of(changes: &'a [Change], stands: Vec<bool>) -> Self {
        let places: BTreeMap<ChangeHash, usize> =
            (0..).zip(changes).map(|(place, change)| (change.hash(), place)).collect();
        let mut dependents = vec![Vec::new(); changes.len()];
        let mut by_actor: BTreeMap<&ActorId, Vec<usize>> = BTreeMap::new();
        for (place, change) in changes.iter().enumerate() {
            by_actor.entry(change.actor_id()).or_default().push(place);
            for before in change.deps().iter().filter_map(|dep| places.get(dep)) {
                dependents[*before].push(place);
            }
        }
        Self { stands, dependents, by_actor, actors: changes.iter().map(Change::actor_id).collect() }
    }

    /// Which fall. Each falls once, so a batch that somebody has thought up costs no more than another.
    fn fall(mut self) -> Vec<bool> {
        let mut fallen = vec![false; self.stands.len()];
        let mut falling = Vec::new();
        for places in self.by_actor.values_mut() {
            drop_unsupported(places, &self.stands, &mut falling);
        }
        while let Some(place) = falling.pop() {
            if std::mem::replace(&mut fallen[place], true) {
                continue;
            }
            falling.append(&mut self.dependents[place]);
            if let Some(places) = self.by_actor.get_mut(self.actors[place]) {
                // All later ones depend on it; those before have lost what they stood by.
                let from = places.partition_point(|other| *other < place);
                falling.extend(places.drain(from..));
                drop_unsupported(places, &self.stands, &mut falling);
            }
        }
        fallen
    }
}

/// Takes off an actor's last changes up to one that stands.
fn drop_unsupported(places: &mut Vec<usize>, stands: &[bool], falling: &mut Vec<usize>) {
    while let Some(last) = places.pop_if(|last| !stands[*last]) {
        falling.push(last);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use automerge::transaction::Transactable;
    use automerge::{AutoCommit, ROOT};
    use proptest::prelude::*;

    use super::*;

    /// Changes of three actors that merge now and then, in causal order.
    fn history(merges: &[(usize, usize)]) -> Vec<Change> {
        let mut docs: Vec<AutoCommit> = (0..3).map(|_| AutoCommit::new()).collect();
        for (step, (maker, other)) in merges.iter().enumerate() {
            let mut from = docs[*other].clone();
            docs[*maker].merge(&mut from).unwrap();
            docs[*maker].put(ROOT, "step", step as u64).unwrap();
            docs[*maker].commit();
        }
        let (first, rest) = docs.split_at_mut(1);
        for other in rest {
            first[0].merge(other).unwrap();
        }
        first[0].get_changes(&[])
    }

    /// The definition: take away what does not stand until nothing more falls.
    fn slowly(changes: &[Change], stands: &BTreeSet<ChangeHash>) -> BTreeSet<ChangeHash> {
        let mut left: BTreeSet<ChangeHash> = changes.iter().map(Change::hash).collect();
        loop {
            let by_later = |change: &Change| {
                changes.iter().any(|later| {
                    later.actor_id() == change.actor_id()
                        && later.seq() >= change.seq()
                        && left.contains(&later.hash())
                        && stands.contains(&later.hash())
                })
            };
            let in_batch = |dep: &ChangeHash| changes.iter().any(|change| change.hash() == *dep);
            let holds = |change: &&Change| {
                left.contains(&change.hash())
                    && by_later(change)
                    && change.deps().iter().all(|dep| left.contains(dep) || !in_batch(dep))
            };
            let next: BTreeSet<ChangeHash> = changes.iter().filter(holds).map(Change::hash).collect();
            if next == left {
                return left;
            }
            left = next;
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_the_most_that_stands(
            merges in prop::collection::vec((0..3_usize, 0..3_usize), 1..24),
            stands in prop::collection::vec(any::<bool>(), 24),
        ) {
            let changes = history(&merges);
            let standing: BTreeSet<ChangeHash> =
                changes.iter().zip(&stands).filter(|(_, stands)| **stands).map(|(change, _)| change.hash()).collect();
            let mut unsettled = Vec::new();
            let settled = settle(changes.clone(), &|change| standing.contains(&change.hash()), &mut unsettled);
            prop_assert_eq!(settled.len() + unsettled.len(), changes.len());
            let settled: BTreeSet<ChangeHash> = settled.iter().map(Change::hash).collect();
            prop_assert_eq!(settled, slowly(&changes, &standing));
        }
    }
}
