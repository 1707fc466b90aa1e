//! Many peers in virtual time over a broker that loses, duplicates, delays, reorders, forgets and restarts.
//!
//! * `MQTT_P2P_SEED=42` runs one seed, and prints what it was made of.
//! * `MQTT_P2P_SEEDS=1000` runs so many.

#![allow(unreachable_pub)] // What the modules of a test share is public to it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod harness;

use std::panic::{AssertUnwindSafe, catch_unwind};

use harness::checker;
use harness::world::{Tally, World};

const SEEDS: u64 = 100;
const EVENTS_PER_SEED: u64 = 2_000;
/// Long enough for the slowest repetition of a request (a minute) to come round a few times.
const HEALING_MS: u64 = 600_000;

fn run(seed: u64) -> Tally {
    let repositories: &[&str] = match seed % 4 {
        0 => &["r", "r"],
        1 => &["r", "r", "r"],
        2 => &["r", "r", "r", "r", "r", "r"],
        _ => &["r", "s", "r", "s"],
    };
    let mut world = World::new(seed, repositories);
    world.run_busy(EVENTS_PER_SEED);
    world.run_quiet(HEALING_MS);
    if let Err(violation) = checker::check(&world.nodes, &world.ever) {
        panic!("{violation}");
    }
    world.tally
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn peers_converge_and_no_edit_is_lost() {
    if let Some(seed) = from_environment("MQTT_P2P_SEED") {
        println!("seed {seed}: {:?}", run(seed));
        return;
    }
    let seeds = from_environment("MQTT_P2P_SEEDS").unwrap_or(SEEDS);
    let mut total = Tally::default();
    for seed in 0..seeds {
        let tally = catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|_| {
            panic!("replay with: MQTT_P2P_SEED={seed} cargo test --no-default-features --test simulation")
        });
        total.events += tally.events;
        total.edits += tally.edits;
        total.disconnects += tally.disconnects;
        total.broker_restarts += tally.broker_restarts;
        total.acknowledged += tally.acknowledged;
        total.crashes += tally.crashes;
        total.orderly_ends += tally.orderly_ends;
        total.failed_writes += tally.failed_writes;
    }
    println!("{seeds} seeds: {total:?}");
    assert!(total.events >= seeds * EVENTS_PER_SEED && total.edits > 0);
}
