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
//! Dropped changes are caught up with at the end of the period, once for each document however many there were. Those that
//! follow build on what was dropped, and could not be applied.

use std::collections::{BTreeMap, BTreeSet};

use super::rates::{Limiter, Rates, ToldClock, share};
use crate::ids::{DocumentId, PeerId};
use crate::limits::{
    INBOUND_BURST_MS, MAX_OWED_TOPICS, MAX_PEER_ACCOUNTS, MAX_PEER_BURST_KIB, MAX_PEER_KIB_PER_SECOND,
    MAX_THROTTLE_PERIOD_MS, THROTTLE_PERIOD_MS, THROTTLE_REPORT_MS, THROTTLE_SAMPLE_MS,
};
use crate::time::Now;
use crate::wire::Kind;

/// What a verified peer has sent lately.
#[derive(Debug)]
struct Account {
    messages: Limiter,
    /// Of messages for catching up, of which many come at once because they were asked for.
    exchange: Limiter,
    kibibytes: Limiter,
    /// Nothing of it is taken in before.
    over_until_ms: u64,
    /// Something of it was dropped in this period.
    throttled: bool,
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
    all: Limiter,
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
        if let Some(account) = self.accounts.get(claimed)
            && (!now.reached(account.over_until_ms) || (account.throttled && is_passing(kind)))
        {
            return Verdict::Drop;
        }
        if self.all.take(1).is_ok() { Verdict::Take } else { Verdict::Drop }
    }

    /// A message of a kind, which came on a topic, is its sender's: whether that may send so much.
    pub(super) fn count(&mut self, sender: PeerId, kind: Kind, topic: &str, bytes: usize, now: Now) -> Verdict {
        self.clock.tell(now);
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
        account.over_until_ms = account.over_until_ms.max(until_ms);
        if !std::mem::replace(&mut account.throttled, true) {
            self.muted.insert(sender);
        }
        let account = self.account(sender);
        if !now.reached(account.report_at_ms) {
            return Verdict::Drop;
        }
        account.report_at_ms = now.after(THROTTLE_REPORT_MS);
        Verdict::DropAndTell
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
            account.throttled = false;
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
        let rate = self.rates.peer;
        self.accounts.entry(peer).or_insert_with(|| Account {
            messages: Limiter::new(rate, INBOUND_BURST_MS, self.clock.clone()),
            exchange: Limiter::new(rate, 4 * INBOUND_BURST_MS, self.clock.clone()),
            kibibytes: Limiter::with_burst(MAX_PEER_KIB_PER_SECOND, MAX_PEER_BURST_KIB, self.clock.clone()),
            over_until_ms: 0,
            throttled: false,
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
mod tests {
    use super::*;

    const FLOODER: PeerId = PeerId([1; 32]);
    const OTHER: PeerId = PeerId([2; 32]);

    fn at(elapsed_ms: u64) -> Now {
        Now { elapsed_ms, unix_ms: 0 }
    }

    fn throttle(peer: u32, inbound: u32) -> Throttle {
        Throttle::new(Rates { peer, inbound, outbound: 1 })
    }

    /// How many of so many messages of a peer, all at once, are taken in; small ones of a kind.
    fn taken(throttle: &mut Throttle, peer: PeerId, kind: Kind, count: usize, now: Now) -> usize {
        let take = |throttle: &mut Throttle| {
            throttle.admit(&peer, kind, now) == Verdict::Take
                && throttle.count(peer, kind, "t", 100, now) == Verdict::Take
        };
        (0..count).filter(|_| take(throttle)).count()
    }

    #[test]
    fn who_sends_too_much_is_held_to_its_rate_and_nobody_else() {
        let mut throttle = throttle(10, 1_000);
        let burst = share(10, INBOUND_BURST_MS) as usize;
        assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, burst, at(0)), burst, "exactly at the bound");
        assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 1, at(0)), 0, "one over");
        assert_eq!(
            taken(&mut throttle, FLOODER, Kind::Changes, 500, at(200)),
            1,
            "one is looked at, and there is room"
        );
        assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, burst, at(500)), burst);
    }

    #[test]
    fn what_bears_anothers_name_uses_up_nothing_of_it() {
        let mut throttle = throttle(10, 1_000_000);
        for _ in 0..10_000 {
            // Admitted, and then its signature does not hold.
            assert_eq!(throttle.admit(&OTHER, Kind::Changes, at(0)), Verdict::Take);
        }
        assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, 5, at(0)), 5);
    }

    #[test]
    fn all_together_are_limited_before_they_are_verified() {
        let mut throttle = throttle(1_000, 100);
        let burst = share(100, 4 * INBOUND_BURST_MS) as usize;
        let from = |n: usize| PeerId([u8::try_from(n % 250).unwrap(); 32]);
        let admitted = (0..10_000).filter(|n| throttle.admit(&from(*n), Kind::Changes, at(0)) == Verdict::Take).count();
        assert_eq!(admitted, burst);
        assert_eq!(throttle.admit(&OTHER, Kind::Changes, at(10)), Verdict::Take);
    }

    #[test]
    fn cursors_are_dropped_before_changes_are() {
        let mut throttle = throttle(1_000, 100_000);
        assert!(taken(&mut throttle, FLOODER, Kind::Changes, 100_000, at(0)) < 100_000);
        assert_eq!(taken(&mut throttle, FLOODER, Kind::Cursor, 5, at(100)), 0, "there is room, for changes");
        assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 5, at(100)), 1, "one is looked at");
        throttle.settle(at(1_000));
        assert_eq!(taken(&mut throttle, FLOODER, Kind::Cursor, 5, at(1_000)), 5);
    }

    #[test]
    fn what_follows_dropped_changes_is_dropped_until_they_are_caught_up_with() {
        let mut throttle = throttle(1_000, 100_000);
        let flooded = taken(&mut throttle, FLOODER, Kind::Changes, 100_000, at(0));
        assert!(flooded < 100_000);
        throttle.owe_topic("t", at(0));
        assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 5, at(100)), 0);
        assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, 5, at(100)), 5);
        assert_eq!(throttle.count(FLOODER, Kind::Changes, "u", 1, at(200)), Verdict::Take);
        throttle.settle(at(1_000));
        assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 5, at(1_000)), 5);
    }

    #[test]
    fn bytes_are_limited_too() {
        let mut throttle = throttle(1_000_000, 1_000_000);
        let mebibyte = 1 << 20;
        let most = MAX_PEER_BURST_KIB as usize / 1024;
        let passed = (0..10 * most)
            .filter(|_| throttle.count(FLOODER, Kind::Changes, "t", mebibyte, at(0)) == Verdict::Take)
            .count();
        assert_eq!(passed, most);
    }

    #[test]
    fn it_is_told_once_for_each_peer_and_period() {
        let mut throttle = throttle(1, 1_000);
        let mut told = Vec::new();
        for ms in 0..2 * THROTTLE_REPORT_MS {
            for peer in [FLOODER, OTHER] {
                if throttle.count(peer, Kind::Changes, "t", 1, at(ms)) == Verdict::DropAndTell {
                    told.push(peer);
                }
            }
        }
        assert_eq!(told, [FLOODER, OTHER, FLOODER, OTHER]);
    }

    #[test]
    fn what_was_dropped_is_owed_once_a_period_and_periods_grow_while_it_goes_on() {
        let mut throttle = throttle(1, 1_000);
        let mut due = throttle.owe_topic("t", at(0));
        assert_eq!(due, Some(THROTTLE_PERIOD_MS));
        let mut lengths = Vec::new();
        for _ in 0..6 {
            assert_eq!(throttle.owe_topic("t", at(1)), None, "one period at a time");
            let end = due.unwrap();
            let (owed, next) = throttle.settle(at(end));
            assert_eq!(owed.topics, BTreeSet::from(["t".to_owned()]));
            lengths.push(next.unwrap() - end);
            due = next;
        }
        assert!(lengths[0] > THROTTLE_PERIOD_MS && lengths.ends_with(&[MAX_THROTTLE_PERIOD_MS; 2]), "{lengths:?}");
        assert_eq!(throttle.settle(at(due.unwrap())), (Owed::default(), None));
        assert_eq!(throttle.owe_topic("t", at(100_000)), Some(100_000 + THROTTLE_PERIOD_MS));
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = throttle(1, 1_000_000);
        for n in 0..MAX_PEER_ACCOUNTS as u64 + 10 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            throttle.count(PeerId(id), Kind::Changes, "t", 1, at(n));
        }
        assert_eq!(throttle.accounts.len(), MAX_PEER_ACCOUNTS);
        for n in 0..=MAX_OWED_TOPICS {
            throttle.owe_topic(&format!("t{n}"), at(0));
        }
        let (owed, _) = throttle.settle(at(1));
        assert_eq!((owed.topics.len(), owed.everything), (MAX_OWED_TOPICS, true));
    }
}
