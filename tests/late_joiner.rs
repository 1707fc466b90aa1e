//! A canvas reaches those who come when nobody else is there, over what the broker keeps.

#![allow(unreachable_pub)] // What the modules of a test share is public to it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod harness;

use harness::kept::kept;
use harness::node::Node;
use harness::world::World;
use mqtt_p2p::canvas::{Canvas, CanvasPatch, Element, Seen, Value};
use mqtt_p2p::crypto::Identity;
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, Heads, Nonce, RepositoryName, Session};
use mqtt_p2p::sync::{Command, Reply, SyncReport};
use mqtt_p2p::wire::{Body, Manifest, Priority, Stamp, Topic, TopicSpace, seal};
use sha2::{Digest, Sha256};

/// Longer than `disconnect()` waits.
const LEAVE_MS: u64 = 5_000;
/// Long enough for every snapshot that is due to be written, by whomever.
const REST_MS: u64 = 120_000;

/// A peer that has never been there before.
fn newcomer(key: u8) -> Node {
    Node::new("r", key, u64::from(key), 256)
}

fn board() -> CanvasId {
    CanvasId::new("board").unwrap()
}

fn document(canvas: &CanvasId) -> DocumentId {
    DocumentId::Canvas {
        repository: RepositoryName::new("r").unwrap(),
        canvas: canvas.clone(),
        generation: Generation(1),
    }
}

fn canvas_of(nodes: usize) -> Canvas {
    let node = |number: usize| {
        let text = hex::encode(Sha256::digest(number.to_be_bytes()));
        let properties = [
            ("type", Value::String("text".to_owned())),
            ("text", Value::String(text)),
            ("x", Value::Int(number.cast_signed() as i64 * 40)),
        ];
        let properties = properties.map(|(name, value)| (name.to_owned(), value)).into();
        Element { id: format!("node-{number}"), properties }
    };
    Canvas { nodes: (0..nodes).map(node).collect(), ..Canvas::default() }
}

fn create(world: &mut World, node: usize, canvas: &CanvasId, nodes: usize) {
    let (canvas, content, author) = (canvas.clone(), canvas_of(nodes), "somebody".to_owned());
    world.command(node, Command::Create { canvas, content, author });
}

fn patch(world: &mut World, node: usize, canvas: &CanvasId, x: u64) {
    let patch = CanvasPatch::from_json(&format!(r#"{{"nodes":{{"upsert":[{{"id":"node-0","x":{x}}}]}}}}"#)).unwrap();
    world.command(
        node,
        Command::Patch { canvas: canvas.clone(), patch, seen: Seen::Unknown, author: "somebody".to_owned() },
    );
}

fn outcome(world: &World, node: usize, call: u64) -> Option<Reply> {
    world.nodes[node].application.ended(call).map(Result::unwrap)
}

/// Lets somebody leave, which must end before the service would lose its patience.
fn leave(world: &mut World, node: usize) {
    let call = world.command(node, Command::Leave);
    world.run_for(LEAVE_MS);
    assert_eq!(outcome(world, node, call), Some(Reply::Done), "leaving ends");
    world.end(node);
}

/// What an application gets that synchronises as soon as it is connected.
fn sync(world: &mut World, node: usize) -> SyncReport {
    world.run_for(100);
    let call = world.command(node, Command::Sync { canvas: None });
    world.run_for(15_000);
    match outcome(world, node, call) {
        Some(Reply::Synced(report)) => report,
        other => panic!("{other:?}"),
    }
}

fn read(world: &mut World, node: usize, canvas: &CanvasId) -> String {
    let call = world.command(node, Command::Get { canvas: canvas.clone(), at: None });
    world.run_for(100);
    match outcome(world, node, call) {
        Some(Reply::Canvas { json, .. }) => json,
        other => panic!("{other:?}"),
    }
}

fn assert_nothing_unsealable(world: &World) {
    for node in &world.nodes {
        let rejected = node.synchronizer.status().statistics.rejected;
        assert!(!rejected.contains_key("unsealable"), "{rejected:?}");
    }
}

#[test]
fn a_canvas_reaches_who_comes_when_its_maker_is_gone() {
    let mut world = World::calm(1);
    let a = world.join(newcomer(1));
    world.run_for(100);
    create(&mut world, a, &board(), 1_000);
    let expected = read(&mut world, a, &board());
    leave(&mut world, a);
    let b = world.join(newcomer(2));
    let report = sync(&mut world, b);
    assert!(report.answered && report.documents == 2, "{report:?}");
    assert_eq!(read(&mut world, b, &board()), expected);
    let b = &world.nodes[b];
    assert_eq!(b.application.mirrors.len(), 1, "the application was told");
    assert_eq!(b.synchronizer.status().statistics.snapshots_read, 2, "the index and the canvas");
    let stored = b.disk.load(&document(&board())).unwrap();
    assert!(stored.snapshot.is_some() && stored.changes.is_empty(), "it was taken over as one");
    assert_eq!(stored.vouchers.len(), 0, "the first import proves itself");
    let kept = kept(&mut world, 16 << 10);
    kept.assert_tight();
    assert_eq!(kept.manifests.len(), 2);
    assert!(kept.parts.len() > 5, "{}", kept.parts.len());
    assert_nothing_unsealable(&world);
}

#[test]
fn a_call_that_follows_a_canvas_waits_for_what_the_broker_keeps() {
    let mut world = World::calm(2);
    let a = world.join(newcomer(1));
    create(&mut world, a, &board(), 20);
    world.run_for(1_000);
    leave(&mut world, a);
    let b = world.join(newcomer(2));
    let call = world.command(b, Command::SetLive { canvas: board(), live: true });
    world.run_for(15_000);
    assert_eq!(outcome(&world, b, call), Some(Reply::Done));
    assert!(read(&mut world, b, &board()).contains("node-19"));
    // Whoever knows it all already counts what the broker keeps as an answer too.
    let report = sync(&mut world, b);
    assert_eq!((report.answered, report.changes_received), (true, 0));
}

#[test]
fn what_comes_while_nobody_leaves_is_written_when_it_rests() {
    let mut world = World::calm(3);
    let a = world.join(newcomer(1));
    world.run_for(100);
    create(&mut world, a, &board(), 10);
    world.run_for(REST_MS);
    let first = world.nodes[a].synchronizer.status().statistics.snapshots_written;
    assert_eq!(first, 2);
    world.run_for(10 * REST_MS);
    assert_eq!(world.nodes[a].synchronizer.status().statistics.snapshots_written, first, "once is enough");
    // The process dies without a word.
    world.end(a);
    let b = world.join(newcomer(2));
    assert!(sync(&mut world, b).answered);
    assert!(read(&mut world, b, &board()).contains("node-9"));
}

#[test]
fn what_the_broker_forgot_is_written_again() {
    let mut world = World::calm(4);
    let a = world.join(newcomer(1));
    world.run_for(100);
    create(&mut world, a, &board(), 100);
    world.run_for(REST_MS);
    assert_eq!(kept(&mut world, 16 << 10).manifests.len(), 2);
    world.cut(a);
    world.broker().forget_retained();
    world.mend(a);
    world.run_for(REST_MS);
    let kept = kept(&mut world, 16 << 10);
    kept.assert_tight();
    assert_eq!(kept.manifests.len(), 2);
}

#[test]
fn documents_that_only_the_disk_has_are_written_too() {
    let mut world = World::calm(11);
    let a = world.join(Node::new("r", 1, 1, 1));
    world.run_for(100);
    let canvases: Vec<CanvasId> = (0..20).map(|number| CanvasId::new(&format!("canvas-{number}")).unwrap()).collect();
    for canvas in &canvases {
        create(&mut world, a, canvas, 3);
        world.run_for(100);
    }
    world.run_for(3 * REST_MS);
    assert_eq!(kept(&mut world, 16 << 10).manifests.len(), 21);
    // A process that has touched none of them yet, over a broker that has forgotten them.
    world.end(a);
    world.broker().forget_retained();
    world.begin_again(a);
    world.run_for(3_000 + 3 * REST_MS);
    assert_eq!(kept(&mut world, 16 << 10).manifests.len(), 21);
    world.broker().forget_retained();
    world.cut(a);
    world.mend(a);
    world.run_for(100);
    leave(&mut world, a);
    let kept = kept(&mut world, 16 << 10);
    assert_eq!(kept.manifests.len(), 21, "also when it leaves soon");
    kept.assert_tight();
    let b = world.join(newcomer(2));
    let report = sync(&mut world, b);
    assert!(report.answered && report.documents == 21, "{report:?}");
    for canvas in &canvases {
        assert!(read(&mut world, b, canvas).contains("node-2"));
    }
}

#[test]
fn who_was_away_reads_what_the_others_left() {
    let mut world = World::calm(12);
    let a = world.join(newcomer(1));
    let b = world.join(newcomer(2));
    world.run_for(100);
    create(&mut world, a, &board(), 30);
    world.run_for(1_000);
    leave(&mut world, b);
    patch(&mut world, a, &board(), 999);
    world.run_for(100);
    leave(&mut world, a);
    // The canvas is on its disk, and asleep: what the broker keeps wakes it.
    world.begin_again(b);
    world.run_for(10_000);
    assert!(read(&mut world, b, &board()).contains("999"));
    leave(&mut world, b);
    // A process takes the place of what an earlier one of the same peer has left.
    world.begin_again(a);
    world.run_for(10_000);
    patch(&mut world, a, &board(), 1_000_000);
    leave(&mut world, a);
    let kept = kept(&mut world, 16 << 10);
    kept.assert_tight();
    assert_eq!(kept.writers(&document(&board())).len(), 1);
}

/// With and without encryption.
fn worlds(seed: u64) -> [World; 2] {
    [World::calm(seed), World::calm_encrypted(seed)]
}

#[test]
fn a_deleted_canvas_leaves_nothing_behind() {
    for (mut world, deleter_leaves) in
        worlds(5).into_iter().zip([false, false]).chain(worlds(5).into_iter().zip([true, true]))
    {
        let a = world.join(newcomer(1));
        let b = world.join(newcomer(2));
        world.run_for(100);
        create(&mut world, a, &board(), 100);
        world.run_for(REST_MS);
        assert_eq!(kept(&mut world, 16 << 10).manifests.len(), 2);
        world.command(a, Command::Delete { canvas: board(), author: "somebody".to_owned() });
        if deleter_leaves {
            leave(&mut world, a);
        }
        world.run_for(REST_MS);
        let kept = kept(&mut world, 16 << 10);
        kept.assert_tight();
        assert!(kept.writers(&document(&board())).is_empty(), "{kept:?}");
        assert!(kept.parts.iter().all(|(id, _)| matches!(id, DocumentId::Index { .. })));
        let _ = b;
    }
}

#[test]
fn who_learns_of_a_deletion_clears_what_is_left() {
    worlds(6).into_iter().for_each(learn_of_a_deletion);
}

fn learn_of_a_deletion(mut world: World) {
    let a = world.join(newcomer(1));
    world.run_for(100);
    create(&mut world, a, &board(), 10);
    world.run_for(REST_MS);
    let topics = world.topics.clone();
    let left = Topic::Manifest { document: document(&board()), writer: Identity::from_seed([1; 32]).peer() };
    let left = world.broker().retained().get(&topics.format(&left)).unwrap().clone();
    world.command(a, Command::Delete { canvas: board(), author: "somebody".to_owned() });
    leave(&mut world, a);
    // The clearing did not arrive, or somebody replays it.
    world.publish(left.topic, left.payload.to_vec(), true);
    world.join(newcomer(2));
    world.run_for(REST_MS);
    assert!(kept(&mut world, 16 << 10).writers(&document(&board())).is_empty());
}

#[test]
fn two_writers_leave_one_manifest() {
    worlds(7).into_iter().for_each(two_writers);
}

fn two_writers(mut world: World) {
    let a = world.join(newcomer(1));
    let b = world.join(newcomer(2));
    world.run_for(100);
    create(&mut world, a, &board(), 200);
    for round in 0..6 {
        for (step, node) in (0..).zip([a, b]) {
            patch(&mut world, node, &board(), round * 10 + step);
        }
        // In turns one is cut off and comes back, and both may think that they are to write.
        let away = if round % 2 == 0 { a } else { b };
        world.run_for(1_000);
        world.cut(away);
        world.run_for(REST_MS);
        patch(&mut world, away, &board(), 1_000 + round);
        world.mend(away);
        world.run_for(REST_MS);
        let kept = kept(&mut world, 16 << 10);
        kept.assert_tight();
        assert_eq!(kept.writers(&document(&board())).len(), 1, "round {round}");
    }
    let expected = read(&mut world, a, &board());
    patch(&mut world, a, &board(), 5_000);
    leave(&mut world, a);
    leave(&mut world, b);
    let c = world.join(newcomer(3));
    assert!(sync(&mut world, c).answered);
    assert_ne!(read(&mut world, c, &board()), expected);
    assert!(read(&mut world, c, &board()).contains("5000"), "the last edit too");
    assert_eq!(kept(&mut world, 16 << 10).writers(&document(&board())).len(), 1);
}

#[test]
fn two_who_write_at_once_leave_one_manifest() {
    worlds(8).into_iter().for_each(two_at_once);
}

fn two_at_once(mut world: World) {
    let a = world.join(newcomer(1));
    create(&mut world, a, &board(), 200);
    let b = world.join(newcomer(2));
    world.run_for(2_000);
    // Both leave at the same moment: each writes before the other's manifest arrives.
    let calls = [a, b].map(|node| (node, world.command(node, Command::Leave)));
    world.run_for(LEAVE_MS);
    for (node, call) in calls {
        assert_eq!(outcome(&world, node, call), Some(Reply::Done));
        world.end(node);
    }
    let c = world.join(newcomer(3));
    assert!(sync(&mut world, c).answered);
    patch(&mut world, c, &board(), 77);
    leave(&mut world, c);
    let kept = kept(&mut world, 16 << 10);
    kept.assert_tight();
    assert_eq!(kept.writers(&document(&board())).len(), 1, "whoever writes next clears the others'");
}

#[test]
fn a_large_canvas_travels_in_parts_that_fit_a_small_message() {
    let [open, encrypted] = worlds(9);
    in_small_messages(open, 4 << 10);
    in_small_messages(encrypted, 8 << 10);
}

fn in_small_messages(mut world: World, max_message_bytes: usize) {
    let a = world.join(newcomer(1).with_messages_of(max_message_bytes));
    world.run_for(100);
    create(&mut world, a, &board(), 2_000);
    let expected = read(&mut world, a, &board());
    leave(&mut world, a);
    let b = world.join(newcomer(2).with_messages_of(max_message_bytes));
    assert!(sync(&mut world, b).answered);
    assert_eq!(read(&mut world, b, &board()), expected);
    let kept = kept(&mut world, max_message_bytes);
    kept.assert_tight();
    assert!(kept.parts.len() > 160_000 / max_message_bytes, "{}", kept.parts.len());
    assert_nothing_unsealable(&world);
}

/// Publishes a manifest, and perhaps a part, that no honest peer would.
fn forge(world: &mut World, key: u8, id: &DocumentId, manifest: Manifest, part: Option<&[u8]>) {
    let identity = Identity::from_seed([key; 32]);
    let topics = TopicSpace::new("mind-git").unwrap();
    let mut messages =
        vec![(Topic::Manifest { document: id.clone(), writer: identity.peer() }, Body::Manifest(manifest))];
    if let Some(part) = part {
        let digest = Sha256::digest(part).into();
        messages.push((Topic::SnapshotPart { document: id.clone(), digest }, Body::SnapshotPart(part.to_vec())));
    }
    for (topic, body) in messages {
        let stamp = Stamp { session: Session(99), counter: &mut 1, sent_unix_ms: 0, message: Nonce(1), vouches: None };
        let packets = seal(&identity, &topic, stamp, Priority::Low, &body, 1 << 20).unwrap();
        world.publish(topics.format(&topic), packets[0].clone(), true);
    }
}

#[test]
fn what_a_hostile_publisher_leaves_does_no_harm() {
    let mut world = World::calm(10);
    let a = world.join(newcomer(1));
    world.run_for(100);
    create(&mut world, a, &board(), 100);
    let expected = read(&mut world, a, &board());
    leave(&mut world, a);
    let index = DocumentId::Index { repository: RepositoryName::new("r").unwrap() };
    let heads = |byte: u8| (byte..byte + 9).map(|byte| automerge::ChangeHash([byte; 32])).collect::<Heads>();
    let other = DocumentId::Canvas {
        repository: RepositoryName::new("r").unwrap(),
        canvas: CanvasId::new("nowhere").unwrap(),
        generation: Generation(7),
    };
    for id in [index, document(&board()), other] {
        let junk = b"no document at all".as_slice();
        let digest = Sha256::digest(junk).into();
        let long = Manifest { heads: heads(1), parts: vec![digest], total_bytes: u64::MAX };
        forge(&mut world, 100, &id, long, Some(junk));
        let bad = Manifest { heads: heads(20), parts: vec![digest], total_bytes: junk.len() as u64 };
        forge(&mut world, 101, &id, bad, Some(junk));
        let lost = Manifest { heads: heads(40), parts: vec![[5; 32]; 3], total_bytes: 30 };
        forge(&mut world, 102, &id, lost, None);
        let wrong = Manifest { heads: heads(60), parts: vec![digest; 100], total_bytes: 10 };
        forge(&mut world, 103, &id, wrong, Some(junk));
        let headless = Manifest { heads: Heads::default(), parts: Vec::new(), total_bytes: 0 };
        forge(&mut world, 104, &id, headless, None);
    }
    // A real part under another's name does not pass for it.
    let topics = TopicSpace::new("mind-git").unwrap();
    let part = world.broker().retained().iter().find(|(topic, _)| topic.contains("/snapshot/")).unwrap();
    let (elsewhere, payload) =
        (Topic::SnapshotPart { document: document(&board()), digest: [5; 32] }, part.1.payload.to_vec());
    world.publish(topics.format(&elsewhere), payload, true);
    world.publish(format!("mind-git/v1/r/index/heads/{}", Identity::from_seed([7; 32]).peer()), vec![0xff; 99], true);
    let b = world.join(newcomer(2));
    world.run_for(30_000);
    assert_eq!(read(&mut world, b, &board()), expected);
    sync(&mut world, b);
    // And what it changes reaches the next, although some manifests can never be read.
    patch(&mut world, b, &board(), 4_321);
    leave(&mut world, b);
    let c = world.join(newcomer(3));
    world.run_for(30_000);
    assert!(read(&mut world, c, &board()).contains("4321"));
}
