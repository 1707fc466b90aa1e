//! A broker that is allowed everything that a real one may do to us, and does it often.

use std::collections::BTreeMap;

use mqtt_p2p::sync::{Message, QualityOfService};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

/// How the broker misbehaves, in thousandths.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// A message is not delivered to one subscriber.
    pub drop: u64,
    /// A message is delivered twice to one subscriber.
    pub duplicate: u64,
    /// A delivery takes up to [`Faults::LONG_MS`], so later ones overtake it.
    pub delay: u64,
    /// A subscription is not answered with the retained messages.
    pub forget_retained: u64,
}

impl Faults {
    const LONG_MS: u64 = 3_000;

    /// Everything goes well.
    pub const NONE: Self = Self { drop: 0, duplicate: 0, delay: 0, forget_retained: 0 };

    /// Rates for one run: from nearly none to awful.
    pub fn random(rng: &mut ChaCha8Rng) -> Self {
        let mut up_to = |max: u64| rng.next_u64() % (max + 1);
        Self { drop: up_to(150), duplicate: up_to(150), delay: up_to(200), forget_retained: up_to(500) }
    }
}

/// A delivery to be made.
pub struct Delivery {
    pub node: usize,
    pub after_ms: u64,
    pub message: Message,
}

/// Sessions and retained messages.
#[derive(Default)]
pub struct Broker {
    /// Node -> filters. A node that is not connected has no entry.
    sessions: BTreeMap<usize, BTreeMap<String, QualityOfService>>,
    retained: BTreeMap<String, Message>,
    /// All that was published, if somebody wants to know.
    pub recording: Option<Vec<Message>>,
}

impl Broker {
    pub fn connect(&mut self, node: usize) {
        self.sessions.insert(node, BTreeMap::new());
    }

    pub fn disconnect(&mut self, node: usize) {
        self.sessions.remove(&node);
    }

    /// Comes back without any memory.
    pub fn forget_everything(&mut self) {
        self.sessions.clear();
        self.retained.clear();
    }

    /// What it keeps, by topic.
    pub fn retained(&self) -> &BTreeMap<String, Message> {
        &self.retained
    }

    pub fn forget_retained(&mut self) {
        self.retained.clear();
    }

    pub fn subscribe(
        &mut self,
        node: usize,
        filter: &str,
        quality: QualityOfService,
        faults: Faults,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Delivery> {
        let Some(session) = self.sessions.get_mut(&node) else {
            return Vec::new();
        };
        session.insert(filter.to_owned(), quality);
        if chance(rng, faults.forget_retained) {
            return Vec::new();
        }
        let matching = self.retained.values().filter(|message| matches(filter, &message.topic));
        let retained = matching.map(|message| Message { retained: true, ..message.clone() }).collect::<Vec<_>>();
        retained.into_iter().flat_map(|message| deliver(node, &message, faults, rng)).collect()
    }

    pub fn unsubscribe(&mut self, node: usize, filter: &str) {
        if let Some(session) = self.sessions.get_mut(&node) {
            session.remove(filter);
        }
    }

    pub fn publish(
        &mut self,
        topic: String,
        payload: Vec<u8>,
        retain: bool,
        faults: Faults,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Delivery> {
        let message = Message { topic, payload: payload.into(), retained: false };
        if let Some(recording) = &mut self.recording {
            recording.push(message.clone());
        }
        if retain {
            if message.payload.is_empty() {
                self.retained.remove(&message.topic);
            } else {
                self.retained.insert(message.topic.clone(), message.clone());
            }
        }
        let mut deliveries = Vec::new();
        for (node, filters) in &self.sessions {
            if filters.keys().any(|filter| matches(filter, &message.topic)) {
                deliveries.extend(deliver(*node, &message, faults, rng));
            }
        }
        deliveries
    }
}

fn deliver(node: usize, message: &Message, faults: Faults, rng: &mut ChaCha8Rng) -> Vec<Delivery> {
    if chance(rng, faults.drop) {
        return Vec::new();
    }
    let copies = if chance(rng, faults.duplicate) { 2 } else { 1 };
    (0..copies)
        .map(|_| {
            let range_ms = if chance(rng, faults.delay) { Faults::LONG_MS } else { 3 };
            Delivery { node, after_ms: 1 + rng.next_u64() % range_ms, message: message.clone() }
        })
        .collect()
}

pub fn chance(rng: &mut ChaCha8Rng, thousandths: u64) -> bool {
    rng.next_u64() % 1_000 < thousandths
}

/// MQTT 3.1.1, section 4.7, without topics that begin with `$`, of which there are none here.
fn matches(filter: &str, topic: &str) -> bool {
    let mut topic_levels = topic.split('/');
    for level in filter.split('/') {
        match (level, topic_levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(found)) if wanted == found => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}
