//! What an application has learned from its service, and whether that was right.

use std::collections::{BTreeMap, BTreeSet};

use mqtt_p2p::canvas::{Canvas, Version};
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation};
use mqtt_p2p::sync::{CanvasEvent, CanvasEventKind, Event, Notice, Reply, SyncError};

/// What a whole canvas looked like when the application last got it.
#[derive(Clone)]
pub struct Held {
    pub version: Version,
    pub canvas: Canvas,
}

/// The application of one process.
#[derive(Default)]
pub struct Application {
    pub next_call: u64,
    /// What it knows from events alone, after having read what was there when the process began.
    pub mirrors: BTreeMap<(CanvasId, Generation), Canvas>,
    /// Canvases as it read them some time ago.
    pub held: BTreeMap<CanvasId, Held>,
    /// Outcomes of all calls.
    pub outcomes: Vec<(u64, Result<Reply, SyncError>)>,
    /// The call that reads, and what it reads.
    pub reading: BTreeMap<u64, CanvasId>,
    /// The calls that read for the first time what was there when the process began.
    pub first_reading: BTreeMap<u64, (CanvasId, Generation)>,
    /// Canvases that were there when the process began, and are still to be read: events of them mean nothing yet.
    pub unread: BTreeSet<(CanvasId, Generation)>,
    /// Whether it was told of canvases that were there when the process began.
    pub listed: bool,
    /// Whether to keep all that it is told, and all of that.
    pub keeps: bool,
    pub notices: Vec<Notice>,
    /// Documents of which it was told that they have grown to the bound.
    pub full: BTreeSet<DocumentId>,
    /// What it was told of keys that others use.
    pub key_errors: Vec<SyncError>,
}

impl Application {
    pub fn learn(&mut self, notice: Notice) {
        if self.keeps {
            self.notices.push(notice.clone());
        }
        match notice {
            Notice::Outcome { call, result } => self.outcome(call, result),
            Notice::Event(Event::Canvas(event)) => self.event(&event),
            // A broker that loses messages also loses echoes, and disks are full now and then; one that delivers two
            // manifests of a writer in another order looks as if it had gone back.
            Notice::Event(Event::Error(
                SyncError::BrokerRejected { .. } | SyncError::NotDurable { .. } | SyncError::RolledBack { .. },
            )) => {}
            Notice::Event(Event::Error(SyncError::Full { document })) => {
                assert!(self.full.insert(document.clone()), "it was told twice that {document} is full");
            }
            Notice::Event(Event::Error(
                error @ (SyncError::OtherKey { .. } | SyncError::KeyReplaced { .. } | SyncError::ShareEnded { .. }),
            )) => {
                self.key_errors.push(error);
            }
            Notice::Event(Event::Error(error)) => panic!("an error nobody asked for: {error}"),
            Notice::Event(Event::Quarantined { hash, reason, .. }) if !self.keeps => {
                panic!("{hash} was refused: {reason}")
            }
            Notice::Event(_) => {}
        }
    }

    fn outcome(&mut self, call: u64, result: Result<Reply, SyncError>) {
        if let Ok(Reply::Canvases(canvases)) = &result {
            let key = |info: &mqtt_p2p::sync::CanvasInfo| (info.entry.canvas.clone(), info.entry.generation);
            self.unread = canvases.iter().map(key).filter(|key| !self.mirrors.contains_key(key)).collect();
            self.listed = true;
        }
        let read = match &result {
            Ok(Reply::Canvas { version, json }) => Some((version.clone(), Canvas::from_json(json).unwrap())),
            _ => None,
        };
        let first = self.first_reading.remove(&call);
        if let (Some(key), Some((_, canvas))) = (&first, &read)
            && self.unread.remove(key)
        {
            self.mirrors.insert(key.clone(), canvas.clone());
        }
        if let (Some(canvas), Some((version, read))) = (self.reading.remove(&call), read) {
            self.held.insert(canvas, Held { version, canvas: read });
        }
        self.outcomes.push((call, result));
    }

    /// How a call ended, if it has.
    pub fn ended(&self, call: u64) -> Option<Result<Reply, SyncError>> {
        self.outcomes.iter().find(|(number, _)| *number == call).map(|(_, result)| result.clone())
    }

    fn event(&mut self, event: &CanvasEvent) {
        let key = (event.canvas.clone(), event.generation);
        match event.kind {
            CanvasEventKind::Created => {
                let mut canvas = Canvas::default();
                event.changes.apply_to(&mut canvas);
                self.unread.remove(&key);
                let before = self.mirrors.insert(key, canvas);
                assert!(before.is_none(), "{} was reported as new twice", event.canvas);
            }
            CanvasEventKind::Updated => match self.mirrors.get_mut(&key) {
                Some(mirror) => event.changes.apply_to(mirror),
                None => assert!(
                    !self.listed || self.unread.contains(&key),
                    "an update of {}, which was never reported",
                    event.canvas
                ),
            },
            CanvasEventKind::Deleted => {
                self.unread.remove(&key);
                self.mirrors.remove(&key);
                self.held.remove(&event.canvas);
            }
            CanvasEventKind::Shared => {}
        }
    }
}
