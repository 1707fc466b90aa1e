//! The header of an envelope (`docs/protocol.md`, section 3.2).

use crate::crypto::repository::{KeyId, SEAL_NONCE_BYTES};
use crate::ids::{Nonce, PeerId, Session};
use crate::limits::MAX_FRAGMENTS;
use crate::wire::codec::{Reader, Writer};
use crate::wire::error::WireError;
use crate::wire::kind::Kind;
use crate::wire::voucher::Statement;

/// The protocol version that this implementation speaks.
pub const PROTOCOL_VERSION: u64 = 1;

/// The order in which waiting messages leave. It decides nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Presence and what keeps peers together.
    Critical,
    /// Live edits.
    High,
    /// Catching up.
    Medium,
    /// Snapshots and other bulk.
    Low,
}

/// How the body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// One zstd frame (RFC 8878).
    Zstd,
}

/// Which piece of a message that did not fit one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Names the message within its sender's session and topic.
    pub message: Nonce,
    /// The place of this piece, from 0.
    pub index: u32,
    /// The number of pieces, 2 to [`MAX_FRAGMENTS`].
    pub count: u32,
}

/// How the body is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seal {
    /// The key, to which this commits.
    pub key: KeyId,
    /// Random, new for every packet.
    pub nonce: [u8; SEAL_NONCE_BYTES],
}

/// What an envelope says of itself, before its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Always [`PROTOCOL_VERSION`] in a header that could be read.
    pub version: u64,
    /// What the body is.
    pub kind: Kind,
    /// Who signed it.
    pub sender: PeerId,
    /// Which run of the sender's synchroniser; for a Will, its process's instance.
    pub session: Session,
    /// Grows by one with each message of the session on its topic; fragments count one by one.
    pub counter: u64,
    /// The sender's clock, in milliseconds since the Unix epoch. Information for people, never decides anything.
    pub sent_unix_ms: u64,
    /// How urgent the message was to its sender.
    pub priority: Priority,
    /// How the whole body, before it was cut into fragments, is compressed.
    pub codec: Codec,
    /// Present where the body is a piece of a larger one.
    pub fragment: Option<Fragment>,
    /// Present where the signature also vouches for the newest of the changes in the body.
    pub voucher: Option<Statement>,
    /// Present where the body, or the piece of one, is encrypted.
    pub seal: Option<Seal>,
}

// Keys of the header's map. Ascending order is part of the format: version and kind are known before all else.
const VERSION: u64 = 0;
const KIND: u64 = 1;
const SENDER: u64 = 2;
const SESSION: u64 = 3;
const COUNTER: u64 = 4;
const SENT: u64 = 5;
const PRIORITY: u64 = 6;
const CODEC: u64 = 7;
const FRAGMENT: u64 = 8;
/// Which key encrypts the body.
const KEY_ID: u64 = 9;
/// The nonce of the body's encryption.
const SEAL_NONCE: u64 = 10;
/// What the signature also vouches for.
const VOUCHER: u64 = 11;

impl Priority {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Critical => 0,
            Self::High => 1,
            Self::Medium => 2,
            Self::Low => 3,
        }
    }

    fn from_number(number: u64) -> Result<Self, WireError> {
        match number {
            0 => Ok(Self::Critical),
            1 => Ok(Self::High),
            2 => Ok(Self::Medium),
            3 => Ok(Self::Low),
            _ => Err(WireError::Malformed { what: "priority" }),
        }
    }
}

impl Codec {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Zstd => 1,
        }
    }

    fn from_number(number: u64) -> Result<Self, WireError> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Zstd),
            _ => Err(WireError::UnsupportedCodec(number)),
        }
    }
}

impl Fragment {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(3, "fragment")?;
        let message = Nonce(reader.uint("fragment")?);
        let malformed = |_| WireError::Malformed { what: "fragment" };
        let index = u32::try_from(reader.uint("fragment")?).map_err(malformed)?;
        let count = u32::try_from(reader.uint("fragment")?).map_err(malformed)?;
        if count > MAX_FRAGMENTS {
            return Err(WireError::TooLong { what: "fragments", length: count as usize, max: MAX_FRAGMENTS as usize });
        }
        if count < 2 || index >= count {
            return Err(WireError::Malformed { what: "fragment" });
        }
        Ok(Self { message, index, count })
    }
}

impl Header {
    /// The header as CBOR.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(128);
        let optional = [self.fragment.is_some(), self.seal.is_some(), self.seal.is_some(), self.voucher.is_some()];
        writer.map(8 + optional.into_iter().filter(|present| *present).count());
        for (key, value) in [(VERSION, self.version), (KIND, self.kind.number())] {
            writer.uint(key);
            writer.uint(value);
        }
        writer.uint(SENDER);
        writer.raw_bytes(&self.sender.0);
        for (key, value) in [
            (SESSION, self.session.0),
            (COUNTER, self.counter),
            (SENT, self.sent_unix_ms),
            (PRIORITY, self.priority.number()),
            (CODEC, self.codec.number()),
        ] {
            writer.uint(key);
            writer.uint(value);
        }
        if let Some(Fragment { message, index, count }) = self.fragment {
            writer.uint(FRAGMENT);
            writer.array(3);
            writer.uint(message.0);
            writer.uint(index.into());
            writer.uint(count.into());
        }
        if let Some(Seal { key, nonce }) = &self.seal {
            writer.uint(KEY_ID);
            writer.raw_bytes(&key.0);
            writer.uint(SEAL_NONCE);
            writer.raw_bytes(nonce);
        }
        if let Some(Statement(digest)) = &self.voucher {
            writer.uint(VOUCHER);
            writer.raw_bytes(digest);
        }
        writer.into_bytes()
    }

    /// Reads a header. Keys ascend, so each occurs once; unknown ones are passed over.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = Fields::default();
        let mut previous = None;
        for _ in 0..reader.map("header")? {
            let key = reader.uint("header")?;
            if previous.is_some_and(|previous| previous >= key) {
                return Err(WireError::Malformed { what: "header" });
            }
            previous = Some(key);
            fields.read(key, &mut reader)?;
        }
        reader.finish("header")?;
        if fields.key.is_some() != fields.nonce.is_some() {
            return Err(WireError::UnsupportedSealed);
        }
        fields.header().ok_or(WireError::Malformed { what: "header" })
    }
}

/// What of a header has been read so far.
#[derive(Default)]
struct Fields {
    version: Option<u64>,
    kind: Option<Kind>,
    sender: Option<PeerId>,
    session: Option<Session>,
    counter: Option<u64>,
    sent_unix_ms: Option<u64>,
    priority: Option<Priority>,
    codec: Option<Codec>,
    fragment: Option<Fragment>,
    key: Option<KeyId>,
    nonce: Option<[u8; SEAL_NONCE_BYTES]>,
    voucher: Option<Statement>,
}

impl Fields {
    fn read(&mut self, key: u64, reader: &mut Reader<'_>) -> Result<(), WireError> {
        match key {
            VERSION => match reader.uint("version")? {
                PROTOCOL_VERSION => self.version = Some(PROTOCOL_VERSION),
                other => return Err(WireError::UnsupportedVersion(other)),
            },
            KIND => {
                let number = reader.uint("kind")?;
                self.kind = Some(Kind::from_number(number).ok_or(WireError::UnsupportedKind(number))?);
            }
            SENDER => self.sender = Some(PeerId(reader.fixed("sender")?)),
            SESSION => self.session = Some(Session(reader.uint("session")?)),
            COUNTER => self.counter = Some(reader.uint("counter")?),
            SENT => self.sent_unix_ms = Some(reader.uint("time sent")?),
            PRIORITY => self.priority = Some(Priority::from_number(reader.uint("priority")?)?),
            CODEC => self.codec = Some(Codec::from_number(reader.uint("codec")?)?),
            FRAGMENT => self.fragment = Some(Fragment::read(reader)?),
            // Of another form: sealed in a way that a later version may have.
            KEY_ID => {
                self.key = Some(KeyId(reader.fixed("key id").map_err(|_| WireError::UnsupportedSealed)?));
            }
            SEAL_NONCE => {
                self.nonce = Some(reader.fixed("nonce").map_err(|_| WireError::UnsupportedSealed)?);
            }
            VOUCHER => self.voucher = Some(Statement(reader.fixed("voucher")?)),
            _ => reader.skip("header")?,
        }
        Ok(())
    }

    fn header(self) -> Option<Header> {
        Some(Header {
            version: self.version?,
            kind: self.kind?,
            sender: self.sender?,
            session: self.session?,
            counter: self.counter?,
            sent_unix_ms: self.sent_unix_ms?,
            priority: self.priority?,
            codec: self.codec?,
            fragment: self.fragment,
            voucher: self.voucher,
            seal: self.key.zip(self.nonce).map(|(key, nonce)| Seal { key, nonce }),
        })
    }
}
