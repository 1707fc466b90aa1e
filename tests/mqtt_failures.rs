//! The connection when the network, the broker or another client misbehaves.

#![cfg(feature = "drivers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use mqtt_p2p::drivers::mqtt::{ConnectionEvent, ConnectionOptions, Publish, PublishError, Qos, RejectCode};
use mqtt_p2p::limits::{MAX_OUTBOX_MESSAGES, WATCHDOG_TIMEOUT_MS};
use support::brokers::Broker;
use support::fake_broker::{Answer, FakeBroker};
use support::mosquitto::Mosquitto;
use support::proxy::Proxy;
use support::recorder::{Peer, publish};
use support::{DEADLINE, free_port, wait_for};

fn disconnected(event: &ConnectionEvent) -> bool {
    matches!(event, ConnectionEvent::Disconnected { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_there_it_tries_again_until_a_broker_appears() {
    let port = free_port();
    let peer = Peer::start(ConnectionOptions::new("127.0.0.1", port, "alice"), None);
    assert_eq!(peer.broker.publish(publish(1, "t", "")), Err(PublishError::NotConnected));
    let failed = |n| move |event: &ConnectionEvent| matches!(event, ConnectionEvent::ConnectFailed { attempt, .. } if *attempt == n);
    for attempt in 1..=3 {
        peer.recorder.wait("a failed attempt", failed(attempt));
    }
    assert!(peer.broker.statistics().last_error.is_some());
    let Some(_mosquitto) = Mosquitto::start_on(port, "", &[]) else {
        return;
    };
    peer.wait_connected(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_connection_disconnect_returns_at_once() {
    let peer = Peer::start(ConnectionOptions::new("127.0.0.1", free_port(), "alice"), None);
    peer.recorder.wait("a failed attempt", |event| matches!(event, ConnectionEvent::ConnectFailed { .. }));
    tokio::time::timeout(DEADLINE, peer.broker.disconnect(Duration::from_hours(1))).await.expect("it returns");
    assert_eq!(peer.broker.publish(publish(1, "t", "")), Err(PublishError::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_does_not_wait_for_a_stalled_broker() {
    for broker in Broker::each() {
        let proxy = Proxy::start(broker.port()).await;
        let peer = Peer::connect(proxy.port, "alice");
        proxy.pause();
        for id in 0..300 {
            peer.broker.publish(publish(id, "t", vec![0; 100_000])).unwrap();
        }
        // Well before the watchdog would end it.
        let patience = Duration::from_millis(WATCHDOG_TIMEOUT_MS / 2);
        let disconnect = peer.broker.disconnect(Duration::from_millis(100));
        tokio::time::timeout(patience, disconnect).await.expect("it returns");
        assert!(!peer.broker.statistics().connected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_without_an_answer_times_out() {
    // The system accepts connections to it, and nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let options = ConnectionOptions { connect_timeout_ms: 50, ..ConnectionOptions::new("127.0.0.1", port, "alice") };
    let peer = Peer::start(options, None);
    peer.recorder.wait(
        "a time-out",
        |event| matches!(event, ConnectionEvent::ConnectFailed { reason, .. } if reason.contains("50 ms")),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_apart() {
    let codes: [(Answer, RejectCode); 5] = [
        (|_, _| vec![0x20, 2, 0, 1], RejectCode::ProtocolVersion),
        (|_, _| vec![0x20, 2, 0, 2], RejectCode::ClientId),
        (|_, _| vec![0x20, 2, 0, 3], RejectCode::ServerUnavailable),
        (|_, _| vec![0x20, 2, 0, 4], RejectCode::BadCredentials),
        (|_, _| vec![0x20, 2, 0, 5], RejectCode::NotAuthorized),
    ];
    for (answer, expected) in codes {
        let broker = FakeBroker::start(answer).await;
        let peer = Peer::start(ConnectionOptions::new("127.0.0.1", broker.port, "alice"), None);
        peer.recorder
            .wait("the refusal", |event| matches!(event, ConnectionEvent::Rejected { code, .. } if *code == expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_checked_by_a_real_broker() {
    // The hash of "right", as `mosquitto_passwd` writes it.
    let Some(passwords) = mosquitto_passwords("alice", "right") else {
        return;
    };
    let files = [("passwords", passwords.as_str())];
    let Some(mosquitto) = Mosquitto::start("allow_anonymous false\npassword_file {dir}/passwords", &files) else {
        return;
    };
    let start = |password: Option<&str>| {
        let options = ConnectionOptions {
            username: password.map(|_| "alice".to_owned()),
            password: password.map(str::to_owned),
            ..ConnectionOptions::new("127.0.0.1", mosquitto.port, "alice")
        };
        Peer::start(options, None)
    };
    for password in [None, Some("wrong")] {
        let peer = start(password);
        let rejected = |event: &ConnectionEvent| {
            matches!(
                event,
                ConnectionEvent::Rejected { code: RejectCode::NotAuthorized | RejectCode::BadCredentials, .. }
            )
        };
        peer.recorder.wait("the refusal", rejected);
        assert!(!format!("{peer:?}", peer = peer.broker).contains("wrong"));
    }
    start(Some("right")).wait_connected(1);
}

/// A password file's content; `None`, as in [`Mosquitto::start`], where Mosquitto is missing.
fn mosquitto_passwords(user: &str, password: &str) -> Option<String> {
    let file = std::env::temp_dir().join(format!("mqtt-p2p-passwords-{}", std::process::id()));
    let status =
        std::process::Command::new("mosquitto_passwd").arg("-b").arg("-c").arg(&file).args([user, password]).status();
    let content = std::fs::read_to_string(&file).ok();
    let _ = std::fs::remove_file(&file);
    if !status.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "mosquitto_passwd is not installed: apt-get install mosquitto"
        );
        println!("skipped: mosquitto_passwd is not installed (apt-get install mosquitto)");
        return None;
    }
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_the_broker_refuses_is_reported_by_name() {
    let broker = FakeBroker::start(|packet, rest| match packet {
        1 => vec![0x20, 2, 0, 0],
        // Two filters: the first granted, the second refused; of three, the third has no code at all.
        8 => vec![0x90, 4, rest[0], rest[1], 1, 0x80],
        _ => Vec::new(),
    })
    .await;
    let peer = Peer::connect(broker.port, "alice");
    peer.broker.subscribe(["a", "b", "c"].map(|filter| (filter.to_owned(), Qos::AtLeastOnce)).to_vec());
    wait_for("the answers", || peer.recorder.events.lock().unwrap().len() == 4);
    let events = peer.recorder.events.lock().unwrap();
    let rejected = |filter: &str| ConnectionEvent::SubscribeRejected { filter: filter.into() };
    assert_eq!(events[1..], [ConnectionEvent::Subscribed { filter: "a".into() }, rejected("b"), rejected("c")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_of_nothing_ends_the_connection() {
    let broker = FakeBroker::start(|packet, _| match packet {
        1 => vec![0x20, 2, 0, 0],
        3 => vec![0x40, 2, 0, 77],
        _ => Vec::new(),
    })
    .await;
    let peer = Peer::connect(broker.port, "alice");
    peer.broker.publish(publish(1, "t", "")).unwrap();
    peer.recorder.wait("the end", disconnected);
    assert_eq!(peer.recorder.acknowledged(), [0; 0]);
    peer.wait_connected(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_broker_is_killed_under_load_nothing_old_is_acknowledged() {
    let port = free_port();
    let Some(mosquitto) = Mosquitto::start_on(port, "", &[]) else {
        return;
    };
    let peer = Peer::connect(port, "alice");
    for id in 0..MAX_OUTBOX_MESSAGES as u64 {
        peer.broker.publish(publish(id, "t", vec![0; 1_000])).unwrap();
    }
    wait_for("some acknowledgements", || peer.recorder.acknowledged().len() > 100);
    drop(mosquitto);
    peer.recorder.wait("the end", disconnected);
    assert_eq!(peer.broker.publish(publish(1, "t", "")), Err(PublishError::NotConnected));
    let before: BTreeSet<u64> = peer.recorder.acknowledged().into_iter().collect();
    assert!(before.len() < MAX_OUTBOX_MESSAGES, "the broker was killed too late for this test");

    let _mosquitto = Mosquitto::start_on(port, "", &[]).unwrap();
    peer.wait_connected(2);
    let missing: Vec<u64> = (0..MAX_OUTBOX_MESSAGES as u64).filter(|id| !before.contains(id)).collect();
    let again = |id: &u64| id + 1_000_000;
    for id in &missing {
        peer.broker.publish(publish(again(id), "t", "")).unwrap();
    }
    wait_for("all acknowledgements", || peer.recorder.acknowledged().len() == MAX_OUTBOX_MESSAGES);
    let after: BTreeSet<u64> = peer.recorder.acknowledged().into_iter().skip(before.len()).collect();
    assert_eq!(after, missing.iter().map(again).collect());
    let statistics = peer.broker.statistics();
    assert_eq!((statistics.connects, statistics.in_flight_messages, statistics.queued_messages), (2, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_of_five_seconds_changes_nothing_but_the_time() {
    const PUBLISHES: u64 = 3_000;
    for broker in Broker::each() {
        let proxy = Proxy::start(broker.port()).await;
        let alice = Peer::connect(proxy.port, "alice");
        let bob = Peer::connect(proxy.port, "bob");
        bob.subscribe("t");
        for id in 0..PUBLISHES {
            if id == PUBLISHES / 2 {
                proxy.pause();
            }
            // Large enough to fill the sockets' buffers, so that writing stalls too.
            alice.broker.publish(publish(id, "t", vec![0; 10_000])).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        proxy.resume();
        wait_for("all acknowledgements", || alice.recorder.acknowledged().len() as u64 == PUBLISHES);
        wait_for("all messages", || bob.recorder.messages().len() as u64 == PUBLISHES);
        assert_eq!((alice.broker.statistics().connects, bob.broker.statistics().connects), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_cable_is_noticed_and_the_connection_comes_back() {
    let Some(broker) = Broker::each().next() else { return };
    let proxy = Proxy::start(broker.port()).await;
    let peer = Peer::connect(proxy.port, "alice");
    proxy.pause();
    let pulled = std::time::Instant::now();
    peer.broker.publish(publish(1, "t", "")).unwrap();
    peer.recorder.wait("the watchdog", disconnected);
    assert!(pulled.elapsed() >= Duration::from_millis(WATCHDOG_TIMEOUT_MS), "earlier would end a mere stall");
    assert!(peer.recorder.acknowledged().is_empty());
    proxy.cut();
    proxy.resume();
    peer.wait_connected(2);
    peer.broker.publish(publish(2, "t", "")).unwrap();
    wait_for("the acknowledgement", || peer.recorder.acknowledged() == [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_message_that_is_too_large_is_dropped_and_the_connection_goes_on() {
    for broker in Broker::each() {
        let alice = Peer::connect(broker.port(), "alice");
        alice.broker.publish(Publish { retain: true, ..publish(1, "t/large", vec![0; 500_000]) }).unwrap();
        wait_for("the acknowledgement", || alice.recorder.acknowledged() == [1]);

        let options =
            ConnectionOptions { max_inbound_bytes: 1_000, ..ConnectionOptions::new("127.0.0.1", broker.port(), "bob") };
        let bob = Peer::start(options, None);
        bob.wait_connected(1);
        bob.broker.subscribe(vec![("t/#".into(), Qos::AtLeastOnce)]);
        bob.recorder.wait(
            "a reason",
            |event| matches!(event, ConnectionEvent::Disconnected { reason, .. } if reason.contains("500")),
        );
        bob.wait_connected(2);
        bob.subscribe("t/#");
        wait_for("it to be dropped", || bob.broker.statistics().oversized_dropped == 1);
        alice.broker.publish(publish(2, "t/small", "fits")).unwrap();
        wait_for("a small one", || bob.recorder.messages() == [("t/small".to_owned(), b"fits".to_vec(), false)]);
        assert_eq!(bob.broker.statistics().connects, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_outbox_refuses_and_takes_more_when_there_is_room() {
    let Some(broker) = Broker::each().next() else { return };
    let proxy = Proxy::start(broker.port()).await;
    let peer = Peer::connect(proxy.port, "alice");
    proxy.pause();
    let mut id = 0;
    let error = loop {
        match peer.broker.publish(publish(id, "t", "")) {
            Ok(()) => id += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, PublishError::QueueFull { messages: MAX_OUTBOX_MESSAGES, bytes: 0 });
    proxy.resume();
    wait_for("all acknowledgements", || peer.recorder.acknowledged().len() as u64 == id);
    peer.broker.publish(publish(id, "t", "")).unwrap();
    wait_for("one more", || peer.recorder.acknowledged().len() as u64 == id + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_last_handle_ends_the_connection() {
    let Some(broker) = Broker::each().next() else { return };
    let Peer { broker: handle, recorder } = Peer::connect(broker.port(), "alice");
    drop(handle);
    recorder.wait("the end", disconnected);
    wait_for("the task to let go of its handler", || std::sync::Arc::strong_count(&recorder) == 1);
}
