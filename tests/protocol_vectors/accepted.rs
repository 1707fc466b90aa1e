//! Messages that every implementation must read, and topics.

use automerge::{ActorId, ChangeHash};
use mqtt_p2p::crypto::{Identity, actor_of};
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, Heads, Nonce, PeerId, RepositoryName, Session};
use mqtt_p2p::wire::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::by_hand;

pub(crate) const SEED: [u8; 32] = [0x11; 32];

pub(crate) fn alice() -> Identity {
    Identity::from_seed(SEED)
}

pub(crate) fn repository() -> RepositoryName {
    RepositoryName::new("my-repo").unwrap()
}

/// A name with everything that must be escaped.
pub(crate) fn document() -> DocumentId {
    DocumentId::Canvas {
        repository: repository(),
        canvas: CanvasId::new("docs/Übersicht #1+2 100%.canvas").unwrap(),
        generation: Generation(2),
    }
}

pub(crate) fn priority(number: u64) -> Priority {
    let all = [Priority::Critical, Priority::High, Priority::Medium, Priority::Low];
    *all.iter().find(|priority| priority.number() == number).unwrap()
}

/// Bytes that do not compress, so that a large message is the same with every version of zstd.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    (0_u64..).flat_map(|block| Sha256::digest(block.to_be_bytes())).take(length).collect()
}

fn heads() -> Heads {
    Heads::new(vec![ChangeHash([0xaa; 32]), ChangeHash([0x0b; 32])])
}

struct Message {
    name: &'static str,
    topic: Topic,
    body: Body,
    priority: Priority,
    max_packet_bytes: usize,
    vouches: Option<Statement>,
}

fn message(name: &'static str, topic: Topic, priority: Priority, body: Body) -> Message {
    Message { name, topic, body, priority, max_packet_bytes: 1 << 20, vouches: None }
}

fn presence(status: PresenceStatus) -> Body {
    Body::Presence(Presence {
        status,
        instance: u64::MAX,
        connection: 3,
        repositories: vec![repository(), RepositoryName::new("日本 · +/#").unwrap()],
        capabilities: vec!["canvas".to_owned(), "server".to_owned()],
        heartbeat_ms: 30_000,
    })
}

fn actor() -> ActorId {
    actor_of(&alice().peer(), [0x21; 8]).into()
}

fn voucher() -> Voucher {
    Voucher::sign(&alice(), &document(), actor(), 300, ChangeHash([0x22; 32]))
}

fn reply(content: SyncContent) -> Body {
    Body::SyncReply(SyncReply { request: Nonce(0x0123_4567_89ab_cdef), document: document(), heads: heads(), content })
}

fn about_peers() -> Vec<Message> {
    let peer = alice().peer();
    let own = Topic::Presence { repository: repository(), peer };
    let inbox = Topic::Inbox { repository: repository(), peer: PeerId([0x33; 32]) };
    let cursor = |presence: Option<&str>| {
        Body::Cursor(Cursor { presence: presence.map(str::to_owned), author: presence.map(|_| "Älice".to_owned()) })
    };
    vec![
        message("presence: birth", own.clone(), Priority::Medium, presence(PresenceStatus::Birth)),
        message("presence: answer to a birth", inbox, Priority::Medium, presence(PresenceStatus::Alive)),
        message("presence: offline", own, Priority::Critical, presence(PresenceStatus::Offline)),
        message(
            "will",
            Topic::Will { peer },
            Priority::Critical,
            Body::Will(Will { instance: u64::MAX, connection: 3 }),
        ),
        message("cursor", Topic::Cursor(document()), Priority::Low, cursor(Some("{\"x\":1.5}"))),
        message("cursor: gone", Topic::Cursor(document()), Priority::Low, cursor(None)),
        message(
            "application",
            Topic::Messages(repository()),
            Priority::Medium,
            Body::Application("{\"hello\":\"wörld\"}".to_owned()),
        ),
    ]
}

fn about_documents() -> Vec<Message> {
    let changes =
        Changes { changes: vec![vec![0x85, 0x6f, 0x4a, 0x83], vec![]], vouchers: vec![voucher()], proof: None };
    let sync = Topic::Sync(repository());
    let inbox = Topic::Inbox { repository: repository(), peer: PeerId([0x33; 32]) };
    let index = DocumentId::Index { repository: repository() };
    let part = b"a part of a snapshot".to_vec();
    let digest = Sha256::digest(&part).into();
    let request = Body::SyncRequest(SyncRequest {
        request: Nonce(0x0123_4567_89ab_cdef),
        document: index.clone(),
        heads: heads(),
        have: vec![ChangeHash([0x44; 32]), ChangeHash([0x43; 32])],
    });
    let announcement =
        Body::SyncAnnouncement(SyncAnnouncement { request: Nonce(0x0123_4567_89ab_cdef), heads: Heads::default() });
    let heads_of_both =
        Body::HeadsAnnouncement(HeadsAnnouncement { documents: vec![(index.clone(), heads()), (document(), heads())] });
    let saved = SavedDocument { document: noise(40), vouchers: vec![voucher()] };
    let manifest = Body::Manifest(Manifest { heads: heads(), parts: vec![digest], total_bytes: 20 });
    vec![
        message("changes", Topic::Changes(document()), Priority::High, Body::Changes(changes.clone())),
        Message {
            vouches: Some(Statement::new(&document(), &actor(), 300, &ChangeHash([0x22; 32]))),
            ..message(
                "changes: vouched for by the envelope",
                Topic::Changes(document()),
                Priority::High,
                Body::Changes(Changes { vouchers: vec![], ..changes.clone() }),
            )
        },
        message("manifest", Topic::Manifest { document: document(), writer: alice().peer() }, Priority::Low, manifest),
        message(
            "snapshot part",
            Topic::SnapshotPart { document: index, digest },
            Priority::Low,
            Body::SnapshotPart(part),
        ),
        message("sync request", sync.clone(), Priority::Medium, request),
        message("sync announcement", sync.clone(), Priority::High, announcement),
        message("sync reply: changes", inbox.clone(), Priority::Low, reply(SyncContent::Changes(changes))),
        message("sync reply: saved document", inbox, Priority::Low, reply(SyncContent::Document(saved))),
        message("heads announcement", sync, Priority::Low, heads_of_both),
    ]
}

fn large() -> Vec<Message> {
    let with = |bytes: Vec<u8>| Body::Changes(Changes { changes: vec![bytes], vouchers: vec![], proof: None });
    let topic = Topic::Changes(document());
    vec![
        Message {
            max_packet_bytes: 512,
            ..message("changes: three fragments", topic.clone(), Priority::High, with(noise(700)))
        },
        message("changes: compressed", topic.clone(), Priority::High, with(b"again and ".repeat(200))),
        Message {
            max_packet_bytes: 700,
            ..message(
                "changes: compressed, two fragments",
                topic,
                Priority::High,
                with([noise(600), vec![0; 2_000]].concat()),
            )
        },
    ]
}

pub(crate) fn messages() -> Vec<Value> {
    about_peers().into_iter().chain(about_documents()).chain(large()).map(|message| vector(&message)).collect()
}

fn vector(message: &Message) -> Value {
    let session = 0xfedc_ba98_7654_3210_u64;
    let (mut counter, sent_unix_ms, nonce) = (41, 1_700_000_000_000, 0x0102_0304_0506_0708_u64);
    let stamp = Stamp {
        session: Session(session),
        counter: &mut counter,
        sent_unix_ms,
        message: Nonce(nonce),
        vouches: message.vouches,
    };
    let payloads =
        seal(&alice(), &message.topic, stamp, message.priority, &message.body, message.max_packet_bytes).unwrap();
    let topic = crate::topics().format(&message.topic);
    let parts: Vec<_> = payloads.iter().map(|payload| by_hand::split(payload)).collect();
    let mut body: Vec<u8> = parts.iter().flat_map(|parts| parts.body.clone()).collect();
    let compressed = peek(&payloads[0]).unwrap().codec == Codec::Zstd;
    if compressed {
        body = zstd::stream::decode_all(&body[..]).unwrap();
    }
    let packets: Vec<Value> = payloads
        .iter()
        .zip(&parts)
        .map(|(payload, parts)| {
            json!({
                "header": hex::encode(&parts.header),
                "signatureInput": hex::encode(by_hand::vouching_input(
                    by_hand::signature_input(&topic, &parts.header, &parts.body),
                    message.vouches,
                )),
                "payload": hex::encode(payload),
            })
        })
        .collect();
    json!({
        "name": message.name,
        "seed": hex::encode(SEED),
        "sender": alice().peer().to_string(),
        "topic": topic,
        "kind": message.body.kind().number(),
        "session": session.to_string(),
        "counter": "41",
        "sentUnixMs": sent_unix_ms.to_string(),
        "message": nonce.to_string(),
        "priority": message.priority.number(),
        "maxPacketBytes": message.max_packet_bytes,
        "vouches": message.vouches.map(|statement| hex::encode(statement.0)),
        "reproducible": !compressed,
        "bodyDiagnostic": minicbor::display(&body).to_string(),
        "body": hex::encode(body),
        "packets": packets,
    })
}

/// What owners sign for their changes, by itself and with an envelope.
pub(crate) fn vouchers() -> Vec<Value> {
    let path = Topic::Changes(document()).plain_path();
    let vector = |voucher: &Voucher| {
        let Voucher { actor, sequence, hash, owner, envelope, .. } = voucher;
        let statement = by_hand::statement(&path, actor.to_bytes(), *sequence, &hash.0);
        json!({
            "seed": hex::encode(SEED),
            "owner": owner.to_string(),
            "document": path,
            "actor": hex::encode(actor.to_bytes()),
            "statement": hex::encode(statement),
            "signatureInput": hex::encode(by_hand::vouched(envelope, &statement)),
            "voucher": hex::encode(encode_voucher(voucher).unwrap()),
        })
    };
    let envelope = [0x24; 32];
    let statement = by_hand::statement(&path, actor().to_bytes(), 300, &[0x22; 32]);
    let signature = alice().sign(&by_hand::vouched(&envelope, &statement));
    let with_envelope = Voucher { envelope, signature, ..voucher() };
    [voucher(), with_envelope].iter().map(vector).collect()
}

pub(crate) fn topics() -> Value {
    let mut accepted: Vec<String> = about_peers()
        .iter()
        .chain(&about_documents())
        .map(|message| crate::topics().format(&message.topic))
        .chain(["mind-git/v1/will/sync".to_owned(), "mind-git/v1/%00/messages".to_owned()])
        .collect();
    accepted.sort();
    accepted.dedup();
    json!({
        "accepted": accepted,
        "refused": [
            "mind-git/v1/a.b/sync",
            "mind-git/v1/a b/sync",
            "mind-git/v1/%61/sync",
            "mind-git/v1/a%2fb/sync",
            "mind-git/v1/%FF/sync",
            "mind-git/v1/%/sync",
            "mind-git/v1//sync",
            "mind-git/v1/a/sync/",
            "mind-git/v1/a/peers/z6Mk",
            "mind-git/v1/a/canvas/b/01/changes",
            "mind-git/v1/a/canvas/b/+/changes",
            "mind-git/v1/a/canvas/b/18446744073709551616/changes",
            "mind-git/v2/a/sync",
            "other/v1/a/sync",
        ],
    })
}
