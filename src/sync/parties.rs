//! Whose edits count of a canvas that is shared between repositories of members (`docs/protocol.md`, section 8.3).
//!
//! The index says which repositories are parties to a canvas; who is a writer there, its admins say, as everywhere. What these
//! have said proves itself, so whoever knows it tells the others, and writers keep it in their own index.

use std::collections::{BTreeMap, BTreeSet};

use super::error::SyncError;
use super::io::Event;
use super::membership::{Membership, Root};
use super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step};
use super::timers::Timer;
use crate::ids::{CanvasId, DocumentId, PeerId, RepositoryName};
use crate::limits::{MAX_PARTIES, MAX_SHARED_CANVASES, PARTIES_INTERVAL_MS};
use crate::wire::{Body, Header, Listing, MemberStatement, Members, Party, Priority, Role, Topic};

/// The number under which a canvas's own repository is a party to it.
const OWN_NUMBER: u64 = 1;

/// A party, and what its admins have said.
pub(super) type Known = (Party, Vec<MemberStatement>);

/// The parties to the canvases of one synchroniser.
#[derive(Debug, Default)]
pub(super) struct Parties {
    /// Of each canvas what was last said of each repository; of ours only if the canvas is another's.
    of: BTreeMap<DocumentId, BTreeMap<RepositoryName, Party>>,
    /// Members of other repositories, by name and first admin.
    members: BTreeMap<(RepositoryName, PeerId), Membership>,
    /// Canvases of whose parties others are to be told.
    telling: BTreeSet<DocumentId>,
    quiet_until_ms: u64,
}

impl Parties {
    /// The members of all other repositories whose writers may edit a canvas.
    fn members_of(&self, id: &DocumentId) -> impl Iterator<Item = &Membership> {
        let parties = self.of.get(id).into_iter().flat_map(BTreeMap::values);
        parties.filter_map(|party| self.members.get(&(party.repository.clone(), party.root?)))
    }

    /// Takes in what is said of a repository and a canvas; whether that is news.
    fn note(&mut self, id: &DocumentId, party: &Party) -> bool {
        if !self.of.contains_key(id) && self.of.len() >= MAX_SHARED_CANVASES {
            return false;
        }
        let parties = self.of.entry(id.clone()).or_default();
        let newer =
            parties.get(&party.repository).map_or(parties.len() < MAX_PARTIES, |known| party.is_newer_than(known));
        if newer {
            parties.insert(party.repository.clone(), party.clone());
        }
        newer
    }

    /// The same of another repository, whose writers count from now on, or no longer.
    fn note_other(&mut self, id: &DocumentId, party: &Party) -> bool {
        let newer = self.note(id, party);
        if let Some(root) = party.root.filter(|_| newer) {
            let new = || Membership::new(party.repository.clone(), Root::Known(root));
            self.members.entry((party.repository.clone(), root)).or_insert_with(new);
        }
        newer
    }

    /// The canvases to which any of these is a party.
    fn concerned(&self, learned: &BTreeSet<(RepositoryName, PeerId)>) -> Vec<DocumentId> {
        let concerns =
            |party: &Party| party.root.is_some_and(|root| learned.contains(&(party.repository.clone(), root)));
        let concerned = self.of.iter().filter(|(_, parties)| parties.values().any(concerns));
        concerned.map(|(id, _)| id.clone()).collect()
    }
}

impl CanvasP2PSynchronizer {
    // ---- what counts ----------------------------------------------------------------------------------------------

    /// Whether a peer's edits of a document count.
    pub(super) fn writes(&self, id: &DocumentId, peer: &PeerId) -> bool {
        let Some(own) = &self.membership else { return true };
        own.may_write(peer) || self.parties.members_of(id).any(|members| members.may_write(peer))
    }

    /// Whether a peer is known to be a member of none of the repositories that have a document.
    pub(super) fn is_outsider_of(&self, id: &DocumentId, peer: &PeerId) -> bool {
        let removed = |members: &Membership| members.role(peer) == Role::Removed;
        self.is_outsider(peer) && self.parties.members_of(id).all(removed)
    }

    // ---- where it is known from -----------------------------------------------------------------------------------

    /// Takes in what the index says of the parties to the canvases that it lists, and of their members.
    pub(super) fn follow_parties(&mut self, step: &mut Step) {
        if self.membership.is_none() {
            return;
        }
        let Some(statements) = self.index().map(crate::canvas::IndexDocument::statements) else { return };
        let listings = statements.iter().filter_map(|bytes| Listing::decode(bytes).ok());
        let listings: Vec<Listing> = listings.filter(|listing| self.canvas_of(&listing.document).is_some()).collect();
        let mut changed = BTreeSet::new();
        for Listing { document, party } in listings {
            if party.repository == self.config.repository {
                self.parties.note(&document, &party);
            } else if self.parties.note_other(&document, &party) {
                changed.insert(document);
            }
        }
        if !self.parties.members.is_empty() {
            changed.extend(self.learn_of_parties(&statements));
        }
        self.on_parties_changed(step, &changed);
    }

    /// What admins of other repositories may have said; gives the canvases that it concerns.
    fn learn_of_parties(&mut self, statements: &[Vec<u8>]) -> Vec<DocumentId> {
        let learned =
            self.parties.members.iter_mut().filter_map(|(key, members)| members.learn(statements).then_some(key));
        let learned: BTreeSet<(RepositoryName, PeerId)> = learned.cloned().collect();
        self.parties.concerned(&learned)
    }

    /// The same of what somebody tells of the parties to a canvas.
    fn learn_told(&mut self, told: Members) -> Vec<DocumentId> {
        let mut learned = BTreeSet::new();
        for (party, said) in told.parties {
            let known = self.parties.of.get(&told.document).and_then(|parties| parties.get(&party.repository));
            let Some(root) = known.and_then(|known| known.root) else { continue };
            let key = (party.repository, root);
            if self.parties.members.get_mut(&key).is_some_and(|members| members.learn_told(said)) {
                learned.insert(key);
            }
        }
        self.parties.concerned(&learned)
    }

    fn on_parties_changed(&mut self, step: &mut Step, changed: &BTreeSet<DocumentId>) {
        for id in changed {
            if let Some(document) = self.documents.get_mut(id) {
                // It was let in, or asked for, by what was known before.
                document.forget_waiting();
                document.catch_up.settle(|_| true);
            }
            self.ask_if_auto(step, id);
            self.watch_to_stand_by(step, id);
        }
        self.tell_of_parties(step, changed.iter().cloned().collect());
    }

    /// This repository as a party to a canvas that is shared into it now.
    pub(super) fn own_party(&self) -> Option<Known> {
        let own = self.membership.as_ref()?;
        let repository = self.config.repository.clone();
        Some((Party { repository, number: OWN_NUMBER, root: own.root() }, own.said()))
    }

    /// What is known here of the parties to a canvas, this repository included.
    pub(super) fn known_parties(&self, id: &DocumentId) -> Vec<Known> {
        let Some((own, said)) = self.own_party() else { return Vec::new() };
        let (repository, parties) = (&self.config.repository, self.parties.of.get(id));
        let as_told = parties.and_then(|parties| parties.get(repository)).cloned();
        let mut known = vec![(as_told.unwrap_or(own), said)];
        let others = parties.into_iter().flat_map(BTreeMap::values).filter(|party| party.repository != *repository);
        for party in others {
            let members = party.root.and_then(|root| self.parties.members.get(&(party.repository.clone(), root)));
            known.push((party.clone(), members.map(Membership::said).unwrap_or_default()));
        }
        known
    }

    /// Has an index say who are parties to a canvas, and who their members.
    pub(super) fn state_parties(&mut self, step: &mut Step, id: &DocumentId, parties: &[Known]) {
        let mut statements = Vec::new();
        for (party, said) in parties.iter().filter(|(party, _)| party.repository != self.config.repository) {
            self.parties.note_other(id, party);
            let listing = Listing { document: id.clone(), party: party.clone() };
            statements.extend(listing.encode());
            statements.extend(said.iter().map(MemberStatement::encode));
        }
        self.state_in_index(step, &statements);
        self.learn_of_parties(&statements);
        self.on_parties_changed(step, &BTreeSet::from([id.clone()]));
    }

    /// That other repositories are parties to a canvas no longer.
    pub(super) fn end_parties(&mut self, step: &mut Step, id: &DocumentId) {
        let parties = self.parties.of.get(id).into_iter().flat_map(BTreeMap::values);
        let ended = parties.filter(|party| party.root.is_some()).map(|party| {
            let number = party.number.saturating_add(1);
            (Party { repository: party.repository.clone(), number, root: None }, Vec::new())
        });
        let ended: Vec<Known> = ended.collect();
        self.state_parties(step, id, &ended);
    }

    /// The number that a new party to a canvas takes.
    pub(super) fn next_party_number(&self, id: &DocumentId, party: &Party) -> u64 {
        let known = self.parties.of.get(id).and_then(|parties| parties.get(&party.repository));
        match known {
            Some(known) if known.root == party.root => known.number,
            Some(known) => known.number.saturating_add(1),
            None => OWN_NUMBER,
        }
    }

    fn state_in_index(&mut self, step: &mut Step, statements: &[Vec<u8>]) {
        let index_id = self.index_id();
        let index = self.documents.get_mut(&index_id).and_then(|document| document.edit_index(&self.peer, step.rng));
        let change = index.and_then(|index| index.state(statements).ok().flatten());
        self.keep_and_send(step, &index_id, change.as_slice(), true);
    }

    // ---- telling each other ---------------------------------------------------------------------------------------

    /// Others are to be told soon of what is known here: on a new connection, of all.
    pub(super) fn tell_of_all_parties(&mut self, step: &mut Step) {
        let ids = self.parties.of.keys().cloned().collect();
        self.tell_of_parties(step, ids);
    }

    fn tell_of_parties(&mut self, step: &mut Step, mut ids: Vec<DocumentId>) {
        ids.retain(|id| self.parties.of.contains_key(id));
        if ids.is_empty() {
            return;
        }
        self.parties.telling.extend(ids);
        let jitter_ms = step.rng.next_u64() % PARTIES_INTERVAL_MS;
        let at_ms = step.now.after(jitter_ms).max(self.parties.quiet_until_ms);
        self.timers.set_no_later(Timer::Parties, at_ms);
    }

    /// Nobody else has told it meanwhile.
    pub(super) fn on_parties_due(&mut self, step: &mut Step) {
        self.keep_parties(step);
        if !self.link.is_up() {
            return;
        }
        self.parties.quiet_until_ms = step.now.after(PARTIES_INTERVAL_MS);
        for document in std::mem::take(&mut self.parties.telling) {
            let topic = Topic::Sync(self.space_of(&document));
            let parties = self.known_parties(&document);
            let body = Body::Members(Members { document, parties });
            self.publish(step, &topic, &body, Delivery::once(Priority::Medium));
        }
    }

    /// Writers keep what they were told in the index, for those who come later.
    fn keep_parties(&mut self, step: &mut Step) {
        let Some(index) = self.index().filter(|_| self.may_write_here()) else { return };
        let kept: BTreeSet<Vec<u8>> = index.statements().into_iter().collect();
        let listings = self.parties.of.iter().flat_map(|(document, parties)| {
            let listing = |party: &Party| Listing { document: document.clone(), party: party.clone() }.encode().ok();
            parties.values().filter_map(listing).collect::<Vec<_>>()
        });
        let said = self.parties.members.values().flat_map(Membership::said);
        let all = listings.chain(said.map(|statement| statement.encode()));
        let news: Vec<Vec<u8>> = all.filter(|statement| !kept.contains(statement)).collect();
        if !news.is_empty() {
            self.state_in_index(step, &news);
        }
    }

    /// Somebody tells what it knows. Statements prove themselves; who the parties are, the writers of the canvas's own
    /// repository say.
    pub(super) fn on_members(&mut self, step: &mut Step, header: &Header, told: Members) {
        let id = &told.document.clone();
        let (Some(canvas), true) = (self.canvas_of(id), self.parties.of.contains_key(id)) else { return };
        let mut changed = BTreeSet::new();
        if self.speaks_for_home(id, &header.sender) {
            for (party, _) in &told.parties {
                if party.repository == self.config.repository {
                    self.on_own_party(step, &canvas, id, party);
                } else if self.parties.note_other(id, party) {
                    changed.insert(id.clone());
                }
            }
        }
        let lacks = self.lacks_of_ours(id, &told);
        changed.extend(self.learn_told(told));
        self.on_parties_changed(step, &changed);
        if lacks {
            self.tell_of_parties(step, vec![id.clone()]);
        } else if changed.is_empty() {
            // It is told.
            self.parties.telling.remove(id);
        }
    }

    /// Whether a peer is a writer of the repository in which a canvas of another lives.
    fn speaks_for_home(&self, id: &DocumentId, peer: &PeerId) -> bool {
        let home = self.parties.of.get(id).and_then(|parties| parties.get(id.repository()));
        let members = home.and_then(|party| self.parties.members.get(&(party.repository.clone(), party.root?)));
        members.is_some_and(|members| members.may_write(peer))
    }

    /// The canvas's own repository says that our writers count there, or no longer.
    fn on_own_party(&mut self, step: &mut Step, canvas: &CanvasId, id: &DocumentId, party: &Party) {
        if self.parties.note(id, party) && party.root.is_none() {
            let repository = self.config.repository.clone();
            step.event(Event::Error(SyncError::ShareEnded { repository, canvas: canvas.clone() }));
        }
    }

    /// Whether somebody who tells this should be told what is known here.
    fn lacks_of_ours(&self, id: &DocumentId, told: &Members) -> bool {
        let said = told.parties.iter().flat_map(|(_, said)| said);
        let said: BTreeSet<Vec<u8>> = said.map(MemberStatement::encode).collect();
        let at_home = *id.repository() == self.config.repository;
        self.known_parties(id).iter().any(|(party, ours)| {
            let theirs =
                told.parties.iter().map(|(theirs, _)| theirs).find(|theirs| theirs.repository == party.repository);
            let older = theirs.is_none_or(|theirs| party.is_newer_than(theirs));
            (at_home && older) || ours.iter().any(|statement| !said.contains(&statement.encode()))
        })
    }
}
