//! Messages that are acted on once, and warnings that something was rolled back; what was heard is in `heard.rs`.

use super::error::SyncError;
use super::io::{Event, Message};
use super::stored::StoreOperation;
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::timers::Timer;
use crate::ids::DocumentId;
use crate::limits::HEARD_SAVE_MS;
use crate::wire::{Header, Kind};

impl CanvasP2PSynchronizer {
    /// A message was let in. Of what would be an event, a request or a sign of life, each is taken once; what the broker had kept
    /// comes with every subscription, and is told from what is live.
    pub(super) fn note_heard(&mut self, step: &Step, message: &Message, header: &Header) {
        if !message.was_kept(header) && is_acted_on_once(header.kind) {
            self.peers.heard(header.sender, step.now);
            self.save_heard_lazily(step);
        }
    }

    /// A manifest of a document arrived. If its writer had already written a newer one, then the broker, or somebody there, has
    /// gone back to an older state. It is read all the same: a manifest only ever adds.
    /// Live ones may come in another order than they were written.
    pub(super) fn watch_manifest(&mut self, step: &mut Step, id: &DocumentId, message: &Message, header: &Header) {
        let older = self.heard.is_older_manifest(header.sender, header.session, &message.topic, header.counter);
        if older && message.retained {
            self.warn_of_rollback(step, id, "the broker keeps an older snapshot of it than it did before");
        }
        self.save_heard_lazily(step);
    }

    /// Something of a document was seen before and is not to be had. Told once for each document and connection.
    pub(super) fn warn_of_rollback(&mut self, step: &mut Step, id: &DocumentId, reason: &'static str) {
        let held = self.documents.contains_key(id) || self.asleep.contains_key(id);
        if held && self.rolled_back.insert(id.clone()) {
            step.event(Event::Error(SyncError::RolledBack { document: id.clone(), reason }));
        }
    }

    fn save_heard_lazily(&mut self, step: &Step) {
        if self.heard.is_changed() {
            self.timers.set_no_later(Timer::Save, step.now.after(HEARD_SAVE_MS));
        }
    }

    /// Has storage note what was heard.
    pub(super) fn save_heard(&mut self) {
        if let Some(marks) = self.heard.save() {
            self.saver.operation(StoreOperation::Heard { document: self.index_id(), marks });
        }
    }
}

/// Whether a message of a kind is acted on once, and not when it is played again.
pub(super) fn is_acted_on_once(kind: Kind) -> bool {
    match kind {
        Kind::Presence
        | Kind::Will
        | Kind::SyncRequest
        | Kind::SyncAnnouncement
        | Kind::HeadsAnnouncement
        | Kind::Cursor
        | Kind::Application
        | Kind::KeyNotice => true,
        // What they bring is there already, or is not.
        Kind::Changes | Kind::Manifest | Kind::SnapshotPart | Kind::SyncReply | Kind::Epoch | Kind::Members => false,
    }
}
