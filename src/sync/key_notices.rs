//! Finding out that others in an encrypted repository use another key.
//!
//! Keys decide where messages travel, so peers of different keys never meet. All who call a repository by the same name
//! listen on a topic that a slow hash of it gives, and say there, after each connect, which key they use. Anybody can say
//! anything there: it makes an error event, and nothing else depends on it.

use super::error::SyncError;
use super::io::Event;
use super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step};
use super::timers::Timer;
use crate::crypto::KeyId;
use crate::limits::{HELLO_JITTER_PER_PEER_MS, KEY_NOTICE_INTERVAL_MS, MAX_HELLO_JITTER_MS};
use crate::wire::{Body, KeyNotice, Priority, Topic};

/// What is known of other keys.
#[derive(Debug, Default)]
pub(super) struct OtherKeys {
    /// Whether the application has been told, on this connection.
    reported: bool,
    /// When the next answer may be given.
    quiet_until_ms: u64,
}

impl OtherKeys {
    /// A new connection: the application is told again.
    pub(super) fn connected(&mut self) {
        self.reported = false;
    }
}

impl CanvasP2PSynchronizer {
    /// Where keys are told, and which is ours: if the repository is encrypted, and this peer makes itself known.
    pub(super) fn key_notices(&self) -> Option<(Topic, KeyId)> {
        self.config.discovery.then(|| self.config.topics.key_notices(&self.config.repository)).flatten()
    }

    /// Says which key we use.
    pub(super) fn say_key(&mut self, step: &mut Step, asks: bool) {
        if let Some((topic, key)) = self.key_notices() {
            let notice = Body::KeyNotice(KeyNotice { asks, key });
            self.publish(step, &topic, &notice, Delivery::once(Priority::Medium));
        }
    }

    /// Our turn to answer who asked.
    pub(super) fn answer_key_notice(&mut self, step: &mut Step) {
        self.say_key(step, false);
        self.other_keys.quiet_until_ms = step.now.after(KEY_NOTICE_INTERVAL_MS);
    }

    /// Somebody said so. Whoever asks gets one answer of all who use our key, however many they are.
    pub(super) fn on_key_notice(&mut self, step: &mut Step, notice: KeyNotice) {
        let Some((_, own)) = self.key_notices() else { return };
        if notice.key == own {
            return self.timers.clear(&Timer::KeyNotice);
        }
        if !std::mem::replace(&mut self.other_keys.reported, true) {
            step.event(Event::Error(SyncError::OtherKey { repository: self.config.repository.clone() }));
        }
        if notice.asks {
            let count = self.peers.confirmed().count() as u64;
            let spread_ms = (count * HELLO_JITTER_PER_PEER_MS).clamp(1, MAX_HELLO_JITTER_MS);
            let at_ms = step.now.after(step.rng.next_u64() % spread_ms).max(self.other_keys.quiet_until_ms);
            self.timers.set_no_later(Timer::KeyNotice, at_ms);
        }
    }
}
