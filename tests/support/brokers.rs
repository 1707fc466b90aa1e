//! Both kinds of broker, for tests that must pass on each.

use mqtt_p2p::drivers::mqtt::embedded::{EmbeddedBroker, EmbeddedBrokerOptions};

use super::mosquitto::Mosquitto;

/// A running broker; stops when it is dropped.
pub enum Broker {
    Embedded(EmbeddedBroker),
    Mosquitto(Mosquitto),
}

impl Broker {
    /// One of each kind that there is on this machine, both with long queues.
    pub fn each() -> impl Iterator<Item = Self> {
        let embedded = EmbeddedBroker::start(EmbeddedBrokerOptions::default()).unwrap();
        let mosquitto = Mosquitto::start("max_queued_messages 0\nmax_inflight_messages 0", &[]);
        [Some(Self::Embedded(embedded)), mosquitto.map(Self::Mosquitto)].into_iter().flatten()
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        match self {
            Self::Embedded(broker) => broker.port(),
            Self::Mosquitto(broker) => broker.port,
        }
    }
}
