//! What is remembered of every stored document: enough to number its next row and to know when to compact it.

use std::collections::BTreeMap;
use std::ops::Bound;

/// One stored document. Some 200 bytes each, with its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of the last row of changes, or the last that the snapshot covers.
    pub(super) last: u64,
    /// Bytes of changes that are in no snapshot.
    pub(super) uncompacted: usize,
    /// Tells a document from one that was deleted and written anew meanwhile.
    pub(super) incarnation: u64,
}

/// All stored documents by their keys.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<Vec<u8>, Entry>,
    incarnations: u64,
}

impl Ledger {
    /// An empty one for the same database, opened again: no incarnation is used twice.
    pub(super) fn successor(&self) -> Self {
        Self { entries: BTreeMap::new(), incarnations: self.incarnations }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The entry of a document, made if need be.
    pub(super) fn entry(&mut self, key: &[u8]) -> &mut Entry {
        if !self.entries.contains_key(key) {
            self.incarnations += 1;
            self.entries.insert(key.to_vec(), Entry { incarnation: self.incarnations, ..Entry::default() });
        }
        self.entries.entry(key.to_vec()).or_default()
    }

    /// Documents that have gathered more than so many bytes of changes.
    pub(super) fn beyond(&self, bytes: usize) -> impl Iterator<Item = &Vec<u8>> {
        self.entries.iter().filter(move |(_, entry)| entry.uncompacted > bytes).map(|(key, _)| key)
    }

    /// The keys that begin with the prefix.
    pub(super) fn keys<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a Vec<u8>> {
        let from = self.entries.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        from.map(|(key, _)| key).take_while(move |key| key.starts_with(prefix))
    }

    /// What a transaction has changed takes effect.
    pub(super) fn commit(&mut self, draft: Draft) {
        for (key, change) in draft.0 {
            match change {
                Some(entry) => drop(self.entries.insert(key, entry)),
                None => drop(self.entries.remove(&key)),
            }
        }
    }
}

/// What a transaction changes, should it succeed; documents that it deletes are `None`.
#[derive(Debug, Default)]
pub(super) struct Draft(BTreeMap<Vec<u8>, Option<Entry>>);

impl Draft {
    pub(super) fn entry(&mut self, ledger: &mut Ledger, key: &[u8]) -> &mut Entry {
        let known = self.0.entry(key.to_vec()).or_insert_with(|| ledger.get(key).cloned());
        known.get_or_insert_with(|| {
            ledger.incarnations += 1;
            Entry { incarnation: ledger.incarnations, ..Entry::default() }
        })
    }

    /// The entry of a document of which nothing that is under way counts any more.
    pub(super) fn renewed(&mut self, ledger: &mut Ledger, key: &[u8]) -> &mut Entry {
        ledger.incarnations += 1;
        let incarnation = ledger.incarnations;
        let entry = self.entry(ledger, key);
        entry.incarnation = incarnation;
        entry
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.0.insert(key, None);
    }

    /// The documents that it touches.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_counts_once_it_is_committed() {
        let mut ledger = Ledger::default();
        let mut draft = Draft::default();
        draft.entry(&mut ledger, b"a").uncompacted = 5;
        draft.entry(&mut ledger, b"a").last += 1;
        assert_eq!(ledger.get(b"a"), None);
        ledger.commit(draft);
        assert_eq!(ledger.get(b"a"), Some(&Entry { last: 1, uncompacted: 5, incarnation: 1 }));
        assert_eq!(ledger.beyond(4).collect::<Vec<_>>(), [b"a"]);
        let mut draft = Draft::default();
        draft.remove(b"a".to_vec());
        draft.entry(&mut ledger, b"a").last = 1;
        ledger.commit(draft);
        assert_eq!(ledger.get(b"a"), Some(&Entry { last: 1, uncompacted: 0, incarnation: 2 }));
        let mut draft = Draft::default();
        draft.renewed(&mut ledger, b"a");
        ledger.commit(draft);
        assert_eq!(ledger.get(b"a"), Some(&Entry { last: 1, uncompacted: 0, incarnation: 3 }));
        let mut draft = Draft::default();
        draft.remove(b"a".to_vec());
        ledger.commit(draft);
        assert_eq!(ledger.get(b"a"), None);
    }
}
