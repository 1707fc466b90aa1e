//! Changes going into documents, and what follows: storage, events, the outbox.

use automerge::{Change, ChangeHash};

use super::document::{Content, Document};
use super::io::{CanvasEvent, CanvasEventKind, Event, Origin, PublishToken};
use super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step, Unread};
use super::timers::Timer;
use super::unsaved::only;
use crate::canvas::{CanvasChanges, CanvasDocument, Conflict};
use crate::ids::{CanvasId, DocumentId, PeerId};
use crate::limits::PUBLISH_RETRY_MS;
use crate::wire::{Body, Changes, Priority, Topic};

/// Who brought changes, and when they were sent by that peer's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) peer: PeerId,
    pub(super) sent_unix_ms: u64,
}

/// What taking in changes brought, for a canvas and an index alike.
struct Taken {
    hashes: Vec<ChangeHash>,
    rejected: Vec<(ChangeHash, String)>,
    /// Own edits made in answer, to be published.
    repair: Vec<Change>,
    /// Automerge panicked, and the document could not be restored in memory.
    damaged: bool,
}

impl CanvasP2PSynchronizer {
    /// Takes changes of others into a document: what can be applied is, what lacks dependencies waits, and what is then
    /// still lacking is asked for. Returns how many changes were new.
    pub(super) fn integrate(
        &mut self,
        step: &mut Step,
        id: &DocumentId,
        changes: Vec<Change>,
        source: Source,
    ) -> usize {
        let Some(document) = self.documents.get_mut(id) else { return 0 };
        document.used_ms = step.now.elapsed_ms;
        let (ready, dropped) = document.sort(changes);
        let mut count = 0;
        // What was told is read again, also if it should not come to be applied.
        if !ready.is_empty() || document.canvas().is_some_and(CanvasDocument::has_foretold) {
            let raw = ready.iter().map(|change| (change.hash(), change.raw_bytes().to_vec())).collect();
            let taken = self.take_in(step, id, ready, source);
            count = taken.hashes.len();
            self.statistics.remote_changes += count as u64;
            self.keep(id, only(raw, &taken.hashes));
            self.after_taking(step, id, taken);
        }
        let Some(document) = self.documents.get_mut(id) else {
            return count;
        };
        document.settle();
        let missing: Vec<ChangeHash> = document.causal.missing().chain(&dropped).copied().collect();
        let lacking = document.unknown(&missing);
        self.notice(step, id, lacking);
        count
    }

    /// Tells the application of a change whose effect is plain, and leaves what [`integrate`](Self::integrate) does to the
    /// next step, which is due at once. `false` if it is not plain; then nothing has been done.
    pub(super) fn tell_ahead(&mut self, step: &mut Step, id: &DocumentId, changes: &[Change], source: Source) -> bool {
        let ([change], Some(document)) = (changes, self.documents.get_mut(id)) else { return false };
        if !document.reported || document.is_quarantined(&change.hash()) {
            return false;
        }
        let Content::Canvas(canvas) = &mut document.content else { return false };
        let Some(diff) = canvas.foresee(change) else { return false };
        let author = change.message().map(str::to_owned);
        self.report_edit(step, id, author, source, Origin::Remote, diff);
        self.unread = Some(Unread::Told { document: id.clone(), change: change.clone(), source });
        true
    }

    fn take_in(&mut self, step: &mut Step, id: &DocumentId, ready: Vec<Change>, source: Source) -> Taken {
        let Some(document) = self.documents.get_mut(id) else {
            return Taken { hashes: Vec::new(), rejected: Vec::new(), repair: Vec::new(), damaged: false };
        };
        match &mut document.content {
            Content::Canvas(canvas) => {
                let applied = canvas.apply(ready);
                let taken = Taken {
                    hashes: applied.hashes,
                    rejected: applied.rejected,
                    repair: applied.repair,
                    damaged: applied.damaged,
                };
                self.report_edit(step, id, applied.author, source, Origin::Remote, applied.diff);
                self.report_conflicts(step, id, applied.conflicts);
                taken
            }
            Content::Index(index) => {
                let applied = index.apply(ready);
                let taken = Taken {
                    hashes: applied.hashes,
                    rejected: applied.rejected,
                    repair: Vec::new(),
                    damaged: applied.damaged,
                };
                if *id == self.index_id() {
                    self.on_index_changed(
                        step,
                        applied.appeared,
                        applied.disappeared,
                        applied.author.as_deref(),
                        source,
                    );
                }
                taken
            }
        }
    }

    /// A document is not what was told of it: it comes back from storage, and what others have heard from them.
    pub(super) fn lose(&mut self, step: &mut Step, id: &DocumentId) {
        let (hashes, rejected, repair) = (Vec::new(), Vec::new(), Vec::new());
        self.after_taking(step, id, Taken { hashes, rejected, repair, damaged: true });
    }

    fn after_taking(&mut self, step: &mut Step, id: &DocumentId, taken: Taken) {
        let Some(document) = self.documents.get_mut(id) else { return };
        if taken.damaged {
            // It comes back from storage, without what damaged it, and with a fresh actor.
            document.start_over();
            step.out.load.push(id.clone());
        }
        for (hash, reason) in taken.rejected {
            document.quarantine(hash);
            step.event(Event::Quarantined { document: id.clone(), hash, reason });
        }
        if taken.repair.is_empty() {
            self.schedule_announcement(step, id);
        } else {
            self.keep_and_send(step, id, &taken.repair, true);
        }
    }

    /// Own changes are in the document: store them, and publish them as soon as may be.
    pub(super) fn keep_and_send(&mut self, step: &mut Step, id: &DocumentId, changes: &[Change], content: bool) {
        if changes.is_empty() {
            return;
        }
        let raw = changes.iter().map(|change| change.raw_bytes().to_vec()).collect();
        self.keep(id, raw);
        step.own = true;
        self.send(step, id, changes, content);
    }

    /// Publishes own changes as soon as may be.
    pub(super) fn send(&mut self, step: &mut Step, id: &DocumentId, changes: &[Change], content: bool) {
        if let Some(document) = self.documents.get_mut(id) {
            document.outbox.push(changes, content);
        }
        self.flush(step, id);
        self.schedule_announcement(step, id);
    }

    // ---- the outbox -----------------------------------------------------------------------------------------------

    /// Publishes what waits, unless a publish of this document is in flight. Edits of a canvas that is not followed live
    /// wait until they are asked for, or until the application synchronises or leaves.
    pub(super) fn flush(&mut self, step: &mut Step, id: &DocumentId) {
        if self.documents.get(id).is_some_and(|document| document.live || document.outbox.is_released()) {
            self.publish_waiting(step, id);
        }
    }

    /// Publishes what waits now, also of a canvas that is not followed live.
    pub(super) fn flush_all(&mut self, step: &mut Step, id: &DocumentId) {
        if let Some(document) = self.documents.get_mut(id) {
            document.outbox.release();
        }
        self.flush(step, id);
    }

    fn publish_waiting(&mut self, step: &mut Step, id: &DocumentId) {
        if !self.link.is_up() {
            return;
        }
        let Some(document) = self.documents.get_mut(id) else { return };
        let replica = document.content.replica();
        let Some(batch) = document.outbox.next_batch(|hash| replica.change(hash)) else { return };
        let changes = batch.iter().map(|change| change.raw_bytes().to_vec()).collect();
        let body = Body::Changes(Changes { changes, vouchers: Vec::new() });
        let delivery = Delivery { tracked: true, ..Delivery::once(Priority::High) };
        let tokens = self.publish(step, &Topic::Changes(id.clone()), &body, delivery);
        for token in &tokens {
            self.in_flight.insert(*token, id.clone());
        }
        let Some(document) = self.documents.get_mut(id) else { return };
        if tokens.is_empty() {
            document.outbox.reset();
        } else {
            document.outbox.sent(tokens);
        }
    }

    pub(super) fn on_acknowledged(&mut self, step: &mut Step, token: PublishToken) {
        let Some(id) = self.in_flight.remove(&token) else { return self.on_snapshot_acknowledged(step, token) };
        let Some(document) = self.documents.get_mut(&id) else { return };
        if document.outbox.acknowledged(token) {
            self.await_echo(step, &id);
            self.flush(step, &id);
            self.on_less_unsent(step, &id);
        }
    }

    /// The broker has more of our changes than before.
    pub(super) fn on_less_unsent(&mut self, step: &mut Step, id: &DocumentId) {
        if self.documents.get(id).is_some_and(|document| document.outbox.len() == 0) {
            self.keep_lazily(step, id);
        }
        self.check_flushed(step);
        self.check_left(step);
    }

    /// The driver's queue is full: try again a little later.
    pub(super) fn on_publish_refused(&mut self, step: &mut Step, token: PublishToken) {
        let Some(id) = self.in_flight.remove(&token) else { return self.on_snapshot_refused(step, token) };
        self.in_flight.retain(|_, document| *document != id);
        if let Some(document) = self.documents.get_mut(&id) {
            document.outbox.reset();
            self.timers.set_no_later(Timer::Retry(id), step.now.after(PUBLISH_RETRY_MS));
        }
    }

    // ---- telling the application ----------------------------------------------------------------------------------

    /// Tells the application how a canvas changed; the first time, that it is there.
    pub(super) fn report_edit(
        &mut self,
        step: &mut Step,
        id: &DocumentId,
        author: Option<String>,
        source: Source,
        origin: Origin,
        changes: CanvasChanges,
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        if document.reported && changes.is_empty() {
            return;
        }
        let kind = if std::mem::replace(&mut document.reported, true) {
            CanvasEventKind::Updated
        } else {
            CanvasEventKind::Created
        };
        // A first import names no author, since it is the same change whoever makes it; the index knows.
        let creator = || self.canvas_of(id).and_then(|canvas| self.entry(&canvas)?.created_by.clone());
        let author = author.or_else(|| creator().filter(|_| kind == CanvasEventKind::Created));
        self.report(step, id, kind, author, source, origin, changes);
    }

    /// Tells the application what happened to a canvas.
    #[expect(clippy::too_many_arguments, reason = "an event has as many facts")]
    pub(super) fn report(
        &self,
        step: &mut Step,
        id: &DocumentId,
        kind: CanvasEventKind,
        author: Option<String>,
        source: Source,
        origin: Origin,
        changes: CanvasChanges,
    ) {
        let (Some(canvas), DocumentId::Canvas { generation, repository, .. }) = (self.canvas_of(id), id) else {
            return;
        };
        let Some(version) = self.documents.get(id).and_then(Document::canvas).map(CanvasDocument::version) else {
            return;
        };
        let foreign = (*repository != self.config.repository).then(|| repository.clone());
        step.event(Event::Canvas(Box::new(CanvasEvent {
            kind,
            canvas,
            generation: *generation,
            author,
            peer: source.peer,
            origin,
            timestamp_unix_ms: source.sent_unix_ms,
            version,
            changes,
            shared_with: foreign.filter(|_| kind == CanvasEventKind::Shared),
        })));
    }

    pub(super) fn report_conflicts(&self, step: &mut Step, id: &DocumentId, conflicts: Vec<Conflict>) {
        if let Some(canvas) = self.canvas_of(id) {
            for conflict in conflicts {
                step.event(Event::Conflict { canvas: canvas.clone(), conflict });
            }
        }
    }

    /// The id under which this repository knows a document, if it is one of its canvases.
    pub(super) fn canvas_of(&self, id: &DocumentId) -> Option<CanvasId> {
        let DocumentId::Canvas { canvas, .. } = id else { return None };
        (self.document_of(canvas).as_ref() == Some(id)).then(|| canvas.clone())
    }
}
