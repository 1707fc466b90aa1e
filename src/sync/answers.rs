//! Answering what others ask: the election of one answerer, and how much anybody is answered.

use std::collections::BTreeMap;

use automerge::{Change, ChangeHash};

use super::asleep::Closed;
use super::document::Document;
use super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step};
use super::timers::Timer;
use super::vouching::last_of_actors;
use crate::ids::{DocumentId, Heads, Nonce, PeerId};
use crate::limits::{
    DOCUMENT_ANSWER_CHANGES, DOCUMENT_ANSWER_OPERATIONS, MAX_ANSWER_BYTES, MAX_ANSWER_RANK, MAX_BATCH_CHANGES,
    MAX_BROKEN_PROMISES, MAX_CHANGES_PER_MESSAGE, MAX_DOUBTED_RANK, MAX_HASHES_PER_LIST, MAX_PENDING_ANSWERS,
    PROMISE_MS,
};
use crate::time::Now;
use crate::wire::{Body, Changes, Priority, SyncAnnouncement, SyncContent, SyncReply, SyncRequest, Topic};

/// A request of another peer that waits for our turn to answer.
#[derive(Debug)]
struct PendingAnswer {
    requester: PeerId,
    document: DocumentId,
    /// What the requester has, as far as it said.
    known: Vec<ChangeHash>,
    /// What others announced that they are sending.
    covered: Vec<ChangeHash>,
    /// What others announce is not relied on.
    doubted: bool,
}

impl PendingAnswer {
    fn cover(&mut self, heads: &Heads) {
        let room = MAX_HASHES_PER_LIST.saturating_sub(self.covered.len());
        self.covered.extend(heads.as_slice().iter().take(room));
    }
}

/// What others announced that they send somebody.
#[derive(Debug)]
struct Promise {
    /// What this peer has left to them.
    heads: Heads,
    /// How often that was asked for again.
    broken: u32,
    until_ms: u64,
}

/// The requests of others that wait, and what was promised for earlier ones.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pending: BTreeMap<Nonce, PendingAnswer>,
    /// By who asked for what. Bounded by [`MAX_PENDING_ANSWERS`]; beyond, one of them is forgotten.
    promised: BTreeMap<(PeerId, DocumentId), Promise>,
}

impl Answers {
    /// Nothing is answered any more.
    pub(super) fn clear(&mut self) {
        self.pending.clear();
        self.promised.clear();
    }

    /// Whether somebody waits for an answer about a document.
    pub(super) fn concern(&self, id: &DocumentId) -> bool {
        self.pending.values().any(|answer| answer.document == *id)
    }

    /// Whether a request may wait; not under a number of another's, which would be forgotten by that.
    fn has_room_for(&self, request: Nonce, requester: &PeerId) -> bool {
        match self.pending.get(&request) {
            Some(waiting) => waiting.requester == *requester,
            None => self.pending.len() < MAX_PENDING_ANSWERS,
        }
    }

    /// Another announced that it sends the requester what this peer has.
    fn promise(&mut self, requester: PeerId, id: &DocumentId, heads: Heads, now: Now) {
        let key = (requester, id.clone());
        let promise = self.promised.entry(key).or_insert(Promise { heads: Heads::default(), broken: 0, until_ms: 0 });
        promise.heads = heads;
        promise.until_ms = now.after(PROMISE_MS);
        if self.promised.len() > MAX_PENDING_ANSWERS {
            self.promised.pop_first();
        }
    }

    /// What others announced to this requester.
    fn promised(&self, requester: PeerId, id: &DocumentId) -> Option<Heads> {
        self.promised.get(&(requester, id.clone())).map(|promise| promise.heads.clone())
    }

    /// A request came; `has` says whether it came from somebody who has by now what was promised. Whether promises to this
    /// requester are to be doubted, for it asked again and again.
    fn asked_again(&mut self, requester: PeerId, id: &DocumentId, has: bool, now: Now) -> bool {
        let key = (requester, id.clone());
        let Some(promise) = self.promised.get_mut(&key) else { return false };
        if now.reached(promise.until_ms) || has {
            self.promised.remove(&key);
            return false;
        }
        promise.broken += 1;
        promise.broken >= MAX_BROKEN_PROMISES
    }
}

impl CanvasP2PSynchronizer {
    /// A document from which answers can be given, also when its canvas was deleted here: another repository into which
    /// it was shared may go on with it.
    fn held(&self, id: &DocumentId) -> Option<&Document> {
        let closed = || self.closed.iter().filter_map(Closed::awake).find(|document| document.id == *id);
        self.documents.get(id).or_else(closed)
    }

    /// Those that hold the document rank themselves; the first answers at once, each further one should nobody before
    /// it have done so. Who has nothing yet comes last.
    pub(super) fn on_request(&mut self, step: &mut Step, requester: PeerId, request: &SyncRequest) {
        let Some(document) = self.held(&request.document) else { return };
        if !self.answers.has_room_for(request.request, &requester) {
            self.statistics.reject("too many requests");
            return;
        }
        let promised = self.answers.promised(requester, &request.document);
        let has = promised.is_none_or(|heads| document.replica().is_within(&heads, &request.heads));
        let unknown = document.unknown(request.heads.as_slice());
        let pristine = document.replica().is_pristine();
        // Who floods may not hear that it is to answer, and answers of it are likely to be dropped.
        let counts = |peer: &PeerId| !self.throttle.is_throttled(peer);
        let own = (self.peer, self.is_server());
        let mut rank = self.peers.rank(own, requester, request.request, step.now, counts);
        if !self.config.discovery {
            // Without knowing the others, chance spreads the answers.
            rank = usize::try_from(step.rng.next_u64()).unwrap_or(0) % MAX_ANSWER_RANK;
        } else if !self.is_server() {
            rank = self.peers.in_crowd(rank, step.rng.next_u64());
        }
        let doubted = self.answers.asked_again(requester, &request.document, has, step.now);
        // Those who have nothing are asked after all others, and some of them are enough to say so.
        let before = if pristine { self.peers.confirmed().count().min(MAX_ANSWER_RANK) } else { 0 };
        let last = if doubted || (pristine && self.config.discovery) { MAX_DOUBTED_RANK } else { MAX_ANSWER_RANK };
        if !self.throttle.may_be_answered(requester, step.now) {
            self.statistics.reject("asks for too much");
        } else if rank <= last {
            let known = request.heads.as_slice().iter().chain(&request.have).copied().collect();
            let document = request.document.clone();
            let answer = PendingAnswer { requester, document, known, covered: Vec::new(), doubted };
            self.answers.pending.insert(request.request, answer);
            let steps = (before + rank) as u64;
            if steps == 0 {
                self.answer(step, request.request);
            } else {
                let delay_ms = self.peers.answer_step_ms() * steps;
                self.timers.set(Timer::Answer(request.request), step.now.after(delay_ms));
            }
        }
        if self.counts_on(&request.document, &requester) {
            self.notice(step, &request.document, unknown);
        }
    }

    /// Somebody says that it sends the requester what it has. If the requester has asked again and again after such words, it
    /// did not come, and nobody's word is relied on.
    pub(super) fn on_answer_announced(&mut self, step: &mut Step, sender: PeerId, announcement: &SyncAnnouncement) {
        let Some(answer) = self.answers.pending.get(&announcement.request) else { return };
        let (requester, id, doubted) = (answer.requester, answer.document.clone(), answer.doubted);
        if self.is_outsider_of(&id, &sender) {
            return;
        }
        let Some(document) = self.held(&id) else { return };
        let own = document.replica().heads();
        let covered = document.replica().is_covered_by(&announcement.heads);
        let unknown = document.unknown(announcement.heads.as_slice());
        if !doubted {
            self.answers.promise(requester, &id, own, step.now);
            if covered {
                self.answers.pending.remove(&announcement.request);
                self.timers.clear(&Timer::Answer(announcement.request));
            } else if let Some(answer) = self.answers.pending.get_mut(&announcement.request) {
                answer.cover(&announcement.heads);
            }
        }
        if self.counts_on(&id, &sender) {
            self.notice(step, &id, unknown);
        }
    }

    /// Our turn: send what the requester lacks and nobody has announced.
    pub(super) fn answer(&mut self, step: &mut Step, request: Nonce) {
        let Some(answer) = self.answers.pending.remove(&request) else { return };
        let Some(document) = self.held(&answer.document) else { return };
        let heads = document.replica().heads();
        let content = match lacking(document, &answer) {
            Some(changes) if changes.is_empty() && !answer.covered.is_empty() => return,
            Some(changes) => {
                let last = last_of_actors(&changes).into_iter();
                let vouchers = document.vouching.vouchers(&document.id, &self.config.identity, last);
                let changes = changes.iter().map(|change| change.raw_bytes().to_vec()).collect();
                SyncContent::Changes(Changes { changes, vouchers, proof: None })
            }
            None => {
                if let Some(document) = self.documents.get_mut(&answer.document) {
                    document.content.merge();
                }
                let Some(document) = self.held(&answer.document) else { return };
                SyncContent::Document(document.saved(&self.config.identity))
            }
        };
        self.statistics.answers += 1;
        tracing::debug!(target: "mqtt:sync", document = %answer.document, "answering");
        self.throttle.answered(answer.requester, content.bytes(), step.now);
        let repository = self.space_of(&answer.document);
        let announcement = Body::SyncAnnouncement(SyncAnnouncement { request, heads: heads.clone() });
        self.publish(step, &Topic::Sync(repository.clone()), &announcement, Delivery::once(Priority::High));
        let reply = Body::SyncReply(SyncReply { request, document: answer.document, heads, content });
        let inbox = Topic::Inbox { repository, peer: answer.requester };
        self.publish(step, &inbox, &reply, Delivery::once(Priority::Low));
    }
}

/// The changes that somebody lacks whom this answers; `None` if it is better given the whole document.
fn lacking(document: &Document, answer: &PendingAnswer) -> Option<Vec<Change>> {
    let replica = document.replica();
    let known: Vec<ChangeHash> =
        answer.known.iter().chain(&answer.covered).filter(|hash| replica.contains(hash)).copied().collect();
    // Every document holds the root, so a requester that has nothing knows at most that one.
    let has_nothing = known.iter().all(|hash| Some(hash) == replica.history().first());
    let much = replica.change_count() > DOCUMENT_ANSWER_CHANGES || replica.operations() > DOCUMENT_ANSWER_OPERATIONS;
    if has_nothing && much {
        return None;
    }
    let missing = replica.changes_since(&known);
    // Who shares but one point may lack most of it, and as many as come in one message are taken in as fast.
    let few = known.len() > 1 || missing.len() <= MAX_BATCH_CHANGES;
    (few && fit(&missing)).then_some(missing)
}

/// Whether changes may be one answer. A part of them would be of no use: what vouches for it might be in the rest.
fn fit(changes: &[Change]) -> bool {
    let bytes: usize = changes.iter().map(|change| change.raw_bytes().len()).sum();
    changes.len() <= MAX_CHANGES_PER_MESSAGE && bytes <= MAX_ANSWER_BYTES
}
