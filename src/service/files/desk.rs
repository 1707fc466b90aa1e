//! What waits for a binding's thread.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::drivers::files::{Debounce, Seen};
use crate::ids::CanvasId;
use crate::limits::MAX_RESTLESS_FILES;

/// Gathers what happens to the files and the canvases until the binding's thread takes it. Bounded: a file or canvas is
/// there once, and instead of very many files all are looked at.
pub(crate) struct Desk {
    started: Instant,
    state: Mutex<State>,
    bell: Condvar,
}

struct State {
    paths: Debounce<PathBuf>,
    work: Work,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Files and folders to which something happened, and that have come to rest.
    pub(crate) paths: Vec<PathBuf>,
    /// Canvases that changed.
    pub(crate) canvases: BTreeSet<CanvasId>,
    /// All files have to be looked at.
    pub(crate) everything: bool,
    /// The connection has come or gone.
    pub(crate) link: bool,
    /// The service is being disconnected: this is the last work.
    pub(crate) closing: bool,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.canvases.is_empty() && !(self.everything || self.link || self.closing)
    }
}

impl Desk {
    pub(crate) fn new(debounce_ms: u64) -> Self {
        // The first look is at everything.
        let work = Work { everything: true, ..Work::default() };
        let state = State { paths: Debounce::new(debounce_ms), work };
        Self { started: Instant::now(), state: Mutex::new(state), bell: Condvar::new() }
    }

    /// Milliseconds since the binding was made.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The watcher saw something.
    pub(crate) fn seen(&self, seen: Seen) {
        let now_ms = self.now_ms();
        let mut state = self.state();
        match seen {
            Seen::Paths(paths) => paths.into_iter().for_each(|path| state.paths.note(now_ms, path)),
            Seen::Everything => state.work.everything = true,
        }
        if state.paths.len() > MAX_RESTLESS_FILES {
            state.paths.take_all();
            state.work.everything = true;
        }
        drop(state);
        self.bell.notify_one();
    }

    /// A canvas changed.
    pub(crate) fn canvas_changed(&self, canvas: &CanvasId) {
        if self.state().work.canvases.insert(canvas.clone()) {
            self.bell.notify_one();
        }
    }

    /// The connection has come or gone.
    pub(crate) fn link_changed(&self) {
        self.state().work.link = true;
        self.bell.notify_one();
    }

    /// The binding shall look at what has happened so far, and end.
    pub(crate) fn close(&self) {
        self.state().work.closing = true;
        self.bell.notify_one();
    }

    /// What was taken cannot be done yet.
    pub(crate) fn put_back(&self, work: Work) {
        let now_ms = self.now_ms();
        let mut state = self.state();
        work.paths.into_iter().for_each(|path| state.paths.note(now_ms, path));
        state.work.canvases.extend(work.canvases);
        state.work.everything |= work.everything;
        state.work.link |= work.link;
    }

    /// Waits until the connection has come or gone, or the service is being disconnected.
    pub(crate) fn wait_for_link(&self) {
        let mut state = self.state();
        while !state.work.link && !state.work.closing {
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.work.link = false;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state().work.closing
    }

    /// Waits until there is something to do, or until the given time.
    pub(crate) fn wait(&self, until_ms: Option<u64>) -> Work {
        let mut state = self.state();
        loop {
            let now_ms = self.now_ms();
            let closing = state.work.closing;
            let due = if closing { state.paths.take_all() } else { state.paths.take(now_ms) };
            state.work.paths.extend(due);
            if !state.work.is_empty() || until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
                let work = std::mem::take(&mut state.work);
                // It stays so: whoever asks later must hear of it too.
                state.work.closing = closing;
                return work;
            }
            let next_ms = [until_ms, state.paths.next_ms()].into_iter().flatten().min();
            state = match next_ms {
                Some(next_ms) => {
                    let limit = Duration::from_millis(next_ms.saturating_sub(now_ms).max(1));
                    self.bell.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
