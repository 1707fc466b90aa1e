//! Between the one connection and the repositories: what arrives goes to whoever listens, what leaves goes out.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::sync::watch;

use super::inbox::Inbox;
use super::json;
use super::mailbox::Mailbox;
use super::probe::Probe;
use super::repository_task::quality;
use crate::crypto::Identity;
use crate::drivers::mqtt::{
    self, CanvasMQTTBroker, ConnectionEvent, ConnectionHandler, LastWill, PublishError, PublishId,
};
use crate::ids::{Nonce, Session};
use crate::limits::DEFAULT_MAX_MESSAGE_BYTES;
use crate::sync::{Input, Message, PublishToken, QualityOfService};
use crate::wire::{Body, Priority, Stamp, Topic, TopicSpace, Will, seal};

/// In a publish id the upper bits name the repository, the lower 48 the synchroniser's token.
const REPOSITORY_SHIFT: u32 = 48;
/// The level of a topic, after the prefix, that names the repository.
const REPOSITORY_LEVEL: usize = 1;

/// Where the connection stands, for whoever waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// The first attempt is under way.
    Trying,
    /// Not there (yet); what the last attempt met.
    Down(String),
    /// The broker refused.
    Rejected(String),
    /// There; the repositories are subscribing.
    Subscribing,
    /// There, and all repositories are subscribed and announced.
    Ready,
    /// The service has been disconnected.
    Closed,
}

/// The connection's handler.
pub(crate) struct Router {
    topics: TopicSpace,
    identity: Arc<Identity>,
    instance: u64,
    /// The number of this start of the process.
    start: u64,
    inboxes: Vec<Arc<Inbox>>,
    mailbox: Arc<Mailbox>,
    pub(crate) probe: Probe,
    pub(crate) link: watch::Sender<LinkState>,
    /// Whether `initialize()` has succeeded: from then on no promise tells that the broker refuses.
    pub(crate) opened: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    broker: Option<CanvasMQTTBroker>,
    /// Filter -> repositories that asked for it.
    filters: HashMap<String, BTreeSet<u16>>,
    /// The repository level of a topic -> repositories that listen to something below it.
    routes: HashMap<String, BTreeSet<u16>>,
    ready: BTreeSet<u16>,
    connects: u64,
}

impl Router {
    pub(crate) fn new(
        topics: TopicSpace,
        identity: Arc<Identity>,
        instance: u64,
        start: u64,
        inboxes: Vec<Arc<Inbox>>,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        Self {
            probe: Probe::new(&topics, identity.peer()),
            topics,
            identity,
            instance,
            start,
            inboxes,
            mailbox,
            link: watch::Sender::new(LinkState::Trying),
            opened: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// The id under which the connection knows a repository's publish.
    pub(crate) fn publish_id(repository: u16, token: PublishToken) -> PublishId {
        PublishId(u64::from(repository) << REPOSITORY_SHIFT | token.0)
    }

    pub(crate) fn set_broker(&self, broker: Option<CanvasMQTTBroker>) {
        self.state().broker = broker;
    }

    pub(crate) fn broker(&self) -> Option<CanvasMQTTBroker> {
        self.state().broker.clone()
    }

    pub(crate) fn publish(&self, publish: mqtt::Publish) -> Result<(), PublishError> {
        self.broker().ok_or(PublishError::NotConnected)?.publish(publish)
    }

    pub(crate) fn subscribe(&self, repository: u16, filters: Vec<(String, QualityOfService)>) {
        let mut state = self.state();
        for (filter, _) in &filters {
            if let Some(level) = self.repository_level(filter) {
                let level = level.to_owned();
                state.routes.entry(level).or_default().insert(repository);
            }
            state.filters.entry(filter.clone()).or_default().insert(repository);
        }
        if let Some(broker) = state.broker.clone() {
            drop(state);
            broker.subscribe(filters.into_iter().map(|(filter, wanted)| (filter, quality(wanted))).collect());
        }
    }

    /// Unsubscribes from what nobody else listens to.
    pub(crate) fn unsubscribe(&self, repository: u16, filters: Vec<String>) {
        let mut state = self.state();
        let mut unused = Vec::new();
        for filter in filters {
            if let Some(listeners) = state.filters.get_mut(&filter) {
                listeners.remove(&repository);
                if listeners.is_empty() {
                    state.filters.remove(&filter);
                    unused.push(filter);
                }
            }
        }
        if let Some(broker) = state.broker.clone() {
            drop(state);
            broker.unsubscribe(unused);
        }
    }

    /// A repository is subscribed and announced; what belongs to an earlier connection is too late.
    pub(crate) fn ready(&self, repository: u16, connection: u64) {
        let mut state = self.state();
        if connection != state.connects || *self.link.borrow() != LinkState::Subscribing {
            return;
        }
        state.ready.insert(repository);
        if state.ready.len() == self.inboxes.len() {
            drop(state);
            self.set_link(LinkState::Ready);
            self.tell("connected", &json!({ "connection": connection }));
        }
    }

    /// The code of an error of the link as it is now.
    pub(crate) fn link_code(&self) -> &'static str {
        match &*self.link.borrow() {
            LinkState::Rejected(_) => "ERR_BROKER_REJECTED",
            _ => "ERR_BROKER_UNREACHABLE",
        }
    }

    /// Closed is for ever.
    pub(crate) fn set_link(&self, link: LinkState) {
        self.link.send_if_modified(|state| {
            let changes = *state != LinkState::Closed;
            if changes {
                *state = link;
            }
            changes
        });
    }

    fn tell(&self, name: &str, payload: &serde_json::Value) {
        self.mailbox.push(vec![json::event(name, payload)]);
    }

    fn broadcast(&self, input: impl Fn() -> Input) {
        for inbox in &self.inboxes {
            inbox.push_input(input());
        }
    }

    fn on_connected(&self, connection: u64) {
        let mut state = self.state();
        state.filters.clear();
        state.routes.clear();
        state.ready.clear();
        state.connects = connection;
        drop(state);
        self.set_link(LinkState::Subscribing);
        self.broadcast(|| Input::Connected { connection });
    }

    fn on_disconnected(&self, reason: &str) {
        self.set_link(LinkState::Down(reason.to_owned()));
        self.probe.interrupt();
        self.broadcast(|| Input::Disconnected);
        self.tell("disconnected", &json!({ "reason": reason }));
    }

    /// While `initialize()` waits, its promise tells; afterwards it is told once for refusals in a row.
    fn on_rejected(&self, reason: String) {
        let news = !matches!(&*self.link.borrow(), LinkState::Rejected(_));
        if news && self.opened.load(Ordering::SeqCst) {
            let message = format!("the connection to the MQTT broker is refused: {reason}");
            self.tell("error", &json!({ "code": "ERR_BROKER_REJECTED", "message": message }));
        }
        self.set_link(LinkState::Rejected(reason));
    }

    fn on_message(&self, topic: String, payload: bytes::Bytes, retained: bool) {
        if self.probe.arrived(&topic, &payload, retained) {
            return;
        }
        let Some(level) = self.repository_level(&topic) else { return };
        let listeners: Vec<u16> = self.state().routes.get(level).into_iter().flatten().copied().collect();
        let message = Message { topic, payload, retained };
        for repository in listeners {
            if let Some(inbox) = self.inboxes.get(usize::from(repository)) {
                inbox.push_message(message.clone());
            }
        }
    }

    fn on_acknowledged(&self, id: PublishId) {
        if self.probe.acknowledged(id) {
            return;
        }
        let repository = usize::try_from(id.0 >> REPOSITORY_SHIFT).unwrap_or(usize::MAX);
        let token = PublishToken(id.0 & ((1 << REPOSITORY_SHIFT) - 1));
        if let Some(inbox) = self.inboxes.get(repository) {
            inbox.push_input(Input::Acknowledged(token));
        }
    }

    fn on_subscription(&self, filter: &str, granted: bool) {
        if self.probe.subscribed(filter, granted) {
            return;
        }
        let listeners: Vec<u16> = self.state().filters.get(filter).into_iter().flatten().copied().collect();
        for repository in listeners {
            let filter = filter.to_owned();
            let input = if granted { Input::Subscribed { filter } } else { Input::SubscribeRejected { filter } };
            if let Some(inbox) = self.inboxes.get(usize::from(repository)) {
                inbox.push_input(input);
            }
        }
    }

    fn repository_level<'a>(&self, topic: &'a str) -> Option<&'a str> {
        self.topics.below(topic)?.split('/').nth(REPOSITORY_LEVEL)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionHandler for Router {
    fn on_event(&self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Connected { connection } => self.on_connected(connection),
            ConnectionEvent::Disconnected { reason, .. } => self.on_disconnected(&reason),
            ConnectionEvent::ConnectFailed { reason, attempt, retry_in_ms } => {
                self.set_link(LinkState::Down(reason.clone()));
                let payload = json!({ "attempt": attempt, "retryInMs": retry_in_ms, "reason": reason });
                self.tell("reconnecting", &payload);
            }
            ConnectionEvent::Rejected { reason, .. } => self.on_rejected(reason),
            ConnectionEvent::Message { topic, payload, retained } => self.on_message(topic, payload, retained),
            ConnectionEvent::Acknowledged { id } => self.on_acknowledged(id),
            ConnectionEvent::Subscribed { filter } => self.on_subscription(&filter, true),
            ConnectionEvent::SubscribeRejected { filter } => self.on_subscription(&filter, false),
            ConnectionEvent::Drained => {}
        }
    }

    /// Signed in advance, with the number of the connection that it belongs to.
    fn last_will(&self, connection: u64) -> Option<LastWill> {
        let topic = Topic::Will { peer: self.identity.peer() };
        let mut counter = connection;
        let stamp = Stamp {
            session: Session::of(self.start, u16::MAX),
            counter: &mut counter,
            sent_unix_ms: 0,
            message: Nonce(connection),
            vouches: None,
        };
        let body = Body::Will(Will { instance: self.instance, connection });
        let packets = seal(&self.identity, &topic, stamp, Priority::Critical, &body, DEFAULT_MAX_MESSAGE_BYTES).ok()?;
        let payload = packets.into_iter().next()?;
        Some(LastWill { topic: self.topics.format(&topic), payload })
    }
}
