//! What the application hears of files.

use serde_json::Value;

use super::binding::Binding;
use super::port::{Complaint, shown};
use crate::canvas::file::MergeConflict;
use crate::canvas::{Conflict, Version};
use crate::drivers::files::CanvasPath;
use crate::limits::MAX_FILE_COMPLAINTS;

impl Binding {
    pub(super) fn tell_of(&self, path: &CanvasPath, event: &str, mut fields: Value) {
        if let Value::Object(fields) = &mut fields {
            fields.insert("canvasId".to_owned(), path.id().as_str().into());
            fields.insert("path".to_owned(), shown(&self.folder.path().join(path.relative())).into());
        }
        self.port.tell(event, fields);
    }

    /// Tells what a save of the file overwrote; `before` is a version that has it still.
    pub(super) fn tell_conflicts(&self, path: &CanvasPath, before: &Version, conflicts: Vec<Conflict>) {
        for conflict in conflicts {
            let mut fields = serde_json::to_value(conflict).unwrap_or_default();
            if let Value::Object(fields) = &mut fields {
                fields.insert("version".to_owned(), before.to_string().into());
            }
            self.tell_of(path, "conflict", fields);
        }
    }

    pub(super) fn tell_merge_conflicts(&self, path: &CanvasPath, before: &Version, conflicts: Vec<MergeConflict>) {
        let told = conflicts.into_iter().map(|MergeConflict { element, id, property, ours, theirs, .. }| Conflict {
            element,
            id,
            property,
            winner: ours.unwrap_or(crate::canvas::Value::Null),
            loser: theirs.unwrap_or(crate::canvas::Value::Null),
        });
        self.tell_conflicts(path, before, told.collect());
    }

    // ---- complaints ----

    pub(super) fn complain_of_folder(&mut self, code: &'static str, message: String) {
        let path = self.shown_folder();
        self.complain_once(&Complaint { code, message, path, place: None });
    }

    /// Tells of something wrong with a file, once.
    pub(super) fn complain(
        &mut self,
        path: &CanvasPath,
        code: &'static str,
        message: String,
        place: Option<(usize, usize)>,
    ) {
        let path = shown(&self.folder.path().join(path.relative()));
        self.complain_once(&Complaint { code, message, path, place });
    }

    fn complain_once(&mut self, complaint: &Complaint) {
        if self.complaints.len() >= MAX_FILE_COMPLAINTS {
            self.complaints.clear();
        }
        if self.complaints.insert((complaint.path.clone(), complaint.message.clone())) {
            self.port.complain(complaint);
        }
    }

    /// The file is fine again: what is wrong with it next is told anew.
    pub(super) fn is_fine(&mut self, path: &CanvasPath) {
        let path = shown(&self.folder.path().join(path.relative()));
        self.complaints.retain(|(of, _)| *of != path);
    }
}
