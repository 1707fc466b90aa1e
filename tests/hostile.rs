//! Members that misbehave, and messages that are played again: two peers by hand, message by message.

#![cfg(feature = "drivers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod process;

use automerge::ChangeHash;
use mqtt_p2p::ids::Heads;
use mqtt_p2p::limits::{
    CATCH_UP_FRUITLESS_ATTEMPTS, CATCH_UP_MAX_RETRY_MS, HEARD_SAVE_MS, INBOUND_BURST_MS, MAX_THROTTLE_PERIOD_MS,
    WILL_GRACE_MS,
};
use mqtt_p2p::sync::{Command, Event, Input, Message};
use mqtt_p2p::wire::{Body, HeadsAnnouncement, Manifest, Topic, Will, peek};
use process::{PEER_RATE, Process, canvas, create, document, peer, repository, run, signed, space, two};

const TEN_YEARS_MS: u64 = 10 * 365 * 24 * 3_600_000;

#[test]
fn a_flood_is_cut_off_told_of_once_and_caught_up_with() {
    let (mut ada, mut ben) = two();
    let burst = PEER_RATE * INBOUND_BURST_MS / 1000;
    let before = ben.synchronizer.status().statistics;
    for x in 0..u64::from(4 * burst) {
        ada.edit(x);
    }
    let flood = ada.take_published();
    assert!(flood.len() >= 4 * burst as usize, "each edit is a message");
    for message in flood {
        ben.hear(vec![message]);
    }
    let after = ben.synchronizer.status().statistics;
    let taken = after.remote_changes - before.remote_changes;
    assert!((1..=u64::from(burst)).contains(&taken), "{taken}");
    assert_eq!(ben.throttled(), 1);
    assert_eq!(after.requests, before.requests, "nothing is asked for while it lasts");

    run(&mut ada, &mut ben, 5_000 + 4 * MAX_THROTTLE_PERIOD_MS);
    assert!(ada.saved() == ben.saved(), "all of it came in the end");
    assert_eq!(ben.throttled(), 1);
    let requests = ben.synchronizer.status().statistics.requests - after.requests;
    assert!((1..=4).contains(&requests), "{requests}");
}

#[test]
fn who_floods_does_not_hold_up_the_others() {
    let (mut ada, mut ben) = two();
    let mut cleo = Process::new(3);
    run(&mut ada, &mut cleo, 10_000);
    cleo.edit(1);
    let edit = cleo.take_published();
    for x in 0..u64::from(4 * PEER_RATE * INBOUND_BURST_MS / 1000) {
        ada.edit(x);
    }
    ben.hear(ada.take_published());
    assert_eq!(ben.throttled(), 1);
    let before = ben.synchronizer.status().statistics.remote_changes;
    ben.hear(edit);
    ben.input(Input::Timer);
    assert!(ben.synchronizer.status().statistics.remote_changes > before);
}

#[test]
fn a_recording_played_ten_times_does_nothing_also_to_a_new_process() {
    let (mut ada, mut ben) = (Process::new(1), Process::new(2));
    ada.command(create());
    let mut recording = run(&mut ada, &mut ben, 5_000);
    for x in 0..20 {
        ada.edit(x);
        let cursor = Command::SetCursor { canvas: canvas(), presence: Some("{}".to_owned()), author: None };
        ada.command(cursor);
        ben.command(Command::Broadcast { message: "1".to_owned() });
        ben.command(Command::DiscoverPeers { timeout_ms: 1 });
        recording.extend(run(&mut ada, &mut ben, 6_000 + x));
    }
    recording.extend(run(&mut ada, &mut ben, 20_000 + HEARD_SAVE_MS));
    assert!(recording.len() > 80 && ben.count(|event| matches!(event, Event::Cursor { .. })) == 20);

    for restarted in [false, true] {
        if restarted {
            ben = ben.restart();
            ben.command(Command::Get { canvas: canvas(), at: None });
            run(&mut ada, &mut ben, 60_000);
        }
        ben.take_published();
        let (events, saved, batches) = (ben.events.len(), ben.saved(), ben.batches);
        for time in 0..10 {
            // Whoever publishes can also claim that the broker had kept a message, of whatever kind.
            let claims =
                |message: &Message| time % 2 == 1 && !peek(&message.payload).is_ok_and(|header| header.kind.is_kept());
            let claimed = |message: Message| Message { retained: message.retained || claims(&message), ..message };
            ben.hear(recording.iter().cloned().map(claimed).collect());
        }
        assert_eq!(ben.events[events..], [], "restarted: {restarted}");
        assert_eq!(ben.take_published().len(), 0, "restarted: {restarted}");
        assert!(ben.saved() == saved && ben.batches == batches, "restarted: {restarted}");
    }
    // What is sent from now on is heard.
    ada.command(Command::Broadcast { message: "2".to_owned() });
    ben.hear(ada.take_published());
    assert_eq!(ben.count(|event| matches!(event, Event::Message { .. })), 1);
}

#[test]
fn a_members_will_published_by_another_does_not_take_it_away() {
    let (mut ada, mut ben) = two();
    let topic = Topic::Will { peer: peer(1) };
    let will = |connection| Body::Will(Will { instance: 1 << 8 | 1, connection });
    let (old, present) = (signed(1, &topic, u16::MAX, 0, &will(0)), signed(1, &topic, u16::MAX, 1, &will(1)));
    // Signed by another it is refused, and one of an earlier connection is passed over.
    let own = Topic::Will { peer: peer(3) };
    let forged = Message { topic: space().format(&topic), ..signed(3, &own, u16::MAX, 1, &will(1)) };
    for message in [forged, old] {
        ada.hear(vec![message.clone()]);
        ben.hear(vec![message]);
    }
    run(&mut ada, &mut ben, 5_000 + 2 * WILL_GRACE_MS);
    // The present one, by whoever got hold of it: she is there, and says so.
    ada.hear(vec![present.clone()]);
    ben.hear(vec![present.clone()]);
    run(&mut ada, &mut ben, 5_000 + 4 * WILL_GRACE_MS);
    assert_eq!(ben.left(), 0);
    // Played again it is old.
    ben.hear(vec![present]);
    ben.pass(2 * WILL_GRACE_MS);
    assert_eq!(ben.left(), 0);
}

#[test]
fn a_will_without_a_word_of_its_peer_takes_it_away() {
    let (_, mut ben) = two();
    let topic = Topic::Will { peer: peer(1) };
    let will = Body::Will(Will { instance: 1 << 8 | 1, connection: 1 });
    ben.hear(vec![signed(1, &topic, u16::MAX, 1, &will)]);
    assert_eq!(ben.left(), 0);
    ben.pass(WILL_GRACE_MS);
    assert_eq!(ben.left(), 1);
}

#[test]
fn clocks_may_be_ten_years_apart() {
    let (mut ada, mut ben) = (Process::new(1), Process::new(2));
    ben.ahead_ms = TEN_YEARS_MS;
    ada.command(create());
    run(&mut ada, &mut ben, 5_000);
    ada.edit(1);
    run(&mut ada, &mut ben, 6_000);
    ben.edit(2);
    ben.command(Command::Broadcast { message: "1".to_owned() });
    run(&mut ada, &mut ben, 7_000);
    assert!(ada.saved() == ben.saved());
    assert_eq!(ada.count(|event| matches!(event, Event::Message { .. })), 1);
    // A process that begins after its clock was put right is no older one.
    let mut ben = ben.restart();
    run(&mut ada, &mut ben, 8_000);
    ben.command(Command::Broadcast { message: "2".to_owned() });
    run(&mut ada, &mut ben, 9_000);
    assert_eq!(ada.count(|event| matches!(event, Event::Message { .. })), 2);
    assert_eq!(ada.left() + ben.left(), 0);
}

#[test]
fn a_snapshot_replaced_by_an_older_one_loses_nothing_and_is_told_of() {
    let (_, mut ben) = two();
    let topic = Topic::Manifest { document: document(), writer: peer(3) };
    let manifest = |byte| {
        let heads: Heads = [ChangeHash([byte; 32])].into_iter().collect();
        Body::Manifest(Manifest { heads, parts: Vec::new(), total_bytes: 0 })
    };
    let retained = |counter, byte| Message { retained: true, ..signed(3, &topic, 0, counter, &manifest(byte)) };
    let saved = ben.saved();
    ben.hear(vec![retained(5, 1)]);
    assert_eq!(ben.rolled_back(), 0);
    ben.pass(2 * HEARD_SAVE_MS);
    let mut ben = ben.restart();
    ben.hear(vec![retained(5, 1)]);
    assert_eq!(ben.rolled_back(), 0, "it is what it was");
    for counter in [4, 3, 4] {
        ben.hear(vec![retained(counter, 2)]);
    }
    assert_eq!(ben.rolled_back(), 1, "once");
    ben.command(Command::Get { canvas: canvas(), at: None });
    assert!(ben.saved() == saved);
}

#[test]
fn what_was_announced_and_is_not_to_be_had_is_told_of_once() {
    let (_, mut ben) = two();
    let heads: Heads = [ChangeHash([9; 32])].into_iter().collect();
    let announcement = Body::HeadsAnnouncement(HeadsAnnouncement { documents: vec![(document(), heads)] });
    let saved = ben.saved();
    for counter in 10..12 {
        ben.hear(vec![signed(1, &Topic::Sync(repository()), 0, counter, &announcement)]);
        ben.pass(u64::from(CATCH_UP_FRUITLESS_ATTEMPTS) * CATCH_UP_MAX_RETRY_MS);
        assert_eq!(ben.rolled_back(), 1);
    }
    assert!(ben.saved() == saved);
}
