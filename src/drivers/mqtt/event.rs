//! What goes into a connection and what comes out of it.

use bytes::Bytes;
use thiserror::Error;

/// How hard the broker tries to deliver a message (MQTT 3.1.1, section 4.3). Exactly-once is not used: not every broker
/// has it, and messages are idempotent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    /// QoS 0: sent once and never acknowledged.
    AtMostOnce,
    /// QoS 1: acknowledged by the broker.
    AtLeastOnce,
}

impl From<Qos> for rumqttc::QoS {
    fn from(qos: Qos) -> Self {
        match qos {
            Qos::AtMostOnce => Self::AtMostOnce,
            Qos::AtLeastOnce => Self::AtLeastOnce,
        }
    }
}

/// The order in which publishes leave while they have to wait; of equal ones the oldest first. The first two are *live*,
/// the others *bulk*: each of these two classes has its own window of unacknowledged publishes, so bulk never fills the
/// room of live edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Live: presence and whatever else others must not wait for.
    Critical,
    /// Live: edits.
    High,
    /// Bulk: catching up.
    Medium,
    /// Bulk: snapshots.
    Low,
}

impl Priority {
    /// All priorities, the most urgent first.
    pub(super) const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];
}

/// Names a publish to the caller that waits for its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId(pub u64);

/// One message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The id that [`ConnectionEvent::Acknowledged`] reports; `None` if nobody waits for it.
    pub id: Option<PublishId>,
    /// The topic; without wildcards.
    pub topic: String,
    /// The content.
    pub payload: Vec<u8>,
    /// The quality of service. With QoS 0 the `id` is reported as soon as the message is on the socket.
    pub qos: Qos,
    /// Whether the broker keeps the message for later subscribers.
    pub retain: bool,
    /// What it may overtake.
    pub priority: Priority,
}

/// Why a publish was not taken. Nothing of it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublishError {
    /// Too much waits at this priority; publish again when something was acknowledged.
    #[error("{messages} publishes ({bytes} bytes) already wait at this priority; wait for acknowledgements")]
    QueueFull {
        /// How many publishes of this priority wait.
        messages: usize,
        /// Their payload bytes.
        bytes: usize,
    },
    /// There is no connection now; publish again after [`ConnectionEvent::Connected`].
    #[error("not connected to the broker; publish again once connected")]
    NotConnected,
    /// The packet would be larger than the configured maximum.
    #[error("the packet has {bytes} bytes and at most {max_bytes} may be sent; split the message")]
    TooLarge {
        /// Size of the whole packet.
        bytes: usize,
        /// The configured maximum.
        max_bytes: usize,
    },
    /// The topic is empty, has a wildcard or a NUL, or is longer than 65,535 bytes.
    #[error("{topic:?} is no topic to publish to: it must not be empty, too long, or have a wildcard or NUL")]
    InvalidTopic {
        /// The topic (its first 64 characters).
        topic: String,
    },
    /// The connection was closed by [`disconnect`](super::CanvasMQTTBroker::disconnect).
    #[error("the connection is closed")]
    Closed,
}

/// What the broker publishes when a connection breaks without DISCONNECT; at QoS 1, not retained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWill {
    /// The topic; not empty.
    pub topic: String,
    /// The content; at most 65,535 bytes. With more the connection is made without a Will, and that is logged.
    pub payload: Vec<u8>,
}

/// Why a connection was refused: by a broker (MQTT 3.1.1, table 3.1), or by TLS, on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectCode {
    /// The broker does not speak MQTT 3.1.1.
    ProtocolVersion,
    /// The client id is not allowed.
    ClientId,
    /// The broker is there but does not serve now.
    ServerUnavailable,
    /// The user name or password is wrong.
    BadCredentials,
    /// The user may not connect.
    NotAuthorized,
    /// TLS did not come about, mostly because of a certificate. Nothing was sent but TLS's own handshake.
    Tls,
}

impl RejectCode {
    /// A sentence for people, saying what to do.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::ProtocolVersion => "the broker does not accept MQTT 3.1.1",
            Self::ClientId => "the broker does not accept the client id",
            Self::ServerUnavailable => "the broker does not serve at the moment",
            Self::BadCredentials => "the broker does not accept the user name or password; check both",
            Self::NotAuthorized => {
                "the broker does not authorise this user to connect; check its credentials and rules"
            }
            Self::Tls => "TLS did not come about",
        }
    }
}

/// What happens on a connection, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// The broker accepted the connection. No subscription exists: the caller subscribes (again) now.
    Connected {
        /// 1, 2, 3 …: grows with every connect.
        connection: u64,
    },
    /// The connection ended. Everything not yet acknowledged is forgotten: the caller publishes again.
    Disconnected {
        /// The number that [`Connected`](Self::Connected) gave.
        connection: u64,
        /// Why, for people.
        reason: String,
    },
    /// An attempt to connect got no answer from a broker.
    ConnectFailed {
        /// Why, for people.
        reason: String,
        /// How many attempts have failed in a row.
        attempt: u32,
        /// Pause before the next.
        retry_in_ms: u64,
    },
    /// A broker answered and refused, or is not to be trusted. It is tried again, but with long pauses.
    Rejected {
        /// The broker's code, or [`RejectCode::Tls`].
        code: RejectCode,
        /// The code in words, and what to do.
        reason: String,
    },
    /// A message arrived on a subscription.
    Message {
        /// Its topic.
        topic: String,
        /// Its content.
        payload: Bytes,
        /// Whether it was retained in the broker before this subscription was made.
        retained: bool,
    },
    /// The broker acknowledged a publish.
    Acknowledged {
        /// The id given with it.
        id: PublishId,
    },
    /// The broker granted a subscription.
    Subscribed {
        /// The filter as it was given.
        filter: String,
    },
    /// The broker, or the rules of MQTT, refused a subscription; or too many wait.
    SubscribeRejected {
        /// The filter as it was given.
        filter: String,
    },
    /// Everything that was published has been acknowledged and nothing waits.
    Drained,
}

/// Receives what happens on a connection.
pub trait ConnectionHandler: Send + Sync + 'static {
    /// Called in order, on the connection's task, with no lock held: it may publish and subscribe, and must not block.
    fn on_event(&self, event: ConnectionEvent);

    /// The Last Will for the connection with this number, asked for before each attempt to connect. An attempt that fails
    /// does not use up its number.
    fn last_will(&self, connection: u64) -> Option<LastWill>;
}
