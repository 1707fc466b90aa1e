//! `tests/vectors/protocol.json` and this implementation agree. `UPDATE_VECTORS=1` writes the file anew; what then differs
//! is a change of the protocol.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

mod accepted;
mod by_hand;
mod epoch;
mod refused;
mod sealed;
mod share;

use mqtt_p2p::crypto::Identity;
use mqtt_p2p::ids::{Nonce, Session};
use mqtt_p2p::time::Now;
use mqtt_p2p::wire::{
    Body, Codec, Content, Reassembler, Stamp, Statement, Topic, TopicSpace, decode_voucher, open, seal,
};
use serde_json::{Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/protocol.json");

pub(crate) fn topics() -> TopicSpace {
    TopicSpace::new("mind-git").unwrap()
}

pub(crate) fn hex_of(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("hexadecimal text")).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_str().expect("a number as text").parse().unwrap()
}

fn stored() -> Value {
    let text = std::fs::read_to_string(FILE).expect("UPDATE_VECTORS=1 writes the file");
    serde_json::from_str(&text).unwrap()
}

fn array<'a>(file: &'a Value, name: &str) -> &'a Vec<Value> {
    let array = file[name].as_array().unwrap();
    assert!(!array.is_empty());
    array
}

fn identity(vector: &Value) -> Identity {
    Identity::from_seed(hex_of(&vector["seed"]).try_into().unwrap())
}

fn topic(vector: &Value) -> Topic {
    let text = vector["topic"].as_str().unwrap();
    topics().parse(text).unwrap_or_else(|| panic!("{text} is a topic"))
}

fn vouches(vector: &Value) -> Option<Statement> {
    vector["vouches"].as_str().map(|_| Statement(hex_of(&vector["vouches"]).try_into().unwrap()))
}

/// What a receiver makes of all packets, last first, and whether any of them is compressed.
fn receive(topic: &Topic, packets: &[Vec<u8>]) -> (Body, bool) {
    let mut reassembler = Reassembler::new();
    let now = Now { elapsed_ms: 0, unix_ms: 0 };
    for packet in packets.iter().rev() {
        let opened = open(topic, packet).unwrap();
        let compressed = opened.header.codec != Codec::None;
        let body = match opened.content {
            Content::Whole(body) => Some(body),
            Content::Fragment(piece) => reassembler.add(now, topic, &opened.header, &piece).unwrap(),
        };
        if let Some(body) = body {
            return (body, compressed);
        }
    }
    panic!("the message is not complete")
}

#[test]
fn the_file_is_what_this_implementation_makes() {
    let made = json!({
        "about": "Test vectors of the wire protocol; docs/protocol.md, section 12, says how to read them.",
        "topics": accepted::topics(),
        "accepted": accepted::messages(),
        "refused": refused::payloads(),
        "vouchers": accepted::vouchers(),
    });
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(FILE, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    assert!(
        stored() == made,
        "the vectors changed; if that is meant, run with UPDATE_VECTORS=1 and look at the difference"
    );
}

#[test]
fn topics_of_the_file_are_read_or_ignored() {
    let file = stored();
    for text in array(&file["topics"], "accepted") {
        let topic = topics().parse(text.as_str().unwrap()).unwrap();
        assert_eq!(topics().format(&topic), text.as_str().unwrap());
    }
    for text in array(&file["topics"], "refused") {
        assert_eq!(topics().parse(text.as_str().unwrap()), None, "{text}");
    }
}

#[test]
fn vouchers_of_the_file_hold() {
    for vector in array(&stored(), "vouchers") {
        let path = format!("mind-git/{}", vector["document"].as_str().unwrap());
        let Some(Topic::Changes(document)) = topics().parse(&path) else { panic!("{path}") };
        let voucher = decode_voucher(&hex_of(&vector["voucher"])).unwrap();
        assert_eq!(voucher.verify(&document), Ok(()));
        assert_eq!(
            hex::encode(identity(vector).sign(&hex_of(&vector["signatureInput"]))),
            hex::encode(voucher.signature)
        );
    }
}

#[test]
fn accepted_messages_of_the_file_open_and_seal_again() {
    for vector in array(&stored(), "accepted") {
        let name = &vector["name"];
        let (topic, identity) = (topic(vector), identity(vector));
        assert_eq!(json!(identity.peer().to_string()), vector["sender"], "{name}");
        let payloads: Vec<_> = array(vector, "packets").iter().map(|packet| hex_of(&packet["payload"])).collect();
        let (body, compressed) = receive(&topic, &payloads);
        assert_eq!(json!(!compressed), vector["reproducible"], "{name}");

        let mut counter = number(&vector["counter"]);
        let stamp = Stamp {
            session: Session(number(&vector["session"])),
            counter: &mut counter,
            sent_unix_ms: number(&vector["sentUnixMs"]),
            message: Nonce(number(&vector["message"])),
            vouches: vouches(vector),
        };
        let priority = accepted::priority(vector["priority"].as_u64().unwrap());
        let max_packet_bytes = usize::try_from(vector["maxPacketBytes"].as_u64().unwrap()).unwrap();
        let sealed = seal(&identity, &topic, stamp, priority, &body, max_packet_bytes).unwrap();
        if !compressed {
            assert_eq!(sealed, payloads, "{name}");
        }
    }
}

/// Header, signature and body of the file, taken apart and put together without this implementation.
#[test]
fn accepted_messages_of_the_file_are_what_the_specification_says() {
    for vector in array(&stored(), "accepted") {
        let name = &vector["name"];
        let mut whole = Vec::new();
        for packet in array(vector, "packets") {
            let parts = by_hand::split(&hex_of(&packet["payload"]));
            assert_eq!(parts.header, hex_of(&packet["header"]), "{name}");
            let input = by_hand::signature_input(vector["topic"].as_str().unwrap(), &parts.header, &parts.body);
            let input = by_hand::vouching_input(input, vouches(vector));
            assert_eq!(input, hex_of(&packet["signatureInput"]), "{name}");
            assert_eq!(identity(vector).sign(&input)[..], parts.signature, "{name}");
            whole.extend(parts.body);
        }
        if vector["reproducible"] == json!(false) {
            whole = zstd::stream::decode_all(&whole[..]).unwrap();
        }
        assert_eq!(whole, hex_of(&vector["body"]), "{name}");
        assert_eq!(json!(minicbor::display(&whole).to_string()), vector["bodyDiagnostic"], "{name}");
    }
}

#[test]
fn refused_payloads_of_the_file_are_refused_for_the_stated_reason() {
    for vector in array(&stored(), "refused") {
        let error = open(&topic(vector), &hex_of(&vector["payload"])).unwrap_err();
        assert_eq!(json!(error.label()), vector["reason"], "{}: {error}", vector["name"]);
    }
}
