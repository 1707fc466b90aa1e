//! Which messages are taken in, and what follows for those that are not; the rule is in `throttle.rs`.

use super::counters::IncomingCounters;
use super::fresh::is_acted_on_once;
use super::heard::Heard;
use super::io::{Event, Message};
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::throttle::{Throttle, Verdict};
use super::timers::Timer;
use crate::ids::{DocumentId, PeerId, Session};
use crate::time::Now;
use crate::wire::{Gate, Header, Kind, Topic, WireError};

/// Asks the throttle while a message is read. What the broker had kept passes: this peer asked for it.
pub(super) struct Admission<'a> {
    pub(super) throttle: &'a mut Throttle,
    pub(super) heard: &'a mut Heard,
    pub(super) incoming: &'a IncomingCounters,
    pub(super) own: (PeerId, Session),
    pub(super) message: &'a Message,
    pub(super) now: Now,
    /// Under which name a packet was admitted that was not counted as its owner's.
    pub(super) doubted: &'a mut Option<PeerId>,
    /// What was dropped, and whether the application is to be told of its sender.
    pub(super) dropped: &'a mut Option<(Kind, Option<PeerId>)>,
}

impl Gate for Admission<'_> {
    fn is_own(&self, header: &Header) -> bool {
        (header.sender, header.session) == self.own
    }

    fn admit(&mut self, header: &Header) -> Result<(), WireError> {
        if self.message.was_kept(header) {
            return Ok(());
        }
        let verdict = self.throttle.admit(&header.sender, header.kind, self.now);
        *self.doubted = (verdict == Verdict::Take).then_some(header.sender);
        self.carry_out(verdict, header)
    }

    fn verified(&mut self, header: &Header) -> Result<(), WireError> {
        if self.message.was_kept(header) {
            return Ok(());
        }
        let Message { topic, payload, .. } = self.message;
        // Whoever plays messages again must not use up what their sender may send.
        if is_acted_on_once(header.kind) {
            if !self.heard.take(header.sender, header.session, topic, header.counter) {
                return Err(WireError::Replayed);
            }
        } else if header.kind == Kind::Changes
            && !self.incoming.is_news(topic, header.sender, header.session, header.counter)
        {
            return Ok(());
        }
        *self.doubted = None;
        let verdict = self.throttle.count(header.sender, header.kind, topic, payload.len(), self.now);
        self.carry_out(verdict, header)
    }
}

impl Admission<'_> {
    fn carry_out(&mut self, verdict: Verdict, header: &Header) -> Result<(), WireError> {
        *self.dropped = match verdict {
            Verdict::Take => return Ok(()),
            Verdict::Drop => Some((header.kind, None)),
            Verdict::DropAndTell => Some((header.kind, Some(header.sender))),
        };
        Err(WireError::Throttled)
    }
}

impl CanvasP2PSynchronizer {
    /// A message was not taken in: changes are caught up with at the end of the period.
    pub(super) fn on_dropped(&mut self, step: &mut Step, message: &Message, kind: Kind, tell: Option<PeerId>) {
        if let Some(peer) = tell {
            self.tell_of_throttled(step, peer);
        }
        let due = if kind == Kind::Changes {
            self.throttle.owe_topic(&message.topic, step.now)
        } else {
            self.throttle.run(step.now)
        };
        self.set_throttle_timer(due);
    }

    /// A peer has sent too much, and what it sends next is dropped.
    pub(super) fn tell_of_throttled(&mut self, step: &mut Step, peer: PeerId) {
        tracing::debug!(target: "mqtt:sync", %peer, "sends too much");
        step.event(Event::PeerThrottled(peer));
        let due = self.throttle.run(step.now);
        self.set_throttle_timer(due);
    }

    /// Whether what a document lacks was probably sent by this peer and dropped; then it is caught up with at the end of the
    /// period, and not for every message that builds on it.
    pub(super) fn lacks_what_was_dropped(&mut self, step: &Step, id: &DocumentId, peer: &PeerId) -> bool {
        let throttled = self.throttle.is_throttled(peer);
        if throttled {
            let due = self.throttle.owe_document(id, step.now);
            self.set_throttle_timer(due);
        }
        throttled
    }

    /// The driver dropped messages, nobody knows of which documents: all catch up, at most once a period.
    pub(super) fn on_messages_lost(&mut self, step: &mut Step) {
        self.statistics.reject("queue full");
        let due = self.throttle.owe_everything(step.now);
        self.set_throttle_timer(due);
    }

    /// Whether everything may be asked for now; if that was so lately, it is asked for at the end of the period.
    pub(super) fn may_ask_for_all(&mut self, step: &Step) -> bool {
        let begun = self.throttle.run(step.now);
        let now = begun.is_some();
        let due = if now { begun } else { self.throttle.owe_everything(step.now) };
        self.set_throttle_timer(due);
        now
    }

    /// The end of a period.
    pub(super) fn on_throttle_due(&mut self, step: &mut Step) {
        let (owed, due) = self.throttle.settle(step.now);
        self.set_throttle_timer(due);
        let topics = &self.config.topics;
        let is_owed = |id: &&DocumentId| {
            owed.everything
                || owed.documents.contains(*id)
                || (!owed.topics.is_empty() && owed.topics.contains(&topics.format(&Topic::Changes((*id).clone()))))
        };
        let awake: Vec<DocumentId> = self.documents.keys().filter(is_owed).cloned().collect();
        let asleep = self.asleep.keys().any(|id| is_owed(&id));
        for id in awake {
            self.ask_if_auto(step, &id);
        }
        if asleep {
            self.schedule_asleep(step);
        }
    }

    fn set_throttle_timer(&mut self, due: Option<u64>) {
        if let Some(at_ms) = due {
            self.timers.set(Timer::Throttle, at_ms);
        }
    }
}
