//! Storage that forgets everything with the process.

use std::collections::BTreeMap;

use super::{Storage, StorageError};
use crate::ids::DocumentId;
use crate::limits::COMPACT_BYTES;
use crate::sync::{ActorMark, KnownDocument, StoreOperation, StoredDocument, Summary, compact};

/// Keeps documents in memory.
#[derive(Debug, Default)]
pub struct MemoryStorage(BTreeMap<DocumentId, Kept>);

#[derive(Debug, Default)]
struct Kept {
    document: StoredDocument,
    summary: Summary,
    actor: Option<ActorMark>,
    /// Sum of the lengths of its changes.
    change_bytes: usize,
    /// Sum of the lengths of those that are in its snapshot.
    compacted_bytes: usize,
}

impl MemoryStorage {
    /// Whether a document has gathered enough to compact it. That takes the longer the more there is of it, so the more may
    /// gather: all together it takes a fixed time for each change.
    pub(crate) fn is_to_be_compacted(&self, document: &DocumentId) -> bool {
        let compacted_bytes = self.0.get(document).map_or(0, |kept| kept.compacted_bytes);
        self.uncompacted_bytes(document) > COMPACT_BYTES.max(compacted_bytes / 2)
    }

    /// Puts a whole document in the place of its changes, which it has.
    pub(crate) fn replace(&mut self, document: &DocumentId, snapshot: Vec<u8>) {
        if let Some(kept) = self.0.get_mut(document) {
            kept.document.snapshot = Some(snapshot);
            kept.document.changes = Vec::new();
            kept.compacted_bytes += std::mem::take(&mut kept.change_bytes);
        }
    }

    fn carry_out(&mut self, operation: StoreOperation) {
        match operation {
            StoreOperation::Append { document, changes } => {
                let kept = self.0.entry(document).or_default();
                kept.change_bytes += changes.iter().map(Vec::len).sum::<usize>();
                kept.document.changes.extend(changes);
            }
            StoreOperation::Replace { document, snapshot } => {
                let kept = self.0.entry(document).or_default();
                kept.change_bytes = 0;
                kept.document.changes = Vec::new();
                kept.document.snapshot = Some(snapshot);
            }
            StoreOperation::Vouch { document, vouchers } => {
                let kept = &mut self.0.entry(document).or_default().document.vouchers;
                kept.retain(|known| vouchers.iter().all(|voucher| voucher.actor != known.actor));
                kept.extend(vouchers);
            }
            StoreOperation::Describe { document, summary } => self.0.entry(document).or_default().summary = summary,
            StoreOperation::Acknowledged { document, heads } => {
                self.0.entry(document).or_default().document.acknowledged = Some(heads);
            }
            StoreOperation::KeepActor { document, mark } => self.0.entry(document).or_default().actor = Some(mark),
            StoreOperation::Heard { document, marks } => {
                self.0.entry(document).or_default().document.heard = Some(marks);
            }
            StoreOperation::ForgetActors => self.0.values_mut().for_each(|kept| kept.actor = None),
            StoreOperation::Delete { document } => drop(self.0.remove(&document)),
        }
    }
}

impl Storage for MemoryStorage {
    fn documents(&self) -> Result<Vec<KnownDocument>, StorageError> {
        let known = |(document, kept): (&DocumentId, &Kept)| KnownDocument {
            document: document.clone(),
            summary: kept.summary.clone(),
            actor: kept.actor.clone(),
        };
        Ok(self.0.iter().map(known).collect())
    }

    fn load(&self, document: &DocumentId) -> Result<Option<StoredDocument>, StorageError> {
        Ok(self.0.get(document).map(|kept| kept.document.clone()))
    }

    fn apply(&mut self, operations: Vec<StoreOperation>) -> Result<(), StorageError> {
        for operation in operations {
            self.carry_out(operation);
        }
        Ok(())
    }

    fn compact(&mut self, document: &DocumentId) -> Result<(), StorageError> {
        if let Some(kept) = self.0.get(document) {
            let stored = StoredDocument { acknowledged: None, ..kept.document.clone() };
            let snapshot = compact(document, stored)
                .map_err(|error| StorageError::Unreadable { document: document.clone(), reason: error.to_string() })?;
            self.replace(document, snapshot);
        }
        Ok(())
    }

    fn uncompacted_bytes(&self, document: &DocumentId) -> usize {
        self.0.get(document).map_or(0, |kept| kept.change_bytes)
    }
}
