//! Where a repository's documents are kept: in memory at once, or on disk by and by.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use super::inbox::Inbox;
use crate::drivers::storage::{Disk, DiskStorage, MemoryStorage, Storage, StorageError};
use crate::ids::{DocumentId, RepositoryName};
use crate::limits::MAX_LOADS_UNDER_WAY;
use crate::sync::{Input, StoreOperation, StoreToken};

/// Carries out what a synchroniser asks of storage.
pub(crate) enum Keeper {
    /// In memory: the answer is there at once, without another thread.
    Memory(MemoryKeeper),
    /// On disk: the answer comes through the inbox, and nothing waits for it.
    Disk(DiskKeeper),
}

#[derive(Default)]
pub(crate) struct MemoryKeeper {
    storage: MemoryStorage,
    /// What has gathered much. Bounded: these are documents that are stored.
    to_compact: BTreeSet<DocumentId>,
}

pub(crate) struct DiskKeeper {
    storage: DiskStorage,
    inbox: Arc<Inbox>,
    storing: bool,
    loading: usize,
    /// To be loaded when others are. Bounded: the synchroniser asks for each of its documents once.
    waiting: VecDeque<DocumentId>,
}

impl Keeper {
    pub(crate) fn disk(storage: DiskStorage, inbox: Arc<Inbox>) -> Self {
        Self::Disk(DiskKeeper { storage, inbox, storing: false, loading: 0, waiting: VecDeque::new() })
    }

    /// In memory.
    pub(crate) fn memory() -> Self {
        Self::Memory(MemoryKeeper::default())
    }

    /// Carries out a batch, and returns the answer if it is there already. What has gathered much in memory is noted for
    /// [`compact`](Self::compact).
    pub(crate) fn store(&mut self, token: StoreToken, operations: Vec<StoreOperation>) -> Option<Input> {
        match self {
            Self::Memory(keeper) => Some(keeper.keep(token, operations)),
            Self::Disk(keeper) => {
                keeper.storing = true;
                let inbox = keeper.inbox.clone();
                keeper.storage.store(operations, move |result| inbox.push_input(answer(token, result)));
                None
            }
        }
    }

    /// Reads documents, and returns those that are there already.
    pub(crate) fn load(&mut self, documents: Vec<DocumentId>) -> Vec<Input> {
        match self {
            Self::Memory(keeper) => {
                let load = |document| Input::Loaded { stored: readable(keeper.storage.load(&document)), document };
                documents.into_iter().map(load).collect()
            }
            Self::Disk(keeper) => {
                keeper.waiting.extend(documents);
                keeper.load_waiting();
                Vec::new()
            }
        }
    }

    /// Compacts what has gathered much in memory; `save` gives a document as the synchroniser has it, if it is sound. Nobody
    /// should wait for that.
    pub(crate) fn compact(&mut self, mut save: impl FnMut(&DocumentId) -> Option<Vec<u8>>) {
        let Self::Memory(MemoryKeeper { storage, to_compact }) = self else { return };
        for document in std::mem::take(to_compact) {
            if let Some(snapshot) = save(&document) {
                storage.replace(&document, snapshot);
            }
        }
    }

    /// Takes note of an answer on its way to the synchroniser.
    pub(crate) fn note(&mut self, input: &Input) {
        let Self::Disk(keeper) = self else { return };
        match input {
            Input::Stored(_) | Input::StoreFailed { .. } => keeper.storing = false,
            Input::Loaded { .. } => {
                keeper.loading = keeper.loading.saturating_sub(1);
                keeper.load_waiting();
            }
            _ => {}
        }
    }

    /// Whether a batch is on its way.
    pub(crate) fn is_storing(&self) -> bool {
        matches!(self, Self::Disk(DiskKeeper { storing: true, .. }))
    }
}

impl MemoryKeeper {
    fn keep(&mut self, token: StoreToken, operations: Vec<StoreOperation>) -> Input {
        let appended = |operation: &StoreOperation| match operation {
            StoreOperation::Append { document, .. } => Some(document.clone()),
            _ => None,
        };
        let touched: Vec<_> = operations.iter().filter_map(appended).collect();
        let result = self.storage.apply(operations);
        self.to_compact.extend(touched.into_iter().filter(|document| self.storage.is_to_be_compacted(document)));
        answer(token, result)
    }
}

impl DiskKeeper {
    fn load_waiting(&mut self) {
        while self.loading < MAX_LOADS_UNDER_WAY
            && let Some(document) = self.waiting.pop_front()
        {
            self.loading += 1;
            let inbox = self.inbox.clone();
            self.storage.read(document.clone(), move |result| {
                inbox.push_input(Input::Loaded { document, stored: readable(result) });
            });
        }
    }
}

/// What cannot be read is as if it were not there: the synchroniser tells the application, and asks the other peers.
fn readable<T>(result: Result<Option<T>, StorageError>) -> Option<T> {
    result.unwrap_or_else(|error| {
        tracing::error!(target: "mqtt:storage", %error, "not loaded");
        None
    })
}

fn answer(token: StoreToken, result: Result<(), StorageError>) -> Input {
    match result {
        Ok(()) => Input::Stored(token),
        Err(error) => {
            tracing::error!(target: "mqtt:storage", %error, "not stored");
            Input::StoreFailed { token, reason: error.to_string() }
        }
    }
}

/// A repository's part of a data directory, and what there is to restore.
pub(crate) type Part = (DiskStorage, Option<Input>);

/// Opens a data directory, with the parts of the repositories; blocks.
pub(crate) fn open(path: &Path, repositories: &[RepositoryName]) -> Result<(Disk, Vec<Part>), StorageError> {
    let disk = Disk::open(path)?;
    let mut parts = Vec::with_capacity(repositories.len());
    for repository in repositories {
        let storage = disk.repository(repository);
        let documents = storage.documents()?;
        let restored = if documents.is_empty() {
            None
        } else {
            let index = storage.load(&DocumentId::Index { repository: repository.clone() })?;
            Some(Input::Restored { documents, index })
        };
        parts.push((storage, restored));
    }
    Ok((disk, parts))
}
