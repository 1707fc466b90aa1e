//! Being told when something below a folder changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use thiserror::Error;

/// The system cannot watch a folder.
#[derive(Debug, Error)]
#[error("{} cannot be watched: {reason}; on Linux the limit is fs.inotify.max_user_watches", path.display())]
pub struct WatchError {
    /// The folder.
    path: PathBuf,
    /// What the system said.
    reason: String,
}

/// What was seen.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// Something happened to these paths.
    Paths(Vec<PathBuf>),
    /// More happened than the system could tell: everything has to be looked at.
    Everything,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    watcher: RecommendedWatcher,
    folder: PathBuf,
    followed: BTreeSet<PathBuf>,
}

/// Where the system watches a folder and all below it at the price of one. On Linux each folder has its price, so that only
/// those are watched that may have canvases: not those that are ignored, which may be many thousands.
const WHOLE: bool = cfg!(any(target_os = "macos", windows));

impl Watcher {
    /// Watches a folder, and those below it that [`follow`](Self::follow) names. `tell` is called on a thread of the
    /// watcher's, for each thing that happens.
    ///
    /// # Errors
    /// The system refuses, for instance because its limit of watches is reached.
    pub fn new(folder: &Path, tell: impl Fn(Seen) + Send + 'static) -> Result<Self, WatchError> {
        let handler = move |result: notify::Result<Event>| match result {
            Ok(event) if event.need_rescan() => tell(Seen::Everything),
            Ok(event) if changes_something(event.kind) => tell(Seen::Paths(event.paths)),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(target: "mqtt:files", %error, "the watcher lost something; all is looked at");
                tell(Seen::Everything);
            }
        };
        let mut watcher = notify::recommended_watcher(handler).map_err(|error| failed(folder, &error))?;
        let mode = if WHOLE { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        watcher.watch(folder, mode).map_err(|error| failed(folder, &error))?;
        let followed = BTreeSet::from([folder.to_owned()]);
        Ok(Self { watcher, folder: folder.to_owned(), followed })
    }

    /// Watches just these of the folders below; whether some are new, in which something may have happened already.
    ///
    /// # Errors
    /// The system refuses one; it is tried again the next time.
    pub fn follow(&mut self, folders: &BTreeSet<PathBuf>) -> Result<bool, WatchError> {
        if WHOLE {
            return Ok(false);
        }
        for gone in self.followed.extract_if(.., |known| *known != self.folder && !folders.contains(known)) {
            // One that was removed is not watched any more.
            let _ = self.watcher.unwatch(&gone);
        }
        let mut news = false;
        for folder in folders {
            if !self.followed.contains(folder) {
                self.also(folder)?;
                self.followed.insert(folder.clone());
                news = true;
            }
        }
        Ok(news)
    }

    /// Also watches what is directly in another folder.
    ///
    /// # Errors
    /// The system refuses.
    pub fn also(&mut self, folder: &Path) -> Result<(), WatchError> {
        self.watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|error| failed(folder, &error))
    }
}

fn failed(folder: &Path, error: &notify::Error) -> WatchError {
    WatchError { path: folder.to_owned(), reason: error.to_string() }
}

/// Reading is no change; we do it ourselves each time that we are told of one.
fn changes_something(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
