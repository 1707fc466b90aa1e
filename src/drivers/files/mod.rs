//! Canvases as files in a folder, which may be a git work tree.
//!
//! | file | what |
//! | --- | --- |
//! | `decide.rs` | what is to be done about one canvas and its file: pure |
//! | `debounce.rs` | waiting until something has come to rest: pure |
//! | `meet.rs` | a file and a canvas of one name that meet for the first time: pure |
//! | `record.rs` | what a file and its canvas last had in common, and what a saved file is a difference from: pure |
//! | `path.rs` | which file a canvas is: names that lead nowhere else |
//! | `folder.rs` | the files below a folder, and nothing else |
//! | `replace.rs` | replacing a file without losing what somebody saves at the same moment |
//! | `stale.rs` | what a save of an old copy takes back: pure |
//! | `scan.rs`, `watcher.rs` | finding the files, and being told of changes |
//! | `git.rs` | what git knows |
//! | `ledger.rs` | where the records are kept |

mod debounce;
mod decide;
mod folder;
mod git;
mod ledger;
mod meet;
mod path;
mod record;
mod replace;
mod scan;
mod stale;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod watcher;

pub use debounce::Debounce;
pub use decide::{Action, CanvasNow, FileNow, decide, looks_emptied};
pub use folder::{Folder, FolderError, Leftover};
pub use git::{Git, GitState, Glance, Incoming, Operation, Steps};
pub use ledger::{Ledger, Place};
pub use meet::{Meeting, meet};
pub use path::{CanvasPath, EXTENSION, PathError};
pub use record::{Basis, Common, FileDigest, FileRecord, union};
pub use replace::Replaced;
pub use scan::{Scan, is_ignored, is_in_other_work_tree, scan};
pub use stale::taken_back;
pub use watcher::{Seen, WatchError, Watcher};
