//! The largest packet to read from the socket.
//!
//! The MQTT client ends the connection at a larger one. If the broker retains it, that repeats at every connect, for
//! ever: one message from anyone would shut everybody out. So the cap grows to what the broker was about to send; the
//! packet is then read, dropped and counted. It is at most what MQTT can express, and memory for it is taken only as it
//! arrives.

use rumqttc::{ConnectionError, StateError, mqttbytes};

use super::options::PACKET_OVERHEAD_BYTES;
use crate::limits::MAX_MQTT_PACKET_BYTES;

/// What is read, and what of it is accepted.
#[derive(Debug)]
pub(super) struct InboundCap {
    accepted_payload_bytes: usize,
    packet_bytes: usize,
}

impl InboundCap {
    /// Reads no more than is accepted, until that proves not enough.
    pub(super) fn new(accepted_payload_bytes: usize) -> Self {
        let packet_bytes = accepted_payload_bytes.saturating_add(PACKET_OVERHEAD_BYTES).min(MAX_MQTT_PACKET_BYTES);
        Self { accepted_payload_bytes, packet_bytes }
    }

    /// Largest packet that the next connection reads.
    pub(super) fn packet_bytes(&self) -> usize {
        self.packet_bytes
    }

    /// Whether a payload of this size is handed on.
    pub(super) fn accepts(&self, payload_bytes: usize) -> bool {
        payload_bytes <= self.accepted_payload_bytes
    }

    /// If the connection ended because of a larger packet: makes room for it, and gives its size.
    pub(super) fn grow(&mut self, error: &ConnectionError) -> Option<usize> {
        match error {
            ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded(
                bytes,
            ))) => {
                self.packet_bytes = self.packet_bytes.max(*bytes).min(MAX_MQTT_PACKET_BYTES);
                Some(*bytes)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_grows_to_what_the_broker_sends_and_accepts_no_more_than_before() {
        let mut cap = InboundCap::new(1_000);
        let before = cap.packet_bytes();
        let too_large = ConnectionError::MqttState(StateError::Deserialization(
            mqttbytes::Error::PayloadSizeLimitExceeded(before + 1),
        ));
        assert_eq!(cap.grow(&too_large), Some(before + 1));
        assert_eq!(cap.packet_bytes(), before + 1);
        assert!(cap.accepts(1_000) && !cap.accepts(1_001));
        assert_eq!(cap.grow(&ConnectionError::NetworkTimeout), None);
    }
}
