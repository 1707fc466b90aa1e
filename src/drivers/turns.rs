//! A task that another thread may drive for a moment, so that it need not wake one of the runtime's.
//!
//! To wake a thread that sleeps takes 50 µs of the 600 that a move takes from process to process, and more on a machine
//! that has put its core to sleep. The thread that makes an edit is awake.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

/// The task was woken since it last ran.
const WOKEN: u8 = 1;
/// Another thread has the task: who wakes it need not wake a thread.
const TAKEN: u8 = 2;

/// The turns of one task. The runtime's threads take them when the task is woken, and others may take one in between.
#[derive(Default)]
pub struct Turns {
    slot: Mutex<Slot>,
    signal: Arc<Signal>,
}

#[derive(Default)]
struct Slot {
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// What the task panicked with on another thread, for the runtime to deal with.
    panic: Option<Box<dyn Any + Send>>,
}

#[derive(Default)]
struct Signal {
    flags: AtomicU8,
    runtime: Mutex<Option<Waker>>,
}

impl Turns {
    /// The task itself, to be spawned on a runtime; once.
    pub async fn run(self: Arc<Self>, future: impl Future<Output = ()> + Send + 'static) {
        let _end = End(self.clone());
        self.lock().future = Some(Box::pin(future));
        std::future::poll_fn(|cx| {
            *self.signal.lock() = Some(cx.waker().clone());
            let Some(mut slot) = self.lock_unless_taken() else { return Poll::Pending };
            if let Some(panic) = slot.panic.take() {
                drop(slot);
                resume_unwind(panic);
            }
            self.poll(&mut slot)
        })
        .await;
    }

    /// Takes the task for a moment, unless it runs at present. Until the turn is dropped, nobody else runs it.
    pub fn take(&self) -> Option<Turn<'_>> {
        let slot = match self.slot.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => return None,
        };
        slot.future.as_ref()?;
        self.signal.flags.fetch_or(TAKEN, Ordering::SeqCst);
        Some(Turn { turns: self, slot: Some(slot) })
    }

    /// Whether another thread has the task at present, which has other things to do than to drive it for long.
    pub fn is_taken(&self) -> bool {
        self.signal.flags.load(Ordering::SeqCst) & TAKEN != 0
    }

    fn poll(&self, slot: &mut Slot) -> Poll<()> {
        self.signal.flags.fetch_and(!WOKEN, Ordering::SeqCst);
        let Some(future) = &mut slot.future else { return Poll::Ready(()) };
        let outcome = future.as_mut().poll(&mut Context::from_waker(&self.signal.clone().into()));
        if outcome.is_ready() {
            slot.future = None;
        }
        outcome
    }

    /// For the runtime, whose threads must not wait: `None` if another thread has the task, which wakes the runtime when
    /// it lets go of it with anything left to do.
    fn lock_unless_taken(&self) -> Option<MutexGuard<'_, Slot>> {
        loop {
            match self.slot.try_lock() {
                Ok(slot) => return Some(slot),
                Err(TryLockError::Poisoned(slot)) => return Some(slot.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
            if self.signal.flags.fetch_or(WOKEN, Ordering::SeqCst) & TAKEN != 0 {
                return None;
            }
            // It is being taken or let go of just now.
            std::hint::spin_loop();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task ends with the runtime's, also when that is cancelled.
struct End(Arc<Turns>);

impl Drop for End {
    fn drop(&mut self) {
        let future = self.0.lock().future.take();
        drop(future);
    }
}

/// One thread's turn.
pub struct Turn<'a> {
    turns: &'a Turns,
    slot: Option<MutexGuard<'a, Slot>>,
}

impl Turn<'_> {
    /// Runs the task until it waits for something; to be called within the runtime's context. Should it panic, it does so
    /// on the runtime, as if it had run there.
    pub fn run(&mut self) {
        let Some(slot) = &mut self.slot else { return };
        match catch_unwind(AssertUnwindSafe(|| self.turns.poll(slot))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(())) => {}
            Err(panic) => slot.panic = Some(panic),
        }
        self.turns.signal.flags.fetch_or(WOKEN, Ordering::SeqCst);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.slot = None;
        // Who woke the task meanwhile relied on us.
        if self.turns.signal.flags.fetch_and(!TAKEN, Ordering::SeqCst) & WOKEN != 0 {
            self.turns.signal.wake_runtime();
        }
    }
}

impl Signal {
    fn wake_runtime(&self) {
        let waker = self.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.flags.fetch_or(WOKEN, Ordering::SeqCst) & TAKEN == 0 {
            self.wake_runtime();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;
    use std::thread::{self, ThreadId};

    use tokio::runtime::Runtime;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
    use tokio::task::JoinHandle;

    use super::*;

    type Reports = Receiver<(u64, ThreadId)>;

    /// A task that says on which thread it got each number.
    fn start(runtime: &Runtime) -> (Arc<Turns>, UnboundedSender<u64>, Reports, JoinHandle<()>) {
        let turns = Arc::<Turns>::default();
        let (sender, mut numbers) = unbounded_channel();
        let (report, reports) = std::sync::mpsc::channel();
        let task = async move {
            while let Some(number) = numbers.recv().await {
                assert!(number != 13, "unlucky");
                report.send((number, thread::current().id())).unwrap();
                tokio::task::yield_now().await;
            }
        };
        let handle = runtime.spawn(turns.clone().run(task));
        (turns, sender, reports, handle)
    }

    /// A turn, as soon as the runtime has begun the task and does not run it.
    fn take(turns: &Turns) -> Turn<'_> {
        loop {
            match turns.take() {
                Some(turn) => return turn,
                None => thread::yield_now(),
            }
        }
    }

    #[test]
    fn a_turn_runs_the_task_here_and_the_runtime_goes_on_with_what_is_left() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (turns, sender, reports, handle) = start(&runtime);
        let here = thread::current().id();
        let mut turn = take(&turns);
        assert!(turns.take().is_none(), "one at a time");
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        turn.run();
        assert_eq!(reports.try_recv().unwrap(), (1, here));
        assert!(reports.try_recv().is_err(), "it has yielded, and nobody else may run it");
        drop(turn);
        assert_ne!(reports.recv().unwrap(), (2, here));
        let mut turn = turns.take();
        drop(sender);
        if let Some(turn) = &mut turn {
            turn.run();
            turn.run();
        }
        drop(turn);
        runtime.block_on(handle).unwrap();
        assert!(turns.take().is_none(), "it has ended");
    }

    #[test]
    fn no_wake_is_lost_whoever_takes_turns() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let (turns, sender, reports, handle) = start(&runtime);
        thread::scope(|scope| {
            for helper in 0..2_u64 {
                let (turns, sender) = (&turns, sender.clone());
                scope.spawn(move || {
                    for number in 0..2_000 {
                        let turn = turns.take();
                        sender.send(100 + 2 * number + helper).unwrap();
                        if let Some(mut turn) = turn {
                            turn.run();
                        }
                    }
                });
            }
        });
        drop(sender);
        runtime.block_on(handle).unwrap();
        assert_eq!(reports.iter().count(), 4_000);
    }

    #[test]
    fn a_panic_in_a_turn_is_the_runtimes() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (turns, sender, _reports, handle) = start(&runtime);
        let mut turn = take(&turns);
        sender.send(13).unwrap();
        turn.run();
        drop(turn);
        assert!(runtime.block_on(handle).unwrap_err().is_panic());
        assert!(turns.take().is_none());
    }
}
