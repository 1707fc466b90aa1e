//! Replacing the key of an encrypted repository: its epochs, one after the other.
//!
//! Who replaces it publishes a record among those who have the old key; whoever can open it moves, with all documents, to the
//! topics of the new key. Nothing that comes with an old key is taken in from then on, but those who come with it are given
//! the record: it is retained, and told again when somebody is heard there.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::admission::Admission;
use super::error::SyncError;
use super::io::{Event, Message, Publish, QualityOfService, Reply};
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::timers::Timer;
use crate::crypto::{KeyId, RepositoryKeys, RootSecret, Wrapping};
use crate::ids::{DocumentId, Nonce, PeerId, RepositoryName};
use crate::limits::{
    EPOCH_ANSWER_INTERVAL_MS, HELLO_JITTER_PER_PEER_MS, MAX_EPOCH_RECIPIENTS, MAX_HELLO_JITTER_MS, MAX_PAST_EPOCHS,
};
use crate::wire::{
    Arrival, Body, Content, EpochRecord, Priority, Role, Stamp, Topic, TopicSpace, content_room, read, seal_on,
};

/// What begins a repository's epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// The repository: our own, or one in which canvases shared with us live.
    pub repository: RepositoryName,
    /// Its new key, for those who stay.
    pub record: EpochRecord,
}

/// An epoch that was left.
#[derive(Debug)]
struct Past {
    /// What ended it.
    ended: Epoch,
    topics: TopicSpace,
    /// Until then nobody is told again.
    quiet_until_ms: u64,
}

/// The epochs of one synchroniser.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    /// The oldest first.
    past: Vec<Past>,
    /// Keys that were left for others of the same epoch; there is no way back.
    abandoned: BTreeSet<KeyId>,
    /// What replaced a key and leaves us out, so that we stay behind.
    left_out: Vec<Epoch>,
    /// Repositories of which the application was told so on this connection.
    told: BTreeSet<RepositoryName>,
}

impl Epochs {
    /// A new connection: the application is told again.
    pub(super) fn connected(&mut self) {
        self.told.clear();
    }
}

impl CanvasP2PSynchronizer {
    /// Goes on in the newest of the epochs that an earlier process stored; what does not lead on from the key that this one
    /// was given, or was not made for this peer, is passed over.
    pub(super) fn resume_epochs(&mut self, mut stored: Vec<Epoch>) {
        loop {
            let next = stored.iter().position(|epoch| self.follows_on(&epoch.repository, &epoch.record));
            let Some(epoch) = next.map(|at| stored.swap_remove(at)) else { return self.shares.remember(stored) };
            if let Some(secret) = self.open_epoch(&epoch.repository, &epoch.record) {
                self.leave_epoch(epoch, secret);
            }
        }
    }

    /// Whether a record is what comes after a repository's present key. Anything older never is.
    fn follows_on(&self, repository: &RepositoryName, record: &EpochRecord) -> bool {
        let next = self.config.topics.key_of(repository).and_then(|(key, epoch)| Some((key, epoch.checked_add(1)?)));
        next == Some((record.previous, record.epoch))
            && !self.epochs.abandoned.contains(&record.key)
            && record.is_authentic(repository)
    }

    /// Whether a peer may replace a repository's key. Whoever has it may, for who makes a record has sealed it; where there are
    /// members, admins alone.
    fn may_rotate(&self, repository: &RepositoryName, peer: &PeerId) -> bool {
        let membership = self.membership.as_ref().filter(|_| *repository == self.config.repository);
        membership.is_none_or(|membership| membership.role(peer) == Role::Admin)
    }

    /// Where the record of a repository's present key is to be expected, and where those are heard who come with past keys.
    pub(super) fn epoch_filters(&self, repository: &RepositoryName) -> Vec<(String, QualityOfService)> {
        if !self.config.topics.is_encrypted() {
            return Vec::new();
        }
        let epoch = Topic::Epoch(repository.clone());
        let mut filters = vec![self.config.topics.format(&epoch)];
        for past in self.epochs.past.iter().filter(|past| past.ended.repository == *repository) {
            filters.extend([past.topics.format(&epoch), past.topics.format(&Topic::Sync(repository.clone()))]);
        }
        filters.into_iter().map(|filter| (filter, QualityOfService::AtLeastOnce)).collect()
    }

    // ---- replacing ------------------------------------------------------------------------------------------------

    /// How often the key has been replaced.
    pub(super) fn describe_key(&self) -> Result<Reply, SyncError> {
        let key = self.config.topics.key_of(&self.config.repository);
        key.map(|(_, epoch)| Reply::Epoch(epoch)).ok_or(SyncError::FeatureDisabled { feature: "encryption" })
    }

    /// Whether a canvas can be shared with a repository of the key that ours had at first.
    pub(super) fn check_sharing(&self) -> Result<(), SyncError> {
        let repository = &self.config.repository;
        if self.config.topics.is_rotated(repository) {
            return Err(SyncError::OtherKeySince { repository: repository.clone() });
        }
        Ok(())
    }

    /// Begins the next epoch, for these peers and this one.
    pub(super) fn rotate(&mut self, step: &mut Step, secret: RootSecret, peers: &[PeerId]) -> Result<Reply, SyncError> {
        let repository = self.config.repository.clone();
        let Some((previous, epoch)) = self.config.topics.key_of(&repository) else {
            return Err(SyncError::FeatureDisabled { feature: "encryption" });
        };
        if !self.link.is_up() {
            return Err(SyncError::Offline);
        }
        if !self.may_rotate(&repository, &self.peer) {
            return Err(SyncError::NotAMember { repository, needed: "an admin" });
        }
        if epoch.checked_add(1) != Some(secret.epoch()) {
            return Err(SyncError::EpochMoved { repository });
        }
        if let Some(left_out) = self.epochs.left_out.iter().find(|epoch| epoch.repository == repository) {
            return Err(SyncError::KeyReplaced { repository, epoch: left_out.record.epoch });
        }
        let mut seed = [0; 32];
        step.rng.fill_bytes(&mut seed);
        let identity = self.config.identity.clone();
        let record = EpochRecord::new(&identity, &repository, previous, &secret, peers, &Wrapping::new(seed))
            .map_err(|(peer, _)| SyncError::NotARecipient { peer })?;
        self.check_size_of(&repository, &record)?;
        let me = RepositoryKeys::derive(&secret, repository.as_str()).sharing();
        let ended = Epoch { repository, record };
        self.tell_epoch(step, &ended);
        let listened = self.take_leave_of(step, &ended.repository);
        let shares = self.renew_shares_for(step, &me);
        self.go_over(step, &listened, ended, secret);
        self.state_shares(step, &self.index_id(), &shares);
        Ok(Reply::Epoch(epoch + 1))
    }

    /// Tells those who have a key what replaces it.
    pub(super) fn tell_epoch(&mut self, step: &mut Step, ended: &Epoch) {
        let topics = self.config.topics.clone();
        self.publish_epoch(step, &topics, ended);
    }

    /// A broker retains one message a topic, so the record must fit one.
    fn check_size_of(&self, repository: &RepositoryName, record: &EpochRecord) -> Result<(), SyncError> {
        let topic = Topic::Epoch(repository.clone());
        let room = content_room(&self.config.topics, &topic, self.config.max_message_bytes).unwrap_or_default();
        let bytes = record.to_bytes().map_or(usize::MAX, |bytes| bytes.len());
        if record.recipients.len() > MAX_EPOCH_RECIPIENTS || bytes > room {
            return Err(SyncError::TooManyRecipients { recipients: record.recipients.len() });
        }
        Ok(())
    }

    fn publish_epoch(&mut self, step: &mut Step, topics: &TopicSpace, ended: &Epoch) {
        if !self.link.is_up() {
            return;
        }
        let topic = Topic::Epoch(ended.repository.clone());
        let name = topics.format(&topic);
        let stamp = Stamp {
            session: self.config.session,
            counter: self.outgoing.of(&name),
            sent_unix_ms: step.now.unix_ms,
            message: Nonce(step.rng.next_u64()),
            vouches: None,
        };
        let message = (&topic, &Body::Epoch(Box::new(ended.record.clone())));
        let (identity, max_bytes) = (&self.config.identity, self.config.max_message_bytes);
        let sealed = seal_on(topics, step.rng, identity, message, stamp, Priority::High, max_bytes);
        for payload in sealed.unwrap_or_default() {
            self.statistics.sent += 1;
            step.out.publish.push(Publish {
                token: None,
                topic: name.clone(),
                payload,
                quality: QualityOfService::AtLeastOnce,
                retain: true,
                priority: Priority::High,
            });
        }
    }

    // ---- following ------------------------------------------------------------------------------------------------

    /// Somebody replaced the present key of a repository.
    pub(super) fn on_epoch(&mut self, step: &mut Step, repository: &RepositoryName, record: EpochRecord) {
        let beaten = |epoch: &Epoch| epoch.repository == *repository && epoch.record.beats(&record);
        let follows = self.follows_on(repository, &record) && self.may_rotate(repository, &record.signer);
        if !follows || self.epochs.left_out.iter().any(beaten) {
            return self.statistics.reject("epoch");
        }
        let epoch = Epoch { repository: repository.clone(), record };
        match self.open_epoch(repository, &epoch.record) {
            Some(secret) => self.move_on(step, epoch, secret),
            None => self.stay_behind(step, epoch),
        }
    }

    fn stay_behind(&mut self, step: &mut Step, epoch: Epoch) {
        let repository = epoch.repository.clone();
        let left_out = match self.shares.document_of(&repository) {
            // Whose canvas it is does not let itself be left out by others.
            Some(document) if *document.repository() == self.config.repository => {
                return self.statistics.reject("epoch");
            }
            Some(DocumentId::Canvas { canvas, .. }) => {
                SyncError::ShareEnded { repository: self.config.repository.clone(), canvas: canvas.clone() }
            }
            _ => SyncError::KeyReplaced { repository: repository.clone(), epoch: epoch.record.epoch },
        };
        if repository == self.config.repository {
            // This says it all; that there is another key is no more news.
            self.say_nothing_of_other_keys();
        }
        // Who does not have the repository's key any more has been told so of all that was shared with it.
        let own = &self.config.repository;
        let known = repository != *own && self.epochs.left_out.iter().any(|epoch| epoch.repository == *own);
        if self.epochs.told.insert(repository.clone()) && !known {
            step.event(Event::Error(left_out));
        }
        self.epochs.left_out.retain(|known| known.repository != repository);
        self.epochs.left_out.push(epoch);
    }

    /// Goes over to the epoch that follows.
    fn move_on(&mut self, step: &mut Step, epoch: Epoch, secret: RootSecret) {
        let listened = self.take_leave_of(step, &epoch.repository);
        self.go_over(step, &listened, epoch, secret);
    }

    /// Before the topics of a repository change: what was listened to.
    fn take_leave_of(&mut self, step: &mut Step, repository: &RepositoryName) -> BTreeSet<String> {
        if *repository == self.config.repository {
            self.clear_presence(step);
        }
        self.listened()
    }

    /// What is listened to at present.
    pub(super) fn listened(&self) -> BTreeSet<String> {
        self.filters().into_iter().map(|(filter, _)| filter).collect()
    }

    /// Listens on the topics of the present keys and no longer on those of earlier ones, as after a reconnect.
    pub(super) fn listen_anew(&mut self, step: &mut Step, listened: &BTreeSet<String>) {
        if let Some(connection) = self.link.connection() {
            self.on_connected(step, connection);
            step.out.unsubscribe.extend(listened.difference(&self.listened()).cloned());
        }
    }

    /// The same documents, under other topics, as after a reconnect.
    fn go_over(&mut self, step: &mut Step, listened: &BTreeSet<String>, epoch: Epoch, secret: RootSecret) {
        if epoch.repository == self.config.repository {
            // Who has the new key need not have those of the others.
            self.config.repositories = vec![epoch.repository.clone()];
            self.say_nothing_of_other_keys();
        }
        step.event(Event::KeyRotated(Box::new(epoch.clone())));
        step.out.epochs.push(epoch.clone());
        self.leave_epoch(epoch, secret);
        self.listen_anew(step, listened);
        self.watch_shares(step);
    }

    /// The topics of an epoch that was left, the newest first.
    pub(super) fn past_topics<'a>(&'a self, repository: &'a RepositoryName) -> impl Iterator<Item = &'a TopicSpace> {
        let past = self.epochs.past.iter().rev();
        past.filter(move |past| past.ended.repository == *repository).map(|past| &past.topics)
    }

    pub(super) fn leave_epoch(&mut self, ended: Epoch, secret: RootSecret) {
        self.shares.went_over(&ended);
        let topics = self.config.topics.rotated(&ended.repository, Arc::new(secret));
        let left = std::mem::replace(&mut self.config.topics, topics);
        self.epochs.left_out.retain(|known| known.repository != ended.repository);
        let is_of_same = |past: &Past| past.ended.repository == ended.repository;
        if self.epochs.past.iter().filter(|past| is_of_same(past)).count() >= MAX_PAST_EPOCHS
            && let Some(oldest) = self.epochs.past.iter().position(is_of_same)
        {
            self.epochs.past.remove(oldest);
        }
        self.epochs.past.push(Past { ended, topics: left, quiet_until_ms: 0 });
    }

    // ---- those who come with a past key ---------------------------------------------------------------------------

    /// A message on no topic of the present keys: perhaps of a past one. Only what replaced that key is of interest there,
    /// and that somebody still has to be told.
    pub(super) fn on_past_message(&mut self, step: &mut Step, message: &Message) -> bool {
        for at in 0..self.epochs.past.len() {
            let topics = self.epochs.past[at].topics.clone();
            let mut doubted = None;
            let admission = Admission {
                throttle: &mut self.throttle,
                heard: &mut self.heard,
                incoming: &self.incoming,
                own: (self.peer, self.config.session),
                message,
                now: step.now,
                doubted: &mut doubted,
                dropped: &mut None,
            };
            let outcome = read(&topics, &message.topic, &message.payload, admission);
            if let Some(name) = doubted {
                self.throttle.doubt(&name, step.now);
            }
            let Ok(arrival) = outcome else { continue };
            if let Arrival::Message(topic, opened) = arrival {
                match (topic, opened.content) {
                    (Topic::Epoch(_), Content::Whole(Body::Epoch(record))) => {
                        self.on_told(step, at, *record, message.retained);
                    }
                    (Topic::Sync(_), _) => self.answer_past(step, at),
                    _ => {}
                }
            }
            return true;
        }
        false
    }

    /// What ended a past epoch, as somebody tells it or the broker has it.
    fn on_told(&mut self, step: &mut Step, at: usize, record: EpochRecord, retained: bool) {
        let past = &mut self.epochs.past[at];
        let (repository, number) = (past.ended.repository.clone(), past.ended.record.epoch);
        if past.ended.record == record {
            if !retained {
                // Somebody else has told those who are there.
                past.quiet_until_ms = step.now.after(EPOCH_ANSWER_INTERVAL_MS);
                self.timers.clear(&Timer::Epoch(repository, number));
            }
            return;
        }
        let ended = past.ended.record.clone();
        if ended.beats(&record) {
            // It took the place of ours on the broker.
            return self.answer_past(step, at);
        }
        let newest = self.epochs.past.iter().rposition(|past| past.ended.repository == repository) == Some(at);
        let wins = newest
            && record.beats(&ended)
            && record.epoch == number
            && !self.epochs.abandoned.contains(&record.key)
            && record.is_authentic(&repository)
            && self.may_rotate(&repository, &record.signer);
        if !wins {
            return self.statistics.reject("epoch");
        }
        let rival = Epoch { repository, record };
        match self.open_epoch(&rival.repository, &rival.record) {
            Some(secret) => self.change_sides(step, at, rival, secret),
            None => self.stay_behind(step, rival),
        }
    }

    /// Two had replaced one key at the same time, and we followed the one that nobody follows in the end.
    fn change_sides(&mut self, step: &mut Step, at: usize, rival: Epoch, secret: RootSecret) {
        let listened = self.take_leave_of(step, &rival.repository);
        let past = self.epochs.past.remove(at);
        self.epochs.abandoned.insert(past.ended.record.key);
        self.config.topics = self.config.topics.with_key_of(&rival.repository, &past.topics);
        self.go_over(step, &listened, rival, secret);
    }

    /// Somebody is there with a past key: whoever's turn comes first tells what replaced it.
    fn answer_past(&mut self, step: &mut Step, at: usize) {
        let Past { ended, quiet_until_ms, .. } = &self.epochs.past[at];
        let count = self.peers.confirmed().count() as u64;
        let spread_ms = (count * HELLO_JITTER_PER_PEER_MS).clamp(1, MAX_HELLO_JITTER_MS);
        let at_ms = step.now.after(step.rng.next_u64() % spread_ms).max(*quiet_until_ms);
        self.timers.set_no_later(Timer::Epoch(ended.repository.clone(), ended.record.epoch), at_ms);
    }

    /// Somebody said that this is the key of our repository. Whether it is one that we left.
    pub(super) fn answer_past_key(&mut self, step: &mut Step, key: KeyId, asks: bool) -> bool {
        let own = &self.config.repository;
        let is_past = |past: &Past| past.ended.record.previous == key && past.ended.repository == *own;
        let Some(at) = self.epochs.past.iter().position(is_past) else { return false };
        if asks {
            self.answer_past(step, at);
        }
        true
    }

    /// Our turn to tell what replaced a past key.
    pub(super) fn on_epoch_due(&mut self, step: &mut Step, repository: &RepositoryName, epoch: u64) {
        let is_due = |past: &&mut Past| past.ended.record.epoch == epoch && past.ended.repository == *repository;
        let Some(past) = self.epochs.past.iter_mut().find(is_due) else { return };
        past.quiet_until_ms = step.now.after(EPOCH_ANSWER_INTERVAL_MS);
        let (topics, ended) = (past.topics.clone(), past.ended.clone());
        self.publish_epoch(step, &topics, &ended);
    }
}
