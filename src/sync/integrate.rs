//! Changes going into documents, and what follows: storage, events, the outbox.

use std::collections::BTreeSet;

use automerge::{ActorId, Change, ChangeHash};

use super::content::Content;
use super::document::Document;
use super::io::{CanvasEvent, CanvasEventKind, Event, Origin, PublishToken};
use super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step};
use super::timers::Timer;
use super::unsaved::only;
use super::vouching::{Admitted, Incoming, Vouching, last_of_actors};
use crate::canvas::{CanvasChanges, CanvasDocument, Conflict, Version};
use crate::ids::{CanvasId, DocumentId, PeerId};
use crate::limits::{MAX_WANTED_HEADS, PUBLISH_RETRY_MS, TAIL_MS};
use crate::wire::{Body, Changes, Priority, Statement, Topic, content_room};

/// What CBOR puts before a list or a byte string at most.
const ENCODED_HEAD_BYTES: usize = 9;

/// Who brought changes, and when they were sent by that peer's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) peer: PeerId,
    pub(super) sent_unix_ms: u64,
    /// The broker had kept it, and this peer asked for it.
    pub(super) kept: bool,
}

impl Source {
    /// The same, but the peer is the one that made the change of this actor, where that is known.
    pub(super) fn behind(
        self,
        actor: Option<&ActorId>,
        vouching: &mut Vouching,
        applied: &[ChangeHash],
        own: &PeerId,
    ) -> Self {
        vouching.applied(applied);
        let owner = actor.and_then(|actor| vouching.owner(actor, own));
        Self { peer: owner.unwrap_or(self.peer), ..self }
    }
}

/// What taking in changes brought, for a canvas and an index alike.
#[derive(Default)]
struct Taken {
    hashes: Vec<ChangeHash>,
    rejected: Vec<(ChangeHash, String)>,
    /// What stands only by something that could not be applied.
    unsettled: Vec<Change>,
    /// Own edits made in answer, to be published.
    repair: Vec<Change>,
    /// Automerge panicked, and the document could not be restored in memory.
    damaged: bool,
}

impl CanvasP2PSynchronizer {
    /// Takes changes of others into a document: what their owners vouch for and can be applied is, what lacks dependencies
    /// waits, and what is then still lacking is asked for. Returns how many changes were new.
    pub(super) fn integrate(&mut self, step: &mut Step, id: &DocumentId, incoming: Incoming, source: Source) -> usize {
        if self.is_full(id) && !self.hears(id) {
            return 0;
        }
        let Some(document) = self.documents.get_mut(id) else { return 0 };
        document.used_ms = step.now.elapsed_ms;
        let mut concerned: BTreeSet<ChangeHash> = incoming.changes.iter().map(Change::hash).collect();
        let Admitted { changes, unvouched, forged, verified } = document.admit(incoming);
        self.charge(step, source, verified);
        // Nothing is asked for on account of these: whoever has them with a voucher names them among its heads.
        self.statistics.reject_many("unvouched change", unvouched);
        self.statistics.reject_many("bad voucher", usize::from(forged));
        let changes = self.only_members(step, id, changes);
        let Some(document) = self.documents.get_mut(id) else { return 0 };
        let (waited, waiting_bytes) = (document.causal.waited(), document.waiting_bytes());
        let (ready, mut dropped) = document.sort(changes);
        concerned.extend(ready.iter().map(Change::hash));
        let ready = self.as_far_as_they_fit(step, id, ready);
        let (mut count, mut unsettled) = (0, Vec::new());
        if !ready.is_empty() {
            let raw = ready.iter().map(|change| (change.hash(), change.raw_bytes().to_vec())).collect();
            let taken = self.take_in(step, id, ready, source);
            count = taken.hashes.len();
            self.statistics.remote_changes += count as u64;
            self.keep(id, only(raw, &taken.hashes));
            unsettled = self.after_taking(step, id, taken);
        }
        if let Some(document) = self.documents.get_mut(id) {
            for change in &unsettled {
                concerned.remove(&change.hash());
            }
            document.forget_vouchers(&concerned);
            dropped.extend(document.hold(unsettled));
        }
        self.merge_later(step, id);
        self.after_integrating(step, id);
        self.watch_waiting(step, id, waiting_bytes);
        let Some(document) = self.documents.get_mut(id) else {
            return count;
        };
        document.settle();
        let waits = document.causal.waited() != waited || !dropped.is_empty();
        self.ask_for_lacking(step, id, source, waits, &dropped);
        count
    }

    /// The signatures within a message count as messages do. Nobody is to blame for what the broker keeps.
    pub(super) fn charge(&mut self, step: &mut Step, source: Source, signatures: usize) {
        if signatures > 0 && !source.kept && self.throttle.charge(source.peer, signatures, step.now) {
            self.tell_of_throttled(step, source.peer);
        }
    }

    /// Asks for what waiting changes lack, unless that is being asked for already. `waits`: there are more than before.
    fn ask_for_lacking(
        &mut self,
        step: &mut Step,
        id: &DocumentId,
        source: Source,
        waits: bool,
        dropped: &[ChangeHash],
    ) {
        let Some(document) = self.documents.get(id) else { return };
        let throttling = self.throttle.is_running();
        if !waits && (document.catch_up.lacks() || throttling) {
            return;
        }
        if waits && self.lacks_what_was_dropped(step, id, &source.peer) {
            return;
        }
        let Some(document) = self.documents.get(id) else { return };
        let missing: Vec<ChangeHash> =
            document.causal.missing().take(MAX_WANTED_HEADS).chain(dropped).copied().collect();
        let lacking = document.unknown(&missing);
        let any = !lacking.is_empty();
        self.notice(step, id, lacking);
        if any && throttling {
            // It builds on what was dropped here and not there, and will not come by itself.
            self.ask_if_auto(step, id);
        }
    }

    fn take_in(&mut self, step: &mut Step, id: &DocumentId, ready: Vec<Change>, source: Source) -> Taken {
        let Some(document) = self.documents.get_mut(id) else { return Taken::default() };
        let Document { content, vouching, .. } = document;
        match content {
            Content::Canvas(canvas) => {
                let applied = canvas.apply_standing(ready, &|change| vouching.stands(change));
                let source = source.behind(applied.by.as_ref(), vouching, &applied.hashes, &self.peer);
                let taken = Taken {
                    hashes: applied.hashes,
                    rejected: applied.rejected,
                    unsettled: applied.unsettled,
                    repair: applied.repair,
                    damaged: applied.damaged,
                };
                self.report_edit(step, id, applied.author, source, Origin::Remote, applied.diff);
                self.report_conflicts(step, id, applied.conflicts);
                taken
            }
            Content::Index(index) => {
                let applied = index.apply_standing(ready, &|change| vouching.stands(change));
                let source = source.behind(applied.by.as_ref(), vouching, &applied.hashes, &self.peer);
                let taken = Taken {
                    hashes: applied.hashes,
                    rejected: applied.rejected,
                    unsettled: applied.unsettled,
                    repair: Vec::new(),
                    damaged: applied.damaged,
                };
                if *id == self.index_id() {
                    // What has a key of its own is listened to where it is.
                    self.follow_shares(step);
                    let author = applied.author.as_deref();
                    self.on_index_changed(step, applied.appeared, applied.disappeared, author, source);
                }
                taken
            }
        }
    }

    /// Has Automerge take in what it was spared, before long.
    pub(super) fn merge_later(&mut self, step: &mut Step, id: &DocumentId) {
        if self.documents.get(id).and_then(Document::canvas).is_some_and(CanvasDocument::is_to_be_merged) {
            self.timers.set_no_later(Timer::Merge(id.clone()), step.now.after(TAIL_MS));
        }
    }

    pub(super) fn on_merge_due(&mut self, step: &mut Step, id: &DocumentId) {
        let Some(Content::Canvas(canvas)) = self.documents.get_mut(id).map(|document| &mut document.content) else {
            return;
        };
        canvas.merge();
        if canvas.is_lost() {
            self.lose(step, id);
        } else if self.documents.get(id).is_some_and(|document| document.unsaved.is_whole()) {
            self.saver.add(id);
        }
    }

    /// A document is not what was told of it: it comes back from storage, and what others have heard from them.
    pub(super) fn lose(&mut self, step: &mut Step, id: &DocumentId) {
        self.after_taking(step, id, Taken { damaged: true, ..Taken::default() });
    }

    /// What follows; gives back what is to be held.
    fn after_taking(&mut self, step: &mut Step, id: &DocumentId, taken: Taken) -> Vec<Change> {
        let Some(document) = self.documents.get_mut(id) else { return Vec::new() };
        let mut refused = taken.rejected;
        if taken.damaged {
            if let Content::Canvas(canvas) = &mut document.content {
                refused.append(&mut canvas.take_refused());
            }
            // It comes back from storage, without what damaged it, and with a fresh actor.
            document.start_over();
            step.out.load.push(id.clone());
        }
        for (hash, reason) in refused {
            document.quarantine(hash);
            self.statistics.quarantined += 1;
            step.event(Event::Quarantined { document: id.clone(), hash, reason });
        }
        if taken.repair.is_empty() {
            self.schedule_announcement(step, id);
        } else {
            self.keep_and_send(step, id, &taken.repair, true);
        }
        taken.unsettled
    }

    /// Own changes are in the document: store them, and publish them as soon as may be.
    pub(super) fn keep_and_send(&mut self, step: &mut Step, id: &DocumentId, changes: &[Change], content: bool) {
        if changes.is_empty() {
            return;
        }
        let raw = changes.iter().map(|change| change.raw_bytes().to_vec()).collect();
        self.keep(id, raw);
        step.own = true;
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
        if !document.outbox.has_batch() {
            return;
        }
        if let Err(at_ms) = self.config.outbound.take(step.now) {
            return self.timers.set_no_later(Timer::Retry(id.clone()), at_ms);
        }
        let replica = document.content.replica();
        let Some(batch) = document.outbox.next_batch(|hash| replica.change(hash)) else { return };
        let topic = Topic::Changes(id.clone());
        let (body, vouches) = self.vouched(id, &topic, &batch);
        let delivery = Delivery { tracked: true, vouches, ..Delivery::once(Priority::High) };
        let tokens = self.publish(step, &topic, &Body::Changes(body), delivery);
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

    /// Own changes as they are published, and what the envelope's signature shall vouch for: if they are of one actor, and
    /// travel in one packet, no other signature is needed.
    fn vouched(&self, id: &DocumentId, topic: &Topic, batch: &[Change]) -> (Changes, Option<Statement>) {
        let changes: Vec<Vec<u8>> = batch.iter().map(|change| change.raw_bytes().to_vec()).collect();
        let last = last_of_actors(batch);
        let bytes: usize = changes.iter().map(|change| change.len() + ENCODED_HEAD_BYTES).sum();
        let room = content_room(&self.config.topics, topic, self.config.max_message_bytes).unwrap_or_default();
        if last.len() == 1
            && bytes + 3 * ENCODED_HEAD_BYTES <= room
            && let Some((actor, newest)) = last.first_key_value()
        {
            let vouches = Statement::new(id, actor, newest.sequence, &newest.hash);
            return (Changes { changes, vouchers: Vec::new(), proof: None }, Some(vouches));
        }
        let document = self.documents.get(id);
        let vouchers = document.map(|document| document.vouching.vouchers(id, &self.config.identity, last.into_iter()));
        (Changes { changes, vouchers: vouchers.unwrap_or_default(), proof: None }, None)
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
        let Some(version) = self.version_of(id) else { return };
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

    /// The version of a canvas that is held, in memory or in storage.
    pub(super) fn version_of(&self, id: &DocumentId) -> Option<Version> {
        let awake = self.documents.get(id).and_then(Document::canvas).map(CanvasDocument::version);
        awake.or_else(|| self.asleep.get(id).map(|asleep| Version(asleep.summary.heads.clone())))
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
