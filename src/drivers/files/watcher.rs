//! Being told when something below a folder changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use thiserror::Error;

/// Whether the system watches each folder by itself. Then only those are watched in which canvases can be: there may be very
/// many others, such as those of `.git` and `node_modules`, and the number of watches is limited.
const ONE_BY_ONE: bool = cfg!(any(target_os = "linux", target_os = "android"));

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
    inner: RecommendedWatcher,
    /// The folders that are watched, where each is by itself.
    followed: BTreeSet<PathBuf>,
}

impl Watcher {
    /// Watches a folder, and all below it that is [followed](Self::follow). `tell` is called on a thread of the watcher's,
    /// for each thing that happens.
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
        let inner = notify::recommended_watcher(handler).map_err(|error| failed(folder, &error))?;
        let mut watcher = Self { inner, followed: BTreeSet::new() };
        watcher.watch(folder, if ONE_BY_ONE { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive })?;
        Ok(watcher)
    }

    /// Follows what happens in just these folders; whether some of them were not before, so that something may have
    /// happened in them unseen. One that has gone meanwhile is left out.
    ///
    /// # Errors
    /// The system refuses some of them; the others are followed.
    pub fn follow(&mut self, folders: &BTreeSet<PathBuf>) -> Result<bool, WatchError> {
        if !ONE_BY_ONE {
            return Ok(false);
        }
        // The system lets go of those that have gone; one that was moved is watched where it is now.
        self.followed.retain(|folder| folders.contains(folder));
        let new: Vec<_> = folders.difference(&self.followed).cloned().collect();
        let mut refused = None;
        for folder in &new {
            match self.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.followed.insert(folder.clone())),
                Err(_) if !folder.exists() => {}
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(!new.is_empty()), Err)
    }

    /// Something happened to a folder itself, or to one above it: perhaps it is another one now, which has to be followed
    /// anew.
    pub fn lose(&mut self, folder: &Path) {
        self.followed.retain(|followed| !followed.starts_with(folder));
    }

    /// Also watches what is directly in another folder.
    ///
    /// # Errors
    /// The system refuses.
    pub fn also(&mut self, folder: &Path) -> Result<(), WatchError> {
        self.watch(folder, RecursiveMode::NonRecursive)
    }

    fn watch(&mut self, folder: &Path, mode: RecursiveMode) -> Result<(), WatchError> {
        self.inner.watch(folder, mode).map_err(|error| failed(folder, &error))
    }
}

fn failed(folder: &Path, error: &notify::Error) -> WatchError {
    WatchError { path: folder.to_owned(), reason: error.to_string() }
}

/// Reading is no change; we do it ourselves each time that we are told of one.
fn changes_something(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
