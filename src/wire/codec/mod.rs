//! Bodies to and from CBOR (`docs/protocol.md`, section 4): arrays whose length and nesting the grammar fixes, every list
//! and string bounded before anything is allocated, nothing behind the end.

mod documents;
mod ids;
mod peers;
mod primitives;

pub(super) use primitives::{Limit, Reader, Wire, Writer};

use crate::limits::{MAX_APPLICATION_MESSAGE_BYTES, MAX_BODY_BYTES};
use crate::wire::error::WireError;
use crate::wire::kind::Kind;
use crate::wire::messages::{Body, SavedDocument};
use crate::wire::voucher::Voucher;

const SNAPSHOT_PART: Limit = Limit { what: "snapshot part", max: MAX_BODY_BYTES };
const APPLICATION: Limit = Limit { what: "application message", max: MAX_APPLICATION_MESSAGE_BYTES };

/// The body as CBOR.
pub(super) fn encode(body: &Body) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::with_capacity(256);
    match body {
        Body::Presence(body) => body.write(&mut writer)?,
        Body::Will(body) => body.write(&mut writer)?,
        Body::Changes(body) => body.write(&mut writer)?,
        Body::Manifest(body) => body.write(&mut writer)?,
        Body::SnapshotPart(part) => writer.bytes(part, SNAPSHOT_PART)?,
        Body::SyncRequest(body) => body.write(&mut writer)?,
        Body::SyncAnnouncement(body) => body.write(&mut writer)?,
        Body::SyncReply(body) => body.write(&mut writer)?,
        Body::HeadsAnnouncement(body) => body.write(&mut writer)?,
        Body::Cursor(body) => body.write(&mut writer)?,
        Body::Application(message) => writer.text(message, APPLICATION)?,
        Body::KeyNotice(body) => body.write(&mut writer)?,
        Body::Epoch(body) => body.write(&mut writer)?,
        Body::Members(body) => body.write(&mut writer)?,
    }
    let bytes = writer.into_bytes();
    Limit { what: "body", max: MAX_BODY_BYTES }.check(bytes.len())?;
    Ok(bytes)
}

/// The body of a kind from its CBOR.
pub(super) fn decode(kind: Kind, bytes: &[u8]) -> Result<Body, WireError> {
    let mut reader = Reader::new(bytes);
    let body = match kind {
        Kind::Presence => Body::Presence(Wire::read(&mut reader)?),
        Kind::Will => Body::Will(Wire::read(&mut reader)?),
        Kind::Changes => Body::Changes(Wire::read(&mut reader)?),
        Kind::Manifest => Body::Manifest(Wire::read(&mut reader)?),
        Kind::SnapshotPart => Body::SnapshotPart(reader.bytes(SNAPSHOT_PART)?.to_vec()),
        Kind::SyncRequest => Body::SyncRequest(Wire::read(&mut reader)?),
        Kind::SyncAnnouncement => Body::SyncAnnouncement(Wire::read(&mut reader)?),
        Kind::SyncReply => Body::SyncReply(Wire::read(&mut reader)?),
        Kind::HeadsAnnouncement => Body::HeadsAnnouncement(Wire::read(&mut reader)?),
        Kind::Cursor => Body::Cursor(Wire::read(&mut reader)?),
        Kind::Application => Body::Application(reader.text(APPLICATION)?.to_owned()),
        Kind::KeyNotice => Body::KeyNotice(Wire::read(&mut reader)?),
        Kind::Epoch => Body::Epoch(Box::new(Wire::read(&mut reader)?)),
        Kind::Members => Body::Members(Wire::read(&mut reader)?),
    };
    reader.finish("body")?;
    Ok(body)
}

/// What the parts of a snapshot are cut from.
///
/// # Errors
/// [`WireError::TooLong`].
pub fn encode_saved(saved: &SavedDocument) -> Result<Vec<u8>, WireError> {
    encoded(saved, saved.document.len())
}

/// Reads what [`encode_saved`] wrote.
///
/// # Errors
/// [`WireError::TooLong`], [`WireError::Malformed`].
pub fn decode_saved(bytes: &[u8]) -> Result<SavedDocument, WireError> {
    decoded(bytes)
}

/// A voucher as storage keeps it.
///
/// # Errors
/// [`WireError::Malformed`]: the actor is none that anyone could own.
pub fn encode_voucher(voucher: &Voucher) -> Result<Vec<u8>, WireError> {
    encoded(voucher, 0)
}

/// Reads what [`encode_voucher`] wrote.
///
/// # Errors
/// [`WireError::TooLong`], [`WireError::Malformed`].
pub fn decode_voucher(bytes: &[u8]) -> Result<Voucher, WireError> {
    decoded(bytes)
}

fn encoded(value: &impl Wire, bytes: usize) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::with_capacity(bytes + 256);
    value.write(&mut writer)?;
    Ok(writer.into_bytes())
}

fn decoded<T: Wire>(bytes: &[u8]) -> Result<T, WireError> {
    let mut reader = Reader::new(bytes);
    let value = T::read(&mut reader)?;
    reader.finish("saved document")?;
    Ok(value)
}
