//! What applications ask for.

use super::asleep::{Asleep, Parked};
use super::calls::Waiting;
use super::content::Content;
use super::document::Document;
use super::error::SyncError;
use super::io::{CanvasInfo, Command, Origin, Reply};
use super::status::RepositoryStatus;
use super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step};
use super::timers::Timer;
use crate::canvas::{Base, CanvasDocument, CanvasError, IndexEntry, LocalEdit, Version};
use crate::ids::{CanvasId, DocumentId};
use crate::limits::{CANVAS_WAIT_MS, LEAVE_WAIT_MS, MAX_APPLICATION_MESSAGE_BYTES};
use crate::wire::{Body, Cursor, PresenceStatus, Priority, Topic};

impl CanvasP2PSynchronizer {
    pub(super) fn on_command(&mut self, step: &mut Step, call: u64, command: Command) {
        let Some(command) = self.when_awake(step, call, command) else { return };
        if let Err(error) = self.check_role(&command) {
            return Self::resolve(step, call, Err(error));
        }
        // The version that an edit brings must be durable, also when the edit itself changes nothing.
        step.own |= matches!(
            command,
            Command::Create { .. } | Command::Update { .. } | Command::Patch { .. } | Command::File(_)
        );
        let result = match command {
            Command::Create { canvas, content, author } => {
                self.create(step, &canvas, &author, Origin::Local, |document| document.create(&content, &author))
            }
            Command::Update { canvas, content, base, remembered, author } => {
                let base = match (base, remembered) {
                    (Some(version), _) => Base::Explicit(version),
                    (None, Some(version)) => Base::Remembered(version),
                    (None, None) => Base::Last,
                };
                self.edit(step, &canvas, Some(&author), Origin::Local, |document| {
                    document.update(&content, &base, &author)
                })
            }
            Command::Patch { canvas, patch, seen, author } => {
                self.edit(step, &canvas, Some(&author), Origin::Local, |document| {
                    document.patch_seen(&patch, &seen, &author)
                })
            }
            Command::Get { canvas, at } => self.get(&canvas, at.as_ref()),
            Command::List => Ok(Reply::Canvases(self.list())),
            Command::Delete { canvas, author } => self.delete(step, &canvas, &author, Origin::Local),
            Command::Describe { canvas } => self
                .require(&canvas)
                .and_then(|_| self.entry(&canvas).cloned().map(Reply::Entry).ok_or(SyncError::Closed)),
            Command::SharingKey { entry } => self.sharing_key(&entry).map(Box::new).map(Reply::SharingKey),
            Command::Share { canvas, with } => self.share(step, &canvas, &with).map(Reply::Share),
            Command::Adopt { entry, author, grant } => return self.adopt(step, call, &entry, &author, &grant),
            Command::Unshare { canvas } => self.unshare(step, &canvas),
            Command::Announce { canvas } => self.announce(step, &canvas),
            Command::SetCursor { canvas, presence, author } => self.set_cursor(step, &canvas, presence, author),
            Command::Broadcast { message } => self.broadcast(step, message),
            Command::ShareOut { canvas, target } => return self.share_out(step, call, &canvas, &target),
            Command::Sync { canvas } => return self.sync(step, call, canvas),
            Command::SetLive { canvas, live } => return self.set_live(step, call, &canvas, live),
            Command::DiscoverPeers { timeout_ms } => return self.discover(step, call, timeout_ms),
            Command::DescribeKey => self.describe_key(),
            Command::RotateKey { secret, peers } => self.rotate(step, secret, &peers),
            Command::File(command) => self.on_file_command(step, command),
            Command::Members => self.members(),
            Command::SetMember { peer, role } => self.set_member(step, peer, role),
            Command::Flush => return self.flush_call(step, call),
            Command::Leave => return self.leave(step, call),
        };
        Self::resolve(step, call, result);
    }

    /// A command for a canvas that is asleep waits until it has been loaded, and gives nothing back.
    fn when_awake(&mut self, step: &mut Step, call: u64, command: Command) -> Option<Command> {
        let id = match &command {
            Command::Update { canvas, .. }
            | Command::Patch { canvas, .. }
            | Command::Get { canvas, .. }
            | Command::Delete { canvas, .. }
            | Command::Announce { canvas }
            | Command::Share { canvas, .. }
            | Command::Unshare { canvas }
            | Command::Sync { canvas: Some(canvas) }
            | Command::SetLive { canvas, .. } => self.document_of(canvas),
            Command::File(command) => self.document_of(command.canvas()),
            Command::ShareOut { target, .. } => Some(DocumentId::Index { repository: target.clone() }),
            _ => None,
        };
        let Some(id) = id else { return Some(command) };
        if let Some(document) = self.documents.get_mut(&id) {
            document.used_ms = step.now.elapsed_ms;
        }
        if !self.asleep.contains_key(&id) {
            return Some(command);
        }
        self.park(step, &id, Parked::Command { call, command });
        None
    }

    // ---- edits ----------------------------------------------------------------------------------------------------

    pub(super) fn create(
        &mut self,
        step: &mut Step,
        canvas: &CanvasId,
        author: &str,
        origin: Origin,
        fill: impl FnOnce(&mut CanvasDocument) -> Result<LocalEdit, CanvasError>,
    ) -> Result<Reply, SyncError> {
        if self.entry(canvas).is_some() {
            let repository = self.config.repository.clone();
            return Err(SyncError::CanvasExists { repository, canvas: canvas.clone() });
        }
        self.check_room_in_list()?;
        let entry = IndexEntry {
            canvas: canvas.clone(),
            generation: self.next_generation(canvas),
            origin: self.config.repository.clone(),
            created_by: Some(author.to_owned()),
        };
        let id = super::repository::document_id(&entry);
        let mut document = Document::new(id.clone(), self.config.live);
        let edit = fill(document.edit_canvas(&self.peer, step.rng).ok_or(SyncError::Closed)?)?;
        self.documents.insert(id.clone(), document);
        // Also when nothing is in it: the next process must know that it is there.
        self.saver.add(&id);
        self.crowded = true;
        // The index goes first, so that others know what the changes that follow belong to.
        self.put_entry(step, &entry, author);
        let version = edit.version.clone();
        self.after_edit(step, &id, Some(author), origin, edit);
        self.serve_canvas_waits(step, canvas);
        Ok(Reply::Version(version))
    }

    pub(super) fn edit(
        &mut self,
        step: &mut Step,
        canvas: &CanvasId,
        author: Option<&str>,
        origin: Origin,
        change: impl FnOnce(&mut CanvasDocument) -> Result<LocalEdit, CanvasError>,
    ) -> Result<Reply, SyncError> {
        let id = self.require(canvas)?;
        self.check_room(&id)?;
        let document = self.documents.get_mut(&id).and_then(|document| document.edit_canvas(&self.peer, step.rng));
        let document = document.ok_or(SyncError::Closed)?;
        let edit = change(document)?;
        if document.is_lost() {
            self.lose(step, &id);
            return Err(CanvasError::Internal("the canvas is damaged, and loaded again".to_owned()).into());
        }
        let version = edit.version.clone();
        self.after_edit(step, &id, author, origin, edit);
        Ok(Reply::Version(version))
    }

    fn after_edit(&mut self, step: &mut Step, id: &DocumentId, author: Option<&str>, origin: Origin, edit: LocalEdit) {
        self.statistics.local_edits += u64::from(!edit.changes.is_empty());
        let changes = self.with_standing(step, id, edit.changes);
        self.keep_and_send(step, id, &changes, edit.content);
        self.merge_later(step, id);
        let source = self.here(step);
        self.report_edit(step, id, author.map(str::to_owned), source, origin, edit.diff);
        self.report_conflicts(step, id, edit.conflicts);
    }

    pub(super) fn delete(
        &mut self,
        step: &mut Step,
        canvas: &CanvasId,
        author: &str,
        origin: Origin,
    ) -> Result<Reply, SyncError> {
        match self.require(canvas) {
            // What there was no room for can be deleted all the same.
            Ok(_) | Err(SyncError::Full { .. } | SyncError::TooManyCanvases { .. }) => {}
            Err(error) => return Err(error),
        }
        let index_id = self.index_id();
        let Some(index) =
            self.documents.get_mut(&index_id).and_then(|document| document.edit_index(&self.peer, step.rng))
        else {
            return Err(SyncError::Closed);
        };
        let entry = index.entry(canvas).cloned();
        let edit = index.delete(canvas, author)?;
        self.keep_and_send(step, &index_id, &edit.changes, true);
        if let Some(entry) = entry {
            let source = self.here(step);
            self.close(step, &entry, Some(author.to_owned()), source, origin);
        }
        Ok(Reply::Done)
    }

    // ---- reading --------------------------------------------------------------------------------------------------

    fn get(&mut self, canvas: &CanvasId, at: Option<&Version>) -> Result<Reply, SyncError> {
        let id = self.require(canvas)?;
        let Some(Content::Canvas(document)) = self.documents.get_mut(&id).map(|document| &mut document.content) else {
            return Err(SyncError::Closed);
        };
        if let Some(version) = at {
            let json = document.canvas_at(version)?.to_json();
            return Ok(Reply::Canvas { version: version.clone(), json });
        }
        document.note_returned();
        Ok(Reply::Canvas { version: document.version(), json: document.canvas_json() })
    }

    fn list(&self) -> Vec<CanvasInfo> {
        let entries = self.index().map(|index| index.entries().values().cloned().collect()).unwrap_or_default();
        let info = |entry: IndexEntry| {
            let id = super::repository::document_id(&entry);
            if let Some(Asleep { summary, live, full, reported: true, .. }) = self.asleep.get(&id) {
                let (nodes, edges, version) = (summary.nodes, summary.edges, Version(summary.heads.clone()));
                let live = *live && !full;
                return Some(CanvasInfo { entry, nodes, edges, version, live });
            }
            let document = self.documents.get(&id)?;
            if !document.reported {
                // Listed by others, but nothing of it has arrived yet.
                return None;
            }
            let canvas = document.canvas()?;
            let (nodes, edges) = canvas.counts();
            let live = document.live && !document.full;
            Some(CanvasInfo { entry, nodes, edges, version: canvas.version(), live })
        };
        Vec::into_iter(entries).filter_map(info).collect()
    }

    /// The repository at a glance.
    #[must_use]
    pub fn status(&self) -> RepositoryStatus {
        let documents = self.documents.values();
        RepositoryStatus {
            epoch: self.config.topics.key_of(&self.config.repository).map(|(_, epoch)| epoch),
            canvases: self.index().map_or(0, |index| index.entries().len()),
            live: documents.clone().filter(|document| document.live && document.canvas().is_some()).count()
                + self.asleep.values().filter(|asleep| asleep.live).count(),
            peers: self.peers.confirmed().count(),
            pending_edits: documents.clone().map(|document| document.outbox.len()).sum(),
            buffered_changes: documents.clone().map(Document::waiting).sum(),
            catching_up: self.asking.len() + self.ask_queue.len(),
            statistics: self.statistics.clone(),
        }
    }

    // ---- the network ----------------------------------------------------------------------------------------------

    fn announce(&mut self, step: &mut Step, canvas: &CanvasId) -> Result<Reply, SyncError> {
        let id = self.require(canvas)?;
        self.flush(step, &id);
        self.announcing.extend([self.index_id(), id]);
        Ok(Reply::Done)
    }

    fn sync(&mut self, step: &mut Step, call: u64, canvas: Option<CanvasId>) {
        let id = match &canvas {
            Some(canvas) => self.listed(canvas),
            None => Ok(self.index_id()),
        };
        match id {
            Ok(document) if canvas.is_some() && self.is_full(&document) => {
                Self::resolve(step, call, Err(SyncError::Full { document }));
            }
            Ok(id) => self.start_sync(step, call, canvas, &id, true),
            Err(error) => Self::resolve(step, call, Err(error)),
        }
    }

    fn set_live(&mut self, step: &mut Step, call: u64, canvas: &CanvasId, live: bool) {
        if live && !self.config.live {
            let error = SyncError::FeatureDisabled { feature: "realTimeCollaboration" };
            return Self::resolve(step, call, Err(error));
        }
        if live {
            if self.entry(canvas).is_some() {
                self.follow(step, call, canvas);
            } else if self.wait(step, call, Waiting::Canvas(canvas.clone())) {
                self.timers.set(Timer::Call(call), step.now.after(CANVAS_WAIT_MS));
            }
            return;
        }
        let result = self.require(canvas).map(|id| {
            if let Some(document) = self.documents.get_mut(&id) {
                document.live = false;
            }
            Reply::Done
        });
        Self::resolve(step, call, result);
    }

    /// Follows a canvas live; the call returns when it has caught up, as far as anyone is there.
    pub(super) fn follow(&mut self, step: &mut Step, call: u64, canvas: &CanvasId) {
        match self.listed(canvas) {
            Ok(document) if self.is_full(&document) => Self::resolve(step, call, Err(SyncError::Full { document })),
            Ok(id) => {
                if let Some(document) = self.documents.get_mut(&id) {
                    document.live = true;
                }
                self.start_sync(step, call, Some(canvas.clone()), &id, false);
            }
            Err(error) => Self::resolve(step, call, Err(error)),
        }
    }

    fn set_cursor(
        &mut self,
        step: &mut Step,
        canvas: &CanvasId,
        presence: Option<String>,
        author: Option<String>,
    ) -> Result<Reply, SyncError> {
        let id = self.require(canvas)?;
        check_size("the presence", presence.as_deref().unwrap_or_default())?;
        if !self.config.live {
            return Err(SyncError::FeatureDisabled { feature: "realTimeCollaboration" });
        }
        let delivery = Delivery { quality: super::io::QualityOfService::AtMostOnce, ..Delivery::once(Priority::Low) };
        self.publish(step, &Topic::Cursor(id), &Body::Cursor(Cursor { presence, author }), delivery);
        Ok(Reply::Done)
    }

    fn broadcast(&mut self, step: &mut Step, message: String) -> Result<Reply, SyncError> {
        check_size("the message", &message)?;
        if !self.link.is_up() {
            return Err(SyncError::Offline);
        }
        let topic = Topic::Messages(self.config.repository.clone());
        self.publish(step, &topic, &Body::Application(message), Delivery::once(Priority::Medium));
        Ok(Reply::Done)
    }

    fn discover(&mut self, step: &mut Step, call: u64, timeout_ms: u64) {
        if !self.config.discovery {
            return Self::resolve(step, call, Err(SyncError::FeatureDisabled { feature: "discovery" }));
        }
        self.say_presence(step, PresenceStatus::Birth);
        if self.wait(step, call, Waiting::Peers) {
            self.timers.set(Timer::Call(call), step.now.after(timeout_ms));
        }
    }

    /// Without a connection there is nobody to wait for.
    fn leave(&mut self, step: &mut Step, call: u64) {
        if !self.link.is_up() {
            return self.end(step, call);
        }
        if self.wait(step, call, Waiting::Leave) {
            self.timers.set(Timer::Call(call), step.now.after(LEAVE_WAIT_MS));
            let ids: Vec<DocumentId> = self.documents.keys().cloned().collect();
            for id in ids {
                self.flush_all(step, &id);
            }
            self.check_left(step);
        }
    }
}

fn check_size(what: &'static str, text: &str) -> Result<(), SyncError> {
    if text.len() > MAX_APPLICATION_MESSAGE_BYTES {
        return Err(SyncError::TooLarge { what, bytes: text.len(), max_bytes: MAX_APPLICATION_MESSAGE_BYTES });
    }
    Ok(())
}
