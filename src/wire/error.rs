//! Why a message cannot be sent or is not accepted.

use thiserror::Error;

use crate::crypto::identity::VerifyError;
use crate::crypto::repository::UnsealError;
use crate::wire::kind::Kind;

/// Why a message cannot be sent or is not accepted. A receiver drops the message, counts the variant and goes on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// The bytes do not follow the grammar.
    #[error("malformed {what}; not a message of this protocol, or damaged: drop it")]
    Malformed {
        /// What was being read.
        what: &'static str,
    },
    /// A list, text, byte string or packet exceeds its cap in `src/limits.rs`.
    #[error("{what} of {length} exceeds the limit of {max}; send less at once")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length, in elements or bytes; for compressed data the point at which reading stopped.
        length: usize,
        /// The cap.
        max: usize,
    },
    /// A protocol version that this implementation does not know: ignore and count.
    #[error("protocol version {0} is not supported; upgrade this peer to read it")]
    UnsupportedVersion(u64),
    /// A kind of message that this implementation does not know: ignore and count.
    #[error("message kind {0} is not known; upgrade this peer to read it")]
    UnsupportedKind(u64),
    /// A compression that this implementation does not know: ignore and count.
    #[error("compression {0} is not known; upgrade this peer to read it")]
    UnsupportedCodec(u64),
    /// The body is encrypted where nothing is expected to be, or in an unknown way: ignore and count.
    #[error("the message is encrypted, and this repository is not; turn features.encryption on to read it")]
    UnsupportedSealed,
    /// The body is not encrypted, on a topic of an encrypted repository.
    #[error("the message is not encrypted, and this repository is; drop it")]
    NotSealed,
    /// The body is encrypted with another key than this repository's.
    #[error("the message is encrypted with another key than this repository's; drop it")]
    OtherKey,
    /// The key is ours, but the encrypted body does not belong to this header and topic.
    #[error(transparent)]
    Undecipherable(#[from] UnsealError),
    /// The topic is none of this protocol's, or of no repository that is listened to.
    #[error("the topic is none of ours; ignore it")]
    UnknownTopic,
    /// The sender's signature does not hold for this topic, header and body.
    #[error(transparent)]
    Unverified(#[from] VerifyError),
    /// This kind of message has no business on this topic.
    #[error("{kind:?} does not belong on this topic; send it where docs/protocol.md, section 4.2, says")]
    MisplacedKind {
        /// What it is.
        kind: Kind,
    },
    /// The topic is another peer's own (its presence, Will or manifest).
    #[error("the topic belongs to another peer than the sender; publish on your own")]
    ForeignTopic,
    /// The body is not what the topic's digest names.
    #[error("the snapshot part does not have the digest that its topic names; fetch it elsewhere")]
    DigestMismatch,
    /// A message that must be one packet (retained, or a Will) does not fit one.
    #[error(
        "{kind:?} of {bytes} bytes must fit one packet, which holds {max}; make it smaller or raise maxMessageSize"
    )]
    NotFragmentable {
        /// What it is.
        kind: Kind,
        /// Its length, compressed.
        bytes: usize,
        /// What one packet holds.
        max: usize,
    },
    /// The configured packet has no room for any content.
    #[error("a packet of {max_packet_bytes} bytes is too small for a message; raise maxMessageSize")]
    PacketTooSmall {
        /// What was configured.
        max_packet_bytes: usize,
    },
    /// The receiver does not take in any more at present, of this sender or at all.
    #[error("too many messages; drop this one, and catch up later")]
    Throttled,
    /// The receiver has heard this message before, or what a later process of its sender said.
    #[error("the message was heard before, or is of an earlier process of its sender; drop it")]
    Replayed,
    /// A fragment contradicts an earlier one of the same message.
    #[error("a fragment contradicts an earlier one of its message; the sender is faulty: drop it")]
    ConflictingFragment,
}

impl WireError {
    /// A short word for counting.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::TooLong { .. } => "too long",
            Self::UnsupportedVersion(_) => "unsupported version",
            Self::UnsupportedKind(_) => "unsupported kind",
            Self::UnsupportedCodec(_) => "unsupported codec",
            Self::UnsupportedSealed => "encrypted",
            Self::NotSealed => "not encrypted",
            Self::OtherKey => "another key",
            Self::Undecipherable(_) => "undecipherable",
            Self::UnknownTopic => "foreign topic",
            Self::Unverified(_) => "unverified",
            Self::MisplacedKind { .. } => "misplaced",
            Self::ForeignTopic => "another peer's topic",
            Self::DigestMismatch => "digest mismatch",
            Self::NotFragmentable { .. } | Self::PacketTooSmall { .. } => "unsealable",
            Self::Throttled => "throttled",
            Self::Replayed => "replayed",
            Self::ConflictingFragment => "conflicting fragment",
        }
    }
}
