//! How a binding stands, for events and statuses.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::drivers::files::{CanvasPath, Operation};

/// Why nothing is done for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Another branch is checked out than the one that the binding belongs to.
    Branch { belongs_to: Option<String>, checked_out: Option<String> },
    /// Git has begun something and not ended it.
    Operation(Operation),
    /// Git has been at work for very long, or has left its lock behind: what it has changed of the files is nobody's edit.
    Locked,
    /// So many files have gone that the folder itself may be.
    Folder { gone: BTreeSet<CanvasPath> },
}

impl Pause {
    /// As events name it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Branch { .. } => "branch",
            Self::Operation(operation) => operation.name(),
            Self::Locked => "lock",
            Self::Folder { .. } => "folder",
        }
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |branch: &Option<String>| branch.as_ref().map_or("a commit of no branch".to_owned(), |b| format!("'{b}'"));
        match self {
            Self::Branch { belongs_to, checked_out } => write!(
                f,
                "{} is checked out, and the canvases belong to {}; check that out again to go on, or name \
                 another one (--branch)",
                name(checked_out),
                name(belongs_to)
            ),
            Self::Operation(operation) => {
                write!(f, "a git {} is under way; the canvases go on when it has ended", operation.name())
            }
            Self::Locked => f.write_str(
                "git is at work, and has been for a while; the canvases go on when it is done. If no git is running, remove \
                 index.lock or HEAD.lock from its folder",
            ),
            Self::Folder { gone } => write!(
                f,
                "{} canvas files have gone at once, so perhaps the folder has; nothing is deleted. Put them back to go on, \
                 or delete their canvases with deleteCanvas(): {}",
                gone.len(),
                gone.iter().take(3).map(CanvasPath::relative).collect::<Vec<_>>().join(", ")
            ),
        }
    }
}

/// What the application can ask of a binding at any time.
#[derive(Debug)]
pub(crate) struct FilesStatus {
    folder: String,
    now: Mutex<(usize, Option<&'static str>)>,
}

impl FilesStatus {
    pub(crate) fn new(folder: String) -> Self {
        Self { folder, now: Mutex::default() }
    }

    pub(super) fn update(&self, canvases: usize, pause: Option<&Pause>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = (canvases, pause.map(Pause::reason));
    }

    /// As statuses show it.
    pub(crate) fn json(&self) -> Value {
        let (canvases, paused) = *self.now.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "path": self.folder, "canvases": canvases, "paused": paused })
    }
}
