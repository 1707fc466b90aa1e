//! What this peer has changed in one document and the broker has not yet acknowledged.
//!
//! The outbox is a difference of heads, not a list of messages: it names the changes, and the document has them. While a
//! publish is in flight further changes wait and leave together, so an idle link sends at once and a busy one batches.

use std::collections::VecDeque;

use automerge::{Change, ChangeHash};

use super::io::PublishToken;
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_CHANGES, MAX_CACHED_OUTBOX_CHANGES};

/// The outbox of one document.
///
/// | state | edit | acknowledged | refused | disconnected |
/// | --- | --- | --- | --- | --- |
/// | empty | waiting | – | – | empty |
/// | waiting | waiting | – | – | waiting |
/// | in flight | in flight | waiting or empty | waiting | waiting |
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Pending>,
    in_flight: Option<Flight>,
    /// How many changes were ever put in.
    put: u64,
    /// Acknowledged on a topic whose echo has not come yet on this connection (see [`Outbox::confirm_echo`]).
    unconfirmed: Vec<Pending>,
    echo: Echo,
    /// How often on this connection the echo did not come.
    echoes_missed: u32,
    /// Whether all that waits may leave, also of a canvas that is not followed live.
    released: bool,
}

/// One own change that the broker may not have.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) hash: ChangeHash,
    /// Whether it is more than a move.
    pub(crate) content: bool,
    /// Kept while there are few, to save asking the document; see [`MAX_CACHED_OUTBOX_CHANGES`].
    change: Option<Change>,
}

#[derive(Debug)]
struct Flight {
    /// One for each packet not yet acknowledged: a batch may travel in fragments.
    tokens: Vec<PublishToken>,
    batch: Vec<Pending>,
}

/// A PUBACK does not prove acceptance (MQTT 3.1.1, section 3.3.5: a server may acknowledge what it does not authorise),
/// so our own echo confirms a topic once per connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Echo {
    /// Nothing was acknowledged yet on this connection.
    #[default]
    Unknown,
    /// Something was acknowledged, the echo is due.
    Due,
    /// The echo came.
    Confirmed,
}

impl Outbox {
    /// How many changes the broker may not have.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.unconfirmed.len() + self.in_flight.as_ref().map_or(0, |flight| flight.batch.len())
    }

    /// How many changes were ever put in, and how many of these, from the first, the broker has.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.put, self.put - self.len() as u64)
    }

    /// The document begins anew, and with it what is to be sent; how far it had come is still known.
    pub(crate) fn clear(&mut self) {
        *self = Self { put: self.put, ..Self::default() };
    }

    /// Everything that waits now may leave, live or not.
    pub(crate) fn release(&mut self) {
        self.released = !self.waiting.is_empty();
    }

    /// Whether what waits may leave, live or not.
    pub(crate) fn is_released(&self) -> bool {
        self.released
    }

    /// Whether anything is still to be acknowledged.
    pub(crate) fn waits(&self) -> bool {
        self.in_flight.is_some() || !self.waiting.is_empty()
    }

    /// Whether an edit of content, not a mere move, is among them.
    pub(crate) fn has_content(&self) -> bool {
        self.pending().any(|pending| pending.content)
    }

    /// The oldest change that the broker may not have.
    pub(crate) fn oldest(&self) -> Option<&ChangeHash> {
        self.pending().next().map(|pending| &pending.hash)
    }

    /// All of them, in causal order.
    fn pending(&self) -> impl Iterator<Item = &Pending> {
        let in_flight = self.in_flight.iter().flat_map(|flight| &flight.batch);
        self.unconfirmed.iter().chain(in_flight).chain(&self.waiting)
    }

    /// Adds own changes, in causal order.
    pub(crate) fn push(&mut self, changes: &[Change], content: bool) {
        self.put += changes.len() as u64;
        for change in changes {
            let cached = self.waiting.len() < MAX_CACHED_OUTBOX_CHANGES;
            self.waiting.push_back(Pending { hash: change.hash(), content, change: cached.then(|| change.clone()) });
        }
    }

    /// Whether [`next_batch`](Self::next_batch) would give one.
    pub(crate) fn has_batch(&self) -> bool {
        self.in_flight.is_none() && !self.waiting.is_empty()
    }

    /// Takes the next batch to publish, unless one is in flight; [`Outbox::sent`] must follow. `find` reads a change
    /// from the document.
    pub(crate) fn next_batch(&mut self, find: impl Fn(&ChangeHash) -> Option<Change>) -> Option<Vec<Change>> {
        if !self.has_batch() {
            return None;
        }
        let mut batch = Vec::new();
        let mut changes = Vec::new();
        let mut bytes = 0;
        while let Some(pending) = self.waiting.front()
            && changes.len() < MAX_BATCH_CHANGES
        {
            let change = pending.change.clone().or_else(|| find(&pending.hash));
            let size = change.as_ref().map_or(0, |change| change.raw_bytes().len());
            if !changes.is_empty() && bytes + size > MAX_BATCH_BYTES {
                break;
            }
            bytes += size;
            changes.extend(change);
            batch.extend(self.waiting.pop_front());
        }
        self.released &= !self.waiting.is_empty();
        self.in_flight = Some(Flight { tokens: Vec::new(), batch });
        Some(changes)
    }

    /// Notes under which tokens the batch just taken was published.
    pub(crate) fn sent(&mut self, tokens: Vec<PublishToken>) {
        if let Some(flight) = &mut self.in_flight {
            flight.tokens = tokens;
        }
    }

    /// The broker acknowledged a packet. Returns whether it was the last of its batch.
    pub(crate) fn acknowledged(&mut self, token: PublishToken) -> bool {
        let Some(flight) = self.in_flight.as_mut() else { return false };
        flight.tokens.retain(|waiting| *waiting != token);
        if !flight.tokens.is_empty() {
            return false;
        }
        let batch = self.in_flight.take().map(|flight| flight.batch).unwrap_or_default();
        if self.echo != Echo::Confirmed {
            self.echo = Echo::Due;
            self.unconfirmed.extend(batch);
        }
        true
    }

    /// Our own message came back: what was acknowledged did arrive. Returns whether that settles anything.
    pub(crate) fn confirm_echo(&mut self) -> bool {
        self.echo = Echo::Confirmed;
        !std::mem::take(&mut self.unconfirmed).is_empty()
    }

    /// The echo did not come: all that it would have confirmed waits again. Returns how often that has happened.
    pub(crate) fn echo_missing(&mut self) -> u32 {
        let missed = self.echoes_missed.saturating_add(1);
        self.reset();
        self.echoes_missed = missed;
        missed
    }

    pub(crate) fn echo(&self) -> Echo {
        self.echo
    }

    /// The connection is gone, or the driver could not take the batch: what was in flight, or acknowledged without an
    /// echo, waits again, in its old order.
    pub(crate) fn reset(&mut self) {
        self.echo = Echo::Unknown;
        self.echoes_missed = 0;
        let in_flight = self.in_flight.take().map(|flight| flight.batch).unwrap_or_default();
        // What may have left once may leave again, also of a canvas that is not followed live.
        self.released |= !in_flight.is_empty() || !self.unconfirmed.is_empty();
        for pending in std::mem::take(&mut self.unconfirmed).into_iter().chain(in_flight).rev() {
            self.waiting.push_front(pending);
        }
    }
}

#[cfg(test)]
mod tests {
    use automerge::transaction::Transactable;
    use automerge::{AutoCommit, ROOT};

    use super::*;

    fn changes(count: usize) -> Vec<Change> {
        let mut doc = AutoCommit::new();
        for step in 0..count {
            doc.put(ROOT, "step", step as u64).unwrap();
            doc.commit();
        }
        doc.get_changes(&[])
    }

    fn hashes(changes: &[Change]) -> Vec<ChangeHash> {
        changes.iter().map(Change::hash).collect()
    }

    #[test]
    fn changes_made_while_one_is_in_flight_leave_together() {
        let all = changes(3);
        let mut outbox = Outbox::default();
        outbox.push(&all[..1], true);
        assert_eq!(hashes(&outbox.next_batch(|_| None).unwrap()), hashes(&all[..1]));
        outbox.sent(vec![PublishToken(1), PublishToken(2)]);
        outbox.push(&all[1..2], true);
        outbox.push(&all[2..], true);
        assert!(outbox.next_batch(|_| None).is_none());
        assert!(!outbox.acknowledged(PublishToken(1)));
        assert!(outbox.acknowledged(PublishToken(2)));
        assert_eq!(hashes(&outbox.next_batch(|_| None).unwrap()), hashes(&all[1..]));
    }

    #[test]
    fn what_was_in_flight_when_the_connection_broke_is_sent_again_first() {
        let all = changes(3);
        let mut outbox = Outbox::default();
        outbox.push(&all[..2], false);
        outbox.next_batch(|_| None).unwrap();
        outbox.sent(vec![PublishToken(1)]);
        outbox.push(&all[2..], true);
        outbox.reset();
        assert_eq!(hashes(&outbox.next_batch(|_| None).unwrap()), hashes(&all));
    }

    #[test]
    fn what_was_released_once_may_leave_again_after_the_connection_broke() {
        let all = changes(1);
        let mut outbox = Outbox::default();
        outbox.push(&all, true);
        assert!(!outbox.is_released());
        outbox.release();
        outbox.next_batch(|_| None).unwrap();
        assert!(!outbox.is_released());
        outbox.sent(vec![PublishToken(1)]);
        outbox.reset();
        assert!(outbox.is_released());
    }

    #[test]
    fn what_was_acknowledged_without_an_echo_is_sent_again_on_the_next_connection() {
        let all = changes(1);
        let mut outbox = Outbox::default();
        outbox.push(&all, true);
        outbox.next_batch(|_| None).unwrap();
        outbox.sent(vec![PublishToken(1)]);
        outbox.acknowledged(PublishToken(1));
        assert_eq!((outbox.len(), outbox.echo()), (1, Echo::Due));
        outbox.reset();
        assert_eq!(hashes(&outbox.next_batch(|_| None).unwrap()), hashes(&all));
        outbox.sent(vec![PublishToken(2)]);
        outbox.acknowledged(PublishToken(2));
        outbox.confirm_echo();
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn beyond_the_cache_changes_are_read_from_the_document() {
        let all = changes(MAX_CACHED_OUTBOX_CHANGES + 1);
        let mut outbox = Outbox::default();
        outbox.push(&all, true);
        let mut sent = Vec::new();
        let mut token = 0;
        while let Some(batch) = outbox.next_batch(|hash| all.iter().find(|change| change.hash() == *hash).cloned()) {
            sent.extend(hashes(&batch));
            token += 1;
            outbox.sent(vec![PublishToken(token)]);
            outbox.acknowledged(PublishToken(token));
        }
        assert_eq!(sent, hashes(&all));
    }
}
