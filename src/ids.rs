//! Names and identifiers. Each is a newtype, so that a canvas id is never passed where a repository is meant.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use automerge::ChangeHash;
use thiserror::Error;

use crate::limits::MAX_NAME_BYTES;

/// A name that cannot be an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// The name is empty.
    #[error("{kind} must not be empty")]
    Empty {
        /// What was being named, such as "repository".
        kind: &'static str,
    },
    /// The name is longer than [`MAX_NAME_BYTES`] bytes of UTF-8.
    #[error("{kind} has {bytes} bytes of UTF-8; at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// What was being named.
        kind: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// The text is not a multibase Ed25519 public key (`z6Mk…`).
    #[error("not a peer id: expected the multibase form of an Ed25519 public key, such as z6Mk…")]
    NotAPeer,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Takes a non-empty name of at most [`MAX_NAME_BYTES`] bytes of UTF-8.
            ///
            /// # Errors
            /// [`IdError::Empty`] or [`IdError::TooLong`].
            pub fn new(name: &str) -> Result<Self, IdError> {
                match name.len() {
                    0 => Err(IdError::Empty { kind: $kind }),
                    1..=MAX_NAME_BYTES => Ok(Self(name.into())),
                    bytes => Err(IdError::TooLong { kind: $kind, bytes }),
                }
            }

            /// The name as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The name of a repository: a group of canvases that the same peers replicate.
    RepositoryName, "repository"
}

name! {
    /// The id of a canvas within its repository; slashes are allowed.
    CanvasId, "canvasId"
}

/// How many times a canvas id was created anew after a deletion, starting at 1. Each generation is a document of its
/// own, so that nodes of a deleted canvas never reappear in its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// One replicated document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentId {
    /// The list of a repository's canvases.
    Index {
        /// The repository whose canvases are listed.
        repository: RepositoryName,
    },
    /// One generation of one canvas.
    Canvas {
        /// The repository in which the document lives (its *origin*; others may share it).
        repository: RepositoryName,
        /// The canvas within the origin.
        canvas: CanvasId,
        /// Which of the documents that bore this id.
        generation: Generation,
    },
}

impl DocumentId {
    /// The repository under whose topics the document's messages travel.
    #[must_use]
    pub fn repository(&self) -> &RepositoryName {
        match self {
            Self::Index { repository } | Self::Canvas { repository, .. } => repository,
        }
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { repository } => write!(f, "{repository}/index"),
            Self::Canvas { repository, canvas, generation } => {
                write!(f, "{repository}/canvas/{canvas}#{}", generation.0)
            }
        }
    }
}

/// Multicodec prefix of an Ed25519 public key (0xed as a varint), as in `did:key`.
const ED25519_MULTICODEC: [u8; 2] = [0xed, 0x01];

/// A peer: its Ed25519 public key. Displayed in multibase base58btc with the multicodec prefix (`z6Mk…`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 32]);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 34];
        bytes[..2].copy_from_slice(&ED25519_MULTICODEC);
        bytes[2..].copy_from_slice(&self.0);
        write!(f, "z{}", bs58::encode(bytes).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PeerId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 34];
        let encoded = text.strip_prefix('z').ok_or(IdError::NotAPeer)?;
        match bs58::decode(encoded).onto(&mut bytes) {
            Ok(34) if bytes.starts_with(&ED25519_MULTICODEC) => {
                let mut key = [0; 32];
                key.copy_from_slice(&bytes[2..]);
                Ok(Self(key))
            }
            _ => Err(IdError::NotAPeer),
        }
    }
}

/// A number that is new at every start of a synchroniser; message counters run within it. Its upper 48 bits number the starts
/// of the peer's process and only grow, the rest tells apart what runs in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub u64);

impl Session {
    /// The session of the part of a number in the process of a start; the start counts below 2^48.
    #[must_use]
    pub fn of(start: u64, number: u16) -> Self {
        Self(start << 16 | u64::from(number))
    }

    /// Which start of the peer's process.
    #[must_use]
    pub fn start(self) -> u64 {
        self.0 >> 16
    }

    /// Which part of it.
    #[must_use]
    pub fn number(self) -> u16 {
        u16::try_from(self.0 & u64::from(u16::MAX)).unwrap_or(u16::MAX)
    }
}

/// A random number that names one request, fragmented message or similar within the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub u64);

/// The newest changes of a document: a sorted set, empty before the first change.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Heads(Vec<ChangeHash>);

impl Heads {
    /// The set of the given hashes.
    #[must_use]
    pub fn new(mut hashes: Vec<ChangeHash>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// The hashes in ascending order.
    #[must_use]
    pub fn as_slice(&self) -> &[ChangeHash] {
        &self.0
    }
}

impl FromIterator<ChangeHash> for Heads {
    fn from_iter<I: IntoIterator<Item = ChangeHash>>(hashes: I) -> Self {
        Self::new(hashes.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_id_reads_back_from_its_text() {
        let peer = PeerId([7; 32]);
        let text = peer.to_string();
        assert!(text.starts_with("z6Mk"), "{text}");
        assert_eq!(text.parse(), Ok(peer));
    }

    #[test]
    fn what_is_no_peer_id_is_refused() {
        for text in ["", "z", "z6Mk", "6Mk", "zzzz", &"z".repeat(500)] {
            assert_eq!(text.parse::<PeerId>(), Err(IdError::NotAPeer), "{text}");
        }
    }

    #[test]
    fn names_are_bounded() {
        assert_eq!(CanvasId::new(""), Err(IdError::Empty { kind: "canvasId" }));
        assert!(CanvasId::new(&"x".repeat(MAX_NAME_BYTES)).is_ok());
        assert!(CanvasId::new(&"x".repeat(MAX_NAME_BYTES + 1)).is_err());
    }
}
