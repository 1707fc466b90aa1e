//! What the binding of canvases to files asks for: how a canvas stands, and edits that were made in a file. They are this
//! peer's edits like any other, but not the application's: what it holds of a canvas stays as it is.

use super::error::SyncError;
use super::io::{Origin, Reply};
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use crate::canvas::{Canvas, Version};
use crate::ids::CanvasId;

/// What the binding of canvases to files can ask. None of it touches what the application holds of a canvas.
#[derive(Debug)]
pub enum FileCommand {
    /// How a canvas stands. Answer: [`Reply::Standing`].
    Look {
        /// Which canvas.
        canvas: CanvasId,
        /// The version whose content is known, and need not be given.
        known: Option<Version>,
    },
    /// A file appeared that no canvas belongs to: create one. Answer: [`Reply::Version`].
    Import {
        /// Its id, which must not be in use.
        canvas: CanvasId,
        /// What the file holds.
        content: Canvas,
        /// Whose file it is.
        author: String,
    },
    /// A file was saved. Answer: [`Reply::Version`], that of what was saved.
    Save {
        /// Which canvas.
        canvas: CanvasId,
        /// What the file holds.
        content: Canvas,
        /// The version of what it was made from.
        base: Version,
        /// Whose file it is.
        author: String,
    },
    /// Git brought a difference, which is the same edit on every peer to which it brings it. Answer: [`Reply::Version`],
    /// that of the difference; `base` if there is none.
    Bring {
        /// Which canvas.
        canvas: CanvasId,
        /// What git has now.
        content: Canvas,
        /// The version of what git had before.
        base: Version,
    },
    /// A file was removed: delete its canvas. Answer: [`Reply::Done`].
    Delete {
        /// Which canvas.
        canvas: CanvasId,
        /// Whose file it was.
        author: String,
    },
}

impl FileCommand {
    /// The canvas that it is about.
    #[must_use]
    pub fn canvas(&self) -> &CanvasId {
        match self {
            Self::Look { canvas, .. }
            | Self::Import { canvas, .. }
            | Self::Save { canvas, .. }
            | Self::Bring { canvas, .. }
            | Self::Delete { canvas, .. } => canvas,
        }
    }
}

/// How a canvas stands, for the binding of canvases to files.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// The repository has never heard of it.
    Unknown,
    /// It was deleted.
    Deleted,
    /// It is listed, and nothing of it has arrived yet.
    Awaited,
    /// It is there.
    There {
        /// Its version.
        version: Version,
        /// What it holds, unless that is known.
        content: Option<Canvas>,
    },
}

impl CanvasP2PSynchronizer {
    pub(super) fn on_file_command(&mut self, step: &mut Step, command: FileCommand) -> Result<Reply, SyncError> {
        match command {
            FileCommand::Look { canvas, known } => Ok(Reply::Standing(self.standing(&canvas, known.as_ref()))),
            FileCommand::Import { canvas, content, author } => {
                self.create(step, &canvas, &author, Origin::File, |document| document.create_aside(&content, &author))
            }
            FileCommand::Save { canvas, content, base, author } => {
                self.edit(step, &canvas, Some(&author), Origin::File, |document| {
                    document.update_aside(&content, &base, &author)
                })
            }
            // It has no author: whoever pulls the same commit makes the same change.
            FileCommand::Bring { canvas, content, base } => {
                self.edit(step, &canvas, None, Origin::File, |document| document.derive_update(&content, &base))
            }
            FileCommand::Delete { canvas, author } => self.delete(step, &canvas, &author, Origin::File),
        }
    }

    fn standing(&self, canvas: &CanvasId, known: Option<&Version>) -> Standing {
        let Ok(id) = self.require(canvas) else {
            return match (self.entry(canvas), self.index().and_then(|index| index.last_entry(canvas))) {
                (Some(_), _) => Standing::Awaited,
                (None, Some(_)) => Standing::Deleted,
                (None, None) => Standing::Unknown,
            };
        };
        let Some(document) = self.documents.get(&id).and_then(super::document::Document::canvas) else {
            return Standing::Awaited;
        };
        let version = document.version();
        let content = (known != Some(&version)).then(|| document.canvas());
        Standing::There { version, content }
    }
}
