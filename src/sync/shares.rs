//! The keys of shared canvases (`docs/protocol.md`, section 8.2).
//!
//! A canvas of an encrypted repository that is shared gets a key of its own, and with it a *space*: topics that no other
//! document has. To topics, keys and epochs a space is what a repository is. The record that begins its epoch wraps the key for
//! whoever has the key of one of the repositories; indexes keep it. When one of these replaces its key, it replaces those of
//! the spaces too.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::epochs::Epoch;
use super::error::SyncError;
use super::io::Reply;
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::timers::Timer;
use crate::canvas::IndexEntry;
use crate::crypto::{Identity, KeyId, RootSecret, Wrapping};
use crate::ids::{CanvasId, DocumentId, PeerId, RepositoryName};
use crate::limits::{MAX_SHARED_CANVASES, SHARE_RENEWAL_MS};
use crate::wire::{EpochRecord, MemberStatement, Party, Share, space_name};

/// What the first epoch of a space follows.
const NO_KEY: KeyId = KeyId([0; 32]);
/// By how much the number of a space's epoch may grow at once, so that nobody who may write the index uses the numbers up.
const MAX_STEP: u64 = 1 << 32;

/// For whom the key of a canvas is to be wrapped that is shared into a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharingKey {
    /// Whoever has the repository's key; nobody without encryption.
    pub identity: Option<PeerId>,
    /// Those who had an earlier one; they are to have no part in it.
    pub former: Vec<PeerId>,
    /// The key that the canvas has there already, and of which epoch.
    pub present: Option<(KeyId, u64)>,
    /// Where only members take part, the repository, and what its admins have said.
    pub party: Option<(Party, Vec<MemberStatement>)>,
}

/// What a repository needs to have a canvas of another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// With encryption, the key.
    pub share: Option<Share>,
    /// Where only members take part, whose writers may edit it.
    pub parties: Vec<(Party, Vec<MemberStatement>)>,
}

/// The spaces of one synchroniser.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// What began the present epoch of each. Bounded: [`MAX_SHARED_CANVASES`].
    present: BTreeMap<RepositoryName, Share>,
    /// What earlier processes have followed, which indexes need not say.
    stored: Vec<Epoch>,
}

impl Shares {
    /// What is known of epochs before any index is read.
    pub(super) fn remember(&mut self, stored: Vec<Epoch>) {
        self.stored = stored;
    }

    /// The canvas whose space it is.
    pub(super) fn document_of(&self, space: &RepositoryName) -> Option<&DocumentId> {
        self.present.get(space).map(|share| &share.document)
    }

    /// The next epoch of a space has begun.
    pub(super) fn went_over(&mut self, epoch: &Epoch) {
        if let Some(share) = self.present.get_mut(&epoch.repository) {
            share.record = epoch.record.clone();
        }
    }
}

impl CanvasP2PSynchronizer {
    /// What a document's topics are under: its repository, or the space of a shared canvas.
    pub(super) fn space_of(&self, id: &DocumentId) -> RepositoryName {
        self.config.topics.space_of(id)
    }

    // ---- who has the keys -----------------------------------------------------------------------------------------

    /// What keys of shared canvases are wrapped for here: that of the present key, then those of earlier ones.
    fn sharing_identities(&self) -> Vec<Arc<Identity>> {
        let own = &self.config.repository;
        let past = self.past_topics(own);
        [&self.config.topics].into_iter().chain(past).filter_map(|topics| topics.sharing(own)).collect()
    }

    /// The secret that a record begins, if it is for this peer, or with a space for its repository.
    pub(super) fn open_epoch(&self, repository: &RepositoryName, record: &EpochRecord) -> Option<RootSecret> {
        if self.shares.document_of(repository).is_some() {
            self.open_share(repository, record)
        } else {
            record.open(&self.config.identity, repository)
        }
    }

    fn open_share(&self, space: &RepositoryName, record: &EpochRecord) -> Option<RootSecret> {
        self.sharing_identities().iter().find_map(|identity| record.open(identity, space))
    }

    /// For whom the key of a canvas must be wrapped that is to be listed here, and whose edits shall count.
    pub(super) fn sharing_key(&self, entry: &IndexEntry) -> Result<SharingKey, SyncError> {
        self.check_listing(entry)?;
        let mut identities = self.sharing_identities().into_iter().map(|identity| identity.peer());
        let identity = identities.next();
        let party = self.own_party();
        if party.as_ref().is_some_and(|(party, _)| party.root.is_none()) {
            return Err(self.no_membership("who is its first admin is not known yet"));
        }
        let space = space_name(&super::repository::document_id(entry));
        let present = space.and_then(|space| self.shares.present.get(&space));
        let present = present.map(|share| (share.record.key, share.record.epoch));
        Ok(SharingKey { identity, former: identities.collect(), present, party })
    }

    /// The same of another repository of the same secret.
    pub(super) fn sharing_key_of(&self, repository: &RepositoryName) -> Option<SharingKey> {
        let identity = self.config.topics.sharing(repository)?.peer();
        Some(SharingKey { identity: Some(identity), former: Vec::new(), present: None, party: None })
    }

    // ---- giving a canvas its key ----------------------------------------------------------------------------------

    /// Lets another repository have a canvas.
    pub(super) fn share(
        &mut self,
        step: &mut Step,
        canvas: &CanvasId,
        with: &SharingKey,
    ) -> Result<Box<Grant>, SyncError> {
        let document = self.require(canvas)?;
        if self.membership.is_some() != with.party.is_some() {
            return Err(
                self.no_membership("canvases are shared between two repositories of mode 'members', or two of others")
            );
        }
        let share = with.identity.map(|identity| self.share_key(step, &document, identity, with)).transpose()?;
        if let Some((party, said)) = &with.party {
            let number = self.next_party_number(&document, party);
            let known = (Party { number, ..party.clone() }, said.clone());
            self.state_parties(step, &document, std::slice::from_ref(&known));
        }
        Ok(Box::new(Grant { share, parties: self.known_parties(&document) }))
    }

    /// The key of a canvas, wrapped for another repository too; a new one unless it is already.
    fn share_key(
        &mut self,
        step: &mut Step,
        document: &DocumentId,
        identity: PeerId,
        with: &SharingKey,
    ) -> Result<Share, SyncError> {
        let space = space_name(document).ok_or(SyncError::Closed)?;
        let me = self.config.topics.sharing(&self.config.repository).ok_or(SyncError::Closed)?;
        let present = self.shares.present.get(&space);
        if let Some(share) = present {
            let has = |peer: &PeerId| share.record.recipients.iter().any(|recipient| recipient.peer == *peer);
            let same = with.present.is_none_or(|(key, _)| key == share.record.key);
            if same && has(&identity) && !with.former.iter().any(has) {
                return Ok(share.clone());
            }
        } else if self.shares.present.len() >= MAX_SHARED_CANVASES {
            let repository = self.config.repository.clone();
            return Err(SyncError::TooManyShares { repository, max: MAX_SHARED_CANVASES });
        }
        let record = present.map(|share| &share.record);
        let (previous, epoch) = record.map_or((NO_KEY, 0), |record| (record.key, record.epoch));
        let epoch = epoch.max(with.present.map_or(0, |(_, epoch)| epoch)).saturating_add(1);
        let stay = record.into_iter().flat_map(|record| &record.recipients).map(|recipient| recipient.peer);
        let stay: Vec<PeerId> = stay.filter(|peer| !with.former.contains(peer)).chain([identity]).collect();
        let (epoch, secret) = new_epoch(step, &me, space, (previous, epoch), &stay)?;
        Ok(self.give_key(step, document.clone(), epoch, secret))
    }

    /// A canvas of this repository is shared no longer.
    pub(super) fn unshare(&mut self, step: &mut Step, canvas: &CanvasId) -> Result<Reply, SyncError> {
        let document = self.require(canvas)?;
        let repository = &self.config.repository;
        if document.repository() != repository {
            return Err(SyncError::OfAnother { canvas: canvas.clone(), origin: document.repository().clone() });
        }
        if self.membership.is_some() {
            self.end_parties(step, &document);
        }
        match self.config.topics.sharing(&self.config.repository) {
            Some(me) => self.take_key_back(step, document, &me),
            None if self.membership.is_some() => Ok(Reply::Done),
            None => Err(SyncError::FeatureDisabled { feature: "encryption" }),
        }
    }

    /// The key of a canvas is replaced, for this repository alone.
    fn take_key_back(&mut self, step: &mut Step, document: DocumentId, me: &Identity) -> Result<Reply, SyncError> {
        let present = space_name(&document).and_then(|space| Some((self.shares.present.get(&space)?, space)));
        let Some((Share { record, .. }, space)) = present else { return Ok(Reply::Done) };
        if record.recipients.iter().any(|recipient| recipient.peer != me.peer()) {
            let (epoch, secret) = new_epoch(step, me, space, (record.key, record.epoch.saturating_add(1)), &[])?;
            self.give_key(step, document, epoch, secret);
        }
        Ok(Reply::Done)
    }

    /// From now on a canvas has this key, and those who have the one before are told.
    fn give_key(&mut self, step: &mut Step, document: DocumentId, epoch: Epoch, secret: RootSecret) -> Share {
        if epoch.record.previous != NO_KEY {
            self.tell_epoch(step, &epoch);
        }
        let share = Share { document: document.clone(), record: epoch.record.clone() };
        let listened = self.listened();
        self.begin_share(step, document, epoch, secret);
        self.listen_anew(step, &listened);
        self.state_shares(step, &self.index_id(), std::slice::from_ref(&share));
        share
    }

    /// Has an index say what keys canvases have.
    pub(super) fn state_shares(&mut self, step: &mut Step, index_id: &DocumentId, shares: &[Share]) {
        let said: Vec<Vec<u8>> = shares.iter().filter_map(|share| share.encode().ok()).collect();
        let index = self.documents.get_mut(index_id).and_then(|document| document.edit_index(&self.peer, step.rng));
        let change = index.and_then(|index| index.state(&said).ok().flatten());
        self.keep_and_send(step, index_id, change.as_slice(), true);
    }

    // ---- what the index says --------------------------------------------------------------------------------------

    /// Takes in what the index, or storage, says of the keys of the canvases listed here.
    pub(super) fn follow_shares(&mut self, step: &mut Step) {
        if !self.config.topics.is_encrypted() {
            return;
        }
        let (mut listened, mut moved) = (None, false);
        for (space, share) in self.said_of_shares() {
            let record = &share.record;
            let newer = match self.shares.present.get(&space).map(|present| &present.record) {
                Some(present) => takes_the_place(record, present),
                None => self.shares.present.len() < MAX_SHARED_CANVASES && record.epoch <= MAX_STEP,
            };
            let secret = || record.is_authentic(&space).then(|| self.open_share(&space, record)).flatten();
            let Some(secret) = newer.then(secret).flatten() else { continue };
            if self.documents.contains_key(&share.document) || self.asleep.contains_key(&share.document) {
                moved = true;
                listened = listened.or_else(|| Some(self.listened()));
            }
            let Share { document, record } = share;
            self.begin_share(step, document, Epoch { repository: space, record }, secret);
        }
        if let Some(listened) = listened.filter(|_| moved) {
            self.listen_anew(step, &listened);
        }
        self.watch_shares(step);
    }

    /// What is said of canvases that are listed, in the order of epochs.
    fn said_of_shares(&self) -> Vec<(RepositoryName, Share)> {
        let Some(index) = self.index() else { return Vec::new() };
        let is_listed = |document: &DocumentId| match document {
            DocumentId::Canvas { canvas, .. } => self.document_of(canvas).as_ref() == Some(document),
            DocumentId::Index { .. } => false,
        };
        let shares = index.statements().into_iter().filter_map(|bytes| Share::decode(&bytes).ok());
        let shares = shares.filter(|share| is_listed(&share.document));
        let mut said: Vec<_> = shares.filter_map(|share| Some((space_name(&share.document)?, share))).collect();
        let documents: BTreeMap<RepositoryName, DocumentId> =
            said.iter().map(|(space, share)| (space.clone(), share.document.clone())).collect();
        let stored = self.shares.stored.iter().filter_map(|epoch| {
            let (document, record) = (documents.get(&epoch.repository)?.clone(), epoch.record.clone());
            Some((epoch.repository.clone(), Share { document, record }))
        });
        said.extend(stored);
        said.sort_by_key(|(_, share)| share.record.epoch);
        said
    }

    /// From now on a canvas has this key.
    fn begin_share(&mut self, step: &mut Step, document: DocumentId, epoch: Epoch, secret: RootSecret) {
        let Epoch { repository: space, record } = &epoch;
        let before = self.shares.present.get(space).map(|share| share.record.key);
        step.out.epochs.push(epoch.clone());
        if before == Some(record.previous) {
            return self.leave_epoch(epoch, secret);
        }
        self.config.topics = self.config.topics.shared(&document, space, Arc::new(secret));
        self.shares.present.insert(space.clone(), Share { document, record: record.clone() });
    }

    // ---- taking keys away -----------------------------------------------------------------------------------------

    /// Where somebody has the key of a canvas who has the key of our repository no more, it is replaced soon, by one of us.
    pub(super) fn watch_shares(&mut self, step: &mut Step) {
        let former: Vec<PeerId> = self.sharing_identities().iter().skip(1).map(|identity| identity.peer()).collect();
        if self.shares.present.values().any(|share| is_shared_with(share, &former)) {
            let jitter_ms = step.rng.next_u64() % (SHARE_RENEWAL_MS / 2);
            self.timers.set_no_later(Timer::Shares, step.now.after(SHARE_RENEWAL_MS + jitter_ms));
        }
    }

    /// Nobody else has replaced them.
    pub(super) fn on_shares_due(&mut self, step: &mut Step) {
        let mut identities = self.sharing_identities().into_iter();
        let Some(me) = identities.next().filter(|_| self.may_write_here()) else { return };
        if !self.link.is_up() {
            return self.watch_shares(step);
        }
        let former: Vec<PeerId> = identities.map(|identity| identity.peer()).collect();
        let listened = self.listened();
        let renewed = self.renew_shares(step, &me, &former);
        if !renewed.is_empty() {
            self.listen_anew(step, &listened);
            self.state_shares(step, &self.index_id(), &renewed);
        }
    }

    /// The key of our repository is about to be replaced: so are those of its shared canvases. What the index is to say then.
    pub(super) fn renew_shares_for(&mut self, step: &mut Step, me: &Identity) -> Vec<Share> {
        let former: Vec<PeerId> = self.sharing_identities().iter().map(|identity| identity.peer()).collect();
        self.renew_shares(step, me, &former)
    }

    fn renew_shares(&mut self, step: &mut Step, me: &Identity, former: &[PeerId]) -> Vec<Share> {
        let stale: Vec<(RepositoryName, Share)> = self.shares.present.clone().into_iter().collect();
        let mut renewed = Vec::new();
        for (space, Share { document, record }) in stale.into_iter().filter(|(_, share)| is_shared_with(share, former))
        {
            let stay = record.recipients.iter().map(|recipient| recipient.peer);
            let stay: Vec<PeerId> = stay.filter(|peer| !former.contains(peer)).collect();
            let Ok((epoch, secret)) = new_epoch(step, me, space, (record.key, record.epoch.saturating_add(1)), &stay)
            else {
                continue;
            };
            self.tell_epoch(step, &epoch);
            renewed.push(Share { document: document.clone(), record: epoch.record.clone() });
            self.begin_share(step, document, epoch, secret);
        }
        renewed
    }
}

/// Whether what an index says counts more than what is known: a later epoch does, but no number is used up at once.
fn takes_the_place(record: &EpochRecord, present: &EpochRecord) -> bool {
    match record.epoch.checked_sub(present.epoch) {
        None => false,
        Some(0) => record.beats(present) || (record.key < present.key && !present.beats(record)),
        Some(later) => later <= MAX_STEP,
    }
}

fn is_shared_with(share: &Share, peers: &[PeerId]) -> bool {
    share.record.recipients.iter().any(|recipient| peers.contains(&recipient.peer))
}

/// A new key, for these and whoever makes it.
fn new_epoch(
    step: &mut Step,
    me: &Identity,
    space: RepositoryName,
    (previous, number): (KeyId, u64),
    stay: &[PeerId],
) -> Result<(Epoch, RootSecret), SyncError> {
    let (mut bytes, mut seed) = ([0; 32], [0; 32]);
    step.rng.fill_bytes(&mut bytes);
    step.rng.fill_bytes(&mut seed);
    let secret = RootSecret::of_epoch(bytes, number);
    let record = EpochRecord::new(me, &space, previous, &secret, stay, &Wrapping::new(seed))
        .map_err(|(peer, _)| SyncError::NotARecipient { peer })?;
    Ok((Epoch { repository: space, record }, secret))
}
