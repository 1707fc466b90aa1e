//! Finding out which canvases are concerned by what happened in the folder, and what it means that files have gone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::binding::Binding;
use super::status::Pause;
use crate::drivers::files::{CanvasPath, FileDigest, Scan, looks_emptied, scan};
use crate::ids::CanvasId;
use crate::sync::{Command, FileCommand, Reply};

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
    fn concerns_many(&self, relative: &Path, path: &Path, due: &mut BTreeSet<CanvasId>) -> bool {
        if let Some(folder) = relative.to_str() {
            let below = format!("{folder}/");
            let inside = self.records.keys().filter(|canvas| folder.is_empty() || canvas.as_str().starts_with(&below));
            due.extend(inside.cloned());
        }
        relative.file_name().is_some_and(|name| name == ".gitignore" || name == ".ignore") || path.is_dir()
    }

    /// All canvases that have a file, had one, or are listed.
    pub(super) fn find_all(&mut self) -> BTreeSet<CanvasId> {
        let scan = self.scan();
        for refused in scan.refused {
            self.complain_of_folder("ERR_CANVAS_INVALID", refused.to_string());
        }
        for unread in scan.unread {
            self.complain_of_folder("ERR_CONFIG_INVALID", unread);
        }
        let mut all: BTreeSet<CanvasId> = scan.files.iter().map(|path| path.id().clone()).collect();
        let unlisted: Vec<CanvasId> = self.records.keys().filter(|canvas| !all.contains(*canvas)).cloned().collect();
        for canvas in unlisted {
            if self.has_file(&canvas) {
                // It is there, and is to be ignored from now on: neither deleted nor followed.
                self.forget(&canvas);
            } else {
                all.insert(canvas);
            }
        }
        match self.port.ask(Command::List) {
            Ok(Reply::Canvases(canvases)) => all.extend(canvases.into_iter().map(|info| info.entry.canvas)),
            Ok(_) => {}
            Err(error) => tracing::debug!(target: "mqtt:files", %error, "not listed"),
        }
        all
    }

    /// Looks for all files, and watches the folders they may be in.
    fn scan(&mut self) -> Scan {
        loop {
            let found = scan(self.folder.path());
            let Some(watcher) = &mut self.watcher else { return found };
            match watcher.follow(&found.folders) {
                // Something may have appeared there before it was watched.
                Ok(true) => {}
                Ok(false) => return found,
                Err(error) => {
                    self.complain_of_folder("ERR_CONFIG_INVALID", error.to_string());
                    return found;
                }
            }
        }
    }

    pub(super) fn has_file(&self, canvas: &CanvasId) -> bool {
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
            let paths: Vec<String> = lost.iter().map(CanvasPath::relative).collect();
            return self.pause(Pause::Folder { gone: paths });
        }
        for path in gone {
            let canvas = path.id().clone();
            let delete = FileCommand::Delete { canvas: canvas.clone(), author: self.author.clone() };
            match self.port.ask(Command::File(delete)) {
                Ok(_) => self.forget(&canvas),
                Err(error) => self.retry(&canvas, &error),
            }
        }
    }
}
