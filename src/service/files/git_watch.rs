//! What a binding remembers of git: the branch that it belongs to, and up to which commit git's changes are in the canvases.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::canvas::file::read;
use crate::canvas::{Canvas, Version};
use crate::drivers::files::{CanvasPath, FileDigest, FileRecord, Git, Glance};
use crate::ids::CanvasId;
use crate::limits::MAX_GIT_WAITS;

/// Git's side of a binding.
pub(super) struct GitWatch {
    pub(super) git: Git,
    /// The branch that the binding belongs to.
    pub(super) branch: Option<String>,
    /// The commit up to which git's changes are in the canvases.
    pub(super) head: Option<String>,
    /// The move of `HEAD` that is being followed.
    pub(super) moving: Option<Move>,
    /// Whether some file could not be looked at in this turn, so that the move goes on in the next.
    pub(super) unfinished: bool,
    /// What was plain to see the last time.
    pub(super) glance: Glance,
    /// The canvases of `head`.
    tree: BTreeMap<CanvasId, HeadFile>,
    waits: u32,
}

/// A move of `HEAD`, or the return to the binding's branch.
#[derive(Default)]
pub(super) struct Move {
    /// After a pause what a file holds says nothing of what was edited since: only git's last commit does.
    pub(super) resumed: bool,
    /// `HEAD` is where it was: away and back, or a stash.
    pub(super) stayed: bool,
    /// The versions of the differences that it brought.
    pub(super) brought: BTreeMap<CanvasId, Version>,
    /// The canvases that it deleted.
    pub(super) deleted: BTreeSet<CanvasId>,
}

/// A file of the commit that is checked out.
struct HeadFile {
    id: String,
    /// Of the canvas in it, whatever its layout.
    digest: HeadDigest,
}

#[derive(Clone, Copy)]
enum HeadDigest {
    /// Nobody has asked for it yet.
    Unread,
    /// It is no canvas.
    None,
    Is(FileDigest),
}

impl GitWatch {
    pub(super) fn new(git: Git, branch: Option<String>, head: Option<String>) -> Self {
        let tree = BTreeMap::new();
        Self { git, branch, head, moving: None, unfinished: false, glance: Glance::default(), tree, waits: 0 }
    }

    /// Whether git is at work.
    pub(super) fn is_busy(&mut self) -> bool {
        let is_busy = self.git.is_busy();
        self.waits = if is_busy { self.waits.saturating_add(1) } else { 0 };
        is_busy
    }

    /// Whether it has been for so long that somebody should be told.
    pub(super) fn is_stuck(&self) -> bool {
        self.waits > MAX_GIT_WAITS
    }

    /// Whether git may have changed files since it was last looked at, so that what they hold says nothing yet.
    pub(super) fn is_changing(&self) -> bool {
        self.git.is_busy() || self.git.glance() != self.glance
    }

    pub(super) fn user_name(&self) -> Option<String> {
        self.git.user_name()
    }

    /// The folders in which git notes that `HEAD` has moved.
    pub(super) fn folders(&self) -> [PathBuf; 2] {
        [self.git.directory().to_owned(), self.git.directory().join("logs")]
    }

    /// `HEAD` is at this commit now.
    pub(super) fn set_head(&mut self, head: Option<String>) {
        let listed = head.as_deref().map(|head| self.git.tree(head)).unwrap_or_default();
        let file = |(canvas, id): (CanvasId, String)| {
            let digest =
                self.tree.get(&canvas).filter(|known| known.id == id).map_or(HeadDigest::Unread, |known| known.digest);
            (canvas, HeadFile { id, digest })
        };
        self.tree = listed.into_iter().map(file).collect();
        self.head = head;
    }

    /// A canvas as an object has it.
    pub(super) fn canvas_of(&self, id: &str) -> Option<Canvas> {
        let bytes = self.git.object(id)?;
        read(std::str::from_utf8(&bytes).ok()?).ok().map(|(canvas, _)| canvas)
    }

    /// A canvas as the commit that is checked out has it.
    pub(super) fn head_canvas(&self, canvas: &CanvasId) -> Option<Canvas> {
        self.canvas_of(&self.tree.get(canvas)?.id)
    }

    /// Whether a file that is missing was taken away by git, and not by anybody: another branch or a reset took it along, or
    /// a stash has it.
    pub(super) fn has_taken(&self, path: &CanvasPath) -> bool {
        let canvas = path.id();
        if self.tree.contains_key(canvas) {
            return false;
        }
        match &self.moving {
            Some(moving) => !moving.deleted.contains(canvas),
            None => self.git.has_stashed(path),
        }
    }

    /// Whether the commit that is checked out has just this canvas.
    pub(super) fn is_at_head(&mut self, canvas: &CanvasId, content: &Canvas) -> bool {
        self.head_digest(canvas).is_some_and(|(_, digest)| digest == digest_of(content))
    }

    /// Notes in a record that what file and canvas have in common is what git has, if it is.
    pub(super) fn note(&mut self, canvas: &CanvasId, record: &mut FileRecord) {
        if let Some((id, digest)) = self.head_digest(canvas)
            && record.version_of_blob(&id).is_none()
            && digest == digest_of(&record.common().canvas)
        {
            record.note_blob(&id);
        }
    }

    /// Whether git itself wrote the file as it stands.
    pub(super) fn vouches_for(&self, path: &CanvasPath) -> bool {
        self.git.vouches_for(path)
    }

    fn head_digest(&mut self, canvas: &CanvasId) -> Option<(String, FileDigest)> {
        let file = self.tree.get(canvas)?;
        let id = file.id.clone();
        if matches!(file.digest, HeadDigest::Unread) {
            let content = self.canvas_of(&id);
            let digest = content.map_or(HeadDigest::None, |content| HeadDigest::Is(digest_of(&content)));
            self.tree.get_mut(canvas)?.digest = digest;
        }
        match self.tree.get(canvas)?.digest {
            HeadDigest::Is(digest) => Some((id, digest)),
            HeadDigest::Unread | HeadDigest::None => None,
        }
    }
}

/// Of a canvas, whatever its layout.
fn digest_of(canvas: &Canvas) -> FileDigest {
    FileDigest::of(canvas.to_json().as_bytes())
}
