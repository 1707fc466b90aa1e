//! For the fuzz targets alone: bodies as they stand behind a header that was verified, which no fuzzer can sign.

use crate::wire::codec;
use crate::wire::error::WireError;
use crate::wire::kind::Kind;
use crate::wire::messages::Body;

/// Reads a body.
///
/// # Errors
/// [`WireError`].
pub fn decode_body(kind: Kind, bytes: &[u8]) -> Result<Body, WireError> {
    codec::decode(kind, bytes)
}

/// Writes a body.
///
/// # Errors
/// [`WireError::TooLong`].
pub fn encode_body(body: &Body) -> Result<Vec<u8>, WireError> {
    codec::encode(body)
}
