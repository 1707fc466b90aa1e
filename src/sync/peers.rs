//! Who takes part in the repository.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::ids::{Nonce, PeerId, RepositoryName};
use crate::limits::{
    ANSWER_STEP_MS, HEARTBEAT_PEERS, HELLO_ANSWERS, MAX_HEARTBEAT_MS, MAX_UNLISTED_PEERS, WILL_GRACE_MS,
};
use crate::time::Now;
use crate::wire::{Presence, PresenceStatus, Will};

/// The capability of peers that stay on; they answer before others do.
pub const SERVER_CAPABILITY: &str = "server";

/// How many heartbeats a peer may miss before it counts as gone.
const EXPIRY_HEARTBEATS: u64 = 3;
/// A peer heard within this many heartbeats takes part in elections.
const ELECTION_HEARTBEATS: u64 = 2;
/// The shortest and longest heartbeat that we believe of another, so that nobody stays for ever or flickers.
const HEARTBEAT_RANGE_MS: std::ops::RangeInclusive<u64> = 1_000..=MAX_HEARTBEAT_MS;

/// A peer as applications see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its public key.
    pub id: PeerId,
    /// All repositories in which it takes part.
    pub repositories: Vec<RepositoryName>,
    /// What it says it can do.
    pub capabilities: Vec<String>,
    /// When it was last heard, in milliseconds since the Unix epoch by this machine's clock.
    pub last_seen_unix_ms: u64,
    /// Whether it was heard live, not only in what the broker had kept.
    pub confirmed: bool,
    /// By how much this machine's clock is ahead of the peer's, in milliseconds, and the time on the way: the smallest
    /// difference seen between when a live presence of it came and when it says that it was sent.
    pub clock_ahead_ms: Option<i64>,
}

/// What a message did to the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PeerChange {
    /// Nothing that an application would want to know.
    None,
    /// The peer is there, and was not before.
    Discovered(PeerInfo),
    /// The peer is gone.
    Left(PeerInfo),
}

/// The peers of one repository.
///
/// | known as | retained presence | live presence | offline, matching Will, expiry |
/// | --- | --- | --- | --- |
/// | unknown | unconfirmed | confirmed (discovered) | unknown |
/// | unconfirmed | unconfirmed | confirmed (discovered) | unknown |
/// | confirmed | confirmed | confirmed | unknown (left) |
///
/// What carries an older connection number of the same instance is ignored: a broker that takes a connection over
/// publishes the old connection's Will after the peer is back.
#[derive(Debug)]
pub(crate) struct PeerTable {
    peers: BTreeMap<PeerId, Peer>,
    max_peers: usize,
    /// Those that are not listed for want of room, each with when it counts as gone: only how many they are matters.
    unlisted: BTreeMap<PeerId, u64>,
}

#[derive(Debug)]
struct Peer {
    info: PeerInfo,
    instance: u64,
    connection: u64,
    heard_ms: u64,
    heartbeat_ms: u64,
    /// Its Last Will arrived: by then it must have shown that it is there.
    doomed_at_ms: Option<u64>,
}

impl PeerTable {
    pub(crate) fn new(max_peers: usize) -> Self {
        Self { peers: BTreeMap::new(), max_peers, unlisted: BTreeMap::new() }
    }

    /// How many others are there, as far as is known, listed or not.
    pub(crate) fn crowd(&self) -> u64 {
        (self.peers.len() + self.unlisted.len()) as u64
    }

    /// How long until we say again that we are there. Everybody hears everybody, so in a crowd each says it more rarely: of
    /// all together nobody hears more than [`HEARTBEAT_PEERS`] in a heartbeat as configured.
    pub(crate) fn heartbeat_ms(&self, configured_ms: u64) -> u64 {
        let stretched_ms = configured_ms.saturating_mul(self.crowd()) / HEARTBEAT_PEERS;
        stretched_ms.min(MAX_HEARTBEAT_MS).max(configured_ms)
    }

    /// Peers that were heard live.
    pub(crate) fn confirmed(&self) -> impl Iterator<Item = &PeerInfo> {
        self.peers.values().map(|peer| &peer.info).filter(|info| info.confirmed)
    }

    /// Forgets those for whom `stays` does not hold. Returns those that the application knows of.
    pub(crate) fn retain(&mut self, stays: impl Fn(&PeerId) -> bool) -> Vec<PeerInfo> {
        let gone = self.peers.extract_if(.., |id, _| !stays(id));
        gone.map(|(_, peer)| peer.info).filter(|info| info.confirmed).collect()
    }

    /// Where `own` stands among those who could answer a request, 0 being the first: servers before others, then by
    /// rendezvous hash of the request (Thaler and Ravishankar, 1998), so that the load spreads.
    /// `counts` says of whom an answer can be expected.
    pub(crate) fn rank(
        &self,
        (own, own_is_server): (PeerId, bool),
        requester: PeerId,
        request: Nonce,
        now: Now,
        counts: impl Fn(&PeerId) -> bool,
    ) -> usize {
        let own_score = score(own, own_is_server, request);
        self.peers
            .values()
            .filter(|peer| peer.info.confirmed && peer.info.id != own && peer.info.id != requester)
            .filter(|peer| counts(&peer.info.id))
            .filter(|peer| now.elapsed_ms <= peer.heard_ms.saturating_add(ELECTION_HEARTBEATS * peer.heartbeat_ms))
            .filter(|peer| {
                let server = peer.info.capabilities.iter().any(|word| word == SERVER_CAPABILITY);
                score(peer.info.id, server, request) > own_score
            })
            .count()
    }

    /// A rank among those who are known, as one among all who are there: in a crowd only a part of them is known, and several
    /// who each take themselves for the first should not be so at once.
    pub(crate) fn in_crowd(&self, rank: usize, random: u64) -> usize {
        let crowd = self.crowd();
        if crowd <= HELLO_ANSWERS {
            return rank;
        }
        let each = (crowd / (self.confirmed().count() as u64).max(1)).max(1);
        let within = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        rank.saturating_mul(within(each)).saturating_add(within(random % each))
    }

    /// How long each lower-ranked peer waits for the one before it: in a crowd it takes longer until everybody has heard it.
    pub(crate) fn answer_step_ms(&self) -> u64 {
        ANSWER_STEP_MS * (1 + self.crowd() / HEARTBEAT_PEERS)
    }

    /// Takes in a presence; `retained` when it is what the broker had kept.
    pub(crate) fn presence(&mut self, id: PeerId, presence: &Presence, retained: bool, now: Now) -> PeerChange {
        let known = self.peers.get(&id);
        if let Some(peer) = known {
            let stale = peer.instance == presence.instance && presence.connection < peer.connection;
            let hearsay = retained && peer.info.confirmed;
            if stale || hearsay {
                return PeerChange::None;
            }
        }
        if presence.status == PresenceStatus::Offline {
            self.unlisted.remove(&id);
            return self.remove(id);
        }
        let heartbeat_ms = presence.heartbeat_ms.clamp(*HEARTBEAT_RANGE_MS.start(), *HEARTBEAT_RANGE_MS.end());
        let was_confirmed = known.is_some_and(|peer| peer.info.confirmed);
        let clock_ahead_ms = known.and_then(|peer| peer.info.clock_ahead_ms);
        if known.is_none() && !self.make_room(retained) {
            self.count_unlisted(id, now.after(EXPIRY_HEARTBEATS * heartbeat_ms));
            return PeerChange::None;
        }
        self.unlisted.remove(&id);
        let info = PeerInfo {
            id,
            repositories: presence.repositories.clone(),
            capabilities: presence.capabilities.clone(),
            last_seen_unix_ms: now.unix_ms,
            confirmed: was_confirmed || !retained,
            clock_ahead_ms,
        };
        let discovered = info.confirmed && !was_confirmed;
        let peer = Peer {
            info: info.clone(),
            instance: presence.instance,
            connection: presence.connection,
            heard_ms: now.elapsed_ms,
            doomed_at_ms: None,
            heartbeat_ms,
        };
        self.peers.insert(id, peer);
        if discovered { PeerChange::Discovered(info) } else { PeerChange::None }
    }

    /// Takes in a Last Will. Whoever has it can publish it while its peer is there, which then says so: the peer is gone if
    /// nothing is heard of it until the time that this returns.
    pub(crate) fn will(&mut self, id: PeerId, will: &Will, now: Now) -> Option<u64> {
        // If it is there all the same it says so.
        self.unlisted.remove(&id);
        let peer = self.peers.get_mut(&id)?;
        if (peer.instance, peer.connection) != (will.instance, will.connection) {
            return None;
        }
        peer.doomed_at_ms = Some(now.after(WILL_GRACE_MS));
        peer.doomed_at_ms
    }

    /// A live presence of a known peer says by its clock when it was sent.
    pub(crate) fn note_clock(&mut self, id: PeerId, sent_unix_ms: u64, now: Now) {
        if let Some(peer) = self.peers.get_mut(&id) {
            let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
            let ahead_ms = signed(now.unix_ms).saturating_sub(signed(sent_unix_ms));
            // What was longest on the way says least about the clocks.
            peer.info.clock_ahead_ms = Some(peer.info.clock_ahead_ms.map_or(ahead_ms, |known| known.min(ahead_ms)));
        }
    }

    /// Any verified message shows that its sender is there.
    pub(crate) fn heard(&mut self, id: PeerId, now: Now) {
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.info.confirmed
        {
            peer.heard_ms = now.elapsed_ms;
            peer.doomed_at_ms = None;
            peer.info.last_seen_unix_ms = now.unix_ms;
        }
    }

    /// Removes those not heard for too long; returns those of them that were confirmed.
    pub(crate) fn expire(&mut self, now: Now) -> Vec<PeerInfo> {
        self.unlisted.retain(|_, at_ms| !now.reached(*at_ms));
        let overdue =
            |peer: &Peer| now.reached(peer.expires_ms()) || peer.doomed_at_ms.is_some_and(|at_ms| now.reached(at_ms));
        let gone: Vec<PeerId> = self.peers.values().filter(|peer| overdue(peer)).map(|peer| peer.info.id).collect();
        gone.into_iter()
            .filter_map(|id| match self.remove(id) {
                PeerChange::Left(info) => Some(info),
                _ => None,
            })
            .collect()
    }

    /// We were offline and may have missed leave-takings: everybody has one expiry from now to be heard again.
    pub(crate) fn reconnected(&mut self, now: Now) {
        for peer in self.peers.values_mut() {
            peer.heard_ms = now.elapsed_ms;
        }
    }

    fn remove(&mut self, id: PeerId) -> PeerChange {
        match self.peers.remove(&id) {
            Some(peer) if peer.info.confirmed => PeerChange::Left(peer.info),
            _ => PeerChange::None,
        }
    }

    /// At the bound an unconfirmed peer gives way to a live one; otherwise the newcomer is not listed. It still
    /// collaborates: being listed matters to discovery and elections only.
    fn make_room(&mut self, retained: bool) -> bool {
        if self.peers.len() < self.max_peers {
            return true;
        }
        let unconfirmed = self.peers.values().find(|peer| !peer.info.confirmed).map(|peer| peer.info.id);
        let Some(given_up) = unconfirmed.filter(|_| !retained).and_then(|id| self.peers.remove(&id)) else {
            return false;
        };
        self.count_unlisted(given_up.info.id, given_up.expires_ms());
        true
    }

    fn count_unlisted(&mut self, id: PeerId, expires_ms: u64) {
        if self.unlisted.len() < MAX_UNLISTED_PEERS || self.unlisted.contains_key(&id) {
            self.unlisted.insert(id, expires_ms);
        }
    }
}

impl Peer {
    /// When it counts as gone unless it is heard before.
    fn expires_ms(&self) -> u64 {
        self.heard_ms.saturating_add(EXPIRY_HEARTBEATS * self.heartbeat_ms)
    }
}

fn score(peer: PeerId, server: bool, request: Nonce) -> (bool, [u8; 32], PeerId) {
    let hash = Sha256::new().chain_update(request.0.to_be_bytes()).chain_update(peer.0).finalize();
    (server, hash.into(), peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId([1; 32]);

    fn at(elapsed_ms: u64) -> Now {
        Now { elapsed_ms, unix_ms: elapsed_ms }
    }

    fn presence(status: PresenceStatus, connection: u64) -> Presence {
        Presence { status, instance: 1, connection, repositories: vec![], capabilities: vec![], heartbeat_ms: 30_000 }
    }

    fn table() -> PeerTable {
        PeerTable::new(100)
    }

    #[test]
    fn a_retained_presence_is_hearsay_until_the_peer_is_heard() {
        let mut table = table();
        let alive = presence(PresenceStatus::Alive, 1);
        assert_eq!(table.presence(PEER, &alive, true, at(0)), PeerChange::None);
        assert_eq!(table.confirmed().count(), 0);
        assert!(matches!(table.presence(PEER, &alive, false, at(1)), PeerChange::Discovered(_)));
        assert_eq!(table.presence(PEER, &alive, false, at(2)), PeerChange::None);
        assert_eq!(table.confirmed().count(), 1);
    }

    #[test]
    fn the_will_of_an_older_connection_is_ignored() {
        let mut table = table();
        table.presence(PEER, &presence(PresenceStatus::Birth, 2), false, at(0));
        assert_eq!(table.will(PEER, &Will { instance: 1, connection: 1 }, at(0)), None);
        assert_eq!(table.will(PEER, &Will { instance: 9, connection: 2 }, at(0)), None);
        let due = table.will(PEER, &Will { instance: 1, connection: 2 }, at(0)).unwrap();
        assert!(table.expire(at(due - 1)).is_empty());
        assert_eq!(table.expire(at(due)).len(), 1);
    }

    #[test]
    fn a_will_does_not_count_if_its_peer_is_heard_then() {
        let mut table = table();
        table.presence(PEER, &presence(PresenceStatus::Birth, 2), false, at(0));
        let due = table.will(PEER, &Will { instance: 1, connection: 2 }, at(0)).unwrap();
        table.heard(PEER, at(1));
        assert!(table.expire(at(due)).is_empty());
    }

    #[test]
    fn an_older_connections_farewell_is_ignored_and_the_present_ones_counts() {
        let mut table = table();
        table.presence(PEER, &presence(PresenceStatus::Birth, 2), false, at(0));
        assert_eq!(table.presence(PEER, &presence(PresenceStatus::Offline, 1), false, at(1)), PeerChange::None);
        let left = table.presence(PEER, &presence(PresenceStatus::Offline, 2), false, at(1));
        assert!(matches!(left, PeerChange::Left(_)));
    }

    #[test]
    fn silence_expires_and_any_message_counts_as_a_sign_of_life() {
        let mut table = table();
        table.presence(PEER, &presence(PresenceStatus::Birth, 1), false, at(0));
        table.heard(PEER, at(60_000));
        assert!(table.expire(at(149_999)).is_empty());
        assert_eq!(table.expire(at(150_000)).len(), 1);
    }

    #[test]
    fn the_ranks_of_one_request_differ_and_servers_come_first() {
        let ids: Vec<PeerId> = (0..5).map(|byte| PeerId([byte; 32])).collect();
        let server = ids[3];
        let mut first = std::collections::BTreeSet::new();
        for request in 0..50 {
            let mut ranks = Vec::new();
            for own in &ids {
                let mut table = table();
                for id in &ids {
                    let mut alive = presence(PresenceStatus::Alive, 1);
                    if *id == server && request % 2 == 0 {
                        alive.capabilities.push(SERVER_CAPABILITY.to_owned());
                    }
                    table.presence(*id, &alive, false, at(0));
                }
                let own_is_server = *own == server && request % 2 == 0;
                ranks.push(table.rank((*own, own_is_server), PeerId([9; 32]), Nonce(request), at(1), |_| true));
            }
            if request % 2 == 0 {
                assert_eq!(ranks[3], 0);
            } else {
                first.insert(ranks.iter().position(|rank| *rank == 0));
            }
            ranks.sort_unstable();
            assert_eq!(ranks, [0, 1, 2, 3, 4]);
        }
        assert!(first.len() > 2, "the load spreads");
    }

    #[test]
    fn a_full_table_prefers_the_living() {
        let mut table = PeerTable::new(1);
        table.presence(PEER, &presence(PresenceStatus::Alive, 1), true, at(0));
        let other = PeerId([2; 32]);
        assert_eq!(table.presence(other, &presence(PresenceStatus::Alive, 1), true, at(0)), PeerChange::None);
        assert!(matches!(
            table.presence(other, &presence(PresenceStatus::Alive, 1), false, at(0)),
            PeerChange::Discovered(_)
        ));
        assert_eq!(table.presence(PEER, &presence(PresenceStatus::Alive, 1), false, at(0)), PeerChange::None);
    }

    #[test]
    fn in_a_crowd_each_says_more_rarely_that_it_is_there_so_that_nobody_hears_more() {
        let mut table = PeerTable::new(30);
        let peer = |number: u64| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            PeerId(id)
        };
        for count in 1..=2_000 {
            let stays = presence(PresenceStatus::Alive, 1);
            table.presence(peer(count), &stays, count % 2 == 0, at(0));
            table.presence(peer(count), &stays, count % 2 == 0, at(0));
            assert_eq!(table.crowd(), count, "listed or not");
            let heartbeat_ms = table.heartbeat_ms(30_000);
            assert!(heartbeat_ms >= 30_000);
            assert!(count * 30_000 / heartbeat_ms <= HEARTBEAT_PEERS + 1, "{count}: {heartbeat_ms}");
        }
        assert_eq!(table.heartbeat_ms(3_600_000), 3_600_000);
        assert_eq!(table.heartbeat_ms(u64::MAX), u64::MAX, "what is configured is not shortened");
        table.presence(peer(2_000), &presence(PresenceStatus::Offline, 1), false, at(1));
        table.will(peer(1_999), &Will { instance: 1, connection: 1 }, at(1));
        assert_eq!(table.crowd(), 1_998);
        table.expire(at(90_000));
        assert_eq!(table.crowd(), 0);
        assert_eq!(table.heartbeat_ms(30_000), 30_000);
    }

    #[test]
    fn the_smallest_difference_of_the_clocks_is_what_is_known_of_them() {
        let mut table = PeerTable::new(10);
        table.presence(PEER, &presence(PresenceStatus::Birth, 1), false, at(0));
        for (sent_unix_ms, arrived_unix_ms) in [(1_000, 1_400), (2_000, 2_030), (3_000, 3_500)] {
            table.note_clock(PEER, sent_unix_ms, Now { elapsed_ms: 0, unix_ms: arrived_unix_ms });
        }
        assert_eq!(table.confirmed().next().unwrap().clock_ahead_ms, Some(30));
        table.note_clock(PEER, u64::MAX, Now { elapsed_ms: 0, unix_ms: 5 });
        assert!(table.confirmed().next().unwrap().clock_ahead_ms.unwrap() < -1_000_000);
    }
}
