//! Many peers in one repository.

#![allow(unreachable_pub)] // What the modules of a test share is public to it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod harness;

use harness::node::Node;
use harness::world::World;
use mqtt_p2p::sync::Message;
use mqtt_p2p::wire::{Arrival, Header, Kind, TopicSpace, read};

/// How many messages of a kind are in a recording.
fn of_kind(recording: &[Message], kind: Kind) -> usize {
    let space = TopicSpace::new("mind-git").unwrap();
    let kinds = recording.iter().filter(|message| !message.payload.is_empty()).map(|message| {
        match read(&space, &message.topic, &message.payload, |_: &Header| false) {
            Ok(Arrival::Message(_, opened)) => opened.header.kind,
            other => panic!("{other:?}"),
        }
    });
    kinds.filter(|found| *found == kind).count()
}

#[test]
fn who_comes_is_answered_by_few_however_many_come_at_once_with_nothing() {
    const COUNT: u8 = 60;
    let mut world = World::calm(1);
    world.broker().recording = Some(Vec::new());
    for key in 1..=COUNT {
        world.join(Node::new("r", key, u64::from(key), 256));
    }
    world.run_for(30_000);
    let recording = world.broker().recording.take().unwrap();
    let requests = of_kind(&recording, Kind::SyncRequest);
    let answers = of_kind(&recording, Kind::SyncAnnouncement);
    assert!(requests >= usize::from(COUNT), "each asks for the list of canvases: {requests}");
    assert!(answers <= 3 * requests, "{answers} answers to {requests} requests");
}
