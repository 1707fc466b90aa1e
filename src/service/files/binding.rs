//! One repository's folder, bound to its canvases: the thread that looks after both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;
use tokio::sync::watch;

use super::super::router::LinkState;
use super::desk::{Desk, Work};
use super::git_watch::GitWatch;
use super::port::{Complaint, Port, shown};
use super::status::{FilesStatus, Pause};
use crate::drivers::files::{CanvasPath, FileDigest, FileRecord, Folder, Ledger, Watcher};
use crate::ids::CanvasId;
use crate::limits::MAX_FILE_COMPLAINTS;
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
    /// Files that are half written, or that git has put back, and since when.
    pub(super) waiting: BTreeMap<CanvasId, (FileDigest, u64)>,
    link: watch::Receiver<LinkState>,
    status: Arc<FilesStatus>,
    complaints: BTreeSet<(String, String)>,
    /// Names that some system takes for the same, and the canvas that has the file.
    claims: BTreeMap<String, CanvasId>,
    /// Files that disappeared, until it is known whether the folder did.
    pub(super) gone: BTreeSet<CanvasPath>,
    /// Files that appeared in this turn; one that has what another had was renamed.
    pub(super) appeared: BTreeMap<CanvasId, FileDigest>,
    ready: bool,
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
            waiting: BTreeMap::new(),
            link,
            status,
            complaints: BTreeSet::new(),
            claims: BTreeMap::new(),
            gone: BTreeSet::new(),
            appeared: BTreeMap::new(),
            ready: false,
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
            let work = self.desk.wait(self.later.values().min().copied());
            let closing = work.closing;
            if self.git.as_mut().is_some_and(GitWatch::is_busy) && !closing {
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
        let desk = self.desk.clone();
        match Watcher::new(self.folder.path(), move |seen| desk.seen(seen)) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => self.complain_of_folder("ERR_CONFIG_INVALID", error.to_string()),
        }
        self.begin_git();
        let name = self.git.as_ref().and_then(GitWatch::user_name);
        self.author = self.settings.author.clone().or(name).or_else(user_name).unwrap_or_else(|| "unknown".to_owned());
        if let (Some(git), Some(watcher)) = (&self.git, &mut self.watcher) {
            // Where the folder contains git's own, it is watched already; a second watch does no harm.
            let watched =
                git.folders().into_iter().filter(|folder| folder.is_dir()).try_for_each(|folder| watcher.also(&folder));
            if let Err(error) = watched {
                self.complain_of_folder("ERR_CONFIG_INVALID", error.to_string());
            }
        }
    }

    /// Waits a little, and tries again.
    fn put_back(&mut self, work: Work) {
        std::thread::sleep(std::time::Duration::from_millis(crate::limits::GIT_WAIT_MS));
        self.desk.put_back(work);
    }

    fn turn(&mut self, work: Work) {
        let mut everything = work.everything;
        if !self.asked && self.is_connected() {
            self.asked = self.ask_network();
            everything |= self.asked;
        }
        let mut due: BTreeSet<CanvasId> = work.canvases;
        let now_ms = self.desk.now_ms();
        due.extend(self.later.extract_if(.., |_, due_ms| *due_ms <= now_ms).map(|(canvas, _)| canvas));
        let moved = self.check_git(!work.paths.is_empty() || everything);
        everything |= moved;
        everything |= self.sort_paths(work.paths, &mut due);
        if self.is_paused(everything || !due.is_empty()) {
            // Everything is looked at when it ends.
            return;
        }
        if everything {
            due.extend(self.find_all());
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

    // ---- records --------------------------------------------------------------------------------------------------

    /// Keeps what file and canvas have in common now.
    pub(super) fn keep(&mut self, path: &CanvasPath, mut record: FileRecord) {
        if let Some(git) = &mut self.git {
            git.note(path.id(), &mut record);
        }
        if let Err(error) = self.ledger.keep(&self.port.repository, path.id(), Some(&record)) {
            self.complain(path, "ERR_STORAGE_FULL", format!("what is known of the file is not kept: {error}"), None);
        }
        self.claims.insert(path.folded(), path.id().clone());
        self.records.insert(path.id().clone(), record);
    }

    pub(super) fn forget(&mut self, canvas: &CanvasId) {
        self.records.remove(canvas);
        self.waiting.remove(canvas);
        self.written_ms.remove(canvas);
        self.claims.retain(|_, claimed| claimed != canvas);
        if let Err(error) = self.ledger.keep(&self.port.repository, canvas, None) {
            tracing::warn!(target: "mqtt:files", %error, "a record is not forgotten");
        }
    }

    /// Whether another canvas has the file that this one would have on some systems.
    pub(super) fn is_claimed(&self, path: &CanvasPath) -> Option<&CanvasId> {
        self.claims.get(&path.folded()).filter(|canvas| *canvas != path.id())
    }

    // ---- telling --------------------------------------------------------------------------------------------------

    pub(super) fn pause(&mut self, pause: Pause) {
        if self.paused.as_ref() == Some(&pause) {
            return;
        }
        let fields = json!({ "path": self.shown_folder(), "reason": pause.reason(), "message": pause.to_string() });
        self.port.tell("files-paused", fields);
        self.paused = Some(pause);
        self.status.update(self.records.len(), self.paused.as_ref());
    }

    pub(super) fn resume(&mut self) {
        if self.paused.take().is_some() {
            self.port.tell("files-resumed", json!({ "path": self.shown_folder() }));
            self.status.update(self.records.len(), None);
        }
    }

    /// Whether nothing may be done. A folder that was emptied goes on when one of its files is back.
    fn is_paused(&mut self, something_happened: bool) -> bool {
        if let Some(Pause::Folder { .. }) = &self.paused
            && something_happened
            && self.records.keys().any(|canvas| self.has_file(canvas))
        {
            self.resume();
            self.desk.seen(crate::drivers::files::Seen::Everything);
        }
        self.paused.is_some()
    }

    pub(super) fn complain_of_folder(&mut self, code: &'static str, message: String) {
        let path = self.shown_folder();
        self.complain_once(Complaint { code, message, path, place: None });
    }

    /// Tells of something wrong with a file, once.
    pub(super) fn complain(
        &mut self,
        path: &CanvasPath,
        code: &'static str,
        message: String,
        place: Option<(usize, usize)>,
    ) {
        let path = shown(&self.folder.path().join(path.relative()));
        self.complain_once(Complaint { code, message, path, place });
    }

    fn complain_once(&mut self, complaint: Complaint) {
        if self.complaints.len() >= MAX_FILE_COMPLAINTS {
            self.complaints.clear();
        }
        if self.complaints.insert((complaint.path.clone(), complaint.message.clone())) {
            self.port.complain(&complaint);
        }
    }

    /// The file is fine again: what is wrong with it next is told anew.
    pub(super) fn is_fine(&mut self, path: &CanvasPath) {
        let path = shown(&self.folder.path().join(path.relative()));
        self.complaints.retain(|(of, _)| *of != path);
    }

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
