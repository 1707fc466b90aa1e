//! A network of synchronisers in one thread and in virtual time, over a broker that misbehaves.
//!
//! Everything random comes from one seed, and every effect goes through one queue ordered by time, so a seed replays a
//! run exactly: `MQTT_P2P_SEED=42 cargo test --no-default-features --test simulation -- --nocapture`.
//!
//! | file | what |
//! | --- | --- |
//! | `world.rs` | the queue, the clock, and who is connected to what |
//! | `happening.rs` | what can happen |
//! | `by_hand.rs` | a world in which only what a test does happens |
//! | `broker.rs` | an MQTT broker: subscriptions, retained messages, and how it loses, duplicates, delays, reorders |
//! | `kept.rs` | what the broker keeps, and whether it fits together |
//! | `node.rs` | one synchroniser with its disk and its application, through crashes and orderly ends |
//! | `disk.rs` | what survives a crash |
//! | `application.rs` | what an application learned, and whether that was right |
//! | `workload.rs` | what applications do, at random |
//! | `effects.rs` | what a step wants done, part by part |
//! | `tally.rs` | what a run was made of |
//! | `checker.rs` | what must hold at the end |

#![allow(dead_code)] // Each test uses a part of it.

pub mod application;
pub mod broker;
pub mod by_hand;
pub mod checker;
pub mod disk;
pub mod effects;
pub mod happening;
pub mod kept;
pub mod node;
pub mod tally;
pub mod workload;
pub mod world;
