//! Edits that are made beside the application, by way of the canvas's file: it has not seen them.

use std::collections::{BTreeSet, VecDeque};

use automerge::ChangeHash;

use crate::canvas::document::{CanvasDocument, LocalEdit};
use crate::canvas::error::CanvasError;
use crate::canvas::model::Canvas;
use crate::canvas::update::{Ahead, Basis};
use crate::canvas::version::Version;
use crate::canvas::view::View;
use crate::ids::Heads;
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
    /// an older object that it passes later deletes nothing that came this way. The same from the same version is done
    /// once: a process may end before it has noted that it was.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn update_aside(&mut self, passed: &Canvas, base: &Version, author: &str) -> Result<LocalEdit, CanvasError> {
        passed.check()?;
        let version = self.named(base);
        let view = self.view_at(&version)?;
        if let Some(done) = self.done(passed, &view, &version) {
            return Ok(LocalEdit { version: done, ..LocalEdit::default() });
        }
        let canvas = view.canvas();
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

    /// The version at which what was passed is there already: at present, or made at the same version.
    fn done(&self, passed: &Canvas, view: &View, at: &Heads) -> Option<Version> {
        if self.view.canvas() == *passed {
            return Some(self.version());
        }
        let mut made = self.states_made_at(view, at, false);
        made.find(|(_, canvas)| canvas == passed).map(|(hash, _)| Version(Heads::new(vec![hash])))
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
