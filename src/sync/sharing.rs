//! Sharing a canvas into another repository, as applications ask for it.

use super::calls::Waiting;
use super::content::Content;
use super::error::SyncError;
use super::io::{CanvasEventKind, Event, Notice, Origin, Reply};
use super::shares::Grant;
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::timers::Timer;
use crate::canvas::{CanvasChanges, IndexEntry};
use crate::ids::{CanvasId, DocumentId, RepositoryName};
use crate::limits::SHARE_WAIT_MS;

impl CanvasP2PSynchronizer {
    // ---- between repositories in which this service takes part ----------------------------------------------------

    /// Whether a canvas can be listed here that is there already, or could be.
    pub(super) fn check_listing(&self, entry: &IndexEntry) -> Result<Option<&IndexEntry>, SyncError> {
        match self.entry(&entry.canvas) {
            Some(listed) if listed.origin != entry.origin => {
                let repository = self.config.repository.clone();
                Err(SyncError::CanvasExists { repository, canvas: entry.canvas.clone() })
            }
            listed => Ok(listed),
        }
    }

    /// Lists a canvas of another repository; the call returns when its content is here, as far as it can be had now.
    pub(super) fn adopt(&mut self, step: &mut Step, call: u64, entry: &IndexEntry, author: &str, grant: &Grant) {
        let is_listed = match self.check_listing(entry) {
            Ok(listed) => listed.is_some(),
            Err(error) => return Self::resolve(step, call, Err(error)),
        };
        if let Some(Err(error)) = (!is_listed).then(|| self.check_room_in_list()) {
            return Self::resolve(step, call, Err(error));
        }
        // The key before the canvas, so that others that hear of the canvas can listen to it.
        if let Some(share) = &grant.share {
            self.state_shares(step, &self.index_id(), std::slice::from_ref(share));
        }
        if !grant.parties.is_empty() {
            self.state_parties(step, &super::repository::document_id(entry), &grant.parties);
        }
        if is_listed {
            self.follow_shares(step);
            return Self::resolve(step, call, Ok(Reply::Done));
        }
        self.put_entry(step, entry, author);
        self.follow_shares(step);
        let id = super::repository::document_id(entry);
        let source = self.here(step);
        self.open(step, &id, Some(author), source);
        let changes = CanvasChanges::default();
        self.report(step, &id, CanvasEventKind::Shared, Some(author.to_owned()), source, Origin::Local, changes);
        self.serve_canvas_waits(step, &entry.canvas);
        self.start_sync(step, call, Some(entry.canvas.clone()), &id, false);
    }

    // ---- into one in which it does not ----------------------------------------------------------------------------

    pub(super) fn share_out(&mut self, step: &mut Step, call: u64, canvas: &CanvasId, target: &RepositoryName) {
        if let Err(error) = self.check_sharing() {
            return Self::resolve(step, call, Err(error));
        }
        let Some(entry) = self.entry(canvas).cloned() else {
            let error = self.require(canvas).map(|_| Reply::Done);
            return Self::resolve(step, call, error);
        };
        let index = self.open_foreign_index(step, target);
        if self.wait(step, call, Waiting::ShareOut { entry, index: index.clone() }) {
            self.timers.set(Timer::Call(call), step.now.after(SHARE_WAIT_MS));
            self.ask(step, &index);
        }
    }

    /// The foreign index is as far caught up as can be had now: list the canvases that wait for it.
    pub(super) fn share_into(&mut self, step: &mut Step, index_id: &DocumentId) {
        let waiting: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, waiting)| matches!(waiting, Waiting::ShareOut { index, .. } if index == index_id))
            .map(|(call, _)| *call)
            .collect();
        for call in waiting {
            if self.link.is_up() {
                self.on_call_due(step, call);
            }
        }
    }

    pub(super) fn share_now(&mut self, step: &mut Step, call: u64, entry: &IndexEntry, index_id: &DocumentId) {
        let result = self.list_there(step, entry, index_id);
        if result.is_ok() {
            self.report_shared_out(step, entry, index_id);
        }
        Self::resolve(step, call, result.map(|()| Reply::Done));
    }

    /// Lists a canvas in another repository's index, with its key if that is of the same secret as ours.
    fn list_there(&mut self, step: &mut Step, entry: &IndexEntry, index_id: &DocumentId) -> Result<(), SyncError> {
        let listed = match self.documents.get(index_id).map(|document| &document.content) {
            Some(Content::Index(index)) => index.entry(&entry.canvas).cloned(),
            _ => None,
        };
        if listed.as_ref().is_some_and(|other| other.origin != entry.origin) {
            let repository = index_id.repository().clone();
            return Err(SyncError::CanvasExists { repository, canvas: entry.canvas.clone() });
        }
        if let Some(with) = self.sharing_key_of(index_id.repository()) {
            let grant = self.share(step, &entry.canvas, &with)?;
            self.state_shares(step, index_id, grant.share.as_slice());
        }
        if listed.is_none() {
            self.check_room(index_id)?;
            let author = entry.created_by.clone().unwrap_or_default();
            self.put_entry_into(step, index_id, entry, &author);
        }
        Ok(())
    }

    fn report_shared_out(&self, step: &mut Step, entry: &IndexEntry, index_id: &DocumentId) {
        let id = super::repository::document_id(entry);
        let before = step.out.notices.len();
        let source = self.here(step);
        let author = entry.created_by.clone();
        self.report(step, &id, CanvasEventKind::Shared, author, source, Origin::Local, CanvasChanges::default());
        if let Some(Notice::Event(Event::Canvas(event))) = step.out.notices.get_mut(before) {
            event.shared_with = Some(index_id.repository().clone());
        }
    }
}
