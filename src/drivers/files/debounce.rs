//! Waiting until something has come to rest. Pure: time is passed in.

use std::collections::BTreeMap;

/// How many quiet times a thing that never comes to rest is held back at most.
const MOST_QUIET_TIMES: u64 = 10;

/// Things that happened, each due when nothing has happened to it for a while.
///
/// | state | happens | time passes |
/// | --- | --- | --- |
/// | at rest | restless: due a quiet time later | at rest |
/// | restless | due a quiet time later, but at most ten after it began | when due: handed out, at rest |
#[derive(Debug)]
pub struct Debounce<K> {
    quiet_ms: u64,
    restless: BTreeMap<K, Restless>,
}

#[derive(Debug)]
struct Restless {
    latest_ms: u64,
    due_ms: u64,
}

impl<K: Ord + Clone> Debounce<K> {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(quiet_ms: u64) -> Self {
        Self { quiet_ms, restless: BTreeMap::new() }
    }

    /// Something happened to it.
    pub fn note(&mut self, now_ms: u64, key: K) {
        let latest_ms = now_ms.saturating_add(self.quiet_ms.saturating_mul(MOST_QUIET_TIMES));
        let restless = self.restless.entry(key).or_insert(Restless { latest_ms, due_ms: 0 });
        restless.due_ms = now_ms.saturating_add(self.quiet_ms).min(restless.latest_ms);
    }

    /// Hands out what is due.
    pub fn take(&mut self, now_ms: u64) -> Vec<K> {
        self.restless.extract_if(.., |_, restless| restless.due_ms <= now_ms).map(|(key, _)| key).collect()
    }

    /// Forgets everything, and hands it out.
    pub fn take_all(&mut self) -> Vec<K> {
        std::mem::take(&mut self.restless).into_keys().collect()
    }

    /// When the next thing is due.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        self.restless.values().map(|restless| restless.due_ms).min()
    }

    /// How many things are restless.
    #[must_use]
    pub fn len(&self) -> usize {
        self.restless.len()
    }

    /// Whether all is at rest.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.restless.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_to_rest_is_handed_out_once() {
        let mut debounce = Debounce::new(50);
        debounce.note(0, "a");
        debounce.note(40, "a");
        debounce.note(10, "b");
        assert_eq!(debounce.next_ms(), Some(60));
        assert_eq!(debounce.take(59), Vec::<&str>::new());
        assert_eq!(debounce.take(60), ["b"]);
        assert_eq!(debounce.take(90), ["a"]);
        assert!(debounce.is_empty() && debounce.next_ms().is_none());
    }

    #[test]
    fn what_never_rests_is_handed_out_all_the_same() {
        let mut debounce = Debounce::new(50);
        for now_ms in (0..=500).step_by(10) {
            debounce.note(now_ms, "a");
        }
        assert_eq!(debounce.take(500), ["a"]);
    }
}
