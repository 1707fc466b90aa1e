//! Synchronisers driven by hand, message by message, with a broker that acknowledges everything at once.

#![allow(dead_code, unreachable_pub)] // A part of each test binary, and each uses a part of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

use std::sync::Arc;

use mqtt_p2p::canvas::{Canvas, CanvasPatch, Seen};
use mqtt_p2p::crypto::Identity;
use mqtt_p2p::drivers::storage::{MemoryStorage, Storage};
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, Nonce, PeerId, RepositoryName, Session};
use mqtt_p2p::limits::{DEFAULT_MAX_MESSAGE_BYTES, MAX_MESSAGES_PER_SECOND};
use mqtt_p2p::sync::{
    Bounds, CanvasP2PSynchronizer, Command, Config, Event, Input, Message, Notice, Outbound, Publish, Rates, Reply,
    SyncError,
};
use mqtt_p2p::time::Now;
use mqtt_p2p::wire::{Body, Priority, Stamp, Topic, TopicSpace, seal};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub const PEER_RATE: u32 = 100;

pub fn repository() -> RepositoryName {
    RepositoryName::new("r").unwrap()
}

pub fn space() -> TopicSpace {
    TopicSpace::new("mind-git").unwrap()
}

/// A process whose broker acknowledges everything at once, and whose storage does not fail.
pub struct Process {
    pub key: u8,
    pub start: u64,
    pub bounds: Bounds,
    pub synchronizer: CanvasP2PSynchronizer,
    pub rng: ChaCha8Rng,
    pub now_ms: u64,
    /// How far its clock is ahead.
    pub ahead_ms: u64,
    pub wake_at_ms: Option<u64>,
    pub calls: u64,
    pub storage: MemoryStorage,
    pub batches: usize,
    pub published: Vec<Publish>,
    pub events: Vec<Event>,
    /// How calls ended.
    pub outcomes: Vec<(u64, Result<Reply, SyncError>)>,
}

impl Process {
    pub fn new(key: u8) -> Self {
        Self::with_bounds(key, Bounds::default())
    }

    /// One that may grow to so much.
    pub fn with_bounds(key: u8, bounds: Bounds) -> Self {
        let mut process = Self::begin(key, 1, bounds, MemoryStorage::default());
        process.input(Input::Connected { connection: 1 });
        process
    }

    /// The next process of the same peer, with the same storage, connected.
    pub fn restart(self) -> Self {
        let mut process = Self::begin(self.key, self.start + 1, self.bounds, self.storage);
        let index = process.storage.load(&DocumentId::Index { repository: repository() }).unwrap();
        let documents = process.storage.documents().unwrap();
        process.input(Input::Restored { documents, index });
        process.input(Input::Connected { connection: 1 });
        process
    }

    pub fn begin(key: u8, start: u64, bounds: Bounds, storage: MemoryStorage) -> Self {
        Self::begin_with(key, start, bounds, storage, 3_600_000)
    }

    /// One that says so often that it is there, connected.
    pub fn with_heartbeat(key: u8, heartbeat_ms: u64) -> Self {
        let mut process = Self::begin_with(key, 1, Bounds::default(), MemoryStorage::default(), heartbeat_ms);
        process.input(Input::Connected { connection: 1 });
        process
    }

    fn begin_with(key: u8, start: u64, bounds: Bounds, storage: MemoryStorage, heartbeat_ms: u64) -> Self {
        let config = Config {
            repository: repository(),
            repositories: vec![repository()],
            topics: space(),
            identity: Arc::new(identity(key)),
            session: Session::of(start, 0),
            instance: u64::from(key) << 8 | start,
            capabilities: Vec::new(),
            live: true,
            auto_sync: true,
            discovery: true,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            heartbeat_ms,
            max_peers: 100,
            rates: Rates { peer: PEER_RATE, ..Rates::default() },
            outbound: Outbound::new(MAX_MESSAGES_PER_SECOND),
            max_open_canvases: 100,
            bounds,
            root: None,
        };
        Self {
            key,
            start,
            bounds,
            synchronizer: CanvasP2PSynchronizer::new(config),
            rng: ChaCha8Rng::seed_from_u64(u64::from(key) << 8 | start),
            now_ms: 0,
            ahead_ms: 0,
            wake_at_ms: None,
            calls: 0,
            storage,
            batches: 0,
            published: Vec::new(),
            events: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    pub fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let now = Now { elapsed_ms: self.now_ms, unix_ms: self.now_ms + self.ahead_ms };
            let output = self.synchronizer.handle(now, &mut self.rng, input);
            inputs.extend(output.subscribe.into_iter().map(|(filter, _)| Input::Subscribed { filter }));
            if let Some((token, operations)) = output.store {
                self.batches += 1;
                self.storage.apply(operations).unwrap();
                inputs.push(Input::Stored(token));
            }
            for document in output.load {
                let stored = self.storage.load(&document).unwrap();
                inputs.push(Input::Loaded { document, stored });
            }
            inputs.extend(output.publish.iter().filter_map(|publish| publish.token).map(Input::Acknowledged));
            self.published.extend(output.publish);
            for notice in output.notices {
                match notice {
                    Notice::Event(event) => self.events.push(event),
                    Notice::Outcome { call, result } => self.outcomes.push((call, result)),
                }
            }
            self.wake_at_ms = output.wake_at_ms;
        }
    }

    pub fn command(&mut self, command: Command) {
        self.calls += 1;
        self.input(Input::Command { call: self.calls, command });
        // What is due at once.
        self.input(Input::Timer);
    }

    pub fn edit(&mut self, x: u64) {
        let json = format!(r#"{{"nodes":{{"upsert":[{{"id":"n","x":{x}}}]}}}}"#);
        let patch = CanvasPatch::from_json(&json).unwrap();
        self.command(Command::Patch { canvas: canvas(), patch, seen: Seen::Unknown, author: "ada".to_owned() });
    }

    pub fn hear(&mut self, messages: Vec<Message>) {
        self.input(Input::Messages(messages));
        self.input(Input::Timer);
    }

    pub fn take_published(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.published).into_iter().map(message).collect()
    }

    /// Lets the time of this one pass.
    pub fn pass(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        while let Some(at_ms) = self.wake_at_ms.filter(|at_ms| *at_ms <= until_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            self.input(Input::Timer);
        }
        self.now_ms = until_ms;
        self.input(Input::Timer);
    }

    pub fn saved(&self) -> Option<Vec<u8>> {
        self.synchronizer.save_document(&document())
    }

    pub fn count(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| fits(event)).count()
    }

    pub fn throttled(&self) -> usize {
        self.count(|event| matches!(event, Event::PeerThrottled(_)))
    }

    pub fn left(&self) -> usize {
        self.count(|event| matches!(event, Event::PeerLeft(_)))
    }

    pub fn rolled_back(&self) -> usize {
        self.count(|event| matches!(event, Event::Error(SyncError::RolledBack { .. })))
    }
}

pub fn identity(key: u8) -> Identity {
    Identity::from_seed([key; 32])
}

pub fn peer(key: u8) -> PeerId {
    identity(key).peer()
}

pub fn message(publish: Publish) -> Message {
    Message { topic: publish.topic, payload: publish.payload.into(), retained: false }
}

/// A message that a peer has signed, of its first start.
pub fn signed(key: u8, topic: &Topic, number: u16, mut counter: u64, body: &Body) -> Message {
    let session = Session::of(1, number);
    let stamp = Stamp { session, counter: &mut counter, sent_unix_ms: 0, message: Nonce(1), vouches: None };
    let packets = seal(&identity(key), topic, stamp, Priority::Low, body, DEFAULT_MAX_MESSAGE_BYTES).unwrap();
    Message { topic: space().format(topic), payload: packets[0].clone().into(), retained: false }
}

pub fn canvas() -> CanvasId {
    CanvasId::new("plan").unwrap()
}

pub fn document() -> DocumentId {
    DocumentId::Canvas { repository: repository(), canvas: canvas(), generation: Generation(1) }
}

pub fn create() -> Command {
    Command::Create { canvas: canvas(), content: Canvas::default(), author: "ada".to_owned() }
}

/// Lets the time of both pass, and everything that they publish reach the other and themselves at once. Returns it.
pub fn run(one: &mut Process, other: &mut Process, until_ms: u64) -> Vec<Message> {
    let mut recording = Vec::new();
    loop {
        loop {
            let mut sent = one.take_published();
            sent.extend(other.take_published());
            if sent.is_empty() {
                break;
            }
            one.hear(sent.clone());
            other.hear(sent.clone());
            recording.extend(sent);
        }
        let next = [&*one, &*other].iter().filter_map(|process| process.wake_at_ms).min();
        let Some(at_ms) = next.filter(|at_ms| *at_ms <= until_ms) else { break };
        for process in [&mut *one, &mut *other] {
            process.now_ms = process.now_ms.max(at_ms);
            process.input(Input::Timer);
        }
    }
    for process in [one, other] {
        process.now_ms = until_ms;
    }
    recording
}

/// Two processes that hold one canvas.
pub fn two() -> (Process, Process) {
    let (mut ada, mut ben) = (Process::new(1), Process::new(2));
    ada.command(create());
    run(&mut ada, &mut ben, 5_000);
    assert!(ada.saved().is_some() && ada.saved() == ben.saved());
    (ada, ben)
}
