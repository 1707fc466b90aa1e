//! The disk as a whole, in real files.

mod compacting;
mod damage;
mod failing;
mod keeping;
mod medium;
mod recovering;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use super::Disk;
use crate::drivers::storage::{Storage, StorageError};
use crate::ids::{CanvasId, DocumentId, Generation, RepositoryName};
use crate::sync::{StoreOperation, StoredDocument};

/// A directory of its own, removed with everything in it.
pub(in crate::drivers::storage) struct Folder(PathBuf);

impl Folder {
    pub(in crate::drivers::storage) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mqtt-p2p-disk-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(in crate::drivers::storage) fn path(&self) -> &Path {
        &self.0
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn database(&self) -> PathBuf {
        self.data().join(super::file::DATABASE_FILE)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn name(text: &str) -> RepositoryName {
    RepositoryName::new(text).unwrap()
}

fn canvas(text: &str) -> DocumentId {
    DocumentId::Canvas { repository: name("r"), canvas: CanvasId::new(text).unwrap(), generation: Generation(1) }
}

fn append(text: &str, changes: &[&[u8]]) -> StoreOperation {
    StoreOperation::Append { document: canvas(text), changes: changes.iter().map(|bytes| bytes.to_vec()).collect() }
}

/// Waits until the directory is free.
fn close(disk: &Disk) {
    let (sender, receiver) = mpsc::channel();
    disk.close(Box::new(move || sender.send(()).unwrap()));
    receiver.recv().unwrap();
}

fn changes(disk: &Disk, repository: &str, text: &str) -> Option<Vec<Vec<u8>>> {
    load(disk, repository, text).unwrap().map(|stored| stored.changes)
}

fn load(disk: &Disk, repository: &str, text: &str) -> Result<Option<StoredDocument>, StorageError> {
    disk.repository(&name(repository)).load(&canvas(text))
}
