//! Bodies: round trips, bounds in both directions, arbitrary bytes.

use automerge::ChangeHash;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::ids::{Heads, Nonce, RepositoryName};
use crate::limits::*;
use crate::wire::codec::{decode, encode};
use crate::wire::error::WireError;
use crate::wire::kind::Kind;
use crate::wire::messages::*;
use crate::wire::voucher::Voucher;

use super::samples::{body, one_of_each};

proptest! {
    #[test]
    fn every_body_comes_back_from_its_one_encoding(body in body()) {
        let bytes = encode(&body).unwrap();
        prop_assert_eq!(decode(body.kind(), &bytes), Ok(body));
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_mean_what_they_mean(bytes in vec(any::<u8>(), 0..300)) {
        for kind in Kind::ALL {
            if let Ok(body) = decode(*kind, &bytes) {
                prop_assert_eq!(decode(*kind, &encode(&body).unwrap()), Ok(body));
            }
        }
    }

    #[test]
    fn a_changed_byte_never_panics(body in body(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode(&body).unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        for kind in Kind::ALL {
            let _ = decode(*kind, &bytes);
        }
    }
}

#[test]
fn samples_cover_every_kind() {
    let kinds: Vec<Kind> = one_of_each().iter().map(Body::kind).collect();
    assert_eq!(kinds, Kind::ALL);
    for kind in Kind::ALL {
        assert_eq!(Kind::from_number(kind.number()), Some(*kind));
    }
}

#[test]
fn a_body_with_something_missing_or_left_over_is_refused() {
    for body in one_of_each() {
        let mut bytes = encode(&body).unwrap();
        for end in 0..bytes.len() {
            assert!(decode(body.kind(), &bytes[..end]).is_err(), "{body:?} cut at {end}");
        }
        bytes.push(0);
        assert_eq!(decode(body.kind(), &bytes), Err(WireError::Malformed { what: "body" }));
    }
}

fn presence(repositories: usize, capability: &str) -> Body {
    Body::Presence(Presence {
        status: PresenceStatus::Alive,
        instance: 0,
        connection: 0,
        repositories: vec![RepositoryName::new("r").unwrap(); repositories],
        capabilities: vec![capability.to_owned()],
        heartbeat_ms: 0,
    })
}

fn changes(changes: usize, vouchers: usize, actor_bytes: usize) -> Body {
    let voucher = Voucher {
        actor: vec![0; actor_bytes].into(),
        sequence: 0,
        hash: ChangeHash([0; 32]),
        owner: crate::ids::PeerId([0; 32]),
        envelope: [0; 32],
        signature: [0; 64],
    };
    Body::Changes(Changes { changes: vec![vec![]; changes], vouchers: vec![voucher; vouchers], proof: None })
}

fn hashes(length: usize) -> Vec<ChangeHash> {
    (0..length as u64)
        .map(|number| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            ChangeHash(hash)
        })
        .collect()
}

fn announcement(documents: usize) -> Body {
    let document = super::samples::plain_document();
    Body::HeadsAnnouncement(HeadsAnnouncement { documents: vec![(document, Heads::default()); documents] })
}

/// What is exactly at a bound passes, what is one beyond is refused before it is sent.
#[test]
fn bounds_hold_when_sending() {
    let heads =
        |length| Body::SyncAnnouncement(SyncAnnouncement { request: Nonce(0), heads: Heads::new(hashes(length)) });
    let manifest =
        |parts| Body::Manifest(Manifest { heads: Heads::default(), parts: vec![[0; 32]; parts], total_bytes: 0 });
    let label = "x".repeat(MAX_LABEL_BYTES);
    let message = "x".repeat(MAX_APPLICATION_MESSAGE_BYTES);
    let cursor = |presence: &str, author: &str| {
        Body::Cursor(Cursor { presence: Some(presence.to_owned()), author: Some(author.to_owned()) })
    };
    let at_and_beyond = [
        (presence(MAX_PRESENCE_LIST, &label), presence(MAX_PRESENCE_LIST + 1, "")),
        (presence(0, &label), presence(0, &format!("{label}x"))),
        (changes(MAX_CHANGES_PER_MESSAGE, 0, 24), changes(MAX_CHANGES_PER_MESSAGE + 1, 0, 24)),
        (changes(0, MAX_VOUCHERS_PER_MESSAGE, 24), changes(0, MAX_VOUCHERS_PER_MESSAGE + 1, 24)),
        (changes(0, 1, 40), changes(0, 1, 41)),
        (changes(0, 1, 24), changes(0, 1, 23)),
        (heads(MAX_HASHES_PER_LIST), heads(MAX_HASHES_PER_LIST + 1)),
        (manifest(MAX_SNAPSHOT_PARTS), manifest(MAX_SNAPSHOT_PARTS + 1)),
        (announcement(MAX_DOCUMENTS_PER_ANNOUNCEMENT), announcement(MAX_DOCUMENTS_PER_ANNOUNCEMENT + 1)),
        (cursor(&message, &label), cursor(&format!("{message}x"), "")),
        (cursor("", &label), cursor("", &format!("{label}x"))),
        (Body::Application(message.clone()), Body::Application(format!("{message}x"))),
    ];
    for (at, beyond) in at_and_beyond {
        let bytes = encode(&at).unwrap();
        assert_eq!(decode(at.kind(), &bytes), Ok(at));
        assert!(encode(&beyond).is_err());
    }
}

/// The same bounds hold when receiving, from hand-made bytes, and before any element is read.
#[test]
fn bounds_hold_when_receiving() {
    // An array head that claims `length` elements, 32-bit form.
    let array = |length: usize| [&[0x9a], &u32::try_from(length).unwrap().to_be_bytes()[..]].concat();
    let text = |length: usize| {
        [&[0x7a], &u32::try_from(length).unwrap().to_be_bytes()[..], "x".repeat(length).as_bytes()].concat()
    };
    let beyond = [
        (Kind::Presence, [vec![0x86, 0, 0, 0], array(MAX_PRESENCE_LIST + 1)].concat()),
        (Kind::Changes, [vec![0x82], array(MAX_CHANGES_PER_MESSAGE + 1)].concat()),
        (Kind::Changes, [vec![0x82, 0x80], array(MAX_VOUCHERS_PER_MESSAGE + 1)].concat()),
        (Kind::Manifest, [vec![0x83], array(MAX_HASHES_PER_LIST + 1)].concat()),
        (Kind::Manifest, [vec![0x83, 0x80], array(MAX_SNAPSHOT_PARTS + 1)].concat()),
        (Kind::HeadsAnnouncement, array(MAX_DOCUMENTS_PER_ANNOUNCEMENT + 1)),
        (Kind::HeadsAnnouncement, array(u32::MAX as usize)),
        (Kind::Application, text(MAX_APPLICATION_MESSAGE_BYTES + 1)),
        (Kind::Cursor, [vec![0x82], text(MAX_APPLICATION_MESSAGE_BYTES + 1)].concat()),
        (Kind::Cursor, [vec![0x82, 0xf6], text(MAX_LABEL_BYTES + 1)].concat()),
    ];
    for (kind, bytes) in beyond {
        assert!(matches!(decode(kind, &bytes), Err(WireError::TooLong { .. })), "{kind:?}");
    }
}

#[test]
fn what_the_grammar_does_not_know_is_refused() {
    let cases: &[(Kind, &[u8])] = &[
        (Kind::HeadsAnnouncement, &[0x9f, 0xff]),                // indefinite length
        (Kind::Will, &[0x83, 0, 0, 0]),                          // one field too many
        (Kind::Will, &[0x82, 0x20, 0]),                          // negative
        (Kind::Application, &[0x61, 0xff]),                      // not UTF-8
        (Kind::Presence, &[0x86, 3, 0, 0, 0x80, 0x80, 0]),       // unknown status
        (Kind::Presence, &[0x86, 0, 0, 0, 0x81, 0x60, 0x80, 0]), // a repository without a name
        (Kind::HeadsAnnouncement, &[0x81, 0x82, 0x82, 2, 0x61, 0x61, 0x80]), // unknown form of document
    ];
    for (kind, bytes) in cases {
        assert!(matches!(decode(*kind, bytes), Err(WireError::Malformed { .. })), "{kind:?} {bytes:x?}");
    }
}

#[test]
fn heads_are_a_sorted_set() {
    let announcement = |order: [u8; 2]| {
        let hash = |byte: u8| [&[0x58, 32], &[byte; 32][..]].concat();
        [vec![0x82, 0, 0x82], hash(order[0]), hash(order[1])].concat()
    };
    assert!(decode(Kind::SyncAnnouncement, &announcement([1, 2])).is_ok());
    for order in [[2, 1], [1, 1]] {
        assert_eq!(decode(Kind::SyncAnnouncement, &announcement(order)), Err(WireError::Malformed { what: "heads" }));
    }
}
