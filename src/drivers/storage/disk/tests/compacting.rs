//! Compaction beside everything else.

use super::super::compactor::replacement;
use super::super::file::{Directory, open_file};
use super::super::keys;
use super::super::store::{Batch, Store};
use super::*;
use crate::drivers::storage::acceptance::edits;

fn open(folder: &Folder) -> Store {
    Store::open(Directory::open(&folder.data()).unwrap(), Box::new(open_file)).unwrap()
}

fn write(store: &mut Store, operation: StoreOperation) {
    store.write(&[&Batch { repository: name("r"), operations: vec![operation] }]).unwrap();
}

fn stored(store: &mut Store) -> Option<StoredDocument> {
    let key = keys::document(&name("r"), &canvas("a"));
    store.read(&key).unwrap().map(|raw| raw.check().unwrap())
}

/// Writes the first changes of a canvas, and makes the snapshot that is to take their place; returns the other changes.
fn begin(store: &mut Store) -> (super::super::store::Replacement, Vec<Vec<u8>>) {
    let (mut raw, _) = edits("n", 3_000);
    let rest = raw.split_off(raw.len() / 2);
    for change in raw {
        write(store, append("a", &[&change]));
    }
    let key = keys::document(&name("r"), &canvas("a"));
    (replacement(store.read(&key).unwrap().unwrap()).unwrap(), rest)
}

#[test]
fn what_is_appended_while_a_snapshot_is_made_stays() {
    let folder = Folder::new();
    let mut store = open(&folder);
    let (made, rest) = begin(&mut store);
    let appended: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
    write(&mut store, append("a", &appended));
    store.replace(&made).unwrap();
    let after = stored(&mut store).unwrap();
    assert!(after.snapshot.is_some());
    assert_eq!(after.changes, rest);
    let key = keys::document(&name("r"), &canvas("a"));
    let gathered: usize = rest.iter().map(Vec::len).sum();
    assert_eq!(store.ledger().get(&key).unwrap().uncompacted, gathered);
    store.close().unwrap();
    drop(store);
    let mut store = open(&folder);
    assert_eq!(stored(&mut store), Some(after));
    assert_eq!(store.ledger().get(&key).unwrap().uncompacted, gathered);
    write(&mut store, append("a", &[b"last"]));
    assert_eq!(stored(&mut store).unwrap().changes.last().unwrap(), b"last", "numbers go on after a snapshot");
}

#[test]
fn a_document_that_is_deleted_while_its_snapshot_is_made_stays_deleted() {
    let folder = Folder::new();
    let mut store = open(&folder);
    let (made, rest) = begin(&mut store);
    write(&mut store, StoreOperation::Delete { document: canvas("a") });
    store.replace(&made).unwrap();
    assert_eq!(stored(&mut store), None);
    write(&mut store, append("a", &[&rest[0]]));
    store.replace(&made).unwrap();
    let anew = StoredDocument { changes: vec![rest[0].clone()], ..StoredDocument::default() };
    assert_eq!(stored(&mut store), Some(anew), "another document of that name");
}
