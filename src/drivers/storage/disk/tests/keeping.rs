//! What is stored stays, and stays where it belongs.

use super::*;
use crate::drivers::storage::acceptance;
use crate::limits::COMPACT_BYTES;
use crate::sync::{ActorMark, KnownDocument, Summary};

#[test]
fn disk_storage_is_accepted() {
    let folder = Folder::new();
    let disk = Disk::open(&folder.data()).unwrap();
    acceptance::accepts(&mut disk.repository(&name("r")));
    close(&disk);
}

#[test]
fn a_disk_that_is_opened_again_has_everything() {
    let folder = Folder::new();
    let mut disk = Disk::open(&folder.data()).unwrap();
    acceptance::keeps_after(|| {
        close(&disk);
        disk = Disk::open(&folder.data()).unwrap();
        Box::new(disk.repository(&name("r")))
    });
    close(&disk);
}

#[test]
fn what_was_handed_over_is_there_after_dropping_without_closing() {
    let folder = Folder::new();
    let disk = Disk::open(&folder.data()).unwrap();
    for number in 0..100_u8 {
        disk.repository(&name("r")).store(vec![append("a", &[&[number]])], |result| result.unwrap());
    }
    drop(disk);
    // Its thread closes it; until then it is in use.
    let disk = loop {
        match Disk::open(&folder.data()) {
            Ok(disk) => break disk,
            Err(error) => assert!(matches!(error, StorageError::Locked { .. }), "{error}"),
        }
        std::thread::yield_now();
    };
    assert_eq!(changes(&disk, "r", "a").unwrap().len(), 100);
    close(&disk);
}

#[test]
fn repositories_that_hold_the_same_document_do_not_mix() {
    let folder = Folder::new();
    let disk = Disk::open(&folder.data()).unwrap();
    let (mut one, mut two) = (disk.repository(&name("one")), disk.repository(&name("two")));
    one.apply(vec![append("a", &[b"1"])]).unwrap();
    two.apply(vec![append("a", &[b"2"]), append("b", &[b"3"])]).unwrap();
    let mark = ActorMark { actor: [1; 16].to_vec().into(), sequence: 1 };
    for storage in [&mut one, &mut two] {
        storage.apply(vec![StoreOperation::KeepActor { document: canvas("a"), mark: mark.clone() }]).unwrap();
    }
    one.apply(vec![StoreOperation::ForgetActors]).unwrap();
    assert_eq!(one.documents().unwrap().len(), 1);
    assert_eq!(two.documents().unwrap()[0].actor, Some(mark));
    one.apply(vec![StoreOperation::Delete { document: canvas("a") }]).unwrap();
    assert_eq!(one.documents().unwrap(), []);
    assert_eq!(changes(&disk, "two", "a"), Some(vec![b"2".to_vec()]));
    close(&disk);
}

#[test]
fn a_document_of_which_only_notes_are_known_is_listed() {
    let folder = Folder::new();
    let disk = Disk::open(&folder.data()).unwrap();
    let mut storage = disk.repository(&name("r"));
    let summary = Summary { nodes: 1, ..Summary::default() };
    storage.apply(vec![StoreOperation::Describe { document: canvas("a"), summary: summary.clone() }]).unwrap();
    assert_eq!(storage.documents().unwrap(), [KnownDocument { document: canvas("a"), summary, actor: None }]);
    assert_eq!(storage.load(&canvas("a")).unwrap(), Some(StoredDocument::default()));
    close(&disk);
}

#[test]
fn a_closed_disk_refuses() {
    let folder = Folder::new();
    let disk = Disk::open(&folder.data()).unwrap();
    let mut storage = disk.repository(&name("r"));
    close(&disk);
    close(&disk);
    assert_eq!(storage.apply(vec![append("a", &[b"1"])]), Err(StorageError::Closed));
    assert_eq!(storage.load(&canvas("a")), Err(StorageError::Closed));
    assert_eq!(storage.documents(), Err(StorageError::Closed));
    assert_eq!(storage.compact(&canvas("a")), Err(StorageError::Closed));
}

#[test]
fn what_gathers_is_compacted_by_itself() {
    let folder = Folder::new();
    let disk = Disk::open(&folder.data()).unwrap();
    let mut storage = disk.repository(&name("r"));
    let (canvas_changes, version) = acceptance::edits("x", COMPACT_BYTES);
    for changes in canvas_changes.chunks(100) {
        storage.apply(vec![StoreOperation::Append { document: canvas("a"), changes: changes.to_vec() }]).unwrap();
    }
    // Waits for the one under way, and does the rest.
    storage.compact(&canvas("a")).unwrap();
    let stored = storage.load(&canvas("a")).unwrap().unwrap();
    assert_eq!(stored.changes.len(), 0);
    let snapshot = stored.snapshot.unwrap();
    assert_eq!(crate::canvas::CanvasDocument::load(&snapshot).unwrap().version(), version);
    close(&disk);
    let disk = Disk::open(&folder.data()).unwrap();
    assert_eq!(load(&disk, "r", "a").unwrap().unwrap().snapshot, Some(snapshot));
    close(&disk);
}

#[test]
fn what_cannot_be_compacted_stays_as_it_is() {
    let folder = Folder::new();
    let disk = Disk::open(&folder.data()).unwrap();
    let mut storage = disk.repository(&name("r"));
    let large = vec![7; COMPACT_BYTES + 1];
    storage.apply(vec![append("a", &[&large])]).unwrap();
    assert!(matches!(storage.compact(&canvas("a")), Err(StorageError::Corrupt { .. })));
    storage.apply(vec![append("a", &[b"1"])]).unwrap();
    let stored = storage.load(&canvas("a")).unwrap().unwrap();
    assert_eq!((stored.snapshot, stored.changes), (None, vec![large, b"1".to_vec()]));
    close(&disk);
}
