//! The tables within one write transaction: operations become rows.

use std::fmt::Display;

use redb::{Database, ReadableDatabase, ReadableTable, Table, WriteTransaction};

use super::file::{ACTORS, CHANGES, NOTES, SNAPSHOTS};
use super::keys;
use super::ledger::{Draft, Entry, Ledger};
use super::row::{self, Kind};
use super::store::Replacement;
use super::values;
use crate::ids::RepositoryName;
use crate::sync::StoreOperation;
use crate::wire::{Voucher, encode_voucher};

/// Kinds of notes, at the end of their keys.
pub(super) const SUMMARY: u8 = 1;
pub(super) const ACKNOWLEDGED: u8 = 2;
/// Up to which sequence number the snapshot covers the changes.
const COVERED: u8 = 3;
/// Who vouches for the changes of an actor. Keys of these end with the actor, its length, and this.
pub(super) const VOUCHER: u8 = 4;
/// What was heard of other peers; of an index.
pub(super) const HEARD: u8 = 5;

type Rows<'a> = Table<'a, &'static [u8], &'static [u8]>;

pub(super) struct Tables<'a> {
    snapshots: Rows<'a>,
    changes: Rows<'a>,
    notes: Rows<'a>,
    actors: Rows<'a>,
}

impl<'a> Tables<'a> {
    pub(super) fn open(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            snapshots: transaction.open_table(SNAPSHOTS)?,
            changes: transaction.open_table(CHANGES)?,
            notes: transaction.open_table(NOTES)?,
            actors: transaction.open_table(ACTORS)?,
        })
    }

    pub(super) fn carry_out(
        &mut self,
        repository: &RepositoryName,
        operation: &StoreOperation,
        ledger: &mut Ledger,
        draft: &mut Draft,
    ) -> Result<(), redb::Error> {
        let document = match operation {
            StoreOperation::Append { document, .. }
            | StoreOperation::Replace { document, .. }
            | StoreOperation::Vouch { document, .. }
            | StoreOperation::Heard { document, .. }
            | StoreOperation::Describe { document, .. }
            | StoreOperation::Acknowledged { document, .. }
            | StoreOperation::KeepActor { document, .. }
            | StoreOperation::Delete { document } => document,
            StoreOperation::ForgetActors => {
                let prefix = keys::repository(repository);
                let end = keys::after(&prefix).unwrap_or_default();
                return Ok(self.actors.retain_in::<&[u8], _>(prefix.as_slice()..end.as_slice(), |_, _| false)?);
            }
        };
        let key = keys::document(repository, document);
        match operation {
            StoreOperation::Append { changes, .. } => self.append(&key, changes, draft.entry(ledger, &key)),
            StoreOperation::Replace { snapshot, .. } => {
                let entry = draft.renewed(ledger, &key);
                let (covered, incarnation) = (entry.last, entry.incarnation);
                let replacement = Replacement::new(key, covered, incarnation, snapshot);
                self.replace(&replacement.ok_or(redb::Error::ValueTooLarge(snapshot.len()))?, entry)
            }
            StoreOperation::Vouch { vouchers, .. } => {
                draft.entry(ledger, &key);
                vouchers.iter().try_for_each(|voucher| self.vouch(&key, voucher))
            }
            StoreOperation::Describe { summary, .. } => {
                draft.entry(ledger, &key);
                self.note(&key, SUMMARY, &values::encode_summary(summary))
            }
            StoreOperation::Acknowledged { heads, .. } => {
                draft.entry(ledger, &key);
                self.note(&key, ACKNOWLEDGED, &values::encode_heads(heads))
            }
            StoreOperation::Heard { marks, .. } => {
                draft.entry(ledger, &key);
                self.note(&key, HEARD, marks)
            }
            StoreOperation::KeepActor { mark, .. } => {
                draft.entry(ledger, &key);
                put(&mut self.actors, Kind::Actor, &key, &values::encode_actor(mark))
            }
            StoreOperation::Delete { .. } => {
                self.delete(&key)?;
                draft.remove(key);
                Ok(())
            }
            StoreOperation::ForgetActors => Ok(()),
        }
    }

    /// Puts a snapshot in the place of the changes that it covers.
    pub(super) fn replace(&mut self, replacement: &Replacement, entry: &mut Entry) -> Result<(), redb::Error> {
        let Replacement { key, covered, .. } = replacement;
        self.put_snapshot(replacement)?;
        let (first, last) = (keys::numbered(key, 0), keys::numbered(key, *covered));
        self.changes.retain_in::<&[u8], _>(first.as_slice()..=last.as_slice(), |_, row| {
            entry.uncompacted = entry.uncompacted.saturating_sub(change_bytes(row));
            false
        })?;
        Ok(())
    }

    pub(super) fn put_snapshot(&mut self, replacement: &Replacement) -> Result<(), redb::Error> {
        let Replacement { key, covered, row, .. } = replacement;
        self.snapshots.insert(key.as_slice(), row.as_slice())?;
        self.note(key, COVERED, &covered.to_be_bytes())
    }

    /// Carries out an operation on a document that is not there yet.
    pub(super) fn add(&mut self, repository: &RepositoryName, operation: &StoreOperation) -> Result<(), redb::Error> {
        self.carry_out(repository, operation, &mut Ledger::default(), &mut Draft::default())
    }

    fn append(&mut self, key: &[u8], changes: &[Vec<u8>], entry: &mut Entry) -> Result<(), redb::Error> {
        let payload = values::encode_changes(changes).ok_or(redb::Error::ValueTooLarge(usize::MAX))?;
        entry.last += 1;
        entry.uncompacted += changes.iter().map(Vec::len).sum::<usize>();
        put(&mut self.changes, Kind::Changes, &keys::numbered(key, entry.last), &payload)
    }

    fn note(&mut self, key: &[u8], kind: u8, payload: &[u8]) -> Result<(), redb::Error> {
        put(&mut self.notes, Kind::Note, &note_key(key, kind), payload)
    }

    /// What the wire could not express nobody could pass on, and it is not kept.
    fn vouch(&mut self, key: &[u8], voucher: &Voucher) -> Result<(), redb::Error> {
        let Ok(payload) = encode_voucher(voucher) else { return Ok(()) };
        put(&mut self.notes, Kind::Note, &voucher_key(key, voucher.actor.to_bytes()), &payload)
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), redb::Error> {
        self.snapshots.remove(key)?;
        self.actors.remove(key)?;
        // Keys of other documents neither begin with this one nor lie between.
        let end = keys::after(key).unwrap_or_default();
        self.notes.retain_in::<&[u8], _>(key..end.as_slice(), |_, _| false)?;
        let (first, last) = (keys::numbered(key, 0), keys::numbered(key, u64::MAX));
        Ok(self.changes.retain_in::<&[u8], _>(first.as_slice()..=last.as_slice(), |_, _| false)?)
    }
}

fn put(table: &mut Rows<'_>, kind: Kind, key: &[u8], payload: &[u8]) -> Result<(), redb::Error> {
    let row = row::encode(kind, key, payload).ok_or(redb::Error::ValueTooLarge(payload.len()))?;
    table.insert(key, row.as_slice())?;
    Ok(())
}

pub(super) fn note_key(document: &[u8], kind: u8) -> Vec<u8> {
    [document, &[kind]].concat()
}

/// The key of the note on one actor.
fn voucher_key(document: &[u8], actor: &[u8]) -> Vec<u8> {
    let length = u8::try_from(actor.len()).unwrap_or(u8::MAX);
    [document, actor, &[length, VOUCHER]].concat()
}

/// The document's part of a note's key.
pub(super) fn document_of_note(key: &[u8]) -> Option<&[u8]> {
    match key.split_last()? {
        (&VOUCHER, rest) => {
            let (length, rest) = rest.split_last()?;
            rest.get(..rest.len().checked_sub(usize::from(*length))?)
        }
        (_, document) => Some(document),
    }
}

/// Fills the ledger from all rows of the database.
pub(super) fn read_ledger(database: &Database, mut ledger: Ledger) -> Result<Ledger, redb::Error> {
    let transaction = database.begin_read()?;
    for item in transaction.open_table(NOTES)?.iter()? {
        let (key, value) = item?;
        let entry = ledger.entry(document_of_note(key.value()).ok_or_else(|| damaged("a key"))?);
        if key.value().last() == Some(&COVERED) {
            let covered = row::expect(value.value(), Kind::Note, key.value()).and_then(|row| row.first_chunk());
            entry.last = entry.last.max(u64::from_be_bytes(*covered.ok_or_else(|| damaged("a note"))?));
        }
    }
    for item in transaction.open_table(ACTORS)?.iter()? {
        ledger.entry(item?.0.value());
    }
    for item in transaction.open_table(CHANGES)?.iter()? {
        let (key, value) = item?;
        let (document, number) = keys::split_number(key.value()).ok_or_else(|| damaged("a key"))?;
        let entry = ledger.entry(document);
        entry.last = entry.last.max(number);
        entry.uncompacted += change_bytes(value.value());
    }
    Ok(ledger)
}

/// How many bytes the changes of a row have.
fn change_bytes(row: &[u8]) -> usize {
    let payload = row::read(row).map_or(&[][..], |row| row.payload);
    values::changes(payload).flatten().map(<[u8]>::len).sum()
}

pub(super) fn damaged(what: impl Display) -> redb::Error {
    redb::Error::Corrupted(format!("{what} is damaged"))
}
