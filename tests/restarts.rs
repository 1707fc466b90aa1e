//! A process that begins with what an earlier one left, and what may be wrong with that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

use std::sync::Arc;

use mqtt_p2p::canvas::{Canvas, CanvasPatch, Seen};
use mqtt_p2p::crypto::Identity;
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, Heads, RepositoryName, Session};
use mqtt_p2p::sync::{
    Bounds, CanvasP2PSynchronizer, Command, Config, Input, KnownDocument, Message, Outbound, PublishToken, Rates,
    StoreOperation, StoredDocument, Summary,
};
use mqtt_p2p::time::Now;
use mqtt_p2p::wire::TopicSpace;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn repository() -> RepositoryName {
    RepositoryName::new("r").unwrap()
}

fn canvas(number: usize) -> CanvasId {
    CanvasId::new(&format!("canvas-{number}")).unwrap()
}

fn document(number: usize) -> DocumentId {
    DocumentId::Canvas { repository: repository(), canvas: canvas(number), generation: Generation(1) }
}

fn index() -> DocumentId {
    DocumentId::Index { repository: repository() }
}

fn create(number: usize) -> Command {
    Command::Create { canvas: canvas(number), content: Canvas::default(), author: "ada".to_owned() }
}

fn patch(number: usize, x: u64) -> Command {
    let json = format!(r#"{{"nodes":{{"upsert":[{{"id":"n","x":{x}}}]}}}}"#);
    Command::Patch {
        canvas: canvas(number),
        patch: CanvasPatch::from_json(&json).unwrap(),
        seen: Seen::Unknown,
        author: "ada".to_owned(),
    }
}

/// A process with a disk that never fails.
struct Process {
    synchronizer: CanvasP2PSynchronizer,
    rng: ChaCha8Rng,
    now_ms: u64,
    calls: u64,
    disk: Vec<StoreOperation>,
    published: Vec<(String, Vec<u8>)>,
    loads: Vec<DocumentId>,
}

impl Process {
    fn new(key: u8, session: u64) -> Self {
        let config = Config {
            repository: repository(),
            repositories: vec![repository()],
            topics: TopicSpace::new("mind-git").unwrap(),
            identity: Arc::new(Identity::from_seed([key; 32])),
            session: Session(session),
            instance: session,
            root: None,
            capabilities: Vec::new(),
            live: true,
            auto_sync: true,
            discovery: true,
            max_message_bytes: 1 << 20,
            heartbeat_ms: 10_000,
            max_peers: 100,
            rates: Rates::default(),
            outbound: Outbound::default(),
            max_open_canvases: 100,
            bounds: Bounds::default(),
        };
        Self {
            synchronizer: CanvasP2PSynchronizer::new(config),
            rng: ChaCha8Rng::seed_from_u64(session),
            now_ms: 0,
            calls: 0,
            disk: Vec::new(),
            published: Vec::new(),
            loads: Vec::new(),
        }
    }

    /// A process that begins with these documents of another's disk; nothing is loaded yet but the index.
    fn on(disk: &[StoreOperation], key: u8, session: u64) -> Self {
        let mut process = Self::new(key, session);
        let known = |document: DocumentId| KnownDocument { summary: stored(disk, &document).1, document, actor: None };
        let documents = vec![known(index()), known(document(1))];
        process.input(Input::Restored { documents, index: Some(stored(disk, &index()).0) });
        process
    }

    fn input(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            self.now_ms += 1;
            let now = Now { elapsed_ms: self.now_ms, unix_ms: self.now_ms };
            let output = self.synchronizer.handle(now, &mut self.rng, input);
            self.published.extend(output.publish.into_iter().map(|publish| (publish.topic, publish.payload)));
            self.loads.extend(output.load);
            for (filter, _) in output.subscribe {
                self.input(Input::Subscribed { filter });
            }
            next = output.store.map(|(token, operations)| {
                self.disk.extend(operations);
                Input::Stored(token)
            });
        }
    }

    fn command(&mut self, command: Command) {
        self.calls += 1;
        self.input(Input::Command { call: self.calls, command });
    }

    fn messages(&self, suffix: &str) -> Vec<Message> {
        let sent = self.published.iter().filter(|(topic, _)| topic.ends_with(suffix)).cloned();
        sent.map(|(topic, payload)| Message { topic, payload: payload.into(), retained: false }).collect()
    }
}

/// What a disk has of a document.
fn stored(disk: &[StoreOperation], id: &DocumentId) -> (StoredDocument, Summary) {
    let (mut kept, mut known) = (StoredDocument::default(), Summary::default());
    for operation in disk {
        match operation {
            StoreOperation::Append { document, changes } if document == id => {
                kept.changes.extend(changes.iter().cloned());
            }
            StoreOperation::Replace { document, snapshot } if document == id => {
                kept.changes.clear();
                kept.snapshot = Some(snapshot.clone());
            }
            StoreOperation::Describe { document, summary } if document == id => known = summary.clone(),
            StoreOperation::Acknowledged { document, heads } if document == id => {
                kept.acknowledged = Some(heads.clone());
            }
            _ => {}
        }
    }
    (kept, known)
}

#[test]
fn canvases_whose_index_was_lost_are_kept_and_their_ids_are_not_used_again() {
    let mut process = Process::new(1, 1);
    let heads: Heads = [automerge::ChangeHash([3; 32])].into_iter().collect();
    let summary = Summary { heads, nodes: 1, edges: 0, unsent: true };
    let known = |number| KnownDocument { document: document(number), summary: summary.clone(), actor: None };
    process.input(Input::Restored { documents: (0..200).map(known).collect(), index: None });
    process.command(create(7));
    let deleted = process.disk.iter().any(|operation| matches!(operation, StoreOperation::Delete { .. }));
    assert!(!deleted, "{:?}", process.disk);
    let overwritten = |operation: &StoreOperation| match operation {
        StoreOperation::Append { document: id, .. } | StoreOperation::Describe { document: id, .. } => {
            *id == document(7)
        }
        _ => false,
    };
    assert!(!process.disk.iter().any(overwritten));
}

/// A deletion by somebody who has not seen an edit that is on this disk arrives after the restart.
fn listed_after_deletion(loaded_first: bool) -> usize {
    let mut ada = Process::new(1, 1);
    ada.command(create(1));
    let before = ada.disk.clone();
    ada.command(patch(1, 5));

    let mut ben = Process::on(&before, 2, 2);
    ben.input(Input::Loaded { document: document(1), stored: Some(stored(&before, &document(1)).0) });
    ben.input(Input::Connected { connection: 1 });
    ben.command(Command::Delete { canvas: canvas(1), author: "ben".to_owned() });
    (1..20).for_each(|token| ben.input(Input::Acknowledged(PublishToken(token))));

    let mut again = Process::on(&ada.disk, 1, 3);
    assert_eq!(again.loads, [document(1)], "what the broker may lack is loaded at once");
    let loaded = || Input::Loaded { document: document(1), stored: Some(stored(&ada.disk, &document(1)).0) };
    if loaded_first {
        again.input(loaded());
    }
    again.input(Input::Connected { connection: 1 });
    again.input(Input::Messages(ben.messages("index/changes")));
    if !loaded_first {
        again.input(loaded());
    }
    again.synchronizer.status().canvases
}

#[test]
fn an_edit_that_nobody_has_seen_saves_its_canvas_also_while_that_is_being_loaded() {
    assert_eq!((listed_after_deletion(true), listed_after_deletion(false)), (1, 1));
}

#[test]
fn what_cannot_be_loaded_is_never_said_to_be_at_the_broker() {
    let mut before = Process::new(1, 1);
    before.command(create(1));
    before.command(patch(1, 5));
    let mut again = Process::on(&before.disk, 1, 2);
    again.input(Input::Loaded { document: document(1), stored: None });
    again.input(Input::Connected { connection: 1 });
    again.command(patch(1, 6));
    (1..50).for_each(|token| again.input(Input::Acknowledged(PublishToken(token))));
    again.input(Input::Messages(again.messages("/changes")));
    again.now_ms += 60_000;
    again.input(Input::Timer);
    let (kept, known) = stored(&again.disk, &document(1));
    assert_eq!((kept.changes.len(), kept.acknowledged, known.unsent), (1, None, true));
}
