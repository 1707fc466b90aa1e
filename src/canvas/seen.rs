//! From what an application made the texts in a patch.
//!
//! A patch names whole texts, and means edits of them. Of which text one is an edit, only the application knows: while a patch
//! is on its way, others' edits come in that it has not seen, and must not be undone.

use crate::canvas::document::{CanvasDocument, reader};
use crate::canvas::error::CanvasError;
use crate::canvas::held::Held;
use crate::canvas::reader::{Reader, Stands};
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
    held: &'a Held,
    told: Option<Reader<'a>>,
    base: Option<Reader<'a>>,
}

impl CanvasDocument {
    /// # Errors
    /// [`CanvasError::UnknownVersion`] if the application names a base that is not here.
    pub(super) fn known<'a>(&'a self, seen: &'a Seen) -> Result<Known<'a>, CanvasError> {
        let at = |version: &'a Version| {
            let here = version.0.as_slice().iter().all(|head| self.replica.contains(head));
            here.then(|| reader(&self.replica, Some(version.0.as_slice())))
        };
        let mut known = Known { held: &self.held, told: None, base: None };
        match seen {
            Seen::Unknown => {}
            Seen::Told(version) => known.told = at(version),
            Seen::Base(version) => known.base = Some(at(version).ok_or(CanvasError::UnknownVersion)?),
        }
        Ok(known)
    }
}

impl Known<'_> {
    /// The text of a node that was passed, together with what others made of it. Unless the application named its base,
    /// the text is an edit of the one that it differs from least: what the application last passed in or was given, what
    /// it was last told of, or the present one, which comes last where they differ alike: an application that was not told
    /// of it cannot mean it.
    pub(crate) fn merged(&self, id: &str, new: &str, current: &str) -> String {
        if let Some(base) = &self.base {
            // A node that was not there had nothing in it.
            return text::merge(&text_at(*base, id).unwrap_or_default(), new, current);
        }
        let told = self.told.and_then(|told| text_at(told, id));
        let had = [self.held.text(id), told.as_deref()].into_iter().flatten();
        let nearest = had.min_by_key(|had| text::difference(had, new));
        match nearest {
            Some(had) if text::difference(had, new) <= text::difference(current, new) => text::merge(had, new, current),
            _ => new.to_owned(),
        }
    }
}

fn text_at(reader: Reader<'_>, id: &str) -> Option<String> {
    match reader.stands(CanvasMap::Texts, id) {
        Stands::Text(_, text) => Some(text),
        _ => None,
    }
}
