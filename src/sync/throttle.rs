//! How much of what others send is taken in, of each and in all, and how fast this service sends itself.
//!
//! A limiter counts only messages whose signature holds, so nobody can use up what another may send. Whoever has used it
//! up is *over* until there is room again: until then what bears its name is dropped unread, whoever made it, for its own
//! would be dropped as well. That keeps a flood cheap.
//!
//! | of a peer | cursors, application messages, presence | everything else |
//! | --- | --- | --- |
//! | within its rate | taken in | taken in |
//! | over, until there is room for one message | dropped | dropped |
//! | room again, in the same period | dropped | taken in, but for changes where some were dropped |
//!
//! Before a signature is verified, which is what takes long, nobody knows whose a message is. What turns out to be nobody's, or was
//! heard before, counts against the name that it bears, and in all; names that nothing genuine was heard of yet share an allowance
//! of their own. So who makes names up keeps newcomers out, who uses one name holds up its owner, and neither anybody else.
//!
//! Dropped changes are caught up with at the end of the period, once for each document however many there were. Those that
//! follow build on what was dropped, and could not be applied.

use std::collections::{BTreeMap, BTreeSet};

use super::rates::{Debt, Limiter, Rates, ToldClock, share};
use crate::ids::{DocumentId, PeerId};
use crate::limits::{
    ANSWER_BURST_MS, ANSWERED_AT_ONCE, INBOUND_BURST_MS, MAX_ANSWER_KIB_PER_SECOND, MAX_OWED_TOPICS, MAX_PEER_ACCOUNTS,
    MAX_PEER_BURST_KIB, MAX_PEER_KIB_PER_SECOND, MAX_THROTTLE_PERIOD_MS, MIN_ANSWER_KIB, THROTTLE_PERIOD_MS,
    THROTTLE_REPORT_MS, THROTTLE_SAMPLE_MS,
};
use crate::time::Now;
use crate::wire::Kind;

/// Of all that is taken in, so much may bear names that nothing genuine was heard of yet: the reciprocal.
const STRANGERS_SHARE: u32 = 4;
/// So much, and at times twice that, may be verified in vain; beyond, nothing that bears one of the names to which that is due.
const DOUBTED_SHARE: u32 = 4;
/// It is due to a name under which more than so much was verified in vain.
const DOUBTED_NAME_SHARE: u32 = 128;

/// What a verified peer has sent lately.
#[derive(Debug)]
struct Account {
    messages: Limiter,
    /// Of messages for catching up, of which many come at once because they were asked for.
    exchange: Limiter,
    kibibytes: Limiter,
    /// What it was answered.
    answers: Debt,
    /// Of messages in its name that were not its own, or not new.
    doubted: Limiter,
    /// It was too much before.
    doubted_until_ms: u64,
    /// Nothing of it is taken in before.
    over_until_ms: u64,
    /// Something of it was dropped in this period.
    throttled: bool,
    /// When something of it was last dropped.
    dropped_ms: u64,
    /// The application is told again from then on.
    report_at_ms: u64,
    heard_ms: u64,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Take,
    Drop,
    /// Drop it, and tell the application that this peer sends too much.
    DropAndTell,
}

/// What was dropped and is to be caught up with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Owed {
    /// As published, on which changes were dropped.
    pub(super) topics: BTreeSet<String>,
    /// Of which something is lacking that was probably dropped.
    pub(super) documents: BTreeSet<DocumentId>,
    /// More than are remembered.
    pub(super) everything: bool,
}

impl Owed {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.documents.is_empty() && !self.everything
    }
}

/// The inbound limits of one repository.
#[derive(Debug)]
pub(super) struct Throttle {
    rates: Rates,
    clock: ToldClock,
    /// Of what is taken in.
    all: Limiter,
    /// There is no room in `all` before.
    full_until_ms: u64,
    /// Of what bears a name that has no account.
    strangers: Limiter,
    /// Of what was verified in vain.
    doubted: Limiter,
    /// It was too much before.
    doubted_until_ms: u64,
    /// What all were answered, each of them a share of it.
    answers: Debt,
    accounts: BTreeMap<PeerId, Account>,
    /// Those of which something was dropped in this period.
    muted: BTreeSet<PeerId>,
    owed: Owed,
    period_ms: u64,
    running: bool,
}

impl Throttle {
    pub(super) fn new(rates: Rates) -> Self {
        let clock = ToldClock::default();
        Self {
            rates,
            all: Limiter::new(rates.inbound, 4 * INBOUND_BURST_MS, clock.clone()),
            full_until_ms: 0,
            strangers: Limiter::new(rates.inbound / STRANGERS_SHARE, INBOUND_BURST_MS, clock.clone()),
            doubted: Limiter::new(rates.inbound / DOUBTED_SHARE, INBOUND_BURST_MS, clock.clone()),
            doubted_until_ms: 0,
            answers: Debt::default(),
            clock,
            accounts: BTreeMap::new(),
            muted: BTreeSet::new(),
            owed: Owed::default(),
            period_ms: THROTTLE_PERIOD_MS,
            running: false,
        }
    }

    /// Before a message is verified: whether it is worth that.
    pub(super) fn admit(&mut self, claimed: &PeerId, kind: Kind, now: Now) -> Verdict {
        self.clock.tell(now);
        let account = self.accounts.get_mut(claimed);
        let in_vain = !now.reached(self.doubted_until_ms);
        if let Some(account) = account {
            if !now.reached(account.over_until_ms) || (account.throttled && is_passing(kind)) {
                account.dropped_ms = now.elapsed_ms;
                return Verdict::Drop;
            }
            if in_vain && !now.reached(account.doubted_until_ms) {
                return Verdict::Drop;
            }
        } else if in_vain || self.strangers.take(1).is_err() {
            return Verdict::Drop;
        }
        if now.reached(self.full_until_ms) { Verdict::Take } else { Verdict::Drop }
    }

    /// What was admitted under this name was not signed by it, or not new.
    pub(super) fn doubt(&mut self, claimed: &PeerId, now: Now) {
        self.clock.tell(now);
        if let Err(until_ms) = self.doubted.take(1) {
            self.doubted_until_ms = until_ms;
        }
        if let Some(account) = self.accounts.get_mut(claimed)
            && let Err(until_ms) = account.doubted.take(1)
        {
            account.doubted_until_ms = until_ms;
        }
    }

    /// A message of a kind, which came on a topic, is its sender's: whether that may send so much.
    pub(super) fn count(&mut self, sender: PeerId, kind: Kind, topic: &str, bytes: usize, now: Now) -> Verdict {
        self.clock.tell(now);
        if let Err(until_ms) = self.all.take(1) {
            self.full_until_ms = until_ms;
            return Verdict::Drop;
        }
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let lacks_earlier = kind == Kind::Changes && self.owed.topics.contains(topic);
        let sample = share(self.rates.peer, u32::try_from(THROTTLE_SAMPLE_MS).unwrap_or(u32::MAX));
        let account = self.account(sender);
        account.heard_ms = now.elapsed_ms;
        let limiter = if is_exchange(kind) { &account.exchange } else { &account.messages };
        let amount = if account.throttled { sample } else { 1 };
        let taken = limiter.take(amount).and_then(|()| account.kibibytes.take(kibibytes));
        if account.throttled {
            account.over_until_ms = now.after(THROTTLE_SAMPLE_MS);
        }
        let Err(until_ms) = taken else {
            return if account.throttled && lacks_earlier { Verdict::Drop } else { Verdict::Take };
        };
        if self.mute(sender, until_ms, now) { Verdict::DropAndTell } else { Verdict::Drop }
    }

    /// A message that was taken in had so many further signatures verified as messages have one each. Whether the application
    /// is to be told that its sender sends too much.
    pub(super) fn charge(&mut self, sender: PeerId, signatures: usize, now: Now) -> bool {
        self.clock.tell(now);
        let signatures = u32::try_from(signatures).unwrap_or(u32::MAX);
        let rate = u64::from(self.rates.peer.max(1));
        let account = self.account(sender);
        let at_once = account.exchange.burst();
        let beyond_ms = u64::from(signatures.saturating_sub(at_once)) * 1_000 / rate;
        let until_ms = match account.exchange.take(signatures.min(at_once)) {
            Ok(()) if beyond_ms == 0 => return false,
            Ok(()) => now.elapsed_ms,
            Err(until_ms) => until_ms,
        };
        self.mute(sender, until_ms + beyond_ms, now)
    }

    /// Whether a peer may be answered, or was answered too much.
    pub(super) fn may_be_answered(&mut self, requester: PeerId, now: Now) -> bool {
        self.answers.is_within(ANSWER_BURST_MS, now) && self.account(requester).answers.is_within(ANSWER_BURST_MS, now)
    }

    /// A peer gets an answer of so many bytes.
    pub(super) fn answered(&mut self, requester: PeerId, bytes: usize, now: Now) {
        let kibibytes = (bytes as u64).div_ceil(1024).max(MIN_ANSWER_KIB);
        let ms = (kibibytes * 1_000).div_ceil(MAX_ANSWER_KIB_PER_SECOND);
        self.account(requester).answers.add(ms, now);
        self.answers.add(ms / ANSWERED_AT_ONCE, now);
    }

    /// A peer is over until then. Whether that is to be told.
    fn mute(&mut self, sender: PeerId, until_ms: u64, now: Now) -> bool {
        let account = self.account(sender);
        account.over_until_ms = account.over_until_ms.max(until_ms);
        account.dropped_ms = now.elapsed_ms;
        let begins = !std::mem::replace(&mut account.throttled, true);
        let tells = now.reached(account.report_at_ms);
        if tells {
            account.report_at_ms = now.after(THROTTLE_REPORT_MS);
        }
        if begins {
            self.muted.insert(sender);
        }
        tells
    }

    /// Changes that came on a topic were dropped. Returns when to call [`settle`](Self::settle), if that is news.
    pub(super) fn owe_topic(&mut self, topic: &str, now: Now) -> Option<u64> {
        if self.owed.topics.len() < MAX_OWED_TOPICS {
            if !self.owed.topics.contains(topic) {
                self.owed.topics.insert(topic.to_owned());
            }
        } else if !self.owed.topics.contains(topic) {
            self.owed.everything = true;
        }
        self.run(now)
    }

    /// Nobody knows what was dropped.
    pub(super) fn owe_everything(&mut self, now: Now) -> Option<u64> {
        self.owed.everything = true;
        self.run(now)
    }

    /// Something of a peer was dropped in this period: gaps are no news, and what is lacking is asked for at its end.
    pub(super) fn is_throttled(&self, peer: &PeerId) -> bool {
        self.accounts.get(peer).is_some_and(|account| account.throttled)
    }

    /// The peers of which something was dropped in this period.
    pub(super) fn muted(&self) -> &BTreeSet<PeerId> {
        &self.muted
    }

    /// Whether anything was dropped in this period.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// As [`owe_topic`](Self::owe_topic), for a document of which something is lacking.
    pub(super) fn owe_document(&mut self, id: &DocumentId, now: Now) -> Option<u64> {
        if self.owed.documents.len() < MAX_OWED_TOPICS {
            self.owed.documents.insert(id.clone());
        } else {
            self.owed.everything = true;
        }
        self.run(now)
    }

    /// The end of a period: what is to be caught up with now, and when the next one ends. While more is dropped, periods get
    /// longer; after one in which nothing was, there is none until something is.
    pub(super) fn settle(&mut self, now: Now) -> (Owed, Option<u64>) {
        let owed = std::mem::take(&mut self.owed);
        self.running = !owed.is_empty() || !self.muted.is_empty();
        self.muted.clear();
        for account in self.accounts.values_mut() {
            if std::mem::take(&mut account.throttled) && !now.reached(account.dropped_ms + 2 * THROTTLE_SAMPLE_MS) {
                // It goes on: what it did not use, since samples come late, is not for a burst of what builds on the rest.
                account.messages.drain();
                account.exchange.drain();
            }
        }
        self.period_ms =
            if self.running { (2 * self.period_ms).min(MAX_THROTTLE_PERIOD_MS) } else { THROTTLE_PERIOD_MS };
        (owed, self.running.then(|| now.after(self.period_ms)))
    }

    /// Begins a period, unless one is running; returns its end.
    pub(super) fn run(&mut self, now: Now) -> Option<u64> {
        let begins = !std::mem::replace(&mut self.running, true);
        begins.then(|| now.after(self.period_ms))
    }

    fn account(&mut self, peer: PeerId) -> &mut Account {
        if self.accounts.len() >= MAX_PEER_ACCOUNTS && !self.accounts.contains_key(&peer) {
            // Whoever was silent for longest has all its allowance back, or soon.
            let silent = self.accounts.iter().min_by_key(|(_, account)| account.heard_ms).map(|(id, _)| *id);
            silent.and_then(|id| self.accounts.remove(&id));
        }
        let Rates { peer: rate, inbound, .. } = self.rates;
        self.accounts.entry(peer).or_insert_with(|| Account {
            messages: Limiter::new(rate, INBOUND_BURST_MS, self.clock.clone()),
            exchange: Limiter::new(rate, 4 * INBOUND_BURST_MS, self.clock.clone()),
            kibibytes: Limiter::with_burst(MAX_PEER_KIB_PER_SECOND, MAX_PEER_BURST_KIB, self.clock.clone()),
            answers: Debt::default(),
            doubted: Limiter::new(inbound / DOUBTED_NAME_SHARE, INBOUND_BURST_MS, self.clock.clone()),
            doubted_until_ms: 0,
            over_until_ms: 0,
            throttled: false,
            dropped_ms: 0,
            report_at_ms: 0,
            heard_ms: 0,
        })
    }
}

/// What belongs to catching up.
fn is_exchange(kind: Kind) -> bool {
    matches!(kind, Kind::SyncRequest | Kind::SyncAnnouncement | Kind::SyncReply | Kind::HeadsAnnouncement)
}

/// What is of no use later, and so is dropped first.
fn is_passing(kind: Kind) -> bool {
    matches!(kind, Kind::Presence | Kind::Cursor | Kind::Application | Kind::KeyNotice)
}

#[cfg(test)]
mod tests;
