//! Nobody puts words into another's mouth: hostile relays forge, alter, strip and reorder, and nothing comes of it.

#![allow(unreachable_pub)] // What the modules of a test share is public to it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod harness;

use automerge::legacy::Key;
use automerge::transaction::Transactable;
use automerge::{ActorId, Automerge, Change, ObjId, ROOT, ReadDoc, TextEncoding};
use harness::node::Node;
use harness::world::World;
use mqtt_p2p::canvas::{Canvas, CanvasPatch, Seen, decode_change};
use mqtt_p2p::crypto::{Identity, actor_of, owns};
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, Heads, Nonce, PeerId, RepositoryName, Session};
use mqtt_p2p::sync::{CanvasEvent, Command, Event, Notice};
use mqtt_p2p::wire::{
    Body, Changes, Priority, SavedDocument, Stamp, Statement, SyncContent, SyncReply, Topic, TopicSpace, Voucher, seal,
};
use proptest::prelude::*;

const ALICE: u8 = 1;
const BOB: u8 = 2;
const CAROL: u8 = 3;
const MALLORY: u8 = 99;

fn identity(key: u8) -> Identity {
    Identity::from_seed([key; 32])
}

fn peer(key: u8) -> PeerId {
    identity(key).peer()
}

fn newcomer(key: u8) -> Node {
    let mut node = Node::new("r", key, u64::from(key), 256);
    node.application.keeps = true;
    node
}

fn repository() -> RepositoryName {
    RepositoryName::new("r").unwrap()
}

fn board() -> CanvasId {
    CanvasId::new("board").unwrap()
}

fn document() -> DocumentId {
    DocumentId::Canvas { repository: repository(), canvas: board(), generation: Generation(1) }
}

/// Alice and Bob on one canvas, each of whom has edited it.
fn alice_and_bob() -> World {
    let mut world = World::calm(1);
    let (alice, bob) = (world.join(newcomer(ALICE)), world.join(newcomer(BOB)));
    world.run_for(3_000);
    let content = Canvas::from_json(r#"{"nodes":[{"id":"n","type":"text","text":"","x":0}]}"#).unwrap();
    world.command(alice, Command::Create { canvas: board(), content, author: "alice".to_owned() });
    world.run_for(1_000);
    edit(&mut world, alice, 1);
    edit(&mut world, bob, 2);
    edit(&mut world, alice, 3);
    world
}

fn edit(world: &mut World, node: usize, x: u64) {
    let patch = CanvasPatch::from_json(&format!(r#"{{"nodes":{{"upsert":[{{"id":"n","x":{x}}}]}}}}"#)).unwrap();
    world.command(node, Command::Patch { canvas: board(), patch, seen: Seen::Unknown, author: "somebody".to_owned() });
    world.run_for(1_000);
}

fn x(world: &World, node: usize) -> i64 {
    let document = load(world, node);
    let canvas = mqtt_p2p::canvas::CanvasDocument::load(&document.save_nocompress()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&canvas.canvas_json()).unwrap();
    json["nodes"][0]["x"].as_i64().unwrap()
}

fn load(world: &World, node: usize) -> Automerge {
    let bytes = world.nodes[node].document(&document());
    let options = automerge::LoadOptions::new().text_encoding(TextEncoding::UnicodeCodePoint);
    Automerge::load_with_options(&bytes, options).unwrap()
}

fn changes(world: &World, node: usize) -> Vec<Change> {
    load(world, node).get_changes(&[])
}

fn actor_of_peer(world: &World, node: usize, key: u8) -> ActorId {
    let all = changes(world, node);
    all.iter().map(Change::actor_id).find(|actor| owns(&peer(key), actor.to_bytes())).unwrap().clone()
}

/// A change that sets the node's place, under any actor, on top of all that a peer has.
fn forge(world: &World, node: usize, actor: ActorId, x: i64) -> Change {
    forge_on(load(world, node), actor, x)
}

fn forge_on(document: Automerge, actor: ActorId, x: i64) -> Change {
    let mut forged = document.with_actor(actor);
    let maps: Vec<ObjId> = (0..64)
        .filter_map(|shard| Some(forged.get(ROOT, format!("nodes/{shard:02x}")).unwrap()?.1))
        .filter(|map| forged.get(map, "n/x").unwrap().is_some())
        .collect();
    let mut tx = forged.transaction();
    tx.put(&maps[0], "n/x", x).unwrap();
    tx.commit();
    forged.get_last_local_change().unwrap()
}

fn publish(world: &mut World, key: u8, topic: &Topic, body: &Body, vouches: Option<Statement>) {
    let counter = &mut 0;
    let stamp = Stamp { session: Session(7), counter, sent_unix_ms: 0, message: Nonce(1), vouches };
    let name = TopicSpace::new("mind-git").unwrap().format(topic);
    for packet in seal(&identity(key), topic, stamp, Priority::High, body, 8 << 20).unwrap() {
        world.publish(name.clone(), packet, false);
    }
    world.run_for(1_000);
}

fn publish_changes(world: &mut World, key: u8, changes: &[&Change], vouchers: Vec<Voucher>, vouches: bool) {
    let last = changes.last().unwrap();
    let statement = Statement::new(&document(), last.actor_id(), last.seq(), &last.hash());
    let changes = changes.iter().map(|change| change.raw_bytes().to_vec()).collect();
    let body = Body::Changes(Changes { changes, vouchers, proof: None });
    publish(world, key, &Topic::Changes(document()), &body, vouches.then_some(statement));
}

fn reply(world: &mut World, key: u8, to: u8, heads: Heads, content: SyncContent) {
    let body = Body::SyncReply(SyncReply { request: Nonce(5), document: document(), heads, content });
    publish(world, key, &Topic::Inbox { repository: repository(), peer: peer(to) }, &body, None);
}

fn vouch(key: u8, change: &Change) -> Voucher {
    Voucher::sign(&identity(key), &document(), change.actor_id().clone(), change.seq(), change.hash())
}

fn dropped(world: &World, node: usize, reason: &str) -> u64 {
    world.nodes[node].synchronizer.status().statistics.rejected.get(reason).copied().unwrap_or_default()
}

#[test]
fn nobody_writes_under_anothers_actor_or_uses_up_its_numbers() {
    let mut world = alice_and_bob();
    let forged = forge(&world, 1, actor_of_peer(&world, 1, ALICE), 666);
    for vouches in [false, true] {
        publish_changes(&mut world, MALLORY, &[&forged], Vec::new(), vouches);
    }
    publish_changes(&mut world, MALLORY, &[&forged], vec![vouch(MALLORY, &forged)], false);
    let stolen = Voucher { owner: peer(ALICE), ..vouch(MALLORY, &forged) };
    publish_changes(&mut world, MALLORY, &[&forged], vec![stolen.clone()], false);
    let heads = Heads::new(vec![forged.hash()]);
    let bytes = vec![forged.raw_bytes().to_vec()];
    for vouchers in [vec![], vec![stolen]] {
        let changes = Changes { changes: bytes.clone(), vouchers, proof: None };
        reply(&mut world, MALLORY, BOB, heads.clone(), SyncContent::Changes(changes));
    }
    assert_eq!((x(&world, 0), x(&world, 1)), (3, 3));
    assert!(dropped(&world, 1, "unvouched change") >= 5 && dropped(&world, 1, "bad voucher") >= 2);
    // The number that was to be used up is still Alice's to use.
    edit(&mut world, 0, 4);
    assert_eq!((x(&world, 0), x(&world, 1)), (4, 4));
}

#[test]
fn an_actor_of_no_owner_is_nobodys() {
    let mut world = alice_and_bob();
    for actor in [vec![5; 16], vec![5; 24], vec![], vec![5; 33]] {
        let forged = forge(&world, 1, ActorId::from(actor), 666);
        publish_changes(&mut world, MALLORY, &[&forged], Vec::new(), true);
    }
    assert_eq!(x(&world, 1), 3);
    // Mallory's own words under a key of its own are as good as anyone's.
    let own = forge(&world, 1, ActorId::from(actor_of(&peer(MALLORY), [1; 8])), 7);
    publish_changes(&mut world, MALLORY, &[&own], Vec::new(), true);
    assert_eq!((x(&world, 0), x(&world, 1)), (7, 7));
}

#[test]
fn what_is_under_a_genuine_word_cannot_be_exchanged() {
    let mut world = alice_and_bob();
    let alice = actor_of_peer(&world, 1, ALICE);
    world.cut(1);
    edit(&mut world, 0, 10);
    edit(&mut world, 0, 11);
    let genuine: Vec<Change> = changes(&world, 0).into_iter().filter(|change| *change.actor_id() == alice).collect();
    let [.., before, last] = genuine.as_slice() else { panic!() };
    let genuine_word = vouch(ALICE, last);
    // Bob has neither of the two. Mallory puts another in the place of the first, and vouches by what comes after it.
    let forged = forge(&world, 1, alice, 666);
    assert_eq!(forged.seq(), before.seq());
    world.mend(1);
    world.cut(0);
    world.end(0);
    publish_changes(&mut world, MALLORY, &[&forged, last], vec![genuine_word.clone()], false);
    assert_eq!(x(&world, 1), 3);
    // Whoever relays the truth is believed, whoever it is.
    publish_changes(&mut world, MALLORY, &[before, last], vec![genuine_word], false);
    assert_eq!(x(&world, 1), 11);
}

#[test]
fn a_relay_that_strips_vouchers_brings_nothing_and_others_bring_it() {
    let mut world = alice_and_bob();
    world.cut(1);
    edit(&mut world, 0, 10);
    let all = changes(&world, 0);
    let heads = Heads::new(vec![all.last().unwrap().hash()]);
    let carol = world.join(newcomer(CAROL));
    let stripped = Changes {
        changes: all[1..].iter().map(|change| change.raw_bytes().to_vec()).collect(),
        vouchers: Vec::new(),
        proof: None,
    };
    let saved = SavedDocument { document: load(&world, 0).save_nocompress(), vouchers: Vec::new() };
    reply(&mut world, MALLORY, CAROL, heads.clone(), SyncContent::Changes(stripped));
    reply(&mut world, MALLORY, CAROL, heads, SyncContent::Document(saved));
    world.run_for(5_000);
    assert_eq!(x(&world, carol), 10, "Alice has answered");
}

/// What a node's application was told of the canvas.
fn told(world: &World, node: usize) -> Vec<&CanvasEvent> {
    let events = world.nodes[node].application.notices.iter().filter_map(|notice| match notice {
        Notice::Event(Event::Canvas(event)) => Some(event.as_ref()),
        _ => None,
    });
    events.collect()
}

#[test]
fn who_reads_only_a_snapshot_can_prove_every_author_to_others() {
    let mut world = alice_and_bob();
    for node in [0, 1] {
        world.command(node, Command::Leave);
        world.run_for(6_000);
        world.end(node);
    }
    let carol = world.join(newcomer(CAROL));
    world.run_for(10_000);
    assert_eq!(x(&world, carol), 3);
    assert!(world.nodes[carol].synchronizer.status().statistics.snapshots_read >= 1);
    assert_eq!(told(&world, carol).last().unwrap().peer, peer(ALICE), "not of who wrote the snapshot");
    // Carol's process begins again on its disk; the broker has forgotten everything.
    world.end(carol);
    world.broker().forget_everything();
    world.begin_again(carol);
    world.run_for(5_000);
    let dave = world.join(newcomer(4));
    world.run_for(10_000);
    assert_eq!(x(&world, dave), 3);
    assert_eq!((dropped(&world, dave, "unvouched change"), dropped(&world, dave, "bad voucher")), (0, 0));
    assert_eq!(told(&world, dave).last().unwrap().peer, peer(ALICE), "not of Carol, who passed it on");
}

#[test]
fn what_stands_only_by_a_change_that_waits_waits_with_it() {
    let mut world = alice_and_bob();
    let before = load(&world, 1);
    let (mallory, other) = (actor_of(&peer(MALLORY), [1; 8]), actor_of(&peer(98), [1; 8]));
    let first = forge_on(before.clone(), mallory.into(), 5);
    let beside = forge_on(before.clone(), other.into(), 6);
    let mut both = before;
    both.apply_changes([first.clone(), beside.clone()]).unwrap();
    let last = forge_on(both, mallory.into(), 7);
    // Only the last is vouched for, and it depends on what is not here.
    publish_changes(&mut world, MALLORY, &[&first, &last], Vec::new(), true);
    assert_eq!((x(&world, 1), changes(&world, 1).contains(&first)), (3, false));
    publish_changes(&mut world, 98, &[&beside], Vec::new(), true);
    assert_eq!((x(&world, 0), x(&world, 1)), (7, 7));
}

#[test]
fn a_change_that_lacks_its_predecessor_is_refused() {
    let mut world = alice_and_bob();
    let before = load(&world, 1);
    let mallory = ActorId::from(actor_of(&peer(MALLORY), [1; 8]));
    let first = forge(&world, 1, mallory.clone(), 7);
    publish_changes(&mut world, MALLORY, &[&first], Vec::new(), true);
    // The second, with the number and everything else right, but made beside the first.
    let mut beside = forge(&world, 1, mallory, 8).decode();
    beside.deps = before.get_heads();
    let beside = decode_change(Change::from(beside).raw_bytes().to_vec()).unwrap();
    assert_eq!(beside.seq(), 2);
    publish_changes(&mut world, MALLORY, &[&beside], Vec::new(), true);
    assert_eq!((x(&world, 0), x(&world, 1)), (7, 7));
    let refused = |notice: &Notice| matches!(notice, Notice::Event(Event::Quarantined { .. }));
    assert!([0, 1].iter().all(|node| world.nodes[*node].application.notices.iter().any(refused)));
}

#[test]
fn many_vouchers_count_for_their_sender() {
    let mut world = alice_and_bob();
    let before = load(&world, 1);
    // More than may be asked for at once.
    let actor = |number: u64| ActorId::from(actor_of(&peer(MALLORY), number.to_be_bytes()));
    let forged: Vec<Change> = (0..4_500).map(|number| forge_on(before.clone(), actor(number), 7)).collect();
    let vouchers = forged.iter().map(|change| vouch(MALLORY, change)).collect();
    publish_changes(&mut world, MALLORY, &forged.iter().collect::<Vec<_>>(), vouchers, false);
    let told = |notice: &Notice| matches!(notice, Notice::Event(Event::PeerThrottled(who)) if *who == peer(MALLORY));
    assert!([0, 1].iter().all(|node| world.nodes[*node].application.notices.iter().any(told)));
    let dropped_before = dropped(&world, 0, "throttled");
    publish_changes(&mut world, MALLORY, &[&forged[0]], Vec::new(), true);
    assert!(dropped(&world, 0, "throttled") > dropped_before);
}

/// So many changes on top of a document, each by an actor of its own.
fn by_many_actors(before: Automerge, key: u8, count: u64) -> Vec<Change> {
    let actor = |number: u64| ActorId::from(actor_of(&peer(key), number.to_be_bytes()));
    let first = forge_on(before, actor(0), 7);
    let mut next = first.decode();
    let mut all = vec![first];
    for number in 1..count {
        let last = all.last().unwrap();
        next.deps = vec![last.hash()];
        next.start_op = (last.max_op() + 1).try_into().unwrap();
        next.actor_id = actor(number);
        next.operations[0].key = Key::Map(format!("n/p{number}").into());
        next.operations[0].pred = Vec::new().into();
        all.push(Change::from(next.clone()));
    }
    all
}

#[test]
fn newcomers_get_what_seventeen_thousand_actors_have_written() {
    let mut world = alice_and_bob();
    world.end(1);
    // Each start of a process that had not ended in good order is another actor.
    let all = by_many_actors(load(&world, 0), MALLORY, 17_000);
    let vouchers = all.iter().map(|change| vouch(MALLORY, change)).collect();
    publish_changes(&mut world, MALLORY, &all.iter().collect::<Vec<_>>(), vouchers, false);
    assert_eq!(load(&world, 0).get_heads(), vec![all.last().unwrap().hash()]);
    let carol = world.join(newcomer(CAROL));
    world.run_for(10_000);
    assert_eq!(load(&world, carol).get_heads(), load(&world, 0).get_heads());
    assert_eq!((dropped(&world, carol, "unvouched change"), dropped(&world, carol, "bad voucher")), (0, 0));
}

#[test]
fn many_concurrent_ends_are_brought_together() {
    let mut world = alice_and_bob();
    let before = load(&world, 1);
    let actor = |number: u64| ActorId::from(actor_of(&peer(MALLORY), number.to_be_bytes()));
    let forged: Vec<Change> = (0..1_100).map(|number| forge_on(before.clone(), actor(number), 7)).collect();
    let vouchers = forged.iter().map(|change| vouch(MALLORY, change)).collect();
    publish_changes(&mut world, MALLORY, &forged.iter().collect::<Vec<_>>(), vouchers, false);
    world.run_for(30_000);
    let [alice, bob] = [0, 1].map(|node| load(&world, node).get_heads());
    assert_eq!(alice, bob);
    assert!(alice.len() <= 2, "{}", alice.len());
    assert!(changes(&world, 0).contains(&forged[0]));
}

#[test]
fn what_builds_on_what_was_held_and_dropped_waits_for_it_to_come_again() {
    let mut world = alice_and_bob();
    let before = load(&world, 1);
    let actor = |key: u8| ActorId::from(actor_of(&peer(key), [1; 8]));
    let held = forge_on(before.clone(), actor(MALLORY), 5);
    let (first, second) = (forge_on(before.clone(), actor(98), 6), forge_on(before.clone(), actor(97), 7));
    // Its owner vouches for it, and it will be refused, as soon as the first is there.
    let mut on_held = before.clone();
    on_held.apply_changes([held.clone(), first.clone()]).unwrap();
    let mut bad = forge_on(on_held, actor(MALLORY), 8).decode();
    bad.start_op = std::num::NonZeroU64::MIN;
    let bad = decode_change(Change::from(bad).raw_bytes().to_vec()).unwrap();
    let mut on_both = before;
    on_both.apply_changes([held.clone(), second.clone()]).unwrap();
    let waits = forge_on(on_both, actor(96), 9);
    publish_changes(&mut world, MALLORY, &[&held, &bad], vec![vouch(MALLORY, &bad)], false);
    publish_changes(&mut world, 96, &[&waits], Vec::new(), true);
    publish_changes(&mut world, 98, &[&first], Vec::new(), true);
    publish_changes(&mut world, 97, &[&second], Vec::new(), true);
    let has = |world: &World, change: &Change| [0, 1].map(|node| changes(world, node).contains(change));
    assert_eq!((has(&world, &held), has(&world, &waits)), ([false; 2], [false; 2]));
    publish_changes(&mut world, MALLORY, &[&held], Vec::new(), true);
    assert_eq!((has(&world, &held), has(&world, &waits)), ([true; 2], [true; 2]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever of an answer is altered, nothing is believed that was not said, and the truth comes in the end.
    #[test]
    fn an_altered_answer_brings_nothing_false(byte in any::<prop::sample::Index>(), bit in 0..8_u8, drop in any::<prop::sample::Index>()) {
        let mut world = alice_and_bob();
        let all = changes(&world, 0);
        let ever: Vec<_> = all.iter().map(Change::hash).collect();
        let owned: Vec<&Change> = all.iter().filter(|change| change.actor_id().to_bytes().len() == 24).collect();
        let vouchers: Vec<Voucher> = owned.iter().map(|change| {
            vouch(if owns(&peer(ALICE), change.actor_id().to_bytes()) { ALICE } else { BOB }, change)
        }).collect();
        let mut bytes: Vec<Vec<u8>> = all[1..].iter().map(|change| change.raw_bytes().to_vec()).collect();
        let altered = byte.index(bytes.iter().map(Vec::len).sum());
        let mut at = altered;
        for change in &mut bytes {
            if let Some(byte) = change.get_mut(at) {
                *byte ^= 1 << bit;
                break;
            }
            at -= change.len();
        }
        let mut fewer = vouchers.clone();
        fewer.remove(drop.index(vouchers.len()));
        let carol = world.join(newcomer(CAROL));
        for vouchers in [vouchers, fewer] {
            let changes = Changes { changes: bytes.clone(), vouchers, proof: None };
            reply(&mut world, MALLORY, CAROL, Heads::default(), SyncContent::Changes(changes));
        }
        world.run_for(5_000);
        prop_assert!(changes(&world, carol).iter().all(|change| ever.contains(&change.hash())));
        prop_assert_eq!(x(&world, carol), 3);
    }
}
