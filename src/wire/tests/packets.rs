//! Packets: what was sealed opens on its own topic, unaltered, and nowhere else.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::crypto::identity::VerifyError;
use crate::ids::{DocumentId, Generation, Nonce, PeerId, Session};
use crate::limits::*;
use crate::wire::envelope::{
    Codec, Content, Fragment, Header, PROTOCOL_VERSION, Priority, SignatureInput, open, packet, peek,
};
use crate::wire::error::WireError;
use crate::wire::kind::Kind;
use crate::wire::messages::*;
use crate::wire::topics::Topic;

use super::samples::{
    alice, body, document, home_of, long_message, noise, one_of_each, plain_document, refusal, sealed, topic, try_seal,
};

proptest! {
    #[test]
    fn what_was_sealed_opens(body in body(), document in document()) {
        let topic = home_of(&body, document);
        let packet = sealed(&topic, &body);
        let opened = open(&topic, &packet).unwrap();
        prop_assert_eq!(&opened.header, &peek(&packet).unwrap());
        prop_assert_eq!(opened.header.sender, alice().peer());
        prop_assert_eq!(opened.header.kind, body.kind());
        prop_assert_eq!(opened.content, Content::Whole(body));
    }

    #[test]
    fn a_message_opens_on_no_other_topic(body in body(), home in document(), other in topic()) {
        let topic = home_of(&body, home);
        prop_assume!(topic != other);
        prop_assert!(open(&other, &sealed(&topic, &body)).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_open(topic in topic(), bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(peek(&bytes).is_err());
        prop_assert!(open(&topic, &bytes).is_err());
    }

    /// Bytes that get past the frame: an arbitrary header between the right brackets.
    #[test]
    fn arbitrary_headers_never_panic(header in vec(any::<u8>(), 0..200)) {
        let _ = Header::decode(&header);
    }

    /// Every field of later versions, in any shape that CBOR has, is passed over.
    #[test]
    fn unknown_fields_are_passed_over(key in 11_u64..1_000_000, value in cbor_value()) {
        let mut encoded = sample_header().encode();
        encoded[0] += 1;
        encoded.extend(minicbor::to_vec(key).unwrap());
        encoded.extend(value);
        prop_assert_eq!(Header::decode(&encoded), Ok(sample_header()));
    }
}

/// One CBOR item of any shape, a few levels deep.
fn cbor_value() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(|value| minicbor::to_vec(value).unwrap()),
        any::<i64>().prop_map(|value| minicbor::to_vec(value).unwrap()),
        any::<String>().prop_map(|value| minicbor::to_vec(value).unwrap()),
        any::<f64>().prop_map(|value| minicbor::to_vec(value).unwrap()),
        Just(vec![0xf6]),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        vec(inner, 0..4).prop_map(|items| [vec![0x80 + u8::try_from(items.len()).unwrap()], items.concat()].concat())
    })
}

fn sample_header() -> Header {
    Header {
        version: PROTOCOL_VERSION,
        kind: Kind::Application,
        sender: alice().peer(),
        session: Session(42),
        counter: 7,
        sent_unix_ms: 1_700_000_000_000,
        priority: Priority::Low,
        codec: Codec::None,
        fragment: None,
        voucher: None,
        seal: None,
    }
}

fn messages_topic() -> Topic {
    Topic::Messages(plain_document().repository().clone())
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    for body in one_of_each() {
        let topic = home_of(&body, plain_document());
        let mut packet = sealed(&topic, &body);
        for end in 0..packet.len() {
            assert!(open(&topic, &packet[..end]).is_err(), "{:?} cut at {end}", body.kind());
        }
        for bit in 0..packet.len() * 8 {
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&topic, &packet).is_err(), "{:?} with bit {bit} flipped", body.kind());
            packet[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(open(&topic, &packet).is_ok());
        packet.push(0);
        assert_eq!(open(&topic, &packet), Err(WireError::Malformed { what: "envelope" }));
    }
}

#[test]
fn a_message_moved_within_its_repository_is_refused() {
    let DocumentId::Canvas { repository, canvas, .. } = plain_document() else { unreachable!() };
    let elsewhere = [
        DocumentId::Index { repository: repository.clone() },
        DocumentId::Canvas { repository, canvas, generation: Generation(2) },
    ];
    let body = one_of_each().into_iter().find(|body| body.kind() == Kind::Changes).unwrap();
    let packet = sealed(&Topic::Changes(plain_document()), &body);
    for document in elsewhere {
        assert_eq!(open(&Topic::Changes(document), &packet), Err(WireError::Unverified(VerifyError::InvalidSignature)));
    }
}

#[test]
fn a_kind_has_its_topics() {
    for body in one_of_each() {
        let topic = home_of(&body, plain_document());
        let packet = sealed(&topic, &body);
        let other = if body.kind() == Kind::Cursor { messages_topic() } else { Topic::Cursor(plain_document()) };
        assert_eq!(open(&other, &packet), Err(WireError::MisplacedKind { kind: body.kind() }));
    }
}

#[test]
fn nobody_speaks_for_another_peer() {
    let will = Body::Will(Will { instance: 1, connection: 1 });
    let topic = Topic::Will { peer: PeerId([2; 32]) };
    assert_eq!(refusal(&topic, &will, MIN_MAX_MESSAGE_BYTES), WireError::ForeignTopic);
    let own = sealed(&Topic::Will { peer: alice().peer() }, &will);
    assert_eq!(open(&topic, &own), Err(WireError::ForeignTopic));
}

#[test]
fn a_snapshot_part_must_have_the_digest_of_its_topic() {
    let topic = Topic::SnapshotPart { document: plain_document(), digest: [0; 32] };
    let packet = sealed(&topic, &Body::SnapshotPart(vec![1, 2, 3]));
    assert_eq!(open(&topic, &packet), Err(WireError::DigestMismatch));
}

#[test]
fn what_a_later_version_sends_is_told_apart_from_garbage() {
    let with = |at: usize, byte: u8| {
        let mut encoded = sample_header().encode();
        encoded[at] = byte;
        Header::decode(&encoded)
    };
    // A map of eight; key 0, version; key 1, kind.
    assert_eq!(with(2, 2), Err(WireError::UnsupportedVersion(2)));
    assert_eq!(with(4, 23), Err(WireError::UnsupportedKind(23)));
    let codec_at = sample_header().encode().len() - 1;
    assert_eq!(with(codec_at, 2), Err(WireError::UnsupportedCodec(2)));
    for key in [9, 10] {
        let mut encoded = sample_header().encode();
        encoded[0] += 1;
        encoded.extend([key, 0x41, 0]);
        assert_eq!(Header::decode(&encoded), Err(WireError::UnsupportedSealed));
    }
    // The envelope of a later version may have more parts.
    let mut packet = sealed(&messages_topic(), &Body::Application(String::new()));
    packet[0] = 0x84;
    packet[5] = 2;
    assert_eq!(peek(&packet), Err(WireError::UnsupportedVersion(2)));
}

#[test]
fn headers_that_are_incomplete_or_repeat_a_field_are_refused() {
    let malformed = Err(WireError::Malformed { what: "header" });
    let encoded = sample_header().encode();
    let mut without_codec = encoded[..encoded.len() - 2].to_vec();
    without_codec[0] -= 1;
    assert_eq!(Header::decode(&without_codec), malformed);
    let mut twice = encoded.clone();
    twice[0] += 1;
    twice.extend([7, 0]);
    assert_eq!(Header::decode(&twice), malformed);
    let mut left_over = encoded;
    left_over.push(0);
    assert_eq!(Header::decode(&left_over), malformed);
}

#[test]
fn hostile_fragment_numbers_are_refused() {
    let decode = |index, count| {
        let fragment = Some(Fragment { message: Nonce(1), index, count });
        Header::decode(&Header { fragment, ..sample_header() }.encode())
    };
    assert!(decode(0, 2).is_ok());
    assert!(decode(MAX_FRAGMENTS - 1, MAX_FRAGMENTS).is_ok());
    for (index, count) in [(0, 0), (0, 1), (2, 2), (u32::MAX, 2)] {
        assert_eq!(decode(index, count), Err(WireError::Malformed { what: "fragment" }), "{index} of {count}");
    }
    for count in [MAX_FRAGMENTS + 1, u32::MAX] {
        assert!(matches!(decode(0, count), Err(WireError::TooLong { what: "fragments", .. })));
    }
}

#[test]
fn a_fragment_is_empty_nowhere_and_retained_nowhere() {
    let fragment = Some(Fragment { message: Nonce(1), index: 0, count: 2 });
    let header = Header { fragment, ..sample_header() };
    let malformed = Err(WireError::Malformed { what: "fragment" });
    let empty = packet(&alice(), &mut SignatureInput::new(&messages_topic().plain_path()), &header, b"");
    assert_eq!(open(&messages_topic(), &empty), malformed);

    let topic = Topic::Presence { repository: plain_document().repository().clone(), peer: alice().peer() };
    let header = Header { kind: Kind::Presence, ..header };
    let retained = packet(&alice(), &mut SignatureInput::new(&topic.plain_path()), &header, b"piece");
    assert_eq!(open(&topic, &retained), malformed);
}

#[test]
fn a_message_that_must_be_one_packet_is_not_cut() {
    let part = Body::SnapshotPart(noise(MIN_MAX_MESSAGE_BYTES));
    assert!(matches!(
        refusal(&home_of(&part, plain_document()), &part, MIN_MAX_MESSAGE_BYTES),
        WireError::NotFragmentable { kind: Kind::SnapshotPart, .. }
    ));
}

#[test]
fn no_packet_exceeds_what_was_asked_for() {
    for max_packet_bytes in [300, 1_000, MIN_MAX_MESSAGE_BYTES] {
        let mut counter = u64::MAX - 10_000;
        let packets = try_seal(&messages_topic(), &long_message(), max_packet_bytes, &mut counter).unwrap();
        assert!(packets.len() > 1);
        assert!(packets.iter().all(|packet| packet.len() <= max_packet_bytes));
    }
    let max_packet_bytes = MAX_ENVELOPE_OVERHEAD_BYTES;
    let too_small = WireError::PacketTooSmall { max_packet_bytes };
    assert_eq!(refusal(&messages_topic(), &long_message(), max_packet_bytes), too_small);
    assert!(matches!(
        refusal(&messages_topic(), &long_message(), MAX_ENVELOPE_OVERHEAD_BYTES + 1),
        WireError::TooLong { what: "fragments", .. }
    ));
}

#[test]
fn fragments_count_one_by_one() {
    let mut counter = 3;
    let packets = try_seal(&messages_topic(), &long_message(), 600, &mut counter).unwrap();
    assert_eq!(counter, 3 + packets.len() as u64);
    for (number, packet) in packets.iter().enumerate() {
        let header = peek(packet).unwrap();
        assert_eq!(header.counter, 3 + number as u64);
        assert_eq!(header.fragment.unwrap().index as usize, number);
        assert_eq!(header.fragment.unwrap().count as usize, packets.len());
    }
}

#[test]
fn a_packet_beyond_the_inbound_cap_is_not_even_read() {
    let oversized = vec![0; MAX_INBOUND_PACKET_BYTES + 1];
    assert!(matches!(peek(&oversized), Err(WireError::TooLong { what: "packet", .. })));
    let header = vec![0x83, 0x59, 0x04, 0x01].into_iter().chain([0; 1_100]).collect::<Vec<u8>>();
    assert!(matches!(peek(&header), Err(WireError::TooLong { what: "header", .. })));
}
