//! Documents that only storage has: unloaded for want of use, or not needed since the process began.

use std::collections::BTreeSet;

use automerge::ChangeHash;

use super::content::Content;
use super::document::{Actor, Document, State};
use super::error::SyncError;
use super::io::{Command, Event};
use super::stored::{KnownDocument, StoreOperation, StoredDocument, Summary};
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::timers::Timer;
use crate::canvas::Memory;
use crate::ids::{DocumentId, Heads};
use crate::limits::{ANNOUNCE_MAX_MS, ANNOUNCE_MIN_MS, MAX_PARKED_MESSAGES};
use crate::wire::{Body, Header, HeadsAnnouncement, Topic};

/// A document that is not in memory.
///
/// | state | touched | loaded | unneeded for long |
/// | --- | --- | --- | --- |
/// | asleep | loading | – | – |
/// | loading | loading (what touched it is parked) | awake: a [`Document`] | – |
/// | awake | awake | – | asleep, if storage and broker have all of it |
#[derive(Debug)]
pub(super) struct Asleep {
    pub(super) summary: Summary,
    pub(super) live: bool,
    pub(super) reported: bool,
    /// See [`Document`].
    pub(super) full: bool,
    pub(super) actor: Actor,
    quarantined: BTreeSet<ChangeHash>,
    memory: Option<Memory>,
    loading: Option<Loading>,
}

/// What gathers while storage reads a document.
#[derive(Debug, Default)]
struct Loading {
    /// What waits for it, in the order in which it came.
    parked: Vec<Parked>,
    messages: usize,
    /// Of their changes.
    bytes: usize,
    /// Whether messages were dropped meanwhile.
    behind: bool,
}

/// What waits for a document to be loaded.
#[derive(Debug)]
pub(super) enum Parked {
    /// A call of the application. Bounded by the calls that the driver takes.
    Command { call: u64, command: Command },
    /// A verified message; at most [`MAX_PARKED_MESSAGES`], and so many bytes as [`Bounds`](super::Bounds) says for all documents.
    Message { topic: Topic, header: Box<Header>, body: Body, retained: bool },
    /// It is to be caught up with, for a call that waits.
    Ask,
}

impl Asleep {
    pub(super) fn new(summary: Summary, live: bool, actor: Actor) -> Self {
        Self {
            reported: summary.heads != Heads::default(),
            summary,
            live,
            full: false,
            actor,
            quarantined: BTreeSet::new(),
            memory: None,
            loading: None,
        }
    }

    /// What an earlier process has left.
    fn left(known: KnownDocument, live: bool) -> (DocumentId, Self) {
        let actor = known.actor.map_or(Actor::None, Actor::Left);
        (known.document, Self::new(known.summary, live, actor))
    }
}

impl CanvasP2PSynchronizer {
    /// An earlier process has left these documents. The index is needed at once; canvases wait until they are touched, but
    /// those with edits that the broker may lack.
    pub(super) fn on_restored(
        &mut self,
        step: &mut Step,
        documents: Vec<KnownDocument>,
        index: Option<StoredDocument>,
    ) {
        let index_id = self.index_id();
        if documents.iter().any(|known| known.actor.is_some()) {
            self.saver.operation(StoreOperation::ForgetActors);
            self.actors_free_at = Some(self.saver.covering());
        }
        if let Some(marks) = index.as_ref().and_then(|index| index.heard.as_deref()) {
            self.heard.restore(marks);
        }
        let live = self.config.live;
        let (own, others): (Vec<_>, Vec<_>) = documents.into_iter().partition(|known| known.document == index_id);
        if let (Some(stored), Some(known)) = (index, own.into_iter().next()) {
            let (_, asleep) = Asleep::left(known, live);
            self.wake_up(step, &index_id, asleep, Some(stored));
            self.follow_shares(step);
        }
        for known in others {
            let (id, mut asleep) = Asleep::left(known, live);
            let is_index = matches!(id, DocumentId::Index { .. });
            let listed = is_index || self.canvas_of(&id).is_some();
            asleep.reported &= listed;
            if !listed && self.was_deleted(&id) {
                self.keep_closed(Closed::Asleep(id, Box::new(asleep)));
                continue;
            }
            // What the index has never heard of is kept: perhaps the index was lost, and comes back from others.
            let needed = is_index || asleep.summary.unsent;
            self.asleep.insert(id.clone(), asleep);
            if needed {
                self.wake(step, &id);
            }
        }
        self.open_listed(step);
    }

    /// What the index lists and storage does not have yet is opened, and caught up with.
    fn open_listed(&mut self, step: &mut Step) {
        let entries: Vec<_> = self.index().map(|index| index.entries().values().cloned().collect()).unwrap_or_default();
        let source = self.here(step);
        for entry in entries {
            self.open(step, &super::repository::document_id(&entry), None, source);
        }
    }

    /// Keeps what needs a document that is asleep until it has been loaded.
    pub(super) fn park(&mut self, step: &mut Step, id: &DocumentId, parked: Parked) {
        self.wake(step, id);
        let Some(loading) = self.asleep.get_mut(id).and_then(|asleep| asleep.loading.as_mut()) else { return };
        if let Parked::Message { body, .. } = &parked {
            let bytes = bytes_of(body);
            let all = self.bounded.parked_bytes + bytes;
            let too_much = all > bytes && all > self.config.bounds.parked_bytes;
            loading.messages += 1;
            if too_much || loading.messages > MAX_PARKED_MESSAGES {
                loading.behind = true;
                return self.statistics.reject("document is loading");
            }
            loading.bytes += bytes;
            self.bounded.parked_bytes = all;
        }
        loading.parked.push(parked);
    }

    /// Begins to load a document.
    pub(super) fn wake(&mut self, step: &mut Step, id: &DocumentId) {
        if let Some(asleep) = self.asleep.get_mut(id)
            && asleep.loading.is_none()
        {
            asleep.loading = Some(Loading::default());
            step.out.load.push(id.clone());
        }
    }

    /// Storage has brought a document back, also one that was damaged in memory.
    pub(super) fn on_loaded(&mut self, step: &mut Step, id: &DocumentId, stored: Option<StoredDocument>) {
        match self.asleep.remove(id) {
            Some(asleep) => self.wake_up(step, id, asleep, stored),
            None => self.restore_damaged(step, id, stored.unwrap_or_default()),
        }
    }

    fn wake_up(&mut self, step: &mut Step, id: &DocumentId, asleep: Asleep, stored: Option<StoredDocument>) {
        let mut document = Document::new(id.clone(), asleep.live);
        document.set_quarantined(asleep.quarantined);
        document.actor = asleep.actor;
        let mut stored = stored.unwrap_or_default();
        let (acknowledged, vouchers) = (stored.acknowledged.clone(), std::mem::take(&mut stored.vouchers));
        match Content::restore(id, stored, |hash| document.is_quarantined(hash)) {
            Ok(content) => document.content = content,
            Err(error) => step.event(Event::Error(error.into())),
        }
        document.take_actor_again(&self.peer, step.rng);
        document.vouching.restore(vouchers, document.content.replica().newest_of_actors());
        if let (Content::Canvas(canvas), Some(memory)) = (&mut document.content, asleep.memory) {
            canvas.recall(memory);
        }
        let complete = document.replica().contains_all(asleep.summary.heads.as_slice());
        if !complete {
            let reason = "some of its changes cannot be read from storage; they are fetched from other peers";
            step.event(Event::Error(SyncError::NotRead { document: id.clone(), reason }));
        }
        document.state = if complete { State::Whole } else { State::Partial };
        document.reported = asleep.reported;
        document.full = asleep.full;
        document.used_ms = step.now.elapsed_ms;
        if asleep.summary.unsent {
            let sent = acknowledged.unwrap_or_default();
            document.outbox.push(&document.own_changes_since(&self.peer, sent.as_slice()), true);
        }
        tracing::debug!(target: "mqtt:sync", document = %id, complete, "loaded");
        self.documents.insert(id.clone(), document);
        self.crowded = true;
        self.after_integrating(step, id);
        if !asleep.reported && self.canvas_of(id).is_some() {
            let source = self.here(step);
            self.reappear(step, id, None, source);
        }
        self.flush(step, id);
        let Loading { parked, behind, bytes, .. } = asleep.loading.unwrap_or_default();
        self.bounded.parked_bytes -= bytes;
        if behind || !complete {
            self.ask_if_auto(step, id);
        } else if !self.asleep_announced {
            // It slept when this connection came, so it was not asked for, and will not be announced with the others.
            self.schedule_announcement(step, id);
        }
        for parked in parked {
            self.unpark(step, id, parked);
        }
    }

    fn unpark(&mut self, step: &mut Step, id: &DocumentId, parked: Parked) {
        match parked {
            Parked::Command { call, command } => self.on_command(step, call, command),
            Parked::Message { topic, header, body, retained } => {
                self.take_message(step, &topic, &header, body, retained);
            }
            Parked::Ask if self.link.is_up() => {
                self.flush_all(step, id);
                self.ask(step, id);
            }
            Parked::Ask => self.round_finished(step, id, false),
        }
    }

    /// A document that is asleep is no longer listed: calls that wait for it will not find it.
    pub(super) fn close_asleep(&mut self, step: &mut Step, id: DocumentId, mut asleep: Asleep) {
        let DocumentId::Canvas { canvas, .. } = &id else { return };
        let loading = asleep.loading.take().unwrap_or_default();
        self.bounded.parked_bytes -= loading.bytes;
        for parked in loading.parked {
            match parked {
                Parked::Command { call, command: Command::Flush } => self.flush_call(step, call),
                Parked::Command { call, .. } => Self::resolve(step, call, Err(self.not_found(canvas))),
                Parked::Message { .. } | Parked::Ask => {}
            }
        }
        asleep.reported = false;
        self.keep_closed(Closed::Asleep(id, Box::new(asleep)));
    }

    // ---- falling asleep -------------------------------------------------------------------------------------------

    /// Lets go of the documents longest untouched, while there are too many; a document that anything waits for stays.
    pub(super) fn make_room(&mut self) {
        self.crowded = false;
        let mut excess = self.documents.len().saturating_sub(self.config.max_open_canvases.saturating_add(1));
        if excess == 0 {
            return;
        }
        let mut by_use: Vec<_> =
            self.documents.values().map(|document| (document.used_ms, document.id.clone())).collect();
        by_use.sort_unstable();
        for (_, id) in by_use {
            if excess == 0 {
                return;
            }
            excess -= usize::from(self.put_to_sleep(&id));
        }
    }

    fn put_to_sleep(&mut self, id: &DocumentId) -> bool {
        let may = self.documents.get(id).is_some_and(Document::may_sleep)
            && !self.asking.contains(id)
            && !self.saver.concerns(id)
            && !self.snapshots.concerns(id)
            && !self.is_awaited(id);
        let Some(mut document) = may.then(|| self.documents.remove(id)).flatten() else { return false };
        for timer in Timer::of_document(id) {
            self.timers.clear(&timer);
        }
        let actor = match &document.actor {
            Actor::Left(mark) => Actor::Left(mark.clone()),
            _ => document.mark().map_or(Actor::None, Actor::Free),
        };
        // Of what nothing has come there is nothing to know.
        let summary = if document.reported { document.summary() } else { Summary::default() };
        let mut asleep = Asleep::new(summary, document.live, actor);
        asleep.reported = document.reported;
        asleep.full = document.full;
        asleep.quarantined = document.take_quarantined();
        asleep.memory = match document.content {
            Content::Canvas(canvas) => Some(canvas.into_memory()),
            Content::Index(_) => None,
        };
        self.asleep.insert(id.clone(), asleep);
        true
    }

    // ---- heads ----------------------------------------------------------------------------------------------------

    /// Announces the heads of all documents that are asleep: after connecting instead of asking for each, and from time to
    /// time as a safety net. Who differs wakes them.
    pub(super) fn on_announce_asleep(&mut self, step: &mut Step) {
        self.asleep_announced = true;
        self.announcing.extend(self.asleep.keys().cloned());
        let jitter_ms = step.rng.next_u64() % ANNOUNCE_MAX_MS;
        self.timers.set(Timer::AnnounceAsleep, step.now.after(ANNOUNCE_MAX_MS + jitter_ms));
    }

    /// We have just connected.
    pub(super) fn schedule_asleep(&mut self, step: &mut Step) {
        self.asleep_announced = false;
        let jitter_ms = step.rng.next_u64() % ANNOUNCE_MIN_MS;
        self.timers.set(Timer::AnnounceAsleep, step.now.after(jitter_ms));
    }

    /// Another peer's heads of a document that is asleep; only others than ours are worth waking it.
    pub(super) fn on_heads_of_asleep(&mut self, step: &mut Step, header: &Header, id: &DocumentId, heads: &Heads) {
        let differs =
            self.asleep.get(id).is_some_and(|asleep| asleep.loading.is_some() || asleep.summary.heads != *heads);
        if differs {
            let topic = Topic::Sync(self.space_of(id));
            let body = Body::HeadsAnnouncement(HeadsAnnouncement { documents: vec![(id.clone(), heads.clone())] });
            let header = Box::new(header.clone());
            let message = Parked::Message { topic, header, body, retained: false };
            self.park(step, id, message);
        }
    }
}

/// What a message holds of changes.
fn bytes_of(body: &Body) -> usize {
    match body {
        Body::Changes(changes) => changes.bytes(),
        Body::SyncReply(reply) => reply.content.bytes(),
        _ => 0,
    }
}

/// A document that no index lists any more.
pub(super) enum Closed {
    /// Still in memory.
    Awake(Box<Document>),
    /// Only in storage.
    Asleep(DocumentId, Box<Asleep>),
}

impl Closed {
    /// Whether the broker may lack some of it.
    pub(super) fn is_unsent(&self) -> bool {
        match self {
            Self::Awake(document) => document.outbox.len() > 0,
            Self::Asleep(_, asleep) => asleep.summary.unsent,
        }
    }

    pub(super) fn id(&self) -> &DocumentId {
        match self {
            Self::Awake(document) => &document.id,
            Self::Asleep(id, _) => id,
        }
    }

    /// The document, if it is in memory.
    pub(super) fn awake(&self) -> Option<&Document> {
        match self {
            Self::Awake(document) => Some(document),
            Self::Asleep(..) => None,
        }
    }

    /// The document, if it is in memory.
    pub(super) fn awake_mut(&mut self) -> Option<&mut Document> {
        match self {
            Self::Awake(document) => Some(document),
            Self::Asleep(..) => None,
        }
    }
}
