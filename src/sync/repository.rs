//! The repository's index and what it brings about: canvases that appear, disappear, and are shared.

use super::asleep::{Asleep, Closed};
use super::content::Content;
use super::document::{Actor, Document};
use super::error::SyncError;
use super::integrate::Source;
use super::io::{CanvasEventKind, Event, Origin};
use super::stored::Summary;
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::timers::Timer;
use crate::canvas::{CanvasChanges, CanvasDocument, Conflict, ElementKind, IndexDocument, IndexEntry, Value};
use crate::ids::{CanvasId, DocumentId, Generation, RepositoryName};
use crate::limits::MAX_CLOSED_DOCUMENTS;

/// The document that an index entry names.
pub(super) fn document_id(entry: &IndexEntry) -> DocumentId {
    DocumentId::Canvas { repository: entry.origin.clone(), canvas: entry.canvas.clone(), generation: entry.generation }
}

impl CanvasP2PSynchronizer {
    /// This repository's index.
    pub(super) fn index_id(&self) -> DocumentId {
        DocumentId::Index { repository: self.config.repository.clone() }
    }

    pub(super) fn index(&self) -> Option<&IndexDocument> {
        match &self.documents.get(&self.index_id())?.content {
            Content::Index(index) => Some(index),
            Content::Canvas(_) => None,
        }
    }

    pub(super) fn entry(&self, canvas: &CanvasId) -> Option<&IndexEntry> {
        self.index()?.entry(canvas)
    }

    /// The document of a canvas that the index lists.
    pub(super) fn document_of(&self, canvas: &CanvasId) -> Option<DocumentId> {
        self.entry(canvas).map(document_id)
    }

    /// The same, or the error that an application gets; perhaps nothing of the canvas has arrived yet.
    pub(super) fn listed(&self, canvas: &CanvasId) -> Result<DocumentId, SyncError> {
        let id = self.document_of(canvas).ok_or_else(|| self.not_found(canvas))?;
        if self.documents.contains_key(&id) || self.asleep.contains_key(&id) {
            return Ok(id);
        }
        let (repository, max) = (self.config.repository.clone(), self.config.bounds.canvases);
        Err(SyncError::TooManyCanvases { repository, max })
    }

    /// The same; a canvas of which nothing has arrived yet counts as not found.
    pub(super) fn require(&self, canvas: &CanvasId) -> Result<DocumentId, SyncError> {
        let awake = |id: &DocumentId| self.documents.get(id).map(|document| document.reported);
        let arrived =
            |id: &DocumentId| awake(id).or(self.asleep.get(id).map(|asleep| asleep.reported)).unwrap_or_default();
        let document = self.listed(canvas)?;
        if arrived(&document) {
            Ok(document)
        } else if self.is_full(&document) {
            Err(SyncError::Full { document })
        } else {
            Err(self.not_found(canvas))
        }
    }

    pub(super) fn not_found(&self, canvas: &CanvasId) -> SyncError {
        SyncError::CanvasNotFound { repository: self.config.repository.clone(), canvas: canvas.clone() }
    }

    /// Whether a document is subscribed by itself at present: it lives in another repository or has a key of its own, and
    /// there is a connection.
    fn is_subscribed_apart(&self, id: &DocumentId) -> bool {
        self.space_of(id) != self.config.repository && !matches!(self.link, super::link::Link::Down)
    }

    pub(super) fn here(&self, step: &Step) -> Source {
        Source { peer: self.peer, sent_unix_ms: step.now.unix_ms, kept: false }
    }

    /// The generation that a canvas created now gets: above all that the index knows of, and all that is kept here, in case
    /// the index was lost.
    pub(super) fn next_generation(&self, canvas: &CanvasId) -> Generation {
        let own = &self.config.repository;
        let listed = self.index().and_then(|index| index.last_generation(canvas, own));
        let kept =
            self.document_ids().into_iter().chain(self.closed.iter().map(Closed::id)).filter_map(|id| match id {
                DocumentId::Canvas { repository, canvas: of, generation } if repository == own && of == canvas => {
                    Some(*generation)
                }
                _ => None,
            });
        Generation(kept.chain(listed).max().map_or(1, |generation| generation.0.saturating_add(1)))
    }

    /// Whether the index says that a canvas was deleted, or that another document took its id. What the index has never
    /// heard of may still come.
    pub(super) fn was_deleted(&self, id: &DocumentId) -> bool {
        let DocumentId::Canvas { repository, canvas, generation } = id else { return false };
        let last = self.index().and_then(|index| index.last_generation(canvas, repository));
        last.is_some_and(|last| last >= *generation)
    }

    /// Lists a canvas in this repository's index.
    pub(super) fn put_entry(&mut self, step: &mut Step, entry: &IndexEntry, author: &str) {
        let index_id = self.index_id();
        self.put_entry_into(step, &index_id, entry, author);
    }

    /// Lists a canvas in any index that is held.
    pub(super) fn put_entry_into(&mut self, step: &mut Step, index_id: &DocumentId, entry: &IndexEntry, author: &str) {
        let Some(index) =
            self.documents.get_mut(index_id).and_then(|document| document.edit_index(&self.peer, step.rng))
        else {
            return;
        };
        match index.put(entry, author) {
            Ok(edit) => self.keep_and_send(step, index_id, &edit.changes, true),
            Err(error) => step.event(Event::Error(error.into())),
        }
    }

    /// The index took in changes of others.
    pub(super) fn on_index_changed(
        &mut self,
        step: &mut Step,
        appeared: Vec<IndexEntry>,
        disappeared: Vec<IndexEntry>,
        author: Option<&str>,
        source: Source,
    ) {
        for entry in disappeared {
            if self.rescue(step, &entry) {
                continue;
            }
            self.close(step, &entry, author.map(str::to_owned), source, Origin::Remote);
        }
        for entry in appeared {
            let id = document_id(&entry);
            self.open(step, &id, author, source);
            if entry.origin != self.config.repository {
                let changes = CanvasChanges::default();
                let author = author.map(str::to_owned);
                self.report(step, &id, CanvasEventKind::Shared, author, source, Origin::Remote, changes);
            }
            self.ask_if_auto(step, &id);
            self.serve_canvas_waits(step, &entry.canvas);
        }
    }

    /// Starts to replicate a document; what is open already stays as it is, and what was closed comes back as it was, with
    /// edits that perhaps nobody else has.
    pub(super) fn open(&mut self, step: &mut Step, id: &DocumentId, author: Option<&str>, source: Source) {
        if let Some(document) = self.documents.get(id) {
            if !document.reported {
                // Storage had it before the index knew of it.
                self.reappear(step, id, author, source);
            }
            return;
        }
        if let Some(asleep) = self.asleep.get(id) {
            if !asleep.reported {
                self.wake(step, id);
            }
            return;
        }
        let closed = self.closed.iter().position(|closed| closed.id() == id);
        match closed.and_then(|position| self.closed.remove(position)) {
            Some(Closed::Awake(document)) => {
                self.documents.insert(id.clone(), *document);
                self.reappear(step, id, author, source);
            }
            Some(Closed::Asleep(_, asleep)) => {
                self.asleep.insert(id.clone(), *asleep);
                self.wake(step, id);
            }
            None if !self.may_open(step, id) => return,
            None if matches!(id, DocumentId::Canvas { .. }) && self.documents.len() > self.config.max_open_canvases => {
                // Somebody may have listed very many: each takes memory only when its turn comes.
                self.asleep.insert(id.clone(), Asleep::new(Summary::default(), self.config.live, Actor::None));
            }
            None => {
                let mut document = Document::new(id.clone(), self.config.live);
                document.used_ms = step.now.elapsed_ms;
                self.documents.insert(id.clone(), document);
                self.crowded = true;
            }
        }
        if self.is_subscribed_apart(id) {
            let filters = self.document_filters(id);
            step.out.subscribe.extend(filters);
            let space = self.space_of(id);
            let epochs = self.epoch_filters(&space);
            step.out.subscribe.extend(epochs);
            let exchange = self.exchange_filters(&space);
            step.out.subscribe.extend(exchange);
        }
    }

    /// Tells the application of a canvas that is there again with all that is in it.
    pub(super) fn reappear(&mut self, step: &mut Step, id: &DocumentId, author: Option<&str>, source: Source) {
        let canvas = self.documents.get(id).and_then(Document::canvas);
        let content = canvas.filter(|canvas| !canvas.replica().is_pristine()).map(CanvasDocument::canvas);
        if let Some(content) = content {
            let changes = CanvasChanges::whole(content);
            self.report_edit(step, id, author.map(str::to_owned), source, Origin::Remote, changes);
            self.flush(step, id);
        }
    }

    /// A canvas was deleted, or another document took its id. Its document is kept for a while, unlisted: someone whose
    /// edits nobody had seen may bring it back, and then nobody's edits may be missing.
    pub(super) fn close(
        &mut self,
        step: &mut Step,
        entry: &IndexEntry,
        author: Option<String>,
        source: Source,
        origin: Origin,
    ) {
        let id = document_id(entry);
        self.report_deletion(step, &id, entry, author, source, origin);
        if let Some(mut document) = self.documents.remove(&id) {
            document.close();
            self.keep_closed(Closed::Awake(Box::new(document)));
        } else if let Some(asleep) = self.asleep.remove(&id) {
            self.close_asleep(step, id.clone(), asleep);
        } else {
            return;
        }
        self.in_flight.retain(|_, document| *document != id);
        self.asking.remove(&id);
        self.ask_queue.remove(&id);
        self.ask_next(step);
        for timer in Timer::of_document(&id) {
            self.timers.clear(&timer);
        }
        self.forget_snapshots(step, &id, origin != Origin::Remote);
        self.round_finished(step, &id, false);
        self.check_flushed(step);
        self.check_left(step);
        self.cursors.retain(|(_, canvas)| *canvas != entry.canvas);
        if self.is_subscribed_apart(&id) {
            let filters = self.document_filters(&id);
            step.out.unsubscribe.extend(filters.into_iter().map(|(filter, _)| filter));
        }
    }

    /// Keeps a document that is no longer listed; the one that has been kept longest is forgotten.
    pub(super) fn keep_closed(&mut self, closed: Closed) {
        self.closed.push_back(closed);
        if self.closed.len() > MAX_CLOSED_DOCUMENTS {
            // Rather one of which others have everything.
            let settled = self.closed.iter().position(|closed| !closed.is_unsent()).unwrap_or_default();
            if let Some(forgotten) = self.closed.remove(settled) {
                self.saver.forget(forgotten.id());
            }
        }
    }

    fn report_deletion(
        &self,
        step: &mut Step,
        id: &DocumentId,
        entry: &IndexEntry,
        author: Option<String>,
        source: Source,
        origin: Origin,
    ) {
        let Some(version) = self.version_of(id) else { return };
        step.event(Event::Canvas(Box::new(super::io::CanvasEvent {
            kind: CanvasEventKind::Deleted,
            canvas: entry.canvas.clone(),
            generation: entry.generation,
            author,
            peer: source.peer,
            origin,
            timestamp_unix_ms: source.sent_unix_ms,
            version,
            changes: CanvasChanges::default(),
            shared_with: None,
        })));
    }

    /// Somebody deleted a canvas in which we have edits of content that nobody has seen: it stays. Only if a newer canvas
    /// has had its id by now does it go, and the application is told what is lost from view.
    fn rescue(&mut self, step: &mut Step, entry: &IndexEntry) -> bool {
        let id = document_id(entry);
        let document = self.documents.get(&id);
        let unsent = document.map(|document| document.outbox.has_content());
        if !unsent.or(self.asleep.get(&id).map(|asleep| asleep.summary.unsent)).unwrap_or_default() {
            return false;
        }
        let last = self.index().and_then(|index| index.last_entry(&entry.canvas));
        if last.as_ref().map(document_id).as_ref() != Some(&id) || self.entry(&entry.canvas).is_some() {
            let loser = document.and_then(Document::canvas).map(|canvas| Value::Json(canvas.canvas_json()));
            let conflict = Conflict {
                element: ElementKind::Canvas,
                id: entry.canvas.to_string(),
                property: "generation".to_owned(),
                winner: last.map_or(Value::Null, |last| Value::Int(last.generation.0.cast_signed())),
                loser: loser.unwrap_or(Value::Null),
            };
            step.event(Event::Conflict { canvas: entry.canvas.clone(), conflict });
            return false;
        }
        let index_id = self.index_id();
        if let Some(index) = self.documents.get_mut(&index_id).and_then(|index| index.edit_index(&self.peer, step.rng))
        {
            match index.revive(&entry.canvas, entry.created_by.as_deref().unwrap_or_default()) {
                Ok(edit) => self.keep_and_send(step, &index_id, &edit.changes, true),
                Err(error) => step.event(Event::Error(error.into())),
            }
        }
        true
    }

    /// Holds another repository's index, so that a canvas can be listed there. It is held on, and answered for: perhaps
    /// none of that repository's peers is there at the moment.
    pub(super) fn open_foreign_index(&mut self, step: &mut Step, repository: &RepositoryName) -> DocumentId {
        let id = DocumentId::Index { repository: repository.clone() };
        let source = self.here(step);
        self.open(step, &id, None, source);
        if let Some(document) = self.documents.get_mut(&id) {
            document.live = true;
        }
        id
    }
}
