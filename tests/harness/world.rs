//! The queue of everything that will happen, the clock, the connections, and the processes.

use std::collections::{BTreeMap, BTreeSet};

use mqtt_p2p::ids::{DocumentId, RepositoryName};
use mqtt_p2p::sync::{Command, Input, Notice, Reply};
use mqtt_p2p::time::Now;
use mqtt_p2p::wire::TopicSpace;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::broker::{Broker, Delivery, Faults, chance};
use super::effects::{Effect, Packet, effects};
use super::happening::{Arriving, Happening, Link};
use super::node::{Edit, Node, Process};
use super::tally::Tally;
use super::workload;

/// 2026-01-01, so that times look real.
const EPOCH_MS: u64 = 1_767_225_600_000;
/// How long a process waits for its `disconnect()` before it is ended all the same.
const LEAVE_MS: u64 = 5_000;

pub struct World {
    pub nodes: Vec<Node>,
    pub topics: TopicSpace,
    pub tally: Tally,
    /// All changes that anyone ever made.
    pub ever: BTreeSet<Edit>,
    queue: BTreeMap<(u64, u64), Happening>,
    sequence: u64,
    now_ms: u64,
    pub(super) broker: Broker,
    pub(super) faults: Faults,
    pub(super) rng: ChaCha8Rng,
    /// Whether applications act and things break.
    pub(super) busy: bool,
}

impl World {
    /// Nodes that connect at about the same time.
    pub(super) fn on(topics: TopicSpace, seed: u64, repositories: &[&str]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let faults = Faults::random(&mut rng);
        let max_open = if seed % 3 == 1 { 1 } else { 256 };
        let new = |(key, name): (u8, &&str)| Node::new(name, key, rng.next_u64(), max_open).with_topics(topics.clone());
        let mut nodes: Vec<Node> = (1_u8..).zip(repositories).map(new).collect();
        for node in &mut nodes {
            let other = repositories.iter().find(|name| **name != node.repository.as_str());
            node.shares_with = other.map(|name| RepositoryName::new(name).unwrap());
        }
        let mut world = Self {
            nodes,
            topics,
            tally: Tally::default(),
            ever: BTreeSet::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            now_ms: 0,
            broker: Broker::default(),
            faults,
            rng,
            busy: true,
        };
        for node in 0..world.nodes.len() {
            let at = world.rng.next_u64() % 2_000;
            world.schedule(at, Happening::Connect { node, incarnation: 0 });
            world.schedule(at / 2, Happening::Act { node, incarnation: 0 });
        }
        world
    }

    /// Applications act and everything breaks, for so many events.
    pub fn run_busy(&mut self, events: u64) {
        let until = self.tally.events + events;
        while self.tally.events < until {
            self.advance();
        }
    }

    /// Nothing breaks any more and nobody edits; runs for so long in virtual time.
    pub fn run_quiet(&mut self, duration_ms: u64) {
        self.busy = false;
        self.faults = Faults::NONE;
        for node in 0..self.nodes.len() {
            self.nodes[node].full_until_ms = 0;
            let incarnation = self.nodes[node].incarnation;
            if let Process::Leaving(_) = self.nodes[node].process {
                self.die(node);
            }
            if self.nodes[node].process == Process::Down {
                self.start(node);
            } else if self.nodes[node].connection.is_none() {
                self.schedule(1, Happening::Connect { node, incarnation });
            }
        }
        self.run_for(duration_ms);
        self.tally.actors_reused = self.nodes.iter().map(|node| node.actors_reused).sum();
        self.tally.acknowledged = self.nodes.iter().map(|node| node.acknowledged).sum();
    }

    /// Lets so much virtual time pass.
    pub fn run_for(&mut self, duration_ms: u64) {
        let until_ms = self.now_ms + duration_ms;
        while self.queue.first_key_value().is_some_and(|((at_ms, _), _)| *at_ms <= until_ms) {
            self.advance();
        }
        self.now_ms = until_ms;
    }

    /// Gives a node a command now.
    pub fn command(&mut self, node: usize, command: Command) -> u64 {
        let application = &mut self.nodes[node].application;
        let call = application.next_call;
        application.next_call += 1;
        self.tally.edits += u64::from(matches!(
            command,
            Command::Create { .. } | Command::Update { .. } | Command::Patch { .. } | Command::Delete { .. }
        ));
        self.input(node, Input::Command { call, command });
        call
    }

    pub(super) fn schedule(&mut self, after_ms: u64, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now_ms + after_ms, self.sequence), happening);
    }

    pub(super) fn random(&mut self, below: u64) -> u64 {
        self.rng.next_u64() % below
    }

    fn advance(&mut self) {
        let Some(((at_ms, _), happening)) = self.queue.pop_first() else {
            return;
        };
        self.now_ms = self.now_ms.max(at_ms);
        match happening {
            Happening::AtBroker { node, connection, packet } => {
                if self.is_connected(node, connection) {
                    self.at_broker(node, connection, packet);
                }
            }
            Happening::AtNode { node, connection, input } => {
                if self.is_connected(node, connection) {
                    let input = self.arriving(input);
                    self.input(node, input);
                }
            }
            Happening::Timer { node, incarnation } => {
                let due = self.nodes[node].wake_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms);
                if due && self.is_running(node, incarnation) {
                    self.input(node, Input::Timer);
                }
            }
            Happening::Act { node, incarnation } if self.is_running(node, incarnation) => self.act(node),
            Happening::Connect { node, incarnation } if self.is_running(node, incarnation) => self.connect(node),
            Happening::Crash { node, incarnation } if self.is_running(node, incarnation) => self.crash(node),
            Happening::DiskDone { node, incarnation, token } if self.is_running(node, incarnation) => {
                if self.nodes[node].storing.as_ref().is_some_and(|(under_way, _)| *under_way == token) {
                    self.disk_done(node);
                }
            }
            Happening::DiskRead { node, incarnation } if self.is_running(node, incarnation) => self.disk_read(node),
            Happening::Start { node, incarnation } if self.nodes[node].incarnation == incarnation => self.start(node),
            Happening::Disconnect { node } => self.disconnect(node),
            Happening::BrokerRestart => self.restart_broker(),
            // It was meant for a process that is gone.
            Happening::Act { .. }
            | Happening::Connect { .. }
            | Happening::Crash { .. }
            | Happening::DiskDone { .. }
            | Happening::DiskRead { .. }
            | Happening::Start { .. } => {}
        }
    }

    fn is_running(&self, node: usize, incarnation: u64) -> bool {
        self.nodes[node].incarnation == incarnation && self.nodes[node].process != Process::Down
    }

    fn is_connected(&self, node: usize, (incarnation, connection): Link) -> bool {
        self.is_running(node, incarnation) && self.nodes[node].connection == Some(connection)
    }

    fn link(&self, node: usize) -> Option<Link> {
        self.nodes[node].connection.map(|connection| (self.nodes[node].incarnation, connection))
    }

    // ---- what applications do, and what breaks --------------------------------------------------------------------

    fn act(&mut self, node: usize) {
        if !self.busy || self.nodes[node].process != Process::Running {
            return;
        }
        let incarnation = self.nodes[node].incarnation;
        if let Some(command) = workload::command(&mut self.nodes[node], &mut self.rng) {
            self.command(node, command);
        }
        let pause_ms = self.random(300);
        self.schedule(pause_ms, Happening::Act { node, incarnation });
        if chance(&mut self.rng, 10) {
            self.schedule(1, Happening::Disconnect { node });
        }
        if chance(&mut self.rng, 1) {
            self.schedule(1, Happening::BrokerRestart);
        }
        if chance(&mut self.rng, 5) {
            let length_ms = self.random(3_000);
            self.nodes[node].full_until_ms = self.now_ms + length_ms;
        }
        if chance(&mut self.rng, 5) && self.is_running(node, incarnation) {
            self.leave(node);
        }
    }

    pub(super) fn connect(&mut self, node: usize) {
        if self.nodes[node].connection.is_some() {
            return;
        }
        self.nodes[node].connects += 1;
        let connection = self.nodes[node].connects;
        self.nodes[node].connection = Some(connection);
        self.broker.connect(node);
        self.input(node, Input::Connected { connection });
    }

    fn disconnect(&mut self, node: usize) {
        if self.nodes[node].connection.take().is_none() {
            return;
        }
        self.tally.disconnects += 1;
        self.broker.disconnect(node);
        self.input(node, Input::Disconnected);
        let (away_ms, incarnation) = (self.random(20_000), self.nodes[node].incarnation);
        self.schedule(away_ms, Happening::Connect { node, incarnation });
    }

    fn restart_broker(&mut self) {
        self.tally.broker_restarts += 1;
        for node in 0..self.nodes.len() {
            self.disconnect(node);
        }
        self.broker.forget_everything();
    }

    // ---- processes ------------------------------------------------------------------------------------------------

    fn leave(&mut self, node: usize) {
        let incarnation = self.nodes[node].incarnation;
        let call = self.nodes[node].application.next_call;
        self.nodes[node].process = Process::Leaving(call);
        self.schedule(LEAVE_MS, Happening::Crash { node, incarnation });
        self.command(node, Command::Leave);
    }

    fn crash(&mut self, node: usize) {
        self.tally.crashes += 1;
        // What was under way to the disk may be there or not; half of it cannot be.
        if chance(&mut self.rng, 500) && self.nodes[node].full_until_ms <= self.now_ms {
            self.nodes[node].synced();
        }
        self.die(node);
        let (away_ms, incarnation) = (self.random(20_000), self.nodes[node].incarnation);
        self.schedule(away_ms, Happening::Start { node, incarnation });
    }

    pub(super) fn die(&mut self, node: usize) {
        self.nodes[node].die();
        self.broker.disconnect(node);
    }

    pub(super) fn start(&mut self, node: usize) {
        if self.nodes[node].process != Process::Down {
            return;
        }
        let number = u16::try_from(self.rng.next_u64() % 1_000).unwrap();
        let restored = self.nodes[node].start(number);
        let incarnation = self.nodes[node].incarnation;
        self.input(node, restored);
        let at = self.random(2_000);
        self.schedule(at, Happening::Connect { node, incarnation });
        self.schedule(at / 2, Happening::Act { node, incarnation });
        self.command(node, Command::List);
    }

    /// The application reads what was there when its process began.
    fn read_first(&mut self, node: usize) {
        for (canvas, generation) in self.nodes[node].application.unread.clone() {
            let application = &mut self.nodes[node].application;
            application.first_reading.insert(application.next_call, (canvas.clone(), generation));
            self.command(node, Command::Get { canvas, at: None });
        }
    }

    // ---- the disk -------------------------------------------------------------------------------------------------

    fn disk_done(&mut self, node: usize) {
        if self.nodes[node].full_until_ms > self.now_ms {
            let Some((token, _)) = self.nodes[node].storing.take() else { return };
            self.tally.failed_writes += 1;
            return self.input(node, Input::StoreFailed { token, reason: "the disk is full".to_owned() });
        }
        if let Some(token) = self.nodes[node].synced() {
            if chance(&mut self.rng, 20) {
                let ids: Vec<DocumentId> =
                    self.nodes[node].disk.known().into_iter().map(|known| known.document).collect();
                let index = usize::try_from(self.rng.next_u64()).unwrap_or(0) % ids.len().max(1);
                ids.get(index).into_iter().for_each(|id| self.nodes[node].disk.compact(id));
            }
            self.input(node, Input::Stored(token));
        }
    }

    /// Reads come after the writes before them.
    fn disk_read(&mut self, node: usize) {
        if self.nodes[node].storing.is_some() {
            self.disk_done(node);
        }
        if let Some(document) = self.nodes[node].loading.pop_front() {
            let stored = self.nodes[node].disk.load(&document);
            self.input(node, Input::Loaded { document, stored });
        }
    }

    // ---- the network ----------------------------------------------------------------------------------------------

    fn at_broker(&mut self, node: usize, connection: Link, packet: Packet) {
        let deliveries = match packet {
            Packet::Publish { topic, payload, retain, token } => {
                if let Some(token) = token {
                    self.reply(node, connection, Arriving::Acknowledged(token));
                }
                self.broker.publish(topic, payload, retain, self.faults, &mut self.rng)
            }
            Packet::Subscribe { filter, quality } => {
                self.reply(node, connection, Arriving::Subscribed(filter.clone()));
                self.broker.subscribe(node, &filter, quality, self.faults, &mut self.rng)
            }
            Packet::Unsubscribe { filter } => {
                self.broker.unsubscribe(node, &filter);
                Vec::new()
            }
        };
        self.deliver(deliveries);
    }

    pub(super) fn deliver(&mut self, deliveries: Vec<Delivery>) {
        for Delivery { node, after_ms, message } in deliveries {
            if let Some(connection) = self.link(node) {
                self.schedule(after_ms, Happening::AtNode { node, connection, input: Arriving::Message(message) });
            }
        }
    }

    fn arriving(&mut self, arriving: Arriving) -> Input {
        match arriving {
            // The repository's own queue is full now and then.
            Arriving::Message(_) if self.busy && chance(&mut self.rng, 2) => Input::MessagesLost,
            Arriving::Message(message) => Input::Messages(vec![message]),
            Arriving::Acknowledged(token) => Input::Acknowledged(token),
            Arriving::Refused(token) => Input::PublishRefused(token),
            Arriving::Subscribed(filter) => Input::Subscribed { filter },
        }
    }

    fn reply(&mut self, node: usize, connection: Link, input: Arriving) {
        let after_ms = 1 + self.random(3);
        self.schedule(after_ms, Happening::AtNode { node, connection, input });
    }

    // ---- one step -------------------------------------------------------------------------------------------------

    pub(super) fn input(&mut self, node: usize, input: Input) {
        if self.nodes[node].process == Process::Down {
            return;
        }
        self.tally.events += 1;
        let now = Now { elapsed_ms: self.now_ms, unix_ms: EPOCH_MS + self.now_ms };
        let output = self.nodes[node].handle(now, &mut self.rng, input, &mut self.ever);
        if let Some(at_ms) = output.wake_at_ms {
            let incarnation = self.nodes[node].incarnation;
            self.schedule(at_ms.saturating_sub(self.now_ms), Happening::Timer { node, incarnation });
        }
        let effects = effects(output);
        // A process may end before, between and after the parts of what a step wants done.
        let crashes = self.busy && chance(&mut self.rng, 2);
        let done =
            if crashes { usize::try_from(self.random(effects.len() as u64 + 1)).unwrap() } else { effects.len() };
        let incarnation = self.nodes[node].incarnation;
        for effect in effects.into_iter().take(done) {
            self.carry_out(node, effect);
            if !self.is_running(node, incarnation) {
                return;
            }
        }
        if crashes {
            self.crash(node);
        } else if !self.nodes[node].application.unread.is_empty()
            && self.nodes[node].application.first_reading.is_empty()
        {
            self.read_first(node);
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        let incarnation = self.nodes[node].incarnation;
        match effect {
            Effect::Send(packet) => {
                let Some(connection) = self.link(node) else { return };
                match packet {
                    // The connection's queue is full now and then.
                    Packet::Publish { token: Some(token), .. } if self.busy && chance(&mut self.rng, 5) => {
                        self.reply(node, connection, Arriving::Refused(token));
                    }
                    // One connection keeps its order.
                    packet => self.schedule(1, Happening::AtBroker { node, connection, packet }),
                }
            }
            Effect::Store(token, operations) => {
                let before = self.nodes[node].storing.replace((token, operations));
                assert!(before.is_none(), "two batches under way");
                let after_ms = self.random(20);
                self.schedule(after_ms, Happening::DiskDone { node, incarnation, token });
            }
            Effect::KeepEpoch(epoch) => self.nodes[node].keep(epoch),
            Effect::Load(document) => {
                self.nodes[node].loading.push_back(document);
                let after_ms = self.random(20);
                self.schedule(after_ms, Happening::DiskRead { node, incarnation });
            }
            Effect::Tell(notice) => {
                let left = matches!(
                    (&notice, self.nodes[node].process),
                    (Notice::Outcome { call, .. }, Process::Leaving(leaving)) if *call == leaving
                );
                let orderly = matches!(&notice, Notice::Outcome { result: Ok(Reply::Done), .. });
                self.nodes[node].tell(notice);
                if left {
                    self.tally.orderly_ends += u64::from(orderly);
                    self.die(node);
                    let away_ms = self.random(10_000);
                    let incarnation = self.nodes[node].incarnation;
                    self.schedule(away_ms, Happening::Start { node, incarnation });
                }
            }
        }
    }
}
