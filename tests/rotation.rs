//! The key of an encrypted repository is replaced while everybody works: who stays goes on, who does not sees nothing more.

#![allow(unreachable_pub)] // What the modules of a test share is public to it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod harness;

use automerge::{Automerge, ReadDoc};
use harness::checker;
use harness::node::{Edit, Node};
use harness::world::World;
use mqtt_p2p::canvas::{Canvas, CanvasPatch, Seen};
use mqtt_p2p::crypto::{Identity, RootSecret, Wrapping};
use mqtt_p2p::ids::{CanvasId, Nonce, PeerId, RepositoryName, Session};
use mqtt_p2p::sync::{Command, Reply, SyncError};
use mqtt_p2p::wire::{Body, EpochRecord, Priority, Stamp, Topic, seal_on};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const MINUTE_MS: u64 = 60_000;

/// So many nodes in one encrypted repository that have met.
fn team(seed: u64, nodes: u8) -> World {
    let mut world = World::calm_encrypted(seed);
    for key in 1..=nodes {
        world.join(Node::new("r", key, u64::from(key), 256));
    }
    world.run_for(MINUTE_MS);
    world.command(0, Command::Create { canvas: plan(), content: Canvas::default(), author: "ada".to_owned() });
    world.run_for(MINUTE_MS);
    world
}

fn plan() -> CanvasId {
    CanvasId::new("plan").unwrap()
}

/// A node replaces the key for others; whether it could.
fn rotate(world: &mut World, node: usize, (secret, epoch): (u8, u64), stay: &[usize]) -> Result<Reply, SyncError> {
    let peers: Vec<PeerId> = stay.iter().map(|node| world.nodes[*node].peer()).collect();
    let secret = RootSecret::of_epoch([secret; 32], epoch);
    let call = world.command(node, Command::RotateKey { secret, peers });
    world.nodes[node].application.ended(call).unwrap_or(Err(SyncError::Offline))
}

/// A node adds something that nobody else adds.
fn edit(world: &mut World, node: usize, id: &str) {
    let json = format!(r#"{{"nodes":{{"upsert":[{{"id":"{id}","type":"text","text":"{id}"}}]}}}}"#);
    let patch = CanvasPatch::from_json(&json).unwrap();
    world.command(node, Command::Patch { canvas: plan(), patch, seen: Seen::Unknown, author: "ada".to_owned() });
}

/// What somebody publishes who has the first key and no scruples: a record of the epoch that follows it.
fn forged(world: &World, identity: &Identity, secret: u8, stay: &[PeerId]) -> (String, Vec<u8>) {
    let (repository, secret) = (RepositoryName::new("r").unwrap(), RootSecret::of_epoch([secret; 32], 1));
    let (previous, _) = world.topics.key_of(&repository).unwrap();
    let record = EpochRecord::new(identity, &repository, previous, &secret, stay, &Wrapping::new([9; 32])).unwrap();
    let (topic, body) = (Topic::Epoch(repository), Body::Epoch(Box::new(record)));
    let (session, message) = (Session(77), Nonce(1));
    let stamp = Stamp { session, counter: &mut 0, sent_unix_ms: 0, message, vouches: None };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let packets = seal_on(&world.topics, &mut rng, identity, (&topic, &body), stamp, Priority::High, 1 << 20).unwrap();
    (world.topics.format(&topic), packets[0].clone())
}

/// What a node's canvas shows.
fn shows(world: &World, node: usize) -> String {
    let id = world.nodes[node].synchronizer.document_ids().into_iter().find(|id| id.to_string().contains("plan"));
    let document = mqtt_p2p::canvas::CanvasDocument::load(&world.nodes[node].document(id.unwrap())).unwrap();
    document.canvas_json()
}

fn assert_same(world: &World, nodes: &[usize]) {
    let first = shows(world, nodes[0]);
    for node in nodes {
        assert_eq!(shows(world, *node), first, "node {node}");
    }
}

/// How often a node was told that its key was replaced and it was left out.
fn told(world: &World, node: usize) -> usize {
    let errors = &world.nodes[node].application.key_errors;
    errors.iter().filter(|error| matches!(error, SyncError::KeyReplaced { .. })).count()
}

fn other_key_errors(world: &World, node: usize) -> usize {
    let errors = &world.nodes[node].application.key_errors;
    errors.iter().filter(|error| matches!(error, SyncError::OtherKey { .. })).count()
}

fn holds(node: &Node, (id, hash): &Edit) -> bool {
    node.synchronizer.document_ids().contains(id)
        && Automerge::load(&node.document(id)).unwrap().get_change_by_hash(hash).is_some()
}

#[test]
fn who_stays_goes_on_and_who_does_not_is_told_once_and_sees_nothing_more() {
    let mut world = team(1, 4);
    assert_eq!(rotate(&mut world, 0, (5, 1), &[1, 2]), Ok(Reply::Epoch(1)));
    world.run_for(MINUTE_MS);
    for (node, id) in ["a", "b", "c", "removed"].into_iter().enumerate() {
        edit(&mut world, node, id);
    }
    world.run_for(10 * MINUTE_MS);
    assert_same(&world, &[0, 1, 2]);
    let (inside, outside) = (shows(&world, 0), shows(&world, 3));
    assert!(
        ["\"a\"", "\"b\"", "\"c\""].iter().all(|id| inside.contains(id)) && !inside.contains("removed"),
        "{inside}"
    );
    assert!(outside.contains("removed") && !outside.contains("\"a\""), "{outside}");
    assert_eq!((told(&world, 3), other_key_errors(&world, 3)), (1, 0));
    for node in 0..3 {
        assert_eq!((told(&world, node), other_key_errors(&world, node)), (0, 0));
    }
}

#[test]
fn what_was_edited_offline_comes_along_and_the_broker_need_not_remember_the_record() {
    let mut world = team(2, 3);
    world.cut(1);
    edit(&mut world, 1, "offline");
    assert_eq!(rotate(&mut world, 0, (5, 1), &[1]), Ok(Reply::Epoch(1)));
    world.run_for(MINUTE_MS);
    assert_eq!(rotate(&mut world, 0, (6, 2), &[1]), Ok(Reply::Epoch(2)));
    world.run_for(MINUTE_MS);
    world.broker().forget_retained();
    world.mend(1);
    world.run_for(5 * MINUTE_MS);
    edit(&mut world, 1, "afterwards");
    world.run_for(MINUTE_MS);
    assert_same(&world, &[0, 1]);
    assert!(shows(&world, 0).contains("offline") && shows(&world, 0).contains("afterwards"));
    assert!(!shows(&world, 2).contains("afterwards"));
}

#[test]
fn who_comes_back_hears_of_the_new_key_before_it_sends_anything_if_the_broker_keeps_it() {
    let mut world = team(7, 3);
    world.cut(1);
    edit(&mut world, 1, "offline");
    assert_eq!(rotate(&mut world, 0, (5, 1), &[1]), Ok(Reply::Epoch(1)));
    world.run_for(MINUTE_MS);
    world.mend(1);
    world.run_for(5 * MINUTE_MS);
    assert_same(&world, &[0, 1]);
    assert!(shows(&world, 0).contains("offline"));
    assert!(!shows(&world, 2).contains("offline"));
}

#[test]
fn a_new_process_begins_in_the_newest_epoch() {
    let mut world = team(3, 3);
    assert_eq!(rotate(&mut world, 0, (5, 1), &[1]), Ok(Reply::Epoch(1)));
    world.run_for(MINUTE_MS);
    for node in [0, 1] {
        world.end(node);
    }
    world.broker().forget_retained();
    world.begin_again(1);
    world.begin_again(0);
    world.run_for(MINUTE_MS);
    edit(&mut world, 1, "afterwards");
    world.run_for(MINUTE_MS);
    assert_same(&world, &[0, 1]);
    assert!(!shows(&world, 2).contains("afterwards"));
    assert_eq!(rotate(&mut world, 1, (6, 2), &[0]), Ok(Reply::Epoch(2)), "it counts on");
}

#[test]
fn two_who_replace_the_key_at_once_end_up_together() {
    for seed in 0..8 {
        let mut world = team(4, 4);
        let (one, two) = (u8::try_from(seed).unwrap() + 5, 200 - u8::try_from(seed).unwrap());
        rotate(&mut world, 0, (one, 1), &[1, 2, 3]).unwrap();
        rotate(&mut world, 1, (two, 1), &[0, 2]).unwrap();
        world.run_for(5 * MINUTE_MS);
        for (node, id) in ["a", "b", "c"].into_iter().enumerate() {
            edit(&mut world, node, id);
        }
        world.run_for(5 * MINUTE_MS);
        assert_same(&world, &[0, 1, 2]);
        assert!(["\"a\"", "\"b\"", "\"c\""].iter().all(|id| shows(&world, 0).contains(id)));
        // The fourth is with them, or was told.
        assert!(shows(&world, 3) == shows(&world, 0) || told(&world, 3) > 0, "seed {seed}");
    }
}

#[test]
fn who_was_left_out_cannot_lead_anybody_away() {
    let mut world = team(5, 4);
    world.cut(3);
    rotate(&mut world, 0, (5, 1), &[1, 3]).unwrap();
    world.run_for(MINUTE_MS);
    // Its own program refuses; another one would not.
    assert!(matches!(rotate(&mut world, 2, (1, 1), &[0, 1, 3]), Err(SyncError::KeyReplaced { .. })));
    for secret in 1..5 {
        let stay = [0, 1, 3].map(|node| world.nodes[node].peer());
        let (topic, payload) = forged(&world, &Identity::from_seed([3; 32]), secret, &stay);
        world.publish(topic, payload, true);
        world.run_for(MINUTE_MS);
    }
    world.mend(3);
    world.run_for(5 * MINUTE_MS);
    edit(&mut world, 1, "inside");
    world.run_for(5 * MINUTE_MS);
    assert_same(&world, &[0, 1, 3]);
    assert!(!shows(&world, 2).contains("inside"));
}

#[test]
fn records_of_epochs_that_are_over_do_nothing() {
    let mut world = team(6, 2);
    let topics = world.topics.clone();
    let epoch = topics.format(&Topic::Epoch(RepositoryName::new("r").unwrap()));
    rotate(&mut world, 0, (5, 1), &[1]).unwrap();
    world.run_for(MINUTE_MS);
    let record = world.broker().retained()[&epoch].payload.to_vec();
    rotate(&mut world, 1, (6, 2), &[0]).unwrap();
    world.run_for(MINUTE_MS);
    for _ in 0..10 {
        world.publish(epoch.clone(), record.clone(), true);
        world.run_for(1_000);
    }
    edit(&mut world, 0, "still");
    world.run_for(MINUTE_MS);
    assert_same(&world, &[0, 1]);
    assert!(shows(&world, 1).contains("still"));
    assert_eq!(
        rotate(&mut world, 0, (7, 2), &[1]),
        Err(SyncError::EpochMoved { repository: RepositoryName::new("r").unwrap() })
    );
    assert_eq!(rotate(&mut world, 0, (7, 3), &[1]), Ok(Reply::Epoch(3)));
}

/// Everything breaks all the time, before and after.
#[test]
fn all_who_stay_converge_and_the_one_who_does_not_has_nothing_of_the_new_epoch() {
    let seeds = std::env::var("MQTT_P2P_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    for seed in 0..seeds {
        let mut world = World::encrypted(seed, &["r"; 5]);
        world.run_busy(1_000);
        let rotated = (0..1_000).any(|_| {
            world.run_busy(5);
            let outcome = rotate(&mut world, 0, (5, 1), &[1, 2, 3]);
            // The process may have ended before it could say so.
            outcome.is_ok() || !world.nodes[0].epochs.is_empty()
        });
        assert!(rotated, "seed {seed}");
        world.run_busy(500);
        world.run_quiet(10 * MINUTE_MS);
        let before: Vec<_> = world.nodes.iter().map(|node| node.made.clone()).collect();
        world.get_busy_again();
        world.run_busy(1_000);
        world.run_quiet(10 * MINUTE_MS);
        if let Err(violation) = checker::check(&world.nodes[..4], &world.ever) {
            panic!("seed {seed}: {violation}");
        }
        let removed = &world.nodes[4];
        for (node, before) in world.nodes[..4].iter().zip(&before) {
            let seen = node.made.difference(before).find(|edit| holds(removed, edit));
            assert_eq!(seen, None, "seed {seed}: who was removed has what was made afterwards");
        }
        for stays in &world.nodes[..4] {
            let taken = removed.made.difference(&before[4]).find(|edit| holds(stays, edit));
            assert_eq!(taken, None, "seed {seed}: somebody took what the removed one made afterwards");
        }
    }
}
