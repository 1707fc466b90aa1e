//! Taking off the broker what nobody needs any more.

use super::super::io::{Publish, QualityOfService};
use super::super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::super::timers::Timer;
use super::Snapshots;
use super::book::Known;
use super::reading::part_topic;
use crate::ids::{DocumentId, PeerId};
use crate::limits::{CLEAR_JITTER_MS, MAX_CLEARED_DOCUMENTS, MAX_CLEARINGS};
use crate::wire::{Priority, Topic};

impl CanvasP2PSynchronizer {
    /// Where this peer's own manifest stands for all that others' say: those go, with their parts, and so do own parts of
    /// earlier snapshots.
    pub(super) fn tidy(&mut self, step: &mut Step, id: &DocumentId) {
        if !self.link.is_up() || !step.now.reached(self.snapshots.heard_ms) {
            // Manifests that need the same parts may still be on their way.
            return;
        }
        let Some(own) = self.snapshots.book.get(id, &self.peer).filter(|own| own.is_readable()) else { return };
        let surpassed: Vec<PeerId> = self
            .snapshots
            .book
            .of(id)
            .filter(|(writer, known)| *writer != self.peer && self.surpasses(id, own, *writer, known))
            .map(|(writer, _)| writer)
            .collect();
        for writer in surpassed {
            self.clear_manifest(step, id, writer);
        }
        self.clear_litter(step, id);
    }

    /// Whether our manifest stands for another's. Of two that cover the same, that of the smaller peer id stays, or each
    /// would clear the other's.
    fn surpasses(&self, id: &DocumentId, own: &Known, writer: PeerId, other: &Known) -> bool {
        let Some(document) = self.documents.get(id) else { return false };
        let replica = document.replica();
        replica.is_within(&other.heads, &own.heads)
            && (self.peer < writer || !other.is_readable() || !replica.is_within(&own.heads, &other.heads))
    }

    fn clear_manifest(&mut self, step: &mut Step, id: &DocumentId, writer: PeerId) {
        self.clear_retained(step, &Topic::Manifest { document: id.clone(), writer });
        if let Some(known) = self.snapshots.book.forget(id, &writer) {
            for digest in known.parts {
                self.snapshots.litter.add(id, digest);
            }
        }
    }

    fn clear_litter(&mut self, step: &mut Step, id: &DocumentId) {
        let Snapshots { book, writes, litter, .. } = &mut self.snapshots;
        let written = writes.get(id).map(|write| write.manifest().parts.as_slice()).unwrap_or_default();
        for digest in litter.take_unneeded(id, |digest| book.needs(id, digest) || written.contains(digest)) {
            self.clear_retained(step, &part_topic(id, digest));
        }
    }

    fn clear_retained(&self, step: &mut Step, topic: &Topic) {
        step.out.publish.push(Publish {
            token: None,
            topic: self.config.topics.format(topic),
            payload: Vec::new(),
            quality: QualityOfService::AtLeastOnce,
            retain: true,
            priority: Priority::Low,
        });
    }

    // ---- deleted canvases -----------------------------------------------------------------------------------------

    /// A document is no longer replicated. Whoever deleted its canvas clears at once what it knows of; the others some
    /// time later, should anything be left.
    pub(in crate::sync) fn forget_snapshots(&mut self, step: &mut Step, id: &DocumentId, deleted_here: bool) {
        self.cancel_fetch(step, id);
        self.abandon_write(id);
        self.snapshots.elections.remove(id);
        self.snapshots.to_write.remove(id);
        self.timers.clear(&Timer::Snapshot(id.clone()));
        if deleted_here && self.is_dead(id) {
            self.on_clear_due(step, id);
        } else {
            self.clear_if_dead(step, id);
        }
    }

    /// The index has changed: of some canvases whose manifests are known it may say now that they are deleted.
    pub(super) fn clear_all_dead(&mut self, step: &mut Step) {
        let ids: Vec<DocumentId> = self.snapshots.book.documents().filter(|id| self.is_dead(id)).cloned().collect();
        for id in ids {
            self.clear_if_dead(step, &id);
        }
    }

    pub(super) fn clear_if_dead(&mut self, step: &mut Step, id: &DocumentId) {
        let anything = self.snapshots.book.of(id).next().is_some() || self.snapshots.litter.has(id);
        if anything && self.is_dead(id) {
            let at_ms = step.now.after(step.rng.next_u64() % CLEAR_JITTER_MS);
            self.timers.set_no_later(Timer::Clear(id.clone()), at_ms);
        }
    }

    /// Clears what the broker keeps of a canvas that this repository had and has deleted. Not often: another repository,
    /// with which it was shared, may go on with it.
    pub(in crate::sync) fn on_clear_due(&mut self, step: &mut Step, id: &DocumentId) {
        if !self.link.is_up() || !self.is_dead(id) {
            return;
        }
        let count = self.snapshots.clearings.get(id).copied().unwrap_or_default();
        if count >= MAX_CLEARINGS {
            return;
        }
        self.snapshots.clearings.insert(id.clone(), count + 1);
        if self.snapshots.clearings.len() > MAX_CLEARED_DOCUMENTS {
            self.snapshots.clearings.pop_first();
        }
        let writers: Vec<PeerId> = self.snapshots.book.of(id).map(|(writer, _)| writer).collect();
        for writer in writers {
            self.clear_manifest(step, id, writer);
        }
        self.clear_litter(step, id);
    }

    /// Whether a canvas of this repository is gone for good.
    fn is_dead(&self, id: &DocumentId) -> bool {
        *id.repository() == self.config.repository
            && !self.documents.contains_key(id)
            && !self.asleep.contains_key(id)
            && self.was_deleted(id)
    }
}
