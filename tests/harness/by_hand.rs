//! How worlds are made; and one in which nothing happens but what a test makes happen.

use std::sync::Arc;

use mqtt_p2p::crypto::RootSecret;
use mqtt_p2p::sync::{Bounds, Input, Reply, SyncError};
use mqtt_p2p::wire::TopicSpace;

use super::broker::{Broker, Faults};
use super::happening::Happening;
use super::node::Node;
use super::world::World;

impl World {
    /// Nodes that connect at about the same time.
    pub fn new(seed: u64, repositories: &[&str]) -> Self {
        Self::on(TopicSpace::new("mind-git").unwrap(), seed, repositories)
    }

    /// The same, in repositories that are encrypted with one key.
    pub fn encrypted(seed: u64, repositories: &[&str]) -> Self {
        let root = Arc::new(RootSecret::new([9; 32]));
        Self::on(TopicSpace::new("mind-git").unwrap().encrypted(root), seed, repositories)
    }

    /// The same, where each but the first may grow only to so much.
    pub fn bounded(seed: u64, repositories: &[&str], bounds: Bounds) -> Self {
        let mut world = Self::new(seed, repositories);
        let rest = world.nodes.split_off(1);
        world.nodes.extend(rest.into_iter().map(|node| node.with_bounds(bounds)));
        world
    }

    /// Nobody is there yet, and nothing breaks.
    pub fn calm(seed: u64) -> Self {
        let mut world = Self::new(seed, &[]);
        (world.faults, world.busy) = (Faults::NONE, false);
        world
    }

    /// The same, encrypted.
    pub fn calm_encrypted(seed: u64) -> Self {
        let mut world = Self::encrypted(seed, &[]);
        (world.faults, world.busy) = (Faults::NONE, false);
        world
    }

    /// How a call of a node ends, if it does within so long.
    pub fn outcome_within(&mut self, node: usize, call: u64, ms: u64) -> Option<Result<Reply, SyncError>> {
        let outcome = |world: &Self| world.nodes[node].application.ended(call);
        if outcome(self).is_none() {
            self.run_for(ms);
        }
        outcome(self)
    }

    /// Somebody comes; the number names the node.
    pub fn join(&mut self, node: Node) -> usize {
        let topics = self.topics.clone();
        self.join_on(topics, node)
    }

    /// The same, with a key of its own.
    pub fn join_on(&mut self, topics: TopicSpace, node: Node) -> usize {
        self.nodes.push(node.with_topics(topics));
        let node = self.nodes.len() - 1;
        self.connect(node);
        node
    }

    /// Somebody's connection is gone, until [`World::mend`] brings it back.
    pub fn cut(&mut self, node: usize) {
        self.nodes[node].connection = None;
        self.broker.disconnect(node);
        self.input(node, Input::Disconnected);
    }

    pub fn mend(&mut self, node: usize) {
        self.connect(node);
    }

    /// Somebody's process is gone, until [`World::begin_again`] starts another on the same disk.
    pub fn end(&mut self, node: usize) {
        self.die(node);
    }

    pub fn begin_again(&mut self, node: usize) {
        self.start(node);
    }

    /// After quiet times applications act again, and things break.
    pub fn get_busy_again(&mut self) {
        self.busy = true;
        self.faults = Faults::random(&mut self.rng);
        for node in 0..self.nodes.len() {
            let (after_ms, incarnation) = (self.random(300), self.nodes[node].incarnation);
            self.schedule(after_ms, Happening::Act { node, incarnation });
        }
    }

    pub fn broker(&mut self) -> &mut Broker {
        &mut self.broker
    }

    /// Somebody who is no node publishes something.
    pub fn publish(&mut self, topic: String, payload: Vec<u8>, retain: bool) {
        let deliveries = self.broker.publish(topic, payload, retain, self.faults, &mut self.rng);
        self.deliver(deliveries);
    }
}
