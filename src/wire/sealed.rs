//! Messages of repositories that may be encrypted (`docs/protocol.md`, section 10.1).
//!
//! Encoded, compressed, cut; then each piece, with the topic that the hashed one stands for, is padded, sealed and signed.
//! So nobody without the key gets anything into the reassembler, and nothing of a packet is read that was not authenticated.

use std::borrow::Cow;
use std::sync::Arc;

use rand_core::Rng;

use crate::crypto::identity::Identity;
use crate::crypto::repository::{SEAL_NONCE_BYTES, SEAL_TAG_BYTES};
use crate::limits::{MAX_ENVELOPE_OVERHEAD_BYTES, MAX_INBOUND_PACKET_BYTES};
use crate::wire::envelope::{Opened, Parts, Stamp, check_place, content, open_parts, push_counted, seal_with, split};
use crate::wire::error::WireError;
use crate::wire::gate::Gate;
use crate::wire::header::{Header, Priority, Seal};
use crate::wire::keyring::{Keyed, Spelling};
use crate::wire::messages::Body;
use crate::wire::padding::{pad, size_class_within, unpad};
use crate::wire::topics::{Topic, TopicSpace};

/// Begins the associated data of everything that is sealed.
const SEAL_DOMAIN: &[u8] = b"mind-git/mqtt-p2p/sealed/v1";
/// Bytes that hold the length of the topic before a piece.
const TOPIC_LENGTH_BYTES: usize = 2;
/// Padding adds at least this.
const MIN_PADDING_BYTES: usize = 1;

/// What a packet is to its receiver.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once, and every message would pay for a box")]
pub enum Arrival<'a> {
    /// The receiver's own message came back. Not verified.
    Echo(Topic),
    /// Verified, and decrypted where the repository is encrypted.
    Message(Topic, Opened<'a>),
}

/// Makes the packets that carry a body on a topic: as [`seal`](super::envelope::seal) does, or encrypted where the
/// repository is, with nonces from `rng`.
///
/// # Errors
/// As [`seal`](super::envelope::seal).
pub fn seal_on(
    space: &TopicSpace,
    rng: &mut dyn Rng,
    identity: &Identity,
    (topic, body): (&Topic, &Body),
    stamp: Stamp<'_>,
    priority: Priority,
    max_packet_bytes: usize,
) -> Result<Vec<Vec<u8>>, WireError> {
    let keyed = space.keyed_of(topic);
    let sealer = keyed.map(|keyed| Sealer::new(keyed, topic, rng));
    seal_with(sealer, identity, topic, stamp, priority, body, max_packet_bytes)
}

/// How many bytes of an encoded body a packet of `max_packet_bytes` holds on a topic; `None` for none.
#[must_use]
pub fn content_room(space: &TopicSpace, topic: &Topic, max_packet_bytes: usize) -> Option<usize> {
    if topic.repository().is_some() && space.is_encrypted() {
        sealed_room(&topic.plain_path(), max_packet_bytes)
    } else {
        max_packet_bytes.min(MAX_INBOUND_PACKET_BYTES).checked_sub(MAX_ENVELOPE_OVERHEAD_BYTES)
    }
}

/// Reads a packet that arrived on the topic of this text. Packets that the gate says to be own are echoes, except on the
/// topics of manifests and snapshot parts: what the broker keeps is read like that of others, whoever wrote it.
///
/// # Errors
/// Any [`WireError`]; the packet is then dropped and counted. Nothing of a body was parsed unless it was authentic.
pub fn read<'a>(
    space: &TopicSpace,
    text: &str,
    payload: &'a [u8],
    mut gate: impl Gate,
) -> Result<Arrival<'a>, WireError> {
    if let Some(keyed) = space.keyed_of_text(text) {
        return read_sealed(space, &keyed, text, payload, &mut gate);
    }
    let topic = space.parse(text).ok_or(WireError::UnknownTopic)?;
    let parts = split(payload)?;
    if gate.is_own(&parts.header) && !is_kept(&topic) {
        return Ok(Arrival::Echo(topic));
    }
    let opened = open_parts(&topic, parts, &mut gate)?;
    Ok(Arrival::Message(topic, opened))
}

fn is_kept(topic: &Topic) -> bool {
    matches!(topic, Topic::Manifest { .. } | Topic::SnapshotPart { .. })
}

fn read_sealed<'a>(
    space: &TopicSpace,
    keyed: &Keyed,
    text: &str,
    payload: &[u8],
    gate: &mut impl Gate,
) -> Result<Arrival<'a>, WireError> {
    let path = space.below(text).ok_or(WireError::UnknownTopic)?;
    let parts = split(payload)?;
    let seal = parts.header.seal.ok_or(WireError::NotSealed)?;
    if seal.key != keyed.keys.id() {
        return Err(WireError::OtherKey);
    }
    let own = gate.is_own(&parts.header);
    if !own {
        gate.admit(&parts.header)?;
    }
    let proof = if own { None } else { parts.verify(path)? };
    if !own {
        gate.verified(&parts.header)?;
    }
    let (topic, piece) = unseal(keyed, &seal, path, &parts)?;
    // Who has the key may still have sealed something for another topic.
    if space.format(&topic) != text {
        return Err(WireError::Malformed { what: "sealed topic" });
    }
    if own && !is_kept(&topic) {
        return Ok(Arrival::Echo(topic));
    }
    if own {
        parts.verify(path)?;
    }
    check_place(&topic, &parts.header)?;
    let content = content(&topic, &parts.header, Cow::Owned(piece), proof)?;
    Ok(Arrival::Message(topic, Opened { header: parts.header, content }))
}

/// The topic that was sealed with a piece, and the piece.
fn unseal(keyed: &Keyed, seal: &Seal, path: &str, parts: &Parts<'_>) -> Result<(Topic, Vec<u8>), WireError> {
    let associated = associated_data(path, parts.encoded_header);
    let padded = keyed.keys.unseal(&seal.nonce, &associated, parts.body)?;
    let malformed = WireError::Malformed { what: "sealed content" };
    let mut content = unpad(padded).ok_or(malformed.clone())?;
    let (length, rest) = content.split_first_chunk::<TOPIC_LENGTH_BYTES>().ok_or(malformed.clone())?;
    let plain_path = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or(malformed.clone())?;
    let topic = std::str::from_utf8(plain_path).ok().and_then(Topic::from_path).ok_or(malformed)?;
    let begin = TOPIC_LENGTH_BYTES + plain_path.len();
    content.drain(..begin);
    Ok((topic, content))
}

/// What is authenticated with a sealed piece: where it is published, and all that its header says.
fn associated_data(path: &str, encoded_header: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(512);
    data.extend_from_slice(SEAL_DOMAIN);
    push_counted(&mut data, path.as_bytes());
    push_counted(&mut data, encoded_header);
    data
}

/// How many bytes of an encoded body fit beside the topic in the largest size class of a packet.
fn sealed_room(plain_path: &str, max_packet_bytes: usize) -> Option<usize> {
    let sealed = max_packet_bytes.min(MAX_INBOUND_PACKET_BYTES).checked_sub(MAX_ENVELOPE_OVERHEAD_BYTES)?;
    let padded = size_class_within(sealed.checked_sub(SEAL_TAG_BYTES)?)?;
    let room = padded.checked_sub(TOPIC_LENGTH_BYTES + plain_path.len() + MIN_PADDING_BYTES)?;
    (room > 0).then_some(room)
}

/// Encrypts the pieces of one message.
pub(super) struct Sealer<'a> {
    keyed: Arc<Keyed>,
    /// The topic as it is published, and as it is meant.
    path: String,
    plain_path: String,
    rng: &'a mut dyn Rng,
}

impl<'a> Sealer<'a> {
    fn new(keyed: Arc<Keyed>, topic: &Topic, rng: &'a mut dyn Rng) -> Self {
        Self { path: topic.path(Spelling::Keyed(&keyed)), plain_path: topic.plain_path(), keyed, rng }
    }

    /// One that seals another topic than that on which it publishes.
    #[cfg(test)]
    pub(super) fn for_test(keyed: Arc<Keyed>, path: &str, plain_path: &str, rng: &'a mut dyn Rng) -> Self {
        Self { keyed, path: path.to_owned(), plain_path: plain_path.to_owned(), rng }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn room(&self, max_packet_bytes: usize) -> Option<usize> {
        sealed_room(&self.plain_path, max_packet_bytes)
    }

    /// Completes the header with key and nonce; the piece, sealed for it.
    pub(super) fn seal(&mut self, header: &mut Header, piece: &[u8]) -> Result<Vec<u8>, WireError> {
        let mut nonce = [0; SEAL_NONCE_BYTES];
        self.rng.fill_bytes(&mut nonce);
        header.seal = Some(Seal { key: self.keyed.keys.id(), nonce });
        let too_long =
            |_| WireError::TooLong { what: "topic", length: self.plain_path.len(), max: usize::from(u16::MAX) };
        let length = u16::try_from(self.plain_path.len()).map_err(too_long)?;
        let mut content = [&length.to_be_bytes(), self.plain_path.as_bytes(), piece].concat();
        pad(&mut content);
        let associated = associated_data(&self.path, &header.encode());
        Ok(self.keyed.keys.seal(&nonce, &associated, &content)?)
    }
}
