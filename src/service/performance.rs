//! The section `performance` of the configuration.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::limits::{
    DEFAULT_HEARTBEAT_MS, DEFAULT_MAX_INBOUND_PER_SECOND, DEFAULT_MAX_MESSAGE_BYTES, DEFAULT_MAX_OPEN_CANVASES,
    DEFAULT_MAX_OUTBOUND_PER_SECOND, DEFAULT_MAX_PEER_PER_SECOND, DEFAULT_MAX_PEERS, MAX_INBOUND_PACKET_BYTES,
    MAX_MESSAGES_PER_SECOND, MIN_MAX_MESSAGE_BYTES, MIN_SEALED_MAX_MESSAGE_BYTES,
};
use crate::sync::Rates;

/// Sizes and intervals.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PerformanceConfig {
    /// Largest MQTT payload sent, in bytes; more travels in fragments. Default 1 MiB.
    pub max_message_size: usize,
    /// Most peers listed per repository. Default 100.
    pub max_connections: usize,
    /// Seconds between two signs of life. Default 30.
    pub heartbeat_interval: u64,
    /// Most canvases of a repository in memory, where storage has them too; at least 1. Default 256.
    pub max_open_canvases: usize,
    /// Most messages a second that a repository takes in from one peer, 1 to 1,000,000. Default 1,000.
    pub max_peer_messages_per_second: u32,
    /// Most messages a second that a repository takes in from all peers, 1 to 1,000,000. Default 10,000.
    pub max_inbound_messages_per_second: u32,
    /// Most messages of changes a second that the service sends, 1 to 1,000,000. Default 500.
    pub max_outbound_messages_per_second: u32,
}

impl PerformanceConfig {
    pub(super) fn rates(&self) -> Rates {
        Rates {
            peer: self.max_peer_messages_per_second,
            inbound: self.max_inbound_messages_per_second,
            outbound: self.max_outbound_messages_per_second,
        }
    }

    /// What is wrong with it.
    pub(super) fn problems(&self, encryption: bool) -> Vec<String> {
        let smallest = if encryption { MIN_SEALED_MAX_MESSAGE_BYTES } else { MIN_MAX_MESSAGE_BYTES };
        let (rates, none) = (1..=u64::from(MAX_MESSAGES_PER_SECOND), u64::MAX);
        let ranges = [
            (
                "maxMessageSize",
                self.max_message_size as u64,
                smallest as u64..=MAX_INBOUND_PACKET_BYTES as u64,
                " bytes",
            ),
            ("maxConnections", self.max_connections as u64, 1..=100_000, ""),
            ("heartbeatInterval", self.heartbeat_interval, 1..=3_600, " seconds"),
            ("maxOpenCanvases", self.max_open_canvases as u64, 1..=none, ""),
            ("maxPeerMessagesPerSecond", u64::from(self.max_peer_messages_per_second), rates.clone(), ""),
            ("maxInboundMessagesPerSecond", u64::from(self.max_inbound_messages_per_second), rates.clone(), ""),
            ("maxOutboundMessagesPerSecond", u64::from(self.max_outbound_messages_per_second), rates, ""),
        ];
        let wrong = ranges.into_iter().filter(|(_, value, range, _)| !range.contains(value));
        wrong.map(|(name, _, range, unit)| problem(name, &range, unit)).collect()
    }
}

fn problem(name: &str, range: &RangeInclusive<u64>, unit: &str) -> String {
    let (least, most) = (range.start(), range.end());
    if *most == u64::MAX {
        format!("performance.{name} must be {least} or more{unit}")
    } else {
        format!("performance.{name} must be {least} to {most}{unit}")
    }
}

impl Default for PerformanceConfig {
    fn default() -> Self {
        Self {
            max_message_size: DEFAULT_MAX_MESSAGE_BYTES,
            max_connections: DEFAULT_MAX_PEERS,
            heartbeat_interval: DEFAULT_HEARTBEAT_MS / 1000,
            max_open_canvases: DEFAULT_MAX_OPEN_CANVASES,
            max_peer_messages_per_second: DEFAULT_MAX_PEER_PER_SECOND,
            max_inbound_messages_per_second: DEFAULT_MAX_INBOUND_PER_SECOND,
            max_outbound_messages_per_second: DEFAULT_MAX_OUTBOUND_PER_SECOND,
        }
    }
}
