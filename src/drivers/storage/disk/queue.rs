//! What waits for the storage thread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::store::{Batch, Replacement};
use crate::drivers::storage::StorageError;
use crate::ids::{DocumentId, RepositoryName};
use crate::sync::{KnownDocument, StoredDocument};

/// Called on the storage thread with the outcome; must not block.
pub(super) type Done<T> = Box<dyn FnOnce(Result<T, StorageError>) + Send>;

/// One thing to do.
pub(super) enum Request {
    Store {
        batch: Batch,
        done: Done<()>,
    },
    Load {
        repository: RepositoryName,
        document: DocumentId,
        /// Whether the sound part of a damaged document will do.
        partial: bool,
        done: Done<Option<StoredDocument>>,
    },
    Documents {
        repository: RepositoryName,
        done: Done<Vec<KnownDocument>>,
    },
    Uncompacted {
        repository: RepositoryName,
        document: DocumentId,
        done: Done<usize>,
    },
    Compact {
        repository: RepositoryName,
        document: DocumentId,
        done: Done<()>,
    },
    /// A compaction has ended.
    Compacted(Result<Replacement, StorageError>),
}

/// A queue between the repositories and the one storage thread.
///
/// It needs no bound of its own: a synchroniser has at most one batch under way, its task at most
/// [`MAX_LOADS_UNDER_WAY`](crate::limits::MAX_LOADS_UNDER_WAY) loads, and a service at most one compaction, so there are
/// never more than that times the repositories.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    closing: bool,
    /// The thread has ended.
    closed: bool,
    waiting_for_end: Vec<Box<dyn FnOnce() + Send>>,
}

/// Everything that had come.
pub(super) struct Taken {
    pub(super) requests: VecDeque<Request>,
    /// Nothing more will come.
    pub(super) closing: bool,
}

impl Queue {
    /// Adds a request; gives it back when the storage is closed.
    pub(super) fn push(&self, request: Request) -> Result<(), Request> {
        let mut state = self.state();
        if state.closing {
            return Err(request);
        }
        state.requests.push_back(request);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes no more requests; `ended` is called when those that are there are carried out and the database is closed.
    pub(super) fn close(&self, ended: Option<Box<dyn FnOnce() + Send>>) {
        let mut state = self.state();
        state.closing = true;
        if state.closed {
            drop(state);
            if let Some(ended) = ended {
                ended();
            }
            return;
        }
        state.waiting_for_end.extend(ended);
        drop(state);
        self.filled.notify_one();
    }

    /// Waits until there is something, and takes all of it.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.state();
        while state.requests.is_empty() && !state.closing {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Taken { requests: std::mem::take(&mut state.requests), closing: state.closing }
    }

    /// The thread has ended: whoever waits for that is told.
    pub(super) fn ended(&self) {
        let mut state = self.state();
        (state.closing, state.closed) = (true, true);
        let waiting = std::mem::take(&mut state.waiting_for_end);
        let left = std::mem::take(&mut state.requests);
        drop(state);
        left.into_iter().for_each(Request::refuse);
        for ended in waiting {
            ended();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    /// Tells whoever waits for it that the storage is closed.
    pub(super) fn refuse(self) {
        match self {
            Self::Store { done, .. } | Self::Compact { done, .. } => done(Err(StorageError::Closed)),
            Self::Load { done, .. } => done(Err(StorageError::Closed)),
            Self::Documents { done, .. } => done(Err(StorageError::Closed)),
            Self::Uncompacted { done, .. } => done(Err(StorageError::Closed)),
            Self::Compacted(_) => {}
        }
    }
}
