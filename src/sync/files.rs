//! What the binding of canvases to files asks for: how a canvas stands, and edits that were made in a file. They are this
//! peer's edits like any other, but not the application's: what it holds of a canvas stays as it is.

use super::error::SyncError;
use super::io::{FileCommand, Origin, Reply, Standing};
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use crate::canvas::Version;
use crate::ids::CanvasId;

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
