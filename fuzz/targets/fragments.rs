//! Pieces of messages in any order, of any sizes, from several senders.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_p2p::ids::{Nonce, PeerId, RepositoryName, Session};
use mqtt_p2p::time::Now;
use mqtt_p2p::wire::{Codec, Fragment, Header, Kind, Priority, Reassembler, Topic};

fuzz_target!(|data: &[u8]| {
    let topic = Topic::Messages(RepositoryName::new("r").expect("a name"));
    let mut reassembler = Reassembler::new();
    let mut elapsed_ms = 0;
    let mut rest = data;
    while let [who, message, index, count, flags, length, after @ ..] = rest {
        let (piece, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        elapsed_ms += u64::from(*flags) * 100;
        let header = Header {
            version: 1,
            kind: Kind::Application,
            sender: PeerId([*who % 3; 32]),
            session: Session(1),
            counter: 0,
            sent_unix_ms: 0,
            priority: Priority::High,
            codec: if flags & 1 == 0 { Codec::None } else { Codec::Zstd },
            fragment: Some(Fragment {
                message: Nonce(u64::from(*message % 4)),
                index: u32::from(*index),
                // The header's decoder lets no other counts and places through.
                count: u32::from(*count).max(2).max(u32::from(*index) + 1),
            }),
            seal: None,
            voucher: None,
        };
        let now = Now { elapsed_ms, unix_ms: elapsed_ms };
        let _ = reassembler.add(now, &topic, &header, piece);
        if flags & 2 != 0 {
            reassembler.expire(now);
        }
    }
    reassembler.expire(Now { elapsed_ms: u64::MAX, unix_ms: 0 });
    assert!(reassembler.is_empty(), "nothing waits for ever");
});
