//! Who asks, and who announces that it answers, and means harm: two peers by hand, message by message.

#![cfg(feature = "drivers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod process;

use mqtt_p2p::canvas::CanvasDocument;
use mqtt_p2p::ids::{Heads, Nonce};
use mqtt_p2p::sync::Message;
use mqtt_p2p::wire::{Body, SyncAnnouncement, SyncRequest, Topic};
use process::{Process, document, peer, repository, signed, space, two};

/// Asks for a document, of which the requester says that it has nothing.
fn ask(key: u8, request: u64, counter: u64) -> Message {
    let body = SyncRequest { request: Nonce(request), document: document(), heads: Heads::default(), have: Vec::new() };
    signed(key, &Topic::Sync(repository()), 1, counter, &Body::SyncRequest(body))
}

/// To whom answers were published.
fn answered(process: &mut Process) -> Vec<String> {
    let inboxes = [98, 99].map(|key| space().format(&Topic::Inbox { repository: repository(), peer: peer(key) }));
    process.take_published().into_iter().map(|message| message.topic).filter(|topic| inboxes.contains(topic)).collect()
}

#[test]
fn an_announced_answer_that_never_comes_is_relied_on_no_longer() {
    let (mut ada, _ben) = two();
    ada.edit(1);
    let saved = CanvasDocument::load(&ada.saved().unwrap()).unwrap();
    let heads = saved.replica().heads();
    let mut relied_on = 0;
    for round in 0..40 {
        answered(&mut ada);
        ada.hear(vec![ask(99, round, round)]);
        if !answered(&mut ada).is_empty() {
            // Ada was the first to answer.
            continue;
        }
        let announcement = SyncAnnouncement { request: Nonce(round), heads: heads.clone() };
        ada.hear(vec![signed(2, &Topic::Sync(repository()), 9, round, &Body::SyncAnnouncement(announcement))]);
        ada.pass(2_000);
        if !answered(&mut ada).is_empty() {
            assert!((1..=3).contains(&relied_on), "{relied_on}");
            return;
        }
        relied_on += 1;
    }
    panic!("who announces that it answers, and does not, keeps others from it: {relied_on} times");
}

#[test]
fn a_request_under_anothers_number_does_not_take_its_place() {
    let (mut ada, _ben) = two();
    for round in 0..40 {
        answered(&mut ada);
        ada.hear(vec![ask(99, round, round)]);
        if !answered(&mut ada).is_empty() {
            continue;
        }
        ada.hear(vec![ask(98, round, round)]);
        ada.pass(2_000);
        let inbox = space().format(&Topic::Inbox { repository: repository(), peer: peer(99) });
        assert_eq!(answered(&mut ada), [inbox]);
        return;
    }
    panic!("Ada was always the first to answer");
}
