//! What a repository may grow to through what others add, and what happens at the bound: what is here stays, and is
//! followed no further.

use automerge::Change;

use super::document::Document;
use super::error::SyncError;
use super::io::Event;
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use crate::canvas::Size;
use crate::ids::DocumentId;
use crate::limits::{
    MAX_CANVAS_BYTES, MAX_CANVAS_ENTRIES, MAX_CANVAS_OPERATIONS, MAX_CANVASES_PER_REPOSITORY, MAX_INDEX_BYTES,
    MAX_INDEX_ENTRIES, MAX_INDEX_OPERATIONS, MAX_PARKED_BYTES, MAX_VOUCHERS_PER_MESSAGE, MAX_WAITING_BYTES,
};

/// What one repository may grow to on one peer. Peers agree on nothing here: each guards itself.
///
/// An application's own edits end at seven eighths of it, so that peers do not push each other over the edge, and something
/// is left in a list of canvases for deleting some and for saying who is a member.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many canvases are followed.
    pub canvases: usize,
    /// What one of them may grow to.
    pub canvas: Size,
    /// What the list of canvases may grow to.
    pub index: Size,
    /// Bytes of changes that wait for others, in all documents together.
    pub waiting_bytes: usize,
    /// Bytes of changes that wait for documents to be loaded, for all together.
    pub parked_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            canvases: MAX_CANVASES_PER_REPOSITORY,
            canvas: Size {
                operations: MAX_CANVAS_OPERATIONS,
                bytes: MAX_CANVAS_BYTES,
                entries: MAX_CANVAS_ENTRIES,
                actors: MAX_VOUCHERS_PER_MESSAGE as u64,
            },
            index: Size {
                operations: MAX_INDEX_OPERATIONS,
                bytes: MAX_INDEX_BYTES,
                entries: MAX_INDEX_ENTRIES,
                actors: MAX_VOUCHERS_PER_MESSAGE as u64,
            },
            waiting_bytes: MAX_WAITING_BYTES,
            parked_bytes: MAX_PARKED_BYTES,
        }
    }
}

/// How a synchroniser stands with regard to its bounds.
#[derive(Debug, Default)]
pub(super) struct Bounded {
    /// The application was told that not all canvases are followed.
    unopened: bool,
    /// At least as many bytes of changes wait for others, in all documents.
    waiting_bytes: usize,
    /// So many wait for documents to be loaded.
    pub(super) parked_bytes: usize,
}

impl Bounds {
    pub(super) fn of(&self, id: &DocumentId) -> Size {
        match id {
            DocumentId::Index { .. } => self.index,
            DocumentId::Canvas { .. } => self.canvas,
        }
    }
}

impl CanvasP2PSynchronizer {
    /// Whether a document has grown to the bound, and is followed no further.
    #[must_use]
    pub fn is_full(&self, id: &DocumentId) -> bool {
        let awake = self.documents.get(id).map(|document| document.full);
        awake.or(self.asleep.get(id).map(|asleep| asleep.full)).unwrap_or_default()
    }

    /// Whether changes that others make of a document are looked at as they come: of a list of canvases also when it is full, for
    /// what admins say of members.
    pub(super) fn hears(&self, id: &DocumentId) -> bool {
        self.follows(id) || (self.membership.is_some() && *id == self.index_id())
    }

    /// Of changes of others that could go into a document, all, if there is room for them, and else none: then it is
    /// followed no further, which the application is told once.
    pub(super) fn as_far_as_they_fit(&mut self, step: &mut Step, id: &DocumentId, changes: Vec<Change>) -> Vec<Change> {
        let Some(document) = self.documents.get_mut(id).filter(|_| !changes.is_empty()) else { return changes };
        if !document.full && document.content.has_room(&changes, &self.config.bounds.of(id)) {
            return changes;
        }
        self.statistics.reject_many("document is full", changes.len());
        if !std::mem::replace(&mut document.full, true) {
            tracing::warn!(target: "mqtt:sync", document = %id, "it has grown to the bound, and is followed no further");
            step.event(Event::Error(SyncError::Full { document: id.clone() }));
        }
        // What waits, and what others have, is not to come any more.
        document.forget_waiting();
        document.catch_up.settle(|_| true);
        Vec::new()
    }

    /// Refuses an edit of what has almost grown to the bound.
    pub(super) fn check_room(&mut self, id: &DocumentId) -> Result<(), SyncError> {
        let most = self.config.bounds.of(id).almost();
        let Some(document) = self.documents.get_mut(id) else { return Ok(()) };
        if document.full || !document.content.has_room(&[], &most) {
            return Err(SyncError::Full { document: id.clone() });
        }
        Ok(())
    }

    /// Refuses one more canvas where there are as many as may be.
    pub(super) fn check_room_in_list(&mut self) -> Result<(), SyncError> {
        let max = self.config.bounds.canvases;
        if self.index().is_some_and(|index| index.entries().len() >= max) {
            return Err(SyncError::TooManyCanvases { repository: self.config.repository.clone(), max });
        }
        self.check_room(&self.index_id())
    }

    /// Whether one more document may be held. If not, the application is told once that some canvases of others are not
    /// followed; those for which there is room then are in the next process.
    pub(super) fn may_open(&mut self, step: &mut Step, id: &DocumentId) -> bool {
        let max = self.config.bounds.canvases;
        if matches!(id, DocumentId::Index { .. }) || self.documents.len() + self.asleep.len() <= max {
            return true;
        }
        if !std::mem::replace(&mut self.bounded.unopened, true) {
            let repository = self.config.repository.clone();
            step.event(Event::Error(SyncError::TooManyCanvases { repository, max }));
        }
        false
    }

    /// Changes of a document that wait have become more or less. Beyond what may wait in all, what waits in those that have
    /// most of it is forgotten, and asked for again.
    pub(super) fn watch_waiting(&mut self, step: &mut Step, id: &DocumentId, before: usize) {
        let after = self.documents.get(id).map(Document::waiting_bytes).unwrap_or_default();
        // Elsewhere some is forgotten without a word, so this is no less than what there is.
        self.bounded.waiting_bytes += after.saturating_sub(before);
        if self.bounded.waiting_bytes <= self.config.bounds.waiting_bytes {
            return;
        }
        let waiting = |document: &Document| (document.waiting_bytes(), document.id.clone());
        let mut by_bytes: Vec<(usize, DocumentId)> =
            self.documents.values().map(waiting).filter(|(bytes, _)| *bytes > 0).collect();
        by_bytes.sort_unstable();
        self.bounded.waiting_bytes = by_bytes.iter().map(|(bytes, _)| bytes).sum();
        if self.bounded.waiting_bytes <= self.config.bounds.waiting_bytes {
            return;
        }
        // Down to half, so that this is not done with each message.
        while self.bounded.waiting_bytes > self.config.bounds.waiting_bytes / 2
            && let Some((bytes, id)) = by_bytes.pop()
        {
            self.bounded.waiting_bytes -= bytes;
            self.statistics.reject("too much waits");
            if let Some(document) = self.documents.get_mut(&id) {
                document.forget_waiting();
            }
            self.ask_if_auto(step, &id);
        }
    }
}
