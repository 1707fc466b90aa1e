//! Calls of the application that wait for something.

use std::collections::{BTreeMap, BTreeSet};

use super::asleep::Parked;
use super::error::SyncError;
use super::integrate::Source;
use super::io::{Command, Event, Notice, Origin, Reply, SyncReport};
use super::link::Link;
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::timers::Timer;
use crate::canvas::{CanvasChanges, IndexEntry};
use crate::ids::{CanvasId, DocumentId};
use crate::limits::{MAX_WAITING_CALLS, SYNC_WAIT_MS};

/// What a call waits for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// Rounds of catching up.
    Sync(SyncCall),
    /// A canvas that the index does not list yet, to be followed live; the timer is its patience.
    Canvas(CanvasId),
    /// Peers to answer; the timer ends it.
    Peers,
    /// Another repository's index, in which a canvas is to be listed; the timer is its patience.
    ShareOut { entry: IndexEntry, index: DocumentId },
    /// The broker to have of each of these documents so many own changes.
    Flush(BTreeMap<DocumentId, u64>),
    /// The broker to acknowledge everything.
    Leave,
}

/// A call that catches up with one or more documents.
#[derive(Debug)]
pub(super) struct SyncCall {
    canvas: Option<CanvasId>,
    /// Whether to answer with a report, or merely with "done".
    wants_report: bool,
    remaining: BTreeSet<DocumentId>,
    documents: usize,
    answered: bool,
    changes_received: u64,
    started_ms: u64,
}

impl CanvasP2PSynchronizer {
    pub(super) fn resolve(step: &mut Step, call: u64, result: Result<Reply, SyncError>) {
        step.out.notices.push(Notice::Outcome { call, result });
    }

    /// Keeps a call until something happens; at the bound it is refused.
    pub(super) fn wait(&mut self, step: &mut Step, call: u64, waiting: Waiting) -> bool {
        if self.calls.len() >= MAX_WAITING_CALLS {
            let error = SyncError::Busy { what: "calls", max: MAX_WAITING_CALLS };
            Self::resolve(step, call, Err(error));
            return false;
        }
        self.calls.insert(call, waiting);
        true
    }

    /// Catches up with a canvas, or with the index and then with all canvases.
    pub(super) fn start_sync(
        &mut self,
        step: &mut Step,
        call: u64,
        canvas: Option<CanvasId>,
        id: &DocumentId,
        wants_report: bool,
    ) {
        let sync = SyncCall {
            canvas,
            wants_report,
            remaining: BTreeSet::from([id.clone()]),
            documents: 1,
            answered: true,
            changes_received: 0,
            started_ms: step.now.elapsed_ms,
        };
        if !self.wait(step, call, Waiting::Sync(sync)) {
            return;
        }
        self.timers.set(Timer::Call(call), step.now.after(SYNC_WAIT_MS));
        if self.link.is_up() {
            self.flush_all(step, id);
            self.ask(step, id);
        } else {
            self.round_finished(step, id, false);
        }
    }

    /// A document's round of catching up came to an end.
    pub(super) fn round_finished(&mut self, step: &mut Step, id: &DocumentId, answered: bool) {
        let Some(document) = self.documents.get_mut(id) else {
            return self.settle_sync_calls(step, id, answered, 0);
        };
        let received = std::mem::take(&mut document.received_in_round);
        if answered {
            self.statistics.last_sync_unix_ms = Some(step.now.unix_ms);
        }
        if self.link.is_up() {
            self.report_empty(step, id);
        }
        if answered && received > 0 && self.canvas_of(id).is_some() {
            step.event(Event::SyncCompleted(SyncReport {
                canvas: self.canvas_of(id),
                documents: 1,
                answered,
                changes_received: received,
                duration_ms: 0,
            }));
        }
        self.settle_sync_calls(step, id, answered, received);
        self.share_into(step, id);
    }

    /// A canvas that has nothing in it is not announced by its content.
    fn report_empty(&mut self, step: &mut Step, id: &DocumentId) {
        // Of what is full before anything of it was taken in, nobody knows what is in it.
        let unreported = self.documents.get(id).is_some_and(|document| !document.reported && !document.full);
        if unreported && let Some(entry) = self.canvas_of(id).and_then(|canvas| self.entry(&canvas)) {
            let author = entry.created_by.clone();
            let source = Source { peer: self.peer, sent_unix_ms: step.now.unix_ms, kept: false };
            self.report_edit(step, id, author, source, Origin::Remote, CanvasChanges::default());
            self.saver.add(id);
        }
    }

    fn settle_sync_calls(&mut self, step: &mut Step, id: &DocumentId, answered: bool, received: u64) {
        let concerned: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, waiting)| matches!(waiting, Waiting::Sync(sync) if sync.remaining.contains(id)))
            .map(|(call, _)| *call)
            .collect();
        for call in concerned {
            let Some(Waiting::Sync(mut sync)) = self.calls.remove(&call) else { continue };
            sync.remaining.remove(id);
            sync.answered &= answered;
            sync.changes_received += received;
            let expands = *id == self.index_id() && sync.canvas.is_none();
            if expands {
                sync.remaining = self.canvas_documents();
                sync.documents += sync.remaining.len();
            }
            if sync.remaining.is_empty() {
                self.sync_finished(step, call, &sync);
                continue;
            }
            let next: Vec<DocumentId> = if expands { sync.remaining.iter().cloned().collect() } else { Vec::new() };
            self.calls.insert(call, Waiting::Sync(sync));
            for id in next {
                if self.link.is_up() {
                    self.flush_all(step, &id);
                    self.ask(step, &id);
                } else {
                    self.settle_sync_calls(step, &id, false, 0);
                }
            }
        }
    }

    fn canvas_documents(&self) -> BTreeSet<DocumentId> {
        self.document_ids().into_iter().filter(|id| self.canvas_of(id).is_some()).cloned().collect()
    }

    /// Whether a call, or another peer's request, waits for a document.
    pub(super) fn is_awaited(&self, id: &DocumentId) -> bool {
        let by_call = |waiting: &Waiting| match waiting {
            Waiting::Sync(sync) => sync.remaining.contains(id),
            Waiting::Flush(remaining) => remaining.contains_key(id),
            Waiting::Canvas(_) | Waiting::Peers | Waiting::ShareOut { .. } | Waiting::Leave => false,
        };
        self.calls.values().any(by_call) || self.answers.concern(id)
    }

    fn sync_finished(&mut self, step: &mut Step, call: u64, sync: &SyncCall) {
        self.timers.clear(&Timer::Call(call));
        if !sync.wants_report {
            return Self::resolve(step, call, Ok(Reply::Done));
        }
        let report = SyncReport {
            canvas: sync.canvas.clone(),
            documents: sync.documents,
            answered: sync.answered,
            changes_received: sync.changes_received,
            duration_ms: step.now.elapsed_ms.saturating_sub(sync.started_ms),
        };
        step.event(Event::SyncCompleted(report.clone()));
        Self::resolve(step, call, Ok(Reply::Synced(report)));
    }

    /// A canvas appeared for which calls were waiting.
    pub(super) fn serve_canvas_waits(&mut self, step: &mut Step, canvas: &CanvasId) {
        let waiting: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, waiting)| matches!(waiting, Waiting::Canvas(awaited) if awaited == canvas))
            .map(|(call, _)| *call)
            .collect();
        for call in waiting {
            self.calls.remove(&call);
            self.timers.clear(&Timer::Call(call));
            self.follow(step, call, canvas);
        }
    }

    /// A call has waited long enough, or has what it waited for.
    pub(super) fn on_call_due(&mut self, step: &mut Step, call: u64) {
        self.timers.clear(&Timer::Call(call));
        match self.calls.remove(&call) {
            Some(Waiting::Peers) => {
                let peers = self.peers.confirmed().cloned().collect();
                Self::resolve(step, call, Ok(Reply::Peers(peers)));
            }
            Some(Waiting::Canvas(canvas)) => {
                let result = self.require(&canvas).map(|_| Reply::Done);
                Self::resolve(step, call, result);
            }
            Some(Waiting::ShareOut { entry, index }) => self.share_now(step, call, &entry, &index),
            // Something is known to be lacking and nobody sends it: the document goes on asking, the call does not wait.
            Some(Waiting::Sync(mut sync)) => {
                sync.answered = false;
                self.sync_finished(step, call, &sync);
            }
            // The broker does not answer: what it lacks is stored, or lost with this process.
            Some(Waiting::Leave) => {
                self.say_goodbye(step);
                self.end(step, call);
            }
            Some(waiting @ Waiting::Flush(_)) => drop(self.calls.insert(call, waiting)),
            None => {}
        }
    }

    /// Waits until the broker has everything edited so far.
    pub(super) fn flush_call(&mut self, step: &mut Step, call: u64) {
        if let Some(id) = self.asleep.iter().find_map(|(id, asleep)| asleep.summary.unsent.then(|| id.clone())) {
            return self.park(step, &id, Parked::Command { call, command: Command::Flush });
        }
        let ids: Vec<DocumentId> = self.documents.keys().cloned().collect();
        let mut remaining = BTreeMap::new();
        for id in ids {
            self.flush_all(step, &id);
            if let Some((put, gone)) = self.documents.get(&id).map(|document| document.outbox.progress())
                && gone < put
            {
                remaining.insert(id, put);
            }
        }
        if self.wait(step, call, Waiting::Flush(remaining)) {
            self.check_flushed(step);
        }
    }

    /// Whether a call that waits for the broker can return now. What was deleted meanwhile is not waited for.
    pub(super) fn check_flushed(&mut self, step: &mut Step) {
        let documents = &self.documents;
        let lacks = |id: &DocumentId, put: u64| documents.get(id).is_some_and(|held| held.outbox.progress().1 < put);
        let mut flushed = Vec::new();
        for (call, waiting) in &mut self.calls {
            if let Waiting::Flush(remaining) = waiting {
                remaining.retain(|id, put| lacks(id, *put));
                if remaining.is_empty() {
                    flushed.push(*call);
                }
            }
        }
        for call in flushed {
            self.calls.remove(&call);
            Self::resolve(step, call, Ok(Reply::Done));
        }
    }

    /// Whether a call that waits for the outbox can return now.
    pub(super) fn check_left(&mut self, step: &mut Step) {
        if !self.calls.values().any(|waiting| matches!(waiting, Waiting::Leave)) {
            return;
        }
        if self.documents.values().any(|document| document.outbox.waits()) || !self.has_left_snapshots(step) {
            return;
        }
        let leaving: Vec<u64> =
            self.calls.iter().filter(|(_, waiting)| matches!(waiting, Waiting::Leave)).map(|(call, _)| *call).collect();
        for call in leaving {
            self.calls.remove(&call);
            self.say_goodbye(step);
            self.end(step, call);
        }
    }

    /// The application has taken its leave: nothing is edited, sent or taken in any more, and what the next process may
    /// go on with is kept.
    pub(super) fn end(&mut self, step: &mut Step, call: u64) {
        self.link = Link::Down;
        self.left = true;
        self.keep_actors(step);
        for call in std::mem::take(&mut self.calls).into_keys() {
            Self::resolve(step, call, Err(SyncError::Closed));
        }
        Self::resolve(step, call, Ok(Reply::Done));
    }
}
