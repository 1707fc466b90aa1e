//! Catching up: requests, what answers bring, and announcements of heads. Who answers is in `answers.rs`.

use std::collections::BTreeMap;

use automerge::{Change, ChangeHash};

use super::asleep::Parked;
use super::catch_up::Step as Next;
use super::document::{Document, State};
use super::integrate::Source;
use super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step};
use super::timers::Timer;
use crate::ids::{DocumentId, Heads, Nonce, RepositoryName};
use crate::limits::{
    ALONE_WAIT_MS, MAX_ACTIVE_REQUESTS, MAX_CONCURRENT_ENDS, MAX_DOCUMENTS_PER_ANNOUNCEMENT, MAX_HASHES_PER_LIST,
};
use crate::wire::{Body, Header, HeadsAnnouncement, Priority, SyncContent, SyncReply, SyncRequest, Topic};

impl CanvasP2PSynchronizer {
    /// Catches up with a document at once, or when fewer others do.
    pub(super) fn ask(&mut self, step: &mut Step, id: &DocumentId) {
        if !self.link.is_up() {
            return;
        }
        if self.is_full(id) {
            // Nothing of others would be taken in.
            return self.round_finished(step, id, false);
        }
        if self.asking.len() >= MAX_ACTIVE_REQUESTS && !self.asking.contains(id) {
            self.ask_queue.insert(id.clone());
            return;
        }
        if self.asleep.contains_key(id) {
            // It has its turn once it has been loaded.
            if self.asking.insert(id.clone()) {
                self.park(step, id, Parked::Ask);
            }
        } else if let Some(document) = self.documents.get_mut(id) {
            let next = document.catch_up.ask(step.now, step.rng);
            self.carry_out(step, id, &next);
        }
    }

    pub(super) fn ask_if_auto(&mut self, step: &mut Step, id: &DocumentId) {
        if self.config.auto_sync && self.follows(id) {
            self.ask(step, id);
        }
    }

    /// A canvas that the application has stopped following stays as it is until it asks, and a document that has grown to the
    /// bound for good.
    pub(super) fn follows(&self, id: &DocumentId) -> bool {
        let live =
            || self.documents.get(id).map(|document| document.live).or(self.asleep.get(id).map(|asleep| asleep.live));
        !self.is_full(id) && (!self.config.live || live().unwrap_or_default())
    }

    /// Somebody has these changes, we have not.
    pub(super) fn notice(&mut self, step: &mut Step, id: &DocumentId, hashes: Vec<ChangeHash>) {
        if hashes.is_empty() || !self.config.auto_sync || !self.link.is_up() || !self.follows(id) {
            return;
        }
        if let Some(document) = self.documents.get_mut(id) {
            let next = document.catch_up.notice(hashes, step.now, step.rng);
            self.carry_out(step, id, &next);
        }
    }

    pub(super) fn on_catch_up_due(&mut self, step: &mut Step, id: &DocumentId) {
        let (alone, kept) = (self.is_alone(id), self.has_read_snapshot(id));
        if let Some(document) = self.documents.get_mut(id) {
            let next = document.catch_up.due(alone, kept, step.now, step.rng);
            self.carry_out(step, id, &next);
        }
    }

    /// What the broker keeps has been taken in, or could not be: if a round is running, the question follows.
    pub(super) fn ask_after_reading(&mut self, step: &mut Step, id: &DocumentId) {
        if self.link.is_up()
            && let Some(document) = self.documents.get_mut(id)
        {
            let next = document.catch_up.ask_again(step.now, step.rng);
            self.carry_out(step, id, &next);
        }
    }

    fn carry_out(&mut self, step: &mut Step, id: &DocumentId, next: &Next) {
        match *next {
            Next::Rest => {}
            Next::Wait(at_ms) => self.timers.set(Timer::CatchUp(id.clone()), at_ms),
            Next::Ask(request, at_ms) => {
                self.asking.insert(id.clone());
                let reads = self.read_before_asking(step, id);
                let lacks = self.documents.get(id).is_some_and(|document| document.catch_up.lacks());
                let patience_ms = if self.is_alone(id) && !lacks { step.now.after(ALONE_WAIT_MS) } else { u64::MAX };
                self.timers.set(Timer::CatchUp(id.clone()), at_ms.min(patience_ms));
                if !reads {
                    self.send_request(step, id, request);
                }
            }
            Next::GaveUp => {
                if let Some(document) = self.documents.get_mut(id) {
                    // It depends on what is not to be had; should that come, so will it.
                    document.forget_waiting();
                }
                self.warn_of_rollback(step, id, "nobody has edits that were announced or built upon");
                self.carry_out(step, id, &Next::Finished(false));
            }
            Next::Finished(answered) => {
                self.timers.clear(&Timer::CatchUp(id.clone()));
                self.asking.remove(id);
                self.watch_for_snapshot(step, id);
                self.round_finished(step, id, answered);
                self.ask_next(step);
            }
        }
    }

    /// A place among those that ask is free.
    pub(super) fn ask_next(&mut self, step: &mut Step) {
        while let Some(waiting) = self.ask_queue.pop_first() {
            if self.is_full(&waiting) {
                self.round_finished(step, &waiting, false);
            } else if self.documents.contains_key(&waiting) || self.asleep.contains_key(&waiting) {
                return self.ask(step, &waiting);
            }
        }
    }

    /// Whether, as far as is known, nobody else has the document. Of other repositories' peers nothing is known.
    pub(super) fn is_alone(&self, id: &DocumentId) -> bool {
        let own = self.space_of(id) == self.config.repository;
        own && self.config.discovery && self.peers.confirmed().next().is_none()
    }

    fn send_request(&mut self, step: &mut Step, id: &DocumentId, request: Nonce) {
        let Some(document) = self.documents.get(id) else { return };
        let body = Body::SyncRequest(SyncRequest {
            request,
            document: id.clone(),
            heads: document.replica().heads(),
            have: landmarks(document),
        });
        self.statistics.requests += 1;
        tracing::debug!(target: "mqtt:sync", document = %id, request = request.0, "asking");
        self.publish(step, &Topic::Sync(self.space_of(id)), &body, Delivery::once(Priority::Medium));
    }

    pub(super) fn on_reply(&mut self, step: &mut Step, header: &Header, reply: SyncReply) {
        let id = reply.document;
        if !self.documents.contains_key(&id) {
            return;
        }
        if self.is_outsider_of(&id, &header.sender) && id != self.index_id() {
            return self.statistics.reject("not a member");
        }
        let source = Source { peer: header.sender, sent_unix_ms: header.sent_unix_ms, kept: false };
        let taken = match reply.content {
            SyncContent::Changes(changes) => {
                let incoming = self.read_changes(&id, header.sender, &changes);
                Ok(self.integrate(step, &id, incoming, source))
            }
            SyncContent::Document(saved) => self.take_whole(step, &id, saved, source),
        };
        let count = match taken {
            Ok(count) => count,
            Err(error) => {
                tracing::warn!(target: "mqtt:sync", document = %id, %error, "a saved document could not be read");
                return self.statistics.reject("bad document");
            }
        };
        let counts = self.counts_on(&id, &header.sender);
        let Some(document) = self.documents.get_mut(&id) else { return };
        document.received_in_round += count as u64;
        let lacking = document.unknown(reply.heads.as_slice());
        if counts && !document.full {
            document.catch_up.want(lacking);
        }
        let next = document.catch_up.answered(reply.request, count > 0, step.now, step.rng);
        self.carry_out(step, &id, &next);
    }

    // ---- announcements of heads -----------------------------------------------------------------------------------

    /// The document changed: its heads are announced soon, once, by one of those that have it.
    pub(super) fn schedule_announcement(&mut self, step: &mut Step, id: &DocumentId) {
        if !self.link.is_up() {
            return;
        }
        self.watch_for_snapshot(step, id);
        if let Some(document) = self.documents.get_mut(id)
            && let Some(at_ms) = document.announce.reset(step.now, step.rng)
        {
            self.timers.set(Timer::Announce(id.clone()), at_ms);
        }
    }

    pub(super) fn on_announce_due(&mut self, step: &mut Step, id: &DocumentId) {
        self.unite_ends(step, id);
        let Some(document) = self.documents.get_mut(id) else { return };
        let fired = document.announce.fire(step.now, step.rng);
        if fired.announce && !document.replica().is_pristine() {
            self.announcing.insert(id.clone());
        }
        self.timers.set(Timer::Announce(id.clone()), fired.next_ms);
    }

    /// More concurrent ends than fit into a message could neither be announced nor asked for. Whoever may write stands by all of
    /// them before it comes to that.
    fn unite_ends(&mut self, step: &mut Step, id: &DocumentId) {
        let Some(document) = self.documents.get(id) else { return };
        let many = document.replica().heads().as_slice().len() > MAX_CONCURRENT_ENDS;
        let may_write = self.may_write_here() && self.counts_on(id, &self.peer);
        if many && document.state == State::Whole && may_write {
            self.stand_by_now(step, id);
        }
    }

    /// Publishes what came due in this step, many documents in one message.
    pub(super) fn publish_announcements(&mut self, step: &mut Step) {
        let mut by_repository: BTreeMap<RepositoryName, Vec<(DocumentId, Heads)>> = BTreeMap::new();
        for id in std::mem::take(&mut self.announcing) {
            let awake = self.documents.get(&id).map(|document| document.replica().heads());
            let heads = awake.or_else(|| self.asleep.get(&id).map(|asleep| asleep.summary.heads.clone()));
            if let Some(heads) = heads {
                by_repository.entry(self.space_of(&id)).or_default().push((id, heads));
            }
        }
        for (repository, documents) in by_repository {
            for part in documents.chunks(MAX_DOCUMENTS_PER_ANNOUNCEMENT) {
                let body = Body::HeadsAnnouncement(HeadsAnnouncement { documents: part.to_vec() });
                self.publish(step, &Topic::Sync(repository.clone()), &body, Delivery::once(Priority::Low));
            }
        }
    }

    /// Another peer's heads: who has others than we is behind, or ahead, or both.
    pub(super) fn on_heads(&mut self, step: &mut Step, header: &Header, announcement: &HeadsAnnouncement) {
        for (id, heads) in &announcement.documents {
            let outsider = self.is_outsider_of(id, &header.sender);
            let counts = self.counts_on(id, &header.sender);
            if outsider && *id != self.index_id() {
                continue;
            }
            let Some(document) = self.documents.get_mut(id) else {
                self.on_heads_of_asleep(step, header, id, heads);
                continue;
            };
            let own = document.replica().heads();
            if own == *heads {
                document.announce.heard_same();
                continue;
            }
            let unknown = document.unknown(heads.as_slice());
            if unknown.is_empty() {
                self.schedule_announcement(step, id);
            } else if counts {
                self.notice(step, id, unknown);
            } else {
                // It may pass on what writers have made; what else it has, nobody takes in, and is not waited for.
                self.ask_if_auto(step, id);
            }
        }
    }
}

/// Of what a document holds, what others may know too: changes ever further back, and what the oldest own one that the broker
/// may lack builds on.
fn landmarks(document: &Document) -> Vec<ChangeHash> {
    let replica = document.replica();
    let unsent = document.outbox.oldest().and_then(|hash| replica.change(hash));
    let mut landmarks = replica.ancestors_at_powers();
    landmarks.extend(unsent.iter().flat_map(Change::deps));
    landmarks.truncate(MAX_HASHES_PER_LIST);
    landmarks
}
