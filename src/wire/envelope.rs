//! Sealing and opening: header, body and signature in one packet (`docs/protocol.md`, section 3).

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::crypto::identity::{Identity, SIGNATURE_BYTES, verify};
use crate::ids::{Nonce, Session};
use crate::limits::{
    MAX_BODY_BYTES, MAX_ENVELOPE_OVERHEAD_BYTES, MAX_FRAGMENTS, MAX_HEADER_BYTES, MAX_INBOUND_PACKET_BYTES,
};
use crate::wire::codec::{self, Limit, Reader, Writer};
use crate::wire::compress;
use crate::wire::error::WireError;
use crate::wire::gate::Gate;
use crate::wire::kind::Kind;
use crate::wire::messages::Body;
use crate::wire::sealed::Sealer;
use crate::wire::topics::Topic;
use crate::wire::voucher::{EnvelopeProof, Statement};

pub use crate::wire::header::{Codec, Fragment, Header, PROTOCOL_VERSION, Priority};

/// Begins everything that an envelope's signature covers, so that no signature made for another purpose fits.
const SIGNATURE_DOMAIN: &[u8] = b"mind-git/mqtt-p2p/envelope/v1";

const PACKET: Limit = Limit { what: "packet", max: MAX_INBOUND_PACKET_BYTES };
const INFLATED: Limit = Limit { what: "inflated body", max: MAX_BODY_BYTES };
const HEADER: Limit = Limit { what: "header", max: MAX_HEADER_BYTES };

/// What the sender's state adds to a message.
#[derive(Debug)]
pub struct Stamp<'a> {
    /// The sender's session.
    pub session: Session,
    /// The number that the next packet of this session on this topic bears; grows by one for each packet made.
    pub counter: &'a mut u64,
    /// The sender's clock, in milliseconds since the Unix epoch.
    pub sent_unix_ms: u64,
    /// A fresh random number; names the message if it is cut into fragments.
    pub message: Nonce,
    /// What the signature shall vouch for too; only for [`Body::Changes`] that are not cut.
    pub vouches: Option<Statement>,
}

/// What a verified packet holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened<'a> {
    /// Its header.
    pub header: Header,
    /// Its body, or a piece of one.
    pub content: Content<'a>,
}

/// A body, or a piece of one.
#[derive(Debug, Clone, PartialEq)]
pub enum Content<'a> {
    /// The whole body.
    Whole(Body),
    /// A piece for [`Reassembler::add`](crate::wire::fragments::Reassembler::add).
    Fragment(Cow<'a, [u8]>),
}

/// Makes the packets that carry a body on a topic: one, or several fragments where it exceeds `max_packet_bytes`.
///
/// # Errors
/// * [`WireError::MisplacedKind`], [`WireError::ForeignTopic`]: the topic is not one for this body or sender.
/// * [`WireError::TooLong`], [`WireError::Malformed`]: the body exceeds a bound that receivers enforce.
/// * [`WireError::NotFragmentable`]: a retained message, a Will or one that vouches, that does not fit one packet.
/// * [`WireError::PacketTooSmall`]: `max_packet_bytes` leaves no room for content.
///
/// The counter is then as it was.
pub fn seal(
    identity: &Identity,
    topic: &Topic,
    stamp: Stamp<'_>,
    priority: Priority,
    body: &Body,
    max_packet_bytes: usize,
) -> Result<Vec<Vec<u8>>, WireError> {
    seal_with(None, identity, topic, stamp, priority, body, max_packet_bytes)
}

/// [`seal`], and encrypts where there is a sealer.
pub(super) fn seal_with(
    mut sealer: Option<Sealer<'_>>,
    identity: &Identity,
    topic: &Topic,
    stamp: Stamp<'_>,
    priority: Priority,
    body: &Body,
    max_packet_bytes: usize,
) -> Result<Vec<Vec<u8>>, WireError> {
    let Stamp { session, counter, sent_unix_ms, message, vouches } = stamp;
    let kind = body.kind();
    let mut header = Header {
        version: PROTOCOL_VERSION,
        kind,
        sender: identity.peer(),
        session,
        counter: *counter,
        sent_unix_ms,
        priority,
        codec: Codec::None,
        fragment: None,
        voucher: vouches,
        seal: None,
    };
    check_place(topic, &header)?;
    let (codec, bytes) = compress::deflate(codec::encode(body)?);
    header.codec = codec;

    let room = match &sealer {
        None => room(max_packet_bytes),
        Some(sealer) => sealer.room(max_packet_bytes),
    };
    let room = room.ok_or(WireError::PacketTooSmall { max_packet_bytes })?;
    let pieces = cut(topic, kind, &bytes, room)?;
    if vouches.is_some() && pieces.len() > 1 {
        return Err(WireError::NotFragmentable { kind, bytes: bytes.len(), max: room });
    }
    let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
    let mut signed = match &sealer {
        None => SignatureInput::new(&topic.plain_path()),
        Some(sealer) => SignatureInput::new(sealer.path()),
    };
    let mut packets = Vec::with_capacity(pieces.len());
    let mut next = *counter;
    for (index, piece) in (0..count).zip(pieces) {
        header.counter = next;
        header.fragment = (count > 1).then_some(Fragment { message, index, count });
        packets.push(match &mut sealer {
            None => packet(identity, &mut signed, &header, piece),
            Some(sealer) => {
                let sealed = sealer.seal(&mut header, piece)?;
                packet(identity, &mut signed, &header, &sealed)
            }
        });
        next = next.wrapping_add(1);
    }
    *counter = next;
    Ok(packets)
}

/// How much of a body a packet holds without encryption; `None` for nothing.
fn room(max_packet_bytes: usize) -> Option<usize> {
    let room = max_packet_bytes.min(MAX_INBOUND_PACKET_BYTES).checked_sub(MAX_ENVELOPE_OVERHEAD_BYTES);
    room.filter(|room| *room > 0)
}

/// The header of a packet, *not verified*: good only to recognise an echo of what this peer sent itself, or to count.
///
/// # Errors
/// [`WireError::TooLong`], [`WireError::Malformed`], or one of the `Unsupported…` variants.
pub fn peek(payload: &[u8]) -> Result<Header, WireError> {
    split(payload).map(|parts| parts.header)
}

/// Reads and verifies a packet that arrived on a topic.
///
/// # Errors
/// Any [`WireError`]; the packet is then dropped and counted.
pub fn open<'a>(topic: &Topic, payload: &'a [u8]) -> Result<Opened<'a>, WireError> {
    open_parts(topic, split(payload)?, &mut |_: &Header| false)
}

/// [`open`] of a packet that was split already, as far as the gate lets it.
pub(super) fn open_parts<'a>(topic: &Topic, parts: Parts<'a>, gate: &mut impl Gate) -> Result<Opened<'a>, WireError> {
    if parts.header.seal.is_some() {
        return Err(WireError::UnsupportedSealed);
    }
    check_place(topic, &parts.header)?;
    gate.admit(&parts.header)?;
    let proof = parts.verify(&topic.plain_path())?;
    gate.verified(&parts.header)?;
    let content = content(topic, &parts.header, Cow::Borrowed(parts.body), proof)?;
    Ok(Opened { header: parts.header, content })
}

/// What verified (and decrypted) bytes are: a whole body, which is read, or a piece of one.
pub(super) fn content<'a>(
    topic: &Topic,
    header: &Header,
    bytes: Cow<'a, [u8]>,
    proof: Option<EnvelopeProof>,
) -> Result<Content<'a>, WireError> {
    match header.fragment {
        Some(_) if !may_be_cut(topic, header.kind) => Err(WireError::Malformed { what: "fragment" }),
        Some(_) if bytes.is_empty() => Err(WireError::Malformed { what: "fragment" }),
        Some(_) => Ok(Content::Fragment(bytes)),
        None => {
            let mut body = read_body(topic, header, &bytes)?;
            if let Body::Changes(changes) = &mut body {
                changes.proof = proof.map(Box::new);
            }
            Ok(Content::Whole(body))
        }
    }
}

/// Reads a whole body: inflates it, decodes it, and compares it with the digest that the topic may name.
pub(super) fn read_body(topic: &Topic, header: &Header, bytes: &[u8]) -> Result<Body, WireError> {
    let body = match header.codec {
        Codec::None => codec::decode(header.kind, bytes)?,
        Codec::Zstd => codec::decode(header.kind, &compress::inflate(bytes, INFLATED)?)?,
    };
    match (topic, &body) {
        (Topic::SnapshotPart { digest, .. }, Body::SnapshotPart(part)) if Sha256::digest(part)[..] != digest[..] => {
            Err(WireError::DigestMismatch)
        }
        _ => Ok(body),
    }
}

/// Cuts an encoded body into pieces of at most `room` bytes.
fn cut<'a>(topic: &Topic, kind: Kind, bytes: &'a [u8], room: usize) -> Result<Vec<&'a [u8]>, WireError> {
    if bytes.len() <= room {
        return Ok(vec![bytes]);
    }
    if !may_be_cut(topic, kind) {
        return Err(WireError::NotFragmentable { kind, bytes: bytes.len(), max: room });
    }
    Limit { what: "fragments", max: MAX_FRAGMENTS as usize }.check(bytes.len().div_ceil(room))?;
    Ok(bytes.chunks(room).collect())
}

/// A broker keeps one retained message a topic, and one Will a connection.
fn may_be_cut(topic: &Topic, kind: Kind) -> bool {
    !topic.retained() && kind != Kind::Will
}

pub(super) fn check_place(topic: &Topic, header: &Header) -> Result<(), WireError> {
    if !header.kind.belongs_on(topic) {
        return Err(WireError::MisplacedKind { kind: header.kind });
    }
    if header.voucher.is_some() && (header.kind != Kind::Changes || header.fragment.is_some()) {
        return Err(WireError::Malformed { what: "voucher" });
    }
    match topic.owner() {
        Some(owner) if *owner != header.sender => Err(WireError::ForeignTopic),
        _ => Ok(()),
    }
}

/// The bytes that a signature covers (`docs/protocol.md`, section 3.3); one buffer serves all fragments of a message.
pub(super) struct SignatureInput {
    buffer: Vec<u8>,
    /// Where the part ends that is the same for all packets of a topic.
    topic_end: usize,
}

impl SignatureInput {
    /// `path` is the topic below the prefix, as published.
    pub(super) fn new(path: &str) -> Self {
        let mut buffer = Vec::with_capacity(1024);
        buffer.extend_from_slice(SIGNATURE_DOMAIN);
        push_counted(&mut buffer, path.as_bytes());
        let topic_end = buffer.len();
        Self { buffer, topic_end }
    }

    fn over(&mut self, encoded_header: &[u8], body: &[u8]) -> &[u8] {
        self.buffer.truncate(self.topic_end);
        push_counted(&mut self.buffer, encoded_header);
        self.buffer.extend_from_slice(body);
        &self.buffer
    }
}

/// Appends bytes behind their length, so that no two different inputs give the same bytes.
pub(super) fn push_counted(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    buffer.extend_from_slice(bytes);
}

/// The three parts of a packet.
pub(super) struct Parts<'a> {
    pub(super) header: Header,
    pub(super) encoded_header: &'a [u8],
    pub(super) body: &'a [u8],
    signature: [u8; SIGNATURE_BYTES],
}

impl Parts<'_> {
    /// Checks the signature of a packet that arrived on the topic of this path. What it also vouches for, if anything.
    pub(super) fn verify(&self, path: &str) -> Result<Option<EnvelopeProof>, WireError> {
        let mut input = SignatureInput::new(path);
        let input = input.over(self.encoded_header, self.body);
        let Some(statement) = self.header.voucher else {
            verify(&self.header.sender, input, &self.signature)?;
            return Ok(None);
        };
        let envelope = Sha256::digest(input).into();
        verify(&self.header.sender, &statement.signature_input(&envelope), &self.signature)?;
        Ok(Some(EnvelopeProof { statement, envelope, signature: self.signature }))
    }
}

/// Signs a header with its body and puts the three together.
pub(super) fn packet(identity: &Identity, signed: &mut SignatureInput, header: &Header, body: &[u8]) -> Vec<u8> {
    let encoded_header = header.encode();
    let input = signed.over(&encoded_header, body);
    let signature = match &header.voucher {
        None => identity.sign(input),
        Some(statement) => identity.sign(&statement.signature_input(&Sha256::digest(input).into())),
    };
    frame(&encoded_header, body, &signature)
}

fn frame(encoded_header: &[u8], body: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(frame_bytes(encoded_header, body));
    writer.array(3);
    writer.raw_bytes(encoded_header);
    writer.raw_bytes(body);
    writer.raw_bytes(signature);
    writer.into_bytes()
}

/// Exact length of the packet that [`frame`] makes.
fn frame_bytes(encoded_header: &[u8], body: &[u8]) -> usize {
    // The head of a byte string is as long as the encoding of its length as an integer.
    let head = |bytes: &[u8]| minicbor::len(bytes.len() as u64);
    1 + head(encoded_header) + encoded_header.len() + head(body) + body.len() + 2 + SIGNATURE_BYTES
}

pub(super) fn split(payload: &[u8]) -> Result<Parts<'_>, WireError> {
    PACKET.check(payload.len())?;
    let mut reader = Reader::new(payload);
    let parts = reader.array("envelope")?;
    let encoded_header = reader.bytes(HEADER)?;
    // A later version may have more parts, so the header is read, and refused as unsupported, before they are counted.
    let header = Header::decode(encoded_header)?;
    if parts != 3 {
        return Err(WireError::Malformed { what: "envelope" });
    }
    let body = reader.bytes(PACKET)?;
    let signature = reader.fixed("signature")?;
    // One packet, one encoding: the frame is not signed, so neither a longer spelling of a length nor anything behind the
    // end must pass.
    if payload.len() != frame_bytes(encoded_header, body) {
        return Err(WireError::Malformed { what: "envelope" });
    }
    Ok(Parts { header, encoded_header, body, signature })
}
