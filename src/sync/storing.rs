//! Documents going to storage, and what waits for it: outcomes of edits, and everything that must not overtake them.

use super::asleep::Closed;
use super::content::Content;
use super::document::{Document, State};
use super::error::SyncError;
use super::io::{Event, Notice, Origin, Reply, StoreToken};
use super::stored::{StoreOperation, StoredDocument};
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::timers::Timer;
use super::unsaved::Lacking;
use crate::ids::DocumentId;

/// Something for the application that is held back.
pub(super) struct HeldNotice {
    /// It is told when this batch is stored, or has failed.
    token: StoreToken,
    notice: Notice,
    /// Whether it says that an edit is durable.
    durable: bool,
}

impl CanvasP2PSynchronizer {
    /// A document has taken in changes that must be saved; their raw bytes.
    pub(super) fn keep(&mut self, id: &DocumentId, changes: Vec<Vec<u8>>) {
        if let Some(document) = self.documents.get_mut(id)
            && !changes.is_empty()
        {
            document.unsaved.add(changes);
            self.saver.add(id);
        }
    }

    /// What the broker has of a document changed: storage may learn of it a little later.
    pub(super) fn keep_lazily(&mut self, step: &Step, id: &DocumentId) {
        let by_ms = self.saver.add_lazily(id, step.now);
        self.timers.set_no_later(Timer::Save, by_ms);
    }

    /// At the end of a step: puts a batch out if one is due, then sorts what the application is told now from what waits.
    pub(super) fn save(&mut self, step: &mut Step) {
        if let Some((token, documents, operations)) = self.saver.begin(step.now) {
            let mut batch = Vec::with_capacity(2 * documents.len() + operations.len());
            // First what is forgotten: a document may have come back since.
            batch.extend(operations);
            for id in documents {
                self.write_document(&id, &mut batch);
            }
            step.out.store = Some((token, batch));
        }
        let mut notices = std::mem::take(&mut step.out.notices);
        let durable = step.own;
        let failing = self.saver_failing.as_ref().filter(|_| durable && self.saver.is_resting());
        if let Some(reason) = failing {
            // Storage has just failed, so there is no need to wait for it to fail again.
            for notice in &mut notices {
                not_durable(notice, reason);
            }
        }
        // An outcome waits for the storage of what it speaks of, and what comes after it waits too: results and events
        // are told in document order. What others did is told at once: they have it.
        let token = if durable && failing.is_none() {
            self.saver.covering()
        } else {
            self.held.back().map_or(self.settled, |last| last.token)
        };
        self.held.extend(notices.into_iter().map(|notice| HeldNotice { token, notice, durable }));
        self.tell_settled(step);
    }

    fn write_document(&mut self, id: &DocumentId, batch: &mut Vec<StoreOperation>) {
        let Some(document) = self.in_memory(id) else { return };
        if document.unsaved.is_whole() {
            document.content.merge();
            if document.content.is_lost() {
                // It is about to be loaded again.
                return;
            }
        }
        let replica = document.content.replica();
        match document.unsaved.begin(|count| replica.newest(count)) {
            Lacking::Changes(changes) if changes.is_empty() => {}
            Lacking::Changes(changes) => batch.push(StoreOperation::Append { document: id.clone(), changes }),
            Lacking::All => {
                batch.push(StoreOperation::Replace { document: id.clone(), snapshot: replica.save() });
            }
        }
        let vouchers = document.vouching.begin_saving();
        if !vouchers.is_empty() {
            batch.push(StoreOperation::Vouch { document: id.clone(), vouchers });
        }
        let summary = document.summary();
        if !summary.unsent {
            // Whatever is here came from the network, or went there.
            batch.push(StoreOperation::Acknowledged { document: id.clone(), heads: summary.heads.clone() });
        }
        batch.push(StoreOperation::Describe { document: id.clone(), summary });
    }

    /// A document as a whole, to be put in the place of its changes in storage; `None` if storage may have more than is here.
    pub fn compacted(&mut self, id: &DocumentId) -> Option<Vec<u8>> {
        let document = self.in_memory(id).filter(|document| document.state == State::Whole)?;
        document.content.merge();
        (!document.content.is_lost()).then(|| document.replica().save())
    }

    fn tell_settled(&mut self, step: &mut Step) {
        while self.held.front().is_some_and(|held| held.token <= self.settled) {
            step.out.notices.extend(self.held.pop_front().map(|held| held.notice));
        }
    }

    pub(super) fn on_stored(&mut self, token: StoreToken) {
        for id in self.saver.stored(token) {
            if let Some(document) = self.in_memory(&id) {
                document.unsaved.saved();
                document.vouching.saved();
            }
        }
        self.saver_failing = None;
        self.settled = self.settled.max(token);
        if self.actors_free_at.take_if(|at| *at <= token).is_some() {
            self.documents.values_mut().for_each(|document| document.actor.free());
            self.asleep.values_mut().for_each(|asleep| asleep.actor.free());
        }
    }

    /// Storage is full, or broken. Edits that waited for it are made, but not durable; all of it is tried again.
    pub(super) fn on_store_failed(&mut self, step: &mut Step, token: StoreToken, reason: &str) {
        let first = self.saver_failing.replace(reason.to_owned()).is_none();
        let Some((documents, retry_ms)) = self.saver.failed(token, step.now) else { return };
        for id in documents {
            if let Some(document) = self.in_memory(&id) {
                document.unsaved.failed();
                document.vouching.save_failed();
            }
        }
        self.timers.set(Timer::Save, retry_ms);
        // What must be durable first of all is that the actors are forgotten: until then none of them is used.
        if let Some(at) = &mut self.actors_free_at {
            *at = self.saver.covering();
        }
        let mut told = false;
        for held in self.held.iter_mut().filter(|held| held.token <= token && held.durable) {
            not_durable(&mut held.notice, reason);
            told |= matches!(held.notice, Notice::Outcome { .. });
        }
        self.settled = self.settled.max(token);
        if first && !told {
            step.event(Event::Error(SyncError::NotDurable { reason: reason.to_owned() }));
        }
    }

    /// What may be saved lazily is due, or storage that failed may be tried again.
    pub(super) fn on_save_due(&mut self) {
        self.save_heard();
        self.saver.hurry();
    }

    fn in_memory(&mut self, id: &DocumentId) -> Option<&mut Document> {
        let mut closed = self.closed.iter_mut().filter_map(Closed::awake_mut);
        self.documents.get_mut(id).or_else(|| closed.find(|document| document.id == *id))
    }

    /// A document that was damaged in memory comes back from storage. What the broker is not known to have leaves again.
    pub(super) fn restore_damaged(&mut self, step: &mut Step, id: &DocumentId, mut stored: StoredDocument) {
        let Some(document) = self.documents.get_mut(id).filter(|document| document.state == State::Damaged) else {
            return;
        };
        let acknowledged = stored.acknowledged.clone().unwrap_or_default();
        let vouchers = std::mem::take(&mut stored.vouchers);
        match Content::restore(id, stored, |hash| document.is_quarantined(hash)) {
            Ok(content) => document.replace(content, vouchers),
            Err(error) => step.event(Event::Error(error.into())),
        }
        let told = document.told.take();
        let corrected = told.and_then(|told| Some(told.corrected_by(document.canvas()?)));
        let unsent = document.own_changes_since(&self.peer, acknowledged.as_slice());
        document.outbox.push(&unsent, true);
        self.saver.add(id);
        if let Some(corrected) = corrected {
            let source = self.here(step);
            self.report_edit(step, id, None, source, Origin::Remote, corrected);
        }
        self.flush(step, id);
        self.ask_if_auto(step, id);
    }

    /// The end is an orderly one: the actors may be used again by the next process.
    pub(super) fn keep_actors(&mut self, step: &mut Step) {
        let awake = self.documents.values().filter_map(|document| Some((document.id.clone(), document.mark()?)));
        let asleep = self.asleep.iter().filter_map(|(id, asleep)| Some((id.clone(), asleep.actor.left()?.clone())));
        for (document, mark) in awake.chain(asleep).collect::<Vec<_>>() {
            self.saver.operation(StoreOperation::KeepActor { document, mark });
        }
        self.save_heard();
        self.saver.hurry();
        step.own = true;
    }
}

/// Makes of an edit's good outcome one that says that it is not durable. What was merely read is as good as it was.
fn not_durable(notice: &mut Notice, reason: &str) {
    if let Notice::Outcome { result: result @ Ok(Reply::Version(_) | Reply::Done), .. } = notice {
        *result = Err(SyncError::NotDurable { reason: reason.to_owned() });
    }
}
