//! Where documents are kept.

mod memory;

use thiserror::Error;

use crate::ids::{DocumentId, Heads};
use crate::sync::StoreOperation;

pub use memory::MemoryStorage;

/// Why storage failed.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The data cannot be read.
    #[error("the stored data of {document} cannot be read: {reason}")]
    Corrupt {
        /// Which document.
        document: DocumentId,
        /// What was seen.
        reason: String,
    },
    /// The medium failed.
    #[error("storage failed: {0}")]
    Io(#[from] std::io::Error),
}

/// What is kept of one document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredDocument {
    /// The compacted document, if it was compacted: what Automerge's `save` gave.
    pub snapshot: Option<Vec<u8>>,
    /// Raw change chunks appended since, in causal order.
    pub changes: Vec<Vec<u8>>,
    /// The newest own changes that the broker has acknowledged.
    pub acknowledged: Option<Heads>,
}

/// Keeps documents. Used by one task at a time; may block.
///
/// * [`apply`](Self::apply) is atomic and durable: when it returns `Ok`, all operations are kept, also after a crash; when
///   it returns an error, none is.
/// * A document that was deleted, or never written, is absent.
pub trait Storage: Send {
    /// The documents that are kept.
    fn documents(&self) -> Result<Vec<DocumentId>, StorageError>;

    /// Reads a document.
    fn load(&self, document: &DocumentId) -> Result<Option<StoredDocument>, StorageError>;

    /// Carries out a batch.
    fn apply(&mut self, operations: Vec<StoreOperation>) -> Result<(), StorageError>;

    /// Replaces a document's snapshot and changes by a new snapshot that covers them; what was acknowledged stays.
    fn compact(&mut self, document: &DocumentId, snapshot: Vec<u8>) -> Result<(), StorageError>;

    /// How many bytes of changes a document has gathered since it was last compacted.
    fn uncompacted_bytes(&self, document: &DocumentId) -> usize;
}

#[cfg(test)]
mod acceptance;
