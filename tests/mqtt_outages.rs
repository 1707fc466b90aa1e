//! A connection that is cut again and again, and a caller that does what the documentation says: publish again.

#![cfg(feature = "drivers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mqtt_p2p::drivers::mqtt::{ConnectionEvent, PublishError};
use support::brokers::Broker;
use support::proxy::Proxy;
use support::recorder::{Peer, publish};
use support::wait_for;

const PUBLISHES: u64 = 20_000;
const CUTS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_publishes_again_what_was_not_acknowledged_loses_nothing() {
    for broker in Broker::each() {
        let proxy = Arc::new(Proxy::start(broker.port()).await);
        let alice = Peer::connect(proxy.port, "alice");
        let bob = Peer::connect(broker.port(), "bob");
        bob.subscribe("t");
        let done = Arc::new(AtomicBool::new(false));
        let cutter = {
            let (proxy, recorder, done) = (proxy.clone(), alice.recorder.clone(), done.clone());
            std::thread::spawn(move || {
                for cut in 1..=CUTS {
                    // Each cut comes after some progress on a connection of its own.
                    let connected = |event: &ConnectionEvent| matches!(event, ConnectionEvent::Connected { .. });
                    wait_for("a connection", || recorder.count(connected) >= cut);
                    let before = recorder.acknowledged().len();
                    wait_for("progress", || {
                        done.load(Ordering::Relaxed) || recorder.acknowledged().len() > before + 50
                    });
                    proxy.cut();
                }
            })
        };

        let mut waiting: BTreeSet<u64> = (0..PUBLISHES).collect();
        let mut heard = 0;
        while !waiting.is_empty() {
            // What is taken is published once; what a lost connection forgot, again on the next.
            let connects = alice.broker.statistics().connects;
            for id in waiting.iter().take(2_000) {
                match alice.broker.publish(publish(*id, "t", id.to_be_bytes())) {
                    Ok(()) => {}
                    Err(PublishError::NotConnected) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            wait_for("the end of this batch", || {
                let statistics = alice.broker.statistics();
                let settled = statistics.queued_messages + statistics.in_flight_messages == 0;
                statistics.connected && (settled || statistics.connects > connects)
            });
            let acknowledged = alice.recorder.acknowledged();
            for id in &acknowledged[heard..] {
                waiting.remove(id);
            }
            heard = acknowledged.len();
        }
        done.store(true, Ordering::Relaxed);
        cutter.join().unwrap();

        wait_for("all messages", || {
            let ids: BTreeSet<_> = bob.recorder.messages().into_iter().map(|(_, payload, _)| payload).collect();
            ids.len() as u64 == PUBLISHES
        });
        assert!(alice.broker.statistics().connects > 1);
        assert_eq!(bob.broker.statistics().connects, 1);
    }
}
