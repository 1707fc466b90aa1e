//! Compaction: what a document has gathered becomes one snapshot.
//!
//! The writer reads the rows, a thread of its own makes the snapshot and checks that it leads to the same heads (some
//! hundred milliseconds for a large document), and the writer puts it in the place of the rows that it covers. So a write
//! waits for a read and a short transaction at most, never for the work between. One compaction at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use super::keys;
use super::ledger::Ledger;
use super::queue::{Done, Queue, Request};
use super::store::{Raw, Replacement, Store};
use crate::drivers::storage::StorageError;
use crate::limits::COMPACT_BYTES;
use crate::sync::compact;

/// As debuggers and `ps` show it.
const THREAD_NAME: &str = "mqtt-p2p-tidy";

pub(super) struct Compactor {
    queue: Arc<Queue>,
    /// Documents that have gathered enough; at most all that there are.
    due: BTreeSet<Vec<u8>>,
    asked: VecDeque<(Vec<u8>, Done<()>)>,
    under_way: Option<UnderWay>,
    /// Documents that could not be compacted: tried again when they have gathered so much.
    refused: BTreeMap<Vec<u8>, usize>,
}

struct UnderWay {
    key: Vec<u8>,
    done: Option<Done<()>>,
}

impl Compactor {
    pub(super) fn new(queue: Arc<Queue>, ledger: &Ledger) -> Self {
        let due = ledger.beyond(COMPACT_BYTES).cloned().collect();
        Self { queue, due, asked: VecDeque::new(), under_way: None, refused: BTreeMap::new() }
    }

    /// Documents were written.
    pub(super) fn look_at(&mut self, touched: Vec<Vec<u8>>, ledger: &Ledger) {
        for key in touched {
            let gathered = ledger.get(&key).map_or(0, |entry| entry.uncompacted);
            if gathered > self.refused.get(&key).copied().unwrap_or(COMPACT_BYTES) {
                self.due.insert(key);
            }
        }
    }

    /// Compacts a document, whatever it has gathered.
    pub(super) fn ask(&mut self, key: Vec<u8>, done: Done<()>) {
        self.asked.push_back((key, done));
    }

    /// Begins the next one, unless one is under way.
    pub(super) fn start_next(&mut self, store: &mut Store) {
        while self.under_way.is_none() {
            let asked = self.asked.pop_front().map(|(key, done)| (key, Some(done)));
            let Some((key, done)) = asked.or_else(|| self.due.pop_first().map(|key| (key, None))) else { return };
            match store.read(&key) {
                Ok(Some(raw)) if raw.has_changes() => self.start(raw, done, store),
                Ok(_) => done.into_iter().for_each(|done| done(Ok(()))),
                Err(error) => self.failed(UnderWay { key, done }, error, store.ledger()),
            }
        }
    }

    fn start(&mut self, raw: Raw, done: Option<Done<()>>, store: &Store) {
        self.under_way = Some(UnderWay { key: raw.key.clone(), done });
        let queue = self.queue.clone();
        let path = store.directory().path().to_owned();
        let work = move || {
            let result = replacement(raw).map_err(|reason| StorageError::Corrupt { path, reason });
            // When the queue is closed, nobody wants it any more.
            drop(queue.push(Request::Compacted(result)));
        };
        if let Err(error) = thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(work)
            && let Some(under_way) = self.under_way.take()
        {
            self.failed(under_way, StorageError::from_io(store.directory().path(), &error), store.ledger());
        }
    }

    /// A snapshot is made: it takes the place of what it covers.
    pub(super) fn finish(&mut self, store: &mut Store, result: Result<Replacement, StorageError>) {
        let Some(under_way) = self.under_way.take() else { return };
        match result.and_then(|replacement| store.replace(&replacement)) {
            Ok(()) => {
                self.refused.remove(&under_way.key);
                under_way.done.into_iter().for_each(|done| done(Ok(())));
            }
            Err(error) => self.failed(under_way, error, store.ledger()),
        }
    }

    fn failed(&mut self, UnderWay { key, done }: UnderWay, error: StorageError, ledger: &Ledger) {
        tracing::warn!(target: "mqtt:storage", %error, "not compacted");
        if let Some(entry) = ledger.get(&key) {
            self.refused.insert(key, entry.uncompacted.saturating_mul(2));
        }
        if let Some(done) = done {
            done(Err(error));
        }
    }

    /// Nothing more is compacted; what a thread is still working on is dropped.
    pub(super) fn close(&mut self) {
        let asked = self.asked.drain(..).map(|(_, done)| done);
        let under_way = self.under_way.take().and_then(|under_way| under_way.done);
        asked.chain(under_way).for_each(|done| done(Err(StorageError::Closed)));
    }
}

/// Makes the snapshot of what was read. Automerge may panic on what it should not have taken in.
pub(super) fn replacement(raw: Raw) -> Result<Replacement, String> {
    let (key, last, incarnation) = (raw.key.clone(), raw.last, raw.incarnation);
    let (_, document, _) = keys::read(&key).ok_or("a key is damaged")?;
    let stored = raw.check()?;
    let made = catch_unwind(AssertUnwindSafe(|| compact(&document, stored)));
    let made = made.map_err(|_| format!("compacting {document} panicked"))?;
    let snapshot = made.map_err(|error| format!("{document}: {error}"))?;
    Replacement::new(key, last, incarnation, &snapshot).ok_or_else(|| format!("{document} is too large"))
}
