//! What one document has and storage does not.

use std::collections::{BTreeSet, VecDeque};

use automerge::ChangeHash;

use crate::limits::MAX_UNSAVED_CACHE_BYTES;

/// The changes of one document that are not on disk yet: as with the outbox a difference, not a list, for storage may fail
/// for hours. They are the last `count` of the document, in the order in which it took them in.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    count: usize,
    /// Their bytes, to save asking the document, while there are few; empty beyond [`MAX_UNSAVED_CACHE_BYTES`] until all is
    /// saved.
    cache: VecDeque<Vec<u8>>,
    cache_bytes: usize,
    /// How many of them, from the oldest, are in the batch under way.
    under_way: usize,
    /// Whether it lacks everything, and is to get it as one.
    all: bool,
    /// Whether the batch under way has it.
    all_under_way: bool,
}

/// What a batch has of a document that storage lacks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// Changes, which are to be added.
    Changes(Vec<Vec<u8>>),
    /// All of it.
    All,
}

impl Unsaved {
    /// The document has taken in changes; their raw bytes, in any order.
    pub(crate) fn add(&mut self, changes: Vec<Vec<u8>>) {
        let complete = self.cache.len() == self.count;
        self.count += changes.len();
        self.cache_bytes += changes.iter().map(Vec::len).sum::<usize>();
        if complete && self.cache_bytes <= MAX_UNSAVED_CACHE_BYTES {
            self.cache.extend(changes);
        } else {
            self.cache.clear();
        }
    }

    /// The document was taken over as a whole, and storage has nothing of it.
    pub(crate) fn add_all(&mut self) {
        self.all = true;
    }

    /// Whether storage has nothing, and is to get it as one.
    pub(crate) fn is_whole(&self) -> bool {
        self.all
    }

    /// Whether storage has everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0 && !self.all
    }

    /// Everything, for one batch; `newest` reads so many of the document's last changes.
    pub(crate) fn begin(&mut self, newest: impl Fn(usize) -> Vec<Vec<u8>>) -> Lacking {
        self.under_way = self.count;
        self.all_under_way = self.all;
        if self.all {
            Lacking::All
        } else if self.cache.len() == self.count {
            Lacking::Changes(self.cache.iter().cloned().collect())
        } else {
            Lacking::Changes(newest(self.count))
        }
    }

    /// The batch is on disk.
    pub(crate) fn saved(&mut self) {
        self.all &= !std::mem::take(&mut self.all_under_way);
        if self.cache.len() == self.count {
            self.cache_bytes -= self.cache.drain(..self.under_way).map(|change| change.len()).sum::<usize>();
        }
        self.count -= self.under_way;
        self.under_way = 0;
        if self.count == 0 {
            self.cache.clear();
            self.cache_bytes = 0;
        }
    }

    /// The document begins anew: what can be known of it without asking it.
    pub(crate) fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(self).cache.into()
    }

    /// The batch is not.
    pub(crate) fn failed(&mut self) {
        self.under_way = 0;
        self.all_under_way = false;
    }
}

/// Of raw changes those that were applied.
pub(crate) fn only(raw: Vec<(ChangeHash, Vec<u8>)>, applied: &[ChangeHash]) -> Vec<Vec<u8>> {
    if raw.len() == applied.len() {
        return raw.into_iter().map(|(_, bytes)| bytes).collect();
    }
    let applied: BTreeSet<_> = applied.iter().collect();
    raw.into_iter().filter(|(hash, _)| applied.contains(hash)).map(|(_, bytes)| bytes).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everything_is_saved_once_whatever_fails(
            taken_over in any::<bool>(),
            steps in prop::collection::vec((0_usize..4, any::<bool>(), prop::sample::select(vec![1, MAX_UNSAVED_CACHE_BYTES / 2])), 1..30),
        ) {
            let mut document: Vec<Vec<u8>> = Vec::new();
            let mut disk: Vec<Vec<u8>> = Vec::new();
            let mut unsaved = Unsaved::default();
            if taken_over {
                document.push(b"all of another's".to_vec());
                unsaved.add_all();
            }
            let store = |disk: &mut Vec<Vec<u8>>, batch, all: &[Vec<u8>]| match batch {
                Lacking::Changes(changes) => disk.extend(changes),
                Lacking::All => *disk = all.to_vec(),
            };
            for (added, works, size) in steps {
                let begun = (!unsaved.is_empty()).then(|| {
                    (unsaved.begin(|count| document[document.len() - count..].to_vec()), document.clone())
                });
                for _ in 0..added {
                    let number = u8::try_from(document.len() % 256).unwrap();
                    document.push(vec![number; size]);
                    unsaved.add(vec![vec![number; size]]);
                }
                match begun {
                    Some((batch, all)) if works => {
                        store(&mut disk, batch, &all);
                        unsaved.saved();
                    }
                    _ => unsaved.failed(),
                }
            }
            let batch = unsaved.begin(|count| document[document.len() - count..].to_vec());
            store(&mut disk, batch, &document);
            unsaved.saved();
            prop_assert!(unsaved.is_empty() && unsaved.cache_bytes == 0);
            prop_assert_eq!(disk, document);
        }
    }
}
