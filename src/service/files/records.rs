//! What is remembered of each file, here and in the ledger.

use serde_json::json;

use super::binding::Binding;
use super::port::shown;
use crate::canvas::Canvas;
use crate::canvas::file::read;
use crate::drivers::files::{CanvasPath, FileDigest, FileRecord, FolderError, Leftover};
use crate::ids::CanvasId;

impl Binding {
    /// Takes up the records of an earlier process, if they are still about these files.
    pub(super) fn load_records(&mut self, goes_on: bool) {
        let repository = self.port.repository.clone();
        for canvas in self.ledger.canvases(&repository) {
            let record = self.ledger.record(&repository, &canvas).filter(|_| goes_on);
            match record.zip(CanvasPath::of_id(&canvas).ok()) {
                Some((record, path)) => self.load_record(&path, record),
                None => self.forget(&canvas),
            }
        }
    }

    fn load_record(&mut self, path: &CanvasPath, record: FileRecord) {
        if !record.is_unsure() {
            return self.note(path, record);
        }
        self.unwritten.insert(record.digest);
        let Ok(bytes) = self.folder.read(path) else { return self.forget(path.id()) };
        let content = bytes.as_deref().and_then(canvas_of);
        let file = bytes.as_deref().map(|bytes| (FileDigest::of(bytes), content.as_ref()));
        match record.settled(file) {
            Some(record) => self.keep(path, record),
            None => self.forget(path.id()),
        }
    }

    /// Keeps what file and canvas have in common now.
    pub(super) fn keep(&mut self, path: &CanvasPath, mut record: FileRecord) {
        self.note_blob(path, &mut record);
        let kept = self.ledger.keep(&self.port.repository, path.id(), Some(&record));
        self.complain_unless_kept(path, kept);
        self.note(path, record);
    }

    /// Keeps what file and canvas will have in common when the file has been written: this process may end before it can
    /// tell whether that was so. `before` is what the file has until then.
    pub(super) fn keep_ahead(&mut self, path: &CanvasPath, record: &FileRecord, before: Option<FileDigest>) {
        if self.ledger.is_lasting() {
            let unsure = record.clone().unsure(before);
            let kept = self.ledger.keep(&self.port.repository, path.id(), Some(&unsure));
            self.complain_unless_kept(path, kept);
        }
    }

    /// The file was not written: what was kept ahead is not so.
    pub(super) fn take_back(&mut self, path: &CanvasPath) {
        if self.ledger.is_lasting() {
            let kept = self.ledger.keep(&self.port.repository, path.id(), self.records.get(path.id()));
            self.complain_unless_kept(path, kept);
        }
    }

    /// What was kept ahead is so.
    pub(super) fn confirm(&mut self, path: &CanvasPath, mut record: FileRecord) {
        self.note_blob(path, &mut record);
        let kept = self.ledger.keep_with_next(&self.port.repository, path.id(), &record);
        self.complain_unless_kept(path, kept);
        self.note(path, record);
    }

    fn note_blob(&mut self, path: &CanvasPath, record: &mut FileRecord) {
        if let Some(git) = &mut self.git {
            git.note(path.id(), record);
        }
    }

    fn note(&mut self, path: &CanvasPath, record: FileRecord) {
        self.first_seen.remove(path.id());
        self.claims.insert(path.folded(), path.id().clone());
        self.records.insert(path.id().clone(), record);
    }

    fn complain_unless_kept(&mut self, path: &CanvasPath, kept: Result<(), String>) {
        if let Err(error) = kept {
            self.complain(path, "ERR_STORAGE_FULL", format!("what is known of the file is not kept: {error}"), None);
        }
    }

    pub(super) fn forget(&mut self, canvas: &CanvasId) {
        self.records.remove(canvas);
        self.first_seen.remove(canvas);
        self.waiting.remove(canvas);
        self.restored.remove(canvas);
        self.written_ms.remove(canvas);
        self.claims.retain(|_, claimed| claimed != canvas);
        self.unclaimed.remove(canvas);
        for other in std::mem::take(&mut self.unclaimed) {
            self.again_in(&other, 0);
        }
        if let Err(error) = self.ledger.keep(&self.port.repository, canvas, None) {
            tracing::warn!(target: "mqtt:files", %error, "a record is not forgotten");
        }
    }

    /// Whether another canvas has the file that this one would have on some systems.
    pub(super) fn is_claimed(&self, path: &CanvasPath) -> Option<&CanvasId> {
        self.claims.get(&path.folded()).filter(|canvas| *canvas != path.id())
    }

    // ---- what dead processes left ---------------------------------------------------------------------------------

    /// Removes temporary files beside a file. One that holds a canvas that nothing else has was saved at the very moment
    /// in which that process ended: it is put aside.
    pub(super) fn clear_leftovers(&mut self, beside: &CanvasPath) {
        for left in self.folder.leftovers(beside) {
            let settled = if self.is_known(&left) { Ok(()) } else { self.put_leftover_aside(&left) };
            if let Err(error) = settled.and_then(|()| self.folder.discard(&left)) {
                self.complain(&left.of, "ERR_STORAGE_FULL", error.to_string(), None);
            }
        }
    }

    fn is_known(&self, left: &Leftover) -> bool {
        let Some(content) = canvas_of(&left.contents) else { return true };
        let digest = FileDigest::of(&left.contents);
        if self.unwritten.contains(&digest) {
            return true;
        }
        let record = self.records.get(left.of.id());
        record.is_some_and(|record| record.digest == digest || record.version_of(&content).is_some())
            || self.folder.read(&left.of).is_ok_and(|bytes| bytes.as_deref().and_then(canvas_of) == Some(content))
    }

    fn put_leftover_aside(&mut self, left: &Leftover) -> Result<(), FolderError> {
        let aside = self.folder.put_aside(&left.of, &Self::today(), &left.contents)?;
        let aside = shown(&self.folder.path().join(aside));
        self.tell_of(&left.of, "file-set-aside", json!({ "aside": aside }));
        Ok(())
    }
}

fn canvas_of(bytes: &[u8]) -> Option<Canvas> {
    read(std::str::from_utf8(bytes).ok()?).ok().map(|(canvas, _)| canvas)
}
