//! What waits for a repository's task.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::error::ServiceError;
use super::repository_task::Call;
use crate::ids::PeerId;
use crate::limits::{MAX_INBOX_BYTES, MAX_INBOX_CALLS, MAX_INBOX_MESSAGES, MUTED_BATCH_MESSAGES};
use crate::sync::{Input, Message};
use crate::wire::peek;

/// A bounded queue with a rule for each kind of entry at the bound:
///
/// * messages are dropped, and the synchroniser is told so that it catches up;
/// * calls are refused, and the application is told;
/// * what the connection reports (connected, acknowledged, …) is always taken: there is at most one entry for each
///   publish or subscription in flight, which the connection bounds.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    messages: usize,
    message_bytes: usize,
    calls: usize,
    /// Peers whose messages wake nobody by themselves.
    muted: BTreeSet<PeerId>,
    /// How many of these have come since the task was woken.
    quiet: usize,
    /// The task waits, and nothing has come since.
    idle: bool,
    messages_lost: bool,
    closed: bool,
}

impl State {
    fn is_muted(&self, message: &Message) -> bool {
        !self.muted.is_empty() && peek(&message.payload).is_ok_and(|header| self.muted.contains(&header.sender))
    }
}

/// One thing to do.
pub(crate) enum Entry {
    Input(Input),
    Message(Message),
    Call(Call),
}

/// Everything that had come when it was taken.
pub(crate) struct Batch {
    pub(crate) entries: Vec<Entry>,
    pub(crate) messages_lost: bool,
    pub(crate) closed: bool,
}

impl Inbox {
    pub(crate) fn push_input(&self, input: Input) {
        self.state().entries.push(Entry::Input(input));
        self.filled.notify_one();
    }

    pub(crate) fn push_message(&self, message: Message) {
        let mut state = self.state();
        let quietly = state.is_muted(&message);
        let bytes = message.payload.len() + message.topic.len();
        if state.messages >= MAX_INBOX_MESSAGES || state.message_bytes + bytes > MAX_INBOX_BYTES {
            state.messages_lost = true;
        } else {
            state.messages += 1;
            state.message_bytes += bytes;
            state.entries.push(Entry::Message(message));
        }
        state.quiet += usize::from(quietly);
        if quietly && state.quiet < MUTED_BATCH_MESSAGES {
            return;
        }
        drop(state);
        self.filled.notify_one();
    }

    /// From now on messages that bear the names of these peers wait for others, or until many have come.
    pub(crate) fn mute(&self, peers: &BTreeSet<PeerId>) {
        let mut state = self.state();
        if state.muted != *peers {
            state.muted.clone_from(peers);
        }
    }

    /// Adds a call, unless too many wait or the task is ending.
    pub(crate) fn push_call(&self, call: Call) -> Result<(), ServiceError> {
        let mut state = self.state();
        if state.closed {
            return Err(ServiceError::Closed);
        }
        if state.calls >= MAX_INBOX_CALLS {
            return Err(ServiceError::RateLimited { waiting: state.calls });
        }
        state.calls += 1;
        state.entries.push(Entry::Call(call));
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Tells the task to end after what is there.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
    }

    /// Takes everything; empty when nothing is there.
    pub(crate) fn take(&self) -> Batch {
        let mut state = self.state();
        state.idle = false;
        state.quiet = 0;
        state.messages = 0;
        state.message_bytes = 0;
        state.calls = 0;
        Batch {
            entries: std::mem::take(&mut state.entries),
            messages_lost: std::mem::take(&mut state.messages_lost),
            closed: state.closed,
        }
    }

    /// Whether anything has come since it was taken.
    pub(crate) fn has_more(&self) -> bool {
        !self.state().entries.is_empty()
    }

    /// The task has nothing to do but to wait for what comes.
    pub(crate) fn rest(&self) {
        self.state().idle = true;
    }

    /// Whether the task has done all that there was to do.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state();
        state.idle && state.entries.len() <= state.quiet
    }

    /// Waits until something is there.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
