//! Edits that are made beside the application, by way of the canvas's file: it has not seen them.

use std::collections::{BTreeSet, VecDeque};

use automerge::ChangeHash;

use crate::canvas::document::{CanvasDocument, LocalEdit};
use crate::canvas::error::CanvasError;
use crate::canvas::model::Canvas;
use crate::canvas::update::{Ahead, Basis};
use crate::canvas::version::Version;
use crate::limits::MAX_ASIDE_CHANGES;

/// Which changes of this process were not the application's, at most [`MAX_ASIDE_CHANGES`].
#[derive(Debug, Default)]
pub(crate) struct Aside {
    known: BTreeSet<ChangeHash>,
    oldest_first: VecDeque<ChangeHash>,
}

impl Aside {
    pub(crate) fn contains(&self, hash: &ChangeHash) -> bool {
        self.known.contains(hash)
    }

    fn note(&mut self, hash: ChangeHash) {
        if self.known.insert(hash) {
            self.oldest_first.push_back(hash);
        }
        if self.oldest_first.len() > MAX_ASIDE_CHANGES
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl CanvasDocument {
    /// As [`update`](Self::update) from a named version, but not by the application: what it has stays what it was, and
    /// an older object that it passes later deletes nothing that came this way.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn update_aside(&mut self, passed: &Canvas, base: &Version, author: &str) -> Result<LocalEdit, CanvasError> {
        passed.check()?;
        let version = self.named(base);
        let canvas = self.view_at(&version)?.canvas();
        let basis = Basis { heads: version.as_slice().to_vec(), version, canvas, ahead: Ahead::new() };
        let before = self.replica.change_count();
        let written = self.update_from(passed, &basis, author);
        for hash in self.replica.history().iter().skip(before) {
            self.aside.note(*hash);
        }
        let (mut edit, _) = written?;
        if self.view.canvas() == *passed {
            edit.version = self.version();
        }
        Ok(edit)
    }

    /// As [`create`](Self::create), but not by the application.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_aside(&mut self, canvas: &Canvas, author: &str) -> Result<LocalEdit, CanvasError> {
        canvas.check()?;
        if self.replica.is_pristine() {
            self.import(canvas)
        } else {
            self.update_aside(canvas, &Version::default(), author)
        }
    }
}
