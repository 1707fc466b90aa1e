//! Helpers of the tests that need real brokers.

#![allow(dead_code, unreachable_pub)] // A part of each test binary, and each uses a part of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

pub mod brokers;
pub mod fake_broker;
pub mod mosquitto;
pub mod proxy;
pub mod recorder;
pub mod service;

use std::net::TcpListener;
use std::time::{Duration, Instant};

/// How long anything may take that has to happen at all.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `condition` holds; fails with `what` at the deadline.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Names of this process's threads that start with `prefix`.
pub fn threads(prefix: &str) -> Vec<String> {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| name.starts_with(prefix))
        .collect()
}
