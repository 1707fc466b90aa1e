//! The connection to a broker that behaves, on every kind of broker.

#![cfg(feature = "drivers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod support;

use mqtt_p2p::drivers::mqtt::{ConnectionEvent, ConnectionOptions, LastWill, Priority, Publish, PublishError, Qos};
use mqtt_p2p::limits::{DEFAULT_MAX_MESSAGE_BYTES, MAX_IN_FLIGHT_BULK_BYTES};
use support::brokers::Broker;
use support::proxy::Proxy;
use support::recorder::{Peer, publish};
use support::{DEADLINE, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn every_publish_is_acknowledged_once_and_arrives_in_order() {
    const PUBLISHES: u64 = 10_000;
    for broker in Broker::each() {
        let alice = Peer::connect(broker.port(), "alice");
        let bob = Peer::connect(broker.port(), "bob");
        bob.subscribe("t");
        for id in 0..PUBLISHES {
            // QoS 0 between QoS 1, since only the latter have packet ids.
            let qos = if id % 10 == 9 { Qos::AtMostOnce } else { Qos::AtLeastOnce };
            alice.broker.publish(Publish { qos, ..publish(id, "t", id.to_be_bytes()) }).unwrap();
        }
        wait_for("all acknowledgements", || alice.recorder.acknowledged().len() as u64 >= PUBLISHES);
        wait_for("all messages", || bob.recorder.messages().len() as u64 >= PUBLISHES);
        let mut acknowledged = alice.recorder.acknowledged();
        acknowledged.sort_unstable();
        assert_eq!(acknowledged, (0..PUBLISHES).collect::<Vec<_>>());
        let payloads: Vec<_> = bob.recorder.messages().into_iter().map(|(_, payload, _)| payload).collect();
        assert_eq!(payloads, (0..PUBLISHES).map(|id| id.to_be_bytes().to_vec()).collect::<Vec<_>>());

        wait_for("the end of all", || alice.recorder.count(|event| *event == ConnectionEvent::Drained) > 0);
        let statistics = alice.broker.statistics();
        assert!(statistics.connected);
        assert_eq!((statistics.messages_out, statistics.bytes_out), (PUBLISHES, 8 * PUBLISHES));
        assert_eq!((statistics.in_flight_messages, statistics.queued_messages), (0, 0));
        assert_eq!(statistics.round_trip.count(), PUBLISHES * 9 / 10);
        assert_eq!(bob.broker.statistics().messages_in, PUBLISHES);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_does_not_delay_live_publishes() {
    const BULK_BYTES: usize = 10_000;
    for broker in Broker::each() {
        let proxy = Proxy::start(broker.port()).await;
        let alice = Peer::connect(proxy.port, "alice");
        let bob = Peer::connect(broker.port(), "bob");
        bob.subscribe("t/#");
        proxy.pause(); // So that nothing is acknowledged before all is published.
        let bulk = |id, priority| Publish { priority, ..publish(id, "t/bulk", vec![0; BULK_BYTES]) };
        for id in 0..1_000 {
            alice.broker.publish(bulk(id, Priority::Low)).unwrap();
        }
        alice.broker.publish(bulk(1_000, Priority::Medium)).unwrap();
        alice.broker.publish(publish(1_001, "t/live", "live")).unwrap();
        proxy.resume();
        wait_for("all messages", || bob.recorder.messages().len() == 1_002);

        let messages = bob.recorder.messages();
        let live = messages.iter().position(|(topic, ..)| topic == "t/live").unwrap();
        assert!(live <= MAX_IN_FLIGHT_BULK_BYTES / BULK_BYTES, "{live} bulk messages came before the live one");
        let acknowledged = alice.recorder.acknowledged();
        let medium = acknowledged.iter().position(|id| *id == 1_000).unwrap();
        assert!(medium <= MAX_IN_FLIGHT_BULK_BYTES / BULK_BYTES + 1, "{medium} lower ones came before the medium one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_reach_later_subscribers_until_cleared() {
    const TOPICS: u64 = 300;
    for broker in Broker::each() {
        let alice = Peer::connect(broker.port(), "alice");
        for id in 0..TOPICS {
            alice.broker.publish(Publish { retain: true, ..publish(id, &format!("r/{id}"), "kept") }).unwrap();
        }
        alice.broker.publish(Publish { retain: true, ..publish(TOPICS, "r/0", "") }).unwrap();
        wait_for("acknowledgements", || alice.recorder.acknowledged().len() as u64 == TOPICS + 1);

        let bob = Peer::connect(broker.port(), "bob");
        bob.subscribe("r/+");
        wait_for("the retained messages", || bob.recorder.messages().len() as u64 >= TOPICS - 1);
        alice.broker.publish(publish(0, "r/end", "live")).unwrap();
        wait_for("a live message", || bob.recorder.messages().iter().any(|(topic, ..)| topic == "r/end"));
        let messages = bob.recorder.messages();
        assert_eq!(messages.len() as u64, TOPICS, "one was cleared, one is live");
        assert!(messages.iter().all(|(topic, _, retained)| *retained == (topic != "r/end")));

        bob.broker.unsubscribe(vec!["r/+".into()]);
        bob.subscribe("r/7");
        wait_for("it once more", || bob.recorder.messages().iter().filter(|(topic, ..)| topic == "r/7").count() == 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_will_is_published_after_a_cut_and_not_after_disconnect() {
    for broker in Broker::each() {
        let proxy = Proxy::start(broker.port()).await;
        let bob = Peer::connect(broker.port(), "bob");
        bob.subscribe("will/#");
        let start = |name: &str| {
            let will = LastWill { topic: format!("will/{name}"), payload: b"gone".to_vec() };
            let peer = Peer::start(ConnectionOptions::new("127.0.0.1", proxy.port, name), Some(will));
            peer.wait_connected(1);
            peer
        };
        let (tidy, cut) = (start("tidy"), start("cut"));
        tidy.broker.disconnect(DEADLINE).await;
        proxy.cut();
        wait_for("the will", || !bob.recorder.messages().is_empty());
        cut.wait_connected(2);
        cut.broker.publish(publish(1, "will/later", "")).unwrap();
        wait_for("a later message", || bob.recorder.messages().len() > 1);
        let messages: Vec<_> = bob.recorder.messages().into_iter().map(|(topic, ..)| topic).collect();
        assert_eq!(messages, ["will/cut", "will/later"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_payloads_pass_in_both_directions_at_once() {
    const PUBLISHES: u64 = 30;
    for broker in Broker::each() {
        let peers = [Peer::connect(broker.port(), "alice"), Peer::connect(broker.port(), "bob")];
        for peer in &peers {
            peer.subscribe("large");
        }
        for id in 0..PUBLISHES {
            for (peer, priority) in peers.iter().zip([Priority::High, Priority::Low]) {
                let payload = vec![u8::try_from(id).unwrap(); DEFAULT_MAX_MESSAGE_BYTES];
                peer.broker.publish(Publish { priority, ..publish(id, "large", payload) }).unwrap();
            }
        }
        for peer in &peers {
            wait_for("all large messages", || peer.broker.statistics().messages_in == 2 * PUBLISHES);
            wait_for("all acknowledgements", || peer.recorder.acknowledged().len() as u64 == PUBLISHES);
            assert_eq!(peer.broker.statistics().connects, 1);
            let whole = |(_, payload, _): &(String, Vec<u8>, bool)| {
                payload.len() == DEFAULT_MAX_MESSAGE_BYTES && payload.iter().all(|byte| *byte == payload[0])
            };
            assert!(peer.recorder.messages().iter().all(whole));
        }
        let too_large = publish(0, "large", vec![0; 2 * DEFAULT_MAX_MESSAGE_BYTES]);
        let error = peers[0].broker.publish(too_large).unwrap_err();
        assert!(matches!(error, PublishError::TooLarge { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_flushes_and_then_refuses() {
    const PUBLISHES: u64 = 5_000;
    for broker in Broker::each() {
        let alice = Peer::connect(broker.port(), "alice");
        let bob = Peer::connect(broker.port(), "bob");
        bob.subscribe("t");
        for id in 0..PUBLISHES {
            alice.broker.publish(publish(id, "t", vec![0; 200])).unwrap();
        }
        alice.broker.disconnect(DEADLINE).await;
        assert_eq!(alice.recorder.acknowledged().len() as u64, PUBLISHES);
        wait_for("all messages", || bob.recorder.messages().len() as u64 == PUBLISHES);
        alice.broker.disconnect(DEADLINE).await;
        assert_eq!(alice.broker.publish(publish(0, "t", "")), Err(PublishError::Closed));
        assert!(!alice.broker.statistics().connected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_subscriptions_are_all_answered() {
    for broker in Broker::each() {
        let peer = Peer::connect(broker.port(), "alice");
        let filters: Vec<_> = (0..2_000).map(|n| (format!("many/{n}"), Qos::AtLeastOnce)).collect();
        peer.broker.subscribe(filters);
        let subscribed = |event: &ConnectionEvent| matches!(event, ConnectionEvent::Subscribed { .. });
        wait_for("all answers", || peer.recorder.count(subscribed) == 2_000);
        peer.broker.publish(publish(1, "many/1999", "here")).unwrap();
        wait_for("a message", || peer.recorder.messages().len() == 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mqtt_forbids_never_reaches_the_broker() {
    let Some(broker) = Broker::each().next() else { return };
    let peer = Peer::connect(broker.port(), "alice");
    for topic in ["", "a/#", "+/b", "nul\0", &"x".repeat(65_536)] {
        let error = peer.broker.publish(publish(1, topic, "")).unwrap_err();
        assert!(matches!(error, PublishError::InvalidTopic { .. }), "{error}");
    }
    for filter in ["", "a/#/b", "a+", "nul\0", &"x".repeat(65_536)] {
        peer.broker.subscribe(vec![(filter.into(), Qos::AtLeastOnce)]);
        let rejected = ConnectionEvent::SubscribeRejected { filter: filter.into() };
        peer.recorder.wait("a rejection", |event| *event == rejected);
    }
    assert_eq!(peer.broker.statistics().connects, 1);
}
