//! What is rescued of damaged files.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::super::row;
use super::*;
use crate::canvas::{CanvasDocument, CanvasPatch, decode_change};
use crate::drivers::storage::{RecoveryReport, acceptance::edits, recover};
use crate::ids::Heads;
use crate::sync::Summary;

/// The nodes of all documents of both repositories, by the names of these.
type Content = BTreeMap<(String, DocumentId), String>;

/// A large canvas that was compacted, a large one that was not, small ones, in two repositories.
fn fill(folder: &Folder) {
    let disk = Disk::open(&folder.data()).unwrap();
    let mut one = disk.repository(&name("one"));
    write(&mut one, "long", 30_000);
    write(&mut one, "small", 500);
    let mut random = vec![0; 8_000];
    ChaCha8Rng::seed_from_u64(7).fill_bytes(&mut random);
    let mut large = CanvasDocument::new();
    large.set_actor([9; 16].to_vec().into());
    edit(&mut one, &mut large, &format!(r#"{{"id":"text","type":"text","text":"{}"}}"#, hex::encode(random)));
    for x in 0..30 {
        edit(&mut one, &mut large, &format!(r#"{{"id":"n","x":{x}}}"#));
    }
    one.compact(&canvas("large")).unwrap();
    let snapshot = one.load(&canvas("large")).unwrap().unwrap().snapshot.unwrap();
    assert!(snapshot.len() > 3 * 4096, "it has not many pages: {}", snapshot.len());
    edit(&mut one, &mut large, r#"{"id":"newer than the snapshot"}"#);
    write(&mut disk.repository(&name("two")), "small", 700);
    close(&disk);
}

/// Puts a node into the large canvas.
fn edit(storage: &mut dyn Storage, large: &mut CanvasDocument, node: &str) {
    let patch = CanvasPatch::from_json(&format!(r#"{{"nodes":{{"upsert":[{node}]}}}}"#)).unwrap();
    let made = large.patch(&patch, "me").unwrap().changes;
    let changes = made.iter().map(|change| change.raw_bytes().to_vec()).collect();
    storage.apply(vec![StoreOperation::Append { document: canvas("large"), changes }]).unwrap();
}

fn write(storage: &mut dyn Storage, text: &str, bytes: usize) {
    let (raw, _) = edits(text, bytes);
    for part in raw.chunks(7) {
        let batch = vec![
            StoreOperation::Append { document: canvas(text), changes: part.to_vec() },
            StoreOperation::Describe { document: canvas(text), summary: Summary::default() },
        ];
        storage.apply(batch).unwrap();
    }
    storage.apply(vec![StoreOperation::Acknowledged { document: canvas(text), heads: Heads::default() }]).unwrap();
}

fn document(stored: &StoredDocument) -> CanvasDocument {
    let mut document =
        stored.snapshot.as_ref().map_or_else(CanvasDocument::new, |bytes| CanvasDocument::load(bytes).unwrap());
    document.apply(stored.changes.iter().map(|bytes| decode_change(bytes.clone()).unwrap()).collect());
    document
}

fn content(folder: &Folder) -> Content {
    let disk = Disk::open(&folder.data()).unwrap();
    let mut content = Content::new();
    for repository in ["one", "two"] {
        let storage = disk.repository(&name(repository));
        for known in storage.documents().unwrap() {
            let stored = storage.load(&known.document).unwrap().unwrap();
            content.insert((repository.to_owned(), known.document), document(&stored).version().to_string());
        }
    }
    close(&disk);
    content
}

fn damaged_file(folder: &Folder, number: u32) -> PathBuf {
    folder.data().join(format!("mqtt-p2p.redb.damaged-{number}"))
}

/// Recovers, and checks what is true of every recovery of a damaged file.
fn recovered(folder: &Folder) -> RecoveryReport {
    let before = std::fs::read(folder.database()).unwrap();
    let report = recover(&folder.data()).unwrap();
    assert_eq!(report.damaged_file, Some(damaged_file(folder, 1)));
    assert!(std::fs::read(damaged_file(folder, 1)).unwrap() == before, "the damaged file was changed");
    report
}

fn places(bytes: &[u8], what: &[u8]) -> Vec<usize> {
    bytes.windows(what.len()).enumerate().filter(|(_, part)| *part == what).map(|(place, _)| place).collect()
}

#[test]
fn a_sound_database_is_left_alone() {
    let folder = Folder::new();
    fill(&folder);
    let (before, expected) = (std::fs::read(folder.database()).unwrap(), content(&folder));
    let after_opening = std::fs::read(folder.database()).unwrap();
    let report = recover(&folder.data()).unwrap();
    assert_eq!((report.documents, report.lost_bytes, report.damaged_file.clone()), (4, 0, None));
    assert!(report.changes > 200 && report.snapshots == 1, "{report:?}");
    assert!(std::fs::read(folder.database()).unwrap() == after_opening, "it was changed");
    assert_eq!(content(&folder), expected);
    assert!(!before.is_empty());
}

#[test]
fn with_its_head_gone_everything_is_found_in_the_bytes() {
    let folder = Folder::new();
    fill(&folder);
    let expected = content(&folder);
    let first_page = 4096;
    for garbage in [0, 0xa5] {
        damage::write_at(&folder.database(), 0, &vec![garbage; first_page]);
        assert!(Disk::open(&folder.data()).is_err());
        let report = recovered(&folder);
        assert_eq!((report.documents, report.lost_bytes), (4, 0), "{report:?}");
        assert!(report.snapshots >= 1, "{report:?}");
        assert_eq!(content(&folder), expected);
        std::fs::remove_file(damaged_file(&folder, 1)).unwrap();
    }
}

#[test]
fn what_is_recovered_twice_keeps_both_damaged_files() {
    let folder = Folder::new();
    fill(&folder);
    for number in 1..=2 {
        damage::write_at(&folder.database(), 0, &[0; 100]);
        let report = recover(&folder.data()).unwrap();
        assert_eq!(report.damaged_file, Some(damaged_file(&folder, number)));
    }
    assert!(damaged_file(&folder, 1).exists());
}

#[test]
fn a_cut_off_file_gives_what_is_in_the_rest() {
    let folder = Folder::new();
    fill(&folder);
    let expected = content(&folder);
    let length = std::fs::metadata(folder.database()).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(folder.database()).unwrap();
    let bytes = std::fs::read(folder.database()).unwrap();
    let rows = places(&bytes, &row::MAGIC);
    // In the middle of the rows.
    file.set_len(rows[rows.len() / 2] as u64 + 10).unwrap();
    drop(file);
    let report = recovered(&folder);
    assert!(report.documents > 0 && report.documents <= 4, "{report:?}");
    let found = content(&folder);
    assert!(found.keys().all(|key| expected.contains_key(key)), "of {length} bytes");
}

/// A header says which document a row belongs to. When it is gone, what it has in common with other rows says it.
#[test]
fn a_large_snapshot_whose_header_is_damaged_finds_its_document() {
    let folder = Folder::new();
    fill(&folder);
    let expected = content(&folder);
    let bytes = std::fs::read(folder.database()).unwrap();
    let snapshot = [0x85, 0x6f, 0x4a, 0x83];
    let mut hit = 0;
    for place in places(&bytes, &row::MAGIC) {
        if bytes[place + 24] == row::Kind::Snapshot as u8 {
            assert!(!places(&bytes[place..place + 200], &snapshot).is_empty(), "the snapshot follows at once");
            damage::write_at(&folder.database(), place + 3, &[0xff]);
            hit += 1;
        }
    }
    assert!(hit > 0);
    damage::write_at(&folder.database(), 0, &[0; 300]);
    let report = recovered(&folder);
    assert_eq!((report.documents, report.snapshots), (4, 1), "{report:?}");
    assert_eq!(content(&folder), expected);
}

#[test]
fn a_damaged_change_takes_only_what_builds_on_it() {
    let folder = Folder::new();
    fill(&folder);
    let expected = content(&folder);
    let disk = Disk::open(&folder.data()).unwrap();
    let long = load(&disk, "one", "long").unwrap().unwrap().changes;
    close(&disk);
    let victim = &long[long.len() / 2];
    let bytes = std::fs::read(folder.database()).unwrap();
    for place in places(&bytes, victim) {
        damage::write_at(&folder.database(), place + victim.len() / 2, &[0xff, 0xfe]);
    }
    let report = recovered(&folder);
    assert!(report.lost_bytes > 0 && report.lost_bytes < 20 * victim.len() as u64, "{report:?}");
    let found = content(&folder);
    for (key, version) in &expected {
        if key.1 != canvas("long") {
            assert_eq!(found.get(key), Some(version));
        }
    }
    let disk = Disk::open(&folder.data()).unwrap();
    let kept = load(&disk, "one", "long").unwrap().unwrap();
    close(&disk);
    // What comes after the damaged one waits for it: with that from another peer, all of it is there again.
    let mut rebuilt = document(&kept);
    rebuilt.apply(vec![decode_change(victim.clone()).unwrap()]);
    rebuilt.apply(kept.changes.iter().map(|bytes| decode_change(bytes.clone()).unwrap()).collect());
    assert_eq!(Some(&rebuilt.version().to_string()), expected.get(&("one".to_owned(), canvas("long"))));
}

#[test]
fn whatever_is_overwritten_the_rest_opens_again() {
    let folder = Folder::new();
    fill(&folder);
    let sound = std::fs::read(folder.database()).unwrap();
    let expected = content(&folder);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut complete = 0;
    for round in 0..40 {
        let mut bytes = sound.clone();
        for _ in 0..=rng.next_u32() % 3 {
            let page = 4096 * usize::try_from(rng.next_u64() % (sound.len() as u64 / 4096)).unwrap();
            rng.fill_bytes(&mut bytes[page..page + 4096]);
        }
        std::fs::write(folder.database(), &bytes).unwrap();
        let report = recover(&folder.data()).unwrap();
        let found = content(&folder);
        assert!(found.keys().all(|key| expected.contains_key(key)), "round {round}: {report:?}");
        complete += usize::from(found == expected);
        if let Some(damaged) = report.damaged_file {
            assert!(std::fs::read(&damaged).unwrap() == bytes, "round {round}: the damaged file was changed");
            std::fs::remove_file(damaged).unwrap();
        }
    }
    assert!(complete > 0, "everything is rescued when it was nothing important");
}

#[test]
fn recovering_needs_a_database_that_nobody_uses() {
    let folder = Folder::new();
    let missing = recover(&folder.data()).unwrap_err();
    assert!(matches!(missing, StorageError::Io { kind: std::io::ErrorKind::NotFound, .. }), "{missing}");
    assert!(!folder.data().exists(), "it was made");
    let disk = Disk::open(&folder.data()).unwrap();
    assert!(matches!(recover(&folder.data()), Err(StorageError::Locked { .. })));
    close(&disk);
    assert_eq!(recover(&folder.data()).unwrap(), RecoveryReport::default());
}

#[test]
fn a_file_without_anything_of_ours_gives_an_empty_database() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.data()).unwrap();
    std::fs::write(folder.database(), vec![0x85; 50_000]).unwrap();
    let report = recovered(&folder);
    assert_eq!((report.documents, report.changes), (0, 0));
    assert_eq!(content(&folder), Content::new());
}
