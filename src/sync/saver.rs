//! When what goes to storage goes: one batch at a time, everything that gathers meanwhile in the next.

use std::collections::BTreeSet;

use super::io::StoreToken;
use super::stored::StoreOperation;
use crate::ids::DocumentId;
use crate::limits::{SAVE_LAZILY_MS, SAVE_MAX_RETRY_MS, SAVE_RETRY_MS};
use crate::time::Now;

/// The saver of one repository. It names documents; what storage lacks of each is the document's own affair.
///
/// | state | something to save | stored | failed | deadline |
/// | --- | --- | --- | --- | --- |
/// | idle | under way | – | – | – |
/// | under way | under way, gathering | idle, or the next under way | resting | – |
/// | resting | resting, gathering | – | – | under way |
///
/// So a busy writer pays one fsync for many edits, an idle one waits for its own only, and a full disk is tried again ever
/// more rarely.
#[derive(Debug, Default)]
pub(crate) struct Saver {
    state: State,
    last: StoreToken,
    /// How often it has failed in a row.
    failures: u32,
    waiting: Work,
    under_way: Work,
    /// Documents of which storage may be behind for a while: merely what the broker has of them changed.
    lazy: BTreeSet<DocumentId>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    UnderWay,
    Resting {
        until_ms: u64,
    },
}

#[derive(Debug, Default)]
struct Work {
    documents: BTreeSet<DocumentId>,
    /// What concerns no document's content. Bounded: each kind comes once for a document, or once in all.
    operations: Vec<StoreOperation>,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.operations.is_empty()
    }
}

impl Saver {
    /// The document has something that must be saved.
    pub(crate) fn add(&mut self, document: &DocumentId) {
        if !self.waiting.documents.contains(document) {
            self.waiting.documents.insert(document.clone());
        }
    }

    /// The document has something that may be saved with the next batch. Returns by when it should be.
    pub(crate) fn add_lazily(&mut self, document: &DocumentId, now: Now) -> u64 {
        self.lazy.insert(document.clone());
        now.after(SAVE_LAZILY_MS)
    }

    /// An operation that concerns no document's content.
    pub(crate) fn operation(&mut self, operation: StoreOperation) {
        if matches!(operation, StoreOperation::Heard { .. }) {
            self.waiting.operations.retain(|waiting| !matches!(waiting, StoreOperation::Heard { .. }));
        }
        self.waiting.operations.push(operation);
    }

    /// The document is about to be forgotten: nothing of it needs saving.
    pub(crate) fn forget(&mut self, document: &DocumentId) {
        self.waiting.documents.remove(document);
        self.lazy.remove(document);
        self.operation(StoreOperation::Delete { document: document.clone() });
    }

    /// What may be saved lazily is due.
    pub(crate) fn hurry(&mut self) {
        self.waiting.documents.append(&mut self.lazy);
    }

    /// The token of the batch that will have saved everything added so far.
    pub(crate) fn covering(&self) -> StoreToken {
        if self.waiting.is_empty() { self.last } else { StoreToken(self.last.0 + 1) }
    }

    /// Whether storage is behind on a document.
    pub(crate) fn concerns(&self, document: &DocumentId) -> bool {
        let everywhere = [&self.waiting.documents, &self.under_way.documents, &self.lazy];
        everywhere.iter().any(|documents| documents.contains(document))
    }

    /// Whether storage has failed and is left alone for a while.
    pub(crate) fn is_resting(&self) -> bool {
        matches!(self.state, State::Resting { .. })
    }

    /// Begins a batch if one is due: its token, documents, and other operations.
    pub(crate) fn begin(&mut self, now: Now) -> Option<(StoreToken, Vec<DocumentId>, Vec<StoreOperation>)> {
        let rests = match self.state {
            State::Idle => false,
            State::UnderWay => true,
            State::Resting { until_ms } => !now.reached(until_ms),
        };
        if rests || self.waiting.is_empty() {
            return None;
        }
        self.hurry();
        self.state = State::UnderWay;
        self.last = StoreToken(self.last.0 + 1);
        self.under_way = std::mem::take(&mut self.waiting);
        let documents = self.under_way.documents.iter().cloned().collect();
        Some((self.last, documents, self.under_way.operations.clone()))
    }

    /// The batch under way is stored. Returns its documents; nothing if it is not this one.
    pub(crate) fn stored(&mut self, token: StoreToken) -> BTreeSet<DocumentId> {
        if token != self.last || !matches!(self.state, State::UnderWay) {
            return BTreeSet::new();
        }
        self.state = State::Idle;
        self.failures = 0;
        std::mem::take(&mut self.under_way).documents
    }

    /// The batch under way failed: all of it waits again. Returns its documents and when to try again.
    pub(crate) fn failed(&mut self, token: StoreToken, now: Now) -> Option<(BTreeSet<DocumentId>, u64)> {
        if token != self.last || !matches!(self.state, State::UnderWay) {
            return None;
        }
        let until_ms = now.after((SAVE_RETRY_MS << self.failures.min(16)).min(SAVE_MAX_RETRY_MS));
        self.failures += 1;
        self.state = State::Resting { until_ms };
        let Work { documents, mut operations } = std::mem::take(&mut self.under_way);
        operations.append(&mut self.waiting.operations);
        self.waiting.operations = operations;
        self.waiting.documents.extend(documents.iter().cloned());
        Some((documents, until_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RepositoryName;

    fn at(elapsed_ms: u64) -> Now {
        Now { elapsed_ms, unix_ms: 0 }
    }

    fn document(name: &str) -> DocumentId {
        DocumentId::Index { repository: RepositoryName::new(name).unwrap() }
    }

    #[test]
    fn what_gathers_while_a_batch_is_under_way_leaves_together() {
        let mut saver = Saver::default();
        assert!(saver.begin(at(0)).is_none());
        saver.add(&document("a"));
        assert_eq!(saver.begin(at(0)), Some((StoreToken(1), vec![document("a")], vec![])));
        saver.add(&document("b"));
        saver.add(&document("a"));
        saver.operation(StoreOperation::ForgetActors);
        assert_eq!((saver.begin(at(1)), saver.covering()), (None, StoreToken(2)));
        assert_eq!(saver.stored(StoreToken(1)), BTreeSet::from([document("a")]));
        let both = vec![document("a"), document("b")];
        assert_eq!(saver.begin(at(2)), Some((StoreToken(2), both, vec![StoreOperation::ForgetActors])));
        assert!(saver.stored(StoreToken(1)).is_empty(), "that is over");
        assert_eq!(saver.covering(), StoreToken(2));
    }

    #[test]
    fn a_failed_batch_is_tried_again_with_what_came_meanwhile() {
        let mut saver = Saver::default();
        saver.add(&document("a"));
        saver.operation(StoreOperation::ForgetActors);
        saver.begin(at(0));
        saver.forget(&document("b"));
        let (documents, retry_ms) = saver.failed(StoreToken(1), at(0)).unwrap();
        assert_eq!(documents, BTreeSet::from([document("a")]));
        assert!(saver.begin(at(retry_ms - 1)).is_none());
        let (token, documents, operations) = saver.begin(at(retry_ms)).unwrap();
        assert_eq!((token, documents), (StoreToken(2), vec![document("a")]));
        assert_eq!(operations, [StoreOperation::ForgetActors, StoreOperation::Delete { document: document("b") }]);
    }

    #[test]
    fn what_is_lazy_goes_along_or_waits() {
        let mut saver = Saver::default();
        saver.add_lazily(&document("a"), at(0));
        assert!(saver.begin(at(1)).is_none() && saver.concerns(&document("a")));
        saver.add(&document("b"));
        assert_eq!(saver.begin(at(2)).unwrap().1, [document("a"), document("b")]);
        saver.stored(StoreToken(1));
        saver.add_lazily(&document("a"), at(3));
        saver.hurry();
        assert_eq!(saver.begin(at(4)).unwrap().1, [document("a")]);
    }
}
