//! Finding the canvas files below a folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use super::path::{CanvasPath, PathError};

/// What a look at the whole folder found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The canvas files.
    pub files: BTreeSet<CanvasPath>,
    /// The folders in which there may be some, the folder itself among them.
    pub folders: BTreeSet<PathBuf>,
    /// Files that have the extension and cannot be synchronised.
    pub refused: Vec<PathError>,
    /// Parts of the folder that could not be read, in words: what is in them is not known.
    pub unread: Vec<String>,
}

/// Looks for `**/*.canvas`, as git would: not in hidden folders nor in `.git`, and not what `.gitignore` names. Symbolic
/// links are not followed.
#[must_use]
pub fn scan(folder: &Path) -> Scan {
    let mut scan = Scan::default();
    let walk =
        WalkBuilder::new(folder).require_git(false).git_global(true).git_exclude(true).follow_links(false).build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                scan.unread.push(error.to_string());
                continue;
            }
        };
        match entry.file_type() {
            Some(kind) if kind.is_dir() => {
                scan.folders.insert(entry.into_path());
                continue;
            }
            Some(kind) if kind.is_file() => {}
            _ => continue,
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
