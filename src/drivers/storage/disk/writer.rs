//! The storage thread: all batches that wait go to disk in one transaction, with one fsync.

use std::sync::Arc;
use std::thread;

use super::compactor::Compactor;
use super::keys;
use super::queue::{Done, Queue, Request, Taken};
use super::store::{Batch, Store};
use crate::drivers::storage::StorageError;
use crate::ids::{DocumentId, RepositoryName};
use crate::sync::{StoreOperation, StoredDocument};

/// As debuggers and `ps` show it.
const THREAD_NAME: &str = "mqtt-p2p-disk";

/// Starts the thread that owns the database. It ends, and closes it, when the queue is closed and empty.
pub(super) fn start(store: Store, queue: Arc<Queue>) -> std::io::Result<()> {
    let compactor = Compactor::new(queue.clone(), store.ledger());
    let writer = Writer { store, compactor };
    thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || writer.run(&queue)).map(drop)
}

struct Writer {
    store: Store,
    compactor: Compactor,
}

impl Writer {
    fn run(mut self, queue: &Queue) {
        // Whatever happens here, nobody may wait for this thread for ever.
        struct End<'a>(&'a Queue);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.ended();
            }
        }
        let _end = End(queue);
        loop {
            self.compactor.start_next(&mut self.store);
            let Taken { requests, closing } = queue.take();
            let (stores, others): (Vec<_>, Vec<_>) =
                requests.into_iter().partition(|request| matches!(request, Request::Store { .. }));
            // First what must be durable. What is read after that sees it, in whichever order both were asked for: a
            // synchroniser does not write to a document that it is still waiting for.
            self.store_all(stores);
            for request in others {
                self.carry_out(request);
            }
            if closing {
                break;
            }
        }
        self.compactor.close();
        if let Err(error) = self.store.close() {
            tracing::warn!(target: "mqtt:storage", %error, "not closed in order; the next start takes a little longer");
        }
        // The directory is free before anybody is told so.
        drop(self.store);
    }

    fn store_all(&mut self, requests: Vec<Request>) {
        let waiting: Vec<(Batch, Done<()>)> = requests
            .into_iter()
            .filter_map(|request| match request {
                Request::Store { batch, done } => Some((batch, done)),
                _ => None,
            })
            .collect();
        if waiting.is_empty() {
            return;
        }
        let batches: Vec<&Batch> = waiting.iter().map(|(batch, _)| batch).collect();
        match self.write(&batches) {
            Ok(()) => waiting.into_iter().for_each(|(_, done)| done(Ok(()))),
            Err(error) if waiting.len() == 1 => waiting.into_iter().for_each(|(_, done)| done(Err(error.clone()))),
            Err(_) => self.store_each(waiting),
        }
    }

    /// The joint transaction failed: each batch by itself, so that one that cannot be stored fails alone. The smallest
    /// first: when there is no room for one, there is none for those after it, and each failure costs opening the
    /// database again.
    fn store_each(&mut self, mut waiting: Vec<(Batch, Done<()>)>) {
        waiting.sort_by_cached_key(|(batch, _)| size(batch));
        let mut full = None;
        for (batch, done) in waiting {
            let result = match &full {
                Some(error) => Err(StorageError::clone(error)),
                None => self.write(&[&batch]),
            };
            if let Err(error @ (StorageError::Full { .. } | StorageError::Io { .. })) = &result {
                full = Some(error.clone());
            }
            done(result);
        }
    }

    fn write(&mut self, batches: &[&Batch]) -> Result<(), StorageError> {
        let touched = self.store.write(batches)?;
        self.compactor.look_at(touched, self.store.ledger());
        Ok(())
    }

    fn carry_out(&mut self, request: Request) {
        match request {
            Request::Load { repository, document, partial, done } => done(self.load(&repository, &document, partial)),
            Request::Documents { repository, done } => done(self.store.documents(&repository)),
            Request::Uncompacted { repository, document, done } => {
                let key = keys::document(&repository, &document);
                done(Ok(self.store.ledger().get(&key).map_or(0, |entry| entry.uncompacted)));
            }
            Request::Compact { repository, document, done } => {
                self.compactor.ask(keys::document(&repository, &document), done);
            }
            Request::Compacted(result) => self.compactor.finish(&mut self.store, result),
            Request::Store { .. } => {}
        }
    }

    fn load(
        &mut self,
        repository: &RepositoryName,
        document: &DocumentId,
        partial: bool,
    ) -> Result<Option<StoredDocument>, StorageError> {
        let key = keys::document(repository, document);
        // After a failure of the medium the database is opened again, which may help.
        let raw = match self.store.read(&key) {
            Err(StorageError::Io { .. } | StorageError::Full { .. }) => self.store.read(&key),
            result => result,
        };
        let Some(raw) = raw? else { return Ok(None) };
        let path = self.store.directory().path();
        let corrupt = |reason| StorageError::Corrupt { path: path.to_owned(), reason: format!("{document}: {reason}") };
        match raw.sound() {
            (_, Some(damage)) if !partial => Err(corrupt(damage)),
            (stored, damage) => {
                if let Some(error) = damage.map(corrupt) {
                    tracing::error!(target: "mqtt:storage", %error, "not all of a document could be loaded");
                }
                Ok(Some(stored))
            }
        }
    }
}

fn size(batch: &Batch) -> usize {
    let changes = batch.operations.iter().map(|operation| match operation {
        StoreOperation::Append { changes, .. } => changes.iter().map(Vec::len).sum(),
        StoreOperation::Replace { snapshot, .. } => snapshot.len(),
        _ => 0,
    });
    changes.sum()
}
