//! `P2PNetworkManager`: the repositories of one service on one connection.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tokio::runtime::Handle;
use tokio::sync::{RwLock, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::config::{Offline, ServiceConfig};
use super::error::ServiceError;
use super::files::{BoundFolder, Desk, FilesStatus};
use super::inbox::Inbox;
use super::json;
use super::keeper::Keeper;
use super::keys::Keys;
use super::mailbox::Mailbox;
use super::repository_task::{AnswerTo, Call, RepositoryTask};
use super::router::{LinkState, Router};
use super::startup::{Startup, identity, number_of_start, synchronizer_config};
use crate::crypto::Identity;
use crate::drivers::mqtt::{CanvasMQTTBroker, ConnectionOptions};
use crate::drivers::turns::Turns;
use crate::histogram::Histogram;
use crate::ids::{RepositoryName, Session};
use crate::limits::{LEAVE_TIMEOUT_MS, MAX_WAITING_HERE};
use crate::sync::{CanvasP2PSynchronizer, Command, Outbound, Reply, RepositoryStatus, SyncError};
use crate::wire::TopicSpace;

/// One service: created with a configuration, connected once, disconnected once.
///
/// | state | `initialize` | other calls | `disconnect` |
/// | --- | --- | --- | --- |
/// | created | connecting | `ERR_NOT_INITIALIZED` | closed |
/// | connecting | connecting; both calls end together | `ERR_NOT_INITIALIZED` | closed |
/// | open | open | carried out | closed |
/// | closed | `ERR_CLOSED` | `ERR_CLOSED` | closed |
///
/// Outcomes of calls and events go to the [`Mailbox`], in document order.
#[derive(Clone)]
pub struct P2PNetworkManager {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: ServiceConfig,
    pub(super) identity: Arc<Identity>,
    pub(super) client_id: String,
    pub(super) repositories: BTreeMap<RepositoryName, Repository>,
    pub(super) router: Arc<Router>,
    /// Of encrypted repositories; read by `initialize`.
    pub(super) keys: OnceLock<Keys>,
    pub(super) started: Instant,
    mailbox: Arc<Mailbox>,
    pub(super) runtime: Handle,
    startup: tokio::sync::Mutex<Startup>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Held for reading by every call that `run` carries out.
    running: Arc<RwLock<()>>,
    closed: AtomicBool,
}

/// A service that nobody holds any more ends, without a farewell.
impl Drop for Inner {
    fn drop(&mut self) {
        self.router.set_broker(None);
        for repository in self.repositories.values() {
            if let Some(files) = &repository.files {
                files.desk.close();
            }
            repository.inbox.close();
        }
    }
}

pub(super) struct Repository {
    pub(super) inbox: Arc<Inbox>,
    turns: Arc<Turns>,
    pub(super) status: Arc<Mutex<RepositoryStatus>>,
    /// Of the folder that is bound to it, if one is.
    pub(super) files: Option<Files>,
}

/// What the service holds of a binding.
pub(super) struct Files {
    desk: Arc<Desk>,
    pub(super) status: Arc<FilesStatus>,
}

impl P2PNetworkManager {
    /// Makes a service. `seed` are 32 bytes from the operating system; everything random comes from them, the peer's
    /// identity too, unless the data directory has one. That is read here, or made; the rest of the directory is opened by
    /// [`initialize`](Self::initialize).
    ///
    /// # Errors
    /// [`ServiceError::ConfigInvalid`], also when the data directory gives no identity.
    pub fn new(
        config: ServiceConfig,
        seed: [u8; 32],
        mailbox: Arc<Mailbox>,
        runtime: Handle,
    ) -> Result<Self, ServiceError> {
        let invalid = |error: String| ServiceError::ConfigInvalid(vec![error]);
        let topics = TopicSpace::new(&config.topic_prefix).map_err(|error| invalid(error.to_string()))?;
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        let identity = Arc::new(identity(&config, key)?);
        let instance = rng.next_u64();
        let start = number_of_start(&config)?;
        let names = config.repository_names();
        let inboxes: Vec<Arc<Inbox>> = names.iter().map(|_| Arc::default()).collect();
        let router =
            Arc::new(Router::new(topics.clone(), identity.clone(), instance, start, inboxes.clone(), mailbox.clone()));
        let started = Instant::now();
        let outbound = Outbound::new(config.performance.rates().outbound);
        let mut repositories = BTreeMap::new();
        let mut tasks = Vec::new();
        let mut folders = Vec::new();
        for (((index, name), inbox), repository) in (0_u16..).zip(&names).zip(inboxes).zip(&config.repositories) {
            let folder = repository.object().map(|object| BoundFolder::of(object, name, &inbox, &mailbox));
            let folder = folder.transpose()?.flatten();
            let files =
                folder.as_ref().map(|folder| Files { desk: folder.desk.clone(), status: folder.status.clone() });
            folders.extend(folder);
            let rng = ChaCha20Rng::from_rng(&mut rng);
            let session = Session::of(start, index);
            let synchronizer = CanvasP2PSynchronizer::new(synchronizer_config(
                &config, name, &topics, &identity, session, instance, &outbound,
            ));
            let status = Arc::new(Mutex::new(synchronizer.status()));
            let turns = Arc::<Turns>::default();
            let task = RepositoryTask {
                name: name.clone(),
                index,
                synchronizer,
                keeper: Keeper::memory(),
                pins: None,
                epochs: None,
                restored: None,
                inbox: inbox.clone(),
                turns: turns.clone(),
                mailbox: mailbox.clone(),
                router: router.clone(),
                status: status.clone(),
                files: files.as_ref().map(|files| files.desk.clone()),
                rng,
                started,
                apply: Histogram::default(),
            };
            tasks.push(task);
            repositories.insert(name.clone(), Repository { inbox, turns, status, files });
        }
        BoundFolder::check_apart(folders.iter())?;
        let peer = identity.peer().to_string();
        let client_id = config.broker.client_id.clone().unwrap_or_else(|| default_client_id(&peer, instance));
        let inner = Inner {
            config,
            identity,
            client_id,
            repositories,
            router,
            keys: OnceLock::new(),
            started,
            mailbox,
            runtime,
            startup: tokio::sync::Mutex::new(Startup::new(tasks, folders)),
            tasks: Mutex::default(),
            running: Arc::default(),
            closed: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    // ---- life -----------------------------------------------------------------------------------------------------

    /// Connects; the outcome comes when all repositories are subscribed and announced, or not in time. Where offline is
    /// allowed, a failed attempt or the end of the time is as good.
    pub fn initialize(&self, call: u64) {
        let this = self.clone();
        self.inner.runtime.spawn(async move {
            let result = this.connect().await.map(|()| "null".to_owned());
            this.answer(call, result);
        });
    }

    async fn connect(&self) -> Result<(), ServiceError> {
        let inner = &self.inner;
        if inner.closed.load(Ordering::SeqCst) {
            return Err(ServiceError::Closed);
        }
        if inner.router.opened.load(Ordering::SeqCst) {
            // The connection looks after itself from now on.
            return Ok(());
        }
        let mut startup = inner.startup.lock().await;
        let options = self.connection_options().await?;
        let tasks = startup.begin(&inner.config, &inner.keys, &inner.router.link, &inner.runtime).await?;
        inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        if inner.closed.load(Ordering::SeqCst) {
            return Err(ServiceError::Closed);
        }
        let mut link = inner.router.link.subscribe();
        if inner.router.broker().is_none() {
            inner.router.set_link(LinkState::Trying);
            inner.router.set_broker(Some(CanvasMQTTBroker::start(options, inner.router.clone(), &inner.runtime)));
        }
        // Whoever disconnects needs no longer wait.
        drop(startup);
        let timeout_ms = inner.config.broker.connect_timeout_ms;
        let offline = inner.config.offline == Offline::Allow;
        let settled = link.wait_for(|state| match state {
            LinkState::Down(_) => offline,
            LinkState::Trying | LinkState::Subscribing => false,
            LinkState::Ready | LinkState::Rejected(_) | LinkState::Closed => true,
        });
        let state = timeout(Duration::from_millis(timeout_ms), settled).await.map(|state| state.map(|s| s.clone()));
        let address = self.address();
        let error = match state {
            Ok(Ok(LinkState::Ready)) => {
                inner.router.opened.store(true, Ordering::SeqCst);
                return Ok(());
            }
            Ok(Ok(LinkState::Rejected(reason))) => ServiceError::BrokerRejected { address, reason },
            Ok(Ok(LinkState::Down(_))) | Err(_) if offline => {
                inner.router.opened.store(true, Ordering::SeqCst);
                return Ok(());
            }
            Ok(_) => ServiceError::Closed,
            Err(_) => {
                let reason = match &*inner.router.link.borrow() {
                    LinkState::Down(reason) | LinkState::Rejected(reason) => reason.clone(),
                    LinkState::Trying => "it does not answer".to_owned(),
                    LinkState::Subscribing | LinkState::Ready | LinkState::Closed => {
                        "it does not answer subscriptions".to_owned()
                    }
                };
                ServiceError::BrokerUnreachable { address, timeout_ms, reason }
            }
        };
        // A later initialize() starts afresh.
        if let Some(broker) = inner.router.broker() {
            inner.router.set_broker(None);
            broker.disconnect(Duration::ZERO).await;
        }
        Err(error)
    }

    async fn connection_options(&self) -> Result<ConnectionOptions, ServiceError> {
        let (broker, client_id) = (self.inner.config.broker.clone(), self.inner.client_id.clone());
        let reading = self.inner.runtime.spawn_blocking(move || broker.connection_options(&client_id));
        // It panics only if the runtime ends.
        reading.await.unwrap_or(Err(ServiceError::Closed))
    }

    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.inner.config.broker.host, self.inner.config.broker.port())
    }

    /// Sends what waits, says goodbye, ends everything; at most [`LEAVE_TIMEOUT_MS`] and a little, unless the disk takes
    /// longer to store what it was given. Then another service can open the data directory. May be called often.
    pub fn disconnect(&self, call: u64) {
        let this = self.clone();
        self.inner.runtime.spawn(async move {
            this.leave().await;
            this.answer(call, Ok("null".to_owned()));
        });
    }

    async fn leave(&self) {
        let inner = &self.inner;
        let again = inner.closed.swap(true, Ordering::SeqCst);
        // Storage that is being opened is opened first; who asks again waits for the first to be done.
        let mut startup = inner.startup.lock().await;
        if again {
            return;
        }
        let limit = Duration::from_millis(LEAVE_TIMEOUT_MS);
        if !inner.router.opened.load(Ordering::SeqCst) {
            // Whoever waits for the connection need not wait longer.
            inner.router.set_link(LinkState::Closed);
        }
        // What was saved so far is taken in before all is sent.
        for files in inner.repositories.values().filter_map(|repository| repository.files.as_ref()) {
            files.desk.close();
        }
        startup.end_bindings(limit).await;
        if inner.router.opened.load(Ordering::SeqCst) {
            let leaving: Vec<_> =
                inner.repositories.values().map(|repository| Self::ask(repository, Command::Leave)).collect();
            let all = async {
                for outcome in leaving {
                    // A repository that has ended has nothing left to send.
                    let _ = outcome.await;
                }
            };
            if timeout(limit, all).await.is_err() {
                tracing::warn!(target: "mqtt:net", "left before everything was acknowledged");
            }
        }
        if let Some(broker) = inner.router.broker() {
            broker.disconnect(limit).await;
            inner.router.set_broker(None);
        }
        inner.router.set_link(LinkState::Closed);
        for repository in inner.repositories.values() {
            repository.inbox.close();
        }
        let tasks = std::mem::take(&mut *inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // Each tells its open calls that the service is closed; one that panicked has told the application already.
            let _ = timeout(limit, task).await;
        }
        startup.end().await;
        // Calls that waited for several repositories have their outcomes now, and hand them on before ours.
        let _ = timeout(limit, inner.running.write()).await;
    }

    // ---- calls ----------------------------------------------------------------------------------------------------

    /// Hands a call to a repository; its outcome comes through the mailbox.
    ///
    /// # Errors
    /// The call was not taken: not initialized, closed, an unknown repository, or too many calls wait.
    pub fn call(
        &self,
        call: u64,
        repository: &str,
        prepare: impl FnOnce() -> Result<Command, ServiceError> + Send + 'static,
    ) -> Result<(), ServiceError> {
        self.check_open()?;
        let call = Call { prepare: Box::new(prepare), answer_to: AnswerTo::Application(call) };
        self.repository(repository)?.inbox.push_call(call)
    }

    /// [`call`](Self::call) for a small edit. If its repository has nothing else to do, and the application has taken most of
    /// what there was for it, the edit is made and sent on the caller's thread, and no other is woken. Whether the mailbox has something since, of which the doorbell does not tell.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_here(
        &self,
        call: u64,
        repository: &str,
        prepare: impl FnOnce() -> Result<Command, ServiceError> + Send + 'static,
    ) -> Result<bool, ServiceError> {
        self.check_open()?;
        let repository = self.repository(repository)?;
        let call = Call { prepare: Box::new(prepare), answer_to: AnswerTo::Application(call) };
        // Taken first, so that the call wakes nobody.
        let here = repository.inbox.is_idle() && self.inner.mailbox.waiting() < MAX_WAITING_HERE;
        let turn = here.then(|| repository.turns.take()).flatten();
        repository.inbox.push_call(call)?;
        let Some(mut turn) = turn else { return Ok(false) };
        let hush = self.inner.mailbox.hush();
        let broker = self.inner.router.broker();
        let mut sending = broker.as_ref().and_then(CanvasMQTTBroker::take_turn);
        let _runtime = self.inner.runtime.enter();
        turn.run();
        if let Some(sending) = &mut sending {
            sending.run();
        }
        // The edit has left: now what else it brings.
        drop(sending);
        turn.run();
        Ok(hush.end())
    }

    pub(super) fn check_open(&self) -> Result<(), ServiceError> {
        if self.inner.closed.load(Ordering::SeqCst) {
            return Err(ServiceError::Closed);
        }
        if !self.inner.router.opened.load(Ordering::SeqCst) {
            return Err(ServiceError::NotInitialized);
        }
        Ok(())
    }

    pub(super) fn repository(&self, name: &str) -> Result<&Repository, ServiceError> {
        let unknown = || ServiceError::RepositoryUnknown(name.to_owned());
        let key = RepositoryName::new(name).map_err(|_| unknown())?;
        self.inner.repositories.get(&key).ok_or_else(unknown)
    }

    /// Runs a call that concerns more than one repository, or the connection.
    pub(super) fn run<F>(&self, call: u64, work: impl FnOnce(Self) -> F) -> Result<(), ServiceError>
    where
        F: Future<Output = Result<String, ServiceError>> + Send + 'static,
    {
        self.check_open()?;
        let running = self.inner.running.clone().try_read_owned().map_err(|_| ServiceError::Closed)?;
        let this = self.clone();
        let future = work(self.clone());
        self.inner.runtime.spawn(async move {
            let result = future.await;
            this.answer(call, result);
            drop(running);
        });
        Ok(())
    }

    /// The service's own call to a repository.
    pub(super) fn ask(
        repository: &Repository,
        command: Command,
    ) -> impl Future<Output = Result<Reply, ServiceError>> + use<> {
        let (sender, receiver) = oneshot::channel();
        let call = Call { prepare: Box::new(move || Ok(command)), answer_to: AnswerTo::Service(sender) };
        let pushed = repository.inbox.push_call(call);
        async move {
            pushed?;
            Ok(receiver.await.unwrap_or(Err(SyncError::Closed))?)
        }
    }

    fn answer(&self, call: u64, result: Result<String, ServiceError>) {
        self.inner.mailbox.push(vec![json::outcome(call, result)]);
    }

    /// The status of one repository.
    pub(super) fn status_of(repository: &Repository) -> RepositoryStatus {
        repository.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Unique on the broker, and short enough for all (MQTT 3.1.1, section 3.1.3.1, promises 23 characters).
fn default_client_id(peer: &str, instance: u64) -> String {
    let tail = peer.get(peer.len().saturating_sub(8)..).unwrap_or_default();
    format!("mg{tail}{:08x}", instance >> 32)
}
