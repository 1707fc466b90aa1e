//! Compression of bodies with zstd (RFC 8878; `docs/protocol.md`, section 3.4).

use std::io::Read;

use crate::limits::{MAX_ZSTD_WINDOW_LOG, MIN_COMPRESS_BYTES};
use crate::wire::codec::Limit;
use crate::wire::error::WireError;
use crate::wire::header::Codec;

/// The fastest level that zstd recommends; edits wait for it.
const LEVEL: i32 = 1;

const MALFORMED: WireError = WireError::Malformed { what: "compressed body" };

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

/// Inflates one frame that fills `bytes`. Memory grows with what comes out, up to the limit, not with what the frame's
/// header claims.
pub(super) fn inflate(bytes: &[u8], limit: Limit) -> Result<Vec<u8>, WireError> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| MALFORMED)?.single_frame();
    decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(|_| MALFORMED)?;
    let mut body = Vec::new();
    (&mut decoder).take(limit.max as u64 + 1).read_to_end(&mut body).map_err(|_| MALFORMED)?;
    limit.check(body.len())?;
    if decoder.finish().is_empty() { Ok(body) } else { Err(MALFORMED) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::samples::noise;

    const LIMIT: Limit = Limit { what: "inflated body", max: 1_000_000 };

    /// The head of a frame: magic number, descriptor, then what the descriptor says follows (RFC 8878, section 3.1.1).
    fn frame(descriptor_and_rest: &[u8]) -> Vec<u8> {
        [&[0x28, 0xb5, 0x2f, 0xfd], descriptor_and_rest].concat()
    }

    #[test]
    fn what_repeats_shrinks_and_comes_back() {
        let body = b"a node of a canvas ".repeat(100);
        let (codec, packed) = deflate(body.clone());
        assert_eq!(codec, Codec::Zstd);
        assert!(packed.len() < body.len() / 5);
        assert_eq!(inflate(&packed, LIMIT), Ok(body));
    }

    #[test]
    fn what_is_small_or_does_not_shrink_stays_as_it_is() {
        let small = vec![0; MIN_COMPRESS_BYTES - 1];
        assert_eq!(deflate(small.clone()), (Codec::None, small));
        let noise = noise(MIN_COMPRESS_BYTES * 4);
        assert_eq!(deflate(noise.clone()), (Codec::None, noise));
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = zstd::bulk::compress(&vec![0; 50_000_000], LEVEL).unwrap();
        assert!(bomb.len() < 10_000, "{}", bomb.len());
        assert_eq!(
            inflate(&bomb, LIMIT),
            Err(WireError::TooLong { what: LIMIT.what, length: LIMIT.max + 1, max: LIMIT.max })
        );
    }

    #[test]
    fn a_frame_that_claims_a_huge_window_or_size_is_refused() {
        let window_of_16_mib = frame(&[0x00, (24 - 10) << 3, 0x09, 0x00, 0x00, 7]);
        let single_segment_of_1_tib = frame(&[0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 0x09, 0x00, 0x00, 7]);
        let content_of_1_tib = frame(&[0xc0, 0x00, 0, 0, 0, 0, 0, 1, 0, 0, 0x09, 0x00, 0x00, 7]);
        let honest = frame(&[0x00, 0x00, 0x09, 0x00, 0x00, 7]);
        assert_eq!(inflate(&honest, LIMIT), Ok(vec![7]));
        for bytes in [window_of_16_mib, single_segment_of_1_tib, content_of_1_tib] {
            assert_eq!(inflate(&bytes, LIMIT), Err(MALFORMED), "{bytes:x?}");
        }
    }

    #[test]
    fn only_one_whole_frame_is_read() {
        let packed = zstd::bulk::compress(&[7; 1_000], LEVEL).unwrap();
        assert_eq!(inflate(&[packed.clone(), packed.clone()].concat(), LIMIT), Err(MALFORMED));
        for end in 0..packed.len() {
            assert_eq!(inflate(&packed[..end], LIMIT), Err(MALFORMED), "cut at {end}");
        }
    }
}
