//! Damaged files are told, and stay as they are.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::drivers::storage::acceptance::edits;

/// A closed database with some documents: its bytes.
pub(super) fn fill(folder: &Folder) -> Vec<u8> {
    let disk = Disk::open(&folder.data()).unwrap();
    let mut storage = disk.repository(&name("r"));
    for text in ["c0", "c1", "c2"] {
        for part in edits(text, 7_000).0.chunks(20) {
            let append = StoreOperation::Append { document: canvas(text), changes: part.to_vec() };
            storage.apply(vec![append]).unwrap();
        }
    }
    storage.compact(&canvas("c0")).unwrap();
    close(&disk);
    std::fs::read(folder.database()).unwrap()
}

/// Everything that a disk has, or why it has nothing.
fn everything(folder: &Folder) -> Result<Vec<(DocumentId, StoredDocument)>, StorageError> {
    let disk = Disk::open(&folder.data())?;
    let storage = disk.repository(&name("r"));
    let read = || {
        let mut all = Vec::new();
        for known in storage.documents()? {
            let stored = storage.load(&known.document)?;
            all.extend(stored.map(|stored| (known.document, stored)));
        }
        Ok(all)
    };
    let result = read();
    close(&disk);
    result
}

fn is_corrupt(result: &Result<Vec<(DocumentId, StoredDocument)>, StorageError>) -> bool {
    matches!(result, Err(StorageError::Corrupt { .. }))
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let folder = Folder::new();
    let sound = fill(&folder);
    let mut garbage_header = sound.clone();
    garbage_header[..4096].fill(0xa5);
    let mut only_the_name = sound.clone();
    only_the_name[9..4096].fill(0xff);
    let files: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"text".to_vec(),
        vec![0; 100_000],
        garbage_header,
        only_the_name,
        sound[..320].to_vec(),
        sound[..4096].to_vec(),
        sound[..sound.len() / 2].to_vec(),
        sound[..sound.len() - 1].to_vec(),
    ];
    for (index, bytes) in files.into_iter().enumerate() {
        std::fs::write(folder.database(), &bytes).unwrap();
        let error = everything(&folder).unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { .. }), "{index}: {error}");
        assert!(error.to_string().contains("mqtt-p2p recover --data-dir"), "{error}");
        assert!(std::fs::read(folder.database()).unwrap() == bytes, "{index}: it was changed");
    }
}

#[test]
fn flipped_bytes_never_pass_for_data() {
    let folder = Folder::new();
    let sound = fill(&folder);
    let expected = everything(&folder).unwrap();
    let sound_after = std::fs::read(folder.database()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut refused = 0;
    for round in 0..150 {
        let mut bytes = if round % 2 == 0 { sound.clone() } else { sound_after.clone() };
        let length = bytes.len() as u64;
        for _ in 0..=rng.next_u32() % 4 {
            let at = usize::try_from(rng.next_u64() % length).unwrap();
            bytes[at] ^= 1 << (rng.next_u32() % 8);
        }
        std::fs::write(folder.database(), &bytes).unwrap();
        match everything(&folder) {
            // A byte that nothing uses.
            Ok(all) => assert!(all == expected, "round {round}"),
            result => {
                assert!(is_corrupt(&result), "round {round}: {result:?}");
                assert!(std::fs::read(folder.database()).unwrap() == bytes, "round {round}: it was changed");
                refused += 1;
            }
        }
    }
    assert!(refused > 20, "only {refused} of 150 were noticed");
}

/// Damage that comes while the database is open, past its own checks, is found in the rows.
#[test]
fn damage_to_an_open_database_is_an_error_of_the_document() {
    let folder = Folder::new();
    let disk = Disk::open(&folder.data()).unwrap();
    let mut storage = disk.repository(&name("r"));
    let marker = b"a change that can be found in the file".to_vec();
    storage.apply(vec![append("a", &[&marker]), append("b", &[b"sound"])]).unwrap();
    // Larger than the cache, so that the first row is read from the file again.
    for _ in 0..20 {
        storage.apply(vec![append("ballast", &[&vec![1; crate::limits::STORAGE_CACHE_BYTES / 10]])]).unwrap();
        storage.load(&canvas("ballast")).unwrap();
    }
    let mut bytes = std::fs::read(folder.database()).unwrap();
    let places: Vec<_> = bytes.windows(marker.len()).enumerate().filter(|(_, part)| *part == marker).collect();
    let places: Vec<usize> = places.into_iter().map(|(place, _)| place).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place] ^= 1;
        write_at(&folder.database(), place, &bytes[place..=place]);
    }
    let result = storage.load(&canvas("a"));
    assert!(
        matches!(&result, Err(StorageError::Corrupt { reason, .. }) if reason.contains("r/canvas/a")),
        "{result:?}"
    );
    let (sender, receiver) = std::sync::mpsc::channel();
    storage.apply(vec![append("a", &[b"later"])]).unwrap();
    storage.read(canvas("a"), move |result| sender.send(result).unwrap());
    let sound = receiver.recv().unwrap().unwrap().unwrap();
    assert_eq!(sound.changes, [b"later".to_vec()], "what is sound of it can be had");
    assert_eq!(changes(&disk, "r", "b"), Some(vec![b"sound".to_vec()]));
    assert!(storage.compact(&canvas("a")).is_err(), "what is damaged is not replaced");
    storage.apply(vec![append("c", &[b"1"])]).expect("the others go on");
    close(&disk);
}

pub(super) fn write_at(file: &Path, place: usize, bytes: &[u8]) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(place as u64)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let folder = Folder::new();
    fill(&folder);
    let newer = super::super::file::FORMAT + 1;
    {
        let database = redb::Database::open(folder.database()).unwrap();
        let transaction = database.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, u64>::new("meta");
        transaction.open_table(meta).unwrap().insert("format", newer).unwrap();
        transaction.commit().unwrap();
    }
    let before = std::fs::read(folder.database()).unwrap();
    let error = Disk::open(&folder.data()).map(drop).unwrap_err();
    assert!(matches!(error, StorageError::NewerFormat { found, known: 1, .. } if found == newer), "{error}");
    assert!(error.to_string().contains("newer version"), "{error}");
    assert!(std::fs::read(folder.database()).unwrap() == before, "it was changed");
}

#[test]
fn another_database_is_refused_and_left_alone() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.data()).unwrap();
    drop(redb::Database::create(folder.database()).unwrap());
    let result = everything(&folder);
    assert!(is_corrupt(&result), "{result:?}");
}
