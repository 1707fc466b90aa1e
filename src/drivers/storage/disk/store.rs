//! The database itself, used by one thread: batches in one transaction, documents out.

use std::collections::BTreeMap;

use redb::{Database, ReadableDatabase, WriteTransaction};

use super::file::{ACTORS, CHANGES, Directory, NOTES, Opener, SNAPSHOTS};
use super::keys;
use super::ledger::{Draft, Ledger};
use super::row::{self, Kind};
use super::tables::{ACKNOWLEDGED, HEARD, SUMMARY, Tables, VOUCHER, damaged, note_key, read_ledger};
use super::values;
use crate::drivers::storage::StorageError;
use crate::ids::{DocumentId, RepositoryName};
use crate::sync::{KnownDocument, StoreOperation, StoredDocument, Summary};
use crate::wire::decode_voucher;

/// What one repository wants written, as a whole or not at all.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) repository: RepositoryName,
    pub(super) operations: Vec<StoreOperation>,
}

/// Everything that is stored of one document, not yet checked.
pub(super) struct Raw {
    pub(super) key: Vec<u8>,
    /// The last row of changes among these.
    pub(super) last: u64,
    pub(super) incarnation: u64,
    snapshot: Option<Vec<u8>>,
    changes: Vec<(u64, Vec<u8>)>,
    heard: Option<Vec<u8>>,
    acknowledged: Option<Vec<u8>>,
    /// Keys and rows.
    vouchers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A compacted document, ready to take the place of what it was made of.
pub(super) struct Replacement {
    pub(super) key: Vec<u8>,
    pub(super) covered: u64,
    pub(super) incarnation: u64,
    pub(super) row: Vec<u8>,
}

pub(super) struct Store {
    directory: Directory,
    open: Opener,
    /// Absent after a failure, until it could be opened again: redb does nothing more once its file has failed.
    database: Option<Database>,
    ledger: Ledger,
}

impl Store {
    pub(super) fn open(directory: Directory, open: Opener) -> Result<Self, StorageError> {
        directory.create_database()?;
        let mut store = Self { directory, open, database: None, ledger: Ledger::default() };
        store.ready()?;
        Ok(store)
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Carries out batches in one transaction, on disk when it returns. Returns the keys of the documents touched.
    ///
    /// After an error nothing of it counts. (When it was flushing that failed, it may be there all the same once the
    /// database is open again; carrying it out once more does no harm.)
    pub(super) fn write(&mut self, batches: &[&Batch]) -> Result<Vec<Vec<u8>>, StorageError> {
        let mut draft = Draft::default();
        self.transact(|transaction, ledger| {
            let mut tables = Tables::open(transaction)?;
            for batch in batches {
                for operation in &batch.operations {
                    tables.carry_out(&batch.repository, operation, ledger, &mut draft)?;
                }
            }
            Ok(())
        })?;
        let touched = draft.keys().cloned().collect();
        self.ledger.commit(draft);
        Ok(touched)
    }

    /// Puts a compacted document in the place of what it was made of. Changes appended meanwhile stay; nothing happens if
    /// the document was deleted meanwhile.
    pub(super) fn replace(&mut self, replacement: &Replacement) -> Result<(), StorageError> {
        self.ready()?;
        if self.ledger.get(&replacement.key).is_none_or(|entry| entry.incarnation != replacement.incarnation) {
            return Ok(());
        }
        let mut draft = Draft::default();
        self.transact(|transaction, ledger| {
            Tables::open(transaction)?.replace(replacement, draft.entry(ledger, &replacement.key))
        })?;
        self.ledger.commit(draft);
        Ok(())
    }

    /// Reads everything of one document; `None` if there is nothing. [`Raw::check`] then says whether it is sound.
    pub(super) fn read(&mut self, key: &[u8]) -> Result<Option<Raw>, StorageError> {
        self.ready()?;
        let Some(entry) = self.ledger.get(key).cloned() else { return Ok(None) };
        self.with(|database, _| {
            let transaction = database.begin_read()?;
            let snapshot = transaction.open_table(SNAPSHOTS)?.get(key)?.map(|value| value.value().to_vec());
            let notes = transaction.open_table(NOTES)?;
            let acknowledged = notes.get(note_key(key, ACKNOWLEDGED).as_slice())?.map(|value| value.value().to_vec());
            let heard = notes.get(note_key(key, HEARD).as_slice())?.map(|value| value.value().to_vec());
            let mut vouchers = Vec::new();
            for item in notes.range::<&[u8]>(key..keys::after(key).unwrap_or_default().as_slice())? {
                let (note, value) = item?;
                if note.value().last() == Some(&VOUCHER) {
                    vouchers.push((note.value().to_vec(), value.value().to_vec()));
                }
            }
            let table = transaction.open_table(CHANGES)?;
            let (first, last) = (keys::numbered(key, 0), keys::numbered(key, u64::MAX));
            let mut changes = Vec::new();
            for item in table.range::<&[u8]>(first.as_slice()..=last.as_slice())? {
                let (number, value) = item?;
                let (_, number) = keys::split_number(number.value()).unwrap_or_default();
                changes.push((number, value.value().to_vec()));
            }
            let (last, incarnation) = (entry.last, entry.incarnation);
            Ok(Some(Raw { key: key.to_vec(), last, incarnation, snapshot, changes, acknowledged, vouchers, heard }))
        })
    }

    /// All documents of a repository, in order.
    pub(super) fn documents(&mut self, repository: &RepositoryName) -> Result<Vec<KnownDocument>, StorageError> {
        let prefix = keys::repository(repository);
        let end = keys::after(&prefix).unwrap_or_default();
        self.with(|database, ledger| {
            let range = prefix.as_slice()..end.as_slice();
            let mut known = BTreeMap::new();
            let transaction = database.begin_read()?;
            for item in transaction.open_table(NOTES)?.range::<&[u8]>(range.clone())? {
                let (key, value) = item?;
                let (known, kind) = entry(&mut known, key.value())?;
                if kind == [SUMMARY] {
                    let row = row::expect(value.value(), Kind::Note, key.value());
                    known.summary = row.and_then(values::decode_summary).ok_or_else(|| damaged(&known.document))?;
                }
            }
            for item in transaction.open_table(ACTORS)?.range::<&[u8]>(range)? {
                let (key, value) = item?;
                let (known, _) = entry(&mut known, key.value())?;
                let row = row::expect(value.value(), Kind::Actor, key.value());
                known.actor = Some(row.and_then(values::decode_actor).ok_or_else(|| damaged(&known.document))?);
            }
            // Those of which there are changes, and no note yet.
            for key in ledger.keys(&prefix) {
                entry(&mut known, key)?;
            }
            Ok(known.into_values().collect())
        })
    }

    /// Closes the database in order; the directory stays locked until the store is dropped.
    pub(super) fn close(&mut self) -> Result<(), StorageError> {
        match self.database.take() {
            Some(database) => self.directory.guard(|| Ok(database.close()?)),
            None => Ok(()),
        }
    }

    /// Opens the database again if it failed.
    fn ready(&mut self) -> Result<(), StorageError> {
        if self.database.is_some() {
            return Ok(());
        }
        let database = self.directory.open_database(&self.open)?;
        // A commit whose outcome nobody knows may have succeeded, so what was known of the rows is not trusted.
        self.ledger = self.directory.guard(|| read_ledger(&database, self.ledger.successor()))?;
        self.database = Some(database);
        Ok(())
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&Database, &mut Ledger) -> Result<T, redb::Error>,
    ) -> Result<T, StorageError> {
        self.ready()?;
        let Self { directory, database: Some(database), ledger, .. } = self else { return Err(StorageError::Closed) };
        let result = directory.guard(|| work(database, ledger));
        if result.is_err() {
            // redb refuses everything after a failure of its file, and after a panic nothing of it can be relied on.
            let failed = self.database.take();
            let _ = self.directory.guard(|| {
                drop(failed);
                Ok(())
            });
        }
        result
    }

    fn transact(
        &mut self,
        work: impl FnOnce(&WriteTransaction, &mut Ledger) -> Result<(), redb::Error>,
    ) -> Result<(), StorageError> {
        self.with(|database, ledger| {
            let transaction = database.begin_write()?;
            work(&transaction, ledger)?;
            Ok(transaction.commit()?)
        })
    }
}

/// What is known of the document with this key so far, and what follows the document in the key.
fn entry<'a, 'k>(
    known: &'a mut BTreeMap<DocumentId, KnownDocument>,
    key: &'k [u8],
) -> Result<(&'a mut KnownDocument, &'k [u8]), redb::Error> {
    let (_, document, rest) = keys::read(key).ok_or_else(|| damaged("a key"))?;
    let nothing = || KnownDocument { document: document.clone(), summary: Summary::default(), actor: None };
    Ok((known.entry(document.clone()).or_insert_with(nothing), rest))
}

impl Raw {
    /// Whether there is anything to compact.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The document, if all of it is as it was written.
    pub(super) fn check(self) -> Result<StoredDocument, String> {
        match self.sound() {
            (stored, None) => Ok(stored),
            (_, Some(damage)) => Err(damage),
        }
    }

    /// What of the document is as it was written, and the first thing that is not.
    pub(super) fn sound(self) -> (StoredDocument, Option<String>) {
        let Self { key, snapshot, changes, acknowledged, vouchers, heard, .. } = self;
        let mut stored = StoredDocument::default();
        let mut damage = None;
        if let Some(row) = snapshot {
            stored.snapshot = row::expect(&row, Kind::Snapshot, &key).map(<[u8]>::to_vec);
            if stored.snapshot.is_none() {
                damage.get_or_insert("its snapshot is damaged".to_owned());
            }
        }
        for (number, row) in changes {
            let payload = row::expect(&row, Kind::Changes, &keys::numbered(&key, number));
            let changes: Option<Vec<_>> =
                payload.and_then(|payload| values::changes(payload).map(|change| Some(change?.to_vec())).collect());
            match changes {
                Some(changes) => stored.changes.extend(changes),
                None => drop(damage.get_or_insert(format!("its changes number {number} are damaged"))),
            }
        }
        if let Some(row) = acknowledged {
            let payload = row::expect(&row, Kind::Note, &note_key(&key, ACKNOWLEDGED));
            stored.acknowledged = payload.and_then(values::decode_heads);
            if stored.acknowledged.is_none() {
                damage.get_or_insert("the note on what the broker has is damaged".to_owned());
            }
        }
        for (key, row) in vouchers {
            match row::expect(&row, Kind::Note, &key).and_then(|payload| decode_voucher(payload).ok()) {
                Some(voucher) => stored.vouchers.push(voucher),
                None => drop(damage.get_or_insert("a voucher is damaged".to_owned())),
            }
        }
        // Without it old messages may be believed once more; that is no reason to give nothing back.
        let heard = heard.as_deref().and_then(|row| row::expect(row, Kind::Note, &note_key(&key, HEARD)));
        stored.heard = heard.map(<[u8]>::to_vec);
        (stored, damage)
    }
}

impl Replacement {
    /// The row for a snapshot of a document's rows up to number `covered`.
    pub(super) fn new(key: Vec<u8>, covered: u64, incarnation: u64, snapshot: &[u8]) -> Option<Self> {
        let row = row::encode(Kind::Snapshot, &keys::numbered(&key, covered), snapshot)?;
        Some(Self { key, covered, incarnation, row })
    }
}
