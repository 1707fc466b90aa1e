//! The embedded broker, as clients see it.

#![cfg(feature = "drivers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod support;

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use mqtt_p2p::drivers::mqtt::ConnectionEvent;
use mqtt_p2p::drivers::mqtt::embedded::{EmbeddedBroker, EmbeddedBrokerError, EmbeddedBrokerOptions};
use support::recorder::{Peer, publish};
use support::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn carries_messages_on_any_free_port() {
    let broker = EmbeddedBroker::start(EmbeddedBrokerOptions::default()).unwrap();
    let alice = Peer::connect(broker.port(), "alice");
    let bob = Peer::connect(broker.port(), "bob");
    bob.subscribe("a/#");
    alice.broker.publish(publish(1, "a/b", "hello")).unwrap();
    wait_for("the message", || bob.recorder.messages() == [("a/b".to_owned(), b"hello".to_vec(), false)]);
    wait_for("the acknowledgement", || alice.recorder.acknowledged() == [1]);
    alice.broker.disconnect(support::DEADLINE).await;
    bob.broker.disconnect(support::DEADLINE).await;
    broker.stop();
}

#[test]
fn says_when_the_address_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = EmbeddedBroker::start(EmbeddedBrokerOptions { port, ..Default::default() }).unwrap_err();
    assert!(matches!(error, EmbeddedBrokerError::AddressInUse { port: p, .. } if p == port), "{error}");
}

#[test]
fn says_when_the_host_is_none_of_this_machine() {
    for host in ["nonsense", "", "localhost", "203.0.113.1"] {
        let error =
            EmbeddedBroker::start(EmbeddedBrokerOptions { host: host.into(), ..Default::default() }).unwrap_err();
        assert!(matches!(error, EmbeddedBrokerError::InvalidHost { .. }), "{host}: {error}");
    }
}

#[test]
fn tells_its_address() {
    let broker = EmbeddedBroker::start(EmbeddedBrokerOptions::default()).unwrap();
    assert_ne!(broker.port(), 0);
    assert_eq!(broker.url(), format!("mqtt://{}:{}", broker.host(), broker.port()));
    assert_eq!(broker.host(), "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_and_stops_inside_a_runtime() {
    let broker = EmbeddedBroker::start(EmbeddedBrokerOptions::default()).unwrap();
    let port = broker.port();
    broker.stop();
    TcpListener::bind(("127.0.0.1", port)).expect("the port is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_much_is_cut_off_alone() {
    let options = EmbeddedBrokerOptions { max_packet_bytes: 10_000, ..Default::default() };
    let broker = EmbeddedBroker::start(options).unwrap();
    let alice = Peer::connect(broker.port(), "alice");
    let bob = Peer::connect(broker.port(), "bob");
    bob.subscribe("t");
    alice.broker.publish(publish(1, "t", vec![0; 20_000])).unwrap();
    alice.recorder.wait("the end", |event| matches!(event, ConnectionEvent::Disconnected { .. }));
    alice.wait_connected(2);
    alice.broker.publish(publish(2, "t", "fits")).unwrap();
    wait_for("a small message", || bob.recorder.messages().len() == 1);
    assert_eq!(bob.broker.statistics().connects, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_babbling_clients_harm_nobody() {
    let broker = EmbeddedBroker::start(EmbeddedBrokerOptions::default()).unwrap();
    let open = || TcpStream::connect(("127.0.0.1", broker.port())).unwrap();
    let silent: Vec<_> = (0..50).map(|_| open()).collect();
    for garbage in [&[0xff; 1_000][..], b"GET / HTTP/1.1\r\n\r\n", &[0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4]] {
        open().write_all(garbage).unwrap();
    }
    let alice = Peer::connect(broker.port(), "alice");
    alice.subscribe("t");
    alice.broker.publish(publish(1, "t", "hello")).unwrap();
    wait_for("the message", || alice.recorder.messages().len() == 1);
    drop(silent);
}
