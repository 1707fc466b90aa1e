//! One canvas and its file: what each has that the other lacks.

use serde_json::json;

use super::super::error::ServiceError;
use super::binding::Binding;
use super::git_watch::GitWatch;
use super::status::Pause;
use crate::canvas::file::{FileLayout, merge, read, render};
use crate::canvas::{Canvas, CanvasError, Version};
use crate::drivers::files::{
    Action, CanvasNow, CanvasPath, Common, FileDigest, FileNow, FileRecord, FolderError, Replaced, decide, taken_back,
    union,
};
use crate::ids::CanvasId;
use crate::limits::{FILE_RETRY_MS, FILE_WRITE_INTERVAL_MS, GIT_WAIT_MS, UNUSABLE_FILE_GRACE_MS};
use crate::sync::{FileCommand, Standing, SyncError};

/// A file as it was read.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: FileDigest,
    pub(super) canvas: Canvas,
    pub(super) layout: FileLayout,
}

/// What stands in the way of one file; everything else goes on.
pub(super) enum Trouble {
    Folder(FolderError),
    Service(ServiceError),
}

impl From<FolderError> for Trouble {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<ServiceError> for Trouble {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl From<CanvasError> for Trouble {
    fn from(error: CanvasError) -> Self {
        Self::Service(error.into())
    }
}

impl Binding {
    /// Brings file and canvas together, as far as that can be done now.
    pub(super) fn look_after(&mut self, canvas: &CanvasId) {
        let path = match CanvasPath::of_id(canvas) {
            Ok(path) => path,
            Err(error) => return self.complain_of_folder("ERR_CANVAS_INVALID", error.to_string()),
        };
        if let Some(other) = self.is_claimed(&path).cloned() {
            self.unclaimed.insert(canvas.clone());
            let message = format!(
                "the canvases {canvas:?} and {:?} would be one file on some systems; only the second has one here; \
                 rename one of them",
                other.as_str()
            );
            return self.complain(&path, "ERR_CANVAS_INVALID", message, None);
        }
        match self.reconcile(&path) {
            Ok(()) if !self.waiting.contains_key(canvas) => self.is_fine(&path),
            Ok(()) => {}
            Err(Trouble::Folder(FolderError::Folder { .. })) => {
                let gone = self.records.keys().filter_map(|canvas| CanvasPath::of_id(canvas).ok()).collect();
                self.pause(Pause::Folder { gone });
            }
            Err(Trouble::Service(error)) => self.retry(canvas, &error),
            Err(Trouble::Folder(error)) => {
                let code = match &error {
                    FolderError::TooLarge { .. } => "ERR_PAYLOAD_TOO_LARGE",
                    FolderError::Link { .. } => "ERR_CANVAS_INVALID",
                    FolderError::Folder { .. } | FolderError::File { .. } => "ERR_STORAGE_FULL",
                };
                self.complain(&path, code, error.to_string(), None);
                // The others stay so until something happens to the file.
                if matches!(error, FolderError::Folder { .. } | FolderError::File { .. }) {
                    self.again_in(canvas, FILE_RETRY_MS);
                }
            }
        }
    }

    /// Tries again later; tells why, once.
    pub(super) fn retry(&mut self, canvas: &CanvasId, error: &ServiceError) {
        match error {
            ServiceError::Closed | ServiceError::Sync(SyncError::Closed) => return,
            // Somebody was quicker, or there is too much to do: the next look sees how it stands then.
            ServiceError::Sync(SyncError::CanvasExists { .. } | SyncError::CanvasNotFound { .. }) => {
                return self.again_in(canvas, self.settings.debounce_ms);
            }
            ServiceError::RateLimited { .. } => return self.again_in(canvas, FILE_RETRY_MS),
            // Nothing of that goes away by itself; a change of the file or the canvas leads here again.
            ServiceError::Sync(
                SyncError::Canvas(_)
                | SyncError::TooLarge { .. }
                | SyncError::Full { .. }
                | SyncError::TooManyCanvases { .. },
            ) => {}
            _ => self.again_in(canvas, FILE_RETRY_MS),
        }
        if let Ok(path) = CanvasPath::of_id(canvas) {
            self.complain(&path, error.code(), error.to_string(), None);
        }
    }

    pub(super) fn again_in(&mut self, canvas: &CanvasId, after_ms: u64) {
        let at_ms = self.desk.now_ms() + after_ms;
        let due_ms = self.later.entry(canvas.clone()).or_insert(at_ms);
        *due_ms = at_ms.min(*due_ms);
    }

    fn reconcile(&mut self, path: &CanvasPath) -> Result<(), Trouble> {
        let canvas = path.id();
        let bytes = self.folder.read(path)?;
        let record = self.records.get(canvas).cloned();
        if record.is_none() && bytes.is_some() && !self.listed.contains(canvas) {
            // It is ignored, or so new that the look at all that follows will find it.
            return Ok(());
        }
        let known = record.as_ref().map(|record| record.common().version.clone());
        let standing = self.port.look(canvas, known.as_ref())?;
        let unchanged = matches!(&standing, Standing::There { content: None, .. });
        let canvas_now = match standing {
            Standing::Unknown => CanvasNow::Unknown,
            Standing::Deleted => CanvasNow::Deleted,
            Standing::Awaited => CanvasNow::Awaited,
            Standing::There { .. } if unchanged => CanvasNow::Same,
            Standing::There { .. } => CanvasNow::Changed,
        };
        let digest = bytes.as_deref().map(FileDigest::of);
        if unchanged && digest.is_some() && digest == record.as_ref().map(|record| record.digest) {
            self.waiting.remove(canvas);
            return Ok(());
        }
        let (file_now, found) = match bytes {
            None => (FileNow::Absent, None),
            Some(bytes) => match self.parse(path, bytes) {
                None => (FileNow::Unusable, None),
                Some(found) => (compare(record.as_ref(), &found), Some(found)),
            },
        };
        if let (None, Some(found)) = (&record, &found) {
            self.first_seen.entry(canvas.clone()).or_insert_with(|| found.canvas.clone());
        }
        let action = decide(record.is_some(), file_now, canvas_now);
        tracing::debug!(target: "mqtt:files", %canvas, ?file_now, ?canvas_now, ?action);
        if action != Action::Nothing && self.git.as_ref().is_some_and(GitWatch::is_changing) {
            // It began after this turn did: what the file holds may be git's doing.
            if let Some(git) = &mut self.git {
                git.unfinished = git.moving.is_some();
            }
            self.again_in(canvas, GIT_WAIT_MS);
            return Ok(());
        }
        self.act(path, action, found, record)
    }

    fn act(
        &mut self,
        path: &CanvasPath,
        action: Action,
        found: Option<Found>,
        record: Option<FileRecord>,
    ) -> Result<(), Trouble> {
        match (action, found, record) {
            (Action::Forget, ..) => self.forget(path.id()),
            // It is back after a move; a stash gives it back itself.
            (Action::Delete, _, record) if self.is_taken_by_git(path) => self.write_back(path, record)?,
            (Action::Delete, ..) => self.note_gone(path.clone()),
            (Action::Write, found, record) => self.write(path, found.as_ref(), record)?,
            (Action::Create, Some(found), _) => self.create(path, found)?,
            (Action::Meet, Some(found), _) => self.meet(path, &found)?,
            (Action::Save, Some(found), Some(record)) => self.save(path, &found, record)?,
            (Action::Remove, Some(found), _) => self.remove(path, &found)?,
            (Action::Nothing, Some(found), Some(mut record)) if record.digest != found.digest => {
                // The same canvas in another layout.
                record.digest = found.digest;
                self.keep(path, record);
            }
            _ => {}
        }
        Ok(())
    }

    // ---- the file -------------------------------------------------------------------------------------------------

    /// Reads a file's bytes; what cannot be read is told, unless it may only be half written.
    fn parse(&mut self, path: &CanvasPath, bytes: Vec<u8>) -> Option<Found> {
        let digest = FileDigest::of(&bytes);
        let read = std::str::from_utf8(&bytes).map_err(|error| {
            let (line, column) = place_of(&bytes, error.valid_up_to());
            CanvasError::Syntax { line, column, reason: "not UTF-8".to_owned() }
        });
        match read.and_then(read_file) {
            Ok((canvas, layout)) => {
                self.waiting.remove(path.id());
                Some(Found { bytes, digest, canvas, layout })
            }
            Err(error) => {
                self.wait_or_complain(path, digest, &error);
                None
            }
        }
    }

    fn wait_or_complain(&mut self, path: &CanvasPath, digest: FileDigest, error: &CanvasError) {
        let now_ms = self.desk.now_ms();
        match self.waiting.get(path.id()) {
            Some((waiting, since_ms)) if *waiting == digest && now_ms >= since_ms + UNUSABLE_FILE_GRACE_MS => {
                let place = match error {
                    CanvasError::Syntax { line, column, .. } => Some((*line, *column)),
                    _ => None,
                };
                let message =
                    format!("{} is left alone: {error}; it is taken up when it can be read again", path.relative());
                self.complain(path, SyncError::from(error.clone()).code(), message, place);
            }
            Some((waiting, _)) if *waiting == digest => {}
            _ => {
                self.waiting.insert(path.id().clone(), (digest, now_ms));
                self.again_in(path.id(), UNUSABLE_FILE_GRACE_MS);
            }
        }
    }

    // ---- from the file --------------------------------------------------------------------------------------------

    fn create(&mut self, path: &CanvasPath, found: Found) -> Result<(), Trouble> {
        if !self.asked {
            // Perhaps somebody has it; once the network has been asked, everything is looked at again.
            return Ok(());
        }
        let (canvas, content, author) = (path.id().clone(), found.canvas.clone(), self.author.clone());
        let version = self.port.edit(FileCommand::Import { canvas, content, author })?;
        self.note_appeared(path.id(), found.digest);
        let common = Common { version, canvas: found.canvas, written_unix_ms: None };
        self.keep(path, FileRecord::new(found.digest, common));
        Ok(())
    }

    /// Takes what was saved into the canvas, then writes what the canvas is into the file.
    fn save(&mut self, path: &CanvasPath, found: &Found, mut record: FileRecord) -> Result<(), Trouble> {
        if self.is_gits(path, found, &record) {
            return if self.is_held(path, record.clone())? {
                Ok(())
            } else {
                self.write(path, Some(found), Some(record))
            };
        }
        self.restored.remove(path.id());
        let version = match self.changed_beside(path, found)? {
            Some(version) => version,
            None => self.save_from_basis(path, found, &record)?,
        };
        let common = Common { version, canvas: found.canvas.clone(), written_unix_ms: None };
        record.renew(found.digest, common);
        self.keep(path, record.clone());
        self.write(path, Some(found), Some(record))
    }

    fn save_from_basis(&mut self, path: &CanvasPath, found: &Found, record: &FileRecord) -> Result<Version, Trouble> {
        let basis = record.basis(&found.canvas, Self::unix_ms(), self.settings.stale_window_ms);
        if let Some(old) = basis.suspect {
            let lost = taken_back(&basis.common.canvas, &old.canvas, &found.canvas);
            self.tell_conflicts(path, &basis.common.version, lost);
        }
        let base = match self.brought(path.id()) {
            Some(brought) => union(&basis.common.version, brought),
            None => basis.common.version.clone(),
        };
        let (canvas, content, author) = (path.id().clone(), found.canvas.clone(), self.author.clone());
        match self.port.edit(FileCommand::Save { canvas, content, base, author }) {
            // The canvas was created anew, or its storage was lost: the contents tell what was changed.
            Err(ServiceError::Sync(SyncError::Canvas(CanvasError::UnknownVersion))) => {
                self.merge_in(path, &basis.common.canvas, &found.canvas)
            }
            result => Ok(result?),
        }
    }

    /// Makes the difference between two contents an edit of the present.
    pub(super) fn merge_in(&mut self, path: &CanvasPath, base: &Canvas, ours: &Canvas) -> Result<Version, Trouble> {
        let (version, present) = self.port.present(path.id())?.ok_or(ServiceError::Closed)?;
        let merged = merge(base, ours, &present)?;
        self.tell_merge_conflicts(path, &version, merged.conflicts);
        if merged.canvas == present {
            return Ok(version);
        }
        let (canvas, content, author) = (path.id().clone(), merged.canvas, self.author.clone());
        Ok(self.port.edit(FileCommand::Save { canvas, content, base: version, author })?)
    }

    // ---- into the file --------------------------------------------------------------------------------------------

    /// Writes what the canvas is into the file, unless it holds that already.
    pub(super) fn write(
        &mut self,
        path: &CanvasPath,
        found: Option<&Found>,
        record: Option<FileRecord>,
    ) -> Result<(), Trouble> {
        let canvas = path.id();
        let now_ms = self.desk.now_ms();
        let next_ms = self.written_ms.get(canvas).map_or(0, |at_ms| at_ms + FILE_WRITE_INTERVAL_MS);
        if now_ms < next_ms {
            self.again_in(canvas, next_ms - now_ms);
            return Ok(());
        }
        if record.is_none() && found.is_none() && self.is_ignored(path) {
            return Ok(());
        }
        let Some((version, content)) = self.port.present(canvas)? else { return Ok(()) };
        let renewed = |digest, common| match record {
            Some(mut record) => {
                record.renew(digest, common);
                record
            }
            None => FileRecord::new(digest, common),
        };
        if let Some(found) = found.filter(|found| found.canvas == content) {
            let common = Common { version, canvas: content, written_unix_ms: None };
            self.keep(path, renewed(found.digest, common));
            return Ok(());
        }
        let text = render(&content, found.map_or(&FileLayout::default(), |found| &found.layout));
        let told = json!({ "version": version.to_string(), "created": found.is_none() });
        let common = Common { version, canvas: content, written_unix_ms: Some(Self::unix_ms()) };
        let record = renewed(FileDigest::of(text.as_bytes()), common);
        self.keep_ahead(path, &record, found.map(|found| found.digest));
        let expected = found.map(|found| found.bytes.as_slice());
        match self.folder.replace(path, expected, text.as_bytes()) {
            Ok(Replaced::Done) => {}
            Ok(Replaced::Raced) => {
                self.take_back(path);
                self.again_in(canvas, self.settings.debounce_ms);
                return Ok(());
            }
            Err(error) => {
                self.take_back(path);
                return Err(error.into());
            }
        }
        self.written_ms.insert(canvas.clone(), now_ms);
        self.confirm(path, record);
        self.tell_of(path, "file-written", told);
        Ok(())
    }

    /// Writes a file again that git took away in a move, unless a stash has it.
    fn write_back(&mut self, path: &CanvasPath, record: Option<FileRecord>) -> Result<(), Trouble> {
        if !self.git.as_ref().is_some_and(|git| git.moving.is_some() && !git.git.has_stashed(path)) {
            return Ok(());
        }
        // At once: after the move nothing tells it from a file that somebody removed.
        self.written_ms.remove(path.id());
        self.write(path, None, record)
    }

    fn remove(&mut self, path: &CanvasPath, found: &Found) -> Result<(), Trouble> {
        match self.folder.remove(path, &found.bytes)? {
            Replaced::Done => {
                self.forget(path.id());
                self.tell_of(path, "file-removed", json!({}));
            }
            Replaced::Raced => self.again_in(path.id(), self.settings.debounce_ms),
        }
        Ok(())
    }
}

fn compare(record: Option<&FileRecord>, found: &Found) -> FileNow {
    match record {
        Some(record) if record.digest == found.digest || record.common().canvas == found.canvas => FileNow::Same,
        _ => FileNow::Changed,
    }
}

/// An editor that has emptied the file is about to write it: nothing is no canvas without anything in it.
fn read_file(text: &str) -> Result<(Canvas, FileLayout), CanvasError> {
    if text.trim().is_empty() {
        return Err(CanvasError::Syntax { line: 1, column: 1, reason: "the file is empty".to_owned() });
    }
    read(text)
}

/// Line and column of a byte, from 1.
fn place_of(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = bytes.get(..at).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    (line, column)
}
