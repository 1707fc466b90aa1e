//! MQTT topics: a bijection between [`Topic`] and text (`docs/protocol.md`, section 2).

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

use crate::crypto::{Identity, KeyId, NameTag, RootSecret};
use crate::ids::{CanvasId, DocumentId, Generation, PeerId, RepositoryName};
use crate::limits::MAX_TOPIC_PREFIX_BYTES;
use crate::wire::keyring::{Keyed, Keyring, Spelling};

/// First level below the prefix; peers of other versions do not meet on a topic.
const VERSION_LEVEL: &str = "v1";

/// Everything but `[A-Za-z0-9_-]`, so that no name injects a level, a wildcard, or `.`, which some brokers treat as `/`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');

/// Where a message is published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// A peer's birth, heartbeat and leave-taking; retained.
    Presence {
        /// The repository in which the peer takes part.
        repository: RepositoryName,
        /// The peer, which alone may publish here.
        peer: PeerId,
    },
    /// A peer's Last Will.
    Will {
        /// The peer, which alone may publish here.
        peer: PeerId,
    },
    /// New changes of a document.
    Changes(DocumentId),
    /// A writer's manifest of a document; retained.
    Manifest {
        /// The document.
        document: DocumentId,
        /// The writer, which alone may publish here.
        writer: PeerId,
    },
    /// A part of a document's snapshot; retained.
    SnapshotPart {
        /// The document.
        document: DocumentId,
        /// SHA-256 of the part.
        digest: [u8; 32],
    },
    /// Cursors and selections on a document.
    Cursor(DocumentId),
    /// Requests to catch up, and what all should hear about them.
    Sync(RepositoryName),
    /// What is meant for one peer.
    Inbox {
        /// The repository that it is about.
        repository: RepositoryName,
        /// The peer that reads it.
        peer: PeerId,
    },
    /// What applications broadcast.
    Messages(RepositoryName),
    /// Where peers of encrypted repositories of one name tell which key they use.
    KeyNotices(NameTag),
    /// In an encrypted repository: what replaced the key with which it is sealed; retained.
    Epoch(RepositoryName),
}

/// A prefix that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopicError {
    /// A level is empty or has a character that brokers treat differently.
    #[error("topic prefix {prefix:?}: use levels of [A-Za-z0-9_-], separated by single slashes, such as \"mind-git\"")]
    InvalidPrefix {
        /// The prefix.
        prefix: String,
    },
    /// The prefix is longer than [`MAX_TOPIC_PREFIX_BYTES`].
    #[error("topic prefix of {bytes} bytes; at most {MAX_TOPIC_PREFIX_BYTES} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// All topics below one prefix; in encrypted repositories keyed hashes stand for names.
#[derive(Debug, Clone)]
pub struct TopicSpace {
    /// With the slash that ends it.
    prefix: String,
    /// If the repositories are encrypted.
    keyring: Option<Arc<Keyring>>,
}

impl TopicSpace {
    /// The topics below `prefix`: one or more levels of `[A-Za-z0-9_-]`, such as `mind-git`.
    ///
    /// # Errors
    /// [`TopicError`].
    pub fn new(prefix: &str) -> Result<Self, TopicError> {
        if prefix.len() > MAX_TOPIC_PREFIX_BYTES {
            return Err(TopicError::TooLong { bytes: prefix.len() });
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if prefix.split('/').all(|level| !level.is_empty() && level.bytes().all(plain)) {
            Ok(Self { prefix: format!("{prefix}/"), keyring: None })
        } else {
            Err(TopicError::InvalidPrefix { prefix: prefix.to_owned() })
        }
    }

    /// The same topics where all repositories are encrypted with this secret.
    #[must_use]
    pub fn encrypted(self, root: Arc<RootSecret>) -> Self {
        Self { keyring: Some(Arc::new(Keyring::new(root))), ..self }
    }

    /// The same topics after the key of one repository was replaced.
    #[must_use]
    pub fn rotated(&self, repository: &RepositoryName, root: Arc<RootSecret>) -> Self {
        let keyring = self.keyring.as_ref().map(|keyring| Arc::new(keyring.rotated(repository, root)));
        Self { prefix: self.prefix.clone(), keyring }
    }

    /// The same topics, but those of one repository with the key that it has elsewhere.
    #[must_use]
    pub fn with_key_of(&self, repository: &RepositoryName, other: &Self) -> Self {
        match &other.keyring {
            Some(keyring) => self.rotated(repository, keyring.root_of(repository)),
            None => self.clone(),
        }
    }

    /// The same topics, but a canvas has a key of its own, and its topics are in a space of their own.
    #[must_use]
    pub fn shared(&self, document: &DocumentId, space: &RepositoryName, root: Arc<RootSecret>) -> Self {
        let keyring = self.keyring.as_ref().map(|keyring| Arc::new(keyring.shared(document, space, root)));
        Self { prefix: self.prefix.clone(), keyring }
    }

    /// What a document's topics are under: its repository, or the space of a canvas with a key of its own.
    #[must_use]
    pub fn space_of(&self, document: &DocumentId) -> RepositoryName {
        match &self.keyring {
            Some(keyring) => keyring.space_of(document).clone(),
            None => document.repository().clone(),
        }
    }

    /// Whom keys of canvases are wrapped for that are shared into a repository; `None` without encryption.
    #[must_use]
    pub fn sharing(&self, repository: &RepositoryName) -> Option<Arc<Identity>> {
        self.keyed(repository).map(|keyed| keyed.keys.sharing())
    }

    /// Whether a repository's key was replaced, so that it is no longer that of the others.
    #[must_use]
    pub fn is_rotated(&self, repository: &RepositoryName) -> bool {
        self.keyring.as_ref().is_some_and(|keyring| keyring.is_rotated(repository))
    }

    /// Which key a repository has, and how often it has been replaced; `None` without encryption.
    #[must_use]
    pub fn key_of(&self, repository: &RepositoryName) -> Option<(KeyId, u64)> {
        self.keyed(repository).map(|keyed| (keyed.keys.id(), keyed.epoch))
    }

    /// Whether the repositories are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.keyring.is_some()
    }

    /// The topic as text.
    #[must_use]
    pub fn format(&self, topic: &Topic) -> String {
        let keyed = self.keyed_of(topic);
        format!("{}{}", self.prefix, topic.path(Spelling::of(keyed.as_deref())))
    }

    /// The topic of a text, or `None` where it is not one of ours. Strict: only what [`Self::format`] makes is read. Of an
    /// encrypted repository's topics those are read that name neither a canvas nor a part of a snapshot; for the others
    /// see [`read`](super::sealed::read).
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<Topic> {
        let path = text.strip_prefix(&self.prefix)?;
        let Some(keyring) = &self.keyring else { return Topic::from_path(path) };
        let (level, rest) = path.strip_prefix(VERSION_LEVEL)?.strip_prefix('/')?.split_once('/')?;
        match keyring.by_level(level) {
            Some(keyed) => {
                let names = rest.starts_with("canvas/") || rest.starts_with("index/snapshot/");
                let plain = || format!("{VERSION_LEVEL}/{}/{rest}", encode(keyed.repository.as_str()));
                (!names).then(plain).and_then(|path| Topic::from_path(&path))
            }
            None => Topic::from_path(path).filter(|topic| topic.repository().is_none()),
        }
    }

    /// Where those who call an encrypted repository by this name tell which key they use, and which it is here. Computed
    /// when it is first asked for, which takes a while; `None` without encryption.
    #[must_use]
    pub fn key_notices(&self, repository: &RepositoryName) -> Option<(Topic, KeyId)> {
        let keyed = self.keyed(repository)?;
        Some((Topic::KeyNotices(keyed.tag()), keyed.keys.id()))
    }

    /// The keys of a repository, if it is encrypted.
    pub(super) fn keyed(&self, repository: &RepositoryName) -> Option<Arc<Keyed>> {
        self.keyring.as_ref().map(|keyring| keyring.of(repository))
    }

    /// The keys of what a topic is under, if it is encrypted.
    pub(super) fn keyed_of(&self, topic: &Topic) -> Option<Arc<Keyed>> {
        match topic.document() {
            Some(document) => self.keyring.as_ref().map(|keyring| keyring.of(keyring.space_of(document))),
            None => self.keyed(topic.repository()?),
        }
    }

    /// The encrypted repository to which a topic belongs, if it is one that is listened to.
    pub(super) fn keyed_of_text(&self, text: &str) -> Option<Arc<Keyed>> {
        let mut levels = text.strip_prefix(&self.prefix)?.split('/');
        let (VERSION_LEVEL, level) = (levels.next()?, levels.next()?) else { return None };
        self.keyring.as_ref()?.by_level(level)
    }

    /// `v1`, and the level that stands for a repository, below the prefix.
    fn root_of(&self, repository: &RepositoryName) -> String {
        let keyed = self.keyed(repository);
        format!("{}{VERSION_LEVEL}/{}", self.prefix, Spelling::of(keyed.as_deref()).repository(repository))
    }

    /// The filter that matches the presences of all peers of a repository.
    #[must_use]
    pub fn all_presence(&self, repository: &RepositoryName) -> String {
        format!("{}/peers/+", self.root_of(repository))
    }

    /// The filter that matches the Wills of all peers. It also matches topics of a repository named `will`, which
    /// [`Self::parse`] tells apart.
    #[must_use]
    pub fn all_wills(&self) -> String {
        format!("{}{VERSION_LEVEL}/will/+", self.prefix)
    }

    /// The filter that matches the changes of all canvases of a repository.
    #[must_use]
    pub fn all_changes(&self, repository: &RepositoryName) -> String {
        format!("{}/canvas/+/+/changes", self.root_of(repository))
    }

    /// The filter that matches the cursors on all canvases of a repository.
    #[must_use]
    pub fn all_cursors(&self, repository: &RepositoryName) -> String {
        format!("{}/canvas/+/+/presence", self.root_of(repository))
    }

    /// Where a peer measures round trips with itself; no message of this protocol, and of no meaning to others.
    #[must_use]
    pub fn probe(&self, peer: &PeerId) -> String {
        format!("{}{VERSION_LEVEL}/probe/{peer}", self.prefix)
    }

    /// The filter that matches where all peers measure round trips; to see whether a broker gives retained messages to wildcards.
    #[must_use]
    pub fn all_probes(&self) -> String {
        format!("{}{VERSION_LEVEL}/probe/+", self.prefix)
    }

    /// The part of a topic or filter below the prefix: the version level, the repository's level, and so on.
    #[must_use]
    pub fn below<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix(&self.prefix)
    }

    /// The filter that matches all writers' manifests of all canvases of a repository.
    #[must_use]
    pub fn all_canvas_manifests(&self, repository: &RepositoryName) -> String {
        format!("{}/canvas/+/+/heads/+", self.root_of(repository))
    }

    /// The filter that matches all writers' manifests of a document.
    #[must_use]
    pub fn all_manifests(&self, document: &DocumentId) -> String {
        let keyed = self.keyring.as_ref().map(|keyring| keyring.of(keyring.space_of(document)));
        format!("{}{VERSION_LEVEL}/{}/heads/+", self.prefix, Spelling::of(keyed.as_deref()).document(document))
    }
}

impl Topic {
    /// The repository under which it is; a Will belongs to none, and of key notices the topic does not tell.
    #[must_use]
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Presence { repository, .. }
            | Self::Inbox { repository, .. }
            | Self::Sync(repository)
            | Self::Messages(repository)
            | Self::Epoch(repository) => Some(repository),
            Self::Changes(_) | Self::Cursor(_) | Self::Manifest { .. } | Self::SnapshotPart { .. } => {
                self.document().map(DocumentId::repository)
            }
            Self::Will { .. } | Self::KeyNotices(_) => None,
        }
    }

    /// The document that it is about.
    fn document(&self) -> Option<&DocumentId> {
        match self {
            Self::Changes(document)
            | Self::Cursor(document)
            | Self::Manifest { document, .. }
            | Self::SnapshotPart { document, .. } => Some(document),
            _ => None,
        }
    }

    /// The topic below the prefix. Signatures cover it, so a message cannot be moved to another topic; they do not cover
    /// the prefix, which is a matter of how a broker is set up.
    pub(super) fn path(&self, spelling: Spelling<'_>) -> String {
        let below = match self {
            Self::Presence { repository, peer } => format!("{}/peers/{peer}", spelling.repository(repository)),
            Self::Will { peer } => format!("will/{peer}"),
            Self::Changes(document) => format!("{}/changes", spelling.document(document)),
            Self::Manifest { document, writer } => format!("{}/heads/{writer}", spelling.document(document)),
            Self::SnapshotPart { document, digest } => {
                format!("{}/snapshot/{}", spelling.document(document), spelling.part(document, digest))
            }
            Self::Cursor(document) => format!("{}/presence", spelling.document(document)),
            Self::Sync(repository) => format!("{}/sync", spelling.repository(repository)),
            Self::Inbox { repository, peer } => format!("{}/inbox/{peer}", spelling.repository(repository)),
            Self::Messages(repository) => format!("{}/messages", spelling.repository(repository)),
            Self::KeyNotices(tag) => format!("{tag}/keys"),
            Self::Epoch(repository) => format!("{}/epoch", spelling.repository(repository)),
        };
        format!("{VERSION_LEVEL}/{below}")
    }

    /// [`Self::path`] with names as they are: what is signed without encryption, and travels sealed with it.
    #[must_use]
    pub fn plain_path(&self) -> String {
        self.path(Spelling::Plain)
    }

    /// The topic of a path in which names are as they are.
    pub(super) fn from_path(path: &str) -> Option<Self> {
        let levels: Vec<&str> = path.split('/').collect();
        let [VERSION_LEVEL, levels @ ..] = levels.as_slice() else { return None };
        let topic = match levels {
            // Before `will`, so that a repository may bear that name: no peer id is `sync`, `messages` or `epoch`.
            [repository, "sync"] => Self::Sync(repository_name(repository)?),
            [repository, "messages"] => Self::Messages(repository_name(repository)?),
            [repository, "epoch"] => Self::Epoch(repository_name(repository)?),
            [tag, "keys"] => {
                let mut bytes = [0; 16];
                hex::decode_to_slice(tag, &mut bytes).ok()?;
                Self::KeyNotices(NameTag(bytes))
            }
            ["will", peer] => Self::Will { peer: peer.parse().ok()? },
            [repository, "peers", peer] => {
                Self::Presence { repository: repository_name(repository)?, peer: peer.parse().ok()? }
            }
            [repository, "inbox", peer] => {
                Self::Inbox { repository: repository_name(repository)?, peer: peer.parse().ok()? }
            }
            [repository, "index", rest @ ..] => {
                Self::of_document(DocumentId::Index { repository: repository_name(repository)? }, rest)?
            }
            [repository, "canvas", canvas, generation, rest @ ..] => {
                let document = DocumentId::Canvas {
                    repository: repository_name(repository)?,
                    canvas: CanvasId::new(&decode(canvas)?).ok()?,
                    generation: Generation(generation.parse().ok()?),
                };
                Self::of_document(document, rest)?
            }
            _ => return None,
        };
        // One topic, one text: a second spelling would let one message pass as two.
        (topic.plain_path() == path).then_some(topic)
    }

    fn of_document(document: DocumentId, rest: &[&str]) -> Option<Self> {
        Some(match rest {
            ["changes"] => Self::Changes(document),
            ["presence"] => Self::Cursor(document),
            ["heads", writer] => Self::Manifest { document, writer: writer.parse().ok()? },
            ["snapshot", part] => {
                let mut digest = [0; 32];
                hex::decode_to_slice(part, &mut digest).ok()?;
                Self::SnapshotPart { document, digest }
            }
            _ => return None,
        })
    }
}

impl<'a> Spelling<'a> {
    pub(super) fn of(keyed: Option<&'a Keyed>) -> Self {
        keyed.map_or(Self::Plain, Self::Keyed)
    }

    fn repository(self, repository: &RepositoryName) -> String {
        match self {
            Self::Plain => encode(repository.as_str()).to_string(),
            Self::Keyed(keyed) => keyed.level.clone(),
        }
    }

    fn document(self, document: &DocumentId) -> String {
        let repository = self.repository(document.repository());
        match (document, self) {
            (DocumentId::Index { .. }, _) => format!("{repository}/index"),
            (DocumentId::Canvas { canvas, generation, .. }, Self::Plain) => {
                format!("{repository}/canvas/{}/{}", encode(canvas.as_str()), generation.0)
            }
            (DocumentId::Canvas { canvas, generation, .. }, Self::Keyed(keyed)) => {
                let (canvas, generation) = keyed.canvas(canvas, generation.0);
                format!("{repository}/canvas/{canvas}/{generation}")
            }
        }
    }

    fn part(self, document: &DocumentId, digest: &[u8; 32]) -> String {
        match self {
            Self::Plain => hex::encode(digest),
            Self::Keyed(keyed) => keyed.part(document, digest),
        }
    }
}

fn encode(name: &str) -> impl std::fmt::Display {
    utf8_percent_encode(name, ENCODED)
}

fn decode(level: &str) -> Option<std::borrow::Cow<'_, str>> {
    percent_decode_str(level).decode_utf8().ok()
}

fn repository_name(level: &str) -> Option<RepositoryName> {
    RepositoryName::new(&decode(level)?).ok()
}
