//! What is to be done about one canvas and its file. Pure.

use std::collections::BTreeSet;

use super::path::CanvasPath;

/// How the file compares with what was last common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileNow {
    /// There is none.
    Absent,
    /// It holds what was last common.
    Same,
    /// It holds something else. Without a record every file does.
    Changed,
    /// It cannot be read or parsed.
    Unusable,
}

/// How the canvas compares with what was last common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanvasNow {
    /// Nobody has been heard of who knows it.
    Unknown,
    /// It was deleted.
    Deleted,
    /// It is listed, and nothing of it has arrived yet.
    Awaited,
    /// It is at the version that was last common.
    Same,
    /// It is at another version. Without a record every canvas is.
    Changed,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing; the next thing that happens to either leads here again.
    Nothing,
    /// Forget the record.
    Forget,
    /// Create the canvas from the file.
    Create,
    /// File and canvas meet for the first time: find out what each has that the other lacks.
    Meet,
    /// Take the file's changes into the canvas, then write what the canvas is into the file.
    Save,
    /// Write what the canvas is into the file.
    Write,
    /// Delete the canvas, unless so much is gone that the folder itself may be.
    Delete,
    /// Remove the file.
    Remove,
}

/// Decides.
///
/// | record | file | canvas | action | because |
/// | --- | --- | --- | --- | --- |
/// | any | unusable | any | nothing | it is taken up when it can be read |
/// | any | any | awaited | nothing | what it holds is on its way |
/// | no | absent | unknown, deleted | nothing | |
/// | no | absent | changed | write | it is new here |
/// | no | changed | unknown, deleted | create | nobody has it |
/// | no | changed | changed | meet | |
/// | yes | absent | unknown, deleted | forget | both are gone |
/// | yes | absent | same | delete | somebody removed the file |
/// | yes | absent | changed | write | what others did meanwhile outlives the removal |
/// | yes | same | unknown | create | the network has lost it |
/// | yes | same | deleted | remove | somebody deleted the canvas |
/// | yes | same | same | nothing | |
/// | yes | same | changed | write | |
/// | yes | changed | unknown, deleted | create | what was saved meanwhile outlives the deletion |
/// | yes | changed | same, changed | save | |
#[must_use]
pub fn decide(has_record: bool, file: FileNow, canvas: CanvasNow) -> Action {
    use {CanvasNow as C, FileNow as F};

    match (has_record, file, canvas) {
        (_, F::Unusable, _)
        | (_, _, C::Awaited)
        | (false, F::Absent, C::Unknown | C::Deleted)
        | (true, F::Same, C::Same) => Action::Nothing,
        (false, F::Absent, C::Same | C::Changed) | (true, F::Absent | F::Same, C::Changed) => Action::Write,
        (false, F::Same | F::Changed, C::Unknown | C::Deleted)
        | (true, F::Same, C::Unknown)
        | (true, F::Changed, C::Unknown | C::Deleted) => Action::Create,
        (false, F::Same | F::Changed, C::Same | C::Changed) => Action::Meet,
        (true, F::Absent, C::Unknown | C::Deleted) => Action::Forget,
        (true, F::Absent, C::Same) => Action::Delete,
        (true, F::Same, C::Deleted) => Action::Remove,
        (true, F::Changed, C::Same | C::Changed) => Action::Save,
    }
}

/// Whether files that have gone were removed one by one, or the folder with them: then nothing may be deleted for
/// everybody.
///
/// `gone` are those that have, of all `known`, which includes them; `emptied` says of a file whether the folder that held it
/// is there and has nothing at all in it any more.
#[must_use]
pub fn looks_emptied(
    known: &BTreeSet<CanvasPath>,
    gone: &BTreeSet<CanvasPath>,
    emptied: impl Fn(&CanvasPath) -> bool,
) -> bool {
    if gone.len() >= 2 && gone.len() == known.len() {
        return true;
    }
    // A mount point that has lost its file system is an empty folder.
    let together = |path: &CanvasPath| {
        let beside = |other: &&CanvasPath| other.folders().eq(path.folders());
        let had = known.iter().filter(beside).count();
        had >= 2 && had == gone.iter().filter(beside).count()
    };
    gone.iter().any(|path| (together(path) || path.folders().next().is_none()) && emptied(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CanvasId;

    const FILES: [FileNow; 4] = [FileNow::Absent, FileNow::Same, FileNow::Changed, FileNow::Unusable];
    const CANVASES: [CanvasNow; 5] =
        [CanvasNow::Unknown, CanvasNow::Deleted, CanvasNow::Awaited, CanvasNow::Same, CanvasNow::Changed];

    fn paths(ids: &[&str]) -> BTreeSet<CanvasPath> {
        ids.iter().map(|id| CanvasPath::of_id(&CanvasId::new(id).unwrap()).unwrap()).collect()
    }

    #[test]
    fn nothing_that_anybody_has_changed_is_thrown_away() {
        for has_record in [false, true] {
            for (file, canvas) in FILES.iter().flat_map(|file| CANVASES.map(|canvas| (*file, canvas))) {
                let action = decide(has_record, file, canvas);
                if file == FileNow::Changed {
                    assert!(!matches!(action, Action::Write | Action::Remove | Action::Forget | Action::Delete));
                }
                if canvas == CanvasNow::Changed {
                    assert!(!matches!(action, Action::Delete | Action::Forget | Action::Create));
                }
                if file == FileNow::Unusable {
                    assert_eq!(action, Action::Nothing);
                }
            }
        }
    }

    #[test]
    fn only_what_is_known_to_have_been_deleted_is_deleted() {
        assert_eq!(decide(true, FileNow::Same, CanvasNow::Deleted), Action::Remove);
        assert_eq!(decide(true, FileNow::Same, CanvasNow::Unknown), Action::Create);
        assert_eq!(decide(true, FileNow::Absent, CanvasNow::Same), Action::Delete);
        assert_eq!(decide(false, FileNow::Absent, CanvasNow::Changed), Action::Write);
    }

    #[test]
    fn a_folder_that_has_lost_everything_is_told_from_files_that_were_removed() {
        let known = paths(&["a", "b", "mounted/c", "mounted/d"]);
        let emptied = |ids: &[&str], empty: bool| looks_emptied(&known, &paths(ids), |_| empty);
        assert!(emptied(&["a", "b", "mounted/c", "mounted/d"], false));
        assert!(emptied(&["mounted/c", "mounted/d"], true));
        assert!(!emptied(&["mounted/c", "mounted/d"], false));
        assert!(!emptied(&["mounted/c"], true));
        assert!(!emptied(&["a"], false));
        // The only one there was, in a folder in which nothing is left.
        assert!(looks_emptied(&paths(&["a"]), &paths(&["a"]), |_| true));
        assert!(!looks_emptied(&paths(&["a"]), &paths(&["a"]), |_| false));
    }
}
