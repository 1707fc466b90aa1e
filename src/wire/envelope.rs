//! Sealing and opening: header, body and signature in one packet (`docs/protocol.md`, section 3).

use sha2::{Digest, Sha256};

use crate::crypto::identity::{Identity, SIGNATURE_BYTES, verify};
use crate::ids::{Nonce, Session};
use crate::limits::{
    MAX_BODY_BYTES, MAX_ENVELOPE_OVERHEAD_BYTES, MAX_FRAGMENTS, MAX_HEADER_BYTES, MAX_INBOUND_PACKET_BYTES,
};
use crate::wire::codec::{self, Limit, Reader, Writer};
use crate::wire::compress;
use crate::wire::error::WireError;
use crate::wire::kind::Kind;
use crate::wire::messages::Body;
use crate::wire::topics::Topic;

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
    Fragment(&'a [u8]),
}

/// Makes the packets that carry a body on a topic: one, or several fragments where it exceeds `max_packet_bytes`.
///
/// # Errors
/// * [`WireError::MisplacedKind`], [`WireError::ForeignTopic`]: the topic is not one for this body or sender.
/// * [`WireError::TooLong`], [`WireError::Malformed`]: the body exceeds a bound that receivers enforce.
/// * [`WireError::NotFragmentable`]: a retained message or a Will that does not fit one packet.
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
    let Stamp { session, counter, sent_unix_ms, message } = stamp;
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
    };
    check_place(topic, &header)?;
    let (codec, bytes) = compress::deflate(codec::encode(body)?);
    header.codec = codec;

    let pieces = cut(topic, kind, &bytes, max_packet_bytes)?;
    let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
    let mut signed = SignatureInput::new(topic);
    let mut packets = Vec::with_capacity(pieces.len());
    for (index, piece) in (0..count).zip(pieces) {
        header.counter = *counter;
        header.fragment = (count > 1).then_some(Fragment { message, index, count });
        packets.push(packet(identity, &mut signed, &header, piece));
        *counter = counter.wrapping_add(1);
    }
    Ok(packets)
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
    let Parts { header, encoded_header, body, signature } = split(payload)?;
    check_place(topic, &header)?;
    verify(&header.sender, SignatureInput::new(topic).over(encoded_header, body), &signature)?;
    let content = match header.fragment {
        Some(_) if !may_be_cut(topic, header.kind) => return Err(WireError::Malformed { what: "fragment" }),
        Some(_) if body.is_empty() => return Err(WireError::Malformed { what: "fragment" }),
        Some(_) => Content::Fragment(body),
        None => Content::Whole(read_body(topic, &header, body)?),
    };
    Ok(Opened { header, content })
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

/// Cuts an encoded body into pieces that fit a packet each.
fn cut<'a>(topic: &Topic, kind: Kind, bytes: &'a [u8], max_packet_bytes: usize) -> Result<Vec<&'a [u8]>, WireError> {
    let room = max_packet_bytes.min(MAX_INBOUND_PACKET_BYTES).saturating_sub(MAX_ENVELOPE_OVERHEAD_BYTES);
    if room == 0 {
        return Err(WireError::PacketTooSmall { max_packet_bytes });
    }
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

fn check_place(topic: &Topic, header: &Header) -> Result<(), WireError> {
    if !header.kind.belongs_on(topic) {
        return Err(WireError::MisplacedKind { kind: header.kind });
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
    pub(super) fn new(topic: &Topic) -> Self {
        let mut buffer = Vec::with_capacity(1024);
        buffer.extend_from_slice(SIGNATURE_DOMAIN);
        push_counted(&mut buffer, topic.path().as_bytes());
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
fn push_counted(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    buffer.extend_from_slice(bytes);
}

/// The three parts of a packet.
struct Parts<'a> {
    header: Header,
    encoded_header: &'a [u8],
    body: &'a [u8],
    signature: [u8; SIGNATURE_BYTES],
}

/// Signs a header with its body and puts the three together.
pub(super) fn packet(identity: &Identity, signed: &mut SignatureInput, header: &Header, body: &[u8]) -> Vec<u8> {
    let encoded_header = header.encode();
    let signature = identity.sign(signed.over(&encoded_header, body));
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

fn split(payload: &[u8]) -> Result<Parts<'_>, WireError> {
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
