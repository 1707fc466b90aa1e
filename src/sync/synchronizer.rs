//! The state machine of one repository.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rand_core::Rng;

use super::calls::Waiting;
use super::counters::{IncomingCounters, OutgoingCounters};
use super::document::Document;
use super::io::{Event, Input, Notice, Output, Publish, PublishToken, QualityOfService, StoreToken};
use super::link::Link;
use super::peers::PeerTable;
use super::requests::PendingAnswer;
use super::status::Statistics;
use super::stored::StoreOperation;
use super::timers::{Timer, Timers};
use crate::crypto::Identity;
use crate::ids::{CanvasId, DocumentId, Nonce, PeerId, RepositoryName, Session};
use crate::limits::EXPIRY_CHECK_MS;
use crate::time::Now;
use crate::wire::{Body, Priority, Reassembler, Stamp, Topic, TopicSpace, seal};

/// What a synchroniser needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The repository that it serves.
    pub repository: RepositoryName,
    /// All repositories in which the service takes part, for its presence.
    pub repositories: Vec<RepositoryName>,
    /// Where the topics are.
    pub topics: TopicSpace,
    /// The peer's key.
    pub identity: Arc<Identity>,
    /// Random, new for every synchroniser: two of one service share documents, and must not take the other's messages
    /// for their own echo.
    pub session: Session,
    /// Random, new at every start of the process; the same for all synchronisers of a service.
    pub instance: u64,
    /// What the peer says it can do; see [`SERVER_CAPABILITY`](super::SERVER_CAPABILITY).
    pub capabilities: Vec<String>,
    /// `features.realTimeCollaboration`: publish and take in changes as they are made.
    pub live: bool,
    /// `features.autoSync`: catch up without being asked.
    pub auto_sync: bool,
    /// `features.discovery`: tell others of this peer and learn of them.
    pub discovery: bool,
    /// `performance.maxMessageSize`.
    pub max_message_bytes: usize,
    /// `performance.heartbeatInterval`, in milliseconds.
    pub heartbeat_ms: u64,
    /// `performance.maxConnections`.
    pub max_peers: usize,
}

/// One repository: its index, its canvases, its peers.
///
/// The methods fall into three classes:
///
/// * [`handle`](Self::handle) takes in whatever happened and returns every effect that the caller must carry out. It is
///   the only way in, does no I/O, and reads neither a clock nor a source of randomness: the caller passes both.
/// * Getters, such as [`status`](Self::status) and [`document_ids`](Self::document_ids), change nothing.
/// * [`new`](Self::new) makes it; there is nothing to close.
///
/// The caller carries out the fields of each [`Output`] in order, before it calls `handle` again.
pub struct CanvasP2PSynchronizer {
    pub(super) config: Config,
    pub(super) peer: PeerId,
    pub(super) link: Link,
    pub(super) documents: BTreeMap<DocumentId, Document>,
    /// Documents of canvases that were deleted lately, the oldest first; see [`CanvasP2PSynchronizer::close`].
    pub(super) closed: VecDeque<Document>,
    pub(super) peers: PeerTable,
    pub(super) outgoing: OutgoingCounters,
    pub(super) incoming: IncomingCounters,
    pub(super) reassembler: Reassembler,
    pub(super) timers: Timers,
    /// Requests of others that wait for our turn to answer.
    pub(super) answers: BTreeMap<Nonce, PendingAnswer>,
    /// Documents that ask at present, and those that wait for their turn to ask.
    pub(super) asking: BTreeSet<DocumentId>,
    pub(super) ask_queue: BTreeSet<DocumentId>,
    /// Documents whose heads are announced at the end of this step.
    pub(super) announcing: BTreeSet<DocumentId>,
    /// Which document a publish belongs to.
    pub(super) in_flight: BTreeMap<PublishToken, DocumentId>,
    /// Calls of the application that wait for something.
    pub(super) calls: BTreeMap<u64, Waiting>,
    /// Cursors of others, to be taken away when their peer leaves.
    pub(super) cursors: BTreeSet<(PeerId, CanvasId)>,
    pub(super) statistics: Statistics,
    /// The canvas whose last patch is still to be read back, and who made it.
    pub(super) unread: Option<(DocumentId, String)>,
    next_token: u64,
    stored: StoreToken,
    last_store: StoreToken,
    /// Notices that wait until what they speak of is stored.
    held: VecDeque<(StoreToken, Notice)>,
}

/// What one step works with.
pub(super) struct Step<'a> {
    pub(super) now: Now,
    pub(super) rng: &'a mut dyn Rng,
    pub(super) out: Output,
    pub(super) store: Vec<StoreOperation>,
}

impl Step<'_> {
    pub(super) fn event(&mut self, event: Event) {
        self.out.notices.push(Notice::Event(event));
    }
}

/// How a message is to be published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    pub(super) quality: QualityOfService,
    pub(super) retain: bool,
    pub(super) priority: Priority,
    /// Whether the acknowledgement is wanted.
    pub(super) tracked: bool,
}

impl Delivery {
    /// QoS 1, not retained, nobody waits for it.
    pub(super) const fn once(priority: Priority) -> Self {
        Self { quality: QualityOfService::AtLeastOnce, retain: false, priority, tracked: false }
    }
}

impl CanvasP2PSynchronizer {
    /// A repository about which nothing is known yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let index = DocumentId::Index { repository: config.repository.clone() };
        let live = config.live;
        Self {
            peer: config.identity.peer(),
            link: Link::Down,
            documents: BTreeMap::from([(index.clone(), Document::new(index, live))]),
            closed: VecDeque::new(),
            peers: PeerTable::new(config.max_peers),
            outgoing: OutgoingCounters::default(),
            incoming: IncomingCounters::default(),
            reassembler: Reassembler::new(),
            timers: Timers::default(),
            answers: BTreeMap::new(),
            asking: BTreeSet::new(),
            ask_queue: BTreeSet::new(),
            announcing: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            calls: BTreeMap::new(),
            cursors: BTreeSet::new(),
            statistics: Statistics::default(),
            unread: None,
            next_token: 0,
            stored: StoreToken(0),
            last_store: StoreToken(0),
            held: VecDeque::new(),
            config,
        }
    }

    /// Takes in what happened; returns what is to be done about it. `now` must never go back.
    pub fn handle(&mut self, now: Now, rng: &mut dyn Rng, input: Input) -> Output {
        let mut step = Step { now, rng, out: Output::default(), store: Vec::new() };
        self.read_back(&mut step);
        self.run_timers(&mut step);
        match input {
            Input::Connected { connection } => self.on_connected(&mut step, connection),
            Input::Disconnected => self.on_disconnected(&mut step),
            Input::Subscribed { filter } => self.on_subscribed(&mut step, &filter),
            Input::SubscribeRejected { filter } => self.on_subscribe_rejected(&mut step, &filter),
            Input::Messages(messages) => self.on_messages(&mut step, messages),
            Input::MessagesLost => self.on_messages_lost(&mut step),
            Input::Acknowledged(token) => self.on_acknowledged(&mut step, token),
            Input::PublishRefused(token) => self.on_publish_refused(&mut step, token),
            Input::Stored(token) => self.stored = self.stored.max(token),
            Input::Loaded { document, stored } => self.on_loaded(&mut step, &document, stored.unwrap_or_default()),
            Input::Restored { .. } | Input::StoreFailed { .. } => {}
            Input::Command { call, command } => self.on_command(&mut step, call, command),
            Input::Timer => {}
        }
        self.finish(step)
    }

    /// The documents that this synchroniser holds.
    pub fn document_ids(&self) -> impl Iterator<Item = &DocumentId> {
        self.documents.keys()
    }

    /// A document as bytes, for storage and for comparisons in tests; `None` when it is not held.
    #[must_use]
    pub fn save_document(&self, id: &DocumentId) -> Option<Vec<u8>> {
        self.documents.get(id).map(|document| document.replica().save())
    }

    fn run_timers(&mut self, step: &mut Step) {
        while let Some(timer) = self.timers.pop_due(step.now.elapsed_ms) {
            match timer {
                Timer::Heartbeat => self.on_heartbeat(step),
                Timer::Expiry => self.on_expiry(step),
                Timer::HelloAnswer(peer) => self.answer_hello(step, peer),
                Timer::Answer(request) => self.answer(step, request),
                Timer::CatchUp(id) => self.on_catch_up_due(step, &id),
                Timer::Announce(id) => self.on_announce_due(step, &id),
                Timer::Echo(id) => self.on_echo_overdue(step, &id),
                Timer::Retry(id) => self.flush(step, &id),
                Timer::Call(call) => self.on_call_due(step, call),
            }
        }
    }

    fn on_expiry(&mut self, step: &mut Step) {
        self.statistics.reject_many("incomplete", self.reassembler.expire(step.now));
        for info in self.peers.expire(step.now) {
            self.on_peer_left(step, info);
        }
        self.timers.set(Timer::Expiry, step.now.after(EXPIRY_CHECK_MS));
    }

    /// What is due at the end of every step: announcements that come together, storage, and the order of notices.
    fn finish(&mut self, mut step: Step) -> Output {
        self.publish_announcements(&mut step);
        if !step.store.is_empty() {
            self.last_store = StoreToken(self.last_store.0 + 1);
            step.out.store = Some((self.last_store, std::mem::take(&mut step.store)));
        }
        // An outcome waits for the storage of what it speaks of, and what comes after it waits too: results and events
        // are told in document order.
        for notice in std::mem::take(&mut step.out.notices) {
            self.held.push_back((self.last_store, notice));
        }
        while self.held.front().is_some_and(|(token, _)| *token <= self.stored) {
            step.out.notices.extend(self.held.pop_front().map(|(_, notice)| notice));
        }
        let at_once = self.unread.as_ref().map(|_| step.now.elapsed_ms);
        step.out.wake_at_ms = at_once.or_else(|| self.timers.next_ms());
        step.out
    }

    /// Seals a message and puts it out; nothing happens while there is no connection. Returns the tokens of its packets
    /// when they are tracked.
    pub(super) fn publish(
        &mut self,
        step: &mut Step,
        topic: &Topic,
        body: &Body,
        delivery: Delivery,
    ) -> Vec<PublishToken> {
        if !self.link.is_up() {
            return Vec::new();
        }
        let name = self.config.topics.format(topic);
        let stamp = Stamp {
            session: self.config.session,
            counter: self.outgoing.of(&name),
            sent_unix_ms: step.now.unix_ms,
            message: Nonce(step.rng.next_u64()),
        };
        let sealed = seal(&self.config.identity, topic, stamp, delivery.priority, body, self.config.max_message_bytes);
        let packets = match sealed {
            Ok(packets) => packets,
            Err(error) => {
                tracing::error!(target: "mqtt:sync", %error, topic = name, "a message could not be sealed");
                self.statistics.reject("unsealable");
                return Vec::new();
            }
        };
        let mut tokens = Vec::new();
        for payload in packets {
            let token = delivery.tracked.then(|| {
                self.next_token += 1;
                PublishToken(self.next_token)
            });
            tokens.extend(token);
            self.statistics.sent += 1;
            step.out.publish.push(Publish {
                token,
                topic: name.clone(),
                payload,
                quality: delivery.quality,
                retain: delivery.retain,
                priority: delivery.priority,
            });
        }
        tokens
    }
}
