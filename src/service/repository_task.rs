//! The task that owns one repository's synchroniser and carries out what it decides.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rand_chacha::ChaCha20Rng;
use tokio::sync::oneshot;

use super::error::ServiceError;
use super::files::Desk;
use super::inbox::{Batch, Entry, Inbox};
use super::item::Item;
use super::json;
use super::keeper::Keeper;
use super::mailbox::Mailbox;
use super::router::Router;
use crate::drivers::mqtt;
use crate::drivers::storage::{keep_epoch, pin_root};
use crate::drivers::turns::Turns;
use crate::histogram::Histogram;
use crate::ids::{PeerId, RepositoryName};
use crate::sync::{
    CanvasP2PSynchronizer, Command, Epoch, Event, Input, Message, Notice, Output, Publish, QualityOfService, Reply,
    RepositoryStatus, SyncError,
};
use crate::time::Now;
use crate::wire::Priority;

/// The status is taken whenever there is nothing to do, and while there always is something, every so many turns.
const STATUS_EVERY_TURNS: u64 = 64;

/// Within one turn the application gets so many outcomes and events at once.
const ITEMS_PER_DELIVERY: usize = 64;

/// What came before a larger message is answered before that is taken in, which takes milliseconds.
const LARGE_MESSAGE_BYTES: usize = 16 << 10;

/// A call of the application, or of the service itself.
pub(crate) struct Call {
    /// Makes the command; run by the task, so that the caller's thread does not read large canvases.
    pub(crate) prepare: Box<dyn FnOnce() -> Result<Command, ServiceError> + Send>,
    pub(crate) answer_to: AnswerTo,
}

/// Who gets the outcome of a call.
pub(crate) enum AnswerTo {
    /// The application, under the number that it chose.
    Application(u64),
    /// A part of the service.
    Service(oneshot::Sender<Result<Reply, SyncError>>),
}

/// One repository's task.
pub(crate) struct RepositoryTask {
    pub(crate) name: RepositoryName,
    /// Names the repository in publish ids; see [`Router::acknowledged`].
    pub(crate) index: u16,
    pub(crate) synchronizer: CanvasP2PSynchronizer,
    pub(crate) keeper: Keeper,
    /// Where it is kept who the first admin is, if anything is kept.
    pub(crate) pins: Option<PathBuf>,
    /// The data directory, if there is one, in which new keys are kept.
    pub(crate) epochs: Option<PathBuf>,
    /// What storage has from an earlier process; goes in before anything else.
    pub(crate) restored: Option<Input>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) router: Arc<Router>,
    pub(crate) status: Arc<Mutex<RepositoryStatus>>,
    /// To be told of each canvas that changes, where they are files too.
    pub(crate) files: Option<Arc<Desk>>,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) started: Instant,
    /// How long batches of messages took.
    pub(crate) apply: Histogram,
}

impl RepositoryTask {
    /// Runs until the inbox is closed and what the synchroniser wants stored is stored.
    pub(crate) async fn run(mut self) {
        let mut calls = Calls::default();
        let mut wake_at_ms = None;
        let mut turns = 0_u64;
        // Something was done since the status was taken.
        let mut changed = true;
        if let Some(restored) = self.restored.take() {
            let mut turn = Turn { items: Vec::new(), wake_at_ms };
            self.step(restored, &mut calls, &mut turn).await;
            wake_at_ms = turn.wake_at_ms;
            self.mailbox.push(turn.items);
        }
        loop {
            // An application that does not keep up holds its repository back, and nothing else.
            self.mailbox.room().await;
            let mut batch = self.inbox.take();
            turns += 1;
            let idle = batch.entries.is_empty() && !batch.messages_lost;
            if (idle && changed) || turns.is_multiple_of(STATUS_EVERY_TURNS) {
                changed = false;
                let mut status = self.synchronizer.status();
                status.statistics.apply = self.apply;
                *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
            }
            if idle {
                if batch.closed && !self.keeper.is_storing() {
                    break;
                }
                self.inbox.rest();
                wait(&self.inbox, self.started, wake_at_ms).await;
                // In the same turn: whoever lends a thread for an edit lends it for one.
                batch = self.inbox.take();
            }
            let due = wake_at_ms.is_some_and(|at_ms| self.now().reached(at_ms));
            changed |= due || !batch.entries.is_empty() || batch.messages_lost;
            let mut turn = Turn { items: Vec::new(), wake_at_ms };
            self.work(batch, &mut calls, &mut turn).await;
            wake_at_ms = turn.wake_at_ms;
            self.inbox.mute(self.synchronizer.muted());
            self.mailbox.push(turn.items);
            self.keeper.compact(|id| self.synchronizer.compacted(id));
            if self.turns.is_taken() && self.inbox.has_more() {
                // The application's thread has seen to its edit; whatever has come meanwhile is the runtime's.
                tokio::task::yield_now().await;
            }
        }
        calls.close(&self.mailbox);
    }

    async fn work(&mut self, batch: Batch, calls: &mut Calls, turn: &mut Turn) {
        let mut messages: Vec<Message> = Vec::new();
        if batch.messages_lost {
            self.step(Input::MessagesLost, calls, turn).await;
        }
        for entry in batch.entries {
            if let Entry::Message(message) = entry {
                if message.payload.len() > LARGE_MESSAGE_BYTES
                    && messages.last().is_some_and(|last| last.payload.len() <= LARGE_MESSAGE_BYTES)
                {
                    self.step(Input::Messages(std::mem::take(&mut messages)), calls, turn).await;
                }
                messages.push(message);
                continue;
            }
            if !messages.is_empty() {
                self.step(Input::Messages(std::mem::take(&mut messages)), calls, turn).await;
            }
            if turn.items.len() >= ITEMS_PER_DELIVERY {
                self.mailbox.push(std::mem::take(&mut turn.items));
                self.mailbox.room().await;
            }
            match entry {
                Entry::Input(input) => self.step(input, calls, turn).await,
                Entry::Call(call) => self.call(call, calls, turn).await,
                Entry::Message(_) => {}
            }
        }
        if !messages.is_empty() {
            self.step(Input::Messages(messages), calls, turn).await;
        }
        if turn.wake_at_ms.is_some_and(|at_ms| self.now().reached(at_ms)) {
            // What is due at once is our own housekeeping: the application hears first.
            self.mailbox.push(std::mem::take(&mut turn.items));
            self.step(Input::Timer, calls, turn).await;
        }
    }

    async fn call(&mut self, call: Call, calls: &mut Calls, turn: &mut Turn) {
        match (call.prepare)() {
            Ok(command) => {
                let call = calls.add(call.answer_to);
                self.step(Input::Command { call, command }, calls, turn).await;
            }
            Err(error) => match call.answer_to {
                AnswerTo::Application(call) => turn.items.push(json::outcome(call, Err(error))),
                // The service prepares its own commands without anything that could fail.
                AnswerTo::Service(_) => {}
            },
        }
    }

    async fn step(&mut self, input: Input, calls: &mut Calls, turn: &mut Turn) {
        let now = self.now();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.keeper.note(&input);
            let begun = matches!(input, Input::Messages(_)).then(Instant::now);
            let mut output = self.synchronizer.handle(now, &mut self.rng, input);
            if let Some(begun) = begun {
                self.apply.record_us(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            self.keep_epochs(std::mem::take(&mut output.epochs), turn).await;
            if self.send(&mut output) {
                // The connection's task runs now: others see an edit before we do our own housekeeping.
                tokio::task::yield_now().await;
            }
            turn.wake_at_ms = output.wake_at_ms;
            self.tell(output.notices, calls, turn);
            if let Some((token, operations)) = output.store {
                inputs.extend(self.keeper.store(token, operations));
            }
            inputs.extend(self.keeper.load(output.load));
        }
    }

    /// Keeps new keys before anybody sees that this peer has them: who comes back must not fall back to an old one.
    async fn keep_epochs(&self, epochs: Vec<Epoch>, turn: &mut Turn) {
        let Some(directory) = self.epochs.clone().filter(|_| !epochs.is_empty()) else { return };
        let keep = move || epochs.iter().try_for_each(|epoch| keep_epoch(&directory, epoch));
        if let Ok(Err(error)) = tokio::task::spawn_blocking(keep).await {
            let message =
                format!("the new key of '{}' could not be stored and ends with this process: {error}", self.name);
            let payload = serde_json::json!({ "code": "ERR_STORAGE_FULL", "message": message });
            turn.items.push(json::event("error", &payload));
        }
    }

    /// Hands everything for the network to the connection; whether anything was published.
    fn send(&self, output: &mut Output) -> bool {
        let subscribe = std::mem::take(&mut output.subscribe);
        if !subscribe.is_empty() {
            self.router.subscribe(self.index, subscribe);
        }
        let unsubscribe = std::mem::take(&mut output.unsubscribe);
        if !unsubscribe.is_empty() {
            self.router.unsubscribe(self.index, unsubscribe);
        }
        let publishes = std::mem::take(&mut output.publish);
        let any = !publishes.is_empty();
        for publish in publishes {
            self.publish(publish);
        }
        any
    }

    fn tell(&self, notices: Vec<Notice>, calls: &mut Calls, turn: &mut Turn) {
        for notice in notices {
            match notice {
                Notice::Outcome { call, result } => calls.answer(call, result, &self.name, turn),
                Notice::Event(Event::Ready { connection }) => self.router.ready(self.index, connection),
                Notice::Event(Event::RootTrusted(root)) => self.pin(&root),
                Notice::Event(event) => {
                    if let (Some(files), Event::Canvas(happened)) = (&self.files, &event) {
                        files.canvas_changed(&happened.canvas);
                    }
                    turn.items.extend(json::repository_event(&self.name, event));
                }
            }
        }
    }

    /// Once in the life of a data directory, and a few bytes.
    fn pin(&self, root: &PeerId) {
        tracing::info!(target: "mqtt:sync", repository = %self.name, %root, "trusted as the first admin");
        let Some(directory) = &self.pins else { return };
        if let Err(error) = pin_root(directory, &self.name, root) {
            tracing::error!(target: "mqtt:storage", %error, "the first admin is not kept, and trusted anew next time");
        }
    }

    fn publish(&self, publish: Publish) {
        let token = publish.token;
        let result = self.router.publish(mqtt::Publish {
            id: token.map(|token| Router::publish_id(self.index, token)),
            topic: publish.topic,
            payload: publish.payload,
            qos: quality(publish.quality),
            retain: publish.retain,
            priority: match publish.priority {
                Priority::Critical => mqtt::Priority::Critical,
                Priority::High => mqtt::Priority::High,
                Priority::Medium => mqtt::Priority::Medium,
                Priority::Low => mqtt::Priority::Low,
            },
        });
        if let Err(error) = result {
            tracing::debug!(target: "mqtt:net", repository = %self.name, %error, "publish not taken");
            if let Some(token) = token {
                self.inbox.push_input(Input::PublishRefused(token));
            }
        }
    }

    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { elapsed_ms: millis(self.started.elapsed()), unix_ms: millis(unix) }
    }
}

async fn wait(inbox: &Inbox, started: Instant, wake_at_ms: Option<u64>) {
    match wake_at_ms {
        Some(at_ms) => {
            let at = started + Duration::from_millis(at_ms);
            // Whether it was filled or the time has come, the task looks at both.
            let _ = tokio::time::timeout_at(at.into(), inbox.filled()).await;
        }
        None => inbox.filled().await,
    }
}

/// What one turn of the task has brought so far.
struct Turn {
    items: Vec<Item>,
    wake_at_ms: Option<u64>,
}

/// Calls under way. The number that the synchroniser sees is the task's own, since applications and the service both
/// choose theirs.
#[derive(Default)]
struct Calls {
    waiting: HashMap<u64, AnswerTo>,
    last: u64,
}

impl Calls {
    fn add(&mut self, answer_to: AnswerTo) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, answer_to);
        self.last
    }

    fn answer(&mut self, call: u64, result: Result<Reply, SyncError>, repository: &RepositoryName, turn: &mut Turn) {
        match self.waiting.remove(&call) {
            Some(AnswerTo::Application(number)) => {
                let value = result.map(|reply| json::reply(repository, &reply)).map_err(ServiceError::from);
                turn.items.push(json::outcome(number, value));
            }
            // Whoever no longer waits does not want to know.
            Some(AnswerTo::Service(sender)) => drop(sender.send(result)),
            None => {}
        }
    }

    fn close(self, mailbox: &Mailbox) {
        let mut open: Vec<u64> = self
            .waiting
            .into_values()
            .filter_map(|answer_to| match answer_to {
                AnswerTo::Application(call) => Some(call),
                AnswerTo::Service(_) => None,
            })
            .collect();
        open.sort_unstable();
        mailbox.push(open.into_iter().map(|call| json::outcome(call, Err(ServiceError::Closed))).collect());
    }
}

pub(crate) fn quality(quality: QualityOfService) -> mqtt::Qos {
    match quality {
        QualityOfService::AtMostOnce => mqtt::Qos::AtMostOnce,
        QualityOfService::AtLeastOnce => mqtt::Qos::AtLeastOnce,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::super::config::ServiceConfig;
    use super::super::manager::P2PNetworkManager;
    use super::*;

    #[test]
    fn a_small_call_is_done_on_the_callers_thread_while_all_others_are_busy() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        // Nobody listens on the port for discarding.
        let config =
            r#"{ "broker": { "host": "127.0.0.1", "port": 9 }, "offline": "allow", "repositories": ["team"] }"#;
        let (config, mailbox) = (ServiceConfig::from_json(config).unwrap(), Arc::<Mailbox>::default());
        let manager = P2PNetworkManager::new(config, [1; 32], mailbox.clone(), runtime.handle().clone()).unwrap();
        let said = |call: u64| mailbox.drain().contains(&format!("\"call\":{call}"));
        manager.initialize(1);
        while !said(1) {
            thread::yield_now();
        }
        while !manager.repository("team").unwrap().inbox.is_idle() {
            thread::yield_now();
        }
        let (begun, has_begun) = channel();
        let (end, has_ended) = channel::<()>();
        let busy = runtime.spawn(async move {
            begun.send(()).unwrap();
            has_ended.recv().unwrap();
        });
        has_begun.recv().unwrap();
        manager.call_here(2, "team", || Ok(Command::List)).unwrap();
        assert!(said(2), "it was left to the runtime, which has no thread to spare");
        end.send(()).unwrap();
        runtime.block_on(busy).unwrap();
    }
}
