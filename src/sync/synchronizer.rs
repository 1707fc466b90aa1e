//! The state machine of one repository.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use automerge::ChangeHash;
use rand_core::Rng;

use super::answers::Answers;
use super::asleep::{Asleep, Closed};
use super::bounds::{Bounded, Bounds};
use super::calls::Waiting;
use super::counters::{IncomingCounters, OutgoingCounters};
use super::document::Document;
use super::epochs::{Epoch, Epochs};
use super::error::SyncError;
use super::heard::Heard;
use super::io::{Event, Input, Notice, Output, Publish, PublishToken, QualityOfService, StoreToken};
use super::key_notices::OtherKeys;
use super::link::Link;
use super::membership::{Membership, Root};
use super::parties::Parties;
use super::peers::PeerTable;
use super::rates::{Outbound, Rates};
use super::saver::Saver;
use super::shares::Shares;
use super::snapshots::Snapshots;
use super::status::Statistics;
use super::storing::HeldNotice;
use super::throttle::Throttle;
use super::timers::{Timer, Timers};
use crate::crypto::Identity;
use crate::ids::{CanvasId, DocumentId, Nonce, PeerId, RepositoryName, Session};
use crate::time::Now;
use crate::wire::{Body, Priority, Reassembler, Stamp, Statement, Topic, TopicSpace, seal_on};

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
    /// How many messages a second are taken in and sent.
    pub rates: Rates,
    /// How fast the service sends; all of its synchronisers have the same.
    pub outbound: Outbound,
    /// `performance.maxOpenCanvases`: how many canvases are held in memory, unless something of more is awaited.
    pub max_open_canvases: usize,
    /// What it may grow to.
    pub bounds: Bounds,
    /// `membership`: the first admin, where only members take part.
    pub root: Option<Root>,
}

/// One repository: its index, its canvases, its peers.
///
/// The methods fall into three classes:
///
/// * [`handle`](Self::handle) takes in whatever happened and returns every effect that the caller must carry out. It is
///   the only way in, does no I/O, and reads neither a clock nor a source of randomness: the caller passes both.
/// * Getters, such as [`status`](Self::status) and [`document_ids`](Self::document_ids), change nothing.
/// * [`new`](Self::new) makes it, [`encrypt`](Self::encrypt) gives it its key; there is nothing to close.
///
/// The caller carries out the fields of each [`Output`] in order, before it calls `handle` again.
pub struct CanvasP2PSynchronizer {
    pub(super) config: Config,
    pub(super) peer: PeerId,
    pub(super) link: Link,
    pub(super) documents: BTreeMap<DocumentId, Document>,
    /// Documents of canvases that were deleted lately, the oldest first; see [`CanvasP2PSynchronizer::close`].
    pub(super) closed: VecDeque<Closed>,
    /// Documents that only storage has.
    pub(super) asleep: BTreeMap<DocumentId, Asleep>,
    /// Whether the heads of documents that are asleep were announced on this connection.
    pub(super) asleep_announced: bool,
    /// Whether there may be more documents in memory than there should.
    pub(super) crowded: bool,
    pub(super) bounded: Bounded,
    pub(super) peers: PeerTable,
    pub(super) outgoing: OutgoingCounters,
    pub(super) incoming: IncomingCounters,
    pub(super) throttle: Throttle,
    pub(super) heard: Heard,
    /// Documents of which the application was told, on this connection, that something seen before cannot be had.
    pub(super) rolled_back: BTreeSet<DocumentId>,
    pub(super) reassembler: Reassembler,
    pub(super) timers: Timers,
    /// Requests of others that wait for our turn to answer.
    pub(super) answers: Answers,
    /// Documents that ask at present, and those that wait for their turn to ask.
    pub(super) asking: BTreeSet<DocumentId>,
    pub(super) ask_queue: BTreeSet<DocumentId>,
    /// Documents whose heads are announced at the end of this step.
    pub(super) announcing: BTreeSet<DocumentId>,
    /// Which document a publish belongs to.
    pub(super) in_flight: BTreeMap<PublishToken, DocumentId>,
    pub(super) snapshots: Snapshots,
    /// Calls of the application that wait for something.
    pub(super) calls: BTreeMap<u64, Waiting>,
    /// Cursors of others, to be taken away when their peer leaves.
    pub(super) cursors: BTreeSet<(PeerId, CanvasId)>,
    pub(super) other_keys: OtherKeys,
    pub(super) epochs: Epochs,
    pub(super) shares: Shares,
    pub(super) parties: Parties,
    /// Who may take part, where not everybody may.
    pub(super) membership: Option<Membership>,
    pub(super) statistics: Statistics,
    pub(super) saver: Saver,
    /// Why storage failed, if it has not worked since.
    pub(super) saver_failing: Option<String>,
    /// All batches up to this one are stored, or have failed and were told of.
    pub(super) settled: StoreToken,
    /// Notices that wait for storage, in document order.
    pub(super) held: VecDeque<HeldNotice>,
    /// The batch that makes storage forget the actors that an earlier process left; then they may be used.
    pub(super) actors_free_at: Option<StoreToken>,
    /// Whether the application has taken its leave.
    pub(super) left: bool,
    next_token: u64,
}

/// What one step works with.
pub(super) struct Step<'a> {
    pub(super) now: Now,
    pub(super) rng: &'a mut dyn Rng,
    pub(super) out: Output,
    /// Whether this peer itself changed a document: what is told of it waits for storage.
    pub(super) own: bool,
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
    /// What the signature shall vouch for too.
    pub(super) vouches: Option<Statement>,
}

impl Delivery {
    /// QoS 1, not retained, nobody waits for it.
    pub(super) const fn once(priority: Priority) -> Self {
        Self { quality: QualityOfService::AtLeastOnce, retain: false, priority, tracked: false, vouches: None }
    }
}

impl CanvasP2PSynchronizer {
    /// A repository about which nothing is known yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let index = DocumentId::Index { repository: config.repository.clone() };
        let (live, root) = (config.live, config.root);
        let mut new = Self {
            peer: config.identity.peer(),
            link: Link::Down,
            documents: BTreeMap::from([(index.clone(), Document::new(index, live))]),
            closed: VecDeque::new(),
            asleep: BTreeMap::new(),
            asleep_announced: false,
            crowded: false,
            bounded: Bounded::default(),
            peers: PeerTable::new(config.max_peers),
            outgoing: OutgoingCounters::default(),
            incoming: IncomingCounters::default(),
            throttle: Throttle::new(config.rates),
            heard: Heard::of_own(config.identity.peer(), config.session),
            rolled_back: BTreeSet::new(),
            reassembler: Reassembler::new(),
            timers: Timers::default(),
            answers: Answers::default(),
            asking: BTreeSet::new(),
            ask_queue: BTreeSet::new(),
            announcing: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            snapshots: Snapshots::default(),
            calls: BTreeMap::new(),
            cursors: BTreeSet::new(),
            other_keys: OtherKeys::default(),
            epochs: Epochs::default(),
            shares: Shares::default(),
            parties: Parties::default(),
            membership: None,
            statistics: Statistics::default(),
            saver: Saver::default(),
            saver_failing: None,
            settled: StoreToken(0),
            held: VecDeque::new(),
            actors_free_at: None,
            left: false,
            next_token: 0,
            config,
        };
        if let Some(root) = root {
            new.admit_members(root);
        }
        new
    }

    /// Lets only members take part, before anything is handled.
    pub fn admit_members(&mut self, root: Root) {
        self.membership = Some(Membership::new(self.config.repository.clone(), root));
    }

    /// Encrypts the repository, before anything is handled: `topics` are those of its key, and `repositories` those of which
    /// others that have the key may know that this service takes part in them. It begins in the newest of the `epochs` that
    /// lead on from that key, in whatever order.
    pub fn encrypt(&mut self, topics: TopicSpace, repositories: Vec<RepositoryName>, epochs: Vec<Epoch>) {
        self.config.topics = topics;
        self.config.repositories = repositories;
        self.resume_epochs(epochs);
    }

    /// Takes in what happened; returns what is to be done about it. `now` must never go back.
    pub fn handle(&mut self, now: Now, rng: &mut dyn Rng, input: Input) -> Output {
        let mut step = Step { now, rng, out: Output::default(), own: false };
        self.run_timers(&mut step);
        match input {
            Input::Command { call, .. } if self.left => Self::resolve(&mut step, call, Err(SyncError::Closed)),
            Input::Connected { .. } | Input::Messages(_) | Input::MessagesLost if self.left => {}
            Input::Connected { connection } => self.on_connected(&mut step, connection),
            Input::Disconnected => self.on_disconnected(&mut step),
            Input::Subscribed { filter } => self.on_subscribed(&mut step, &filter),
            Input::SubscribeRejected { filter } => self.on_subscribe_rejected(&mut step, &filter),
            Input::Messages(messages) => self.on_messages(&mut step, messages),
            Input::MessagesLost => self.on_messages_lost(&mut step),
            Input::Acknowledged(token) => self.on_acknowledged(&mut step, token),
            Input::PublishRefused(token) => self.on_publish_refused(&mut step, token),
            Input::Restored { documents, index } => self.on_restored(&mut step, documents, index),
            Input::Stored(token) => self.on_stored(token),
            Input::StoreFailed { token, reason } => self.on_store_failed(&mut step, token, &reason),
            Input::Loaded { document, stored } => self.on_loaded(&mut step, &document, stored),
            Input::Command { call, command } => self.on_command(&mut step, call, command),
            Input::Timer => {}
        }
        self.finish(step)
    }

    /// The documents that this synchroniser holds, in memory or in storage.
    #[must_use]
    pub fn document_ids(&self) -> BTreeSet<&DocumentId> {
        self.documents.keys().chain(self.asleep.keys()).collect()
    }

    /// Peers that sent too much lately: there is no hurry to hand over what bears their names.
    #[must_use]
    pub fn muted(&self) -> &BTreeSet<PeerId> {
        self.throttle.muted()
    }

    /// The hashes of all changes of a document, in the order in which it took them in; `None` when it is not in memory.
    #[must_use]
    pub fn history(&self, id: &DocumentId) -> Option<&[ChangeHash]> {
        self.documents.get(id).map(|document| document.replica().history())
    }

    /// Where the topics are now, with all keys that are known: to read what the broker keeps, in tests.
    #[must_use]
    pub fn topics(&self) -> &TopicSpace {
        &self.config.topics
    }

    /// A document as bytes, for comparisons in tests; `None` when it is not in memory.
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
                Timer::Merge(id) => self.on_merge_due(step, &id),
                Timer::Save => self.on_save_due(),
                Timer::AnnounceAsleep => self.on_announce_asleep(step),
                Timer::Snapshot(id) => self.on_snapshot_due(step, &id),
                Timer::Fetch(id) => self.on_fetch_overdue(step, &id),
                Timer::Clear(id) => self.on_clear_due(step, &id),
                Timer::Manifests => self.on_manifests_heard(step),
                Timer::Write => self.go_on_with_snapshots(step),
                Timer::KeyNotice => self.answer_key_notice(step),
                Timer::OtherKey => self.on_other_key_due(step),
                Timer::Epoch(repository, epoch) => self.on_epoch_due(step, &repository, epoch),
                Timer::StandBy => self.stand_by_all(step),
                Timer::Shares => self.on_shares_due(step),
                Timer::Parties => self.on_parties_due(step),
                Timer::Throttle => self.on_throttle_due(step),
                Timer::Call(call) => self.on_call_due(step, call),
            }
        }
    }

    fn on_expiry(&mut self, step: &mut Step) {
        self.statistics.reject_many("incomplete", self.reassembler.expire(step.now));
        for info in self.peers.expire(step.now) {
            self.on_peer_left(step, info);
        }
        self.crowded = true;
        self.schedule_expiry(step);
    }

    /// What is due at the end of every step: announcements that come together, storage, and the order of notices.
    fn finish(&mut self, mut step: Step) -> Output {
        self.publish_announcements(&mut step);
        self.save(&mut step);
        if self.crowded {
            self.make_room();
        }
        step.out.wake_at_ms = self.timers.next_ms();
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
        let counter = match topic {
            Topic::Manifest { .. } | Topic::SnapshotPart { .. } => &mut self.snapshots.counter,
            _ => self.outgoing.of(&name),
        };
        let stamp = Stamp {
            session: self.config.session,
            counter,
            sent_unix_ms: step.now.unix_ms,
            message: Nonce(step.rng.next_u64()),
            vouches: delivery.vouches,
        };
        let Config { topics, identity, max_message_bytes, .. } = &self.config;
        let message = (topic, body);
        let sealed = seal_on(topics, step.rng, identity, message, stamp, delivery.priority, *max_message_bytes);
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
            self.statistics.traffic.sent(body.kind(), payload.len());
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
