//! What a binding does when git changes the files: nobody else's branch becomes an edit, and what two peers pull is edited
//! once.

use std::collections::BTreeMap;

use super::super::error::ServiceError;
use super::binding::Binding;
use super::git_watch::{GitWatch, Move};
use super::reconcile::{Found, Trouble};
use super::status::Pause;
use crate::canvas::Version;
use crate::drivers::files::{CanvasPath, FileRecord, Git, GitState, Place, Pulled, union};
use crate::ids::CanvasId;
use crate::limits::RESTORED_FILE_HOLD_MS;
use crate::sync::{FileCommand, SyncError};

impl Binding {
    /// Finds out where git stands, and takes up the records of an earlier process, unless they are of another branch.
    pub(super) fn begin_git(&mut self) {
        let git = Git::find(self.folder.path()).unwrap_or_else(|error| {
            let message = format!("git cannot be asked ({error}); the folder is treated as one without git");
            self.complain_of_folder("ERR_CONFIG_INVALID", message);
            None
        });
        let state = git.as_ref().map(Git::state).and_then(Result::ok).unwrap_or_default();
        let branch = self.settings.branch.clone().or(state.branch);
        let place = self.ledger.place(&self.port.repository).unwrap_or_default();
        let repository = self.port.repository.clone();
        let goes_on = place.folder == self.shown_folder() && place.branch == branch;
        for canvas in self.ledger.canvases(&repository) {
            match self.ledger.record(&repository, &canvas).filter(|_| goes_on).zip(CanvasPath::of_id(&canvas).ok()) {
                Some((record, path)) => self.keep(&path, record),
                None => self.forget(&canvas),
            }
        }
        self.git = git.map(|git| GitWatch::new(git, branch, place.head.filter(|_| goes_on)));
        if self.git.is_none() {
            self.keep_place();
        }
    }

    /// Looks whether the branch or the commit is another one; whether a move is to be followed now. Without `closely` only
    /// what is plain to see.
    pub(super) fn check_git(&mut self, closely: bool) -> bool {
        let Some(git) = &mut self.git else { return false };
        let glance = git.git.glance();
        if !closely && glance == git.glance {
            return false;
        }
        let state = match git.git.state() {
            Ok(state) => state,
            Err(error) => {
                self.complain_of_folder("ERR_CONFIG_INVALID", format!("git cannot be asked: {error}"));
                return false;
            }
        };
        git.glance = glance;
        let was_paused = matches!(self.paused, Some(Pause::Branch { .. } | Pause::Operation(_)));
        match self.reason_to_pause(&state) {
            Some(pause) => {
                self.pause(pause);
                false
            }
            None if was_paused => {
                self.resume();
                self.begin_move(state.head, true);
                true
            }
            None if self.git.as_ref().is_some_and(|git| git.head != state.head || git.moving.is_some()) => {
                self.begin_move(state.head, false);
                true
            }
            None => false,
        }
    }

    fn reason_to_pause(&self, state: &GitState) -> Option<Pause> {
        let git = self.git.as_ref()?;
        if let Some(operation) = state.operation {
            return Some(Pause::Operation(operation));
        }
        let other = || Pause::Branch { belongs_to: git.branch.clone(), checked_out: state.branch.clone() };
        (state.branch != git.branch).then(other)
    }

    /// Takes what came with a move of `HEAD` into the canvases, as the same changes that others make of it.
    fn begin_move(&mut self, head: Option<String>, resumed: bool) {
        if self.is_connected() {
            self.ask_network();
        }
        let Some(git) = &mut self.git else { return };
        let old = git.head.clone();
        git.set_head(head.clone());
        git.moving = Some(Move { resumed, ..Move::default() });
        tracing::debug!(target: "mqtt:files", repository = %self.port.repository, ?old, ?head, resumed, "HEAD has moved");
        let pulled = old.zip(head).map(|(old, new)| git.git.pulled(&old, &new)).unwrap_or_default();
        let mut before = BTreeMap::new();
        for Pulled { base, tip } in pulled {
            let Some(git) = &self.git else { return };
            // Most often the commit that was looked at last.
            if !before.contains_key(&base) {
                before = BTreeMap::from([(base.clone(), git.git.tree(&base))]);
            }
            let (had, has) = (before.remove(&base).unwrap_or_default(), git.git.tree(&tip));
            for (canvas, id) in &has {
                let Some(base) = had.get(canvas).filter(|base| *base != id) else { continue };
                match self.bring(canvas, base, id) {
                    Ok(()) | Err(Trouble::Folder(_)) => {}
                    Err(Trouble::Service(error)) => self.retry(canvas, &error),
                }
            }
            before.insert(tip, has);
        }
    }

    /// Makes the difference between two contents that git has an edit: on the version that holds the first, if one is known,
    /// so that it is the same change on every peer.
    fn bring(&mut self, canvas: &CanvasId, base_id: &str, tip_id: &str) -> Result<(), Trouble> {
        let (Some(git), Some(record)) = (&self.git, self.records.get_mut(canvas)) else { return Ok(()) };
        let (Some(before), Some(after)) = (git.canvas_of(base_id), git.canvas_of(tip_id)) else { return Ok(()) };
        if let Some(version) = record.version_of(&after).cloned() {
            // A commit of what was edited live.
            record.note_blob_at(tip_id, version);
            return Ok(());
        }
        let common = record.common();
        let here = || (common.canvas == before).then_some(&common.version);
        if let Some(base) = record.version_of_blob(base_id).or_else(here).cloned() {
            let bring = FileCommand::Bring { canvas: canvas.clone(), content: after.clone(), base: base.clone() };
            match self.port.edit(bring) {
                Ok(version) => return Ok(self.note_brought(canvas, tip_id, &base, version)),
                Err(error @ ServiceError::Sync(SyncError::Canvas(_))) => {
                    tracing::warn!(target: "mqtt:files", %canvas, %error, "what git brought becomes an ordinary edit");
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let (Ok(path), Some(_)) = (CanvasPath::of_id(canvas), self.port.present(canvas)?) {
            self.merge_in(&path, &before, &after)?;
        }
        Ok(())
    }

    /// What git brought is in the canvas: what is saved next may build on it, and so may what git brings next.
    fn note_brought(&mut self, canvas: &CanvasId, tip_id: &str, base: &Version, version: Version) {
        if let Some(record) = self.records.get_mut(canvas) {
            record.note_blob_at(tip_id, version.clone());
        }
        let Some(moving) = self.git.as_mut().and_then(|git| git.moving.as_mut()) else { return };
        let brought = match moving.brought.remove(canvas) {
            // Made on top of what was brought before, which it therefore holds.
            Some(earlier) if earlier != *base => union(&earlier, &version),
            _ => version,
        };
        moving.brought.insert(canvas.clone(), brought);
    }

    /// All files have been looked at since the move began.
    pub(super) fn end_move(&mut self) {
        if let Some(git) = &mut self.git {
            git.moving = None;
        }
        self.keep_place();
        let unnoted: Vec<CanvasId> = self.records.keys().cloned().collect();
        for canvas in unnoted {
            let Some(mut record) = self.records.get(&canvas).cloned() else { continue };
            let noted = self.note_head(&canvas, &mut record);
            if let (true, Ok(path)) = (noted, CanvasPath::of_id(&canvas)) {
                self.keep(&path, record);
            }
        }
    }

    /// Notes that a record holds what git has; whether that is news.
    fn note_head(&mut self, canvas: &CanvasId, record: &mut FileRecord) -> bool {
        let Some(git) = &mut self.git else { return false };
        let before = record.clone();
        git.note(canvas, record);
        *record != before
    }

    fn keep_place(&mut self) {
        let place = Place {
            folder: self.shown_folder(),
            branch: self.git.as_ref().and_then(|git| git.branch.clone()),
            head: self.git.as_ref().and_then(|git| git.head.clone()),
        };
        if let Err(error) = self.ledger.keep_place(&self.port.repository, &place) {
            tracing::warn!(target: "mqtt:files", %error, "where git stands is not kept");
        }
    }

    // ---- one file -------------------------------------------------------------------------------------------------

    /// The version of what git brought of a canvas in the move that is being followed.
    pub(super) fn brought(&self, canvas: &CanvasId) -> Option<&Version> {
        self.git.as_ref()?.moving.as_ref()?.brought.get(canvas)
    }

    pub(super) fn is_ignored_by_git(&self, path: &CanvasPath) -> bool {
        self.git.as_ref().is_some_and(|git| git.git.ignores(path))
    }

    /// Whether a file is what git has put there: nobody's edit.
    pub(super) fn is_gits(&mut self, path: &CanvasPath, found: &Found, record: &FileRecord) -> bool {
        let Some(git) = &mut self.git else { return false };
        if !git.is_at_head(path.id(), &found.canvas) {
            return false;
        }
        // Restored to the last commit, by `git stash` or `git restore`: not by somebody who has edited it so.
        git.moving.is_some() || (record.common().canvas != found.canvas && git.vouches_for(path))
    }

    /// Whether a file that git has restored is to be left so for a while: perhaps something is pulled next, and would be
    /// refused by git if the file were changed again.
    pub(super) fn is_held(&mut self, path: &CanvasPath, found: &Found) -> bool {
        if self.git.as_ref().is_some_and(|git| git.moving.is_some()) {
            return false;
        }
        let now_ms = self.desk.now_ms();
        let waiting = self.waiting.get(path.id()).filter(|(digest, _)| *digest == found.digest);
        let since_ms = waiting.map_or(now_ms, |(_, since_ms)| *since_ms);
        self.waiting.insert(path.id().clone(), (found.digest, since_ms));
        let until_ms = since_ms + RESTORED_FILE_HOLD_MS;
        if now_ms >= until_ms {
            return false;
        }
        self.again_in(path.id(), until_ms - now_ms);
        true
    }

    /// After a pause: what was edited beside git's last commit, as an edit of the present; none if that cannot be told.
    pub(super) fn changed_beside(&mut self, path: &CanvasPath, found: &Found) -> Result<Option<Version>, Trouble> {
        let Some(git) = self.git.as_ref().filter(|git| git.moving.as_ref().is_some_and(|moving| moving.resumed)) else {
            return Ok(None);
        };
        match git.head_canvas(path.id()) {
            Some(head) => self.merge_in(path, &head, &found.canvas).map(Some),
            None => Ok(None),
        }
    }

    // ---- first contact --------------------------------------------------------------------------------------------

    /// A file and a canvas that have nothing in common yet.
    pub(super) fn meet(&mut self, path: &CanvasPath, found: Found) -> Result<(), Trouble> {
        if !self.asked {
            return Ok(());
        }
        let Some((version, present)) = self.port.present(path.id())? else { return Ok(()) };
        if present == found.canvas {
            return self.write(path, Some(found), None);
        }
        let head = self.git.as_ref().and_then(|git| git.head_canvas(path.id()));
        match head {
            // Without local edits, the network's version is the newer.
            Some(head) if head == found.canvas => {}
            Some(head) => drop(self.merge_in(path, &head, &found.canvas)?),
            None => self.meet_without_git(path, &found, version, &present)?,
        }
        self.write(path, Some(found), None)
    }

    fn meet_without_git(
        &mut self,
        path: &CanvasPath,
        found: &Found,
        base: Version,
        present: &crate::canvas::Canvas,
    ) -> Result<(), Trouble> {
        let meeting = crate::drivers::files::meet(present, &found.canvas);
        if meeting.clashes {
            let aside = self.folder.put_aside(path, &Self::today(), &found.bytes)?;
            let aside = super::port::shown(&self.folder.path().join(aside));
            self.tell_of(path, "file-set-aside", serde_json::json!({ "aside": aside }));
        }
        if meeting.canvas != *present {
            let (canvas, content, author) = (path.id().clone(), meeting.canvas, self.author.clone());
            self.port.edit(FileCommand::Save { canvas, content, base, author })?;
        }
        Ok(())
    }

    /// The day in UTC, as `2026-03-01`.
    fn today() -> String {
        let seconds = i64::try_from(Self::unix_ms() / 1_000).unwrap_or_default();
        time::OffsetDateTime::from_unix_timestamp(seconds)
            .map_or_else(|_| "0000-00-00".to_owned(), |at| at.date().to_string())
    }
}
