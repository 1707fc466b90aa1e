//! One repository's folder, bound to its canvases: the thread that looks after both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;
use tokio::sync::watch;

use super::super::router::LinkState;
use super::desk::{Desk, Work};
use super::git_watch::GitWatch;
use super::port::{Port, shown};
use super::status::{FilesStatus, Pause};
use crate::canvas::Canvas;
use crate::drivers::files::{CanvasPath, FileDigest, FileRecord, Folder, Ledger, Watcher};
use crate::ids::CanvasId;
use crate::limits::FILE_RETRY_MS;
use crate::sync::Command;

/// What an application sets for a folder.
#[derive(Debug, Clone)]
pub(crate) struct FileSettings {
    /// Whose edits those of the files are.
    pub(crate) author: Option<String>,
    /// The branch that the binding belongs to; that which is checked out at the start when absent.
    pub(crate) branch: Option<String>,
    pub(crate) debounce_ms: u64,
    pub(crate) stale_window_ms: u64,
}

/// A folder bound to a repository. All of it happens on one thread, one file after the other; it waits for the disk, for
/// git and for the repository, and nothing waits for it.
pub(crate) struct Binding {
    pub(super) port: Port,
    pub(super) desk: Arc<Desk>,
    pub(super) settings: FileSettings,
    pub(super) author: String,
    pub(super) folder: Folder,
    pub(super) git: Option<GitWatch>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) records: BTreeMap<CanvasId, FileRecord>,
    /// Whether the network was asked since the start: before, nobody can say that a canvas is new.
    pub(super) asked: bool,
    pub(super) paused: Option<Pause>,
    /// Canvases to be looked at again, and when.
    pub(super) later: BTreeMap<CanvasId, u64>,
    /// When each file was last written, for [`FILE_WRITE_INTERVAL_MS`](crate::limits::FILE_WRITE_INTERVAL_MS).
    pub(super) written_ms: BTreeMap<CanvasId, u64>,
    /// What files held when they were first seen, until they have met their canvas.
    pub(super) first_seen: BTreeMap<CanvasId, Canvas>,
    /// Files that are half written, and since when.
    pub(super) waiting: BTreeMap<CanvasId, (FileDigest, u64)>,
    /// Files that git has put back to its last commit, and since when they are left so.
    pub(super) restored: BTreeMap<CanvasId, u64>,
    /// Canvases whose files the last look at all found: other files are ignored.
    pub(super) listed: BTreeSet<CanvasId>,
    /// Names that some system takes for the same, and the canvas that has the file.
    pub(super) claims: BTreeMap<String, CanvasId>,
    /// Canvases that have no file because another has it.
    pub(super) unclaimed: BTreeSet<CanvasId>,
    /// What an earlier process was about to write when it ended.
    pub(super) unwritten: BTreeSet<FileDigest>,
    /// Whether what dead processes left has been cleared.
    pub(super) cleared: bool,
    /// Files that disappeared, until it is known whether the folder did.
    pub(super) gone: BTreeSet<CanvasPath>,
    /// Files that appeared in this turn; one that has what another had was renamed.
    pub(super) appeared: BTreeMap<CanvasId, FileDigest>,
    pub(super) status: Arc<FilesStatus>,
    link: watch::Receiver<LinkState>,
    /// What was complained of: paths and messages.
    pub(super) complaints: BTreeSet<(String, String)>,
    ready: bool,
    /// When something is to be tried again that concerns no single canvas.
    retry_ms: Option<u64>,
    pub(super) watcher: Option<Watcher>,
}

/// Everything that a binding is made of.
pub(crate) struct Parts {
    pub(crate) port: Port,
    pub(crate) desk: Arc<Desk>,
    pub(crate) settings: FileSettings,
    pub(crate) folder: Folder,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) link: watch::Receiver<LinkState>,
    pub(crate) status: Arc<FilesStatus>,
}

impl Binding {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { port, desk, settings, folder, ledger, link, status } = parts;
        Self {
            port,
            desk,
            settings,
            author: String::new(),
            folder,
            git: None,
            ledger,
            records: BTreeMap::new(),
            asked: false,
            paused: None,
            later: BTreeMap::new(),
            written_ms: BTreeMap::new(),
            first_seen: BTreeMap::new(),
            waiting: BTreeMap::new(),
            restored: BTreeMap::new(),
            listed: BTreeSet::new(),
            claims: BTreeMap::new(),
            unclaimed: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            cleared: false,
            gone: BTreeSet::new(),
            appeared: BTreeMap::new(),
            status,
            link,
            complaints: BTreeSet::new(),
            ready: false,
            retry_ms: None,
            watcher: None,
        }
    }

    /// Looks after the folder until the desk is closed.
    pub(crate) fn run(mut self) {
        self.begin();
        // The network is asked first, if there is one.
        while matches!(*self.link.borrow(), LinkState::Trying | LinkState::Subscribing) && !self.desk.is_closing() {
            self.desk.wait_for_link();
        }
        loop {
            let next_ms = self.later.values().copied().chain(self.retry_ms).min();
            let work = self.desk.wait(next_ms);
            let closing = work.closing;
            if self.is_git_at_work() && !closing {
                // What git is about to write belongs together.
                self.put_back(work);
                continue;
            }
            self.turn(work);
            if closing {
                return;
            }
        }
    }

    fn begin(&mut self) {
        // Watched first: what happens while everything is looked at for the first time is seen.
        self.begin_watching();
        self.begin_git();
        let name = self.git.as_ref().and_then(GitWatch::user_name);
        self.author = self.settings.author.clone().or(name).or_else(user_name).unwrap_or_else(|| "unknown".to_owned());
        self.watch_git();
    }

    fn begin_watching(&mut self) {
        let desk = self.desk.clone();
        match Watcher::new(self.folder.path(), move |seen| desk.seen(seen)) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => self.complain_of_folder("ERR_CONFIG_INVALID", error.to_string()),
        }
    }

    fn watch_git(&mut self) {
        let (Some(git), Some(watcher)) = (&self.git, &mut self.watcher) else { return };
        let watched =
            git.folders().into_iter().filter(|folder| folder.is_dir()).try_for_each(|folder| watcher.also(&folder));
        if let Err(error) = watched {
            self.complain_of_folder("ERR_CONFIG_INVALID", error.to_string());
        }
    }

    /// Watches anew: what is watched of a folder that was away for a while is not what is there now.
    pub(super) fn watch_again(&mut self) {
        self.watcher = None;
        self.begin_watching();
        self.watch_git();
    }

    /// Whether git is at work; if it has been for long, the binding pauses: the files may be half another branch's.
    fn is_git_at_work(&mut self) -> bool {
        let Some(git) = &mut self.git else { return false };
        let (is_busy, is_stuck) = (git.is_busy(), git.is_stuck());
        if is_stuck && self.paused.is_none() {
            self.pause(Pause::Locked);
        } else if !is_busy && self.paused == Some(Pause::Locked) {
            self.resume();
        }
        is_busy
    }

    /// Waits a little, and tries again.
    fn put_back(&mut self, work: Work) {
        std::thread::sleep(std::time::Duration::from_millis(crate::limits::GIT_WAIT_MS));
        self.desk.put_back(work);
    }

    fn turn(&mut self, work: Work) {
        let mut everything = work.everything | self.retry_ms.take_if(|at_ms| *at_ms <= self.desk.now_ms()).is_some();
        if !self.asked && self.is_connected() {
            self.asked = self.ask_network();
            everything |= self.asked;
            if !self.asked {
                self.try_again();
            }
        }
        let mut due: BTreeSet<CanvasId> = work.canvases;
        let now_ms = self.desk.now_ms();
        due.extend(self.later.extract_if(.., |_, due_ms| *due_ms <= now_ms).map(|(canvas, _)| canvas));
        if let (true, Some(watcher)) = (everything, &mut self.watcher) {
            // Whatever was missed may have been a folder in the place of another.
            watcher.lose(self.folder.path());
        }
        let moved = self.check_git(!work.paths.is_empty() || everything);
        everything |= moved;
        everything |= self.sort_paths(work.paths, &mut due);
        if self.is_paused() {
            // Everything is looked at when it ends.
            return;
        }
        if everything {
            due.extend(self.find_all());
            self.clear_all_leftovers(&due);
        }
        for canvas in due {
            if self.desk.is_closing() && !self.is_connected() && !self.records.contains_key(&canvas) {
                continue;
            }
            self.look_after(&canvas);
        }
        self.settle_gone();
        if moved {
            self.end_move();
        }
        self.status.update(self.records.len(), self.paused.as_ref());
        if self.asked && !std::mem::replace(&mut self.ready, true) {
            let canvases = self.records.len();
            self.port.tell("files-ready", json!({ "path": self.shown_folder(), "canvases": canvases }));
        }
    }

    /// Looks at everything again in a while.
    pub(super) fn try_again(&mut self) {
        self.retry_ms = Some(self.desk.now_ms() + FILE_RETRY_MS);
    }

    // ---- the network ----------------------------------------------------------------------------------------------

    pub(super) fn is_connected(&self) -> bool {
        *self.link.borrow() == LinkState::Ready
    }

    /// Catches up, so that what others know is known here.
    pub(super) fn ask_network(&mut self) -> bool {
        if self.desk.is_closing() {
            return false;
        }
        match self.port.ask(Command::Sync { canvas: None }) {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(target: "mqtt:files", %error, "not caught up");
                false
            }
        }
    }

    // ---- telling --------------------------------------------------------------------------------------------------

    pub(super) fn shown_folder(&self) -> String {
        shown(self.folder.path())
    }

    pub(super) fn unix_ms() -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Who has started this process, as the environment says.
fn user_name() -> Option<String> {
    ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}
