//! The embedded broker, as clients see it.

#![cfg(feature = "drivers")]

mod support;

use std::net::TcpListener;

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
    wait_for("the message", || {
        bob.recorder.messages() == [("a/b".to_owned(), b"hello".to_vec(), false)]
    });
    wait_for("the acknowledgement", || alice.recorder.acknowledged() == [1]);
    alice.broker.disconnect(support::DEADLINE).await;
    bob.broker.disconnect(support::DEADLINE).await;
    broker.stop();
}

#[test]
fn says_when_the_address_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = EmbeddedBroker::start(EmbeddedBrokerOptions {
        port,
        ..Default::default()
    })
    .unwrap_err();
    assert!(
        matches!(error, EmbeddedBrokerError::AddressInUse { port: p, .. } if p == port),
        "{error}"
    );
}
