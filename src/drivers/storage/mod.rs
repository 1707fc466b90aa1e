//! Where documents and keys are kept.

mod disk;
mod epochs;
mod error;
mod identity;
mod key_file;
mod memory;
mod roots;
mod starts;

use crate::ids::DocumentId;
use crate::sync::{KnownDocument, StoreOperation, StoredDocument};

pub use disk::{Disk, DiskStorage, RecoveryReport, recover};
pub use epochs::{EpochFileError, keep_epoch, read_epochs};
pub use error::StorageError;
pub use identity::{IdentityError, identity_seed};
pub use key_file::{KeyFileError, create_key, read_key, read_passphrase};
pub use memory::MemoryStorage;
pub use roots::{pin_root, pinned_root};
pub use starts::next_start;

/// Keeps the documents of one repository. Used by one task at a time; may block.
///
/// * [`apply`](Self::apply) is atomic and durable: when it returns `Ok`, all operations are kept, also after a crash; when
///   it returns an error, none is.
/// * A document that was deleted, or never written, is absent.
pub trait Storage: Send {
    /// The documents that are kept.
    ///
    /// # Errors
    /// The medium failed, or what it holds cannot be read.
    fn documents(&self) -> Result<Vec<KnownDocument>, StorageError>;

    /// Reads a document.
    ///
    /// # Errors
    /// The medium failed, or what it holds cannot be read.
    fn load(&self, document: &DocumentId) -> Result<Option<StoredDocument>, StorageError>;

    /// Carries out a batch.
    ///
    /// # Errors
    /// Nothing was kept.
    fn apply(&mut self, operations: Vec<StoreOperation>) -> Result<(), StorageError>;

    /// Makes one snapshot of a document's snapshot and changes, and puts it in their place once it has been loaded again
    /// and has the same heads.
    ///
    /// # Errors
    /// Everything is as before.
    fn compact(&mut self, document: &DocumentId) -> Result<(), StorageError>;

    /// How many bytes of changes a document has gathered since it was last compacted.
    fn uncompacted_bytes(&self, document: &DocumentId) -> usize;
}

#[cfg(test)]
mod acceptance;
