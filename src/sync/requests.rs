//! Catching up: requests, the election of one answerer, answers, and announcements of heads.

use std::collections::BTreeMap;

use automerge::{Change, ChangeHash};

use super::asleep::Closed;
use super::catch_up::Step as Next;
use super::content::Content;
use super::document::Document;
use super::integrate::Source;
use super::peers::SERVER_CAPABILITY;
use super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step};
use super::timers::Timer;
use super::vouching::{Incoming, last_of_actors};
use crate::ids::{DocumentId, Heads, Nonce, PeerId, RepositoryName};
use crate::limits::{
    ALONE_WAIT_MS, ANSWER_STEP_MS, DOCUMENT_ANSWER_CHANGES, MAX_ACTIVE_REQUESTS, MAX_ANSWER_BYTES, MAX_ANSWER_RANK,
    MAX_CHANGES_PER_MESSAGE, MAX_DOCUMENTS_PER_ANNOUNCEMENT, MAX_PENDING_ANSWERS,
};
use crate::wire::{
    Body, Changes, Header, HeadsAnnouncement, Priority, SyncAnnouncement, SyncContent, SyncReply, SyncRequest, Topic,
};

/// A request of another peer that waits for our turn to answer.
#[derive(Debug)]
pub(super) struct PendingAnswer {
    requester: PeerId,
    pub(super) document: DocumentId,
    /// What the requester has, as far as it said.
    known: Vec<ChangeHash>,
    /// What others announced that they are sending.
    covered: Vec<ChangeHash>,
}

// ---- the requester --------------------------------------------------------------------------------------------------

impl CanvasP2PSynchronizer {
    /// Catches up with a document at once, or when fewer others do.
    pub(super) fn ask(&mut self, step: &mut Step, id: &DocumentId) {
        if !self.link.is_up() {
            return;
        }
        if self.asking.len() >= MAX_ACTIVE_REQUESTS && !self.asking.contains(id) {
            self.ask_queue.insert(id.clone());
            return;
        }
        if let Some(document) = self.documents.get_mut(id) {
            let next = document.catch_up.ask(step.now, step.rng);
            self.carry_out(step, id, &next);
        }
    }

    pub(super) fn ask_if_auto(&mut self, step: &mut Step, id: &DocumentId) {
        if self.config.auto_sync && self.follows(id) {
            self.ask(step, id);
        }
    }

    /// A canvas that the application has stopped following stays as it is until it asks.
    pub(super) fn follows(&self, id: &DocumentId) -> bool {
        let live =
            || self.documents.get(id).map(|document| document.live).or(self.asleep.get(id).map(|asleep| asleep.live));
        !self.config.live || live().unwrap_or_default()
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
            if self.documents.contains_key(&waiting) {
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
            have: document.replica().ancestors_at_powers(),
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
        let incoming = match reply.content {
            SyncContent::Changes(changes) => self.read_changes(&id, header.sender, &changes),
            SyncContent::Document(saved) => match Content::load(&id, &saved.document) {
                Ok(content) => Incoming {
                    changes: content.replica().changes_since(&[]),
                    proven: Vec::new(),
                    claimed: saved.vouchers,
                },
                Err(error) => {
                    tracing::warn!(target: "mqtt:sync", document = %id, %error, "a saved document could not be read");
                    self.statistics.reject("bad document");
                    return;
                }
            },
        };
        let source = Source { peer: header.sender, sent_unix_ms: header.sent_unix_ms, kept: false };
        let count = self.integrate(step, &id, incoming, source);
        let counts = self.counts_on(&id, &header.sender);
        let Some(document) = self.documents.get_mut(&id) else { return };
        document.received_in_round += count as u64;
        let lacking = document.unknown(reply.heads.as_slice());
        if counts {
            document.catch_up.want(lacking);
        }
        let next = document.catch_up.answered(reply.request, count > 0, step.now, step.rng);
        self.carry_out(step, &id, &next);
    }

    /// A document from which answers can be given, also when its canvas was deleted here: another repository into which
    /// it was shared may go on with it.
    fn held(&self, id: &DocumentId) -> Option<&Document> {
        let closed = || self.closed.iter().filter_map(Closed::awake).find(|document| document.id == *id);
        self.documents.get(id).or_else(closed)
    }

    // ---- the answerers --------------------------------------------------------------------------------------------

    /// Those that hold the document rank themselves; the first answers at once, each further one should nobody before
    /// it have done so. Who has nothing yet comes last.
    pub(super) fn on_request(&mut self, step: &mut Step, requester: PeerId, request: &SyncRequest) {
        let Some(document) = self.held(&request.document) else { return };
        if self.answers.len() >= MAX_PENDING_ANSWERS {
            self.statistics.reject("too many requests");
            return;
        }
        let unknown = document.unknown(request.heads.as_slice());
        let pristine = document.replica().is_pristine();
        let own_is_server = self.config.capabilities.iter().any(|word| word == SERVER_CAPABILITY);
        // Who floods may not hear that it is to answer, and answers of it are likely to be dropped.
        let counts = |peer: &PeerId| !self.throttle.is_throttled(peer);
        let own = (self.peer, own_is_server);
        let mut rank = self.peers.rank(own, requester, request.request, step.now, counts);
        if !self.config.discovery {
            // Without knowing the others, chance spreads the answers.
            rank = usize::try_from(step.rng.next_u64()).unwrap_or(0) % MAX_ANSWER_RANK;
        }
        if pristine {
            rank += self.peers.confirmed().count();
        }
        if rank <= MAX_ANSWER_RANK || pristine {
            let known = request.heads.as_slice().iter().chain(&request.have).copied().collect();
            let answer = PendingAnswer { requester, document: request.document.clone(), known, covered: Vec::new() };
            self.answers.insert(request.request, answer);
            if rank == 0 {
                self.answer(step, request.request);
            } else {
                let delay_ms = ANSWER_STEP_MS * rank.min(MAX_ANSWER_RANK) as u64;
                self.timers.set(Timer::Answer(request.request), step.now.after(delay_ms));
            }
        }
        if self.counts_on(&request.document, &requester) {
            self.notice(step, &request.document, unknown);
        }
    }

    pub(super) fn on_answer_announced(&mut self, step: &mut Step, sender: PeerId, announcement: &SyncAnnouncement) {
        let Some(id) = self.answers.get(&announcement.request).map(|answer| answer.document.clone()) else { return };
        if self.is_outsider_of(&id, &sender) {
            return;
        }
        if let Some(answer) = self.answers.get_mut(&announcement.request) {
            answer.covered.extend_from_slice(announcement.heads.as_slice());
        }
        let Some(document) = self.held(&id) else { return };
        let covered = document.replica().is_covered_by(&announcement.heads);
        let unknown = document.unknown(announcement.heads.as_slice());
        if covered {
            self.answers.remove(&announcement.request);
            self.timers.clear(&Timer::Answer(announcement.request));
        }
        if self.counts_on(&id, &sender) {
            self.notice(step, &id, unknown);
        }
    }

    /// Our turn: send what the requester lacks and nobody has announced.
    pub(super) fn answer(&mut self, step: &mut Step, request: Nonce) {
        let Some(answer) = self.answers.remove(&request) else { return };
        let Some(document) = self.held(&answer.document) else { return };
        let replica = document.replica();
        let first = answer.covered.is_empty();
        let known: Vec<ChangeHash> =
            answer.known.iter().chain(&answer.covered).filter(|hash| replica.contains(hash)).copied().collect();
        let missing = replica.changes_since(&known);
        if missing.is_empty() && !first {
            return;
        }
        let heads = replica.heads();
        // Every document holds the root, so a requester that has nothing knows at most that one.
        let content = if (known.len() <= 1 && missing.len() >= DOCUMENT_ANSWER_CHANGES) || !fit(&missing) {
            SyncContent::Document(document.saved(&self.config.identity))
        } else {
            let changes = missing.iter().map(|change| change.raw_bytes().to_vec()).collect();
            let last = last_of_actors(&missing).into_iter();
            let vouchers = document.vouching.vouchers(&document.id, &self.config.identity, last);
            SyncContent::Changes(Changes { changes, vouchers, proof: None })
        };
        self.statistics.answers += 1;
        tracing::debug!(target: "mqtt:sync", document = %answer.document, changes = missing.len(), "answering");
        let repository = self.space_of(&answer.document);
        let announcement = Body::SyncAnnouncement(SyncAnnouncement { request, heads: heads.clone() });
        self.publish(step, &Topic::Sync(repository.clone()), &announcement, Delivery::once(Priority::High));
        let reply = Body::SyncReply(SyncReply { request, document: answer.document, heads, content });
        let inbox = Topic::Inbox { repository, peer: answer.requester };
        self.publish(step, &inbox, &reply, Delivery::once(Priority::Low));
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
        let Some(document) = self.documents.get_mut(id) else { return };
        let fired = document.announce.fire(step.now, step.rng);
        if fired.announce && !document.replica().is_pristine() {
            self.announcing.insert(id.clone());
        }
        self.timers.set(Timer::Announce(id.clone()), fired.next_ms);
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

/// Whether changes may be one answer. A part of them would be of no use: what vouches for it might be in the rest.
fn fit(changes: &[Change]) -> bool {
    let bytes: usize = changes.iter().map(|change| change.raw_bytes().len()).sum();
    changes.len() <= MAX_CHANGES_PER_MESSAGE && bytes <= MAX_ANSWER_BYTES
}
