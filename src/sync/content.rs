//! What a document holds: a canvas, or an index.

use automerge::{ActorId, Change, ChangeHash};

use super::stored::StoredDocument;
use crate::canvas::{CanvasDocument, CanvasError, IndexDocument, Replica, Size, decode_change};
use crate::ids::DocumentId;

/// What kind of document it is.
pub(crate) enum Content {
    Index(Box<IndexDocument>),
    Canvas(Box<CanvasDocument>),
}

impl Content {
    /// A document that nothing is known of.
    pub(crate) fn new(id: &DocumentId) -> Self {
        match id {
            DocumentId::Index { .. } => Self::Index(Box::default()),
            DocumentId::Canvas { .. } => Self::Canvas(Box::default()),
        }
    }

    /// Reads a saved document.
    pub(crate) fn load(id: &DocumentId, bytes: &[u8]) -> Result<Self, CanvasError> {
        Ok(match id {
            DocumentId::Index { .. } => Self::Index(Box::new(IndexDocument::load(bytes)?)),
            DocumentId::Canvas { .. } => Self::Canvas(Box::new(CanvasDocument::load(bytes)?)),
        })
    }

    /// Puts a document together from what storage has of it. Changes that Automerge refuses are left out, as are those
    /// that `skip` names; storage may have some that are in the snapshot already.
    pub(crate) fn restore(
        id: &DocumentId,
        stored: StoredDocument,
        skip: impl Fn(&ChangeHash) -> bool,
    ) -> Result<Self, CanvasError> {
        let mut content = Self::of_snapshot(id, stored.snapshot)?;
        let decoded = stored.changes.into_iter().filter_map(|bytes| decode_change(bytes).ok());
        let changes: Vec<_> = decoded.filter(|change| !skip(&change.hash())).collect();
        content.apply(changes);
        Ok(content)
    }

    /// The same, but nothing may be left out: a change that Automerge refuses may be of use to a later version.
    pub(crate) fn restore_whole(id: &DocumentId, stored: StoredDocument) -> Result<Self, CanvasError> {
        let corrupt = |reason: String| CanvasError::Corrupt(reason);
        let mut content = Self::of_snapshot(id, stored.snapshot)?;
        let decoded = stored.changes.into_iter().map(decode_change).collect::<Result<Vec<_>, _>>();
        let changes = decoded.map_err(|error| corrupt(error.to_string()))?;
        let hashes: Vec<ChangeHash> = changes.iter().map(Change::hash).collect();
        content.apply(changes);
        if hashes.iter().all(|hash| content.replica().contains(hash)) {
            Ok(content)
        } else {
            Err(corrupt("some of its changes cannot be applied".to_owned()))
        }
    }

    fn of_snapshot(id: &DocumentId, snapshot: Option<Vec<u8>>) -> Result<Self, CanvasError> {
        snapshot.map_or_else(|| Ok(Self::new(id)), |bytes| Self::load(id, &bytes))
    }

    /// Takes in changes about which nobody need be told; returns those that were new. What was loaded must be whole, so
    /// Automerge takes them in at once.
    pub(crate) fn apply(&mut self, changes: Vec<Change>) -> Vec<ChangeHash> {
        match self {
            Self::Canvas(canvas) => canvas.apply_at_once(changes).hashes,
            Self::Index(index) => index.apply(changes).hashes,
        }
    }

    /// Has Automerge take in what waits for it: then saving takes no copy.
    pub(crate) fn merge(&mut self) {
        if let Content::Canvas(canvas) = self {
            canvas.merge();
        }
    }

    /// Whether it is to be loaded again: see [`CanvasDocument::is_lost`].
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Canvas(canvas) if canvas.is_lost())
    }

    pub(crate) fn replica(&self) -> &Replica {
        match self {
            Self::Index(index) => index.replica(),
            Self::Canvas(canvas) => canvas.replica(),
        }
    }

    /// Whether it is no larger than `most` with these changes.
    pub(crate) fn has_room(&mut self, changes: &[Change], most: &Size) -> bool {
        let size = match self {
            Self::Index(index) => index.size_with(changes, most),
            Self::Canvas(canvas) => canvas.size_with(changes, most),
        };
        size.fits(most)
    }

    /// How many nodes and edges it shows; none for an index.
    pub(crate) fn counts(&self) -> (usize, usize) {
        match self {
            Self::Index(_) => (0, 0),
            Self::Canvas(canvas) => canvas.counts(),
        }
    }

    /// Stands by everything that it holds; see [`CanvasDocument::stand_by`].
    pub(crate) fn stand_by(&mut self) -> Option<Change> {
        match self {
            Self::Index(index) => index.stand_by(),
            Self::Canvas(canvas) => canvas.stand_by(),
        }
    }

    pub(crate) fn set_actor(&mut self, actor: ActorId) {
        match self {
            Self::Index(index) => index.set_actor(actor),
            Self::Canvas(canvas) => canvas.set_actor(actor),
        }
    }
}
