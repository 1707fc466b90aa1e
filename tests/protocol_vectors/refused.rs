//! Payloads that every implementation must refuse.

use mqtt_p2p::crypto::Identity;
use mqtt_p2p::ids::PeerId;
use mqtt_p2p::wire::{Kind, Topic};
use serde_json::{Value, json};

use crate::accepted::{alice, document, repository};
use crate::by_hand::{Header, frame, signature_input, signed, split};

/// The topics used here, as text.
struct Topics {
    messages: String,
    sync: String,
    changes: String,
}

/// `[]`, a valid body of `Kind::Application`: the text "{}".
const TEXT: &[u8] = &[0x62, b'{', b'}'];

fn application() -> Header {
    Header::new(&alice(), Kind::Application.number())
}

fn vector(name: &str, reason: &str, topic: &str, payload: &[u8]) -> Value {
    json!({ "name": name, "reason": reason, "topic": topic, "payload": hex::encode(payload) })
}

pub(crate) fn payloads() -> Vec<Value> {
    let text = |topic: &Topic| crate::topics().format(topic);
    let topics = Topics {
        messages: text(&Topic::Messages(repository())),
        sync: text(&Topic::Sync(repository())),
        changes: text(&Topic::Changes(document())),
    };
    [frames(&topics), headers(&topics), signatures(&topics), places(&topics), bodies(&topics), compressed(&topics)]
        .concat()
}

fn frames(topics: &Topics) -> Vec<Value> {
    let good = signed(&alice(), &topics.messages, &application().encode(), TEXT);
    let parts = split(&good);
    // The same parts with the body's length in two bytes more than needed.
    let body_at = good.len() - 66 - TEXT.len() - 1;
    let long_length = [&good[..body_at], &[0x59, 0x00, 0x03], &good[body_at + 1..]].concat();
    let four_parts = [&[0x84], &good[1..], &[0x40]].concat();
    let short_signature = frame(&parts.header, &parts.body, &parts.signature[..63]);
    [
        ("random bytes", vec![0xde, 0xad, 0xbe, 0xef]),
        ("JSON", b"{\"type\":\"canvas-update\"}".to_vec()),
        ("truncated", good[..good.len() - 1].to_vec()),
        ("a byte behind the end", [&good[..], &[0]].concat()),
        ("a length that is not shortest", long_length),
        ("four parts", four_parts),
        ("short signature", short_signature),
    ]
    .into_iter()
    .map(|(name, payload)| vector(&format!("frame: {name}"), "malformed", &topics.messages, &payload))
    .collect()
}

fn headers(topics: &Topics) -> Vec<Value> {
    let fragment = |index: u8, count: &[u8]| application().with(8, &[&[0x83, 0x01, index], count].concat());
    let mut missing = application();
    missing.0.remove(4);
    let mut unordered = application();
    unordered.0.swap(6, 7);
    let mut repeated = application();
    repeated.0.push((7, vec![0]));
    let huge = vec![0x59, 0x04, 0x00].into_iter().chain([0; 1_024]).collect::<Vec<u8>>();
    [
        ("version 2", "unsupported version", application().with(0, &[2])),
        ("kind 99", "unsupported kind", application().with(1, &[0x18, 99])),
        ("codec 2", "unsupported codec", application().with(7, &[2])),
        ("key id", "encrypted", application().with(9, &[0x41, 1])),
        ("nonce", "encrypted", application().with(10, &[0x41, 1])),
        ("no counter", "malformed", missing),
        ("keys out of order", "malformed", unordered),
        ("a key twice", "malformed", repeated),
        ("priority 4", "malformed", application().with(6, &[4])),
        ("negative counter", "malformed", application().with(4, &[0x20])),
        ("sender of 31 bytes", "malformed", application().with(2, &[&[0x58, 31], &[1; 31][..]].concat())),
        ("fragment 2 of 2", "malformed", fragment(2, &[2])),
        ("fragment of 1", "malformed", fragment(0, &[1])),
        ("fragment of 0", "malformed", fragment(0, &[0])),
        ("fragment of 16,385", "too long", fragment(0, &[0x19, 0x40, 0x01])),
        ("over 1,024 bytes", "too long", application().with(11, &huge)),
    ]
    .into_iter()
    .map(|(name, reason, header)| {
        let payload = signed(&alice(), &topics.messages, &header.encode(), TEXT);
        vector(&format!("header: {name}"), reason, &topics.messages, &payload)
    })
    .collect()
}

fn signatures(topics: &Topics) -> Vec<Value> {
    let header = application().encode();
    let good = split(&signed(&alice(), &topics.messages, &header, TEXT));
    let mut flipped = good.signature.clone();
    flipped[0] ^= 1;
    let other_body = [0x62, b'[', b']'];
    let bob = Identity::from_seed([0x12; 32]);
    let by_bob = bob.sign(&signature_input(&topics.messages, &header, TEXT));
    // The neutral element as key and as R, S = 0: without strictness, this "signs" everything.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = application().with(2, &[&[0x58, 32], &neutral[..]].concat()).encode();
    let weak_signature = [neutral, [0; 32]].concat();
    let elsewhere = "mind-git/v1/another-repo/messages";
    [
        ("a flipped bit", &topics.messages[..], frame(&header, TEXT, &flipped)),
        ("another body", &topics.messages, frame(&header, &other_body, &good.signature)),
        ("another signer", &topics.messages, frame(&header, TEXT, &by_bob)),
        ("a key of small order", &topics.messages, frame(&weak, TEXT, &weak_signature)),
        ("moved to another repository", elsewhere, frame(&header, TEXT, &good.signature)),
    ]
    .into_iter()
    .map(|(name, topic, payload)| vector(&format!("signature: {name}"), "unverified", topic, &payload))
    .collect()
}

fn places(topics: &Topics) -> Vec<Value> {
    let others = crate::topics().format(&Topic::Will { peer: PeerId([0x33; 32]) });
    let own = crate::topics().format(&Topic::Presence { repository: repository(), peer: alice().peer() });
    let part = crate::topics().format(&Topic::SnapshotPart { document: document(), digest: [0; 32] });
    let will = Header::new(&alice(), Kind::Will.number()).encode();
    let presence = Header::new(&alice(), Kind::Presence.number()).with(8, &[0x83, 1, 0, 2]).encode();
    let snapshot = Header::new(&alice(), Kind::SnapshotPart.number()).encode();
    let cases = [
        ("a kind on another's topic", "misplaced", &topics.sync, application().encode(), TEXT),
        ("another peer's topic", "another peer's topic", &others, will, &[0x82, 1, 1][..]),
        ("a retained message in fragments", "malformed", &own, presence, &[0x86][..]),
        ("a snapshot part of another digest", "digest mismatch", &part, snapshot, &[0x41, 1][..]),
    ];
    cases
        .into_iter()
        .map(|(name, reason, topic, header, body)| {
            vector(&format!("place: {name}"), reason, topic, &signed(&alice(), topic, &header, body))
        })
        .collect()
}

fn bodies(topics: &Topics) -> Vec<Value> {
    let hash = |byte: u8| [&[0x58, 32], &[byte; 32][..]].concat();
    let unordered = [vec![0x82, 0, 0x82], hash(2), hash(1)].concat();
    let (announcement, heads) = (Kind::SyncAnnouncement, Kind::HeadsAnnouncement);
    let cases: [(&str, &str, &str, Kind, Vec<u8>); 9] = [
        ("a byte behind the end", "malformed", &topics.messages, Kind::Application, [TEXT, &[0]].concat()),
        ("not text", "malformed", &topics.messages, Kind::Application, vec![0x42, 1, 2]),
        ("not UTF-8", "malformed", &topics.messages, Kind::Application, vec![0x61, 0xff]),
        ("an element too many", "malformed", &topics.changes, Kind::Changes, vec![0x83, 0x80, 0x80, 0x80]),
        ("indefinite length", "malformed", &topics.changes, Kind::Changes, vec![0x82, 0x9f, 0xff, 0x80]),
        ("heads out of order", "malformed", &topics.sync, announcement, unordered),
        ("257 documents", "too long", &topics.sync, heads, vec![0x99, 0x01, 0x01]),
        ("65,537 changes", "too long", &topics.changes, Kind::Changes, vec![0x82, 0x9a, 0, 1, 0, 1]),
        ("a document of unknown form", "malformed", &topics.sync, heads, vec![0x81, 0x82, 0x82, 2, 0x61, 0x61, 0x80]),
    ];
    cases
        .into_iter()
        .map(|(name, reason, topic, kind, body)| {
            let header = Header::new(&alice(), kind.number()).encode();
            vector(&format!("body: {name}"), reason, topic, &signed(&alice(), topic, &header, &body))
        })
        .collect()
}

fn compressed(topics: &Topics) -> Vec<Value> {
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let raw_block = [&[0x19, 0x00, 0x00], TEXT].concat();
    let frame_with = |head: &[u8]| [&magic[..], head, &raw_block].concat();
    let good = frame_with(&[0x00, 0x00]);
    [
        ("not zstd", TEXT.to_vec()),
        ("cut", good[..good.len() - 1].to_vec()),
        ("two frames", good.repeat(2)),
        ("a window of 16 MiB", frame_with(&[0x00, (24 - 10) << 3])),
        ("a content size that is not true", frame_with(&[0xc0, 0x00, 0, 0, 0, 0, 0, 1, 0, 0])),
    ]
    .into_iter()
    .map(|(name, body)| {
        let header = application().with(7, &[1]).encode();
        let payload = signed(&alice(), &topics.messages, &header, &body);
        vector(&format!("compressed: {name}"), "malformed", &topics.messages, &payload)
    })
    .collect()
}
