//! Being told when something below a folder changes.

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
pub struct Watcher(RecommendedWatcher);

impl Watcher {
    /// Watches a folder and all below it. `tell` is called on a thread of the watcher's, for each thing that happens.
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
        let watcher = notify::recommended_watcher(handler);
        let mut watcher = Self(watcher.map_err(|error| failed(folder, &error))?);
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(watcher)
    }

    /// Also watches what is directly in another folder.
    ///
    /// # Errors
    /// The system refuses.
    pub fn also(&mut self, folder: &Path) -> Result<(), WatchError> {
        self.watch(folder, RecursiveMode::NonRecursive)
    }

    fn watch(&mut self, folder: &Path, mode: RecursiveMode) -> Result<(), WatchError> {
        self.0.watch(folder, mode).map_err(|error| failed(folder, &error))
    }
}

fn failed(folder: &Path, error: &notify::Error) -> WatchError {
    WatchError { path: folder.to_owned(), reason: error.to_string() }
}

/// Reading is no change; we do it ourselves each time that we are told of one.
fn changes_something(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
