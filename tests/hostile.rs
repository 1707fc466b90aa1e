//! Members that misbehave, and messages that are played again: two peers by hand, message by message.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

use std::sync::Arc;

use mqtt_p2p::canvas::{Canvas, CanvasPatch};
use mqtt_p2p::crypto::Identity;
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, RepositoryName, Session};
use mqtt_p2p::limits::{INBOUND_BURST_MS, MAX_MESSAGES_PER_SECOND, MAX_THROTTLE_PERIOD_MS};
use mqtt_p2p::sync::{CanvasP2PSynchronizer, Command, Config, Event, Input, Message, Notice, Outbound, Publish, Rates};
use mqtt_p2p::time::Now;
use mqtt_p2p::wire::TopicSpace;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const PEER_RATE: u32 = 100;

/// A process whose broker acknowledges everything at once.
struct Process {
    synchronizer: CanvasP2PSynchronizer,
    rng: ChaCha8Rng,
    now_ms: u64,
    wake_at_ms: Option<u64>,
    calls: u64,
    published: Vec<Publish>,
    events: Vec<Event>,
}

impl Process {
    fn new(key: u8, session: u64) -> Self {
        let repository = RepositoryName::new("r").unwrap();
        let config = Config {
            repository: repository.clone(),
            repositories: vec![repository],
            topics: TopicSpace::new("mind-git").unwrap(),
            identity: Arc::new(Identity::from_seed([key; 32])),
            session: Session(session),
            instance: session,
            capabilities: Vec::new(),
            live: true,
            auto_sync: true,
            discovery: true,
            max_message_bytes: 1 << 20,
            heartbeat_ms: 1_000_000,
            max_peers: 100,
            rates: Rates { peer: PEER_RATE, ..Rates::default() },
            outbound: Outbound::new(MAX_MESSAGES_PER_SECOND),
            max_open_canvases: 100,
            root: None,
        };
        let mut process = Self {
            synchronizer: CanvasP2PSynchronizer::new(config),
            rng: ChaCha8Rng::seed_from_u64(session),
            now_ms: 0,
            wake_at_ms: None,
            calls: 0,
            published: Vec::new(),
            events: Vec::new(),
        };
        process.input(Input::Connected { connection: 1 });
        process
    }

    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let now = Now { elapsed_ms: self.now_ms, unix_ms: self.now_ms };
            let output = self.synchronizer.handle(now, &mut self.rng, input);
            inputs.extend(output.subscribe.into_iter().map(|(filter, _)| Input::Subscribed { filter }));
            inputs.extend(output.store.map(|(token, _)| Input::Stored(token)));
            inputs.extend(output.publish.iter().filter_map(|publish| publish.token).map(Input::Acknowledged));
            self.published.extend(output.publish);
            let event = |notice| if let Notice::Event(event) = notice { Some(event) } else { None };
            self.events.extend(output.notices.into_iter().filter_map(event));
            self.wake_at_ms = output.wake_at_ms;
        }
    }

    fn command(&mut self, command: Command) {
        self.calls += 1;
        self.input(Input::Command { call: self.calls, command });
        // The second half of an edit is due at once.
        self.input(Input::Timer);
    }

    fn edit(&mut self, x: u64) {
        let json = format!(r#"{{"nodes":{{"upsert":[{{"id":"n","x":{x}}}]}}}}"#);
        let patch = CanvasPatch::from_json(&json).unwrap();
        self.command(Command::Patch { canvas: canvas(), patch, author: "ada".to_owned() });
    }

    fn hear(&mut self, messages: Vec<Message>) {
        self.input(Input::Messages(messages));
    }

    fn take_published(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.published).into_iter().map(message).collect()
    }

    fn saved(&self) -> Option<Vec<u8>> {
        self.synchronizer.save_document(&document())
    }

    fn throttled(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::PeerThrottled(_))).count()
    }
}

fn message(publish: Publish) -> Message {
    Message { topic: publish.topic, payload: publish.payload.into(), retained: false }
}

fn canvas() -> CanvasId {
    CanvasId::new("plan").unwrap()
}

fn document() -> DocumentId {
    let repository = RepositoryName::new("r").unwrap();
    DocumentId::Canvas { repository, canvas: canvas(), generation: Generation(1) }
}

fn create() -> Command {
    Command::Create { canvas: canvas(), content: Canvas::default(), author: "ada".to_owned() }
}

/// Lets the time of both pass, and everything that they publish reach the other at once.
fn run(one: &mut Process, other: &mut Process, until_ms: u64) {
    loop {
        loop {
            let (from_one, from_other) = (one.take_published(), other.take_published());
            if from_one.is_empty() && from_other.is_empty() {
                break;
            }
            one.hear(from_other);
            other.hear(from_one);
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
        process.input(Input::Timer);
    }
}

/// Two processes that hold one canvas.
fn two() -> (Process, Process) {
    let (mut ada, mut ben) = (Process::new(1, 1), Process::new(2, 2));
    ada.command(create());
    run(&mut ada, &mut ben, 5_000);
    assert!(ada.saved().is_some() && ada.saved() == ben.saved());
    (ada, ben)
}

#[test]
fn a_flood_is_cut_off_told_of_once_and_caught_up_with() {
    let (mut ada, mut ben) = two();
    let burst = PEER_RATE * INBOUND_BURST_MS / 1000;
    let before = ben.synchronizer.status().statistics;
    for x in 0..u64::from(4 * burst) {
        ada.edit(x);
    }
    let flood = ada.take_published();
    assert!(flood.len() >= 4 * burst as usize, "each edit is a message");
    for message in flood {
        ben.hear(vec![message]);
    }
    let after = ben.synchronizer.status().statistics;
    let taken = after.remote_changes - before.remote_changes;
    assert!((1..=u64::from(burst)).contains(&taken), "{taken}");
    assert_eq!(ben.throttled(), 1);
    assert_eq!(after.requests, before.requests, "nothing is asked for while it lasts");

    run(&mut ada, &mut ben, 5_000 + 4 * MAX_THROTTLE_PERIOD_MS);
    assert!(ada.saved() == ben.saved(), "all of it came in the end");
    assert_eq!(ben.throttled(), 1);
    let requests = ben.synchronizer.status().statistics.requests - after.requests;
    assert!((1..=4).contains(&requests), "{requests}");
}

#[test]
fn who_floods_does_not_hold_up_the_others() {
    let (mut ada, mut ben) = two();
    let mut cleo = Process::new(3, 3);
    run(&mut ada, &mut cleo, 10_000);
    cleo.edit(1);
    let edit = cleo.take_published();
    for x in 0..u64::from(4 * PEER_RATE * INBOUND_BURST_MS / 1000) {
        ada.edit(x);
    }
    ben.hear(ada.take_published());
    assert_eq!(ben.throttled(), 1);
    let before = ben.synchronizer.status().statistics.remote_changes;
    ben.hear(edit);
    ben.input(Input::Timer);
    assert!(ben.synchronizer.status().statistics.remote_changes > before);
}
