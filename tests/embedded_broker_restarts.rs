//! The embedded broker, started and stopped many times. The only test of its process, since it counts the process's threads
//! and memory.

#![cfg(all(feature = "drivers", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod support;

use mqtt_p2p::drivers::mqtt::Publish;
use mqtt_p2p::drivers::mqtt::embedded::{EmbeddedBroker, EmbeddedBrokerOptions};
use support::recorder::{Peer, publish};
use support::{threads, wait_for};

const CYCLES: u64 = 20;
const RETAINED: u64 = 20;
const RETAINED_BYTES: usize = 1 << 20;

/// Memory of this process that is in use.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Threads of this process, without the one that the crate futures-timer, once needed, keeps for ever.
fn own_threads() -> usize {
    threads("").iter().filter(|name| *name != "futures-timer").count()
}

#[test]
fn twenty_times_leave_no_thread_no_memory_and_no_port_behind() {
    let before = own_threads();
    let mut port = 0;
    let mut memory_after_first = 0;
    for cycle in 0..CYCLES {
        // The same port every time, though connections of the last broker may linger on it.
        let broker = EmbeddedBroker::start(EmbeddedBrokerOptions { port, ..Default::default() }).unwrap();
        port = broker.port();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let peer = Peer::connect(port, "alice");
            for id in 0..RETAINED {
                let large = Publish { retain: true, ..publish(id, &format!("r/{id}"), vec![1; RETAINED_BYTES]) };
                peer.broker.publish(large).unwrap();
            }
            wait_for("acknowledgements", || peer.recorder.acknowledged().len() as u64 == RETAINED);
            // Half of the times the broker goes first.
            if cycle % 2 == 0 {
                peer.broker.disconnect(support::DEADLINE).await;
                broker.stop();
            } else {
                broker.stop();
                wait_for("the end", || !peer.broker.statistics().connected);
                peer.broker.disconnect(support::DEADLINE).await;
            }
        });
        drop(runtime);
        wait_for("all threads to end", || own_threads() == before);
        if cycle == 0 {
            memory_after_first = resident_kib();
        }
    }
    let grown_kib = resident_kib().saturating_sub(memory_after_first);
    let all_kib = CYCLES * RETAINED * RETAINED_BYTES as u64 / 1024;
    println!("{grown_kib} KiB more than after the first time");
    assert!(grown_kib < all_kib / 4, "{grown_kib} KiB more than after the first time; {all_kib} KiB were retained");
}
