//! What a repository counts.

use std::collections::BTreeMap;

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

/// A repository at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryStatus {
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
