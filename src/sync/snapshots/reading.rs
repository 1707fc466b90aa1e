//! Taking in what the broker keeps.

use std::cmp::Reverse;

use automerge::ChangeHash;

use super::super::integrate::Source;
use super::super::io::QualityOfService;
use super::super::link::Link;
use super::super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::super::timers::Timer;
use super::book::{Digest, Known};
use super::fetch::{Fetch, Taken};
use crate::ids::{DocumentId, Heads, PeerId};
use crate::limits::{MAX_ACTIVE_FETCHES, MAX_FETCH_BYTES, PART_TIMEOUT_MS};
use crate::wire::{Header, Manifest, Topic, decode_saved};

impl CanvasP2PSynchronizer {
    /// A manifest arrived, live or kept by the broker; our own come back and count like any other.
    pub(in crate::sync) fn on_manifest(
        &mut self,
        step: &mut Step,
        id: &DocumentId,
        header: &Header,
        manifest: Manifest,
    ) {
        let known = Known::new(manifest, header.session, header.counter, header.sent_unix_ms);
        let heads = known.heads.clone();
        if matches!(self.link, Link::Down) || !self.snapshots.book.note(id, header.sender, known) {
            return;
        }
        let Some(document) = self.documents.get(id) else {
            self.on_heads_of_asleep(step, header, id, &heads);
            return self.clear_if_dead(step, id);
        };
        let (unknown, pristine) = (document.unknown(heads.as_slice()), document.replica().is_pristine());
        if !self.link.is_up() {
            // Each document asks as soon as it is.
            return;
        }
        if self.is_outsider_of(id, &header.sender) {
            return self.tidy(step, id);
        }
        if self.counts_on(id, &header.sender) {
            self.notice(step, id, unknown);
        }
        if pristine && self.asking.contains(id) {
            self.read_snapshot(step, id);
        }
        self.tidy(step, id);
    }

    /// The topic of a manifest was emptied. Anyone can do that, so it says nothing about the document; but the broker no
    /// longer keeps the manifest.
    pub(in crate::sync) fn on_manifest_cleared(&mut self, step: &mut Step, id: &DocumentId, writer: &PeerId) {
        let held = self.documents.contains_key(id) || self.asleep.contains_key(id);
        if self.snapshots.book.forget(id, writer).is_some() && held {
            self.watch_for_snapshot(step, id);
        }
    }

    /// A round of catching up asks now. A document that has nothing reads a snapshot first, and so does one for which
    /// nobody is there to answer, or did not. Whether one is being read; the question then follows it, and needs but
    /// a small answer.
    pub(in crate::sync) fn read_before_asking(&mut self, step: &mut Step, id: &DocumentId) -> bool {
        let alone = self.is_alone(id);
        let lacking = self.lacking_manifests(id);
        let wanted: Vec<ChangeHash> = lacking
            .iter()
            .filter(|(writer, _)| self.counts_on(id, writer))
            .flat_map(|(_, lacking)| lacking.clone())
            .collect();
        let Some(document) = self.documents.get_mut(id) else { return false };
        if lacking.is_empty() || self.snapshots.fetches.contains_key(id) {
            return false;
        }
        document.catch_up.want(wanted);
        let alone = alone || document.catch_up.was_unanswered();
        (alone || document.replica().is_pristine()) && self.read_snapshot(step, id)
    }

    /// Whether the broker keeps a snapshot of a document, written by another or before this start, and everything that
    /// any manifest covers is here: as good as an answer, if nobody gives one.
    pub(in crate::sync) fn has_read_snapshot(&self, id: &DocumentId) -> bool {
        let Some(document) = self.documents.get(id) else { return false };
        let foreign = |(writer, known): &(PeerId, &Known)| {
            known.session != self.config.session && !self.is_outsider_of(id, writer)
        };
        let others = || self.snapshots.book.of(id).filter(foreign);
        others().any(|(_, known)| known.is_readable())
            && others().all(|(_, known)| document.unknown(known.heads.as_slice()).is_empty())
    }

    /// Manifests by which something could be read that the document lacks, with what it lacks; the largest first, which is
    /// likely the newest, and makes the others needless.
    pub(super) fn lacking_manifests(&self, id: &DocumentId) -> Vec<(PeerId, Vec<ChangeHash>)> {
        let Some(document) = self.documents.get(id) else { return Vec::new() };
        let known = self.snapshots.book.of(id).filter(|(writer, _)| !self.is_outsider_of(id, writer));
        let readable = known.filter(|(writer, known)| Fetch::new(*writer, known).is_some());
        let lacking = readable
            .map(|(writer, known)| (Reverse(known.total_bytes), writer, document.unknown(known.heads.as_slice())));
        let mut lacking: Vec<_> = lacking.filter(|(_, _, lacking)| !lacking.is_empty()).collect();
        lacking.sort_unstable();
        lacking.into_iter().map(|(_, writer, lacking)| (writer, lacking)).collect()
    }

    /// Starts to read the best snapshot, or does so when fewer are read. Whether it has begun.
    pub(super) fn read_snapshot(&mut self, step: &mut Step, id: &DocumentId) -> bool {
        if self.snapshots.fetches.contains_key(id) {
            return true;
        }
        let Some((writer, _)) = self.lacking_manifests(id).into_iter().next() else { return false };
        let Some(fetch) = self.snapshots.book.get(id, &writer).and_then(|known| Fetch::new(writer, known)) else {
            return false;
        };
        let fetches = self.snapshots.fetches.values();
        let bytes: usize = fetches.clone().map(Fetch::total_bytes).sum();
        let too_many = fetches.len() >= MAX_ACTIVE_FETCHES || bytes + fetch.total_bytes() > MAX_FETCH_BYTES;
        if too_many && fetches.len() > 0 {
            self.snapshots.fetch_queue.insert(id.clone());
            return false;
        }
        tracing::debug!(target: "mqtt:sync", document = %id, %writer, "reading a snapshot");
        self.snapshots.fetches.insert(id.clone(), fetch);
        self.subscribe_to_parts(step, id);
        true
    }

    fn subscribe_to_parts(&mut self, step: &mut Step, id: &DocumentId) {
        let Some(fetch) = self.snapshots.fetches.get_mut(id) else { return };
        for digest in fetch.subscribe() {
            let topic = part_topic(id, digest);
            step.out.subscribe.push((self.config.topics.format(&topic), QualityOfService::AtLeastOnce));
        }
        self.timers.set(Timer::Fetch(id.clone()), step.now.after(PART_TIMEOUT_MS));
    }

    /// A part arrived; the wire layer has compared it with the digest in its topic.
    pub(in crate::sync) fn on_part(&mut self, step: &mut Step, id: &DocumentId, digest: &Digest, bytes: Vec<u8>) {
        let Some(fetch) = self.snapshots.fetches.get_mut(id) else { return };
        let taken = fetch.part(digest, bytes);
        if taken == Taken::Stray {
            return;
        }
        step.out.unsubscribe.push(self.config.topics.format(&part_topic(id, *digest)));
        match taken {
            Taken::Stray => {}
            Taken::More => self.subscribe_to_parts(step, id),
            Taken::WrongLength => {
                self.statistics.reject("bad snapshot");
                self.abandon_fetch(step, id);
            }
            Taken::Complete(saved) => self.take_snapshot(step, id, &saved),
        }
    }

    /// All of a snapshot is here.
    fn take_snapshot(&mut self, step: &mut Step, id: &DocumentId, saved: &[u8]) {
        let Some(Fetch { writer, known, .. }) = self.cancel_fetch(step, id) else { return };
        let source = Source { peer: writer, sent_unix_ms: known.sent_unix_ms, kept: true };
        let taken = decode_saved(saved)
            .map_err(|error| error.to_string())
            .and_then(|saved| self.take_whole(step, id, saved, source).map_err(|error| error.to_string()));
        match taken {
            Ok(count) => {
                self.statistics.snapshots_read += 1;
                if let Some(document) = self.documents.get_mut(id) {
                    document.received_in_round += count as u64;
                    if !document.unknown(known.heads.as_slice()).is_empty() {
                        self.give_up(id, &writer, &known.heads);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(target: "mqtt:sync", document = %id, %error, "a snapshot could not be read");
                self.statistics.reject("bad snapshot");
                self.give_up(id, &writer, &known.heads);
            }
        }
        self.fetch_ended(step, id);
    }

    /// Nothing has come for too long: the broker has lost a part, or never had it.
    pub(in crate::sync) fn on_fetch_overdue(&mut self, step: &mut Step, id: &DocumentId) {
        if self.snapshots.fetches.contains_key(id) {
            self.statistics.reject("incomplete snapshot");
            self.abandon_fetch(step, id);
        }
    }

    /// The snapshot cannot be had: the next best, if there is one.
    fn abandon_fetch(&mut self, step: &mut Step, id: &DocumentId) {
        if let Some(Fetch { writer, known, .. }) = self.cancel_fetch(step, id) {
            self.give_up(id, &writer, &known.heads);
        }
        self.fetch_ended(step, id);
    }

    /// What a manifest promises cannot be had from the broker. Where nobody else is known to be there either, it is no
    /// longer waited for.
    fn give_up(&mut self, id: &DocumentId, writer: &PeerId, heads: &Heads) {
        self.snapshots.book.mark_broken(id, writer);
        if self.is_alone(id)
            && let Some(document) = self.documents.get_mut(id)
        {
            document.catch_up.settle(|hash| heads.as_slice().contains(hash));
        }
    }

    /// A fetch is over, for better or worse: what waits for it goes on.
    fn fetch_ended(&mut self, step: &mut Step, id: &DocumentId) {
        if !self.read_snapshot(step, id) {
            self.ask_after_reading(step, id);
        }
        while self.snapshots.fetches.len() < MAX_ACTIVE_FETCHES
            && let Some(waiting) = self.snapshots.fetch_queue.pop_first()
        {
            self.read_snapshot(step, &waiting);
            if self.snapshots.fetch_queue.contains(&waiting) {
                break;
            }
        }
        self.go_on_with_snapshots(step);
    }

    /// Ends a fetch and its subscriptions.
    pub(super) fn cancel_fetch(&mut self, step: &mut Step, id: &DocumentId) -> Option<Fetch> {
        self.timers.clear(&Timer::Fetch(id.clone()));
        self.snapshots.fetch_queue.remove(id);
        let fetch = self.snapshots.fetches.remove(id)?;
        let topics = fetch.subscribed().map(|digest| self.config.topics.format(&part_topic(id, *digest)));
        step.out.unsubscribe.extend(topics);
        Some(fetch)
    }
}

pub(super) fn part_topic(id: &DocumentId, digest: Digest) -> Topic {
    Topic::SnapshotPart { document: id.clone(), digest }
}
