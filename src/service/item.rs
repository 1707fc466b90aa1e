//! What waits in the mailbox: texts, and events of canvases that further ones may be merged into.

use std::borrow::Cow;

use super::json;
use crate::canvas::{CanvasChanges, CombinedChanges};
use crate::ids::{CanvasId, RepositoryName};
use crate::limits::MERGE_SLACK_BYTES;
use crate::sync::{CanvasEvent, CanvasEventKind};

/// Something for the application.
#[derive(Debug)]
pub(crate) enum Item {
    /// The outcome of a call, as JSON.
    Outcome(String),
    /// An event that is told by itself, as JSON.
    Event(String),
    /// What happened to a canvas.
    Canvas(Box<CanvasItem>),
}

/// One event of a canvas, or several that were merged.
#[derive(Debug)]
pub(crate) struct CanvasItem {
    repository: RepositoryName,
    /// The newest; without its changes, once there are several.
    event: CanvasEvent,
    merged: Option<Merged>,
    /// The event as JSON, while it is one.
    text: String,
    /// Length of its JSON; of several at least that.
    bytes: usize,
}

#[derive(Debug)]
struct Merged {
    changes: CombinedChanges,
    events: u64,
    /// Length of their JSON when it was last looked.
    measured_bytes: usize,
}

impl Item {
    /// Its JSON.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Outcome(text) | Self::Event(text) => Cow::Borrowed(text),
            Self::Canvas(item) => item.text(),
        }
    }

    /// How much of the mailbox it takes up.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Outcome(text) | Self::Event(text) => text.len(),
            Self::Canvas(item) => item.bytes,
        }
    }
}

impl CanvasItem {
    pub(crate) fn new(repository: RepositoryName, event: CanvasEvent) -> Self {
        let text = json::canvas_event(&repository, &event, &event.changes, None);
        Self { bytes: text.len(), repository, event, merged: None, text }
    }

    /// Which canvas.
    pub(super) fn key(&self) -> (RepositoryName, CanvasId) {
        (self.repository.clone(), self.event.canvas.clone())
    }

    /// How much of the mailbox it takes up.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds what happened to the canvas next; given back where it has to be told by itself.
    pub(super) fn merge(&mut self, mut next: Box<Self>) -> Option<Box<Self>> {
        if next.merged.is_some() || !may_be_merged(&self.event, &next.event) {
            return Some(next);
        }
        let first = |changes: CanvasChanges| Merged { changes: changes.into(), events: 1, measured_bytes: self.bytes };
        let merged = self.merged.get_or_insert_with(|| first(self.event.changes.clone()));
        if let Err(changes) = merged.changes.add(std::mem::take(&mut next.event.changes)) {
            next.event.changes = changes;
            return Some(next);
        }
        merged.events += 1;
        (self.event, self.text) = (next.event, String::new());
        self.bytes += next.bytes;
        // To write it out each time would cost the more the larger it is.
        if self.bytes > 2 * merged.measured_bytes + MERGE_SLACK_BYTES {
            self.bytes = self.text().len();
            if let Some(merged) = &mut self.merged {
                merged.measured_bytes = self.bytes;
            }
        }
        None
    }

    fn text(&self) -> Cow<'_, str> {
        match &self.merged {
            Some(Merged { changes, events, .. }) if *events > 1 => {
                Cow::Owned(json::canvas_event(&self.repository, &self.event, &changes.changes(), Some(*events)))
            }
            _ => Cow::Borrowed(&self.text),
        }
    }
}

/// Whether what happens next to a canvas may be told together with what happened before: nobody who looks at the kind, or at
/// the origin alone, shall be misled.
fn may_be_merged(before: &CanvasEvent, next: &CanvasEvent) -> bool {
    let edits = [before, next].iter().all(|event| event.kind == CanvasEventKind::Updated);
    edits && before.generation == next.generation && before.origin == next.origin
}
