//! Storage that forgets everything with the process.

use std::collections::BTreeMap;

use super::{Storage, StorageError, StoredDocument};
use crate::ids::DocumentId;
use crate::sync::StoreOperation;

/// Keeps documents in memory.
#[derive(Debug, Default)]
pub struct MemoryStorage(BTreeMap<DocumentId, Kept>);

#[derive(Debug, Default)]
struct Kept {
    document: StoredDocument,
    /// Sum of the lengths of its changes.
    change_bytes: usize,
}

impl Storage for MemoryStorage {
    fn documents(&self) -> Result<Vec<DocumentId>, StorageError> {
        Ok(self.0.keys().cloned().collect())
    }

    fn load(&self, document: &DocumentId) -> Result<Option<StoredDocument>, StorageError> {
        Ok(self.0.get(document).map(|kept| kept.document.clone()))
    }

    fn apply(&mut self, operations: Vec<StoreOperation>) -> Result<(), StorageError> {
        for operation in operations {
            match operation {
                StoreOperation::Append { document, changes } => {
                    let kept = self.0.entry(document).or_default();
                    kept.change_bytes += changes.iter().map(Vec::len).sum::<usize>();
                    kept.document.changes.extend(changes);
                }
                StoreOperation::Acknowledged { document, heads } => {
                    self.0.entry(document).or_default().document.acknowledged = Some(heads);
                }
                StoreOperation::Delete { document } => {
                    self.0.remove(&document);
                }
            }
        }
        Ok(())
    }

    fn compact(&mut self, document: &DocumentId, snapshot: Vec<u8>) -> Result<(), StorageError> {
        if let Some(kept) = self.0.get_mut(document) {
            kept.document.snapshot = Some(snapshot);
            kept.document.changes = Vec::new();
            kept.change_bytes = 0;
        }
        Ok(())
    }

    fn uncompacted_bytes(&self, document: &DocumentId) -> usize {
        self.0.get(document).map_or(0, |kept| kept.change_bytes)
    }
}
