//! Finding out that others in an encrypted repository use another key.
//!
//! Keys decide where messages travel, so peers of different keys never meet. All who call a repository by the same name
//! listen on a topic that a slow hash of it gives, and say there, after each connect, which key they use. Anybody can say
//! anything there: it makes an error event, or has somebody tell again what replaced a key, and nothing else depends on it.

use super::error::SyncError;
use super::io::Event;
use super::synchronizer::{CanvasP2PSynchronizer, Delivery, Step};
use super::timers::Timer;
use crate::crypto::KeyId;
use crate::limits::{HELLO_JITTER_PER_PEER_MS, KEY_NOTICE_INTERVAL_MS, MAX_HELLO_JITTER_MS, OTHER_KEY_GRACE_MS};
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

    /// The others use another key, and have not said that it replaces ours.
    pub(super) fn on_other_key_due(&mut self, step: &mut Step) {
        if !std::mem::replace(&mut self.other_keys.reported, true) {
            step.event(Event::Error(SyncError::OtherKey { repository: self.config.repository.clone() }));
        }
    }

    /// For as long as this connection lasts.
    pub(super) fn say_nothing_of_other_keys(&mut self) {
        self.other_keys.reported = true;
        self.timers.clear(&Timer::OtherKey);
    }

    /// Somebody said so. Who comes with a key that we left is told what replaced it. Whoever asks gets one answer of all who use our key, however many they are.
    pub(super) fn on_key_notice(&mut self, step: &mut Step, notice: KeyNotice) {
        let Some((_, own)) = self.key_notices() else { return };
        if notice.key == own {
            return self.timers.clear(&Timer::KeyNotice);
        }
        if self.answer_past_key(step, notice.key, notice.asks) {
            return;
        }
        if !self.other_keys.reported {
            self.timers.set_no_later(Timer::OtherKey, step.now.after(OTHER_KEY_GRACE_MS));
        }
        if notice.asks {
            let count = self.peers.confirmed().count() as u64;
            let spread_ms = (count * HELLO_JITTER_PER_PEER_MS).clamp(1, MAX_HELLO_JITTER_MS);
            let at_ms = step.now.after(step.rng.next_u64() % spread_ms).max(self.other_keys.quiet_until_ms);
            self.timers.set_no_later(Timer::KeyNotice, at_ms);
        }
    }
}
