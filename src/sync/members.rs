//! What follows from who may take part: whose changes are taken in, who may edit here, and what is stood by.

use automerge::Change;

use super::error::SyncError;
use super::files::FileCommand;
use super::io::{Command, Event, Reply};
use super::membership::approved;
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::timers::Timer;
use crate::canvas::{IndexDocument, is_derived};
use crate::ids::{DocumentId, PeerId};
use crate::limits::STAND_BY_JITTER_MS;
use crate::wire::{MemberStatement, Role};

const NO_MEMBERS: &str = "it has no members; configure its membership with mode 'members'";

impl CanvasP2PSynchronizer {
    // ---- whose changes are taken in -------------------------------------------------------------------------------

    /// Of changes that were let in, those of writers, and those that a writer's change among them builds on. Who had
    /// applied a change before it learned that its maker is no writer stands by it so, and all end with it.
    pub(super) fn only_members(&mut self, step: &mut Step, id: &DocumentId, mut changes: Vec<Change>) -> Vec<Change> {
        if self.membership.is_none() {
            return changes;
        }
        if *id == self.index_id() {
            // What admins say proves itself: whose changes these are may be said in them.
            self.learn_members(step, &IndexDocument::statements_in(&changes));
        }
        let Some(document) = self.documents.get(id) else { return changes };
        let owners = document.vouching.owners(&changes, &self.peer);
        let by_writer = |change: &Change| owners.get(change.actor_id()).is_some_and(|owner| self.writes(id, owner));
        let approved = approved(&changes, by_writer);
        let before = changes.len();
        changes.retain(|change| approved.contains(&change.hash()) || document.replica().contains(&change.hash()));
        self.statistics.reject_many("not by a writer", before - changes.len());
        changes
    }

    /// A document has taken in changes, or was loaded.
    pub(super) fn after_integrating(&mut self, step: &mut Step, id: &DocumentId) {
        if self.membership.is_none() {
            return;
        }
        if *id == self.index_id() {
            let statements = self.index().map(IndexDocument::statements).unwrap_or_default();
            self.learn_members(step, &statements);
            self.follow_parties(step);
        }
        self.watch_to_stand_by(step, id);
    }

    fn learn_members(&mut self, step: &mut Step, statements: &[Vec<u8>]) {
        let Some(members) = &mut self.membership else { return };
        let trusted = members.trust(statements);
        if let Some(root) = trusted {
            step.event(Event::RootTrusted(root));
        }
        if !members.learn(statements) && trusted.is_none() {
            return;
        }
        // Those that nobody had made an admin may be one now, and what they had said counts.
        let all = self.index().map(IndexDocument::statements).unwrap_or_default();
        if let Some(members) = &mut self.membership {
            members.learn(&all);
            for info in self.peers.retain(|peer| members.role(peer) > Role::Removed || !members.is_known()) {
                self.on_peer_left(step, info);
            }
        }
        let at_once = self.may_ask_for_all(step);
        let ids: Vec<DocumentId> = self.documents.keys().cloned().collect();
        for id in ids {
            if let Some(document) = self.documents.get_mut(&id) {
                // It was let in, or asked for, by what was known before. What counts now is heard of again.
                document.forget_waiting();
                document.catch_up.settle(|_| true);
            }
            if at_once {
                self.ask_if_auto(step, &id);
            }
            self.watch_to_stand_by(step, &id);
        }
        self.tell_of_all_parties(step);
    }

    // ---- standing by ----------------------------------------------------------------------------------------------

    /// Whether all that a document holds is by writers, or a writer has built on it.
    fn is_stood_by(&self, id: &DocumentId) -> bool {
        let Some(document) = self.documents.get(id).filter(|_| self.membership.is_some()) else { return true };
        let replica = document.replica();
        let owner = |actor| document.vouching.owner(&actor, &self.peer);
        let by_writer = |actor| owner(actor).is_some_and(|owner| self.writes(id, &owner));
        replica.is_pristine() || replica.head_actors().into_iter().all(by_writer)
    }

    pub(super) fn may_write_here(&self) -> bool {
        self.membership.as_ref().is_none_or(|members| members.may_write(&self.peer))
    }

    pub(super) fn watch_to_stand_by(&mut self, step: &mut Step, id: &DocumentId) {
        if self.may_write_here() && !self.is_stood_by(id) {
            let jitter_ms = step.rng.next_u64() % STAND_BY_JITTER_MS;
            self.timers.set_no_later(Timer::StandBy, step.now.after(jitter_ms));
        }
    }

    /// Nobody else has stood by what these documents hold.
    pub(super) fn stand_by_all(&mut self, step: &mut Step) {
        let ids: Vec<DocumentId> = self.documents.keys().cloned().collect();
        for id in ids {
            self.stand_by(step, &id);
        }
    }

    /// Own changes, and one that stands by them if they are content-derived: such are nobody's.
    pub(super) fn with_standing(&mut self, step: &mut Step, id: &DocumentId, mut changes: Vec<Change>) -> Vec<Change> {
        if self.membership.is_some() && changes.iter().any(is_derived) {
            let document = self.documents.get_mut(id);
            changes.extend(document.and_then(|document| document.stand_by(&self.peer, step.rng)));
        }
        changes
    }

    /// Stands by what a document holds, if that is needed and ours to do.
    fn stand_by(&mut self, step: &mut Step, id: &DocumentId) {
        if !self.is_stood_by(id) && self.may_write_here() {
            self.stand_by_now(step, id);
        }
    }

    /// Makes an empty change on top of all that a document holds.
    pub(super) fn stand_by_now(&mut self, step: &mut Step, id: &DocumentId) {
        let change = self.documents.get_mut(id).and_then(|document| document.stand_by(&self.peer, step.rng));
        if let Some(change) = change {
            tracing::debug!(target: "mqtt:sync", document = %id, "standing by what is there");
            self.keep_and_send(step, id, &[change], true);
        }
    }

    // ---- who may do what here -------------------------------------------------------------------------------------

    /// Whether a peer is known to be no member, where only members take part.
    pub(super) fn is_outsider(&self, peer: &PeerId) -> bool {
        let removed = |members: &super::membership::Membership| members.role(peer) == Role::Removed;
        self.membership.as_ref().is_some_and(|members| members.is_known() && removed(members))
    }

    /// Whether what a peer has is worth waiting for. Of those who may not write nobody knows whether a writer stands by it.
    pub(super) fn counts_on(&self, id: &DocumentId, peer: &PeerId) -> bool {
        self.membership.as_ref().is_none_or(|members| !members.is_known() || self.writes(id, peer))
    }

    /// Refuses edits of those whose edits nobody would take in.
    pub(super) fn check_role(&self, command: &Command) -> Result<(), SyncError> {
        if self.membership.is_none() {
            return Ok(());
        }
        match command {
            // Who are the other repository's writers, only who takes part there can say.
            Command::ShareOut { .. } => Err(self.no_membership(
                "only its members' edits count; to share a canvas, this service must take part in the other repository, too",
            )),
            Command::Create { .. }
            | Command::Update { .. }
            | Command::Patch { .. }
            | Command::Delete { .. }
            | Command::SharingKey { .. }
            | Command::Share { .. }
            | Command::Adopt { .. }
            | Command::Unshare { .. }
                if !self.may_write_here() =>
            {
                Err(self.not_a_member("a writer"))
            }
            Command::File(FileCommand::Look { .. }) => Ok(()),
            Command::File(_) if !self.may_write_here() => Err(self.not_a_member("a writer")),
            _ => Ok(()),
        }
    }

    pub(super) fn no_membership(&self, reason: &'static str) -> SyncError {
        SyncError::Membership { repository: self.config.repository.clone(), reason }
    }

    fn not_a_member(&self, needed: &'static str) -> SyncError {
        SyncError::NotAMember { repository: self.config.repository.clone(), needed }
    }

    // ---- what applications ask for --------------------------------------------------------------------------------

    pub(super) fn members(&self) -> Result<Reply, SyncError> {
        let members = self.membership.as_ref().ok_or_else(|| self.no_membership(NO_MEMBERS))?;
        Ok(Reply::Members(members.members()))
    }

    /// Says what a peer may do from now on, if that is ours to say.
    pub(super) fn set_member(&mut self, step: &mut Step, peer: PeerId, role: Role) -> Result<Reply, SyncError> {
        step.own = true;
        let members = self.membership.as_ref().ok_or_else(|| self.no_membership(NO_MEMBERS))?;
        if members.role(&peer) == role && members.is_known() {
            return Ok(Reply::Done);
        }
        let statements = members.statements_for(&self.config.identity, peer, role);
        let statements = statements.ok_or_else(|| self.not_a_member("an admin (of other admins: the first)"))?;
        let statements: Vec<Vec<u8>> = statements.iter().map(MemberStatement::encode).collect();
        let index_id = self.index_id();
        let index = self.documents.get_mut(&index_id).and_then(|document| document.edit_index(&self.peer, step.rng));
        let change = index.ok_or(SyncError::Closed)?.state(&statements)?;
        self.keep_and_send(step, &index_id, change.as_slice(), true);
        self.learn_members(step, &statements);
        match &self.membership {
            Some(members) if members.role(&peer) == role => Ok(Reply::Done),
            _ => Err(self.not_a_member("the first admin, for somebody has said otherwise as firmly as can be")),
        }
    }
}
