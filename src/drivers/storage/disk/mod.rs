//! Documents on disk: one redb database for a service, with the documents of all its repositories.
//!
//! | file | what |
//! | --- | --- |
//! | `mod.rs` | [`Disk`], opened once for a service, and [`DiskStorage`], each repository's part of it |
//! | `queue.rs`, `writer.rs` | the one thread that uses the database, and what waits for it: group commit |
//! | `compactor.rs` | snapshots made beside it |
//! | `store.rs`, `tables.rs`, `ledger.rs` | transactions; operations as rows; what is remembered of each document |
//! | `file.rs`, `overlay.rs` | making, locking, checking and opening the file |
//! | `recover.rs`, `scan.rs`, `rescue.rs` | what can be rescued of a damaged file |
//! | `keys.rs`, `row.rs`, `values.rs` | bytes |
//!
//! A data directory holds `mqtt-p2p.redb`, the database; `mqtt-p2p.lock`, locked while it is in use; and `identity.key`.

mod compactor;
mod file;
mod keys;
mod ledger;
mod overlay;
mod queue;
mod recover;
mod rescue;
mod row;
mod scan;
mod store;
mod tables;
mod values;
mod writer;

use std::path::Path;
use std::sync::{Arc, mpsc};

use file::{Directory, Opener, open_file};
use queue::{Queue, Request};
use store::{Batch, Store};

use super::{Storage, StorageError};
use crate::ids::{DocumentId, RepositoryName};
use crate::sync::{KnownDocument, StoreOperation, StoredDocument};

use queue::Done;

pub use recover::{RecoveryReport, recover};

pub(super) use file::{create_directory, mode_open_to_others, private, sync_directory};

/// A service's data directory, open. Nobody else can open it until it is closed.
///
/// It is closed by [`close`](Self::close), or when it and all [`DiskStorage`]s of it are dropped; then a thread of its own
/// still carries out what was handed over, and closes the database.
#[derive(Clone)]
pub struct Disk(Arc<Handle>);

struct Handle(Arc<Queue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close(None);
    }
}

impl Disk {
    /// Opens a data directory, and makes it (with mode 0700) if it is missing. Blocks: a database that was closed in order
    /// is checked, and one that was not is repaired, which both read all of it.
    ///
    /// # Errors
    /// * [`StorageError::Locked`]: somebody else has it open.
    /// * [`StorageError::Corrupt`], [`StorageError::NewerFormat`]: it cannot be read, and was left as it is.
    /// * [`StorageError::Full`], [`StorageError::Io`]: the system refused.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        Self::open_with(path, Box::new(open_file))
    }

    fn open_with(path: &Path, open: Opener) -> Result<Self, StorageError> {
        let store = Store::open(Directory::open(path)?, open)?;
        let queue = Arc::<Queue>::default();
        writer::start(store, queue.clone()).map_err(|error| StorageError::from_io(path, &error))?;
        Ok(Self(Arc::new(Handle(queue))))
    }

    /// The part of a repository: all documents that it holds, wherever they live. Ask for it once.
    #[must_use]
    pub fn repository(&self, repository: &RepositoryName) -> DiskStorage {
        DiskStorage { repository: repository.clone(), handle: self.0.clone() }
    }

    /// Takes nothing more; `ended` is called, on the storage thread, when everything handed over is on disk and the
    /// directory is free for others.
    pub fn close(&self, ended: Box<dyn FnOnce() + Send>) {
        self.0.0.close(Some(ended));
    }
}

/// One repository's part of a [`Disk`].
///
/// [`store`](Self::store) and [`read`](Self::read) hand over and return at once; the methods of [`Storage`] wait.
pub struct DiskStorage {
    repository: RepositoryName,
    handle: Arc<Handle>,
}

impl DiskStorage {
    /// Hands over a batch. `done` is called once, on the storage thread, when it is on disk or has failed; it must not
    /// block. One batch at a time: what is handed over before that may overtake nothing, but waits in memory.
    ///
    /// After [`StorageError::Io`] a batch may turn out to be stored all the same; storing it again does no harm.
    pub fn store(&self, operations: Vec<StoreOperation>, done: impl FnOnce(Result<(), StorageError>) + Send + 'static) {
        let batch = Batch { repository: self.repository.clone(), operations };
        self.push(Request::Store { batch, done: Box::new(done) });
    }

    /// Asks for a document, or for what is sound of it: what is damaged stays where it is, for `recover`. `done` is called
    /// like that of [`store`](Self::store), with what was handed over before in it.
    pub fn read(
        &self,
        document: DocumentId,
        done: impl FnOnce(Result<Option<StoredDocument>, StorageError>) + Send + 'static,
    ) {
        let (repository, done) = (self.repository.clone(), Box::new(done));
        self.push(Request::Load { repository, document, partial: true, done });
    }

    fn push(&self, request: Request) {
        if let Err(request) = self.handle.0.push(request) {
            request.refuse();
        }
    }

    fn wait<T: Send + 'static>(&self, request: impl FnOnce(Done<T>) -> Request) -> Result<T, StorageError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        // Whoever asks waits for the answer.
        self.push(request(Box::new(move |result| drop(sender.send(result)))));
        receiver.recv().unwrap_or(Err(StorageError::Closed))
    }
}

impl Storage for DiskStorage {
    fn documents(&self) -> Result<Vec<KnownDocument>, StorageError> {
        self.wait(|done| Request::Documents { repository: self.repository.clone(), done })
    }

    fn load(&self, document: &DocumentId) -> Result<Option<StoredDocument>, StorageError> {
        let (repository, document) = (self.repository.clone(), document.clone());
        self.wait(|done| Request::Load { repository, document, partial: false, done })
    }

    fn apply(&mut self, operations: Vec<StoreOperation>) -> Result<(), StorageError> {
        let batch = Batch { repository: self.repository.clone(), operations };
        self.wait(|done| Request::Store { batch, done })
    }

    fn compact(&mut self, document: &DocumentId) -> Result<(), StorageError> {
        let (repository, document) = (self.repository.clone(), document.clone());
        self.wait(|done| Request::Compact { repository, document, done })
    }

    fn uncompacted_bytes(&self, document: &DocumentId) -> usize {
        let (repository, document) = (self.repository.clone(), document.clone());
        self.wait(|done| Request::Uncompacted { repository, document, done }).unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) mod tests;
