//! From what an application made the texts in a patch.
//!
//! A patch names whole texts, and means edits of them. Of which text one is an edit, only the application knows: while a patch
//! is on its way, others' edits come in that it has not seen, and must not be undone.

use crate::canvas::document::{CanvasDocument, reader};
use crate::canvas::error::CanvasError;
use crate::canvas::held::Held;
use crate::canvas::reader::Stands;
use crate::canvas::replica::Replica;
use crate::canvas::root::CanvasMap;
use crate::canvas::text;
use crate::canvas::version::Version;

/// What is known of the version that an application had when it wrote a patch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    #[default]
    Unknown,
    /// It was told of this one, and may or may not have followed.
    Told(Version),
    /// It says that it was this one.
    Base(Version),
}

/// Where the text that an application had may be found.
pub(crate) struct Known<'a> {
    replica: &'a Replica,
    held: &'a Held,
    seen: &'a Seen,
}

impl CanvasDocument {
    /// # Errors
    /// [`CanvasError::UnknownVersion`] if the application names a base that is not here.
    pub(super) fn known<'a>(&'a self, seen: &'a Seen) -> Result<Known<'a>, CanvasError> {
        match seen {
            Seen::Base(Version(heads)) if !self.replica.contains_all(heads.as_slice()) => {
                Err(CanvasError::UnknownVersion)
            }
            _ => Ok(Known { replica: &self.replica, held: &self.held, seen }),
        }
    }
}

impl Known<'_> {
    /// The text of a node that was passed, together with what others made of it. Unless the application named its base,
    /// the text is an edit of the one that it differs from least: what the application last passed in or was given, what
    /// it was last told of, or the present one, which comes last where they differ alike: an application that was not told
    /// of it cannot mean it.
    pub(crate) fn merged(&self, id: &str, new: &str, current: &str) -> String {
        let told = match self.seen {
            // A node that was not there had nothing in it.
            Seen::Base(base) => return text::merge(&self.text_at(base, id).unwrap_or_default(), new, current),
            Seen::Told(told) => self.text_at(told, id),
            Seen::Unknown => None,
        };
        let had = [self.held.text(id), told.as_deref()].into_iter().flatten();
        let nearest = had.min_by_key(|had| text::difference(had, new));
        match nearest {
            Some(had) if text::difference(had, new) <= text::difference(current, new) => text::merge(had, new, current),
            _ => new.to_owned(),
        }
    }

    /// The text at a version, if that is here and the node had one.
    fn text_at(&self, Version(heads): &Version, id: &str) -> Option<String> {
        if !self.replica.contains_all(heads.as_slice()) {
            return None;
        }
        match reader(self.replica, Some(heads.as_slice())).stands(CanvasMap::Texts, id) {
            Stands::Text(_, text) => Some(text),
            _ => None,
        }
    }
}
