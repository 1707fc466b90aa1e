//! Compression of bodies with zstd (RFC 8878; `docs/protocol.md`, section 3.4).

use std::io::Read;

use crate::limits::{MAX_BODY_BYTES, MAX_ZSTD_WINDOW_LOG, MIN_COMPRESS_BYTES};
use crate::wire::error::WireError;
use crate::wire::header::Codec;

/// The fastest level that zstd recommends; edits wait for it.
const LEVEL: i32 = 1;

const MALFORMED: WireError = WireError::Malformed {
    what: "compressed body",
};

/// Compresses a body where that makes it smaller.
pub(super) fn deflate(body: Vec<u8>) -> (Codec, Vec<u8>) {
    if body.len() < MIN_COMPRESS_BYTES {
        return (Codec::None, body);
    }
    match zstd::bulk::compress(&body, LEVEL) {
        Ok(compressed) if compressed.len() < body.len() => (Codec::Zstd, compressed),
        // An error can only be a lack of memory; the body may still travel as it is.
        _ => (Codec::None, body),
    }
}

/// Inflates one frame that fills `bytes`, up to [`MAX_BODY_BYTES`]. Memory grows with what comes out, not with what the
/// frame's header claims.
pub(super) fn inflate(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)
        .map_err(|_| MALFORMED)?
        .single_frame();
    decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(|_| MALFORMED)?;
    let mut body = Vec::new();
    (&mut decoder)
        .take(MAX_BODY_BYTES as u64 + 1)
        .read_to_end(&mut body)
        .map_err(|_| MALFORMED)?;
    if body.len() > MAX_BODY_BYTES {
        return Err(WireError::TooLong {
            what: "inflated body",
            length: body.len(),
            max: MAX_BODY_BYTES,
        });
    }
    if decoder.finish().is_empty() {
        Ok(body)
    } else {
        Err(MALFORMED)
    }
}
