//! Many peers in virtual time: a broker that loses, duplicates, delays, reorders, forgets and restarts; processes that crash
//! at any point of any step, or end orderly, and come back from what their disks had synced; disks that are full.
//!
//! * `MQTT_P2P_SEED=42` runs one seed, and prints what it was made of.
//! * `MQTT_P2P_SEEDS=1000` runs so many.
//! * `MQTT_P2P_SOAK_S=3600` runs new seeds for so many seconds, from `MQTT_P2P_FROM` (default: the time) on.

#![allow(unreachable_pub)] // What the modules of a test share is public to it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod harness;

use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use harness::checker;
use harness::kept;
use harness::tally::Tally;
use harness::world::World;
use mqtt_p2p::sync::Bounds;

const SEEDS: u64 = 500;
const BOUNDED_SEEDS: u64 = 40;
const EVENTS_PER_SEED: u64 = 2_000;
/// Long enough for the slowest repetition of a request (a minute) to come round a few times.
const HEALING_MS: u64 = 600_000;

fn run(seed: u64) -> Tally {
    let repositories: Vec<&str> = match seed % 8 {
        0 | 4 => vec!["r"; 3],
        1 => vec!["r"; 4],
        2 => vec!["r"; 6],
        3 | 7 => vec!["r", "s", "r", "s"],
        5 => vec!["r"; 10],
        _ if seed % 40 == 6 => vec!["r"; 30],
        _ => vec!["r", "r", "r", "s", "s"],
    };
    let mut world = if seed % 5 == 3 { World::encrypted(seed, &repositories) } else { World::new(seed, &repositories) };
    world.run_busy(EVENTS_PER_SEED);
    world.run_quiet(HEALING_MS);
    if let Err(violation) = checker::check(&world.nodes, &world.ever).and_then(|()| kept::check(&mut world)) {
        panic!("{violation}");
    }
    world.tally
}

/// Each but the first may grow only to so much that some canvases go over it.
fn run_bounded(seed: u64) -> usize {
    let mut bounds = Bounds::default();
    bounds.canvas.operations = 150 + 20 * (seed % 30);
    bounds.waiting_bytes = 4 << 10;
    let mut world = World::bounded(seed, &["r"; 4], bounds);
    world.run_busy(EVENTS_PER_SEED);
    world.run_quiet(HEALING_MS);
    if let Err(violation) = checker::check(&world.nodes, &world.ever) {
        panic!("seed {seed}: {violation}");
    }
    let ids = world.nodes[0].synchronizer.document_ids();
    ids.into_iter().filter(|id| checker::is_full(&world.nodes, id)).count()
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What many runs were made of.
#[derive(Default)]
struct Total {
    seeds: u64,
    tally: Tally,
    /// The seed with the most crashes, failed writes and broken connections, and how many these were.
    worst: (u64, u64),
}

impl Total {
    fn add(&mut self, seed: u64, tally: Tally) {
        self.seeds += 1;
        self.tally.add_assign(tally);
        self.worst = self.worst.max((tally.faults(), seed));
    }
}

/// Runs seeds, on as many threads as there are cores, until `more` gives no further one.
fn run_all(more: impl Fn() -> Option<u64> + Sync) -> Total {
    let total = Mutex::new(Total::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = more() {
                    let Ok(tally) = catch_unwind(AssertUnwindSafe(|| run(seed))) else {
                        eprintln!(
                            "replay with: MQTT_P2P_SEED={seed} cargo test --no-default-features --test simulation \
                             -- --nocapture"
                        );
                        panic!("seed {seed} failed");
                    };
                    total.lock().unwrap().add(seed, tally);
                }
            });
        }
    });
    total.into_inner().unwrap()
}

fn report(total: &Total, seconds: u64) {
    let (faults, seed) = total.worst;
    println!("{} seeds in {seconds} s: {:?}; worst: seed {seed} with {faults} faults", total.seeds, total.tally);
    println!("lost: 0, divergent: 0");
}

#[test]
fn peers_converge_and_no_acknowledged_edit_is_lost() {
    if let Some(seed) = from_environment("MQTT_P2P_SEED") {
        println!("seed {seed}: {:?}", run(seed));
        return;
    }
    let started = Instant::now();
    let next = AtomicU64::new(0);
    if let Some(seconds) = from_environment("MQTT_P2P_SOAK_S") {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        next.store(from_environment("MQTT_P2P_FROM").unwrap_or(unix << 20), Ordering::Relaxed);
        let until = started + Duration::from_secs(seconds);
        let total = run_all(|| {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed.is_multiple_of(100) {
                println!("seed {seed}, {} s", started.elapsed().as_secs());
            }
            (Instant::now() < until).then_some(seed)
        });
        return report(&total, started.elapsed().as_secs());
    }
    let seeds = from_environment("MQTT_P2P_SEEDS").unwrap_or(SEEDS);
    let total = run_all(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds));
    report(&total, started.elapsed().as_secs());
    let Tally { events, acknowledged, crashes, orderly_ends, failed_writes, actors_reused, .. } = total.tally;
    assert!(events >= seeds * EVENTS_PER_SEED);
    for (what, count) in [
        ("acknowledged edits", acknowledged),
        ("crashes", crashes),
        ("orderly ends", orderly_ends),
        ("failed writes", failed_writes),
        ("edits under an actor used before", actors_reused),
    ] {
        assert!(count > 0, "the runs were made without any {what}");
    }
}

#[test]
fn what_has_not_grown_to_a_bound_converges_whatever_else_has() {
    let full: usize = (0..BOUNDED_SEEDS).map(run_bounded).sum();
    assert!(full > 10, "{full} canvases grew to the bound");
}
