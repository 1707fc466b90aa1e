//! Canvases that are shared between repositories of different keys: who has one of these has the canvas, and nothing else.

#![allow(unreachable_pub)] // What the modules of a test share is public to it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod harness;

use std::sync::Arc;

use harness::checker;
use harness::node::Node;
use harness::world::World;
use mqtt_p2p::canvas::{Canvas, CanvasDocument, CanvasPatch, Seen};
use mqtt_p2p::crypto::{Identity, RootSecret, Wrapping};
use mqtt_p2p::ids::{CanvasId, DocumentId, Nonce, PeerId, RepositoryName, Session};
use mqtt_p2p::sync::{Command, Reply, SyncError};
use mqtt_p2p::wire::{Arrival, Body, EpochRecord, Header, Priority, Stamp, Topic, TopicSpace, read, seal_on};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const MINUTE_MS: u64 = 60_000;
/// The service that takes part in both repositories: one peer, two nodes.
const BOTH: u8 = 1;
const HOME: usize = 0;
const TARGET: usize = 1;

fn name(repository: &str) -> RepositoryName {
    RepositoryName::new(repository).unwrap()
}

fn canvas(id: &str) -> CanvasId {
    CanvasId::new(id).unwrap()
}

fn key(secret: u8) -> TopicSpace {
    TopicSpace::new("mind-git").unwrap().encrypted(Arc::new(RootSecret::new([secret; 32])))
}

/// A service in `home` and in `target`, which have different keys, and `home` has two canvases.
fn two_repositories(seed: u64) -> World {
    let mut world = World::calm(seed);
    world.broker().recording = Some(Vec::new());
    world.join_on(key(10), Node::new("home", BOTH, 1, 256));
    world.join_on(key(20), Node::new("target", BOTH, 2, 256));
    world.run_for(MINUTE_MS);
    for id in ["plan", "secret"] {
        ask(&mut world, HOME, create(id)).unwrap();
    }
    world.run_for(MINUTE_MS);
    world
}

fn create(id: &str) -> Command {
    Command::Create { canvas: canvas(id), content: Canvas::default(), author: "ada".to_owned() }
}

/// Another peer of a repository, with its key and no other.
fn join(world: &mut World, repository: &str, number: u8) -> usize {
    let secret = if repository == "home" { 10 } else { 20 };
    let node = world.join_on(key(secret), Node::new(repository, number, u64::from(number), 256));
    world.run_for(MINUTE_MS);
    node
}

fn ask(world: &mut World, node: usize, command: Command) -> Result<Reply, SyncError> {
    let call = world.command(node, command);
    // A process that has ended gives none.
    world.outcome_within(node, call, MINUTE_MS).unwrap_or(Err(SyncError::Closed))
}

/// As a service shares between two repositories in which it takes part.
fn share(world: &mut World, from: usize, to: usize, id: &str) -> Result<Reply, SyncError> {
    let Reply::Entry(entry) = ask(world, from, Command::Describe { canvas: canvas(id) })? else { panic!() };
    let Reply::SharingKey(with) = ask(world, to, Command::SharingKey { entry: entry.clone() })? else { panic!() };
    let Reply::Share(grant) = ask(world, from, Command::Share { canvas: canvas(id), with })? else { panic!() };
    ask(world, to, Command::Adopt { entry, author: "ada".to_owned(), grant })
}

fn rotate(world: &mut World, node: usize, (secret, epoch): (u8, u64), stay: &[usize]) -> Result<Reply, SyncError> {
    let peers: Vec<PeerId> = stay.iter().map(|node| world.nodes[*node].peer()).collect();
    ask(world, node, Command::RotateKey { secret: RootSecret::of_epoch([secret; 32], epoch), peers })
}

/// A node adds something that nobody else adds.
fn edit(world: &mut World, node: usize, id: &str, what: &str) {
    let json = format!(r#"{{"nodes":{{"upsert":[{{"id":"{what}","type":"text","text":"{what}"}}]}}}}"#);
    let patch = CanvasPatch::from_json(&json).unwrap();
    ask(world, node, Command::Patch { canvas: canvas(id), patch, seen: Seen::Unknown, author: "ada".to_owned() })
        .unwrap();
}

fn document(world: &World, node: usize, id: &str) -> Option<DocumentId> {
    let is_it = |document: &&DocumentId| matches!(document, DocumentId::Canvas { canvas, .. } if canvas.as_str() == id);
    world.nodes[node].synchronizer.document_ids().into_iter().find(is_it).cloned()
}

fn shows(world: &World, node: usize, id: &str) -> String {
    let document = document(world, node, id).expect("it has the canvas");
    CanvasDocument::load(&world.nodes[node].document(&document)).unwrap().canvas_json()
}

/// Each adds something, and all of these have it then, and the others have none of it.
fn assert_together(world: &mut World, round: &str, nodes: &[usize], others: &[usize]) {
    let said: Vec<String> = nodes.iter().map(|node| format!("{round}-{node}")).collect();
    for (node, what) in nodes.iter().zip(&said) {
        edit(world, *node, "plan", what);
    }
    world.run_for(5 * MINUTE_MS);
    for node in nodes {
        let shown = shows(world, *node, "plan");
        assert!(said.iter().all(|what| shown.contains(what)), "node {node} in {round}: {shown}");
        assert_eq!(shown, shows(world, nodes[0], "plan"), "node {node}");
    }
    for node in others {
        assert!(!shows(world, *node, "plan").contains(round), "node {node}");
    }
}

#[test]
fn repositories_of_different_keys_edit_one_canvas_and_know_nothing_else_of_each_other() {
    let mut world = two_repositories(1);
    let (ann, tom) = (join(&mut world, "home", 2), join(&mut world, "target", 3));
    edit(&mut world, ann, "plan", "before");
    edit(&mut world, ann, "secret", "classified");
    share(&mut world, HOME, TARGET, "plan").unwrap();
    assert_together(&mut world, "first", &[HOME, TARGET, ann, tom], &[]);
    assert!(shows(&world, tom, "plan").contains("before"));
    let late = join(&mut world, "target", 4);
    assert_together(&mut world, "late", &[late, ann, HOME, TARGET, tom], &[]);
    assert_eq!(document(&world, late, "secret"), None);
    edit(&mut world, ann, "secret", "more");
    world.run_for(MINUTE_MS);

    // With all keys that a peer of the other repository has, of all that ever went over the broker.
    let topics = world.nodes[late].synchronizer.topics().clone();
    let recording = world.broker().recording.take().unwrap();
    let (mut shared, mut others) = (0, 0);
    for message in recording.iter().filter(|message| !message.payload.is_empty()) {
        let Ok(arrival) = read(&topics, &message.topic, &message.payload, |_: &Header| false) else {
            others += 1;
            continue;
        };
        let (Arrival::Message(topic, _) | Arrival::Echo(topic)) = arrival;
        if topic.repository() == Some(&name("home")) {
            assert!(topic.plain_path().starts_with("v1/home/canvas/plan/1/"), "{topic:?}");
            shared += 1;
        }
    }
    assert!(shared > 8 && others > 20, "{shared}, {others}");
}

#[test]
fn who_has_one_repositorys_key_has_none_of_the_others() {
    let (home, target) = (key(10).sharing(&name("home")).unwrap(), key(20).sharing(&name("target")).unwrap());
    assert_ne!(home.peer(), target.peer());
    assert_ne!(key(10).sharing(&name("target")).unwrap().peer(), target.peer());
    let mut world = two_repositories(2);
    share(&mut world, HOME, TARGET, "plan").unwrap();
    world.run_for(MINUTE_MS);
    let (at_home, there) = (world.nodes[HOME].synchronizer.topics(), world.nodes[TARGET].synchronizer.topics());
    let plan = document(&world, TARGET, "plan").unwrap();
    let space = at_home.space_of(&plan);
    assert_eq!((there.space_of(&plan), there.key_of(&space)), (space.clone(), at_home.key_of(&space)));
    assert_ne!(there.key_of(&name("home")), at_home.key_of(&name("home")));
    let secret = document(&world, HOME, "secret").unwrap();
    assert_eq!(at_home.space_of(&secret), name("home"));
    let changes = Topic::Changes(secret);
    assert_ne!(there.format(&changes), at_home.format(&changes));
}

#[test]
fn who_loses_the_key_of_either_repository_loses_the_canvas() {
    let mut world = two_repositories(3);
    let (ann, gone) = (join(&mut world, "home", 2), join(&mut world, "home", 3));
    let (tom, left) = (join(&mut world, "target", 4), join(&mut world, "target", 5));
    share(&mut world, HOME, TARGET, "plan").unwrap();
    assert_together(&mut world, "all", &[HOME, TARGET, ann, gone, tom, left], &[]);

    assert_eq!(rotate(&mut world, ann, (11, 1), &[HOME]), Ok(Reply::Epoch(1)));
    world.run_for(MINUTE_MS);
    assert_together(&mut world, "home-anew", &[HOME, TARGET, ann, tom, left], &[gone]);
    edit(&mut world, gone, "plan", "outside");
    world.run_for(MINUTE_MS);
    assert!(!shows(&world, tom, "plan").contains("outside"));

    assert_eq!(rotate(&mut world, tom, (21, 1), &[TARGET]), Ok(Reply::Epoch(1)));
    world.run_for(MINUTE_MS);
    assert_together(&mut world, "target-anew", &[HOME, TARGET, ann, tom], &[gone, left]);
}

#[test]
fn keys_are_replaced_for_those_who_are_away_and_after_restarts_too() {
    let mut world = two_repositories(4);
    let (ann, tom) = (join(&mut world, "home", 2), join(&mut world, "target", 3));
    share(&mut world, HOME, TARGET, "plan").unwrap();
    assert_together(&mut world, "all", &[HOME, TARGET, ann, tom], &[]);
    world.cut(tom);
    world.cut(ann);
    edit(&mut world, tom, "plan", "offline");
    for epoch in 1..=3 {
        assert_eq!(
            rotate(&mut world, HOME, (10 + u8::try_from(epoch).unwrap(), epoch), &[ann]),
            Ok(Reply::Epoch(epoch))
        );
        world.run_for(MINUTE_MS);
    }
    world.broker().forget_retained();
    world.mend(tom);
    world.mend(ann);
    world.run_for(5 * MINUTE_MS);
    assert_together(&mut world, "back", &[HOME, TARGET, ann, tom], &[]);
    assert!(shows(&world, ann, "plan").contains("offline"));
    for node in [HOME, TARGET, ann, tom] {
        world.end(node);
    }
    for node in [tom, ann, TARGET, HOME] {
        world.begin_again(node);
    }
    world.run_for(5 * MINUTE_MS);
    assert_together(&mut world, "again", &[HOME, TARGET, ann, tom], &[]);
    assert_eq!(rotate(&mut world, ann, (14, 4), &[HOME]), Ok(Reply::Epoch(4)));
    world.run_for(MINUTE_MS);
    assert_together(&mut world, "fourth", &[HOME, TARGET, ann, tom], &[]);
}

#[test]
fn who_replaces_a_key_and_is_gone_leaves_the_canvases_to_others() {
    let mut world = two_repositories(5);
    let (ann, gone) = (join(&mut world, "home", 2), join(&mut world, "home", 3));
    share(&mut world, HOME, TARGET, "plan").unwrap();
    assert_together(&mut world, "all", &[HOME, TARGET, ann, gone], &[]);
    // Somebody who has the key replaces it, and does nothing about what is shared.
    let somebody = Identity::from_seed([77; 32]);
    let (repository, secret) = (name("home"), RootSecret::of_epoch([11; 32], 1));
    let (previous, _) = key(10).key_of(&repository).unwrap();
    let stay = [world.nodes[HOME].peer(), world.nodes[ann].peer()];
    let record = EpochRecord::new(&somebody, &repository, previous, &secret, &stay, &Wrapping::new([9; 32])).unwrap();
    let (topic, body) = (Topic::Epoch(repository), Body::Epoch(Box::new(record)));
    let stamp = Stamp { session: Session(7), counter: &mut 0, sent_unix_ms: 0, message: Nonce(1), vouches: None };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let packets = seal_on(&key(10), &mut rng, &somebody, (&topic, &body), stamp, Priority::High, 1 << 20).unwrap();
    world.publish(key(10).format(&topic), packets[0].clone(), true);
    world.run_for(5 * MINUTE_MS);
    assert_together(&mut world, "anew", &[HOME, TARGET, ann], &[gone]);
}

#[test]
fn two_who_share_one_canvas_at_once_end_up_together_and_sharing_again_changes_nothing() {
    let mut world = two_repositories(6);
    let ann = join(&mut world, "home", 2);
    let ann_there = world.join_on(key(20), Node::new("target", 2, 9, 256));
    world.run_for(MINUTE_MS);
    for node in [HOME, TARGET, ann, ann_there] {
        world.cut(node);
    }
    share(&mut world, HOME, TARGET, "plan").unwrap();
    share(&mut world, ann, ann_there, "plan").unwrap();
    for node in [HOME, ann_there, ann, TARGET] {
        world.mend(node);
    }
    world.run_for(5 * MINUTE_MS);
    assert_together(&mut world, "both", &[HOME, TARGET, ann, ann_there], &[]);
    let space = world.nodes[ann].synchronizer.topics().space_of(&document(&world, ann, "plan").unwrap());
    let before = world.nodes[ann].synchronizer.topics().key_of(&space);
    share(&mut world, ann, ann_there, "plan").unwrap();
    world.run_for(MINUTE_MS);
    assert_eq!(world.nodes[HOME].synchronizer.topics().key_of(&space), before);
}

#[test]
fn a_third_repository_gets_the_same_canvas_from_either() {
    let mut world = two_repositories(7);
    share(&mut world, HOME, TARGET, "plan").unwrap();
    let third = world.join_on(key(30), Node::new("third", BOTH, 3, 256));
    let tom = join(&mut world, "target", 4);
    share(&mut world, TARGET, third, "plan").unwrap();
    assert_together(&mut world, "all", &[HOME, TARGET, third, tom], &[]);
    let lone = world.join_on(key(30), Node::new("third", 5, 5, 256));
    world.run_for(MINUTE_MS);
    assert_together(&mut world, "later", &[HOME, TARGET, third, tom, lone], &[]);
    let stranger = Identity::from_seed([99; 32]).peer();
    let peers = vec![stranger];
    let secret = RootSecret::of_epoch([31; 32], 1);
    assert_eq!(ask(&mut world, third, Command::RotateKey { secret, peers }), Ok(Reply::Epoch(1)));
    world.run_for(MINUTE_MS);
    assert_together(&mut world, "without", &[HOME, TARGET, third, tom], &[lone]);
}

#[test]
fn what_is_shared_no_longer_is_its_own_repositorys_alone_until_it_is_shared_again() {
    let mut world = two_repositories(8);
    let (ann, tom) = (join(&mut world, "home", 2), join(&mut world, "target", 3));
    assert_eq!(ask(&mut world, ann, Command::Unshare { canvas: canvas("plan") }), Ok(Reply::Done));
    share(&mut world, HOME, TARGET, "plan").unwrap();
    assert_together(&mut world, "all", &[HOME, TARGET, ann, tom], &[]);
    let refused = ask(&mut world, tom, Command::Unshare { canvas: canvas("plan") });
    assert!(matches!(refused, Err(SyncError::OfAnother { .. })), "{refused:?}");
    assert_eq!(ask(&mut world, ann, Command::Unshare { canvas: canvas("plan") }), Ok(Reply::Done));
    world.run_for(MINUTE_MS);
    assert_together(&mut world, "alone", &[HOME, ann], &[TARGET, tom]);
    for node in [TARGET, tom] {
        let told = &world.nodes[node].application.key_errors;
        assert!(matches!(told.as_slice(), [SyncError::ShareEnded { .. }]), "{told:?}");
    }
    edit(&mut world, tom, "plan", "outside");
    share(&mut world, HOME, TARGET, "plan").unwrap();
    world.run_for(MINUTE_MS);
    assert_together(&mut world, "again", &[HOME, TARGET, ann, tom], &[]);
    assert!(shows(&world, ann, "plan").contains("outside"));
}

#[test]
fn whose_canvas_it_is_cannot_be_left_out_by_others() {
    let mut world = two_repositories(9);
    let (ann, tom) = (join(&mut world, "home", 2), join(&mut world, "target", 3));
    share(&mut world, HOME, TARGET, "plan").unwrap();
    assert_together(&mut world, "all", &[HOME, TARGET, ann, tom], &[]);
    // Somebody of the other repository, with its key, makes one for that repository alone.
    let topics = world.nodes[tom].synchronizer.topics().clone();
    let space = topics.space_of(&document(&world, tom, "plan").unwrap());
    let (previous, epoch) = topics.key_of(&space).unwrap();
    let secret = RootSecret::of_epoch([66; 32], epoch + 1);
    let target = topics.sharing(&name("target")).unwrap();
    let record = EpochRecord::new(&target, &space, previous, &secret, &[], &Wrapping::new([9; 32])).unwrap();
    let (identity, topic) = (Identity::from_seed([77; 32]), Topic::Epoch(space.clone()));
    let stamp = Stamp { session: Session(7), counter: &mut 0, sent_unix_ms: 0, message: Nonce(1), vouches: None };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let message = (&topic, &Body::Epoch(Box::new(record)));
    let packets = seal_on(&topics, &mut rng, &identity, message, stamp, Priority::High, 1 << 20).unwrap();
    world.publish(topics.format(&topic), packets[0].clone(), true);
    world.run_for(MINUTE_MS);
    assert_together(&mut world, "home", &[HOME, ann], &[]);
    // What parted comes together when the canvas is shared again.
    share(&mut world, HOME, TARGET, "plan").unwrap();
    world.run_for(MINUTE_MS);
    assert_together(&mut world, "again", &[HOME, TARGET, ann, tom], &[]);
}

#[test]
fn nothing_is_lost_while_everything_breaks_and_keys_are_replaced() {
    for seed in 0..6 {
        let mut world = two_repositories(100 + seed);
        let (ann, tom) = (join(&mut world, "home", 2), join(&mut world, "target", 3));
        share(&mut world, HOME, TARGET, "plan").unwrap();
        world.run_for(MINUTE_MS);
        world.broker().recording = None;
        world.get_busy_again();
        world.run_busy(1_000);
        // Whoever is not there at the moment cannot.
        let home = rotate(&mut world, HOME, (11, 1), &[ann]);
        world.run_busy(500);
        let target = rotate(&mut world, tom, (21, 1), &[TARGET]);
        world.run_busy(1_000);
        world.run_quiet(10 * MINUTE_MS);
        if let Err(violation) = checker::check(&world.nodes, &world.ever) {
            panic!("seed {seed}, {home:?}, {target:?}: {violation}");
        }
    }
}
