//! Members that misbehave, and messages that are played again: two peers by hand, message by message.

#![cfg(feature = "drivers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

use std::sync::Arc;

use automerge::ChangeHash;
use mqtt_p2p::canvas::{Canvas, CanvasDocument, CanvasPatch, Seen};
use mqtt_p2p::crypto::Identity;
use mqtt_p2p::drivers::storage::{MemoryStorage, Storage};
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, Heads, Nonce, PeerId, RepositoryName, Session};
use mqtt_p2p::limits::{
    CATCH_UP_FRUITLESS_ATTEMPTS, CATCH_UP_MAX_RETRY_MS, DEFAULT_MAX_MESSAGE_BYTES, HEARD_SAVE_MS, INBOUND_BURST_MS,
    MAX_MESSAGES_PER_SECOND, MAX_THROTTLE_PERIOD_MS, WILL_GRACE_MS,
};
use mqtt_p2p::sync::{
    CanvasP2PSynchronizer, Command, Config, Event, Input, Message, Notice, Outbound, Publish, Rates, SyncError,
};
use mqtt_p2p::time::Now;
use mqtt_p2p::wire::{
    Body, HeadsAnnouncement, Manifest, Priority, Stamp, SyncAnnouncement, SyncRequest, Topic, TopicSpace, Will, peek,
    seal,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const PEER_RATE: u32 = 100;
const TEN_YEARS_MS: u64 = 10 * 365 * 24 * 3_600_000;

fn repository() -> RepositoryName {
    RepositoryName::new("r").unwrap()
}

fn space() -> TopicSpace {
    TopicSpace::new("mind-git").unwrap()
}

/// A process whose broker acknowledges everything at once, and whose storage does not fail.
struct Process {
    key: u8,
    start: u64,
    synchronizer: CanvasP2PSynchronizer,
    rng: ChaCha8Rng,
    now_ms: u64,
    /// How far its clock is ahead.
    ahead_ms: u64,
    wake_at_ms: Option<u64>,
    calls: u64,
    storage: MemoryStorage,
    batches: usize,
    published: Vec<Publish>,
    events: Vec<Event>,
}

impl Process {
    fn new(key: u8) -> Self {
        let mut process = Self::begin(key, 1, MemoryStorage::default());
        process.input(Input::Connected { connection: 1 });
        process
    }

    /// The next process of the same peer, with the same storage, connected.
    fn restart(self) -> Self {
        let mut process = Self::begin(self.key, self.start + 1, self.storage);
        let index = process.storage.load(&DocumentId::Index { repository: repository() }).unwrap();
        let documents = process.storage.documents().unwrap();
        process.input(Input::Restored { documents, index });
        process.input(Input::Connected { connection: 1 });
        process
    }

    fn begin(key: u8, start: u64, storage: MemoryStorage) -> Self {
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
            heartbeat_ms: 3_600_000,
            max_peers: 100,
            rates: Rates { peer: PEER_RATE, ..Rates::default() },
            outbound: Outbound::new(MAX_MESSAGES_PER_SECOND),
            max_open_canvases: 100,
            root: None,
        };
        Self {
            key,
            start,
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
        }
    }

    fn input(&mut self, input: Input) {
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
        self.command(Command::Patch { canvas: canvas(), patch, seen: Seen::Unknown, author: "ada".to_owned() });
    }

    fn hear(&mut self, messages: Vec<Message>) {
        self.input(Input::Messages(messages));
        self.input(Input::Timer);
    }

    fn take_published(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.published).into_iter().map(message).collect()
    }

    /// Lets the time of this one pass.
    fn pass(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        while let Some(at_ms) = self.wake_at_ms.filter(|at_ms| *at_ms <= until_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            self.input(Input::Timer);
        }
        self.now_ms = until_ms;
        self.input(Input::Timer);
    }

    fn saved(&self) -> Option<Vec<u8>> {
        self.synchronizer.save_document(&document())
    }

    fn count(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| fits(event)).count()
    }

    fn throttled(&self) -> usize {
        self.count(|event| matches!(event, Event::PeerThrottled(_)))
    }

    fn left(&self) -> usize {
        self.count(|event| matches!(event, Event::PeerLeft(_)))
    }

    fn rolled_back(&self) -> usize {
        self.count(|event| matches!(event, Event::Error(SyncError::RolledBack { .. })))
    }
}

fn identity(key: u8) -> Identity {
    Identity::from_seed([key; 32])
}

fn peer(key: u8) -> PeerId {
    identity(key).peer()
}

fn message(publish: Publish) -> Message {
    Message { topic: publish.topic, payload: publish.payload.into(), retained: false }
}

/// A message that a peer has signed, of its first start.
fn signed(key: u8, topic: &Topic, number: u16, mut counter: u64, body: &Body) -> Message {
    let session = Session::of(1, number);
    let stamp = Stamp { session, counter: &mut counter, sent_unix_ms: 0, message: Nonce(1), vouches: None };
    let packets = seal(&identity(key), topic, stamp, Priority::Low, body, DEFAULT_MAX_MESSAGE_BYTES).unwrap();
    Message { topic: space().format(topic), payload: packets[0].clone().into(), retained: false }
}

fn canvas() -> CanvasId {
    CanvasId::new("plan").unwrap()
}

fn document() -> DocumentId {
    DocumentId::Canvas { repository: repository(), canvas: canvas(), generation: Generation(1) }
}

fn create() -> Command {
    Command::Create { canvas: canvas(), content: Canvas::default(), author: "ada".to_owned() }
}

/// Lets the time of both pass, and everything that they publish reach the other and themselves at once. Returns it.
fn run(one: &mut Process, other: &mut Process, until_ms: u64) -> Vec<Message> {
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
fn two() -> (Process, Process) {
    let (mut ada, mut ben) = (Process::new(1), Process::new(2));
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
    let mut cleo = Process::new(3);
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

#[test]
fn a_recording_played_ten_times_does_nothing_also_to_a_new_process() {
    let (mut ada, mut ben) = (Process::new(1), Process::new(2));
    ada.command(create());
    let mut recording = run(&mut ada, &mut ben, 5_000);
    for x in 0..20 {
        ada.edit(x);
        let cursor = Command::SetCursor { canvas: canvas(), presence: Some("{}".to_owned()), author: None };
        ada.command(cursor);
        ben.command(Command::Broadcast { message: "1".to_owned() });
        ben.command(Command::DiscoverPeers { timeout_ms: 1 });
        recording.extend(run(&mut ada, &mut ben, 6_000 + x));
    }
    recording.extend(run(&mut ada, &mut ben, 20_000 + HEARD_SAVE_MS));
    assert!(recording.len() > 80 && ben.count(|event| matches!(event, Event::Cursor { .. })) == 20);

    for restarted in [false, true] {
        if restarted {
            ben = ben.restart();
            ben.command(Command::Get { canvas: canvas(), at: None });
            run(&mut ada, &mut ben, 60_000);
        }
        ben.take_published();
        let (events, saved, batches) = (ben.events.len(), ben.saved(), ben.batches);
        for time in 0..10 {
            // Whoever publishes can also claim that the broker had kept a message, of whatever kind.
            let claims =
                |message: &Message| time % 2 == 1 && !peek(&message.payload).is_ok_and(|header| header.kind.is_kept());
            let claimed = |message: Message| Message { retained: message.retained || claims(&message), ..message };
            ben.hear(recording.iter().cloned().map(claimed).collect());
        }
        assert_eq!(ben.events[events..], [], "restarted: {restarted}");
        assert_eq!(ben.take_published().len(), 0, "restarted: {restarted}");
        assert!(ben.saved() == saved && ben.batches == batches, "restarted: {restarted}");
    }
    // What is sent from now on is heard.
    ada.command(Command::Broadcast { message: "2".to_owned() });
    ben.hear(ada.take_published());
    assert_eq!(ben.count(|event| matches!(event, Event::Message { .. })), 1);
}

#[test]
fn a_members_will_published_by_another_does_not_take_it_away() {
    let (mut ada, mut ben) = two();
    let topic = Topic::Will { peer: peer(1) };
    let will = |connection| Body::Will(Will { instance: 1 << 8 | 1, connection });
    let (old, present) = (signed(1, &topic, u16::MAX, 0, &will(0)), signed(1, &topic, u16::MAX, 1, &will(1)));
    // Signed by another it is refused, and one of an earlier connection is passed over.
    let own = Topic::Will { peer: peer(3) };
    let forged = Message { topic: space().format(&topic), ..signed(3, &own, u16::MAX, 1, &will(1)) };
    for message in [forged, old] {
        ada.hear(vec![message.clone()]);
        ben.hear(vec![message]);
    }
    run(&mut ada, &mut ben, 5_000 + 2 * WILL_GRACE_MS);
    // The present one, by whoever got hold of it: she is there, and says so.
    ada.hear(vec![present.clone()]);
    ben.hear(vec![present.clone()]);
    run(&mut ada, &mut ben, 5_000 + 4 * WILL_GRACE_MS);
    assert_eq!(ben.left(), 0);
    // Played again it is old.
    ben.hear(vec![present]);
    ben.pass(2 * WILL_GRACE_MS);
    assert_eq!(ben.left(), 0);
}

#[test]
fn a_will_without_a_word_of_its_peer_takes_it_away() {
    let (_, mut ben) = two();
    let topic = Topic::Will { peer: peer(1) };
    let will = Body::Will(Will { instance: 1 << 8 | 1, connection: 1 });
    ben.hear(vec![signed(1, &topic, u16::MAX, 1, &will)]);
    assert_eq!(ben.left(), 0);
    ben.pass(WILL_GRACE_MS);
    assert_eq!(ben.left(), 1);
}

#[test]
fn clocks_may_be_ten_years_apart() {
    let (mut ada, mut ben) = (Process::new(1), Process::new(2));
    ben.ahead_ms = TEN_YEARS_MS;
    ada.command(create());
    run(&mut ada, &mut ben, 5_000);
    ada.edit(1);
    run(&mut ada, &mut ben, 6_000);
    ben.edit(2);
    ben.command(Command::Broadcast { message: "1".to_owned() });
    run(&mut ada, &mut ben, 7_000);
    assert!(ada.saved() == ben.saved());
    assert_eq!(ada.count(|event| matches!(event, Event::Message { .. })), 1);
    // A process that begins after its clock was put right is no older one.
    let mut ben = ben.restart();
    run(&mut ada, &mut ben, 8_000);
    ben.command(Command::Broadcast { message: "2".to_owned() });
    run(&mut ada, &mut ben, 9_000);
    assert_eq!(ada.count(|event| matches!(event, Event::Message { .. })), 2);
    assert_eq!(ada.left() + ben.left(), 0);
}

#[test]
fn a_snapshot_replaced_by_an_older_one_loses_nothing_and_is_told_of() {
    let (_, mut ben) = two();
    let topic = Topic::Manifest { document: document(), writer: peer(3) };
    let manifest = |byte| {
        let heads: Heads = [ChangeHash([byte; 32])].into_iter().collect();
        Body::Manifest(Manifest { heads, parts: Vec::new(), total_bytes: 0 })
    };
    let retained = |counter, byte| Message { retained: true, ..signed(3, &topic, 0, counter, &manifest(byte)) };
    let saved = ben.saved();
    ben.hear(vec![retained(5, 1)]);
    assert_eq!(ben.rolled_back(), 0);
    ben.pass(2 * HEARD_SAVE_MS);
    let mut ben = ben.restart();
    ben.hear(vec![retained(5, 1)]);
    assert_eq!(ben.rolled_back(), 0, "it is what it was");
    for counter in [4, 3, 4] {
        ben.hear(vec![retained(counter, 2)]);
    }
    assert_eq!(ben.rolled_back(), 1, "once");
    ben.command(Command::Get { canvas: canvas(), at: None });
    assert!(ben.saved() == saved);
}

#[test]
fn what_was_announced_and_is_not_to_be_had_is_told_of_once() {
    let (_, mut ben) = two();
    let heads: Heads = [ChangeHash([9; 32])].into_iter().collect();
    let announcement = Body::HeadsAnnouncement(HeadsAnnouncement { documents: vec![(document(), heads)] });
    let saved = ben.saved();
    for counter in 10..12 {
        ben.hear(vec![signed(1, &Topic::Sync(repository()), 0, counter, &announcement)]);
        ben.pass(u64::from(CATCH_UP_FRUITLESS_ATTEMPTS) * CATCH_UP_MAX_RETRY_MS);
        assert_eq!(ben.rolled_back(), 1);
    }
    assert!(ben.saved() == saved);
}

/// Asks for a document, of which the requester says that it has nothing.
fn ask(key: u8, request: u64, counter: u64) -> Message {
    let body = SyncRequest { request: Nonce(request), document: document(), heads: Heads::default(), have: Vec::new() };
    signed(key, &Topic::Sync(repository()), 1, counter, &Body::SyncRequest(body))
}

/// To whom answers were published.
fn answered(process: &mut Process) -> Vec<String> {
    let inboxes = [98, 99].map(|key| space().format(&Topic::Inbox { repository: repository(), peer: peer(key) }));
    process.take_published().into_iter().map(|message| message.topic).filter(|topic| inboxes.contains(topic)).collect()
}

#[test]
fn an_announced_answer_that_never_comes_is_relied_on_no_longer() {
    let (mut ada, _ben) = two();
    ada.edit(1);
    let saved = CanvasDocument::load(&ada.saved().unwrap()).unwrap();
    let heads = saved.replica().heads();
    let mut relied_on = 0;
    for round in 0..40 {
        answered(&mut ada);
        ada.hear(vec![ask(99, round, round)]);
        if !answered(&mut ada).is_empty() {
            // Ada was the first to answer.
            continue;
        }
        let announcement = SyncAnnouncement { request: Nonce(round), heads: heads.clone() };
        ada.hear(vec![signed(2, &Topic::Sync(repository()), 9, round, &Body::SyncAnnouncement(announcement))]);
        ada.pass(2_000);
        if !answered(&mut ada).is_empty() {
            assert!((1..=3).contains(&relied_on), "{relied_on}");
            return;
        }
        relied_on += 1;
    }
    panic!("who announces that it answers, and does not, keeps others from it: {relied_on} times");
}

#[test]
fn a_request_under_anothers_number_does_not_take_its_place() {
    let (mut ada, _ben) = two();
    for round in 0..40 {
        answered(&mut ada);
        ada.hear(vec![ask(99, round, round)]);
        if !answered(&mut ada).is_empty() {
            continue;
        }
        ada.hear(vec![ask(98, round, round)]);
        ada.pass(2_000);
        let inbox = space().format(&Topic::Inbox { repository: repository(), peer: peer(99) });
        assert_eq!(answered(&mut ada), [inbox]);
        return;
    }
    panic!("Ada was always the first to answer");
}
