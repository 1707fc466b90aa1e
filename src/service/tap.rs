//! Listens to everything below the topic prefix and says what it is, for people who watch a broker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::error::ServiceError;
use super::json;
use super::keys::Keys;
use super::mailbox::Mailbox;
use super::manager::P2PNetworkManager;
use crate::drivers::mqtt::{CanvasMQTTBroker, ConnectionEvent, ConnectionHandler, LastWill, Priority, Publish, Qos};
use crate::limits::{MAX_OVERHEARD_BYTES, TAP_STOP_MS};
use crate::wire::{Description, Topic, TopicSpace, describe};

/// A connection that only listens. What it hears comes through the mailbox, as events:
///
/// | event | payload |
/// | --- | --- |
/// | `listening` | `{ filter }`: from now on nothing is missed |
/// | `packet` | `{ topic, bytes, retained, missed, …Description }`; `missed` counts what was dropped before it |
/// | `refused` | `{ reason }`: the broker refuses the connection, or the subscription |
/// | `away` | `{ reason }`: there is no connection; it is being made again |
pub struct Tap {
    ear: Arc<Ear>,
    manager: P2PNetworkManager,
}

impl Tap {
    /// Starts to listen where a service of this configuration would connect, and with its keys. Blocks to read key files.
    ///
    /// # Errors
    /// [`ServiceError::EncryptionKey`].
    pub fn start(manager: P2PNetworkManager, mailbox: Arc<Mailbox>) -> Result<Self, ServiceError> {
        let inner = &manager.inner;
        let invalid = |error: crate::wire::TopicError| ServiceError::ConfigInvalid(vec![error.to_string()]);
        let plain = TopicSpace::new(&inner.config.topic_prefix).map_err(invalid)?;
        let keys = Keys::read(&inner.config, &plain)?;
        let mut spaces = Vec::new();
        for name in inner.config.repository_names() {
            if let Some(space) = keys.topics(&name) {
                // A repository's topics are recognised once its keys are derived.
                let _ = space.format(&Topic::Sync(name));
                spaces.push(space.clone());
            }
        }
        spaces.push(plain);
        let filter = format!("{}/#", inner.config.topic_prefix);
        let ear = Arc::new(Ear { mailbox, spaces, filter, missed: AtomicU64::new(0), broker: Mutex::default() });
        let options = inner.config.broker.connection_options(&inner.client_id)?;
        // Locked, so that it is known before it has connected.
        let mut broker = ear.broker();
        *broker = Some(CanvasMQTTBroker::start(options, ear.clone(), &inner.runtime));
        drop(broker);
        Ok(Self { ear, manager })
    }

    /// Has the broker forget what it retains on a topic. Best effort: nothing happens while there is no connection, or
    /// when too many such are under way.
    pub fn clear(&self, topic: String) {
        if let Some(broker) = &*self.ear.broker() {
            let _ = broker.publish(Publish {
                id: None,
                topic,
                payload: Vec::new(),
                qos: Qos::AtLeastOnce,
                retain: true,
                priority: Priority::Low,
            });
        }
    }

    /// Ends the connection; the call's outcome comes through the mailbox.
    pub fn stop(&self, call: u64) {
        let broker = self.ear.broker().take();
        let ear = self.ear.clone();
        self.manager.inner.runtime.spawn(async move {
            if let Some(broker) = broker {
                broker.disconnect(Duration::from_millis(TAP_STOP_MS)).await;
            }
            ear.mailbox.push(vec![json::outcome(call, Ok("null".to_owned()))]);
        });
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // The connection holds the ear, and would keep itself.
        self.ear.broker().take();
    }
}

struct Ear {
    mailbox: Arc<Mailbox>,
    spaces: Vec<TopicSpace>,
    filter: String,
    missed: AtomicU64,
    broker: Mutex<Option<CanvasMQTTBroker>>,
}

#[derive(Serialize)]
struct Overheard<'a> {
    topic: &'a str,
    bytes: usize,
    retained: bool,
    missed: u64,
    #[serde(flatten)]
    description: Description,
}

impl Ear {
    fn broker(&self) -> MutexGuard<'_, Option<CanvasMQTTBroker>> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, topic: &str, payload: &[u8], retained: bool) {
        let description = describe(&self.spaces, topic, payload);
        let missed = self.missed.swap(0, Ordering::Relaxed);
        let packet = Overheard { topic, bytes: payload.len(), retained, missed, description };
        if !self.mailbox.offer(json::event("packet", &packet), MAX_OVERHEARD_BYTES) {
            self.missed.fetch_add(missed + 1, Ordering::Relaxed);
        }
    }

    fn tell(&self, event: &str, reason: &str) {
        self.mailbox.push(vec![json::event(event, &json!({ "reason": reason }))]);
    }
}

impl ConnectionHandler for Ear {
    fn on_event(&self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Connected { .. } => {
                if let Some(broker) = &*self.broker() {
                    broker.subscribe(vec![(self.filter.clone(), Qos::AtMostOnce)]);
                }
            }
            ConnectionEvent::Message { topic, payload, retained } => self.hear(&topic, &payload, retained),
            ConnectionEvent::Subscribed { filter } => {
                self.mailbox.push(vec![json::event("listening", &json!({ "filter": filter }))]);
            }
            ConnectionEvent::SubscribeRejected { filter } => {
                self.tell("refused", &format!("the broker does not let this user subscribe to {filter}"));
            }
            ConnectionEvent::Rejected { reason, .. } => self.tell("refused", &reason),
            ConnectionEvent::Disconnected { reason, .. } | ConnectionEvent::ConnectFailed { reason, .. } => {
                self.tell("away", &reason);
            }
            ConnectionEvent::Acknowledged { .. } | ConnectionEvent::Drained => {}
        }
    }

    fn last_will(&self, _connection: u64) -> Option<LastWill> {
        None
    }
}
