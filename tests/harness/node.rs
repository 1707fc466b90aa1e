//! One synchroniser, with what its driver keeps for it and what its application has learned from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use automerge::{Change, ChangeHash};
use mqtt_p2p::canvas::{Canvas, Version};
use mqtt_p2p::crypto::Identity;
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, RepositoryName, Session};
use mqtt_p2p::sync::{
    CanvasEvent, CanvasEventKind, CanvasP2PSynchronizer, Config, Event, Input, Notice, Output, StoreOperation,
    StoreToken, SyncError,
};
use mqtt_p2p::time::Now;
use mqtt_p2p::wire::TopicSpace;
use rand_chacha::ChaCha8Rng;

/// What a whole canvas looked like when the application last got it.
#[derive(Clone)]
pub struct Held {
    pub version: Version,
    pub canvas: Canvas,
}

pub struct Node {
    pub repository: RepositoryName,
    /// Another repository, into which this one's canvases are shared now and then.
    pub shares_with: Option<RepositoryName>,
    pub synchronizer: CanvasP2PSynchronizer,
    pub connection: Option<u64>,
    pub connects: u64,
    pub next_call: u64,
    pub wake_at_ms: Option<u64>,
    /// Own changes: these must be everywhere in the end.
    pub made: BTreeSet<(DocumentId, ChangeHash)>,
    /// What the application knows from events alone.
    pub mirrors: BTreeMap<(CanvasId, Generation), Canvas>,
    /// Canvases as the application read them some time ago.
    pub held: BTreeMap<CanvasId, Held>,
    /// Outcomes of all calls.
    pub outcomes: Vec<(u64, Result<mqtt_p2p::sync::Reply, SyncError>)>,
    /// The call that reads, and what it reads.
    pub reading: BTreeMap<u64, CanvasId>,
}

impl Node {
    pub fn new(repository: &str, key: u8, session: u64) -> Self {
        let name = RepositoryName::new(repository).unwrap();
        let synchronizer = CanvasP2PSynchronizer::new(Config {
            repository: name.clone(),
            repositories: vec![name.clone()],
            topics: TopicSpace::new("mind-git").unwrap(),
            identity: Arc::new(Identity::from_seed([key; 32])),
            session: Session(session),
            instance: session,
            capabilities: Vec::new(),
            live: true,
            auto_sync: true,
            discovery: true,
            max_message_bytes: 16 << 10,
            heartbeat_ms: 10_000,
            max_peers: 100,
        });
        Self {
            repository: name,
            shares_with: None,
            synchronizer,
            connection: None,
            connects: 0,
            next_call: 0,
            wake_at_ms: None,
            made: BTreeSet::new(),
            mirrors: BTreeMap::new(),
            held: BTreeMap::new(),
            outcomes: Vec::new(),
            reading: BTreeMap::new(),
        }
    }

    /// One step, with storage that never fails; returns what goes to the network. The caller says whether changes that
    /// are stored were made here.
    pub fn handle(&mut self, now: Now, rng: &mut ChaCha8Rng, input: Input) -> Output {
        let local = matches!(input, Input::Command { .. });
        let mut output = self.synchronizer.handle(now, rng, input);
        if let Some((token, operations)) = output.store.take() {
            if local {
                self.note_made(&operations);
            }
            let mut stored = self.stored(now, rng, token);
            output.notices.append(&mut stored.notices);
            output.wake_at_ms = stored.wake_at_ms;
        }
        assert!(output.load.is_empty(), "a document was damaged");
        for notice in std::mem::take(&mut output.notices) {
            self.learn(notice);
        }
        self.wake_at_ms = output.wake_at_ms;
        output
    }

    fn stored(&mut self, now: Now, rng: &mut ChaCha8Rng, token: StoreToken) -> Output {
        self.synchronizer.handle(now, rng, Input::Stored(token))
    }

    fn note_made(&mut self, operations: &[StoreOperation]) {
        for operation in operations {
            if let StoreOperation::Append { document, changes } = operation {
                for bytes in changes {
                    let change = Change::from_bytes(bytes.clone()).unwrap();
                    self.made.insert((document.clone(), change.hash()));
                }
            }
        }
    }

    fn learn(&mut self, notice: Notice) {
        match notice {
            Notice::Outcome { call, result } => {
                if let Some(canvas) = self.reading.remove(&call)
                    && let Ok(mqtt_p2p::sync::Reply::Canvas { version, json }) = &result
                {
                    let read = Canvas::from_json(json).unwrap();
                    self.held.insert(canvas, Held { version: version.clone(), canvas: read });
                }
                self.outcomes.push((call, result));
            }
            Notice::Event(Event::Canvas(event)) => self.mirror(&event),
            // A broker that loses messages also loses echoes.
            Notice::Event(Event::Error(SyncError::BrokerRejected { .. })) => {}
            Notice::Event(Event::Error(error)) => panic!("an error nobody asked for: {error}"),
            Notice::Event(Event::Quarantined { hash, reason, .. }) => panic!("{hash} was refused: {reason}"),
            Notice::Event(_) => {}
        }
    }

    fn mirror(&mut self, event: &CanvasEvent) {
        let key = (event.canvas.clone(), event.generation);
        match event.kind {
            CanvasEventKind::Created => {
                let mut canvas = Canvas::default();
                event.changes.apply_to(&mut canvas);
                let before = self.mirrors.insert(key, canvas);
                assert!(before.is_none(), "{} was reported as new twice", event.canvas);
            }
            CanvasEventKind::Updated => {
                let mirror = self.mirrors.get_mut(&key).expect("an update of a canvas that was never reported");
                event.changes.apply_to(mirror);
            }
            CanvasEventKind::Deleted => {
                self.mirrors.remove(&key);
                self.held.remove(&event.canvas);
            }
            CanvasEventKind::Shared => {}
        }
    }
}
