//! What happens before a service connects: its storage is opened, and its repositories' tasks begin.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::config::ServiceConfig;
use super::error::ServiceError;
use super::files::{self, BoundFolder};
use super::json;
use super::keeper::{self, Keeper};
use super::keys::Keys;
use super::membership::settle_root;
use super::repository_task::RepositoryTask;
use super::router::LinkState;
use crate::crypto::Identity;
use crate::drivers::storage::{Disk, StorageError, identity_seed, next_start, read_epochs};
use crate::ids::{RepositoryName, Session};
use crate::sync::{Bounds, Config, Outbound};
use crate::wire::TopicSpace;

/// The repositories' tasks and bound folders until they begin, and afterwards the open data directory, if there is one, and
/// the threads of the bindings.
pub(super) struct Startup {
    waiting: Vec<RepositoryTask>,
    folders: Vec<BoundFolder>,
    bindings: Vec<std::thread::JoinHandle<()>>,
    disk: Option<Disk>,
}

impl Startup {
    pub(super) fn new(waiting: Vec<RepositoryTask>, folders: Vec<BoundFolder>) -> Self {
        Self { waiting, folders, bindings: Vec::new(), disk: None }
    }

    /// Reads keys, opens storage and starts the tasks, unless they have begun. Reading all of a database may take a while, so another
    /// thread does it. After an error it can be tried again.
    pub(super) async fn begin(
        &mut self,
        config: &ServiceConfig,
        keys: &OnceLock<Keys>,
        link: &watch::Sender<LinkState>,
        runtime: &Handle,
    ) -> Result<Vec<JoinHandle<()>>, ServiceError> {
        let path: Option<PathBuf> = config.storage.as_ref().map(|storage| storage.path.clone().into());
        if config.features.encryption && !self.waiting.is_empty() {
            self.encrypt(config, keys, runtime).await?;
        }
        let directory = path.clone();
        if let Some(path) = path.filter(|_| !self.waiting.is_empty()) {
            let names: Vec<_> = self.waiting.iter().map(|task| task.name.clone()).collect();
            let opened = names.clone();
            let opening = runtime.spawn_blocking(move || {
                keeper::open(&path, &opened).map_err(|error| {
                    tracing::error!(target: "mqtt:storage", %error, "not opened");
                    error
                })
            });
            // It panics only if the runtime ends.
            let (disk, parts) = opening.await.unwrap_or(Err(StorageError::Closed))?;
            self.disk = Some(disk);
            let wanted = config.clone();
            let path = directory.clone().unwrap_or_default();
            let settling = runtime.spawn_blocking(move || {
                let roots = names.iter().map(|name| wanted.root_of(name).map(|root| settle_root(&path, name, root)));
                roots.map(Option::transpose).collect::<Result<Vec<_>, _>>()
            });
            let roots = settling.await.unwrap_or(Err(ServiceError::Closed));
            let roots = match roots {
                Ok(roots) => roots,
                Err(error) => {
                    self.end().await;
                    return Err(error);
                }
            };
            for (task, root) in self.waiting.iter_mut().zip(roots) {
                task.pins.clone_from(&directory);
                if let Some(root) = root {
                    task.synchronizer.admit_members(root);
                }
            }
            for (task, (storage, restored)) in self.waiting.iter_mut().zip(parts) {
                task.keeper = Keeper::disk(storage, task.inbox.clone());
                task.restored = restored;
            }
        }
        let tasks = self.waiting.drain(..).map(|task| runtime.spawn(supervise(task))).collect();
        if !self.folders.is_empty() {
            let opening = runtime.spawn_blocking(move || files::open_ledger(directory.as_deref()));
            let ledger = Arc::new(opening.await.unwrap_or(Err(StorageError::Closed))?);
            let begun =
                self.folders.drain(..).filter_map(|folder| folder.begin(ledger.clone(), link.subscribe(), runtime));
            self.bindings.extend(begun);
        }
        Ok(tasks)
    }

    /// Gives the repositories their keys.
    async fn encrypt(
        &mut self,
        config: &ServiceConfig,
        keys: &OnceLock<Keys>,
        runtime: &Handle,
    ) -> Result<(), ServiceError> {
        let wanted = config.clone();
        if keys.get().is_none() {
            let reading = runtime.spawn_blocking(move || {
                let topics = TopicSpace::new(&wanted.topic_prefix);
                let topics = topics.map_err(|error| ServiceError::ConfigInvalid(vec![error.to_string()]))?;
                Keys::read(&wanted, &topics)
            });
            // It panics only if the runtime ends.
            let _ = keys.set(reading.await.unwrap_or(Err(ServiceError::Closed))?);
        }
        let keys = keys.get().ok_or(ServiceError::Closed)?;
        let directory = config.storage.as_ref().map(|storage| PathBuf::from(&storage.path));
        let epochs = match directory.clone() {
            Some(path) => {
                let reading = runtime.spawn_blocking(move || read_epochs(&path));
                reading.await.map_err(|_| ServiceError::Closed)??
            }
            None => Vec::new(),
        };
        for task in &mut self.waiting {
            let mut repositories = config.repository_names();
            repositories.retain(|other| keys.are_same(&task.name, other));
            if let Some(topics) = keys.topics(&task.name) {
                task.synchronizer.encrypt(topics.clone(), repositories, epochs.clone());
                task.epochs.clone_from(&directory);
            }
        }
        Ok(())
    }

    /// Waits until the bindings, which were told to end, have taken in what was saved so far; not for ever.
    pub(super) async fn end_bindings(&mut self, limit: Duration) {
        let threads = std::mem::take(&mut self.bindings);
        let ended = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        if timeout(limit, ended).await.is_err() {
            tracing::warn!(target: "mqtt:files", "left before all files were looked at");
        }
    }

    /// Waits until everything handed to storage is on disk, however long that takes, and the directory is free for others.
    pub(super) async fn end(&mut self) {
        self.waiting.clear();
        if let Some(disk) = self.disk.take() {
            let (sender, receiver) = oneshot::channel();
            disk.close(Box::new(move || {
                // Who no longer waits does not want to know.
                let _ = sender.send(());
            }));
            let _ = receiver.await;
        }
    }
}

/// The peer that the service is: that of its data directory, or a new one.
pub(super) fn identity(config: &ServiceConfig, fresh: [u8; 32]) -> Result<Identity, ServiceError> {
    let Some(storage) = &config.storage else { return Ok(Identity::from_seed(fresh)) };
    match identity_seed(storage.path.as_ref(), fresh) {
        Ok(seed) => Ok(Identity::from_seed(seed)),
        Err(error) => Err(ServiceError::ConfigInvalid(vec![format!("storage.path: {error}")])),
    }
}

/// The number of this start, greater than those of all earlier starts of the same peer. A peer that is kept nowhere has no
/// earlier ones.
pub(super) fn number_of_start(config: &ServiceConfig) -> Result<u64, ServiceError> {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(unix.as_millis()).unwrap_or_default();
    let Some(storage) = &config.storage else { return Ok(now_ms) };
    let invalid = |error: StorageError| ServiceError::ConfigInvalid(vec![format!("storage.path: {error}")]);
    next_start(storage.path.as_ref(), now_ms).map_err(invalid)
}

/// Runs a repository's task; should it panic, the application is told, and the repository takes no more calls.
async fn supervise(task: RepositoryTask) {
    let (name, inbox, mailbox) = (task.name.clone(), task.inbox.clone(), task.mailbox.clone());
    if let Err(error) = tokio::spawn(task.turns.clone().run(task.run())).await {
        inbox.close();
        let message = format!("repository '{name}' has stopped ({error}); restart the service, and report this");
        tracing::error!(target: "mqtt:sync", "{message}");
        let payload = serde_json::json!({ "code": "ERR_CLOSED", "message": message });
        mailbox.push(vec![json::event("error", &payload)]);
    }
}

pub(super) fn synchronizer_config(
    config: &ServiceConfig,
    repository: &RepositoryName,
    topics: &TopicSpace,
    identity: &Arc<Identity>,
    session: Session,
    instance: u64,
    outbound: &Outbound,
) -> Config {
    Config {
        repository: repository.clone(),
        repositories: config.repository_names(),
        topics: topics.clone(),
        identity: identity.clone(),
        session,
        instance,
        capabilities: config.capabilities.clone(),
        live: config.features.real_time_collaboration,
        auto_sync: config.features.auto_sync,
        discovery: config.features.discovery,
        max_message_bytes: config.performance.max_message_size,
        heartbeat_ms: config.performance.heartbeat_interval.saturating_mul(1000),
        max_peers: config.performance.max_connections,
        rates: config.performance.rates(),
        outbound: outbound.clone(),
        max_open_canvases: config.performance.max_open_canvases,
        bounds: Bounds::default(),
        root: config.root_of(repository),
    }
}
