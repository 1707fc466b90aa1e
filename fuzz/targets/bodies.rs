//! Every message's body, as it stands behind a header that was verified: the first byte chooses the kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_p2p::wire::Kind;
use mqtt_p2p::wire::fuzzing::{decode_body, encode_body};

fuzz_target!(|data: &[u8]| {
    let [number, bytes @ ..] = data else { return };
    let kind = Kind::ALL[usize::from(*number) % Kind::ALL.len()];
    let Ok(body) = decode_body(kind, bytes) else { return };
    assert_eq!(body.kind(), kind);
    let again = encode_body(&body).expect("what could be read can be written");
    assert_eq!(decode_body(kind, &again).expect("and read again"), body);
});
