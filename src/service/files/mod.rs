//! Repositories whose canvases are also files in a folder.
//!
//! | file | what |
//! | --- | --- |
//! | `binding.rs` | the thread that looks after one folder: what happened, which canvases that concerns |
//! | `reconcile.rs` | one canvas and its file, as `drivers::files::decide` decides |
//! | `folder_moves.rs`, `records.rs` | files that come and go; what is remembered of each |
//! | `git_moves.rs`, `git_watch.rs` | other branches, pulled commits, the first contact; what is remembered of git |
//! | `desk.rs` | what waits for the thread |
//! | `port.rs`, `telling.rs`, `status.rs` | the way to the repository and to the application; how a binding stands |

mod binding;
mod desk;
mod folder_moves;
mod git_moves;
mod git_watch;
mod port;
mod reconcile;
mod records;
mod status;
mod telling;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::config::RepositoryObject;
use super::error::ServiceError;
use super::inbox::Inbox;
use super::mailbox::Mailbox;
use super::router::LinkState;
use crate::drivers::files::{Folder, Ledger};
use crate::drivers::storage::StorageError;
use crate::ids::RepositoryName;
use binding::{Binding, FileSettings, Parts};
use port::{Complaint, Port};

pub(crate) use desk::Desk;
pub(crate) use status::FilesStatus;

/// As debuggers and `ps` show it.
const THREAD_NAME: &str = "mqtt-p2p-files";

/// A folder that belongs to a repository, before its binding begins.
pub(crate) struct BoundFolder {
    pub(crate) desk: Arc<Desk>,
    pub(crate) status: Arc<FilesStatus>,
    port: Port,
    settings: FileSettings,
    folder: Folder,
}

impl BoundFolder {
    /// The folder that a repository's configuration names, if it names one.
    ///
    /// # Errors
    /// [`ServiceError::ConfigInvalid`]: it is not there, or cannot be used.
    pub(crate) fn of(
        config: &RepositoryObject,
        repository: &RepositoryName,
        inbox: &Arc<Inbox>,
        mailbox: &Arc<Mailbox>,
    ) -> Result<Option<Self>, ServiceError> {
        let Some(path) = &config.path else { return Ok(None) };
        let folder = Folder::open(Path::new(path)).map_err(|error| {
            ServiceError::ConfigInvalid(vec![format!("repositories: the path of '{repository}': {error}")])
        })?;
        let settings = FileSettings {
            author: config.author.clone(),
            branch: config.branch.clone(),
            debounce_ms: config.debounce_ms,
            stale_window_ms: config.stale_window_ms,
        };
        Ok(Some(Self {
            desk: Arc::new(Desk::new(config.debounce_ms)),
            status: Arc::new(FilesStatus::new(port::shown(folder.path()))),
            port: Port { repository: repository.clone(), inbox: inbox.clone(), mailbox: mailbox.clone() },
            settings,
            folder,
        }))
    }

    /// No two repositories may have one folder, nor one within the other's: each file is of one canvas.
    ///
    /// # Errors
    /// [`ServiceError::ConfigInvalid`], naming both.
    pub(crate) fn check_apart<'a>(folders: impl Iterator<Item = &'a Self>) -> Result<(), ServiceError> {
        let mut seen: BTreeMap<&Path, &RepositoryName> = BTreeMap::new();
        for bound in folders {
            let path = bound.folder.path();
            let within = |other: &&Path| path.starts_with(other) || other.starts_with(path);
            if let Some(other) = seen.keys().copied().find(within).and_then(|other| seen.get(other)) {
                let name = &bound.port.repository;
                let problem = format!("repositories: the paths of '{other}' and '{name}' are one within the other");
                return Err(ServiceError::ConfigInvalid(vec![problem]));
            }
            seen.insert(path, &bound.port.repository);
        }
        Ok(())
    }

    /// Starts the binding's thread.
    pub(crate) fn begin(
        self,
        ledger: Arc<Ledger>,
        link: watch::Receiver<LinkState>,
        runtime: &Handle,
    ) -> Option<JoinHandle<()>> {
        let Self { desk, status, port, settings, folder } = self;
        runtime.spawn(forward(link.clone(), desk.clone()));
        let (repository, inbox, mailbox) = (port.repository.clone(), port.inbox.clone(), port.mailbox.clone());
        let mourner = Port { repository, inbox, mailbox };
        let path = port::shown(folder.path());
        let parts = Parts { port, desk, settings, folder, ledger, link, status };
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| Binding::new(parts).run())).is_err() {
                let message = "the folder is no longer looked after; restart the service, and report this".to_owned();
                mourner.complain(&Complaint { code: "ERR_CLOSED", message, path, place: None });
            }
        };
        match std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(run) {
            Ok(thread) => Some(thread),
            Err(error) => {
                tracing::error!(target: "mqtt:files", %error, "no thread for a bound folder");
                None
            }
        }
    }
}

/// The ledger of a service; in memory without a data directory. Blocks.
pub(crate) fn open_ledger(directory: Option<&Path>) -> Result<Ledger, StorageError> {
    let Some(directory) = directory else { return Ok(Ledger::default()) };
    Ledger::open(directory).map_err(|reason| StorageError::Io {
        path: directory.to_owned(),
        kind: std::io::ErrorKind::Other,
        reason,
    })
}

/// Tells a binding when the connection comes and goes.
async fn forward(mut link: watch::Receiver<LinkState>, desk: Arc<Desk>) {
    while link.changed().await.is_ok() {
        desk.link_changed();
        if *link.borrow() == LinkState::Closed {
            return;
        }
    }
}
