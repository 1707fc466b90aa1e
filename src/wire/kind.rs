//! The kinds of messages: their numbers, and the topics on which they belong.

use crate::ids::PeerId;
use crate::wire::messages::Body;
use crate::wire::topics::Topic;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What a message is; the numbers on the wire are those of `docs/protocol.md`, section 4.2.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// All kinds, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The kind of a number on the wire, or `None` where this implementation knows none.
            #[must_use]
            pub fn from_number(number: u64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// See [`Body::Presence`].
    Presence = 1,
    /// See [`Body::Will`].
    Will = 2,
    /// See [`Body::Changes`].
    Changes = 3,
    /// See [`Body::Manifest`].
    Manifest = 4,
    /// See [`Body::SnapshotPart`].
    SnapshotPart = 5,
    /// See [`Body::SyncRequest`].
    SyncRequest = 6,
    /// See [`Body::SyncAnnouncement`].
    SyncAnnouncement = 7,
    /// See [`Body::SyncReply`].
    SyncReply = 8,
    /// See [`Body::HeadsAnnouncement`].
    HeadsAnnouncement = 9,
    /// See [`Body::Cursor`].
    Cursor = 10,
    /// See [`Body::Application`].
    Application = 11,
    /// See [`Body::KeyNotice`].
    KeyNotice = 12,
    /// See [`Body::Epoch`].
    Epoch = 13,
    /// See [`Body::Members`].
    Members = 14,
}

impl Kind {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u64 {
        u64::from(self as u8)
    }

    /// The kind in words, such as `sync-request`.
    #[must_use]
    pub fn word(self) -> String {
        let mut word = String::new();
        for character in format!("{self:?}").chars() {
            if character.is_ascii_uppercase() && !word.is_empty() {
                word.push('-');
            }
            word.push(character.to_ascii_lowercase());
        }
        word
    }

    /// Whether the broker keeps messages of this kind. Of all others it means nothing that one claims to have been kept.
    #[must_use]
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Presence | Self::Manifest | Self::SnapshotPart | Self::Epoch)
    }

    /// Whether messages of this kind may appear on a topic; elsewhere they are refused, so that one accepted on a quiet
    /// topic is never acted upon in another role.
    pub(crate) fn belongs_on(self, topic: &Topic) -> bool {
        match topic {
            Topic::Presence { .. } => self == Self::Presence,
            Topic::Will { .. } => self == Self::Will,
            Topic::Changes(_) => self == Self::Changes,
            Topic::Manifest { .. } => self == Self::Manifest,
            Topic::SnapshotPart { .. } => self == Self::SnapshotPart,
            Topic::Cursor(_) => self == Self::Cursor,
            Topic::Messages(_) => self == Self::Application,
            Topic::KeyNotices(_) => self == Self::KeyNotice,
            Topic::Epoch(_) => self == Self::Epoch,
            Topic::Sync(_) => {
                matches!(self, Self::SyncRequest | Self::SyncAnnouncement | Self::HeadsAnnouncement | Self::Members)
            }
            Topic::Inbox { .. } => matches!(
                self,
                Self::Presence | Self::SyncRequest | Self::SyncAnnouncement | Self::SyncReply | Self::HeadsAnnouncement
            ),
        }
    }
}

impl Body {
    /// What the message is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Presence(_) => Kind::Presence,
            Self::Will(_) => Kind::Will,
            Self::Changes(_) => Kind::Changes,
            Self::Manifest(_) => Kind::Manifest,
            Self::SnapshotPart(_) => Kind::SnapshotPart,
            Self::SyncRequest(_) => Kind::SyncRequest,
            Self::SyncAnnouncement(_) => Kind::SyncAnnouncement,
            Self::SyncReply(_) => Kind::SyncReply,
            Self::HeadsAnnouncement(_) => Kind::HeadsAnnouncement,
            Self::Cursor(_) => Kind::Cursor,
            Self::Application(_) => Kind::Application,
            Self::KeyNotice(_) => Kind::KeyNotice,
            Self::Epoch(_) => Kind::Epoch,
            Self::Members(_) => Kind::Members,
        }
    }
}

impl Topic {
    /// The only peer that may publish on the topic, or `None` where every peer may.
    #[must_use]
    pub fn owner(&self) -> Option<&PeerId> {
        match self {
            Self::Presence { peer, .. } | Self::Will { peer } => Some(peer),
            Self::Manifest { writer, .. } => Some(writer),
            Self::Changes(_)
            | Self::SnapshotPart { .. }
            | Self::Cursor(_)
            | Self::Sync(_)
            | Self::Inbox { .. }
            | Self::Messages(_)
            | Self::KeyNotices(_)
            | Self::Epoch(_) => None,
        }
    }

    /// Whether messages on the topic are published with MQTT's retain flag; those must fit one packet, for a broker
    /// retains one message a topic.
    #[must_use]
    pub fn retained(&self) -> bool {
        matches!(self, Self::Presence { .. } | Self::Manifest { .. } | Self::SnapshotPart { .. } | Self::Epoch(_))
    }
}
