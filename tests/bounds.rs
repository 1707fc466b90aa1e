//! What others add without end is taken in up to a bound: what is here stays, the application is told once, and everything
//! else goes on.

#![cfg(feature = "drivers")]
#![allow(unreachable_pub)] // What the modules of a test share is public to it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod process;

use automerge::Change;
use mqtt_p2p::canvas::{Canvas, CanvasDocument, CanvasPatch, Seen, Size, decode_change};
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, Heads, Nonce};
use mqtt_p2p::limits::MAX_CAUSAL_BUFFER_BYTES;
use mqtt_p2p::sync::{Bounds, Command, Event, SyncError};
use mqtt_p2p::wire::{Body, Changes, HeadsAnnouncement, SyncContent, SyncReply, Topic, Voucher};
use process::{Process, canvas, create, document, identity, peer, repository, run, signed};

const MINUTES_MS: u64 = 60_000;
const ENDLESS: Size = Size { operations: u64::MAX, bytes: u64::MAX, entries: u64::MAX, actors: u64::MAX };

fn bounds() -> Bounds {
    let (waiting_bytes, parked_bytes) = (usize::MAX, usize::MAX);
    Bounds { canvases: usize::MAX, canvas: ENDLESS, index: ENDLESS, waiting_bytes, parked_bytes }
}

fn canvas_of(most: Size) -> Bounds {
    Bounds { canvas: most, ..bounds() }
}

fn named(name: &str) -> CanvasId {
    CanvasId::new(name).unwrap()
}

fn document_of(name: &str) -> DocumentId {
    DocumentId::Canvas { repository: repository(), canvas: named(name), generation: Generation(1) }
}

fn create_named(name: &str) -> Command {
    Command::Create { canvas: named(name), content: Canvas::default(), author: "ada".to_owned() }
}

fn delete_named(name: &str) -> Command {
    Command::Delete { canvas: named(name), author: "ada".to_owned() }
}

fn put(name: &str, node: u64) -> Command {
    let file = format!("{node:03}").repeat(70);
    let json = format!(r#"{{"nodes":{{"upsert":[{{"id":"n{node}","x":1,"file":"{file}"}}]}}}}"#);
    let patch = CanvasPatch::from_json(&json).unwrap();
    Command::Patch { canvas: named(name), patch, seen: Seen::Unknown, author: "ada".to_owned() }
}

fn full(process: &Process, id: &DocumentId) -> usize {
    process.count(|event| matches!(event, Event::Error(SyncError::Full { document }) if document == id))
}

fn too_many(process: &Process) -> usize {
    process.count(|event| matches!(event, Event::Error(SyncError::TooManyCanvases { .. })))
}

/// How the last call of a process ended.
fn refused(process: &mut Process, command: Command) -> Option<SyncError> {
    process.command(command);
    process.outcomes.last().and_then(|(_, result)| result.clone().err())
}

/// Ada, who may do as she likes, and Ben with these bounds, on one canvas.
fn ada_and_ben(most: Bounds) -> (Process, Process) {
    let (mut ada, mut ben) = (Process::with_bounds(1, bounds()), Process::with_bounds(2, most));
    ada.command(create());
    run(&mut ada, &mut ben, 5_000);
    assert!(ada.saved().is_some() && ada.saved() == ben.saved());
    (ada, ben)
}

fn same(ada: &Process, ben: &Process, id: &DocumentId) -> bool {
    ada.synchronizer.save_document(id) == ben.synchronizer.save_document(id)
}

fn nodes(process: &Process) -> usize {
    CanvasDocument::load(&process.saved().unwrap()).unwrap().counts().0
}

/// What Ada's edits make of Ben's canvas, whose bound they go over; everything else goes on.
fn grows_to_the_bound(most: Size) {
    let (mut ada, mut ben) = ada_and_ben(canvas_of(most));
    for node in 0..60 {
        ada.command(put("plan", node));
        let at_ms = ada.now_ms;
        run(&mut ada, &mut ben, at_ms + 100);
    }
    let at_ms = ada.now_ms;
    run(&mut ada, &mut ben, at_ms + 10 * MINUTES_MS);
    let held = nodes(&ben);
    assert!((3..60).contains(&held), "{held} nodes");
    assert_eq!((nodes(&ada), full(&ben, &document()), full(&ada, &document())), (60, 1, 0));
    assert!(ben.synchronizer.is_full(&document()));
    assert_eq!(ben.rolled_back(), 0, "what is not taken in is not missed");
    // It stays readable, and nothing more is to be done with it.
    assert_eq!(refused(&mut ben, Command::Get { canvas: canvas(), at: None }), None);
    let error = SyncError::Full { document: document() };
    for command in [put("plan", 99), Command::Sync { canvas: Some(canvas()) }] {
        assert_eq!(refused(&mut ben, command), Some(error.clone()));
    }
    assert_eq!(error.code(), "ERR_PAYLOAD_TOO_LARGE");
    let requests = ben.synchronizer.status().statistics.requests;
    run(&mut ada, &mut ben, at_ms + 60 * MINUTES_MS);
    assert_eq!(ben.synchronizer.status().statistics.requests, requests, "it is asked for no more");

    // Other canvases are followed as before.
    ada.command(create_named("other"));
    ada.command(put("other", 1));
    ada.command(put("plan", 61));
    let at_ms = ada.now_ms;
    run(&mut ada, &mut ben, at_ms + MINUTES_MS);
    ben.command(put("other", 2));
    run(&mut ada, &mut ben, at_ms + 2 * MINUTES_MS);
    assert!(same(&ada, &ben, &document_of("other")));

    // The next process reads what is here, and is told once more.
    let mut ben = ben.restart();
    assert_eq!(refused(&mut ben, Command::Get { canvas: canvas(), at: None }), None);
    let at_ms = ada.now_ms;
    run(&mut ada, &mut ben, at_ms + 10 * MINUTES_MS);
    ada.command(put("plan", 62));
    run(&mut ada, &mut ben, at_ms + 20 * MINUTES_MS);
    assert_eq!((full(&ben, &document()), ben.rolled_back()), (1, 0));
    // Bytes were estimated, so there may have been room for more.
    assert!(nodes(&ben) == held || most.bytes < u64::MAX);
    let requests = ben.synchronizer.status().statistics.requests;
    run(&mut ada, &mut ben, at_ms + 60 * MINUTES_MS);
    assert_eq!(ben.synchronizer.status().statistics.requests, requests);
    assert!(same(&ada, &ben, &document_of("other")));
}

#[test]
fn a_canvas_of_too_many_operations_is_followed_no_further() {
    grows_to_the_bound(Size { operations: 600, ..ENDLESS });
}

#[test]
fn a_canvas_of_too_many_bytes_is_followed_no_further() {
    grows_to_the_bound(Size { bytes: 12_000, ..ENDLESS });
}

#[test]
fn a_canvas_of_too_many_elements_is_followed_no_further() {
    grows_to_the_bound(Size { entries: 50, ..ENDLESS });
}

#[test]
fn a_canvas_of_too_many_actors_is_followed_no_further() {
    let (mut ada, mut ben) = ada_and_ben(canvas_of(Size { actors: 5, ..ENDLESS }));
    for start in 1..=10 {
        // A process that ends without a word: the next one edits under another actor.
        ada = ada.restart();
        ada.command(put("plan", start));
        run(&mut ada, &mut ben, start * MINUTES_MS);
    }
    assert_eq!((nodes(&ben), nodes(&ada)), (5, 10));
    assert_eq!((full(&ben, &document()), ben.rolled_back()), (1, 0));
}

#[test]
fn a_newcomer_takes_in_nothing_of_what_is_too_large() {
    let mut ada = Process::with_bounds(1, bounds());
    ada.command(create());
    for node in 0..200 {
        ada.command(put("plan", node));
    }
    let mut ben = Process::with_bounds(2, canvas_of(Size { operations: 600, ..ENDLESS }));
    run(&mut ada, &mut ben, 10 * MINUTES_MS);
    assert_eq!((full(&ben, &document()), ben.rolled_back()), (1, 0));
    assert_eq!(nodes(&ben), 0);
    assert_eq!(ben.count(|event| matches!(event, Event::Canvas(_))), 0, "nobody knows what is in it");
    let error = SyncError::Full { document: document() };
    assert_eq!(refused(&mut ben, Command::Get { canvas: canvas(), at: None }), Some(error));
    assert_eq!(refused(&mut ben, delete_named("plan")), None, "it can be deleted");
}

#[test]
fn ones_own_edits_end_before_others_would_not_take_them_in() {
    let most = canvas_of(Size { operations: 600, ..ENDLESS });
    let (mut ada, mut ben) = (Process::with_bounds(1, most), Process::with_bounds(2, most));
    ada.command(create());
    let error = (0..100).find_map(|node| refused(&mut ada, put("plan", node)));
    assert_eq!(error, Some(SyncError::Full { document: document() }));
    run(&mut ada, &mut ben, MINUTES_MS);
    assert!(same(&ada, &ben, &document()) && nodes(&ben) > 10);
    assert_eq!(full(&ada, &document()) + full(&ben, &document()), 0, "it is no event");
    assert_eq!(refused(&mut ada, delete_named("plan")), None, "it can be deleted");
}

#[test]
fn of_too_many_canvases_some_are_followed_and_all_is_well_with_them() {
    let (mut ada, mut ben) = ada_and_ben(Bounds { canvases: 5, ..bounds() });
    for number in 0..20 {
        ada.command(create_named(&format!("c{number}")));
    }
    run(&mut ada, &mut ben, 10 * MINUTES_MS);
    assert_eq!((too_many(&ben), too_many(&ada)), (1, 0));
    let followed = |ben: &Process| ben.synchronizer.document_ids().len() - 1;
    assert_eq!(followed(&ben), 5);
    let error = SyncError::TooManyCanvases { repository: repository(), max: 5 };
    assert_eq!(refused(&mut ben, create_named("more")), Some(error.clone()));
    let unknown: Vec<CanvasId> = (0..17).map(|number| named(&format!("c{number}"))).collect();
    let unknown = unknown.iter().find(|name| !ben.synchronizer.document_ids().contains(&document_of(name.as_str())));
    let unknown = unknown.unwrap().clone();
    assert_eq!(refused(&mut ben, Command::Sync { canvas: Some(unknown.clone()) }), Some(error));
    assert_eq!(refused(&mut ben, Command::Delete { canvas: unknown, author: "ben".to_owned() }), None);
    ada.edit(7);
    run(&mut ada, &mut ben, 20 * MINUTES_MS);
    assert!(same(&ada, &ben, &document()));
    assert!(same(&ada, &ben, &DocumentId::Index { repository: repository() }), "the list itself is complete");

    // Where some were deleted, the next process has room for others.
    for number in 0..17 {
        ada.command(delete_named(&format!("c{number}")));
    }
    run(&mut ada, &mut ben, 30 * MINUTES_MS);
    let mut ben = ben.restart();
    run(&mut ada, &mut ben, 40 * MINUTES_MS);
    assert_eq!((too_many(&ben), followed(&ben)), (0, 4));
    assert_eq!(refused(&mut ben, create_named("more")), None);
}

#[test]
fn a_list_of_canvases_that_is_full_is_followed_no_further_and_its_canvases_are() {
    let index = DocumentId::Index { repository: repository() };
    let (mut ada, mut ben) = ada_and_ben(Bounds { index: Size { operations: 100, ..ENDLESS }, ..bounds() });
    for number in 0..40 {
        ada.command(create_named(&format!("c{number}")));
        ada.command(delete_named(&format!("c{number}")));
        let at_ms = ada.now_ms;
        run(&mut ada, &mut ben, at_ms + 100);
    }
    run(&mut ada, &mut ben, 10 * MINUTES_MS);
    assert_eq!((full(&ben, &index), full(&ada, &index), ben.rolled_back()), (1, 0, 0));
    assert_eq!(refused(&mut ben, create_named("more")), Some(SyncError::Full { document: index.clone() }));
    ada.edit(7);
    run(&mut ada, &mut ben, 15 * MINUTES_MS);
    ben.edit(8);
    run(&mut ada, &mut ben, 20 * MINUTES_MS);
    assert!(same(&ada, &ben, &document()));
    let mut ben = ben.restart();
    ada.edit(9);
    run(&mut ada, &mut ben, 30 * MINUTES_MS);
    ben.command(Command::Get { canvas: canvas(), at: None });
    assert!(same(&ada, &ben, &document()));
}

#[test]
fn what_is_in_memory_does_not_grow_with_what_is_listed() {
    // More canvases than are held in memory, of which nobody has anything: none takes the memory of a document.
    let mut ada = Process::new(1);
    for number in 0..200 {
        ada.command(create_named(&format!("c{number}")));
    }
    ada.take_published();
    let mut ben = Process::new(2);
    run(&mut ada, &mut ben, 3_000);
    let most = 100 + 1 + mqtt_p2p::limits::MAX_ACTIVE_REQUESTS;
    let in_memory = |process: &Process| {
        let ids: Vec<DocumentId> = process.synchronizer.document_ids().into_iter().cloned().collect();
        ids.iter().filter(|id| process.synchronizer.save_document(id).is_some()).count()
    };
    assert_eq!(ben.synchronizer.document_ids().len(), 201);
    assert!(in_memory(&ben) <= most, "{}", in_memory(&ben));
    run(&mut ada, &mut ben, 3 * MINUTES_MS);
    assert!(in_memory(&ben) <= most, "{}", in_memory(&ben));
    let created = ben.count(|event| matches!(event, Event::Canvas(_)));
    assert_eq!(created, 200, "all of them have come");
}

/// A change on top of one that nobody has, of so many bytes, and what vouches for it.
fn lacking(name: &str, bytes: usize) -> (Change, Voucher) {
    let mut canvas = CanvasDocument::new();
    canvas.set_actor(automerge::ActorId::from(mqtt_p2p::crypto::actor_of(&peer(1), [7; 8])));
    let patch =
        |text: String| CanvasPatch::from_json(&format!(r#"{{"properties":{{"set":{{"p":"{text}"}}}}}}"#)).unwrap();
    canvas.patch(&patch("lost".to_owned()), "ada").unwrap();
    let change = canvas.patch(&patch("x".repeat(bytes)), "ada").unwrap().changes.pop().unwrap();
    let change = decode_change(change.raw_bytes().to_vec()).unwrap();
    let of = document_of(name);
    let voucher = Voucher::sign(&identity(1), &of, change.actor_id().clone(), change.seq(), change.hash());
    (change, voucher)
}

#[test]
fn what_waits_in_all_documents_together_is_bounded() {
    let bytes = 100_000;
    let (mut ada, mut ben) = ada_and_ben(Bounds { waiting_bytes: 10 * bytes, ..bounds() });
    for number in 0..30 {
        ada.command(create_named(&format!("c{number}")));
    }
    run(&mut ada, &mut ben, 5 * MINUTES_MS);
    let mut most = 0;
    for number in 0..30_u16 {
        let name = format!("c{number}");
        let (change, voucher) = lacking(&name, bytes);
        let changes = Changes { changes: vec![change.raw_bytes().to_vec()], vouchers: vec![voucher], proof: None };
        let content = SyncContent::Changes(changes);
        let heads: Heads = [change.hash()].into_iter().collect();
        let body = Body::SyncReply(SyncReply { request: Nonce(5), document: document_of(&name), heads, content });
        let inbox = Topic::Inbox { repository: repository(), peer: peer(2) };
        ben.hear(vec![signed(1, &inbox, 3, u64::from(number), &body)]);
        most = most.max(ben.synchronizer.status().buffered_changes);
    }
    let status = ben.synchronizer.status();
    assert!((8..=10).contains(&most), "{most} waited of which each has a tenth of what may wait");
    assert!(bytes < MAX_CAUSAL_BUFFER_BYTES, "no document had too much by itself");
    assert!(status.statistics.rejected["too much waits"] >= 10);
    ada.edit(5);
    run(&mut ada, &mut ben, 10 * MINUTES_MS);
    assert!(same(&ada, &ben, &document()));
}

#[test]
fn what_waits_for_a_canvas_to_be_loaded_is_bounded() {
    let (mut ada, ben) = ada_and_ben(Bounds { parked_bytes: 20_000, ..bounds() });
    let mut ben = ben.restart();
    assert!(ben.saved().is_none(), "only storage has it");
    ada.take_published();
    for node in 0..40 {
        let id = format!("{node:02}").repeat(500);
        let patch = CanvasPatch::from_json(&format!(r#"{{"nodes":{{"upsert":[{{"id":"{id}","x":1}}]}}}}"#)).unwrap();
        ada.command(Command::Patch { canvas: canvas(), patch, seen: Seen::Unknown, author: "ada".to_owned() });
    }
    let together = ada.take_published();
    ada.hear(together.clone());
    ben.hear(together);
    let dropped = ben.synchronizer.status().statistics.rejected["document is loading"];
    assert!((15..40).contains(&dropped), "{dropped}");
    run(&mut ada, &mut ben, 10 * MINUTES_MS);
    assert!(same(&ada, &ben, &document()) && nodes(&ben) == 40);
}

#[test]
fn heads_of_what_is_full_are_not_asked_for() {
    let (mut ada, mut ben) = ada_and_ben(canvas_of(Size { operations: 600, ..ENDLESS }));
    for node in 0..60 {
        ada.command(put("plan", node));
    }
    run(&mut ada, &mut ben, 10 * MINUTES_MS);
    assert!(ben.synchronizer.is_full(&document()));
    let requests = ben.synchronizer.status().statistics.requests;
    let heads: Heads = [automerge::ChangeHash([9; 32])].into_iter().collect();
    let announcement = Body::HeadsAnnouncement(HeadsAnnouncement { documents: vec![(document(), heads)] });
    ben.hear(vec![signed(1, &Topic::Sync(repository()), 3, 1, &announcement)]);
    ben.pass(10 * MINUTES_MS);
    assert_eq!(ben.synchronizer.status().statistics.requests, requests);
}
