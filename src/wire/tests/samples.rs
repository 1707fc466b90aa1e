//! Arbitrary identifiers, bodies and topics, and short ways to seal them.

use automerge::ChangeHash;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::crypto::identity::Identity;
use crate::crypto::{KeyId, NameTag};
use crate::ids::{CanvasId, DocumentId, Generation, Heads, Nonce, PeerId, RepositoryName, Session};
use crate::limits::{DEFAULT_MAX_MESSAGE_BYTES, MAX_NAME_BYTES};
use crate::wire::envelope::{Priority, Stamp, seal};
use crate::wire::epoch_record::{EpochRecord, Recipient};
use crate::wire::error::WireError;
use crate::wire::member::{MemberStatement, Role};
use crate::wire::messages::*;
use crate::wire::party::{Members, Party};
use crate::wire::topics::Topic;
use crate::wire::voucher::Voucher;

/// The sender of all samples.
pub(in crate::wire) fn alice() -> Identity {
    Identity::from_seed([1; 32])
}

/// A name of anything that a topic or a terminal treats specially, or of anything at all.
fn name() -> impl Strategy<Value = String> {
    const HOSTILE: &[&str] =
        &["+", "#", "/", "\0", "$SYS", ".", "..", "%", "%2F", "will", "sync", "é", "日", " ", "v1", "a"];
    prop_oneof![
        "[A-Za-z0-9_-]{1,20}",
        vec(prop::sample::select(HOSTILE), 1..6).prop_map(|parts| parts.concat()),
        any::<String>(),
    ]
    .prop_filter("a name has 1 to MAX_NAME_BYTES bytes", |name| (1..=MAX_NAME_BYTES).contains(&name.len()))
}

pub(in crate::wire) fn repository() -> impl Strategy<Value = RepositoryName> {
    name().prop_map(|name| RepositoryName::new(&name).unwrap())
}

pub(in crate::wire) fn document() -> impl Strategy<Value = DocumentId> {
    let canvas = (repository(), name(), any::<u64>()).prop_map(|(repository, canvas, generation)| DocumentId::Canvas {
        repository,
        canvas: CanvasId::new(&canvas).unwrap(),
        generation: Generation(generation),
    });
    prop_oneof![repository().prop_map(|repository| DocumentId::Index { repository }), canvas]
}

fn hash() -> impl Strategy<Value = ChangeHash> {
    any::<[u8; 32]>().prop_map(ChangeHash)
}

fn heads() -> impl Strategy<Value = Heads> {
    vec(hash(), 0..5).prop_map(Heads::new)
}

fn nonce() -> impl Strategy<Value = Nonce> {
    any::<u64>().prop_map(Nonce)
}

fn changes() -> impl Strategy<Value = Changes> {
    let voucher = (vec(any::<u8>(), 24..=40), any::<u64>(), hash(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(
        |(actor, sequence, hash, owner, half)| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&half);
            Voucher { actor: actor.into(), sequence, hash, owner: PeerId(owner), envelope: owner, signature }
        },
    );
    (vec(vec(any::<u8>(), 0..200), 0..5), vec(voucher, 0..3)).prop_map(|(changes, vouchers)| Changes {
        changes,
        vouchers,
        proof: None,
    })
}

fn presence() -> impl Strategy<Value = Presence> {
    let status = prop::sample::select(vec![PresenceStatus::Birth, PresenceStatus::Alive, PresenceStatus::Offline]);
    (status, any::<u64>(), any::<u64>(), vec(repository(), 0..4), vec("[a-z]{0,9}", 0..4), any::<u64>()).prop_map(
        |(status, instance, connection, repositories, capabilities, heartbeat_ms)| Presence {
            status,
            instance,
            connection,
            repositories,
            capabilities,
            heartbeat_ms,
        },
    )
}

fn reply() -> impl Strategy<Value = SyncReply> {
    let content = prop_oneof![
        changes().prop_map(SyncContent::Changes),
        (vec(any::<u8>(), 0..2_000), changes()).prop_map(|(document, Changes { vouchers, .. })| {
            SyncContent::Document(SavedDocument { document, vouchers })
        })
    ];
    (nonce(), document(), heads(), content).prop_map(|(request, document, heads, content)| SyncReply {
        request,
        document,
        heads,
        content,
    })
}

fn epoch() -> impl Strategy<Value = EpochRecord> {
    let recipients = prop::collection::btree_map(any::<[u8; 32]>(), any::<[u8; 32]>(), 0..5);
    (1..=u64::MAX, any::<[[u8; 32]; 5]>(), recipients).prop_map(
        |(epoch, [previous, key, sender, signer, half], map)| {
            let wrapped = |half: [u8; 32]| std::array::from_fn(|at| half.get(at).copied().unwrap_or_default());
            let recipient = |(peer, half)| Recipient { peer: PeerId(peer), wrapped: wrapped(half) };
            let recipients = map.into_iter().map(recipient).collect();
            let signature = std::array::from_fn(|at| half.get(at).copied().unwrap_or_default());
            let (previous, key, signer) = (KeyId(previous), KeyId(key), PeerId(signer));
            EpochRecord { epoch, previous, key, sender, recipients, signer, signature }
        },
    )
}

fn members() -> impl Strategy<Value = Members> {
    let party = (repository(), any::<u64>(), option::of(any::<[u8; 32]>()));
    let party = party.prop_map(|(repository, number, root)| Party { repository, number, root: root.map(PeerId) });
    let said = (repository(), any::<[u8; 32]>(), any::<u64>());
    let statement = said
        .prop_map(|(name, peer, number)| MemberStatement::sign(&alice(), &name, PeerId(peer), Role::Writer, number));
    (document(), vec((party, vec(statement, 0..3)), 0..4)).prop_map(|(document, parties)| Members { document, parties })
}

/// A body of any kind.
pub(in crate::wire) fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        presence().prop_map(Body::Presence),
        any::<(u64, u64)>().prop_map(|(instance, connection)| Body::Will(Will { instance, connection })),
        changes().prop_map(Body::Changes),
        (heads(), vec(any::<[u8; 32]>(), 0..5), any::<u64>())
            .prop_map(|(heads, parts, total_bytes)| Body::Manifest(Manifest { heads, parts, total_bytes })),
        vec(any::<u8>(), 0..2_000).prop_map(Body::SnapshotPart),
        (nonce(), document(), heads(), vec(hash(), 0..5)).prop_map(|(request, document, heads, have)| {
            Body::SyncRequest(SyncRequest { request, document, heads, have })
        }),
        (nonce(), heads()).prop_map(|(request, heads)| Body::SyncAnnouncement(SyncAnnouncement { request, heads })),
        reply().prop_map(Body::SyncReply),
        vec((document(), heads()), 0..4).prop_map(|documents| Body::HeadsAnnouncement(HeadsAnnouncement { documents })),
        (option::of(any::<String>()), option::of("\\PC{0,20}"))
            .prop_map(|(presence, author)| Body::Cursor(Cursor { presence, author })),
        any::<String>().prop_map(Body::Application),
        (any::<bool>(), any::<[u8; 32]>()).prop_map(|(asks, key)| Body::KeyNotice(KeyNotice { asks, key: KeyId(key) })),
        epoch().prop_map(Box::new).prop_map(Body::Epoch),
        members().prop_map(Body::Members),
    ]
}

/// A topic of any kind.
pub(in crate::wire) fn topic() -> impl Strategy<Value = Topic> {
    let peer = || any::<[u8; 32]>().prop_map(PeerId);
    prop_oneof![
        (repository(), peer()).prop_map(|(repository, peer)| Topic::Presence { repository, peer }),
        peer().prop_map(|peer| Topic::Will { peer }),
        document().prop_map(Topic::Changes),
        (document(), peer()).prop_map(|(document, writer)| Topic::Manifest { document, writer }),
        (document(), any::<[u8; 32]>()).prop_map(|(document, digest)| Topic::SnapshotPart { document, digest }),
        document().prop_map(Topic::Cursor),
        repository().prop_map(Topic::Sync),
        (repository(), peer()).prop_map(|(repository, peer)| Topic::Inbox { repository, peer }),
        repository().prop_map(Topic::Messages),
        any::<[u8; 16]>().prop_map(|tag| Topic::KeyNotices(NameTag(tag))),
        repository().prop_map(Topic::Epoch),
    ]
}

/// A topic on which [`alice`] may publish the body.
pub(in crate::wire) fn home_of(body: &Body, document: DocumentId) -> Topic {
    let repository = document.repository().clone();
    let peer = alice().peer();
    match body {
        Body::Presence(_) => Topic::Presence { repository, peer },
        Body::Will(_) => Topic::Will { peer },
        Body::Changes(_) => Topic::Changes(document),
        Body::Manifest(_) => Topic::Manifest { document, writer: peer },
        Body::SnapshotPart(part) => Topic::SnapshotPart { document, digest: Sha256::digest(part).into() },
        Body::SyncRequest(_) | Body::SyncAnnouncement(_) | Body::HeadsAnnouncement(_) | Body::Members(_) => {
            Topic::Sync(repository)
        }
        Body::SyncReply(_) => Topic::Inbox { repository, peer },
        Body::Cursor(_) => Topic::Cursor(document),
        Body::Application(_) => Topic::Messages(repository),
        Body::KeyNotice(_) => Topic::KeyNotices(NameTag([7; 16])),
        Body::Epoch(_) => Topic::Epoch(repository),
    }
}

/// Bytes that do not compress.
pub(in crate::wire) fn noise(length: usize) -> Vec<u8> {
    (0_u64..).flat_map(|block| Sha256::digest(block.to_be_bytes())).take(length).collect()
}

/// An application message that does not fit a packet of 4 KiB, compressed as it may be.
pub(in crate::wire) fn long_message() -> Body {
    Body::Application(hex::encode(noise(20_000)))
}

/// A document to which nothing special applies.
pub(in crate::wire) fn plain_document() -> DocumentId {
    DocumentId::Canvas {
        repository: RepositoryName::new("repo").unwrap(),
        canvas: CanvasId::new("board").unwrap(),
        generation: Generation(1),
    }
}

/// One body of each kind, small.
pub(in crate::wire) fn one_of_each() -> Vec<Body> {
    let repository = RepositoryName::new("repo").unwrap();
    let heads = Heads::new(vec![ChangeHash([3; 32]), ChangeHash([4; 32])]);
    let changes = Changes {
        changes: vec![vec![5; 40], vec![6; 20]],
        vouchers: vec![Voucher {
            actor: [7; 24].into(),
            sequence: 9,
            hash: ChangeHash([8; 32]),
            owner: alice().peer(),
            envelope: [6; 32],
            signature: [9; 64],
        }],
        proof: None,
    };
    vec![
        Body::Presence(Presence {
            status: PresenceStatus::Birth,
            instance: u64::MAX,
            connection: 1,
            repositories: vec![repository],
            capabilities: vec!["canvas".to_owned()],
            heartbeat_ms: 30_000,
        }),
        Body::Will(Will { instance: u64::MAX, connection: 1 }),
        Body::Changes(changes.clone()),
        Body::Manifest(Manifest { heads: heads.clone(), parts: vec![[1; 32]], total_bytes: 1_000 }),
        Body::SnapshotPart(vec![2; 50]),
        Body::SyncRequest(SyncRequest {
            request: Nonce(1),
            document: plain_document(),
            heads: heads.clone(),
            have: vec![ChangeHash([2; 32])],
        }),
        Body::SyncAnnouncement(SyncAnnouncement { request: Nonce(1), heads: heads.clone() }),
        Body::SyncReply(SyncReply {
            request: Nonce(1),
            document: plain_document(),
            heads: heads.clone(),
            content: SyncContent::Changes(changes),
        }),
        Body::HeadsAnnouncement(HeadsAnnouncement { documents: vec![(plain_document(), heads)] }),
        Body::Cursor(Cursor { presence: Some("{\"x\":1}".to_owned()), author: None }),
        Body::Application("{\"hello\":\"world\"}".to_owned()),
        Body::KeyNotice(KeyNotice { asks: true, key: KeyId([6; 32]) }),
        Body::Epoch(Box::new(EpochRecord {
            epoch: 1,
            previous: KeyId([6; 32]),
            key: KeyId([7; 32]),
            sender: [8; 32],
            recipients: vec![Recipient { peer: alice().peer(), wrapped: [9; 48] }],
            signer: alice().peer(),
            signature: [10; 64],
        })),
        Body::Members(Members {
            document: plain_document(),
            parties: vec![(
                Party { repository: RepositoryName::new("other").unwrap(), number: 1, root: Some(PeerId([11; 32])) },
                vec![MemberStatement::sign(
                    &alice(),
                    &RepositoryName::new("other").unwrap(),
                    PeerId([12; 32]),
                    Role::Writer,
                    1,
                )],
            )],
        }),
    ]
}

/// Seals as [`alice`], with the longest header there is, unless the counter is small.
pub(in crate::wire) fn try_seal(
    topic: &Topic,
    body: &Body,
    max_packet_bytes: usize,
    counter: &mut u64,
) -> Result<Vec<Vec<u8>>, WireError> {
    let (session, message) = (Session(u64::MAX), Nonce(u64::MAX));
    let stamp = Stamp { session, counter, sent_unix_ms: u64::MAX, message, vouches: None };
    seal(&alice(), topic, stamp, Priority::High, body, max_packet_bytes)
}

/// Why [`alice`] cannot send a body; checks that the attempt used no number.
pub(in crate::wire) fn refusal(topic: &Topic, body: &Body, max_packet_bytes: usize) -> WireError {
    let mut counter = 5;
    let error = try_seal(topic, body, max_packet_bytes, &mut counter).unwrap_err();
    assert_eq!(counter, 5);
    error
}

/// The one packet of a small body from [`alice`].
pub(in crate::wire) fn sealed(topic: &Topic, body: &Body) -> Vec<u8> {
    let mut packets = try_seal(topic, body, DEFAULT_MAX_MESSAGE_BYTES, &mut 0).unwrap();
    assert_eq!(packets.len(), 1);
    packets.remove(0)
}
