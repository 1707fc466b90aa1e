//! What can happen in a world.

use mqtt_p2p::sync::{Message, PublishToken, StoreToken};

use super::effects::Packet;

/// Something that will happen, in the order of time.
pub enum Happening {
    /// A packet reaches the broker, if its connection still stands.
    AtBroker { node: usize, connection: Link, packet: Packet },
    /// Something reaches a node, if its connection still stands.
    AtNode { node: usize, connection: Link, input: Arriving },
    /// A node's timer may be due.
    Timer { node: usize, incarnation: u64 },
    /// A node's application does something.
    Act { node: usize, incarnation: u64 },
    /// A node connects.
    Connect { node: usize, incarnation: u64 },
    /// A node loses its connection.
    Disconnect { node: usize },
    /// A node's disk has finished.
    DiskDone { node: usize, incarnation: u64, token: StoreToken },
    /// A node's disk has read the documents that it was asked for.
    DiskRead { node: usize, incarnation: u64 },
    /// A node's process ends without warning.
    Crash { node: usize, incarnation: u64 },
    /// A node's process begins again.
    Start { node: usize, incarnation: u64 },
    /// The broker restarts without memory.
    BrokerRestart,
}

/// A connection of one process.
pub type Link = (u64, u64);

/// What comes from the broker.
pub enum Arriving {
    Message(Message),
    Acknowledged(PublishToken),
    Refused(PublishToken),
    Subscribed(String),
}
