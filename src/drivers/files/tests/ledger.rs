//! What is kept for the next start.

use super::TestFolder;
use crate::canvas::{Canvas, Version};
use crate::drivers::files::{Common, FileDigest, FileRecord, Ledger, Place};
use crate::ids::{CanvasId, RepositoryName};

fn names(repository: &str, canvas: &str) -> (RepositoryName, CanvasId) {
    (RepositoryName::new(repository).unwrap(), CanvasId::new(canvas).unwrap())
}

fn record() -> FileRecord {
    let common = Common { version: Version::default(), canvas: Canvas::default(), written_unix_ms: Some(1) };
    FileRecord::new(FileDigest::of(b"x"), common)
}

#[test]
fn records_outlive_the_process_and_are_told_apart() {
    let folder = TestFolder::new();
    let (team, plan) = names("team", "plan");
    let (other, long) = names("tea", "mplan");
    let place = Place { folder: "f".to_owned(), branch: Some("main".to_owned()), head: None };
    {
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.keep(&team, &plan, Some(&record())).unwrap();
        ledger.keep(&other, &long, Some(&record())).unwrap();
        ledger.keep(&other, &long, None).unwrap();
        ledger.keep_with_next(&team, &long, &record()).unwrap();
        ledger.keep_place(&team, &place).unwrap();
        assert!(Ledger::open(folder.path()).is_err(), "it is in use");
    }
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(ledger.canvases(&team), [long.clone(), plan.clone()]);
    assert_eq!(ledger.canvases(&other), []);
    assert_eq!(ledger.record(&team, &plan), Some(record()));
    assert_eq!(ledger.place(&team), Some(place));
    assert!(ledger.is_lasting() && !Ledger::default().is_lasting());
}

#[test]
fn a_damaged_ledger_is_put_aside() {
    let folder = TestFolder::new();
    let (team, plan) = names("team", "plan");
    Ledger::open(folder.path()).unwrap().keep(&team, &plan, Some(&record())).unwrap();
    std::fs::write(folder.path().join("files.redb"), b"no database").unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(ledger.canvases(&team), []);
    ledger.keep(&team, &plan, Some(&record())).unwrap();
    assert_eq!(std::fs::read(folder.path().join("files.redb.damaged")).unwrap(), b"no database");
}
