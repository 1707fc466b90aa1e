//! Where only members take part: who may edit, and that all agree on it, whenever they learn of it.

#![allow(unreachable_pub)] // What the modules of a test share is public to it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod harness;

use std::collections::BTreeSet;

use harness::node::Node;
use harness::world::World;
use mqtt_p2p::canvas::{Canvas, CanvasPatch, IndexDocument, Seen};
use mqtt_p2p::crypto::{Identity, actor_of};
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, Nonce, PeerId, RepositoryName, Session};
use mqtt_p2p::sync::{Command, Event, Notice, Reply, Root, SyncError};
use mqtt_p2p::wire::{Body, Changes, MemberStatement, Priority, Role, Stamp, Statement, Topic, TopicSpace, seal};
use proptest::prelude::*;

const ADMIN: u8 = 1;
const WRITER: u8 = 2;
const OTHER: u8 = 3;
const READER: u8 = 4;
const OUTSIDER: u8 = 5;

fn peer(key: u8) -> PeerId {
    Identity::from_seed([key; 32]).peer()
}

fn newcomer(key: u8) -> Node {
    let mut node = Node::new("r", key, u64::from(key), 256).with_root(Root::Known(peer(ADMIN)));
    node.application.keeps = true;
    node
}

fn repository() -> RepositoryName {
    RepositoryName::new("r").unwrap()
}

fn index() -> DocumentId {
    DocumentId::Index { repository: repository() }
}

fn board() -> CanvasId {
    CanvasId::new("board").unwrap()
}

fn document() -> DocumentId {
    DocumentId::Canvas { repository: repository(), canvas: board(), generation: Generation(1) }
}

fn set(world: &mut World, node: usize, key: u8, role: Role) -> Result<Reply, SyncError> {
    let call = world.command(node, Command::SetMember { peer: peer(key), role });
    world.run_for(500);
    result(world, node, call)
}

fn result(world: &World, node: usize, call: u64) -> Result<Reply, SyncError> {
    world.nodes[node].application.ended(call).expect("an outcome")
}

fn edit(world: &mut World, node: usize, id: &str, x: u64) -> Result<Reply, SyncError> {
    let patch = CanvasPatch::from_json(&format!(r#"{{"nodes":{{"upsert":[{{"id":"{id}","x":{x}}}]}}}}"#)).unwrap();
    let call = world
        .command(node, Command::Patch { canvas: board(), patch, seen: Seen::Unknown, author: "somebody".to_owned() });
    world.run_for(300);
    result(world, node, call)
}

fn canvas(world: &World, node: usize) -> Canvas {
    mqtt_p2p::canvas::CanvasDocument::load(&world.nodes[node].document(&document())).unwrap().canvas()
}

fn has(world: &World, node: usize, id: &str) -> bool {
    canvas(world, node).nodes.iter().any(|node| node.id == id)
}

fn is_equal(world: &World, one: usize, other: usize) -> bool {
    let heads =
        |node: usize, id: &DocumentId| automerge::Automerge::load(&world.nodes[node].document(id)).unwrap().get_heads();
    [index(), document()].iter().all(|id| heads(one, id) == heads(other, id))
}

/// An admin, two writers, a reader and somebody who is no member, on one canvas.
fn team(seed: u64) -> World {
    let mut world = World::calm(seed);
    for key in [ADMIN, WRITER, OTHER, READER, OUTSIDER] {
        world.join(newcomer(key));
    }
    world.run_for(3_000);
    for (key, role) in [(WRITER, Role::Writer), (OTHER, Role::Writer), (READER, Role::Reader)] {
        assert_eq!(set(&mut world, 0, key, role), Ok(Reply::Done));
    }
    let content = Canvas::from_json(r#"{"nodes":[{"id":"first","type":"text","text":"","x":0}]}"#).unwrap();
    world.command(0, Command::Create { canvas: board(), content, author: "admin".to_owned() });
    world.run_for(5_000);
    world
}

#[test]
fn writers_edit_and_readers_read() {
    let mut world = team(1);
    assert!(edit(&mut world, 1, "by a writer", 1).is_ok());
    for node in [3, 4] {
        let refused = edit(&mut world, node, "by no writer", 1).unwrap_err();
        assert_eq!(refused.code(), "ERR_NOT_A_MEMBER");
        let content = Canvas::default();
        let canvas = CanvasId::new("another").unwrap();
        let call = world.command(node, Command::Create { canvas, content, author: String::new() });
        world.run_for(100);
        assert_eq!(result(&world, node, call).unwrap_err().code(), "ERR_NOT_A_MEMBER");
        assert_eq!(set(&mut world, node, OUTSIDER, Role::Writer).unwrap_err().code(), "ERR_NOT_A_MEMBER");
    }
    world.run_for(5_000);
    assert!((0..5).all(|node| has(&world, node, "by a writer") && !has(&world, node, "by no writer")));
    assert!((1..5).all(|node| is_equal(&world, 0, node)));
    let call = world.command(3, Command::Members);
    let Ok(Reply::Members(members)) = result(&world, 3, call) else { panic!() };
    let mut roles: Vec<_> = members.iter().map(|member| (member.peer, member.role)).collect();
    roles.sort_unstable();
    let mut expected = vec![
        (peer(ADMIN), Role::Admin),
        (peer(WRITER), Role::Writer),
        (peer(OTHER), Role::Writer),
        (peer(READER), Role::Reader),
    ];
    expected.sort_unstable();
    assert_eq!(roles, expected);
}

#[test]
fn a_removed_member_reaches_nobody_and_what_it_had_written_stays() {
    let mut world = team(2);
    edit(&mut world, 1, "before", 1).unwrap();
    world.run_for(2_000);
    world.cut(1);
    set(&mut world, 0, WRITER, Role::Removed).unwrap();
    world.run_for(5_000);
    // It knows nothing of that, and edits on.
    edit(&mut world, 1, "after", 1).unwrap();
    world.mend(1);
    world.run_for(120_000);
    for node in [0, 2, 3] {
        assert!(has(&world, node, "before") && !has(&world, node, "after"), "node {node}");
    }
    assert!(edit(&mut world, 1, "later still", 1).is_err(), "by now it knows");
    // Who comes later is given what was written before, and nothing else.
    let late = world.join(newcomer(6));
    world.run_for(30_000);
    assert!(has(&world, late, "before") && !has(&world, late, "after"));
    assert!(is_equal(&world, 0, late) && is_equal(&world, 0, 2) && is_equal(&world, 0, 3));
}

#[test]
fn whoever_took_an_edit_before_it_learned_of_the_removal_stands_by_it_and_all_end_equal() {
    let mut world = team(3);
    // The other writer is away while the admin removes the first, and hears of an edit of it before it hears of that.
    world.cut(0);
    set(&mut world, 0, WRITER, Role::Removed).unwrap();
    edit(&mut world, 1, "in good faith", 1).unwrap();
    world.run_for(2_000);
    assert!(has(&world, 2, "in good faith"));
    world.mend(0);
    world.run_for(120_000);
    for node in [0, 2, 3] {
        assert!(has(&world, node, "in good faith"), "node {node}");
        assert!(is_equal(&world, 0, node), "node {node}");
    }
    let late = world.join(newcomer(6));
    world.run_for(30_000);
    assert!(is_equal(&world, 0, late));
}

#[test]
fn whom_an_admin_has_added_tells_it_to_those_who_were_away() {
    let mut world = team(8);
    world.cut(2);
    set(&mut world, 0, OUTSIDER, Role::Writer).unwrap();
    world.run_for(3_000);
    for gone in [0, 1, 3] {
        world.end(gone);
    }
    world.broker().forget_everything();
    world.cut(4);
    world.mend(4);
    world.mend(2);
    world.run_for(60_000);
    edit(&mut world, 4, "by the new one", 1).unwrap();
    world.run_for(30_000);
    assert!(has(&world, 2, "by the new one") && is_equal(&world, 2, 4));
}

/// Publishes what an honest peer would not.
fn publish(world: &mut World, key: u8, topic: &Topic, body: &Body, vouches: Option<Statement>) {
    let stamp = Stamp { session: Session(7), counter: &mut 0, sent_unix_ms: 0, message: Nonce(1), vouches };
    let name = TopicSpace::new("mind-git").unwrap().format(topic);
    for packet in seal(&Identity::from_seed([key; 32]), topic, stamp, Priority::High, body, 8 << 20).unwrap() {
        world.publish(name.clone(), packet, false);
    }
    world.run_for(2_000);
}

#[test]
fn whoever_trusts_on_first_use_ends_with_the_others() {
    let mut world = team(7);
    edit(&mut world, 1, "by a writer", 1).unwrap();
    let mut node = Node::new("r", 6, 6, 256).with_root(Root::FirstUse);
    node.application.keeps = true;
    let late = world.join(node);
    world.run_for(30_000);
    assert!(has(&world, late, "by a writer") && is_equal(&world, 0, late));
    let trusted = |notice: &Notice| *notice == Notice::Event(Event::RootTrusted(peer(ADMIN)));
    assert!(world.nodes[late].application.notices.iter().any(trusted));
}

#[test]
fn forged_statements_do_nothing() {
    let mut world = team(4);
    let outsider = Identity::from_seed([OUTSIDER; 32]);
    let mut forged = IndexDocument::load(&world.nodes[0].document(&index())).unwrap();
    forged.set_actor(actor_of(&outsider.peer(), [9; 8]).into());
    let mut statements =
        vec![MemberStatement::sign(&outsider, &repository(), outsider.peer(), Role::Writer, 99).encode()];
    // In the admin's name, but of another repository; and an old one again, altered.
    let admin = Identity::from_seed([ADMIN; 32]);
    let other = RepositoryName::new("s").unwrap();
    statements.push(MemberStatement::sign(&admin, &other, outsider.peer(), Role::Writer, 99).encode());
    statements.extend(forged.statements().into_iter().map(|mut bytes| {
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    }));
    let change = forged.state(&statements).unwrap().unwrap();
    let statement = Statement::new(&index(), change.actor_id(), change.seq(), &change.hash());
    let body = Body::Changes(Changes { changes: vec![change.raw_bytes().to_vec()], vouchers: vec![], proof: None });
    publish(&mut world, OUTSIDER, &Topic::Changes(index()), &body, Some(statement));
    for node in 0..4 {
        assert!(edit(&mut world, 4, "by an outsider", 1).is_err());
        let index = IndexDocument::load(&world.nodes[node].document(&index())).unwrap();
        assert!(statements.iter().all(|statement| !index.statements().contains(statement)), "node {node}");
    }
}

#[test]
fn content_that_nobody_made_needs_a_writer_too() {
    let mut world = team(5);
    // What looks like an import, by somebody who is no member: it proves itself, and nobody stands by it.
    let mut forged = mqtt_p2p::canvas::CanvasDocument::load(&world.nodes[0].document(&document())).unwrap();
    forged.set_actor(actor_of(&peer(OUTSIDER), [9; 8]).into());
    let mut content = forged.canvas();
    content.nodes[0].id = "derived".to_owned();
    let version = forged.version();
    let derived = forged.derive_update(&content, &version).unwrap().changes;
    assert_eq!(derived[0].actor_id().to_bytes().len(), 32);
    let changes = derived.iter().map(|change| change.raw_bytes().to_vec()).collect();
    let body = Body::Changes(Changes { changes, vouchers: vec![], proof: None });
    publish(&mut world, OUTSIDER, &Topic::Changes(document()), &body, None);
    assert!((0..4).all(|node| !has(&world, node, "derived")));
}

#[test]
fn those_who_are_no_members_are_neither_seen_nor_heard() {
    let mut world = team(6);
    let message = r#"{"hello":"world"}"#.to_owned();
    let cursor = |node: &mut World, from: usize| {
        let presence = Some("{}".to_owned());
        node.command(from, Command::SetCursor { canvas: board(), presence, author: None });
    };
    for from in [4, 1] {
        world.command(from, Command::Broadcast { message: message.clone() });
        cursor(&mut world, from);
        world.run_for(500);
    }
    let heard = |node: usize, key: u8| {
        let of = |notice: &&Notice| match notice {
            Notice::Event(Event::Message { peer: from, .. } | Event::Cursor { peer: from, .. }) => *from == peer(key),
            _ => false,
        };
        world.nodes[node].application.notices.iter().filter(of).count()
    };
    assert_eq!((heard(0, WRITER), heard(0, OUTSIDER), heard(2, OUTSIDER)), (2, 0, 0));
    assert_eq!(world.nodes[0].synchronizer.status().peers, 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Edits and removals while anybody may be away: the writers that are left end with one canvas.
    #[test]
    fn members_that_are_left_end_equal(
        seed in any::<u64>(),
        steps in prop::collection::vec((0..5_u8, 0..3_usize), 1..14),
    ) {
        let mut world = team(seed % 1_000);
        let mut away = [false; 3];
        for (number, (what, node)) in steps.iter().enumerate() {
            match what {
                0 | 1 => drop(edit(&mut world, *node, &format!("node {number}"), number as u64)),
                2 if !away[*node] => {
                    away[*node] = true;
                    world.cut(*node);
                }
                3 if away[*node] => {
                    away[*node] = false;
                    world.mend(*node);
                }
                4 => drop(set(&mut world, 0, WRITER, if number % 3 == 2 { Role::Writer } else { Role::Removed })),
                _ => {}
            }
        }
        for node in (0..3).filter(|node| away[*node]) {
            world.mend(node);
        }
        world.run_for(400_000);
        let removed = edit(&mut world, 1, "last", 1).is_err();
        world.run_for(10_000);
        for node in (1..3).filter(|node| !removed || *node != 1) {
            prop_assert!(is_equal(&world, 0, node), "node {}", node);
        }
        // A reader has all that they have, and perhaps an edit that no writer has seen: it cannot stand by that.
        let ids = |node: usize| canvas(&world, node).nodes.into_iter().map(|node| node.id).collect::<BTreeSet<_>>();
        prop_assert!(ids(3).is_superset(&ids(0)));
        let late = world.join(newcomer(6));
        world.run_for(30_000);
        prop_assert!(is_equal(&world, 0, late));
    }
}
