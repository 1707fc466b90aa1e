//! The connection as the synchroniser sees it: subscribing, being there, being gone.

use std::collections::BTreeSet;

use super::error::SyncError;
use super::io::{Event, QualityOfService};
use super::outbox::Echo;
use super::peers::{PeerChange, PeerInfo, SERVER_CAPABILITY};
use super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step};
use super::timers::Timer;
use crate::ids::{DocumentId, PeerId, RepositoryName};
use crate::limits::{
    ECHO_ATTEMPTS, ECHO_TIMEOUT_MS, EXPIRY_CHECK_MS, HELLO_ANSWERS, HELLO_JITTER_PER_PEER_MS, MAX_HELLO_JITTER_MS,
};
use crate::wire::{Body, Presence, PresenceStatus, Priority, Topic, Will};

/// Where the connection stands.
///
/// | state | connected | every subscription answered | disconnected |
/// | --- | --- | --- | --- |
/// | down | subscribing | – | down |
/// | subscribing | subscribing (anew) | up | down |
/// | up | subscribing (anew) | – | down |
#[derive(Debug)]
pub(super) enum Link {
    /// There is none.
    Down,
    /// The broker has yet to answer these subscriptions. Nothing is published before, or its answer could be missed.
    Subscribing { connection: u64, awaiting: BTreeSet<String> },
    /// Subscribed and announced.
    Up { connection: u64 },
}

impl Link {
    pub(super) fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }

    /// Which connection it is; `None` if there is none.
    pub(super) fn connection(&self) -> Option<u64> {
        match self {
            Self::Down => None,
            Self::Subscribing { connection, .. } | Self::Up { connection } => Some(*connection),
        }
    }
}

impl CanvasP2PSynchronizer {
    pub(super) fn on_connected(&mut self, step: &mut Step, connection: u64) {
        self.on_disconnected(step);
        self.incoming.clear();
        let filters = self.filters();
        self.link =
            Link::Subscribing { connection, awaiting: filters.iter().map(|(filter, _)| filter.clone()).collect() };
        step.out.subscribe.extend(filters);
    }

    /// Everything that this repository listens to. Live canvases of its own are heard through one wildcard, so that the
    /// first changes of a new canvas are not missed while a subscription is under way.
    pub(super) fn filters(&self) -> Vec<(String, QualityOfService)> {
        let topics = &self.config.topics;
        let repository = &self.config.repository;
        // First, so that what replaced our key comes, if the broker has it, before anything is published.
        let mut filters = self.epoch_filters(repository);
        if self.config.discovery {
            filters.push((topics.all_presence(repository), QualityOfService::AtLeastOnce));
            filters.push((topics.all_wills(), QualityOfService::AtLeastOnce));
            filters.extend(self.key_notices().map(|(topic, _)| (topics.format(&topic), QualityOfService::AtLeastOnce)));
        }
        filters.push((topics.format(&Topic::Messages(repository.clone())), QualityOfService::AtLeastOnce));
        filters.push((self.changes_topic(&self.index_id()), QualityOfService::AtLeastOnce));
        filters.extend(self.exchange_filters(repository));
        filters.push((topics.all_manifests(&self.index_id()), QualityOfService::AtLeastOnce));
        filters.push((topics.all_canvas_manifests(repository), QualityOfService::AtLeastOnce));
        if self.config.live || self.config.auto_sync {
            filters.push((topics.all_changes(repository), QualityOfService::AtLeastOnce));
            filters.push((topics.all_cursors(repository), QualityOfService::AtMostOnce));
        }
        let mut foreign = BTreeSet::new();
        for id in self.document_ids() {
            let space = self.space_of(id);
            if space == *repository {
                continue;
            }
            filters.extend(self.document_filters(id));
            if !foreign.contains(&space) {
                filters.extend(self.epoch_filters(&space));
                filters.extend(self.exchange_filters(&space));
                foreign.insert(space);
            }
        }
        filters
    }

    /// Where catching up with a repository's documents takes place.
    pub(super) fn exchange_filters(&self, repository: &RepositoryName) -> [(String, QualityOfService); 2] {
        let topics = &self.config.topics;
        let inbox = Topic::Inbox { repository: repository.clone(), peer: self.peer };
        [
            (topics.format(&Topic::Sync(repository.clone())), QualityOfService::AtLeastOnce),
            (topics.format(&inbox), QualityOfService::AtLeastOnce),
        ]
    }

    /// Where a document that lives in another repository changes; its siblings there do not concern us, so no wildcard.
    pub(super) fn document_filters(&self, id: &DocumentId) -> Vec<(String, QualityOfService)> {
        let mut filters = vec![
            (self.changes_topic(id), QualityOfService::AtLeastOnce),
            (self.config.topics.all_manifests(id), QualityOfService::AtLeastOnce),
        ];
        if matches!(id, DocumentId::Canvas { .. }) {
            filters.push((self.config.topics.format(&Topic::Cursor(id.clone())), QualityOfService::AtMostOnce));
        }
        filters
    }

    fn changes_topic(&self, id: &DocumentId) -> String {
        self.config.topics.format(&Topic::Changes(id.clone()))
    }

    pub(super) fn on_subscribed(&mut self, step: &mut Step, filter: &str) {
        if let Link::Subscribing { connection, awaiting } = &mut self.link {
            awaiting.remove(filter);
            if awaiting.is_empty() {
                self.link = Link::Up { connection: *connection };
                self.on_up(step);
            }
            return;
        }
        self.ask_foreign(step, filter);
    }

    /// A subscription made while up has been answered: if it is a foreign inbox, answers can reach it now.
    fn ask_foreign(&mut self, step: &mut Step, filter: &str) {
        let Some(Topic::Inbox { repository, .. }) = self.config.topics.parse(filter) else { return };
        if repository == self.config.repository {
            return;
        }
        let foreign: Vec<DocumentId> =
            self.documents.keys().filter(|id| self.space_of(id) == repository).cloned().collect();
        for id in foreign {
            self.ask(step, &id);
        }
    }

    pub(super) fn on_subscribe_rejected(&mut self, step: &mut Step, filter: &str) {
        let error = SyncError::BrokerRejected { topic: filter.to_owned(), reason: "it refused the subscription" };
        step.event(Event::Error(error));
        self.on_subscribed(step, filter);
    }

    fn on_up(&mut self, step: &mut Step) {
        self.peers.reconnected(step.now);
        self.on_snapshots_up(step);
        self.say_presence(step, PresenceStatus::Birth);
        self.other_keys.connected();
        self.rolled_back.clear();
        self.epochs.connected();
        self.say_key(step, true);
        self.schedule_heartbeat(step);
        self.schedule_expiry(step);
        let ids: Vec<DocumentId> = self.documents.keys().cloned().collect();
        for id in &ids {
            // Asked first, for whoever answers would otherwise take in before what was edited meanwhile.
            self.ask_if_auto(step, id);
            self.flush(step, id);
            self.schedule_announcement(step, id);
        }
        // What is listed and was never asked for.
        let unheard = self.asleep.iter().filter(|(id, asleep)| !asleep.reported && self.canvas_of(id).is_some());
        for id in unheard.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.ask_if_auto(step, &id);
        }
        self.schedule_asleep(step);
        self.tell_of_all_parties(step);
        step.event(Event::Ready { connection: self.link.connection().unwrap_or_default() });
    }

    pub(super) fn on_disconnected(&mut self, step: &mut Step) {
        if matches!(self.link, Link::Down) {
            return;
        }
        self.link = Link::Down;
        self.in_flight.clear();
        self.answers.clear();
        self.asking.clear();
        self.ask_queue.clear();
        self.snapshots.disconnected(self.peer);
        let ids: Vec<DocumentId> = self.documents.keys().cloned().collect();
        for id in &ids {
            if let Some(document) = self.documents.get_mut(id) {
                document.disconnected();
            }
            for timer in Timer::of_document(id) {
                self.timers.clear(&timer);
            }
            self.round_finished(step, id, false);
        }
        self.timers.clear(&Timer::Heartbeat);
        self.timers.clear(&Timer::AnnounceAsleep);
        self.timers.clear(&Timer::KeyNotice);
        self.timers.clear(&Timer::OtherKey);
    }

    // ---- presence -------------------------------------------------------------------------------------------------

    pub(super) fn on_heartbeat(&mut self, step: &mut Step) {
        self.say_presence(step, PresenceStatus::Alive);
        self.schedule_heartbeat(step);
    }

    /// By the heartbeat that we have just told others; a little earlier, so that those who began together do not go on so.
    fn schedule_heartbeat(&mut self, step: &mut Step) {
        let heartbeat_ms = self.peers.heartbeat_ms(self.config.heartbeat_ms);
        let early_ms = step.rng.next_u64() % (heartbeat_ms / 8).max(1);
        self.timers.set(Timer::Heartbeat, step.now.after(heartbeat_ms - early_ms));
    }

    pub(super) fn schedule_expiry(&mut self, step: &Step) {
        let check_ms = (self.config.heartbeat_ms / 2).clamp(*EXPIRY_CHECK_MS.start(), *EXPIRY_CHECK_MS.end());
        self.timers.set(Timer::Expiry, step.now.after(check_ms));
    }

    /// Tells all peers of the repository that we are there; retained, so that newcomers learn of us at once.
    pub(super) fn say_presence(&mut self, step: &mut Step, status: PresenceStatus) {
        if self.config.discovery {
            let topic = Topic::Presence { repository: self.config.repository.clone(), peer: self.peer };
            let delivery = Delivery { retain: true, ..Delivery::once(Priority::Medium) };
            let presence = self.own_presence(status);
            self.publish(step, &topic, &Body::Presence(presence), delivery);
        }
    }

    /// Takes our leave: a signed farewell for those who listen, and no retained presence for those who come later.
    pub(super) fn say_goodbye(&mut self, step: &mut Step) {
        if !self.config.discovery || !self.link.is_up() {
            return;
        }
        let topic = Topic::Presence { repository: self.config.repository.clone(), peer: self.peer };
        let presence = self.own_presence(PresenceStatus::Offline);
        self.publish(step, &topic, &Body::Presence(presence), Delivery::once(Priority::Medium));
        self.clear_presence(step);
    }

    /// Has the broker forget that we are there.
    pub(super) fn clear_presence(&self, step: &mut Step) {
        if !self.config.discovery || !self.link.is_up() {
            return;
        }
        let topic = Topic::Presence { repository: self.config.repository.clone(), peer: self.peer };
        step.out.publish.push(super::io::Publish {
            token: None,
            topic: self.config.topics.format(&topic),
            payload: Vec::new(),
            quality: QualityOfService::AtLeastOnce,
            retain: true,
            priority: Priority::Medium,
        });
    }

    fn own_presence(&self, status: PresenceStatus) -> Presence {
        Presence {
            status,
            instance: self.config.instance,
            connection: self.link.connection().unwrap_or_default(),
            repositories: self.config.repositories.clone(),
            capabilities: self.config.capabilities.clone(),
            heartbeat_ms: self.peers.heartbeat_ms(self.config.heartbeat_ms),
        }
    }

    /// A presence arrived. A birth is answered into the newcomer's inbox, after a random time that grows with the number
    /// of peers, so that not all answers come at once; in a crowd by some, and by servers.
    pub(super) fn on_presence(&mut self, step: &mut Step, peer: PeerId, presence: &Presence, retained: bool) {
        if peer == self.peer || !self.config.discovery || self.is_outsider(&peer) {
            return;
        }
        if presence.status == PresenceStatus::Birth && !retained && self.answers_hello(step) {
            let count = self.peers.confirmed().count() as u64;
            let spread_ms = (count * HELLO_JITTER_PER_PEER_MS).clamp(1, MAX_HELLO_JITTER_MS);
            let at_ms = step.now.after(step.rng.next_u64() % spread_ms);
            self.timers.set_no_later(Timer::HelloAnswer(peer), at_ms);
        }
        let change = self.peers.presence(peer, presence, retained, step.now);
        self.on_peer_change(step, change);
    }

    /// Whether we are one of those who stay on.
    pub(super) fn is_server(&self) -> bool {
        self.config.capabilities.iter().any(|word| word == SERVER_CAPABILITY)
    }

    /// By chance rather than by rank, which would be a hash of everybody for everybody who comes.
    fn answers_hello(&self, step: &mut Step) -> bool {
        let others = self.peers.crowd().max(1);
        self.is_server() || others <= HELLO_ANSWERS || step.rng.next_u64() % others < HELLO_ANSWERS
    }

    /// A Last Will arrived: if it is our own, and we are there, others learn of that at once.
    pub(super) fn on_will(&mut self, step: &mut Step, peer: PeerId, will: &Will) {
        let own = (self.config.instance, self.link.connection()) == (will.instance, Some(will.connection));
        if peer == self.peer && own && self.link.is_up() {
            self.say_presence(step, PresenceStatus::Alive);
        } else if let Some(at_ms) = self.peers.will(peer, will, step.now) {
            self.timers.set_no_later(Timer::Expiry, at_ms);
        }
    }

    pub(super) fn on_peer_change(&mut self, step: &mut Step, change: PeerChange) {
        match change {
            PeerChange::None => {}
            PeerChange::Discovered(info) => step.event(Event::PeerDiscovered(info)),
            PeerChange::Left(info) => self.on_peer_left(step, info),
        }
    }

    pub(super) fn on_peer_left(&mut self, step: &mut Step, info: PeerInfo) {
        let gone: Vec<_> = self.cursors.iter().filter(|(peer, _)| *peer == info.id).cloned().collect();
        for cursor in gone {
            self.cursors.remove(&cursor);
            let (peer, canvas) = cursor;
            step.event(Event::Cursor { canvas, peer, author: None, presence: None });
        }
        step.event(Event::PeerLeft(info));
    }

    pub(super) fn answer_hello(&mut self, step: &mut Step, peer: PeerId) {
        let topic = Topic::Inbox { repository: self.config.repository.clone(), peer };
        let presence = self.own_presence(PresenceStatus::Alive);
        self.publish(step, &topic, &Body::Presence(presence), Delivery::once(Priority::Medium));
    }

    // ---- does the broker deliver? ---------------------------------------------------------------------------------

    /// Our own message came back on a topic.
    pub(super) fn on_echo(&mut self, step: &mut Step, topic: &Topic, retained: bool) {
        if matches!(topic, Topic::Presence { .. }) && !retained {
            self.on_presence_echo(step);
        }
        if let Topic::Changes(id) = topic
            && let Some(document) = self.documents.get_mut(id)
        {
            let confirmed = document.outbox.confirm_echo();
            self.timers.clear(&Timer::Echo(id.clone()));
            if confirmed {
                self.on_less_unsent(step, id);
            }
        }
    }

    /// The first acknowledgement on a connection starts the wait for the echo.
    pub(super) fn await_echo(&mut self, step: &Step, id: &DocumentId) {
        let due = self.documents.get(id).is_some_and(|document| document.outbox.echo() == Echo::Due);
        if due {
            self.timers.set_no_later(Timer::Echo(id.clone()), step.now.after(ECHO_TIMEOUT_MS));
        }
    }

    /// The echo may have been lost, as any message: publish again, and complain when that does not help.
    pub(super) fn on_echo_overdue(&mut self, step: &mut Step, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        self.in_flight.retain(|_, document| *document != *id);
        let attempts = document.outbox.echo_missing();
        if attempts == ECHO_ATTEMPTS {
            let topic = self.changes_topic(id);
            let reason = "it acknowledges what we publish there but does not deliver it";
            step.event(Event::Error(SyncError::BrokerRejected { topic, reason }));
        }
        self.flush(step, id);
    }
}
