//! The one ordered channel to the application: outcomes of calls and events, already as JSON.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::limits::{MAX_DRAIN_BYTES, MAX_MAILBOX_BYTES, MAX_OVERHEARD_BYTES};

/// Rings when there is something new.
pub type Doorbell = Arc<dyn Fn() + Send + Sync>;

/// A bounded mailbox. At its bound nothing is lost: whoever fills it waits for room before it takes in more (see
/// [`Mailbox::room`]), so the pressure goes back to the repository's inbox, and from there to the broker, whose dropped
/// messages are caught up with later.
#[derive(Default)]
pub struct Mailbox {
    state: Mutex<State>,
    drained: Notify,
}

#[derive(Default)]
struct State {
    items: std::collections::VecDeque<String>,
    bytes: usize,
    doorbell: Option<Doorbell>,
    /// The application's thread is here, and will look by itself.
    hushed: bool,
}

impl Mailbox {
    /// Says how the application is told that there is something; rings if there is already.
    pub fn set_doorbell(&self, doorbell: Option<Doorbell>) {
        let mut state = self.state();
        state.doorbell = doorbell;
        let rings = !state.items.is_empty();
        leave(state, rings);
    }

    /// Adds items, in order.
    pub(crate) fn push(&self, items: Vec<String>) {
        if items.is_empty() {
            return;
        }
        let mut state = self.state();
        let was_empty = state.items.is_empty();
        for item in items {
            state.bytes += item.len();
            state.items.push_back(item);
        }
        let rings = was_empty && !state.hushed;
        leave(state, rings);
    }

    /// For the application's thread: the doorbell is silent until it has heard whether there is something.
    pub(crate) fn hush(&self) -> Hush<'_> {
        self.state().hushed = true;
        Hush(self)
    }

    /// Adds an event of which nobody minds if it is lost: it is, when very much waits for the application.
    pub fn offer_event(&self, name: &str, payload: &serde_json::Value) {
        self.offer(super::json::event(name, payload), MAX_OVERHEARD_BYTES);
    }

    /// Adds an item unless more than so many bytes wait; whether it did.
    pub(crate) fn offer(&self, item: String, max_bytes: usize) -> bool {
        let takes = self.state().bytes <= max_bytes;
        if takes {
            self.push(vec![item]);
        }
        takes
    }

    /// Takes what is there, as a JSON array; when there is more than the application should take at once, the doorbell
    /// rings again.
    pub fn drain(&self) -> String {
        let mut state = self.state();
        let mut text = String::from("[");
        while let Some(item) = state.items.front()
            && (text.len() == 1 || text.len() + item.len() <= MAX_DRAIN_BYTES)
        {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(item);
            state.bytes -= item.len();
            state.items.pop_front();
        }
        text.push(']');
        let rings = !state.items.is_empty();
        leave(state, rings);
        self.drained.notify_waiters();
        text
    }

    /// Waits until there is room.
    pub(crate) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.state().bytes <= MAX_MAILBOX_BYTES {
                return;
            }
            drained.await;
        }
    }

    /// The doorbell is a callback of the application's runtime, which may not panic into ours; nothing else can poison.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lasts the doorbell is silent.
pub(crate) struct Hush<'a>(&'a Mailbox);

impl Hush<'_> {
    /// Whether there is something, which whoever asks must take then.
    pub(crate) fn end(self) -> bool {
        !self.0.state().items.is_empty()
    }
}

impl Drop for Hush<'_> {
    fn drop(&mut self) {
        self.0.state().hushed = false;
    }
}

/// Lets go of the mailbox, and then rings if so wanted: ringing wakes the application's thread, and takes long enough that
/// this would find the mailbox locked, and sleep again.
fn leave(state: MutexGuard<'_, State>, rings: bool) {
    let doorbell = state.doorbell.clone().filter(|_| rings);
    drop(state);
    if let Some(doorbell) = doorbell {
        doorbell();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn items_come_out_in_order_and_the_bell_rings_once_for_many() {
        let mailbox = Mailbox::default();
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = rings.clone();
        mailbox.set_doorbell(Some(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })));
        mailbox.push(vec!["1".into(), "2".into()]);
        mailbox.push(vec!["3".into()]);
        assert_eq!(rings.load(Ordering::SeqCst), 1);
        assert_eq!(mailbox.drain(), "[1,2,3]");
        assert_eq!(mailbox.drain(), "[]");
    }

    #[test]
    fn who_is_there_is_not_rung_for_and_looks() {
        let mailbox = Mailbox::default();
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = rings.clone();
        mailbox.set_doorbell(Some(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })));
        assert!(!mailbox.hush().end());
        let hush = mailbox.hush();
        mailbox.push(vec!["1".into()]);
        assert!(hush.end());
        assert_eq!((rings.load(Ordering::SeqCst), mailbox.drain()), (0, "[1]".to_owned()));
        mailbox.push(vec!["2".into()]);
        assert_eq!(rings.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_full_mailbox_makes_its_fillers_wait() {
        let mailbox = Arc::new(Mailbox::default());
        mailbox.push(vec!["x".repeat(MAX_MAILBOX_BYTES), "y".repeat(MAX_DRAIN_BYTES)]);
        let waiting = tokio::spawn({
            let mailbox = mailbox.clone();
            async move { mailbox.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert!(mailbox.drain().len() > MAX_MAILBOX_BYTES);
        waiting.await.unwrap();
        assert_eq!(mailbox.drain().len(), MAX_DRAIN_BYTES + 2);
    }
}
