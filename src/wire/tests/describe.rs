//! Descriptions: of every message that peers send, and of anything else, without fail.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::crypto::RootSecret;
use crate::ids::{Nonce, RepositoryName, Session};
use crate::limits::{DEFAULT_MAX_MESSAGE_BYTES, MIN_MAX_MESSAGE_BYTES};
use crate::wire::describe::{Description, Standing, describe};
use crate::wire::envelope::Stamp;
use crate::wire::header::Priority;
use crate::wire::messages::Body;
use crate::wire::sealed::seal_on;
use crate::wire::topics::{Topic, TopicSpace};

use super::samples::{alice, body, home_of, long_message, one_of_each, plain_document, topic};

fn plain() -> TopicSpace {
    TopicSpace::new("mind-git").unwrap()
}

fn secret() -> TopicSpace {
    plain().encrypted(Arc::new(RootSecret::new([1; 32])))
}

fn packets(space: &TopicSpace, topic: &Topic, body: &Body, max_packet_bytes: usize) -> Vec<Vec<u8>> {
    let stamp = Stamp { session: Session(1), counter: &mut 0, sent_unix_ms: 1_234, message: Nonce(3), vouches: None };
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    seal_on(space, &mut rng, &alice(), (topic, body), stamp, Priority::High, max_packet_bytes).unwrap()
}

fn described(spaces: &[TopicSpace], sent_in: &TopicSpace, body: &Body) -> Description {
    let topic = home_of(body, plain_document());
    let packet = &packets(sent_in, &topic, body, DEFAULT_MAX_MESSAGE_BYTES)[0];
    describe(spaces, &sent_in.format(&topic), packet)
}

#[test]
fn every_kind_is_described_with_its_sender_time_and_place() {
    for body in one_of_each() {
        let description = described(&[plain()], &plain(), &body);
        assert_eq!(description.standing, Standing::Message, "{body:?}");
        assert_eq!(description.peer, Some(alice().peer().to_string()));
        assert_eq!(description.sent, Some(1_234));
        assert!(description.details.is_object(), "{description:?}");
        let topic = home_of(&body, plain_document());
        assert_eq!(description.repository.as_deref(), topic.repository().map(RepositoryName::as_str));
        if let Topic::Changes(_) = topic {
            assert_eq!((description.kind.as_deref(), description.canvas.as_deref()), (Some("changes"), Some("board")));
        }
    }
}

#[test]
fn a_piece_says_which_it_is() {
    let body = long_message();
    let topic = home_of(&body, plain_document());
    let packets = packets(&plain(), &topic, &body, MIN_MAX_MESSAGE_BYTES);
    let last = describe(&[plain()], &plain().format(&topic), packets.last().unwrap());
    assert_eq!((last.standing, last.details["count"].as_u64()), (Standing::Fragment, Some(packets.len() as u64)));
}

#[test]
fn what_is_sealed_shows_what_it_is_about_only_to_who_has_the_key() {
    for body in one_of_each() {
        let topic = home_of(&body, plain_document());
        let Some(repository) = topic.repository() else { continue };
        let space = secret();
        let without = described(&[plain()], &space, &body);
        assert_eq!(without.standing, Standing::Encrypted, "{without:?}");
        assert!(without.details.is_null() && without.kind.is_some());
        assert_ne!(without.repository.as_deref(), Some(repository.as_str()));
        let with = described(&[space.clone(), plain()], &space, &body);
        assert_eq!((with.standing, with.repository.as_deref()), (Standing::Message, Some(repository.as_str())));
    }
}

#[test]
fn an_empty_payload_a_probe_and_a_foreign_topic_are_told_apart() {
    let topic = Topic::Presence { repository: plain_document().repository().clone(), peer: alice().peer() };
    let cleared = describe(&[plain()], &plain().format(&topic), b"");
    assert_eq!((cleared.standing, cleared.repository.as_deref()), (Standing::Empty, Some("repo")));
    let probe = describe(&[plain()], &plain().probe(&alice().peer()), &[0; 8]);
    assert_eq!((probe.standing, probe.peer), (Standing::Probe, Some(alice().peer().to_string())));
    let foreign = describe(&[plain()], "weather/today", b"sunny");
    assert_eq!(foreign.standing, Standing::Refused);
    assert!(foreign.reason.is_some());
}

proptest! {
    #[test]
    fn anything_is_described(topic in topic(), other in any::<String>(), bytes in vec(any::<u8>(), 0..600)) {
        for text in [plain().format(&topic), secret().format(&topic), other] {
            let description = describe(&[secret(), plain()], &text, &bytes);
            prop_assert_ne!(description.standing, Standing::Message);
        }
    }

    #[test]
    fn an_altered_message_is_refused_and_says_why(body in body(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let topic = home_of(&body, plain_document());
        let mut packet = packets(&plain(), &topic, &body, DEFAULT_MAX_MESSAGE_BYTES).remove(0);
        let at = at.index(packet.len());
        packet[at] ^= 1 << bit;
        let description = describe(&[plain()], &plain().format(&topic), &packet);
        prop_assert!(matches!(description.standing, Standing::Refused | Standing::Encrypted));
        prop_assert_eq!(description.reason.is_some(), description.standing == Standing::Refused);
    }
}
