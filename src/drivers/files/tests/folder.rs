//! Reading and replacing files.

use std::os::unix::fs::symlink;

use super::{TestFolder, path};
use crate::drivers::files::{Folder, FolderError, Replaced};

#[test]
fn what_was_expected_is_replaced_and_anything_else_is_left() {
    let test = TestFolder::new();
    let folder = Folder::open(test.path()).unwrap();
    let plan = path("boards/deep/plan");
    assert_eq!(folder.read(&plan).unwrap(), None);
    assert_eq!(folder.replace(&plan, Some(b"x"), b"1").unwrap(), Replaced::Raced, "it is not there");
    assert_eq!(folder.replace(&plan, None, b"1").unwrap(), Replaced::Done);
    assert_eq!(folder.replace(&plan, None, b"2").unwrap(), Replaced::Raced, "it is there");
    assert_eq!(folder.replace(&plan, Some(b"x"), b"2").unwrap(), Replaced::Raced, "it has something else");
    assert_eq!(folder.replace(&plan, Some(b"1"), b"2").unwrap(), Replaced::Done);
    assert_eq!(folder.remove(&plan, b"1").unwrap(), Replaced::Raced);
    assert_eq!(folder.read(&plan).unwrap().unwrap(), b"2");
    assert_eq!(folder.remove(&plan, b"2").unwrap(), Replaced::Done);
    assert_eq!(std::fs::read_dir(test.path().join("boards/deep")).unwrap().count(), 0, "nothing is left behind");
}

#[cfg(unix)]
#[test]
fn permissions_stay_as_they_were() {
    use std::os::unix::fs::PermissionsExt;

    let test = TestFolder::new();
    test.write("plan.canvas", "1");
    let file = test.path().join("plan.canvas");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    Folder::open(test.path()).unwrap().replace(&path("plan"), Some(b"1"), b"2").unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let (test, outside) = (TestFolder::new(), TestFolder::new());
    outside.write("x.canvas", "theirs");
    symlink(outside.path(), test.path().join("folder")).unwrap();
    symlink(outside.path().join("x.canvas"), test.path().join("file.canvas")).unwrap();
    symlink(outside.path().join("new.canvas"), test.path().join("dangling.canvas")).unwrap();
    let folder = Folder::open(test.path()).unwrap();
    for id in ["folder/x", "folder/new", "file", "dangling"] {
        let is_link = |error| matches!(error, FolderError::Link { .. });
        assert!(folder.read(&path(id)).is_err_and(is_link), "{id}");
        assert!(folder.replace(&path(id), None, b"ours").is_err_and(is_link), "{id}");
        assert!(folder.replace(&path(id), Some(b"theirs"), b"ours").is_err_and(is_link), "{id}");
        assert!(folder.remove(&path(id), b"theirs").is_err_and(is_link), "{id}");
    }
    assert_eq!((outside.names(), outside.read("x.canvas")), (vec!["x.canvas".to_owned()], "theirs".to_owned()));
}

#[test]
fn a_copy_is_put_aside_under_a_name_of_its_own() {
    let test = TestFolder::new();
    let folder = Folder::open(test.path()).unwrap();
    let aside = |contents: &[u8]| folder.put_aside(&path("in/plan"), "2026-01-02", contents).unwrap();
    assert_eq!(aside(b"1"), "in/plan.local-2026-01-02.canvas");
    assert_eq!(aside(b"2"), "in/plan.local-2026-01-02-1.canvas");
    assert_eq!(test.read("in/plan.local-2026-01-02.canvas"), "1");
}

#[test]
fn an_emptied_folder_is_told_from_one_that_is_gone() {
    let test = TestFolder::new();
    test.write("in/plan.canvas", "1");
    let folder = Folder::open(test.path()).unwrap();
    let plan = path("in/plan");
    assert_eq!(folder.is_empty_beside(&plan).unwrap(), Some(false));
    std::fs::remove_file(test.path().join("in/plan.canvas")).unwrap();
    assert_eq!(folder.is_empty_beside(&plan).unwrap(), Some(true));
    std::fs::remove_dir(test.path().join("in")).unwrap();
    assert_eq!(folder.is_empty_beside(&plan).unwrap(), None);
    assert!(folder.is_empty().unwrap());
    std::fs::remove_dir(test.path()).unwrap();
    assert!(matches!(folder.is_empty(), Err(FolderError::Folder { .. })));
    assert!(matches!(folder.read(&plan), Err(FolderError::Folder { .. })));
}

#[test]
fn what_a_dead_process_left_is_found() {
    let test = TestFolder::new();
    test.write("in/plan.canvas", "1");
    test.write("in/.mqtt-p2p-4294967295-plan.canvas.tmp", "2");
    test.write("in/.mqtt-p2p-1-plan.canvas.tmp", "of a process that lives");
    test.write("in/.other.tmp", "3");
    let folder = Folder::open(test.path()).unwrap();
    let [left] = folder.leftovers(&path("in/plan")).try_into().unwrap();
    assert_eq!((left.of.clone(), left.contents.as_slice()), (path("in/plan"), b"2".as_slice()));
    folder.discard(&left).unwrap();
    assert_eq!(folder.leftovers(&path("in/other")), []);
}

/// Somebody saves at any moment while the file is being replaced; nothing that was saved last may be missing.
#[test]
fn a_save_in_the_same_moment_is_never_lost() {
    let test = TestFolder::new();
    test.write("plan.canvas", "start");
    let folder = Folder::open(test.path()).unwrap();
    let (plan, file) = (path("plan"), test.path().join("plan.canvas"));
    let beside = test.path().join("beside");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ours = scope.spawn(|| {
            let mut seen = std::collections::BTreeSet::new();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let Some(found) = folder.read(&plan).unwrap() else { continue };
                let text = String::from_utf8(found.clone()).unwrap();
                let theirs = text.trim_start_matches("ours again ").trim_start_matches("ours ");
                let next = format!("ours {}{theirs}", if text.starts_with("ours t") { "again " } else { "" });
                seen.insert(theirs.to_owned());
                let _ = folder.replace(&plan, Some(&found), next.as_bytes());
            }
            seen
        });
        for number in 0..300 {
            std::fs::write(&beside, format!("theirs {number}")).unwrap();
            std::fs::rename(&beside, &file).unwrap();
            // Until it has been read, or is in what was read, nobody saves again.
            let wanted = format!("theirs {number}");
            while !std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with(&wanted) && text.starts_with("ours"))
            {
                std::thread::yield_now();
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let seen = ours.join().unwrap();
        for number in 0..300 {
            assert!(seen.contains(&format!("theirs {number}")), "{number}");
        }
    });
    assert_eq!(test.names(), ["plan.canvas"]);
}
