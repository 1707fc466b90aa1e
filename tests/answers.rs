//! Who asks, and who announces that it answers, and means harm: two peers by hand, message by message.

#![cfg(feature = "drivers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod process;

use mqtt_p2p::canvas::CanvasDocument;
use mqtt_p2p::ids::{Heads, Nonce};
use mqtt_p2p::sync::{Input, Message};
use mqtt_p2p::wire::{Body, Description, SyncAnnouncement, SyncRequest, Topic, describe};
use process::{Process, document, peer, repository, run, signed, space, two};

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

fn described(message: &Message) -> Description {
    describe(&[space()], &message.topic, &message.payload)
}

/// Where a message about the canvas stands among others.
fn place_of(kind: &str, messages: &[Message]) -> Option<usize> {
    let is_it = |message: &Description| message.kind.as_deref() == Some(kind) && message.canvas.is_some();
    messages.iter().position(|message| is_it(&described(message)))
}

#[test]
fn who_comes_back_asks_before_it_sends_and_is_sent_what_was_made_meanwhile() {
    const EACH: u64 = 300;
    let (mut ada, mut ben) = two();
    ada.edit(EACH);
    run(&mut ada, &mut ben, 6_000);
    for process in [&mut ada, &mut ben] {
        process.input(Input::Disconnected);
        process.take_published();
        (0..EACH).for_each(|x| process.edit(x));
    }
    ada.input(Input::Connected { connection: 2 });
    ada.take_published();
    ben.input(Input::Connected { connection: 2 });
    let sent = ben.take_published();
    let (asked, told) = (place_of("sync-request", &sent).unwrap(), place_of("changes", &sent).unwrap());
    assert!(asked < told, "{asked} {told}");
    // All that both know lies before what either did meanwhile.
    ada.hear(sent[..told].to_vec());
    let answer = ada.take_published();
    let answer = described(&answer[place_of("sync-reply", &answer).unwrap()]);
    assert_eq!(answer.details["content"]["changes"], EACH, "{answer:?}");
    ada.hear(sent[told..].to_vec());
    run(&mut ada, &mut ben, 20_000);
    let heads = |process: &Process| CanvasDocument::load(&process.saved().unwrap()).unwrap().version();
    assert_eq!(heads(&ada), heads(&ben));
}
