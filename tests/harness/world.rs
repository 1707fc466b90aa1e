//! The queue of everything that will happen, the clock, and the connections.

use std::collections::BTreeMap;

use mqtt_p2p::ids::RepositoryName;
use mqtt_p2p::sync::{Command, Input, Message, Output, PublishToken, QualityOfService};
use mqtt_p2p::time::Now;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::broker::{Broker, Delivery, Faults, chance};
use super::node::Node;
use super::workload;

/// 2026-01-01, so that times look real.
const EPOCH_MS: u64 = 1_767_225_600_000;

enum Happening {
    /// A packet reaches the broker, if its connection still stands.
    AtBroker { node: usize, connection: u64, packet: Packet },
    /// Something reaches a node, if its connection still stands.
    AtNode { node: usize, connection: u64, input: Arriving },
    /// A node's timer may be due.
    Timer { node: usize },
    /// A node's application does something.
    Act { node: usize },
    /// A node connects.
    Connect { node: usize },
    /// A node loses its connection.
    Disconnect { node: usize },
    /// The broker restarts without memory.
    BrokerRestart,
}

enum Packet {
    Publish { topic: String, payload: Vec<u8>, retain: bool, token: Option<PublishToken> },
    Subscribe { filter: String, quality: QualityOfService },
    Unsubscribe { filter: String },
}

enum Arriving {
    Message(Message),
    Acknowledged(PublishToken),
    Subscribed(String),
}

/// What a run was made of.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub events: u64,
    pub edits: u64,
    pub disconnects: u64,
    pub broker_restarts: u64,
}

pub struct World {
    pub nodes: Vec<Node>,
    pub tally: Tally,
    queue: BTreeMap<(u64, u64), Happening>,
    sequence: u64,
    now_ms: u64,
    broker: Broker,
    faults: Faults,
    rng: ChaCha8Rng,
    /// Whether applications act and connections break.
    busy: bool,
}

impl World {
    /// Nodes that connect at about the same time.
    pub fn new(seed: u64, repositories: &[&str]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let faults = Faults::random(&mut rng);
        let mut nodes: Vec<Node> =
            (1_u8..).zip(repositories).map(|(key, repository)| Node::new(repository, key, rng.next_u64())).collect();
        let names: Vec<RepositoryName> = nodes.iter().map(|node| node.repository.clone()).collect();
        for node in &mut nodes {
            node.shares_with = names.iter().find(|name| **name != node.repository).cloned();
        }
        let mut world = Self {
            nodes,
            tally: Tally::default(),
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
            world.schedule(at, Happening::Connect { node });
            world.schedule(at / 2, Happening::Act { node });
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
            if self.nodes[node].connection.is_none() {
                self.schedule(1, Happening::Connect { node });
            }
        }
        let until_ms = self.now_ms + duration_ms;
        while self.queue.first_key_value().is_some_and(|((at_ms, _), _)| *at_ms <= until_ms) {
            self.advance();
        }
        self.now_ms = until_ms;
    }

    /// Gives a node a command now.
    pub fn command(&mut self, node: usize, command: Command) -> u64 {
        let call = self.nodes[node].next_call;
        self.nodes[node].next_call += 1;
        self.tally.edits += u64::from(matches!(
            command,
            Command::Create { .. } | Command::Update { .. } | Command::Patch { .. } | Command::Delete { .. }
        ));
        self.input(node, Input::Command { call, command });
        call
    }

    fn schedule(&mut self, after_ms: u64, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now_ms + after_ms, self.sequence), happening);
    }

    fn advance(&mut self) {
        let Some(((at_ms, _), happening)) = self.queue.pop_first() else {
            return;
        };
        self.now_ms = self.now_ms.max(at_ms);
        match happening {
            Happening::AtBroker { node, connection, packet } => {
                if self.nodes[node].connection == Some(connection) {
                    self.at_broker(node, connection, packet);
                }
            }
            Happening::AtNode { node, connection, input } => {
                if self.nodes[node].connection == Some(connection) {
                    self.input(
                        node,
                        match input {
                            Arriving::Message(message) => Input::Messages(vec![message]),
                            Arriving::Acknowledged(token) => Input::Acknowledged(token),
                            Arriving::Subscribed(filter) => Input::Subscribed { filter },
                        },
                    );
                }
            }
            Happening::Timer { node } => {
                if self.nodes[node].wake_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
                    self.input(node, Input::Timer);
                }
            }
            Happening::Act { node } => self.act(node),
            Happening::Connect { node } => self.connect(node),
            Happening::Disconnect { node } => self.disconnect(node),
            Happening::BrokerRestart => self.restart_broker(),
        }
    }

    fn act(&mut self, node: usize) {
        if !self.busy {
            return;
        }
        if let Some(command) = workload::command(&mut self.nodes[node], &mut self.rng) {
            self.command(node, command);
        }
        let pause_ms = self.rng.next_u64() % 300;
        self.schedule(pause_ms, Happening::Act { node });
        if chance(&mut self.rng, 10) {
            self.schedule(1, Happening::Disconnect { node });
        }
        if chance(&mut self.rng, 1) {
            self.schedule(1, Happening::BrokerRestart);
        }
    }

    fn connect(&mut self, node: usize) {
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
        let away_ms = self.rng.next_u64() % 20_000;
        self.schedule(away_ms, Happening::Connect { node });
    }

    fn restart_broker(&mut self) {
        self.tally.broker_restarts += 1;
        for node in 0..self.nodes.len() {
            self.disconnect(node);
        }
        self.broker.forget_everything();
    }

    fn at_broker(&mut self, node: usize, connection: u64, packet: Packet) {
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
        for Delivery { node, after_ms, message } in deliveries {
            if let Some(connection) = self.nodes[node].connection {
                self.schedule(after_ms, Happening::AtNode { node, connection, input: Arriving::Message(message) });
            }
        }
    }

    fn reply(&mut self, node: usize, connection: u64, input: Arriving) {
        let after_ms = 1 + self.rng.next_u64() % 3;
        self.schedule(after_ms, Happening::AtNode { node, connection, input });
    }

    fn input(&mut self, node: usize, input: Input) {
        self.tally.events += 1;
        let now = Now { elapsed_ms: self.now_ms, unix_ms: EPOCH_MS + self.now_ms };
        let output = self.nodes[node].handle(now, &mut self.rng, input);
        self.carry_out(node, output);
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        if let Some(at_ms) = output.wake_at_ms {
            self.schedule(at_ms.saturating_sub(self.now_ms), Happening::Timer { node });
        }
        let Some(connection) = self.nodes[node].connection else {
            return;
        };
        let mut packets = Vec::new();
        packets.extend(output.subscribe.into_iter().map(|(filter, quality)| Packet::Subscribe { filter, quality }));
        packets.extend(output.unsubscribe.into_iter().map(|filter| Packet::Unsubscribe { filter }));
        packets.extend(output.publish.into_iter().map(|publish| Packet::Publish {
            topic: publish.topic,
            payload: publish.payload,
            retain: publish.retain,
            token: publish.token,
        }));
        // One connection keeps its order.
        for packet in packets {
            self.schedule(1, Happening::AtBroker { node, connection, packet });
        }
    }
}
