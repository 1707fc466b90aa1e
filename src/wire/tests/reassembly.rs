//! Fragments: any order, duplicates, gaps, contradictions, and the caps on memory.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::ids::{Nonce, PeerId, Session};
use crate::limits::*;
use crate::time::Now;
use crate::wire::envelope::{Codec, Content, Fragment, Header, Priority, open};
use crate::wire::error::WireError;
use crate::wire::fragments::Reassembler;
use crate::wire::kind::Kind;
use crate::wire::messages::Body;
use crate::wire::topics::Topic;

use super::samples::{plain_document, try_seal};

fn at(elapsed_ms: u64) -> Now {
    Now { elapsed_ms, unix_ms: 0 }
}

fn topic() -> Topic {
    Topic::Messages(plain_document().repository().clone())
}

fn header(sender: u8, message: u64, index: u32, count: u32) -> Header {
    Header {
        version: 1,
        kind: Kind::Application,
        sender: PeerId([sender; 32]),
        session: Session(1),
        counter: 0,
        sent_unix_ms: 0,
        priority: Priority::Low,
        codec: Codec::None,
        fragment: Some(Fragment { message: Nonce(message), index, count }),
        voucher: None,
        seal: None,
    }
}

/// "hey" as CBOR text, cut in two.
const PIECES: [&[u8]; 2] = [&[0x63, b'h'], b"ey"];

fn hey() -> Body {
    Body::Application("hey".to_owned())
}

/// Completes a message of which the first piece was added before; `Ok(None)` if that was forgotten.
fn complete(reassembler: &mut Reassembler, sender: u8, message: u64) -> Result<Option<Body>, WireError> {
    reassembler.add(at(0), &topic(), &header(sender, message, 1, 2), PIECES[1])
}

fn begin(reassembler: &mut Reassembler, elapsed_ms: u64, sender: u8, message: u64) {
    let added = reassembler.add(at(elapsed_ms), &topic(), &header(sender, message, 0, 2), PIECES[0]);
    assert_eq!(added, Ok(None));
}

proptest! {
    /// Through real packets, in any order, each of them up to three times.
    #[test]
    fn any_order_and_any_duplicates_give_the_message(
        text in vec(proptest::char::range('!', '~'), 1_000..6_000),
        order in vec(any::<usize>(), 60),
    ) {
        let body = Body::Application(text.into_iter().collect());
        let packets = try_seal(&topic(), &body, 600, &mut 0).unwrap();
        let mut deliveries: Vec<usize> = (0..packets.len() * 3).map(|delivery| delivery % packets.len()).collect();
        deliveries.sort_by_key(|delivery| order[delivery % order.len()] ^ delivery);
        // The loop ends with the first completion: duplicates behind it begin a new collection, which expires.
        let mut reassembler = Reassembler::new();
        let mut seen = std::collections::BTreeSet::new();
        let whole = deliveries.iter().find_map(|delivery| {
            seen.insert(*delivery);
            let opened = open(&topic(), &packets[*delivery]).unwrap();
            match opened.content {
                Content::Whole(body) => Some(body),
                Content::Fragment(piece) => reassembler.add(at(0), &topic(), &opened.header, &piece).unwrap(),
            }
        });
        prop_assert_eq!(whole, Some(body));
        prop_assert_eq!(seen.len(), packets.len());
    }

    /// Whatever comes, memory stays within the caps.
    #[test]
    fn hostile_fragments_stay_within_the_caps(
        fragments in vec((0_u8..8, 0_u64..8, 0_u32..4, 2_u32..5, vec(any::<u8>(), 1..20), 0_u64..60_000), 0..200),
    ) {
        let mut reassembler = Reassembler::new();
        let mut now_ms = 0;
        for (sender, message, index, count, piece, pause_ms) in fragments {
            now_ms += pause_ms / 100;
            let _ = reassembler.add(at(now_ms), &topic(), &header(sender, message, index, count), &piece);
            prop_assert!(reassembler.is_consistent());
        }
        reassembler.expire(at(now_ms + REASSEMBLY_TIMEOUT_MS));
        prop_assert!(reassembler.is_empty());
    }
}

#[test]
fn messages_of_different_senders_sessions_topics_and_names_do_not_mix() {
    let mut reassembler = Reassembler::new();
    begin(&mut reassembler, 0, 1, 1);
    let last = header(1, 1, 1, 2);
    let strangers = [
        (topic(), Header { sender: PeerId([2; 32]), ..last.clone() }),
        (topic(), Header { session: Session(2), ..last.clone() }),
        (Topic::Sync(plain_document().repository().clone()), last.clone()),
        (topic(), header(1, 2, 1, 2)),
    ];
    for (topic, header) in strangers {
        assert_eq!(reassembler.add(at(0), &topic, &header, PIECES[1]), Ok(None));
    }
    assert_eq!(reassembler.add(at(0), &topic(), &last, PIECES[1]), Ok(Some(hey())));
}

#[test]
fn a_contradiction_is_refused_and_what_came_first_stays() {
    let mut reassembler = Reassembler::new();
    begin(&mut reassembler, 0, 1, 1);
    let contradictions = [
        (header(1, 1, 0, 2), b"other"),
        (header(1, 1, 1, 3), b"count"),
        (Header { codec: Codec::Zstd, ..header(1, 1, 1, 2) }, b"codec"),
        (Header { kind: Kind::Cursor, ..header(1, 1, 1, 2) }, b"kinds"),
    ];
    for (header, piece) in contradictions {
        assert_eq!(reassembler.add(at(0), &topic(), &header, piece), Err(WireError::ConflictingFragment));
    }
    assert_eq!(complete(&mut reassembler, 1, 1), Ok(Some(hey())));
}

#[test]
fn a_complete_message_that_is_garbage_is_refused_and_forgotten() {
    let mut reassembler = Reassembler::new();
    assert_eq!(reassembler.add(at(0), &topic(), &header(1, 1, 0, 2), &[0x63]), Ok(None));
    assert!(reassembler.add(at(0), &topic(), &header(1, 1, 1, 2), &[0xff]).is_err());
    assert!(reassembler.is_empty());
    assert!(reassembler.add(at(0), &topic(), &Header { fragment: None, ..header(1, 1, 0, 2) }, &[1]).is_err());
    assert!(reassembler.is_empty());
}

#[test]
fn what_misses_a_piece_expires_from_its_last_progress() {
    let mut reassembler = Reassembler::new();
    begin(&mut reassembler, 0, 1, 1);
    assert_eq!(reassembler.add(at(0), &topic(), &header(1, 2, 0, 3), &[0x63]), Ok(None));
    assert_eq!(reassembler.add(at(10), &topic(), &header(1, 2, 1, 3), b"he"), Ok(None));
    assert_eq!(reassembler.add(at(20), &topic(), &header(1, 2, 1, 3), b"he"), Ok(None), "a duplicate is no progress");
    assert_eq!(reassembler.expire(at(REASSEMBLY_TIMEOUT_MS - 1)), 0);
    assert_eq!(reassembler.expire(at(REASSEMBLY_TIMEOUT_MS)), 1);
    assert_eq!(complete(&mut reassembler, 1, 1), Ok(None), "its first piece was forgotten");
    assert_eq!(reassembler.add(at(0), &topic(), &header(1, 2, 2, 3), b"y"), Ok(Some(hey())));

    begin(&mut reassembler, 0, 1, 3);
    assert_eq!(reassembler.add(at(10), &topic(), &header(1, 4, 0, 3), &[0x63]), Ok(None));
    assert_eq!(reassembler.add(at(20), &topic(), &header(1, 4, 1, 3), b"he"), Ok(None));
    assert_eq!(reassembler.expire(at(REASSEMBLY_TIMEOUT_MS + 19)), 2, "this one and the lonely piece above");
    assert_eq!(reassembler.expire(at(REASSEMBLY_TIMEOUT_MS + 20)), 1);
    assert!(reassembler.is_empty());
}

#[test]
fn one_sender_keeps_a_few_messages_and_hurts_no_other() {
    let mut reassembler = Reassembler::new();
    begin(&mut reassembler, 0, 9, 0);
    for message in 0..=MAX_REASSEMBLIES_PER_PEER as u64 {
        begin(&mut reassembler, message + 1, 1, message);
    }
    assert_eq!(complete(&mut reassembler, 9, 0), Ok(Some(hey())));
    assert_eq!(complete(&mut reassembler, 1, 1), Ok(Some(hey())), "the second oldest is still there");
    assert_eq!(complete(&mut reassembler, 1, 0), Ok(None), "the oldest was forgotten");
}

#[test]
fn many_senders_are_capped_in_all() {
    let mut reassembler = Reassembler::new();
    for sender in 0..=u8::MAX {
        begin(&mut reassembler, sender.into(), sender, 0);
    }
    assert_eq!(MAX_REASSEMBLIES, 256, "as many as there are senders above");
    begin(&mut reassembler, 1_000, 1, 1);
    assert_eq!(complete(&mut reassembler, 1, 1), Ok(Some(hey())));
    assert_eq!(complete(&mut reassembler, 255, 0), Ok(Some(hey())));
    assert_eq!(complete(&mut reassembler, 0, 0), Ok(None), "the oldest was forgotten");
}

#[test]
fn bytes_are_capped_in_all_and_by_message() {
    let mut reassembler = Reassembler::with_caps(1_000, 10_000);
    let piece = [0; 500];
    assert_eq!(reassembler.add(at(0), &topic(), &header(1, 1, 0, 4), &piece), Ok(None));
    assert_eq!(reassembler.add(at(0), &topic(), &header(1, 1, 1, 4), &piece), Ok(None));
    assert!(matches!(
        reassembler.add(at(0), &topic(), &header(1, 1, 2, 4), &piece),
        Err(WireError::TooLong { what: "fragmented body", .. })
    ));
    assert!(reassembler.is_empty());
    for sender in 0..100 {
        let _ = reassembler.add(at(sender.into()), &topic(), &header(sender, 1, 0, 4), &piece);
        assert!(reassembler.is_consistent());
    }
}
