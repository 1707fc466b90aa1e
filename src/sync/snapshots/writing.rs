//! Giving the broker something to keep: when this peer is elected to, and when it leaves.

use std::ops::Bound;

use sha2::{Digest as _, Sha256};

use super::super::io::PublishToken;
use super::super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step};
use super::super::timers::Timer;
use super::Snapshots;
use super::book::Known;
use super::election::{Election, Verdict};
use super::reading::part_topic;
use super::write::{Next, Write};
use crate::ids::{DocumentId, Heads, Nonce};
use crate::limits::{
    MANIFEST_MAX_WAIT_MS, MANIFEST_WAIT_MS, MAX_ACTIVE_WRITES, MAX_SNAPSHOT_RANK, SNAPSHOT_LONG_QUIET_MS,
    SNAPSHOT_QUIET_MS, SNAPSHOT_RETRY_MS, SNAPSHOT_STEP_MS,
};
use crate::wire::{Body, Priority, Topic, content_room, encode_saved};

/// Retained, after everything else, and its acknowledgement is waited for.
const KEPT: Delivery = Delivery { retain: true, tracked: true, ..Delivery::once(Priority::Low) };

impl CanvasP2PSynchronizer {
    /// The subscriptions stand; what the broker kept is on its way.
    pub(in crate::sync) fn on_snapshots_up(&mut self, step: &Step) {
        self.snapshots.heard_ms = step.now.after(MANIFEST_MAX_WAIT_MS);
        self.timers.set(Timer::Manifests, step.now.after(SNAPSHOT_QUIET_MS));
    }

    /// Our own presence has come back. The broker had our subscriptions before it, so what it keeps is not far behind.
    pub(in crate::sync) fn on_presence_echo(&mut self, step: &mut Step) {
        let heard_ms = step.now.after(MANIFEST_WAIT_MS);
        if heard_ms < self.snapshots.heard_ms {
            self.snapshots.heard_ms = heard_ms;
            self.timers.set_no_later(Timer::Write, heard_ms);
        }
    }

    /// The broker has had time enough: what it does not keep of the documents that are asleep is written again. Those in
    /// memory are watched anyway.
    pub(in crate::sync) fn on_manifests_heard(&mut self, step: &mut Step) {
        let uncovered: Vec<DocumentId> = self.asleep.keys().filter(|id| !self.is_covered(id)).cloned().collect();
        for id in uncovered {
            self.watch_for_snapshot(step, &id);
        }
        // Should the connection have come back while we are leaving.
        self.check_left(step);
    }

    // ---- the election ---------------------------------------------------------------------------------------------

    /// A document may have changed, or what covers it. Called at every edit.
    pub(in crate::sync) fn watch_for_snapshot(&mut self, step: &Step, id: &DocumentId) {
        if !self.link.is_up() {
            return;
        }
        let election = match self.snapshots.elections.get_mut(id) {
            Some(election) => election,
            None => self.snapshots.elections.entry(id.clone()).or_insert_with(|| Election::new(step.now)),
        };
        if let Some(at_ms) = election.changed(step.now) {
            self.timers.set(Timer::Snapshot(id.clone()), at_ms);
        }
    }

    /// The time has come to look at a document.
    pub(in crate::sync) fn on_snapshot_due(&mut self, step: &mut Step, id: &DocumentId) {
        if !self.link.is_up() || self.snapshots.leaving {
            return;
        }
        if *id == self.index_id() {
            self.clear_all_dead(step);
        }
        // Of a document that is asleep nothing changes.
        let changes = self.documents.get(id).map_or(0, |document| document.replica().change_count());
        let covered = self.is_covered(id);
        let Some(election) = self.snapshots.elections.get_mut(id) else { return };
        if covered {
            election.covered(changes);
            return self.tidy(step, id);
        }
        let at_ms = match election.due(changes, step.now) {
            Verdict::Wait(at_ms) => at_ms,
            Verdict::Rank => step.now.after(SNAPSHOT_STEP_MS * self.snapshot_rank(step, id)),
            Verdict::Write => {
                self.snapshots.to_write.insert(id.clone());
                self.go_on_with_snapshots(step);
                step.now.after(SNAPSHOT_LONG_QUIET_MS)
            }
        };
        self.timers.set(Timer::Snapshot(id.clone()), at_ms);
    }

    /// Where we stand among those who could write a document's snapshot. The ranking depends on the document alone, so
    /// that the same peer replaces its own snapshot again and again, and there is little to clear.
    fn snapshot_rank(&self, step: &mut Step, id: &DocumentId) -> u64 {
        if !self.config.discovery {
            // Without knowing the others, chance spreads the writers.
            return step.rng.next_u64() % MAX_SNAPSHOT_RANK as u64;
        }
        let hash = Sha256::digest(Topic::Changes(id.clone()).plain_path());
        let nonce = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        self.peers
            .rank((self.peer, self.is_server()), self.peer, Nonce(nonce), step.now, |_| true)
            .min(MAX_SNAPSHOT_RANK) as u64
    }

    /// Whether the broker keeps a snapshot of everything that a document holds. What holds nothing needs none.
    pub(super) fn is_covered(&self, id: &DocumentId) -> bool {
        // What those leave who are no members, newcomers do not read.
        let known = self.snapshots.book.of(id).filter(|(writer, _)| !self.is_outsider_of(id, writer));
        let known = known.map(|(_, known)| known);
        let mut readable = known.filter(|known| known.is_readable());
        if let Some(document) = self.documents.get(id) {
            let replica = document.replica();
            return replica.is_pristine() || readable.any(|known| replica.is_covered_by(&known.heads));
        }
        let Some(asleep) = self.asleep.get(id) else { return true };
        let heads = &asleep.summary.heads;
        *heads == Heads::default()
            || readable.any(|known| heads.as_slice().iter().all(|head| known.heads.as_slice().contains(head)))
    }

    // ---- what is to be written ------------------------------------------------------------------------------------

    /// Something that was waited for has happened, or may have.
    pub(in crate::sync) fn go_on_with_snapshots(&mut self, step: &mut Step) {
        self.write_what_is_due(step);
        self.check_left(step);
    }

    /// Whether everything that this peer holds is on the broker, for those who come when it is gone; what is not is
    /// written now. Called again whenever something of it is done.
    pub(in crate::sync) fn has_left_snapshots(&mut self, step: &mut Step) -> bool {
        if !std::mem::replace(&mut self.snapshots.leaving, true) {
            let ids: Vec<DocumentId> = self.document_ids().into_iter().cloned().collect();
            self.snapshots.to_write.extend(ids);
        }
        self.write_what_is_due(step);
        self.snapshots.to_write.is_empty()
    }

    /// Begins to write as many documents as may be written at the same time.
    fn write_what_is_due(&mut self, step: &mut Step) {
        let mut active = self.snapshots.writes.len();
        let mut last = None;
        while active < MAX_ACTIVE_WRITES
            && let Some(id) = self.next_to_write(last.as_ref())
        {
            if self.begin_to_write(step, &id) {
                active += 1;
            } else {
                self.snapshots.to_write.remove(&id);
            }
            last = Some(id);
        }
    }

    /// The next document that is to be written, and is not under way.
    fn next_to_write(&self, last: Option<&DocumentId>) -> Option<DocumentId> {
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.snapshots.to_write.range::<DocumentId, _>((after, Bound::Unbounded));
        rest.find(|id| !self.snapshots.writes.contains_key(*id)).cloned()
    }

    /// Takes the next step towards a document's snapshot. `false` when there is nothing to be written, or it cannot be.
    fn begin_to_write(&mut self, step: &mut Step, id: &DocumentId) -> bool {
        if self.is_covered(id) {
            return false;
        }
        if self.asleep.contains_key(id) {
            self.wake(step, id);
            self.timers.set_no_later(Timer::Write, step.now.after(SNAPSHOT_RETRY_MS));
            return true;
        }
        let heard_ms = self.heard_manifests_ms(id);
        if !step.now.reached(heard_ms) {
            self.timers.set_no_later(Timer::Write, heard_ms);
            return true;
        }
        if self.documents.get(id).is_some_and(|document| !document.live && document.outbox.waits()) {
            // What the application has not released for publishing stays here. When it leaves, all is released.
            return self.snapshots.leaving;
        }
        // A writer takes in what the broker keeps before it writes, where it can.
        let takes_in = self.config.auto_sync && self.follows(id);
        if takes_in && (self.read_snapshot(step, id) || self.snapshots.fetch_queue.contains(id)) {
            return true;
        }
        self.write_snapshot(step, id)
    }

    /// By when the broker has delivered the manifests of a document. One of another repository may have been subscribed
    /// only lately, and no echo tells when.
    fn heard_manifests_ms(&self, id: &DocumentId) -> u64 {
        let foreign = self.space_of(id) != self.config.repository;
        match self.snapshots.elections.get(id) {
            Some(election) if foreign => {
                election.since_ms.saturating_add(MANIFEST_MAX_WAIT_MS).max(self.snapshots.heard_ms)
            }
            _ => self.snapshots.heard_ms,
        }
    }

    // ---- one snapshot ---------------------------------------------------------------------------------------------

    /// Starts to write; whether it did.
    fn write_snapshot(&mut self, step: &mut Step, id: &DocumentId) -> bool {
        let Some(document) = self.documents.get(id) else { return false };
        let replica = document.replica();
        let (heads, changes) = (replica.heads(), replica.change_count());
        let Ok(saved) = encode_saved(&document.saved(&self.config.identity)) else {
            self.statistics.reject("unwritable snapshot");
            return false;
        };
        let longest = part_topic(id, [0; 32]);
        let room = content_room(&self.config.topics, &longest, self.config.max_message_bytes);
        let Some(write) = room.and_then(|room| Write::new(saved, heads, changes, room)) else {
            tracing::warn!(target: "mqtt:sync", document = %id, "too large for a snapshot in messages of this size");
            self.statistics.reject("unwritable snapshot");
            return false;
        };
        tracing::debug!(target: "mqtt:sync", document = %id, parts = write.manifest().parts.len(), "writing a snapshot");
        self.abandon_write(id);
        self.snapshots.writes.insert(id.clone(), write);
        self.go_on_writing(step, id);
        self.snapshots.writes.contains_key(id)
    }

    fn go_on_writing(&mut self, step: &mut Step, id: &DocumentId) {
        while let Some(write) = self.snapshots.writes.get_mut(id) {
            let (topic, body) = match write.next(self.snapshots.counter) {
                Next::Rest => return,
                Next::Part(digest, part) => {
                    self.snapshots.litter.add(id, digest);
                    (part_topic(id, digest), Body::SnapshotPart(part))
                }
                Next::Manifest(manifest) => {
                    let topic = Topic::Manifest { document: id.clone(), writer: self.peer };
                    (topic, Body::Manifest(manifest))
                }
            };
            let tokens = self.publish(step, &topic, &body, KEPT);
            let ([token], Some(write)) = (tokens.as_slice(), self.snapshots.writes.get_mut(id)) else {
                self.snapshots.to_write.remove(id);
                return self.abandon_write(id);
            };
            write.sent(*token);
            self.snapshots.tokens.insert(*token, id.clone());
        }
    }

    /// The broker has a part or a manifest.
    pub(in crate::sync) fn on_snapshot_acknowledged(&mut self, step: &mut Step, token: PublishToken) {
        let Some(id) = self.snapshots.tokens.remove(&token) else { return };
        let Some(write) = self.snapshots.writes.get_mut(&id) else { return };
        let Some(counter) = write.acknowledged(token) else { return self.go_on_writing(step, &id) };
        let (manifest, changes) = (write.manifest().clone(), write.changes);
        self.snapshots.writes.remove(&id);
        self.snapshots.to_write.remove(&id);
        self.statistics.snapshots_written += 1;
        self.note_own_manifest(&id, Known::new(manifest, self.config.session, counter, step.now.unix_ms));
        if let Some(election) = self.snapshots.elections.get_mut(&id) {
            election.covered(changes);
        }
        // Should it have changed meanwhile, that is covered with what follows.
        self.watch_for_snapshot(step, &id);
        self.tidy(step, &id);
        self.go_on_with_snapshots(step);
    }

    /// The broker has it. Its echo says so too, but may get lost. What it replaced may be of an earlier process.
    fn note_own_manifest(&mut self, id: &DocumentId, known: Known) {
        let Snapshots { book, litter, .. } = &mut self.snapshots;
        for digest in book.get(id, &self.peer).into_iter().flat_map(|replaced| &replaced.parts) {
            litter.add(id, *digest);
        }
        book.note(id, self.peer, known);
    }

    /// The driver's queue is full: try again later.
    pub(in crate::sync) fn on_snapshot_refused(&mut self, step: &mut Step, token: PublishToken) {
        let Some(id) = self.snapshots.tokens.remove(&token) else { return };
        self.snapshots.to_write.insert(id.clone());
        self.abandon_write(&id);
        let pause_ms = if self.snapshots.leaving { SNAPSHOT_RETRY_MS } else { SNAPSHOT_STEP_MS };
        self.timers.set_no_later(Timer::Write, step.now.after(pause_ms));
    }

    /// What of it is on the broker already is cleared with the next that succeeds.
    pub(super) fn abandon_write(&mut self, id: &DocumentId) {
        if self.snapshots.writes.remove(id).is_some() {
            self.snapshots.tokens.retain(|_, document| document != id);
        }
    }
}
