//! What a repository counts.

use std::collections::BTreeMap;

use crate::histogram::Histogram;
use crate::wire::Kind;

/// Counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Edits made here.
    pub local_edits: u64,
    /// Changes taken in from others.
    pub remote_changes: u64,
    /// Packets published.
    pub sent: u64,
    /// Messages that arrived, own echoes included.
    pub received: u64,
    /// What was published and what was verified and read, by kind.
    pub traffic: Traffic,
    /// From when live changes were sent, by their sender's clock, until they were here, by this machine's: as wrong as the
    /// two clocks differ. Retained messages are not counted.
    pub latency: Histogram,
    /// How long taking in one batch of messages took; measured by the driver, for there is no clock here.
    pub apply: Histogram,
    /// Changes that were refused and set aside.
    pub quarantined: u64,
    /// Gaps noticed in other peers' counters.
    pub gaps: u64,
    /// Requests to catch up that were sent.
    pub requests: u64,
    /// Requests of others that were answered.
    pub answers: u64,
    /// Snapshots that were read from the broker.
    pub snapshots_read: u64,
    /// Snapshots that were written, and acknowledged by the broker.
    pub snapshots_written: u64,
    /// When catching up last ended with an answer, in milliseconds since the Unix epoch.
    pub last_sync_unix_ms: Option<u64>,
    /// Dropped messages by reason; the number of reasons is fixed.
    pub rejected: BTreeMap<&'static str, u64>,
}

impl Statistics {
    pub(super) fn reject(&mut self, reason: &'static str) {
        self.reject_many(reason, 1);
    }

    pub(super) fn reject_many(&mut self, reason: &'static str, count: usize) {
        if count > 0 {
            *self.rejected.entry(reason).or_default() += count as u64;
        }
    }
}

/// Packets and their payload bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// Packets.
    pub messages: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

impl Volume {
    fn add(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }
}

/// What went over the broker, by kind of message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    by_kind: [(Volume, Volume); Kind::ALL.len()],
}

impl Traffic {
    pub(super) fn sent(&mut self, kind: Kind, bytes: usize) {
        if let Some((sent, _)) = self.of(kind) {
            sent.add(bytes);
        }
    }

    pub(super) fn received(&mut self, kind: Kind, bytes: usize) {
        if let Some((_, received)) = self.of(kind) {
            received.add(bytes);
        }
    }

    /// What was sent and what was received of each kind that occurred.
    pub fn by_kind(&self) -> impl Iterator<Item = (Kind, Volume, Volume)> {
        let kinds = Kind::ALL.iter().zip(&self.by_kind);
        kinds
            .map(|(kind, (sent, received))| (*kind, *sent, *received))
            .filter(|(_, sent, received)| sent.messages > 0 || received.messages > 0)
    }

    fn of(&mut self, kind: Kind) -> Option<&mut (Volume, Volume)> {
        // Kinds are few, and numbered as they are listed.
        Kind::ALL.iter().position(|one| *one == kind).and_then(|index| self.by_kind.get_mut(index))
    }
}

/// A repository at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryStatus {
    /// Whether it is encrypted, and then how often its key has been replaced.
    pub epoch: Option<u64>,
    /// How many canvases its index lists.
    pub canvases: usize,
    /// How many of them are followed live.
    pub live: usize,
    /// How many peers were heard live and have not left.
    pub peers: usize,
    /// Own changes that the broker has not acknowledged.
    pub pending_edits: usize,
    /// Changes that wait for others on which they depend.
    pub buffered_changes: usize,
    /// How many documents are asking for what they lack.
    pub catching_up: usize,
    /// Counts since the start.
    pub statistics: Statistics,
}
