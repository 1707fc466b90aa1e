//! Finding the canvas files below a folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ignore::gitignore::Gitignore;
use ignore::{Match, WalkBuilder};

use super::path::{CanvasPath, PathError};

/// What a look at the whole folder found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The canvas files.
    pub files: BTreeSet<CanvasPath>,
    /// The folders in which canvas files can be, the given one among them.
    pub folders: BTreeSet<PathBuf>,
    /// Files that have the extension and cannot be synchronised.
    pub refused: Vec<PathError>,
    /// Parts of the folder that could not be read, in words: what is in them is not known.
    pub unread: Vec<String>,
}

/// Looks for `**/*.canvas`, as git would: not in hidden folders nor in `.git`, not what `.gitignore` names, and not in work
/// trees of other repositories, whose branches are none of ours. Symbolic links are not followed.
#[must_use]
pub fn scan(folder: &Path) -> Scan {
    let mut scan = Scan::default();
    let mut walk = WalkBuilder::new(folder);
    walk.require_git(false).ignore(false).follow_links(false).filter_entry(|entry| {
        let is_folder = entry.depth() > 0 && entry.file_type().is_some_and(|kind| kind.is_dir());
        !(is_folder && is_work_tree(entry.path()))
    });
    for entry in walk.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                scan.unread.push(error.to_string());
                continue;
            }
        };
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            scan.folders.insert(entry.into_path());
            continue;
        }
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(relative) = entry.path().strip_prefix(folder) else { continue };
        match CanvasPath::of_file(relative) {
            Ok(path) => {
                scan.files.insert(path);
            }
            Err(PathError::NotACanvas(_)) => {}
            Err(error) => scan.refused.push(error),
        }
    }
    scan
}

fn is_work_tree(folder: &Path) -> bool {
    folder.join(".git").exists()
}

/// Whether a file is in the work tree of another repository than the folder: a submodule, or a clone.
#[must_use]
pub fn is_in_other_work_tree(folder: &Path, path: &CanvasPath) -> bool {
    let relative = path.relative();
    Path::new(&relative).ancestors().skip(1).any(|part| part != Path::new("") && is_work_tree(&folder.join(part)))
}

/// Whether the `.gitignore` files below a folder would have a file ignored. What else git ignores, git itself knows.
#[must_use]
pub fn is_ignored(folder: &Path, path: &CanvasPath) -> bool {
    let relative = path.relative();
    let relative = Path::new(&relative);
    // The innermost that says anything decides; but what is in an ignored folder cannot be taken back.
    let ignored = |part: &Path, is_dir: bool| {
        let says = part.ancestors().skip(1).find_map(|above| {
            let (rules, _) = Gitignore::new(folder.join(above).join(".gitignore"));
            match rules.matched(folder.join(part), is_dir) {
                Match::None => None,
                said => Some(said.is_ignore()),
            }
        });
        says.unwrap_or(false)
    };
    relative.ancestors().skip(1).any(|part| part != Path::new("") && ignored(part, true)) || ignored(relative, false)
}
