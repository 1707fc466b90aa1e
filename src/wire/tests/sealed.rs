//! Messages of encrypted repositories: they open with their key, on their own topic, unaltered, and nowhere else; and nothing
//! about them says what they are about.

use std::sync::Arc;

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::crypto::RootSecret;
use crate::crypto::repository::SEAL_TAG_BYTES;
use crate::ids::{CanvasId, DocumentId, Generation, Nonce, PeerId, RepositoryName, Session};
use crate::limits::*;
use crate::time::Now;
use crate::wire::envelope::{Content, Header, Stamp, packet, peek, seal, split};
use crate::wire::error::WireError;
use crate::wire::fragments::Reassembler;
use crate::wire::header::Priority;
use crate::wire::messages::*;
use crate::wire::padding::size_class;
use crate::wire::sealed::{Arrival, content_room, read, seal_on};
use crate::wire::topics::{Topic, TopicSpace};

use super::samples::{alice, body, document, home_of, long_message, noise, one_of_each, plain_document, topic};

fn plain() -> TopicSpace {
    TopicSpace::new("mind-git").unwrap()
}

fn space(secret: u8) -> TopicSpace {
    plain().encrypted(Arc::new(RootSecret::new([secret; 32])))
}

fn seal_in(space: &TopicSpace, topic: &Topic, body: &Body, max_packet_bytes: usize) -> Vec<Vec<u8>> {
    let mut counter = 0;
    let stamp = Stamp { session: Session(1), counter: &mut counter, sent_unix_ms: 2, message: Nonce(3), vouches: None };
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let packets = seal_on(space, &mut rng, &alice(), (topic, body), stamp, Priority::High, max_packet_bytes).unwrap();
    assert_eq!(counter, packets.len() as u64);
    packets
}

fn one(space: &TopicSpace, topic: &Topic, body: &Body) -> Vec<u8> {
    let mut packets = seal_in(space, topic, body, DEFAULT_MAX_MESSAGE_BYTES);
    assert_eq!(packets.len(), 1);
    packets.remove(0)
}

fn read_as_other<'a>(space: &TopicSpace, text: &str, payload: &'a [u8]) -> Result<Arrival<'a>, WireError> {
    read(space, text, payload, |_: &Header| false)
}

/// What the receiver has read of a whole message.
fn body_of(space: &TopicSpace, text: &str, payload: &[u8]) -> Result<(Topic, Body), WireError> {
    match read_as_other(space, text, payload)? {
        Arrival::Message(topic, opened) => match opened.content {
            Content::Whole(body) => Ok((topic, body)),
            Content::Fragment(_) => panic!("a fragment"),
        },
        Arrival::Echo(_) => panic!("an echo"),
    }
}

/// A space that listens to the repository of a document.
fn listening(secret: u8, repository: &RepositoryName) -> TopicSpace {
    let space = space(secret);
    let _ = space.all_changes(repository);
    space
}

/// Bodies that are sealed: all but the Will and the notice of a key.
fn sealed_bodies() -> Vec<Body> {
    let mut bodies = one_of_each();
    bodies.retain(|body| home_of(body, plain_document()).repository().is_some());
    assert_eq!(bodies.len(), 12);
    bodies
}

proptest! {
    #[test]
    fn what_was_sealed_opens_with_the_key_and_nowhere_else(body in body(), document in document()) {
        let topic = home_of(&body, document);
        let text = space(1).format(&topic);
        let packet = one(&space(1), &topic, &body);
        let Some(repository) = topic.repository() else {
            // Belongs to no repository, and is in plain text.
            prop_assert_eq!(body_of(&plain(), &text, &packet), Ok((topic, body)));
            return Ok(());
        };
        prop_assert_eq!(body_of(&listening(1, repository), &text, &packet), Ok((topic.clone(), body)));
        prop_assert_eq!(read_as_other(&listening(2, repository), &text, &packet), Err(WireError::UnknownTopic));
        let theirs = space(2).format(&topic);
        prop_assert_ne!(&theirs, &text);
        prop_assert_eq!(read_as_other(&listening(2, repository), &theirs, &packet), Err(WireError::OtherKey));
        let plain_text = plain().format(&topic);
        prop_assert_eq!(read_as_other(&plain(), &plain_text, &packet), Err(WireError::UnsupportedSealed));
    }

    #[test]
    fn topics_are_of_one_form_whatever_they_name(topic in topic()) {
        let text = space(1).format(&topic);
        let levels: Vec<&str> = text.split('/').collect();
        prop_assert_eq!(levels.len(), plain().format(&topic).split('/').count());
        let is_hash = |level: &str| level.len() == 32 && level.bytes().all(|byte| byte.is_ascii_hexdigit());
        if topic.repository().is_some() {
            prop_assert!(is_hash(levels[2]), "{}", text);
            if levels[3] == "canvas" {
                prop_assert!(is_hash(levels[4]) && is_hash(levels[5]), "{}", text);
            }
            if let Topic::SnapshotPart { digest, .. } = &topic {
                prop_assert!(is_hash(levels[levels.len() - 1]) && !text.contains(&hex::encode(digest)[..32]), "{}", text);
            }
        }
    }

    #[test]
    fn two_topics_have_two_texts(a in topic(), b in topic()) {
        let space = space(1);
        prop_assert_eq!(a == b, space.format(&a) == space.format(&b));
    }

    #[test]
    fn what_is_read_without_a_packet_is_what_was_written(topic in topic()) {
        let space = space(1);
        let text = space.format(&topic);
        if let Some(read) = space.parse(&text) {
            prop_assert_eq!(&read, &topic);
        }
        if topic.repository().is_some() {
            prop_assert_eq!(space.parse(&plain().format(&topic)), None);
        }
    }

    #[test]
    fn arbitrary_bytes_never_open(topic in topic(), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let space = space(1);
        let text = space.format(&topic);
        prop_assert!(read_as_other(&space, &text, &bytes).is_err());
    }
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    for body in sealed_bodies() {
        let topic = home_of(&body, plain_document());
        let space = space(1);
        let text = space.format(&topic);
        let mut packet = one(&space, &topic, &body);
        for end in 1..packet.len() {
            assert!(read_as_other(&space, &text, &packet[..end]).is_err(), "{:?} cut at {end}", body.kind());
        }
        for bit in 0..packet.len() * 8 {
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(read_as_other(&space, &text, &packet).is_err(), "{:?} with bit {bit} flipped", body.kind());
            packet[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(body_of(&space, &text, &packet), Ok((topic, body)));
    }
}

/// Also by who may sign: somebody who has no key takes the sealed body of another, under a header of its own.
#[test]
fn a_flipped_bit_that_is_signed_anew_is_refused() {
    let mallory = crate::crypto::Identity::from_seed([66; 32]);
    for body in sealed_bodies() {
        let topic = home_of(&body, plain_document());
        let space = space(1);
        let text = space.format(&topic);
        let whole = one(&space, &topic, &body);
        let parts = split(&whole).unwrap();
        let path = space.below(&text).unwrap();
        let signed = |header: &Header, body: &[u8]| {
            packet(&mallory, &mut crate::wire::envelope::SignatureInput::new(path), header, body)
        };
        let header = Header { sender: mallory.peer(), ..parts.header.clone() };
        let stolen = signed(&header, parts.body);
        assert!(matches!(read_as_other(&space, &text, &stolen), Err(WireError::Undecipherable(_))));
        let mut altered = parts.body.to_vec();
        for bit in 0..altered.len() * 8 {
            altered[bit / 8] ^= 1 << (bit % 8);
            let payload = signed(&header, &altered);
            assert!(read_as_other(&space, &text, &payload).is_err(), "{:?} with bit {bit} flipped", body.kind());
            altered[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_pair_of_topics_swapped_is_refused() {
    let space = space(1);
    let other = DocumentId::Canvas {
        repository: RepositoryName::new("repo").unwrap(),
        canvas: CanvasId::new("other").unwrap(),
        generation: Generation(1),
    };
    let elsewhere = DocumentId::Index { repository: RepositoryName::new("elsewhere").unwrap() };
    let documents = [plain_document(), other, elsewhere];
    let messages: Vec<(String, Vec<u8>)> = documents
        .iter()
        .flat_map(|document| {
            sealed_bodies().into_iter().map(|body| {
                let topic = home_of(&body, document.clone());
                (space.format(&topic), one(&space, &topic, &body))
            })
        })
        .collect();
    for (home, packet) in &messages {
        assert!(read_as_other(&space, home, packet).is_ok());
        for (text, _) in messages.iter().filter(|(text, _)| text != home) {
            assert!(read_as_other(&space, text, packet).is_err(), "{home} on {text}");
        }
    }
}

/// A holder of the key cannot have one topic's message pass as another's by sealing another name into it.
#[test]
fn a_sealed_name_that_is_not_the_topics_is_refused() {
    let space = space(1);
    let topic = Topic::Changes(plain_document());
    let text = space.format(&topic);
    let DocumentId::Canvas { repository, canvas, .. } = plain_document() else { panic!() };
    let later = DocumentId::Canvas { repository: repository.clone(), canvas, generation: Generation(2) };
    let keyed = space.keyed(&repository).unwrap();
    let path = space.below(&text).unwrap().to_owned();
    for plain_path in [Topic::Changes(later).plain_path(), "v1/repo/canvas/board/01/changes".to_owned(), String::new()]
    {
        let mut header =
            peek(&one(&space, &topic, &Body::Changes(Changes { changes: vec![], vouchers: vec![], proof: None })))
                .unwrap();
        let body =
            crate::wire::sealed::Sealer::for_test(keyed.clone(), &path, &plain_path, &mut ChaCha8Rng::seed_from_u64(1))
                .seal(&mut header, &[0x82, 0x80, 0x80])
                .unwrap();
        let payload = packet(&alice(), &mut crate::wire::envelope::SignatureInput::new(&path), &header, &body);
        assert!(matches!(read_as_other(&space, &text, &payload), Err(WireError::Malformed { .. })), "{plain_path}");
    }
}

#[test]
fn plain_text_on_an_encrypted_topic_is_refused() {
    for body in sealed_bodies() {
        let topic = home_of(&body, plain_document());
        let space = space(1);
        let text = space.format(&topic);
        let stamp = Stamp { session: Session(1), counter: &mut 0, sent_unix_ms: 2, message: Nonce(3), vouches: None };
        let packets = seal(&alice(), &topic, stamp, Priority::High, &body, DEFAULT_MAX_MESSAGE_BYTES).unwrap();
        assert_eq!(read_as_other(&space, &text, &packets[0]), Err(WireError::NotSealed));
    }
}

#[test]
fn own_messages_are_echoes_except_what_the_broker_keeps() {
    let space = space(1);
    for body in sealed_bodies() {
        let topic = home_of(&body, plain_document());
        let (text, packet) = (space.format(&topic), one(&space, &topic, &body));
        let arrival = read(&space, &text, &packet, |header: &Header| header.sender == alice().peer()).unwrap();
        let kept = matches!(topic, Topic::Manifest { .. } | Topic::SnapshotPart { .. });
        assert_eq!(matches!(arrival, Arrival::Echo(ref echo) if *echo == topic), !kept, "{arrival:?}");
    }
}

#[test]
fn each_fragment_is_sealed_and_together_they_are_the_message() {
    let space = space(1);
    let topic = Topic::Messages(plain_document().repository().clone());
    let text = space.format(&topic);
    for max_packet_bytes in [MIN_SEALED_MAX_MESSAGE_BYTES, 1_000] {
        let packets = seal_in(&space, &topic, &long_message(), max_packet_bytes);
        assert!(packets.len() > 1);
        let mut reassembler = Reassembler::new();
        let mut whole = None;
        for packet in &packets {
            assert!(packet.len() <= max_packet_bytes);
            assert_eq!(
                read_as_other(&listening(2, plain_document().repository()), &text, packet),
                Err(WireError::UnknownTopic)
            );
            let Arrival::Message(topic, opened) = read_as_other(&space, &text, packet).unwrap() else { panic!() };
            let Content::Fragment(piece) = opened.content else { panic!() };
            let now = Now { elapsed_ms: 0, unix_ms: 0 };
            whole = whole.or(reassembler.add(now, &topic, &opened.header, &piece).unwrap());
        }
        assert_eq!(whole, Some(long_message()));
    }
}

#[test]
fn what_fits_the_stated_room_fits_the_packet_and_no_more() {
    let space = space(1);
    for max_packet_bytes in [MIN_SEALED_MAX_MESSAGE_BYTES, DEFAULT_MAX_MESSAGE_BYTES, MAX_INBOUND_PACKET_BYTES] {
        let longest = Topic::SnapshotPart { document: plain_document(), digest: [0; 32] };
        let room = content_room(&space, &longest, max_packet_bytes).unwrap();
        let fits = |bytes: usize| {
            let part = Body::SnapshotPart(noise(bytes - 5));
            let topic = home_of(&part, plain_document());
            let stamp = Stamp {
                session: Session(u64::MAX),
                counter: &mut 9,
                sent_unix_ms: u64::MAX,
                message: Nonce(3),
                vouches: None,
            };
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            seal_on(&space, &mut rng, &alice(), (&topic, &part), stamp, Priority::Low, max_packet_bytes)
        };
        let packets = fits(room).unwrap();
        assert!(packets.len() == 1 && packets[0].len() <= max_packet_bytes);
        assert!(matches!(fits(room + 3), Err(WireError::NotFragmentable { .. })));
    }
}

#[test]
fn sizes_are_those_of_classes() {
    let space = space(1);
    let topic = Topic::Messages(plain_document().repository().clone());
    let size = |length: usize| {
        let packet = one(&space, &topic, &Body::Application(hex::encode(noise(length / 2))));
        split(&packet).unwrap().body.len() - SEAL_TAG_BYTES
    };
    assert_eq!((size(0), size(10), size(200)), (256, 256, 256));
    for length in [300, 1_000, 20_000] {
        assert_eq!(size_class(size(length)), size(length));
    }
}

#[test]
fn two_messages_of_one_content_have_nothing_in_common() {
    let space = space(1);
    let topic = Topic::Messages(plain_document().repository().clone());
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut next = || {
        let stamp = Stamp { session: Session(1), counter: &mut 0, sent_unix_ms: 2, message: Nonce(3), vouches: None };
        let message = (&topic, &Body::Application("{}".to_owned()));
        seal_on(&space, &mut rng, &alice(), message, stamp, Priority::High, 1 << 20).unwrap().remove(0)
    };
    let (first, second) = (next(), next());
    assert_ne!(peek(&first).unwrap().seal, peek(&second).unwrap().seal);
    assert_ne!(split(&first).unwrap().body, split(&second).unwrap().body);
}

#[test]
fn the_will_and_the_notice_of_a_key_name_no_repository() {
    let will = Topic::Will { peer: PeerId([7; 32]) };
    let repository = RepositoryName::new("repo").unwrap();
    let (notices, key) = space(1).key_notices(&repository).unwrap();
    let (other_notices, other_key) = space(2).key_notices(&repository).unwrap();
    assert_eq!(notices, other_notices, "here those meet who use different keys");
    assert_ne!(key, other_key);
    assert_eq!(plain().key_notices(&repository), None);
    for topic in [will, notices] {
        assert_eq!(topic.repository(), None);
        assert_eq!(space(1).format(&topic), plain().format(&topic));
        assert_eq!(space(1).parse(&plain().format(&topic)), Some(topic));
    }
}
