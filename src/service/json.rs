//! Outcomes and events as the JSON that applications get; `index.d.ts` documents the shapes.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::error::ServiceError;
use super::item::{CanvasItem, Item};
use crate::canvas::{CanvasChanges, Conflict};
use crate::histogram::{BUCKET_BOUNDS_US, Histogram};
use crate::ids::RepositoryName;
use crate::sync::{
    CanvasEvent, CanvasEventKind, CanvasInfo, Event, Member, Origin, PeerInfo, Reply, RepositoryStatus, SyncReport,
    Traffic, Volume,
};

/// The item that carries the outcome of a call.
pub(crate) fn outcome(call: u64, result: Result<String, ServiceError>) -> Item {
    Item::Outcome(match result {
        Ok(value) => format!(r#"{{"call":{call},"value":{value}}}"#),
        Err(error) => json!({ "call": call, "error": error_json(&error) }).to_string(),
    })
}

/// The item that carries an event.
pub(crate) fn event(name: &str, payload: &impl Serialize) -> Item {
    Item::Event(event_text(name, payload))
}

fn event_text(name: &str, payload: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Item<'a, P> {
        event: &'a str,
        payload: &'a P,
    }
    text(&Item { event: name, payload })
}

/// The payload of an `error` event.
pub(crate) fn error_json(error: &ServiceError) -> Value {
    json!({ "code": error.code(), "message": error.to_string() })
}

/// What a reply of a repository is to the application.
pub(crate) fn reply(repository: &RepositoryName, reply: &Reply) -> String {
    match reply {
        // Entries and standings are for the service itself.
        Reply::Done | Reply::Entry(_) | Reply::Standing(_) | Reply::SharingKey(_) | Reply::Share(_) => {
            "null".to_owned()
        }
        Reply::Version(version) => text(&version.to_string()),
        Reply::Canvas { version, json } => format!(r#"{{"version":{},"canvas":{json}}}"#, text(&version.to_string())),
        Reply::Canvases(canvases) => {
            text(&canvases.iter().map(|info| canvas_info(repository, info)).collect::<Vec<_>>())
        }
        Reply::Synced(report) => sync_report(repository, report).to_string(),
        Reply::Members(members) => Value::Array(members.iter().map(member).collect()).to_string(),
        Reply::Epoch(epoch) => text(epoch),
        Reply::Peers(peers) => Value::Array(peer_list(repository, peers)).to_string(),
    }
}

pub(crate) fn peer_list(repository: &RepositoryName, peers: &[PeerInfo]) -> Vec<Value> {
    peers.iter().map(|peer| peer_info(repository, peer)).collect()
}

fn member(member: &Member) -> Value {
    json!({
        "peerId": member.peer.to_string(),
        "role": member.role.word(),
        "addedBy": member.by.to_string(),
        "root": member.peer == member.by,
    })
}

fn canvas_info(repository: &RepositoryName, info: &CanvasInfo) -> Value {
    json!({
        "id": info.entry.canvas.as_str(),
        "repository": repository.as_str(),
        "origin": info.entry.origin.as_str(),
        "generation": info.entry.generation.0,
        "createdBy": info.entry.created_by,
        "nodes": info.nodes,
        "edges": info.edges,
        "version": info.version.to_string(),
        "live": info.live,
    })
}

fn sync_report(repository: &RepositoryName, report: &SyncReport) -> Value {
    let mut value = json!({
        "repository": repository.as_str(),
        "canvases": report.documents.saturating_sub(usize::from(report.canvas.is_none())),
        "answered": report.answered,
        "changesReceived": report.changes_received,
        "durationMs": report.duration_ms,
    });
    if let (Some(canvas), Value::Object(fields)) = (&report.canvas, &mut value) {
        fields.insert("canvasId".to_owned(), canvas.as_str().into());
    }
    value
}

fn peer_info(repository: &RepositoryName, peer: &PeerInfo) -> Value {
    json!({
        "id": peer.id.to_string(),
        "repository": repository.as_str(),
        "repositories": peer.repositories.iter().map(RepositoryName::as_str).collect::<Vec<_>>(),
        "capabilities": peer.capabilities,
        "lastSeen": peer.last_seen_unix_ms,
        "confirmed": peer.confirmed,
        "clockAheadMs": peer.clock_ahead_ms,
    })
}

/// The item of a repository's event; `None` for those that only concern the service.
pub(crate) fn repository_event(repository: &RepositoryName, happened: Event) -> Option<Item> {
    Some(match happened {
        Event::Ready { .. } | Event::RootTrusted(_) => return None,
        Event::Canvas(canvas) => Item::Canvas(Box::new(CanvasItem::new(repository.clone(), *canvas))),
        Event::Conflict { canvas, conflict } => {
            #[derive(Serialize)]
            struct Payload<'a> {
                repository: &'a str,
                #[serde(rename = "canvasId")]
                canvas: &'a str,
                #[serde(flatten)]
                conflict: &'a Conflict,
            }
            let payload = Payload { repository: repository.as_str(), canvas: canvas.as_str(), conflict: &conflict };
            event("conflict", &payload)
        }
        // One in which shared canvases live tells it itself, if this service takes part there.
        Event::KeyRotated(epoch) if epoch.repository != *repository => return None,
        Event::KeyRotated(epoch) => {
            let (number, peer) = (epoch.record.epoch, epoch.record.signer.to_string());
            event("key-rotated", &json!({ "repository": repository.as_str(), "epoch": number, "peerId": peer }))
        }
        Event::PeerDiscovered(peer) => event("peer-discovered", &peer_info(repository, &peer)),
        Event::PeerLeft(peer) => event("peer-left", &peer_info(repository, &peer)),
        Event::PeerThrottled(peer) => {
            let payload = json!({ "repository": repository.as_str(), "peerId": peer.to_string() });
            event("peer-throttled", &payload)
        }
        Event::Cursor { canvas, peer, author, presence } => {
            let payload = Ephemeral {
                repository: repository.as_str(),
                canvas: Some(canvas.as_str()),
                peer: peer.to_string(),
                author: author.as_deref(),
                presence: Some(raw(presence.as_deref().unwrap_or("null"))?),
                message: None,
                timestamp: None,
            };
            event("presence", &payload)
        }
        Event::Message { peer, message, timestamp_unix_ms } => {
            let payload = Ephemeral {
                repository: repository.as_str(),
                canvas: None,
                peer: peer.to_string(),
                author: None,
                presence: None,
                message: Some(raw(&message)?),
                timestamp: Some(timestamp_unix_ms),
            };
            event("message", &payload)
        }
        Event::SyncCompleted(report) => event("sync-completed", &sync_report(repository, &report)),
        Event::Error(error) => event("error", &error_json(&error.into())),
        Event::Quarantined { document, hash, reason } => {
            let remedy = if reason.starts_with("equivocation") {
                "Two processes use copies of one data directory, or an old copy was put back: \
                 see 'Backup' in docs/guarantees.md"
            } else {
                "Ask its author to update, or report it"
            };
            let message = format!(
                "change {hash} of {document} was refused and set aside ({reason}); everything else goes on. {remedy}"
            );
            event("error", &json!({ "code": "ERR_CANVAS_INVALID", "message": message }))
        }
    })
}

#[derive(Serialize)]
struct Ephemeral<'a> {
    repository: &'a str,
    #[serde(rename = "canvasId", skip_serializing_if = "Option::is_none")]
    canvas: Option<&'a str>,
    #[serde(rename = "peerId")]
    peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
}

/// What another application sent is handed on as it is, if it is JSON at all.
fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// The item of an event that happened to a canvas, with its changes; `merged` is of how many events it is made, if of several.
pub(super) fn canvas_event(
    repository: &RepositoryName,
    canvas: &CanvasEvent,
    changes: &CanvasChanges,
    merged: Option<u64>,
) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Payload<'a> {
        repository: &'a str,
        canvas_id: &'a str,
        author: &'a str,
        peer_id: String,
        origin: &'a str,
        timestamp: u64,
        version: String,
        changes: &'a CanvasChanges,
        #[serde(skip_serializing_if = "Option::is_none")]
        merged: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        shared_with: Option<&'a str>,
    }
    let name = match canvas.kind {
        CanvasEventKind::Created => "canvas-created",
        CanvasEventKind::Updated => "canvas-updated",
        CanvasEventKind::Deleted => "canvas-deleted",
        CanvasEventKind::Shared => "canvas-shared",
    };
    let payload = Payload {
        repository: repository.as_str(),
        canvas_id: canvas.canvas.as_str(),
        author: canvas.author.as_deref().unwrap_or_default(),
        peer_id: canvas.peer.to_string(),
        origin: match canvas.origin {
            Origin::Local => "local",
            Origin::Remote => "remote",
            Origin::File => "file",
        },
        timestamp: canvas.timestamp_unix_ms,
        version: canvas.version.to_string(),
        changes,
        merged,
        shared_with: canvas.shared_with.as_ref().map(RepositoryName::as_str),
    };
    event_text(name, &payload)
}

/// A repository's status.
pub(crate) fn repository_status(
    repository: &RepositoryName,
    status: &RepositoryStatus,
    files: Option<&Value>,
) -> Value {
    let statistics = &status.statistics;
    json!({
        "name": repository.as_str(),
        "epoch": status.epoch,
        "canvases": status.canvases,
        "peers": status.peers,
        "live": status.live,
        "pendingEdits": status.pending_edits,
        "bufferedChanges": status.buffered_changes,
        "catchingUp": status.catching_up,
        "edits": { "local": statistics.local_edits, "remote": statistics.remote_changes },
        "messages": {
            "sent": statistics.sent,
            "received": statistics.received,
            "gaps": statistics.gaps,
            "rejected": statistics.rejected,
        },
        "traffic": traffic(&statistics.traffic),
        "quarantined": statistics.quarantined,
        "latency": { "apply": histogram(&statistics.apply), "endToEnd": histogram(&statistics.latency) },
        "requests": { "asked": statistics.requests, "answered": statistics.answers },
        "lastSync": statistics.last_sync_unix_ms,
        "files": files,
    })
}

fn traffic(traffic: &Traffic) -> Value {
    let volume = |volume: Volume| json!({ "messages": volume.messages, "bytes": volume.bytes });
    let kinds = traffic.by_kind();
    kinds
        .map(|(kind, sent, received)| (kind.word(), json!({ "sent": volume(sent), "received": volume(received) })))
        .collect()
}

/// Cumulative, as Prometheus counts: each bucket has what is at most its bound.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn histogram(histogram: &Histogram) -> Value {
    let mut count = 0;
    let buckets = BUCKET_BOUNDS_US.iter().zip(histogram.counts()).map(|(bound_us, in_bucket)| {
        count += in_bucket;
        json!({ "atMostMs": *bound_us as f64 / 1e3, "count": count })
    });
    let buckets: Vec<_> = buckets.collect();
    json!({ "count": histogram.count(), "sumMs": histogram.sum_us() as f64 / 1e3, "buckets": buckets })
}

/// JSON text of something that always has one; `null` should that ever fail.
pub(crate) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
