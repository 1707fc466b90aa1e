//! What happened in the folder: files that came, changed and went; a folder that went with all its files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::binding::Binding;
use super::status::Pause;
use crate::drivers::files::{CanvasPath, FileDigest, Scan, Seen, looks_emptied, scan as scan_folder};
use crate::ids::CanvasId;
use crate::limits::MAX_FOLLOWING_SCANS;
use crate::sync::{Command, FileCommand, Reply, Standing};

impl Binding {
    /// Sorts what the watcher saw into canvases that are known; whether everything has to be looked at instead.
    pub(super) fn sort_paths(&mut self, paths: Vec<PathBuf>, due: &mut BTreeSet<CanvasId>) -> bool {
        let mut everything = false;
        for path in paths {
            let Ok(relative) = path.strip_prefix(self.folder.path()) else { continue };
            if relative.components().any(|part| part.as_os_str() == ".git") {
                continue;
            }
            match CanvasPath::of_file(relative) {
                Ok(file) if self.records.contains_key(file.id()) => {
                    due.insert(file.id().clone());
                }
                // A new one: whether it is ignored, the look at all tells.
                Ok(_) => everything = true,
                Err(_) => everything |= self.concerns_many(relative, &path, due),
            }
        }
        everything
    }

    /// Whether it is a folder, or says what is to be ignored.
    fn concerns_many(&mut self, relative: &Path, path: &Path, due: &mut BTreeSet<CanvasId>) -> bool {
        if let Some(folder) = relative.to_str() {
            let below = format!("{folder}/");
            let inside = self.records.keys().filter(|canvas| folder.is_empty() || canvas.as_str().starts_with(&below));
            due.extend(inside.cloned());
        }
        if let Some(watcher) = &mut self.watcher {
            watcher.lose(path);
        }
        relative.file_name().is_some_and(|name| name == ".gitignore") || path.is_dir()
    }

    /// Looks at the folder, and sees to it that whatever happens in it from now on is seen.
    fn scan_and_follow(&mut self) -> Scan {
        let mut scan = scan_folder(self.folder.path());
        for _ in 0..MAX_FOLLOWING_SCANS {
            match self.watcher.as_mut().map(|watcher| watcher.follow(&scan.folders)) {
                // What came before it was watched is found by another look.
                Some(Ok(true)) => scan = scan_folder(self.folder.path()),
                Some(Err(error)) => {
                    self.complain_of_folder("ERR_CONFIG_INVALID", error.to_string());
                    break;
                }
                _ => break,
            }
        }
        scan
    }

    /// All canvases that have a file, had one, or are listed.
    pub(super) fn find_all(&mut self) -> BTreeSet<CanvasId> {
        let scan = self.scan_and_follow();
        for refused in scan.refused {
            self.complain_of_folder("ERR_CANVAS_INVALID", refused.to_string());
        }
        for unread in scan.unread {
            self.complain_of_folder("ERR_CONFIG_INVALID", unread);
        }
        self.listed = scan.files.iter().map(|path| path.id().clone()).collect();
        let mut all = self.listed.clone();
        let unlisted: Vec<CanvasId> = self.records.keys().filter(|canvas| !all.contains(*canvas)).cloned().collect();
        let (unscanned, absent): (Vec<_>, Vec<_>) = unlisted.into_iter().partition(|canvas| self.has_file(canvas));
        all.extend(absent);
        if !unscanned.is_empty() {
            // It may have come while we looked.
            let again = scan_folder(self.folder.path()).files;
            for canvas in unscanned {
                if again.iter().any(|path| *path.id() == canvas) {
                    self.listed.insert(canvas.clone());
                    all.insert(canvas);
                } else {
                    // It is to be ignored from now on: neither deleted nor followed.
                    self.forget(&canvas);
                }
            }
        }
        match self.port.ask(Command::List) {
            Ok(Reply::Canvases(canvases)) => all.extend(canvases.into_iter().map(|info| info.entry.canvas)),
            Ok(_) => {}
            Err(error) => tracing::debug!(target: "mqtt:files", %error, "not listed"),
        }
        all
    }

    /// Once: later there are only temporary files of this process.
    pub(super) fn clear_all_leftovers(&mut self, canvases: &BTreeSet<CanvasId>) {
        if std::mem::replace(&mut self.cleared, true) {
            return;
        }
        let mut folders = BTreeSet::new();
        for path in canvases.iter().filter_map(|canvas| CanvasPath::of_id(canvas).ok()) {
            if folders.insert(path.folders().collect::<Vec<_>>().join("/")) {
                self.clear_leftovers(&path);
            }
        }
        self.unwritten.clear();
    }

    fn has_file(&self, canvas: &CanvasId) -> bool {
        CanvasPath::of_id(canvas).is_ok_and(|path| self.folder.read(&path).is_ok_and(|found| found.is_some()))
    }

    /// Notes that a file that was known has disappeared.
    pub(super) fn note_gone(&mut self, path: CanvasPath) {
        self.gone.insert(path);
    }

    /// Notes that a canvas was created from a file.
    pub(super) fn note_appeared(&mut self, canvas: &CanvasId, digest: FileDigest) {
        self.appeared.insert(canvas.clone(), digest);
    }

    /// Deletes the canvases whose files have gone, or pauses if the folder may have gone with them.
    pub(super) fn settle_gone(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        let appeared = std::mem::take(&mut self.appeared);
        if gone.is_empty() {
            return;
        }
        let renamed: BTreeSet<FileDigest> = appeared.values().copied().collect();
        let was_renamed = |canvas: &CanvasId| self.records.get(canvas).is_some_and(|of| renamed.contains(&of.digest));
        let lost: BTreeSet<CanvasPath> = gone.iter().filter(|path| !was_renamed(path.id())).cloned().collect();
        let before = self.records.keys().filter(|canvas| !appeared.contains_key(*canvas));
        let known: BTreeSet<CanvasPath> = before.filter_map(|canvas| CanvasPath::of_id(canvas).ok()).collect();
        let emptied = |path: &CanvasPath| match self.folder.is_empty_beside(path) {
            Ok(empty) => empty == Some(true),
            Err(_) => true,
        };
        let unusable = self.folder.is_empty().unwrap_or(true);
        if unusable || looks_emptied(&known, &lost, emptied) {
            return self.pause(Pause::Folder { gone });
        }
        for path in gone {
            let canvas = path.id().clone();
            if self.has_file(&canvas) {
                // It was only away for a moment.
                self.again_in(&canvas, self.settings.debounce_ms);
                continue;
            }
            let delete = FileCommand::Delete { canvas: canvas.clone(), author: self.author.clone() };
            match self.port.ask(Command::File(delete)) {
                Ok(_) => self.forget(&canvas),
                Err(error) => self.retry(&canvas, &error),
            }
        }
    }

    // ---- pauses ----

    pub(super) fn pause(&mut self, pause: Pause) {
        if self.paused.as_ref() == Some(&pause) {
            return;
        }
        let fields = json!({ "path": self.shown_folder(), "reason": pause.reason(), "message": pause.to_string() });
        self.port.tell("files-paused", fields);
        self.paused = Some(pause);
        self.status.update(self.records.len(), self.paused.as_ref());
    }

    pub(super) fn resume(&mut self) {
        if self.paused.take().is_some() {
            self.port.tell("files-resumed", json!({ "path": self.shown_folder() }));
            self.status.update(self.records.len(), None);
        }
    }

    /// Whether nothing may be done. A folder that was emptied goes on when all that had gone is back, or its canvas deleted.
    pub(super) fn is_paused(&mut self) -> bool {
        let Some(Pause::Folder { gone }) = &self.paused else { return self.paused.is_some() };
        let gone: Vec<CanvasPath> = gone.iter().cloned().collect();
        let is_settled = |path: &CanvasPath| self.has_file(path.id()) || self.is_deleted(path.id());
        if self.folder.is_empty().is_err() || !gone.iter().all(is_settled) {
            // The watch may have gone with the folder.
            self.try_again();
            return true;
        }
        self.watch_again();
        self.resume();
        self.desk.seen(Seen::Everything);
        // What has come back may not be complete yet.
        true
    }

    fn is_deleted(&self, canvas: &CanvasId) -> bool {
        matches!(self.port.look(canvas, None), Ok(Standing::Deleted | Standing::Unknown))
    }
}
