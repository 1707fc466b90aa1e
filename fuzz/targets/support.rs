//! What targets that put chunks of Automerge together have in common.

use std::panic::set_hook;

use sha2::{Digest, Sha256};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// Type of a chunk that holds a whole document.
#[allow(dead_code)]
pub const DOCUMENT: u8 = 0;
/// Type of a chunk that holds a change.
#[allow(dead_code)]
pub const CHANGE: u8 = 1;

/// Panics are not told of, unless `FUZZ_PANICS` is set.
pub fn quiet_panics() {
    let tells = std::env::var_os("FUZZ_PANICS").is_some();
    set_hook(Box::new(move |panic| {
        if tells {
            eprintln!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
        }
    }));
}

/// Puts a chunk together, with a checksum that fits, or the fuzzer would never get past it.
pub fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut tail = vec![kind];
    let mut length = body.len();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        tail.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            break;
        }
    }
    tail.extend_from_slice(body);
    let digest = Sha256::digest(&tail);
    [&MAGIC, &digest[..4], &tail].concat()
}
