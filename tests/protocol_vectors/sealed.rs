//! Encrypted repositories: `tests/vectors/encryption.json`, made, and read with nothing but the primitives.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use mqtt_p2p::crypto::{Invite, Passphrase, RootSecret};
use mqtt_p2p::ids::{DocumentId, Nonce, Session};
use mqtt_p2p::wire::{
    Arrival, Body, Changes, Content, Cursor, Priority, Stamp, SyncAnnouncement, Topic, TopicSpace, read, seal_on,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::accepted::{SEED, alice, document, noise, repository};
use crate::{by_hand, hex_of};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/encryption.json");
pub(crate) const SECRET: [u8; 32] = [0x5e; 32];

/// With an accent, which is in composed form.
const PASSPHRASE: &str = "caf\u{e9} au lait";
const SALT: [u8; 16] = [0x5a; 16];

fn secret() -> RootSecret {
    RootSecret::new(SECRET)
}

pub(crate) fn space() -> TopicSpace {
    crate::topics().encrypted(Arc::new(secret()))
}

fn index() -> DocumentId {
    DocumentId::Index { repository: repository() }
}

fn topics() -> Vec<Topic> {
    let peer = alice().peer();
    vec![
        Topic::Presence { repository: repository(), peer },
        Topic::Sync(repository()),
        Topic::Inbox { repository: repository(), peer },
        Topic::Messages(repository()),
        Topic::Changes(index()),
        Topic::Manifest { document: index(), writer: peer },
        Topic::SnapshotPart { document: index(), digest: [0xd1; 32] },
        Topic::Changes(document()),
        Topic::Cursor(document()),
        Topic::Manifest { document: document(), writer: peer },
        Topic::SnapshotPart { document: document(), digest: [0xd1; 32] },
    ]
}

fn messages() -> Vec<(&'static str, Topic, Body, usize)> {
    let announcement = SyncAnnouncement { request: Nonce(7), heads: mqtt_p2p::ids::Heads::default() };
    let changes =
        Changes { changes: vec![vec![0x85, 0x6f, 0x4a, 0x83], vec![1; 300]], vouchers: Vec::new(), proof: None };
    let cursor = Cursor { presence: Some("{\"x\":1}".to_owned()), author: Some("ada".to_owned()) };
    // What does not compress is the same with every version of zstd.
    let long = Changes { changes: vec![noise(1_000)], vouchers: Vec::new(), proof: None };
    vec![
        ("announcement", Topic::Sync(repository()), Body::SyncAnnouncement(announcement), 1 << 20),
        ("changes", Topic::Changes(document()), Body::Changes(changes), 1 << 20),
        ("cursor", Topic::Cursor(document()), Body::Cursor(cursor), 1 << 20),
        ("in fragments", Topic::Changes(index()), Body::Changes(long), 1_000),
    ]
}

fn made() -> Value {
    let space = space();
    let (notices, key) = space.key_notices(&repository()).unwrap();
    let topic = |topic: &Topic| json!({ "plain": topic.plain_path(), "topic": space.format(topic) });
    let message = |(name, topic, body, max_packet_bytes): &(&str, Topic, Body, usize)| {
        let stamp = Stamp {
            session: Session(42),
            counter: &mut 7,
            sent_unix_ms: 1_700_000_000_000,
            message: Nonce(99),
            vouches: None,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let sealed = seal_on(&space, &mut rng, &alice(), (topic, body), stamp, Priority::High, *max_packet_bytes);
        let payloads: Vec<String> = sealed.unwrap().into_iter().map(hex::encode).collect();
        json!({ "name": name, "plain": topic.plain_path(), "topic": space.format(topic), "payloads": payloads })
    };
    let invite = Invite::new(SALT);
    let of_passphrase = invite.derive(&Passphrase::new(PASSPHRASE.to_owned()).unwrap()).unwrap();
    json!({
        "about": "Test vectors of encrypted repositories; docs/protocol.md, section 12, says how to read them.",
        "secret": hex::encode(SECRET),
        "keyFile": secret().to_text().as_str(),
        "passphrase": {
            "passphrase": PASSPHRASE,
            "invite": invite.to_string(),
            "keyFile": of_passphrase.to_text().as_str(),
        },
        "repository": repository().as_str(),
        "keyId": hex::encode(key.0),
        "keyNotices": space.format(&notices),
        "seed": hex::encode(SEED),
        "topics": topics().iter().map(topic).collect::<Vec<_>>(),
        "epoch": crate::epoch::made(),
        "share": crate::share::made(),
        "messages": messages().iter().map(message).collect::<Vec<_>>(),
    })
}

pub(crate) fn stored() -> Value {
    serde_json::from_str(&std::fs::read_to_string(FILE).expect("UPDATE_VECTORS=1 writes the file")).unwrap()
}

#[test]
fn the_file_is_what_this_implementation_makes() {
    let made = made();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(FILE, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    assert!(stored() == made, "the vectors changed; if that is meant, run with UPDATE_VECTORS=1");
}

#[test]
fn messages_of_the_file_are_read() {
    let space = space();
    let _ = space.format(&Topic::Sync(repository()));
    for (vector, (name, topic, body, _)) in stored()["messages"].as_array().unwrap().iter().zip(messages()) {
        let mut reassembler = mqtt_p2p::wire::Reassembler::new();
        let now = mqtt_p2p::time::Now { elapsed_ms: 0, unix_ms: 0 };
        let mut received = None;
        for payload in vector["payloads"].as_array().unwrap() {
            let payload = hex_of(payload);
            let arrival =
                read(&space, vector["topic"].as_str().unwrap(), &payload, |_: &mqtt_p2p::wire::Header| false).unwrap();
            let Arrival::Message(meant, opened) = arrival else { panic!("{name}") };
            assert_eq!(meant, topic, "{name}");
            received = match opened.content {
                Content::Whole(body) => Some(body),
                Content::Fragment(piece) => reassembler.add(now, &meant, &opened.header, &piece).unwrap(),
            };
        }
        assert_eq!(received, Some(body), "{name}");
    }
}

#[test]
fn the_passphrase_of_the_file_gives_what_the_specification_says() {
    let vector = &stored()["passphrase"];
    let invite: Vec<&str> = vector["invite"].as_str().unwrap().split(':').collect();
    let ["mqtt-p2p-invite-1", memory_kib, passes, salt, sum] = invite[..] else { panic!("{invite:?}") };
    let (memory_kib, passes): (u32, u32) = (memory_kib.parse().unwrap(), passes.parse().unwrap());
    let salt = hex::decode(salt).unwrap();
    let summed = [b"mind-git/mqtt-p2p/invite/v1", &memory_kib.to_be_bytes()[..], &passes.to_be_bytes(), &salt].concat();
    assert_eq!(sum, hex::encode(&Sha256::digest(summed)[..4]));
    let mut secret = [0; 32];
    let parameters = Params::new(memory_kib, passes, 1, Some(32)).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(vector["passphrase"].as_str().unwrap().as_bytes(), &salt, &mut secret)
        .unwrap();
    let sum = Sha256::digest([&b"mind-git/mqtt-p2p/key-file/v1"[..], &secret].concat());
    let text = format!("mqtt-p2p-key-1 {} {}\n", hex::encode(secret), hex::encode(&sum[..4]));
    assert_eq!(vector["keyFile"], text);
}

/// Bytes behind their length.
pub(crate) fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_be_bytes(), bytes].concat()
}

pub(crate) fn derived(secret: &[u8; 32], label: &str, repository: &str) -> [u8; 32] {
    let info = [counted(label.as_bytes()), counted(repository.as_bytes())].concat();
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(b"mind-git/mqtt-p2p/encryption/v1"), secret).expand(&info, &mut key).unwrap();
    key
}

pub(crate) fn name(topic_key: &[u8; 32], parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(topic_key).unwrap();
    for part in parts {
        mac.update(&counted(part));
    }
    hex::encode(&mac.finalize().into_bytes()[..16])
}

/// The hashed levels of section 10.1, put in place of the plain ones.
#[test]
fn topics_of_the_file_are_what_the_specification_says() {
    let key = derived(&SECRET, "topics", repository().as_str());
    let DocumentId::Canvas { canvas, generation, .. } = document() else { panic!() };
    let (canvas, generation) = (canvas.as_str().as_bytes(), generation.0.to_be_bytes());
    let digest = [0xd1; 32];
    for topic in stored()["topics"].as_array().unwrap() {
        let plain: Vec<&str> = topic["plain"].as_str().unwrap().split('/').collect();
        let mut levels: Vec<String> = plain.iter().map(|level| (*level).to_owned()).collect();
        levels[1] = name(&key, &[b"repository"]);
        if plain[2] == "canvas" {
            levels[3] = name(&key, &[b"canvas", canvas]);
            levels[4] = name(&key, &[b"generation", canvas, &generation]);
        }
        if plain[plain.len() - 2] == "snapshot" {
            *levels.last_mut().unwrap() = match plain[2] {
                "index" => name(&key, &[b"index part", &digest]),
                _ => name(&key, &[b"part", canvas, &generation, &digest]),
            };
        }
        assert_eq!(topic["topic"], format!("mind-git/{}", levels.join("/")));
    }
}

/// Taken apart without this implementation: frame, signature, key id, associated data, sealed content, padding.
#[test]
fn messages_of_the_file_are_what_the_specification_says() {
    let file = stored();
    assert_eq!(file["keyId"], json!(hex::encode(derived(&SECRET, "key id", repository().as_str()))));
    let cipher = XChaCha20Poly1305::new(&derived(&SECRET, "sealing", repository().as_str()).into());
    for vector in file["messages"].as_array().unwrap() {
        let (text, plain) = (vector["topic"].as_str().unwrap(), vector["plain"].as_str().unwrap());
        for payload in vector["payloads"].as_array().unwrap() {
            let parts = by_hand::split(&hex_of(payload));
            let input = by_hand::signature_input(text, &parts.header, &parts.body);
            assert_eq!(alice().sign(&input)[..], parts.signature);
            // Keys 9 and 10 end the header.
            let (_, seal) = parts.header.split_at(parts.header.len() - 62);
            assert_eq!((&seal[..3], &seal[35..38]), (&[9, 0x58, 32][..], &[10, 0x58, 24][..]));
            assert_eq!(seal[3..35], hex_of(&file["keyId"]));
            let nonce: [u8; 24] = seal[38..].try_into().unwrap_or_else(|_| panic!());
            let path = text.strip_prefix("mind-git/").unwrap();
            let domain = b"mind-git/mqtt-p2p/sealed/v1".to_vec();
            let aad = [domain, counted(path.as_bytes()), counted(&parts.header)].concat();
            let content = cipher.decrypt(&nonce.into(), Payload { msg: &parts.body, aad: &aad }).unwrap();
            let length = usize::from(u16::from_be_bytes([content[0], content[1]]));
            assert_eq!(&content[2..2 + length], plain.as_bytes());
            let end = content.iter().rposition(|byte| *byte != 0).unwrap();
            assert_eq!(content[end], 0x80);
            assert!(content.len() == 256 || content.len().is_multiple_of(16));
        }
    }
}
