//! What a binding does when git changes the files: nobody else's branch becomes an edit, and what two peers pull is edited
//! once.

use super::super::error::ServiceError;
use super::binding::Binding;
use super::git_watch::{GitWatch, Move};
use super::reconcile::{Found, Trouble};
use super::status::Pause;
use crate::canvas::{Canvas, Version};
use crate::drivers::files::{
    CanvasPath, Common, FileDigest, FileRecord, Git, GitState, Incoming, Place, is_ignored, is_in_other_work_tree,
    union,
};
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
        let place = self.ledger.place(&self.port.repository).unwrap_or_default();
        let is_here = place.folder == self.shown_folder();
        // The branch of the last time: what is checked out now may be anything.
        let last = place.branch.clone().filter(|_| is_here && git.is_some());
        let branch = self.settings.branch.clone().or(last).or(state.branch);
        let goes_on = is_here && place.branch == branch;
        self.load_records(goes_on);
        self.git = git.map(|git| GitWatch::new(git, branch, place.head.filter(|_| goes_on)));
        if self.git.is_none() {
            self.keep_place();
        }
    }

    /// Looks whether the branch or the commit is another one; whether a move is to be followed now. Without `closely` only
    /// what is plain to see.
    pub(super) fn check_git(&mut self, closely: bool) -> bool {
        if matches!(self.paused, Some(Pause::Folder { .. })) {
            // Followed when the folder is back: the files have to be looked at in the same turn.
            return false;
        }
        let Some(git) = &mut self.git else { return false };
        let glance = git.git.glance();
        if glance == git.glance && (glance.tells_commit() || !closely) && git.moving.is_none() {
            return false;
        }
        let has_moved = glance.has_moved_since(&git.glance);
        let state = match git.git.state() {
            Ok(state) => {
                git.glance = glance;
                state
            }
            Err(error) => {
                // As long as the glance is the old one, nothing is done about any file.
                self.complain_of_folder("ERR_CONFIG_INVALID", format!("git cannot be asked: {error}"));
                return false;
            }
        };
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
            // Away and back before anybody looked.
            None if has_moved => {
                self.begin_move(state.head, true);
                if let Some(moving) = self.git.as_mut().and_then(|git| git.moving.as_mut()) {
                    moving.stayed = true;
                }
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
        tracing::debug!(target: "mqtt:files", repository = %self.port.repository, ?old, ?head, resumed, "HEAD has moved");
        git.set_head(head.clone());
        let earlier = git.moving.take().unwrap_or_default();
        git.moving = Some(Move { resumed: resumed || earlier.resumed, ..earlier });
        let Some((old, new)) = old.zip(head) else { return };
        let Some(incoming) = git.git.incoming(&old, &new) else { return };
        let steps = git.git.steps(&incoming);
        if let Some(moving) = &mut git.moving {
            moving.deleted.extend(steps.deleted);
        }
        for (canvas, steps) in steps.changed {
            let brought = self.bring(&canvas, &steps);
            self.note_brought(canvas, brought);
        }
        if incoming.tip != new {
            self.bring_merged(&old, &incoming, &new);
        }
    }

    fn note_brought(&mut self, canvas: CanvasId, brought: Result<Option<Version>, Trouble>) {
        match brought {
            Ok(Some(version)) => {
                let moving = self.git.as_mut().and_then(|git| git.moving.as_mut());
                moving.and_then(|moving| moving.brought.insert(canvas, version));
            }
            Ok(None) | Err(Trouble::Folder(_)) => {}
            Err(Trouble::Service(error)) => self.retry(&canvas, &error),
        }
    }

    /// After a merge or a rebase: where both sides had changed a file, what was made of it may be another thing than their
    /// edits together, and was decided by somebody.
    fn bring_merged(&mut self, old: &str, incoming: &Incoming, new: &str) {
        let Some(git) = &self.git else { return };
        let [ours, theirs, merged] = [old, &incoming.tip, new].map(|commit| git.git.tree(commit));
        for (canvas, id) in merged {
            if let (Some(ours), Some(theirs)) = (ours.get(&canvas), theirs.get(&canvas))
                && ![ours, theirs].contains(&&id)
            {
                let brought = self.bring_decision(&canvas, ours, theirs, &id);
                self.note_brought(canvas, brought);
            }
        }
    }

    fn bring_decision(
        &mut self,
        canvas: &CanvasId,
        ours: &str,
        theirs: &str,
        merged: &str,
    ) -> Result<Option<Version>, Trouble> {
        let (Ok(path), Some(record)) = (CanvasPath::of_id(canvas), self.records.get(canvas)) else { return Ok(None) };
        let both = record.version_of_blob(ours).zip(record.version_of_blob(theirs));
        let Some((base, mut record)) = both.map(|(ours, theirs)| (union(ours, theirs), record.clone())) else {
            return self.bring_as_edit(&path, &[ours.to_owned(), merged.to_owned()]).map(|()| None);
        };
        let Some(content) = self.git.as_ref().and_then(|git| git.canvas_of(merged)) else { return Ok(None) };
        let brought = self.bring_step(canvas, content.clone(), &base)?;
        if let Some(version) = &brought
            && self.port.content_at(canvas, version)? == Some(content)
        {
            record.note_blob_at(merged, version.clone());
            self.keep(&path, record);
        }
        Ok(brought)
    }

    /// Makes what git did to a canvas in one commit after the other edits: each on the version that holds what git had
    /// before, as far as one is known, so that it is the same change on every peer, whatever commits each has pulled at
    /// once. The version that holds all of it, if it is none that was here before.
    fn bring(&mut self, canvas: &CanvasId, steps: &[String]) -> Result<Option<Version>, Trouble> {
        let (Ok(path), Some(record)) = (CanvasPath::of_id(canvas), self.records.get(canvas)) else { return Ok(None) };
        let mut record = record.clone();
        let mut missing = Vec::new();
        let mut base = None;
        for id in steps.iter().rev() {
            let content = self.git.as_ref().and_then(|git| git.canvas_of(id));
            let known = record.version_of_blob(id).cloned();
            // What was edited live and committed is known too.
            base = known.or_else(|| record.version_of(content.as_ref()?).cloned());
            if let Some(version) = &base {
                record.note_blob_at(id, version.clone());
                break;
            }
            missing.push((id, content));
        }
        let Some(mut base) = base else { return self.bring_as_edit(&path, steps).map(|()| None) };
        let mut brought: Option<Version> = None;
        for (id, content) in missing.into_iter().rev() {
            let Some(content) = content else { continue };
            let Some(version) = self.bring_step(canvas, content.clone(), &base)? else { continue };
            if version == base {
                continue;
            }
            brought = Some(brought.map_or_else(|| version.clone(), |brought| union(&brought, &version)));
            // Where a part of it was there already, the version lacks that: the next step goes on from what is known.
            if self.port.content_at(canvas, &version)? == Some(content) {
                record.note_blob_at(id, version.clone());
                brought = Some(version.clone());
                base = version;
            }
        }
        self.keep(&path, record);
        Ok(brought)
    }

    /// Without anything known of what git had before, the difference is an ordinary edit.
    fn bring_as_edit(&mut self, path: &CanvasPath, steps: &[String]) -> Result<(), Trouble> {
        let content = |id: Option<&String>| self.git.as_ref()?.canvas_of(id?);
        if let (Some(before), Some(after)) = (content(steps.first()), content(steps.last()))
            && self.port.present(path.id())?.is_some()
        {
            self.merge_in(path, &before, &after)?;
        }
        Ok(())
    }

    /// Makes what git did to a canvas in one commit an edit on the version that holds what it had before. The version that
    /// holds that edit.
    fn bring_step(&mut self, canvas: &CanvasId, content: Canvas, base: &Version) -> Result<Option<Version>, Trouble> {
        match self.port.edit(FileCommand::Bring { canvas: canvas.clone(), content, base: base.clone() }) {
            Ok(version) => Ok(Some(version)),
            Err(error @ ServiceError::Sync(SyncError::Canvas(_))) => {
                tracing::warn!(target: "mqtt:files", %canvas, %error, "what git brought is no edit");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All files have been looked at since the move began.
    pub(super) fn end_move(&mut self) {
        if let Some(git) = &mut self.git
            && !std::mem::take(&mut git.unfinished)
        {
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

    /// Whether a file that is not there yet would be ignored.
    pub(super) fn is_ignored(&self, path: &CanvasPath) -> bool {
        let folder = self.folder.path();
        is_in_other_work_tree(folder, path)
            || match &self.git {
                Some(git) => git.git.ignores(path),
                None => is_ignored(folder, path),
            }
    }

    /// Whether git has taken a file away that nobody has removed.
    pub(super) fn is_taken_by_git(&self, path: &CanvasPath) -> bool {
        self.git.as_ref().is_some_and(|git| git.has_taken(path))
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
    pub(super) fn is_held(&mut self, path: &CanvasPath, record: FileRecord) -> Result<bool, Trouble> {
        let now_ms = self.desk.now_ms();
        let moving = self.git.as_ref().and_then(|git| git.moving.as_ref());
        if moving.is_some_and(|moving| !moving.stayed) {
            if !self.restored.contains_key(path.id()) {
                return Ok(false);
            }
            // It was put back for a pull, as `git stash` does: what was edited beside it may come back next.
            self.restored.insert(path.id().clone(), now_ms);
            self.await_return(path, record)?;
        }
        let since_ms = *self.restored.entry(path.id().clone()).or_insert(now_ms);
        let until_ms = since_ms + RESTORED_FILE_HOLD_MS;
        if now_ms >= until_ms {
            self.restored.remove(path.id());
            return Ok(false);
        }
        self.again_in(path.id(), until_ms - now_ms);
        Ok(true)
    }

    /// What was put back comes back on top of what git brought: that is what it will have been made from.
    fn await_return(&mut self, path: &CanvasPath, mut record: FileRecord) -> Result<(), Trouble> {
        let Some(brought) = self.brought(path.id()) else { return Ok(()) };
        let version = union(&record.common().version, brought);
        if let Some(canvas) = self.port.content_at(path.id(), &version)? {
            record.renew(record.digest, Common { version, canvas, written_unix_ms: Some(Self::unix_ms()) });
            self.keep(path, record);
        }
        Ok(())
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
    pub(super) fn meet(&mut self, path: &CanvasPath, found: &Found) -> Result<(), Trouble> {
        if !self.asked {
            return Ok(());
        }
        let Some((version, present)) = self.port.present(path.id())? else { return Ok(()) };
        if present == found.canvas {
            return self.write(path, Some(found), None);
        }
        if self.first_seen.get(path.id()) == Some(&present) {
            // They were equal when we came, and only the file has changed since.
            let (canvas, content, author) = (path.id().clone(), found.canvas.clone(), self.author.clone());
            self.port.edit(FileCommand::Save { canvas, content, base: version, author })?;
            return self.write(path, Some(found), None);
        }
        let head = self.git.as_ref().and_then(|git| git.head_canvas(path.id()));
        let Some(head) = head else {
            self.meet_without_git(path, found, version, &present)?;
            return self.write(path, Some(found), None);
        };
        self.bring_since(path, version, present)?;
        // Without local edits, the network's version is the newer.
        if head != found.canvas {
            self.merge_in(path, &head, &found.canvas)?;
        }
        let record = self.records.get(path.id()).cloned();
        self.write(path, Some(found), record)
    }

    /// Where the canvas is what git had in an older commit, the commits since were pulled while nobody watched.
    fn bring_since(&mut self, path: &CanvasPath, version: Version, present: Canvas) -> Result<(), Trouble> {
        let Some(git) = &self.git else { return Ok(()) };
        let ids = git.git.history(path);
        let Some(at) = ids.iter().position(|id| git.canvas_of(id).as_ref() == Some(&present)) else { return Ok(()) };
        let mut steps: Vec<String> = ids.into_iter().take(at + 1).collect();
        steps.reverse();
        // Of no file: whatever it holds differs from that.
        let digest = FileDigest::of(b"");
        self.keep(path, FileRecord::new(digest, Common { version, canvas: present, written_unix_ms: None }));
        self.bring(path.id(), &steps).map(drop)
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
    pub(super) fn today() -> String {
        let seconds = i64::try_from(Self::unix_ms() / 1_000).unwrap_or_default();
        time::OffsetDateTime::from_unix_timestamp(seconds)
            .map_or_else(|_| "0000-00-00".to_owned(), |at| at.date().to_string())
    }
}
