//! What it costs each peer that many others are there: one process by hand.

#![cfg(feature = "drivers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod process;

use mqtt_p2p::sync::Message;
use mqtt_p2p::wire::{Body, Presence, PresenceStatus, Topic, TopicSpace};
use process::{Process, peer, repository, signed, space};

const HEARTBEAT_MS: u64 = 10_000;
/// Keys are numbers of a byte; that of the process itself is 1.
const CROWD: std::ops::RangeInclusive<u8> = 2..=201;

fn presence(key: u8, status: PresenceStatus, counter: u64) -> Message {
    let topic = Topic::Presence { repository: repository(), peer: peer(key) };
    let presence = Presence {
        status,
        instance: u64::from(key),
        connection: 1,
        repositories: vec![repository()],
        capabilities: Vec::new(),
        heartbeat_ms: HEARTBEAT_MS,
    };
    signed(key, &topic, 0, counter, &Body::Presence(presence))
}

fn crowd(status: PresenceStatus, counter: u64) -> Vec<Message> {
    CROWD.map(|key| presence(key, status, counter)).collect()
}

/// How often the process has said that it is there.
fn said(process: &mut Process, topics: &TopicSpace) -> usize {
    let own = topics.format(&Topic::Presence { repository: repository(), peer: peer(process.key) });
    process.take_published().into_iter().filter(|message| message.topic == own).count()
}

#[test]
fn in_a_crowd_each_says_more_rarely_that_it_is_there() {
    let mut ada = Process::with_heartbeat(1, HEARTBEAT_MS);
    ada.pass(60_000);
    // A little more often than once in a heartbeat, after the birth.
    assert!((7..=8).contains(&said(&mut ada, &space())), "alone");
    for round in 0..20 {
        ada.hear(crowd(PresenceStatus::Alive, round));
        ada.pass(HEARTBEAT_MS);
    }
    // 200 others: each says it every fourth heartbeat, so that 50 are heard in each. The first was under way before.
    assert!((5..=7).contains(&said(&mut ada, &space())));
    ada.pass(6 * HEARTBEAT_MS);
    said(&mut ada, &space());
    ada.pass(60_000);
    assert!((6..=7).contains(&said(&mut ada, &space())), "they are gone");
}

#[test]
fn about_fifty_answer_who_comes_into_a_crowd() {
    let mut ada = Process::with_heartbeat(1, HEARTBEAT_MS);
    ada.hear(crowd(PresenceStatus::Alive, 0));
    ada.pass(1);
    ada.take_published();
    ada.hear(crowd(PresenceStatus::Birth, 1));
    ada.pass(3_000);
    let inboxes = CROWD.map(|key| space().format(&Topic::Inbox { repository: repository(), peer: peer(key) }));
    let inboxes: Vec<String> = inboxes.collect();
    let answers = ada.take_published().into_iter().filter(|message| inboxes.contains(&message.topic)).count();
    // Of 200 such peers each answers one in four.
    assert!((30..=70).contains(&answers), "{answers}");
}
