//! Canvases that are shared between repositories of members: the writers of each edit them, and nobody else.

#![allow(unreachable_pub)] // What the modules of a test share is public to it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod harness;

use std::sync::Arc;

use harness::node::Node;
use harness::world::World;
use mqtt_p2p::canvas::{Canvas, CanvasDocument, CanvasPatch, Seen};
use mqtt_p2p::crypto::{Identity, RootSecret};
use mqtt_p2p::ids::{CanvasId, DocumentId, PeerId};
use mqtt_p2p::sync::{Command, Reply, Root, SyncError};
use mqtt_p2p::wire::{Role, TopicSpace};

const MINUTE_MS: u64 = 60_000;
/// Whose service takes part in both repositories: a writer in each, first admin of none.
const BOTH: u8 = 1;
const HOME_ADMIN: u8 = 2;
const HOME_WRITER: u8 = 3;
const TARGET_ADMIN: u8 = 4;
const TARGET_WRITER: u8 = 5;
const TARGET_READER: u8 = 6;

// The nodes, in the order in which they join.
const HOME: usize = 0;
const TARGET: usize = 1;
const ANN: usize = 2;
const HAL: usize = 3;
const TESS: usize = 4;
const TOM: usize = 5;
const RITA: usize = 6;

fn peer(key: u8) -> PeerId {
    Identity::from_seed([key; 32]).peer()
}

fn plan() -> CanvasId {
    CanvasId::new("plan").unwrap()
}

fn member(repository: &str, key: u8, session: u64) -> Node {
    let root = if repository == "home" { HOME_ADMIN } else { TARGET_ADMIN };
    Node::new(repository, key, session, 256).with_root(Root::Known(peer(root)))
}

/// Two repositories of members, and a service in both; with keys of their own if they are to be encrypted.
fn two_teams(seed: u64, encrypted: bool) -> World {
    let mut world = World::calm(seed);
    let topics = |repository: &str| {
        let topics = TopicSpace::new("mind-git").unwrap();
        let secret = if repository == "home" { 10 } else { 20 };
        if encrypted { topics.encrypted(Arc::new(RootSecret::new([secret; 32]))) } else { topics }
    };
    let nodes = [
        ("home", BOTH),
        ("target", BOTH),
        ("home", HOME_ADMIN),
        ("home", HOME_WRITER),
        ("target", TARGET_ADMIN),
        ("target", TARGET_WRITER),
        ("target", TARGET_READER),
    ];
    for (session, (repository, key)) in (1..).zip(nodes) {
        let node = member(repository, key, session);
        world.join_on(topics(repository), node);
    }
    world.run_for(MINUTE_MS);
    for (admin, key, role) in [
        (ANN, BOTH, Role::Writer),
        (ANN, HOME_WRITER, Role::Writer),
        (TESS, BOTH, Role::Writer),
        (TESS, TARGET_WRITER, Role::Writer),
        (TESS, TARGET_READER, Role::Reader),
    ] {
        set(&mut world, admin, key, role);
    }
    world.run_for(MINUTE_MS);
    let content = Canvas::from_json(r#"{"nodes":[{"id":"first","type":"text","text":"","x":0}]}"#).unwrap();
    ask(&mut world, HOME, Command::Create { canvas: plan(), content, author: "ada".to_owned() }).unwrap();
    world.run_for(MINUTE_MS);
    world
}

fn set(world: &mut World, node: usize, key: u8, role: Role) {
    assert_eq!(ask(world, node, Command::SetMember { peer: peer(key), role }), Ok(Reply::Done));
}

fn ask(world: &mut World, node: usize, command: Command) -> Result<Reply, SyncError> {
    let call = world.command(node, command);
    world.outcome_within(node, call, MINUTE_MS).expect("it has an outcome")
}

fn share(world: &mut World, from: usize, to: usize) -> Result<Reply, SyncError> {
    let Reply::Entry(entry) = ask(world, from, Command::Describe { canvas: plan() })? else { panic!() };
    let Reply::SharingKey(with) = ask(world, to, Command::SharingKey { entry: entry.clone() })? else { panic!() };
    let Reply::Share(grant) = ask(world, from, Command::Share { canvas: plan(), with })? else { panic!() };
    ask(world, to, Command::Adopt { entry, author: "ada".to_owned(), grant })
}

fn edit(world: &mut World, node: usize, what: &str) -> Result<Reply, SyncError> {
    let json = format!(r#"{{"nodes":{{"upsert":[{{"id":"{what}","type":"text","text":"{what}"}}]}}}}"#);
    let patch = CanvasPatch::from_json(&json).unwrap();
    ask(world, node, Command::Patch { canvas: plan(), patch, seen: Seen::Unknown, author: "ada".to_owned() })
}

fn shows(world: &World, node: usize) -> String {
    let is_it = |id: &&DocumentId| matches!(id, DocumentId::Canvas { .. });
    let id = world.nodes[node].synchronizer.document_ids().into_iter().find(is_it).expect("it has the canvas").clone();
    CanvasDocument::load(&world.nodes[node].document(&id)).unwrap().canvas_json()
}

/// Each of these adds something, and all of the others have all of it then.
fn assert_together(world: &mut World, round: &str, writers: &[usize], all: &[usize]) {
    let said: Vec<String> = writers.iter().map(|node| format!("{round}-{node}")).collect();
    for (node, what) in writers.iter().zip(&said) {
        edit(world, *node, what).unwrap();
    }
    world.run_for(5 * MINUTE_MS);
    for node in all {
        let shown = shows(world, *node);
        assert!(said.iter().all(|what| shown.contains(what)), "node {node} in {round}: {shown}");
        assert_eq!(shown, shows(world, all[0]), "node {node} in {round}");
    }
}

const WRITERS: [usize; 6] = [HOME, TARGET, ANN, HAL, TESS, TOM];
const ALL: [usize; 7] = [HOME, TARGET, ANN, HAL, TESS, TOM, RITA];

#[test]
fn writers_of_both_repositories_edit_and_readers_of_either_do_not() {
    for encrypted in [false, true] {
        let mut world = two_teams(1, encrypted);
        share(&mut world, HOME, TARGET).unwrap();
        assert_together(&mut world, "all", &WRITERS, &ALL);
        assert_eq!(edit(&mut world, RITA, "by a reader").unwrap_err().code(), "ERR_NOT_A_MEMBER");
        let rogue = join_rogue(&mut world, RITA, TARGET_READER, encrypted);
        edit(&mut world, rogue, "rogue").unwrap();
        world.run_for(5 * MINUTE_MS);
        assert_together(&mut world, "still", &WRITERS, &WRITERS);
        for node in WRITERS {
            assert!(!shows(&world, node).contains("rogue"), "node {node}");
        }
    }
}

/// In place of a node of the target one of the same peer that knows no rules: it takes in and sends all edits.
fn join_rogue(world: &mut World, node: usize, key: u8, encrypted: bool) -> usize {
    world.cut(node);
    let topics = if encrypted { key_of_target() } else { TopicSpace::new("mind-git").unwrap() };
    let rogue = world.join_on(topics, Node::new("target", key, 90 + u64::from(key), 256));
    world.run_for(5 * MINUTE_MS);
    rogue
}

fn key_of_target() -> TopicSpace {
    TopicSpace::new("mind-git").unwrap().encrypted(Arc::new(RootSecret::new([20; 32])))
}

#[test]
fn members_that_come_or_are_removed_later_count_or_do_not_on_both_sides() {
    for encrypted in [false, true] {
        let mut world = two_teams(2, encrypted);
        share(&mut world, HOME, TARGET).unwrap();
        // The one who shared goes: nobody is in both any more.
        world.run_for(MINUTE_MS);
        world.end(HOME);
        world.end(TARGET);
        set(&mut world, TESS, TARGET_READER, Role::Writer);
        world.run_for(MINUTE_MS);
        let left = [ANN, HAL, TESS, TOM, RITA];
        assert_together(&mut world, "promoted", &left, &left);
        set(&mut world, TESS, TARGET_WRITER, Role::Removed);
        world.run_for(MINUTE_MS);
        assert!(edit(&mut world, TOM, "removed").is_err());
        let rogue = join_rogue(&mut world, TOM, TARGET_WRITER, encrypted);
        edit(&mut world, rogue, "rogue").unwrap();
        world.run_for(5 * MINUTE_MS);
        assert_together(&mut world, "without", &[ANN, HAL, TESS, RITA], &[ANN, HAL, TESS, RITA]);
        set(&mut world, ANN, HOME_WRITER, Role::Reader);
        world.run_for(MINUTE_MS);
        assert!(edit(&mut world, HAL, "demoted").is_err());
        assert_together(&mut world, "fewer", &[ANN, TESS, RITA], &[ANN, HAL, TESS, RITA]);
        for node in [ANN, HAL, TESS, RITA] {
            assert!(!shows(&world, node).contains("rogue"), "node {node}");
        }
    }
}

#[test]
fn who_was_away_learns_who_counts_from_those_who_are_there() {
    let mut world = two_teams(3, true);
    share(&mut world, HOME, TARGET).unwrap();
    assert_together(&mut world, "all", &WRITERS, &ALL);
    world.cut(HAL);
    world.cut(ANN);
    world.cut(HOME);
    world.cut(TOM);
    edit(&mut world, TOM, "too late").unwrap();
    set(&mut world, TESS, TARGET_WRITER, Role::Removed);
    set(&mut world, TESS, TARGET_READER, Role::Writer);
    world.run_for(MINUTE_MS);
    edit(&mut world, RITA, "new writer").unwrap();
    for node in [HAL, ANN, HOME] {
        world.mend(node);
    }
    // Somebody of the other repository tells them, who need not be in both.
    world.run_for(5 * MINUTE_MS);
    world.mend(TOM);
    world.run_for(5 * MINUTE_MS);
    let all = [HOME, TARGET, ANN, HAL, TESS, RITA];
    assert_together(&mut world, "again", &all, &all);
    let shown = shows(&world, HAL);
    assert!(shown.contains("new writer") && !shown.contains("too late"), "{shown}");
    // All of home's processes end and begin again, and it is known still, also to one that has nothing.
    for node in [HOME, ANN, HAL] {
        world.end(node);
    }
    for node in [TARGET, TESS, RITA] {
        world.cut(node);
    }
    for node in [HOME, ANN, HAL] {
        world.begin_again(node);
    }
    let topics = TopicSpace::new("mind-git").unwrap().encrypted(Arc::new(RootSecret::new([10; 32])));
    let late = world.join_on(topics, member("home", 9, 90));
    world.run_for(5 * MINUTE_MS);
    assert_eq!(shows(&world, late), shows(&world, ANN));
}

#[test]
fn what_is_shared_no_longer_is_edited_by_its_own_writers_alone() {
    for encrypted in [false, true] {
        let mut world = two_teams(4, encrypted);
        share(&mut world, HOME, TARGET).unwrap();
        assert_together(&mut world, "all", &WRITERS, &ALL);
        assert_eq!(ask(&mut world, ANN, Command::Unshare { canvas: plan() }), Ok(Reply::Done));
        world.run_for(5 * MINUTE_MS);
        edit(&mut world, TOM, "outside").unwrap();
        world.run_for(MINUTE_MS);
        assert_together(&mut world, "alone", &[HOME, ANN, HAL], &[HOME, ANN, HAL]);
        assert!(!shows(&world, ANN).contains("outside"));
        let told = &world.nodes[TOM].application.key_errors;
        assert!(matches!(told.first(), Some(SyncError::ShareEnded { .. })), "{told:?}");
        share(&mut world, HOME, TARGET).unwrap();
        world.run_for(5 * MINUTE_MS);
        assert_together(&mut world, "again", &WRITERS, &ALL);
        assert!(shows(&world, ANN).contains("outside"));
    }
}

#[test]
fn a_third_team_takes_part_and_is_known_to_the_second() {
    let mut world = two_teams(5, false);
    share(&mut world, HOME, TARGET).unwrap();
    let third = Node::new("third", BOTH, 50, 256).with_root(Root::Known(peer(BOTH)));
    let third = world.join_on(TopicSpace::new("mind-git").unwrap(), third);
    world.run_for(MINUTE_MS);
    share(&mut world, HOME, third).unwrap();
    let zoe = Node::new("third", 7, 51, 256).with_root(Root::Known(peer(BOTH)));
    let zoe = world.join_on(TopicSpace::new("mind-git").unwrap(), zoe);
    set(&mut world, third, 7, Role::Writer);
    world.run_for(5 * MINUTE_MS);
    let (mut writers, mut all) = (WRITERS.to_vec(), ALL.to_vec());
    writers.extend([third, zoe]);
    all.extend([third, zoe]);
    assert_together(&mut world, "three", &writers, &all);
}

#[test]
fn members_do_not_share_with_those_who_have_none() {
    let mut world = two_teams(6, false);
    let open = world.join_on(TopicSpace::new("mind-git").unwrap(), Node::new("open", BOTH, 60, 256));
    world.run_for(MINUTE_MS);
    assert!(matches!(share(&mut world, HOME, open), Err(SyncError::Membership { .. })));
    // A reader shares nothing, into or out of the repository.
    let rita = world.join_on(TopicSpace::new("mind-git").unwrap(), member("home", TARGET_READER, 61));
    world.run_for(MINUTE_MS);
    assert!(matches!(share(&mut world, rita, TARGET), Err(SyncError::NotAMember { .. })));
    assert!(matches!(share(&mut world, HOME, RITA), Err(SyncError::NotAMember { .. })));
}
