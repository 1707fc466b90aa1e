//! What a packet says, for people who watch a broker: read-only, and total, for anything may be there.

use serde::Serialize;
use serde_json::{Value, json};

use crate::canvas::decode_change;
use crate::ids::{DocumentId, Heads};
use crate::limits::MAX_DESCRIBED_HASHES;
use crate::wire::envelope::{Content, Opened, peek};
use crate::wire::error::WireError;
use crate::wire::header::Header;
use crate::wire::messages::{Body, Changes, PresenceStatus, SyncContent};
use crate::wire::sealed::{Arrival, read};
use crate::wire::topics::{Topic, TopicSpace};

/// What could be made of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Verified, and read.
    Message,
    /// Verified; a piece of a message.
    Fragment,
    /// Sealed, and its key is not at hand. What the header says is not verified.
    Encrypted,
    /// An empty payload: a retained message was cleared.
    Empty,
    /// A peer measures a round trip with itself.
    Probe,
    /// Whatever a receiver drops; the reason says why, and what the header says is not verified.
    Refused,
}

/// What a packet says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// What could be made of it.
    pub standing: Standing,
    /// Why a receiver drops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The repository, or the level that stands for it where names are hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The canvas that it is about, or the level that stands for it where names are hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canvas: Option<String>,
    /// The kind of message in words, such as `sync-request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// When it was sent, in milliseconds since the Unix epoch by the sender's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// What the body says; null where it was not read.
    pub details: Value,
}

/// Describes a packet that arrived on a topic. `spaces` are those of the keys at hand, and one without a key.
#[must_use]
pub fn describe(spaces: &[TopicSpace], topic: &str, payload: &[u8]) -> Description {
    let keyed = spaces.iter().find(|space| space.keyed_of_text(topic).is_some());
    let Some(space) = keyed.or_else(|| spaces.iter().find(|space| !space.is_encrypted())) else {
        return refused(topic, None, &WireError::UnknownTopic);
    };
    let path = space.below(topic).unwrap_or(topic);
    if path.starts_with("v1/probe/") {
        return Description { peer: path.rsplit('/').next().map(str::to_owned), ..bare(Standing::Probe, path) };
    }
    if payload.is_empty() {
        return match space.parse(topic) {
            Some(topic) => of_topic(Standing::Empty, &topic),
            None => bare(Standing::Empty, path),
        };
    }
    match read(space, topic, payload, |_: &Header| false) {
        Ok(Arrival::Message(topic, opened)) => message(&topic, opened),
        // Nothing is our own.
        Ok(Arrival::Echo(topic)) => of_topic(Standing::Message, &topic),
        Err(error) => refused(path, peek(payload).ok(), &error),
    }
}

fn refused(path: &str, header: Option<Header>, error: &WireError) -> Description {
    let sealed = header.as_ref().is_some_and(|header| header.seal.is_some());
    let no_key =
        sealed && matches!(error, WireError::UnknownTopic | WireError::UnsupportedSealed | WireError::OtherKey);
    let standing = if no_key { Standing::Encrypted } else { Standing::Refused };
    let reason = (!no_key).then(|| error.to_string());
    let description = Description { reason, ..bare(standing, path) };
    match header {
        Some(header) => with_header(description, &header),
        None => description,
    }
}

fn message(topic: &Topic, opened: Opened<'_>) -> Description {
    let (standing, about, details) = match opened.content {
        Content::Whole(body) => (Standing::Message, document_of(&body).cloned(), details(&body)),
        Content::Fragment(piece) => {
            let fragment = opened.header.fragment;
            let (index, count) = fragment.map_or((0, 0), |fragment| (fragment.index, fragment.count));
            (Standing::Fragment, None, json!({ "index": index, "count": count, "bytes": piece.len() }))
        }
    };
    let mut description = with_header(of_topic(standing, topic), &opened.header);
    if let Some(DocumentId::Canvas { canvas, .. }) = about {
        description.canvas = Some(canvas.to_string());
    }
    Description { details, ..description }
}

fn with_header(description: Description, header: &Header) -> Description {
    Description {
        kind: Some(header.kind.word()),
        peer: Some(header.sender.to_string()),
        sent: Some(header.sent_unix_ms),
        ..description
    }
}

fn of_topic(standing: Standing, topic: &Topic) -> Description {
    let canvas = match topic {
        Topic::Changes(document)
        | Topic::Cursor(document)
        | Topic::Manifest { document, .. }
        | Topic::SnapshotPart { document, .. } => match document {
            DocumentId::Canvas { canvas, .. } => Some(canvas.to_string()),
            DocumentId::Index { .. } => None,
        },
        _ => None,
    };
    let repository = topic.repository().map(ToString::to_string);
    Description { repository, canvas, ..empty(standing) }
}

/// What a topic shows without being understood: the levels that stand for names.
fn bare(standing: Standing, path: &str) -> Description {
    let levels: Vec<&str> = path.split('/').collect();
    let (repository, canvas) = match levels.as_slice() {
        ["v1", "will" | "probe", _] => (None, None),
        ["v1", repository, "canvas", canvas, ..] => (Some(*repository), Some(*canvas)),
        ["v1", repository, ..] => (Some(*repository), None),
        _ => (None, None),
    };
    Description { repository: repository.map(str::to_owned), canvas: canvas.map(str::to_owned), ..empty(standing) }
}

fn empty(standing: Standing) -> Description {
    Description {
        standing,
        reason: None,
        repository: None,
        canvas: None,
        kind: None,
        peer: None,
        sent: None,
        details: Value::Null,
    }
}

/// The document that a body names, where the topic names none.
fn document_of(body: &Body) -> Option<&DocumentId> {
    match body {
        Body::SyncRequest(request) => Some(&request.document),
        Body::Members(members) => Some(&members.document),
        Body::SyncReply(reply) => Some(&reply.document),
        Body::HeadsAnnouncement(announcement) => match announcement.documents.as_slice() {
            [(document, _)] => Some(document),
            _ => None,
        },
        _ => None,
    }
}

fn details(body: &Body) -> Value {
    match body {
        Body::Presence(presence) => json!({
            "status": match presence.status {
                PresenceStatus::Birth => "birth",
                PresenceStatus::Alive => "alive",
                PresenceStatus::Offline => "offline",
            },
            "connection": presence.connection,
            "repositories": presence.repositories.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "capabilities": presence.capabilities,
            "heartbeatMs": presence.heartbeat_ms,
        }),
        Body::Will(will) => json!({ "connection": will.connection }),
        Body::Changes(changes) => of_changes(changes),
        Body::Manifest(manifest) => json!({
            "heads": hashes(&manifest.heads),
            "parts": manifest.parts.len(),
            "totalBytes": manifest.total_bytes,
        }),
        Body::SnapshotPart(part) => json!({ "bytes": part.len() }),
        Body::SyncRequest(request) => {
            json!({ "document": request.document.to_string(), "heads": hashes(&request.heads) })
        }
        Body::SyncAnnouncement(announcement) => json!({ "heads": hashes(&announcement.heads) }),
        Body::SyncReply(reply) => {
            let content = match &reply.content {
                SyncContent::Changes(changes) => json!({ "changes": changes.changes.len() }),
                SyncContent::Document(saved) => json!({ "documentBytes": saved.document.len() }),
            };
            let document = reply.document.to_string();
            json!({ "document": document, "heads": hashes(&reply.heads), "content": content })
        }
        Body::HeadsAnnouncement(announcement) => {
            let documents = announcement.documents.iter();
            let documents = documents.map(|(id, heads)| json!({ "document": id.to_string(), "heads": hashes(heads) }));
            json!({ "documents": documents.collect::<Vec<_>>() })
        }
        Body::Cursor(cursor) => json!({
            "presence": cursor.presence.as_deref().map(value),
            "author": cursor.author,
        }),
        Body::Application(message) => json!({ "message": value(message) }),
        Body::Epoch(record) => json!({
            "epoch": record.epoch,
            "previous": hex::encode(&record.previous.0[..8]),
            "key": hex::encode(&record.key.0[..8]),
            "recipients": record.recipients.iter().map(|recipient| recipient.peer.to_string()).collect::<Vec<_>>(),
            "signer": record.signer.to_string(),
        }),
        Body::Members(members) => json!({
            "parties": members.parties.iter().map(|(party, statements)| json!({
                "repository": party.repository.as_str(),
                "root": party.root.map(|root| root.to_string()),
                "statements": statements.len(),
            })).collect::<Vec<_>>(),
        }),
        Body::KeyNotice(notice) => json!({ "asks": notice.asks, "key": hex::encode(&notice.key.0[..8]) }),
    }
}

fn of_changes(changes: &Changes) -> Value {
    let decoded: Vec<_> = changes.changes.iter().filter_map(|bytes| decode_change(bytes.clone()).ok()).collect();
    let depended: std::collections::BTreeSet<_> = decoded.iter().flat_map(automerge::Change::deps).collect();
    let heads: Heads = decoded.iter().map(automerge::Change::hash).filter(|hash| !depended.contains(hash)).collect();
    json!({
        "changes": changes.changes.len(),
        "unreadable": changes.changes.len() - decoded.len(),
        "operations": decoded.iter().map(automerge::Change::len).sum::<usize>(),
        "bytes": changes.changes.iter().map(Vec::len).sum::<usize>(),
        "heads": hashes(&heads),
    })
}

fn hashes(heads: &Heads) -> Vec<String> {
    heads.as_slice().iter().take(MAX_DESCRIBED_HASHES).map(ToString::to_string).collect()
}

/// What an application sent: JSON, or what it is instead.
fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned()))
}
