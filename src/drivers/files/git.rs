//! What git knows of a bound folder. Asked of git itself, which knows worktrees, submodules and its configuration best.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::path::CanvasPath;
use crate::ids::CanvasId;
use crate::limits::{GIT_SETTLE_MS, MAX_GIT_STEPS};

/// Which files each commit of a line of commits changed.
const LOG: [&str; 9] = [
    "log",
    "--first-parent",
    "--diff-merges=first-parent",
    "--raw",
    "--no-renames",
    "--no-abbrev",
    "--relative",
    "--format=",
    "-z",
];

/// Where a repository stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitState {
    /// The commit that is checked out; none before the first.
    pub head: Option<String>,
    /// The branch that is checked out; none when a commit is checked out by itself.
    pub branch: Option<String>,
    /// Something that git has begun and not ended.
    pub operation: Option<Operation>,
}

/// Where a repository seems to stand: if it has not changed, neither has the branch that is checked out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Glance {
    head: Vec<u8>,
    commit: Option<Vec<u8>>,
    operation: Option<Operation>,
    /// Length of the log of `HEAD`'s moves, where git keeps one.
    log_bytes: Option<u64>,
}

impl Glance {
    /// Whether `HEAD` has moved since an earlier look, perhaps back to where it was.
    #[must_use]
    pub fn has_moved_since(&self, earlier: &Self) -> bool {
        earlier.log_bytes.is_some() && earlier.log_bytes != self.log_bytes
    }

    /// Whether the commit is plain to see too: if nothing has changed, it is the same. Git may keep it elsewhere.
    #[must_use]
    pub fn tells_commit(&self) -> bool {
        self.commit.is_some()
    }
}

/// Something that takes git several steps, between which the files are nobody's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `git rebase`, or `git am`.
    Rebase,
    /// `git merge`, with conflicts to be resolved.
    Merge,
    /// `git cherry-pick` or `git revert`, likewise.
    Pick,
    /// `git bisect`.
    Bisect,
}

impl Operation {
    /// As events name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rebase => "rebase",
            Self::Merge => "merge",
            Self::Pick => "cherry-pick",
            Self::Bisect => "bisect",
        }
    }
}

/// What a move of `HEAD` brought from elsewhere: the difference between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The last commit that both sides had.
    pub base: String,
    /// What came.
    pub tip: String,
}

/// What git did to the canvas files between two commits.
#[derive(Debug, Default)]
pub struct Steps {
    /// Of each file that both have and that changed, one commit after the other, the object ids that it had, the first that of
    /// the base and the last that of the tip. Where the commits do not follow one another, or are more than
    /// [`MAX_GIT_STEPS`], just these two.
    pub changed: BTreeMap<CanvasId, Vec<String>>,
    /// Files that the tip no longer has.
    pub deleted: BTreeSet<CanvasId>,
}

/// A folder in a git work tree.
#[derive(Debug, Clone)]
pub struct Git {
    folder: PathBuf,
    directory: PathBuf,
}

impl Git {
    /// The work tree that a folder is in. `Ok(None)` if it is in none.
    ///
    /// # Errors
    /// It is in one, and git cannot be asked: what git said.
    pub fn find(folder: &Path) -> Result<Option<Self>, String> {
        let asked = run(folder, ["rev-parse", "--is-inside-work-tree", "--absolute-git-dir"]);
        match asked {
            Ok(answer) => {
                let mut lines = answer.lines();
                let inside = lines.next() == Some("true");
                let directory = PathBuf::from(lines.next().unwrap_or_default());
                Ok(inside.then(|| Self { folder: folder.to_owned(), directory }))
            }
            // Whether there is a work tree at all is plain to see, also where git is not installed or refuses.
            Err(error) if folder.ancestors().any(|above| above.join(".git").exists()) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The folder in which git keeps what it knows of this work tree; it changes whenever `HEAD` does.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where it stands now.
    ///
    /// # Errors
    /// What git said.
    pub fn state(&self) -> Result<GitState, String> {
        let operation = self.operation();
        // Nothing when a commit is checked out by itself; that is no failure.
        let branch = Some(self.ask(["branch", "--show-current"])?).filter(|name| !name.is_empty());
        let branch = branch.or_else(|| self.branch_to_return_to(operation?));
        // Fails before the first commit.
        let head = self.ask(["rev-parse", "-q", "--verify", "HEAD"]).ok();
        Ok(GitState { head, branch, operation })
    }

    /// The branch that is checked out again at the end of an operation that checks out commits by themselves.
    fn branch_to_return_to(&self, operation: Operation) -> Option<String> {
        let named = |file: &str| std::fs::read_to_string(self.directory.join(file)).ok();
        match operation {
            Operation::Rebase => named("rebase-merge/head-name").or_else(|| named("rebase-apply/head-name")),
            Operation::Bisect => {
                named("BISECT_START").filter(|name| !is_commit(name)).map(|name| format!("refs/heads/{name}"))
            }
            Operation::Merge | Operation::Pick => None,
        }
        .and_then(|name| Some(name.trim_end().strip_prefix("refs/heads/")?.to_owned()))
    }

    /// The canvas files of a commit below the folder, with their object ids.
    #[must_use]
    pub fn tree(&self, commit: &str) -> BTreeMap<CanvasId, String> {
        let listed = output(&self.folder, ["ls-tree", "-r", "-z", commit, "."]).unwrap_or_default();
        let entry = |line: &[u8]| {
            // "<mode> blob <id>\t<path relative to the folder>"
            let (facts, path) = std::str::from_utf8(line).ok()?.split_once('\t')?;
            let id = facts.split(' ').nth(2)?;
            Some((CanvasPath::of_file(Path::new(path)).ok()?.id().clone(), id.to_owned()))
        };
        listed.split(|byte| *byte == 0).filter_map(entry).collect()
    }

    /// What git did to the canvas files between two commits.
    #[must_use]
    pub fn steps(&self, incoming: &Incoming) -> Steps {
        let (mut before, after) = (self.tree(&incoming.base), self.tree(&incoming.tip));
        let deleted = before.keys().filter(|canvas| !after.contains_key(*canvas)).cloned().collect();
        let mut between = self.changes(incoming);
        let chain = |(canvas, tip): (CanvasId, String)| {
            let base = before.remove(&canvas).filter(|base| *base != tip)?;
            let follows = |steps: &Vec<(String, String)>| {
                let mut last = &base;
                steps.iter().all(|(old, new)| std::mem::replace(&mut last, new) == old) && *last == tip
            };
            let steps = between.remove(&canvas).filter(|steps| steps.len() <= MAX_GIT_STEPS).filter(follows);
            let steps = steps.map_or_else(|| vec![tip], |steps| steps.into_iter().map(|(_, new)| new).collect());
            Some((canvas, std::iter::once(base).chain(steps).collect()))
        };
        Steps { changed: after.into_iter().filter_map(chain).collect(), deleted }
    }

    /// The object ids that a file had in the latest commits, the newest first, at most [`MAX_GIT_STEPS`].
    #[must_use]
    pub fn history(&self, path: &CanvasPath) -> Vec<String> {
        let most = format!("--max-count={MAX_GIT_STEPS}");
        let mut changes = self.log([most.as_str(), "HEAD", "--", &literally(path)]);
        let steps = changes.remove(path.id()).unwrap_or_default();
        let first = steps.last().map(|(old, _)| old.clone());
        steps.into_iter().map(|(_, new)| new).chain(first).collect()
    }

    /// The object ids that each commit changed, before and after, the oldest first.
    fn changes(&self, incoming: &Incoming) -> BTreeMap<CanvasId, Vec<(String, String)>> {
        let range = format!("{}..{}", incoming.base, incoming.tip);
        self.log(["--reverse", range.as_str(), "--", "."])
    }

    fn log(&self, of: [&str; 4]) -> BTreeMap<CanvasId, Vec<(String, String)>> {
        let listed = output(&self.folder, LOG.into_iter().chain(of)).unwrap_or_default();
        let mut changes: BTreeMap<CanvasId, Vec<(String, String)>> = BTreeMap::new();
        // ":<mode> <mode> <old id> <new id> <letter>\0<path relative to the folder>\0"
        let mut parts = listed.split(|byte| *byte == 0).filter_map(|part| std::str::from_utf8(part).ok());
        while let Some(facts) = parts.next() {
            let Some(facts) = facts.trim_start().strip_prefix(':') else { continue };
            let mut ids = facts.split(' ').skip(2).map(str::to_owned);
            let file = parts.next().and_then(|path| CanvasPath::of_file(Path::new(path)).ok());
            if let (Some(file), Some(old), Some(new)) = (file, ids.next(), ids.next()) {
                changes.entry(file.id().clone()).or_default().push((old, new));
            }
        }
        changes
    }

    /// The bytes of an object.
    #[must_use]
    pub fn object(&self, id: &str) -> Option<Vec<u8>> {
        output(&self.folder, ["cat-file", "blob", id]).ok()
    }

    /// Whether the latest `git stash -u` took a file along that git does not know otherwise.
    #[must_use]
    pub fn has_stashed(&self, path: &CanvasPath) -> bool {
        let name = format!("refs/stash^3:./{}", path.relative());
        self.ask(["rev-parse", "-q", "--verify", &name]).is_ok()
    }

    /// Whether a file that does not exist yet would be ignored.
    #[must_use]
    pub fn ignores(&self, path: &CanvasPath) -> bool {
        self.ask(["check-ignore", "-q", "--no-index", "--", &path.relative()]).is_ok()
    }

    /// What is plain to see without running git.
    #[must_use]
    pub fn glance(&self) -> Glance {
        let head = std::fs::read(self.directory.join("HEAD")).unwrap_or_default();
        let named = std::str::from_utf8(&head).ok().and_then(|head| head.strip_prefix("ref: ")).map(str::trim_end);
        let commit = match named {
            Some(name) => std::fs::read(self.common_directory().join(name)).ok(),
            None => Some(head.clone()),
        };
        let log_bytes = std::fs::metadata(self.directory.join("logs/HEAD")).ok().map(|log| log.len());
        Glance { head, commit, operation: self.operation(), log_bytes }
    }

    /// Where the branches are: elsewhere for a linked worktree.
    fn common_directory(&self) -> PathBuf {
        let named = std::fs::read_to_string(self.directory.join("commondir")).unwrap_or_default();
        self.directory.join(named.trim_end())
    }

    /// Whether git is writing at this moment, or was until a moment ago: it writes the files first, then its index, and
    /// moves `HEAD` last.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let locked = ["index.lock", "HEAD.lock"].iter().any(|lock| self.directory.join(lock).exists());
        locked || self.is_index_fresh()
    }

    fn is_index_fresh(&self) -> bool {
        let written = std::fs::metadata(self.directory.join("index")).and_then(|index| index.modified());
        // One from the future is not fresh.
        written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < Duration::from_millis(GIT_SETTLE_MS)))
    }

    fn operation(&self) -> Option<Operation> {
        let there = |name: &str| self.directory.join(name).exists();
        if there("rebase-merge") || there("rebase-apply") {
            Some(Operation::Rebase)
        } else if there("MERGE_HEAD") {
            Some(Operation::Merge)
        } else if there("CHERRY_PICK_HEAD") || there("REVERT_HEAD") {
            Some(Operation::Pick)
        } else if there("BISECT_LOG") {
            Some(Operation::Bisect)
        } else {
            None
        }
    }

    /// What came from elsewhere when `HEAD` moved; none if nothing did: back to an older commit, or unrelated ones.
    ///
    /// | move | base | tip |
    /// | --- | --- | --- |
    /// | fast-forward, own commit | old | new |
    /// | merge into old | merge base | the other parent |
    /// | rebase of old | merge base | where the branch upstream stands, as far as new has it |
    #[must_use]
    pub fn incoming(&self, old: &str, new: &str) -> Option<Incoming> {
        let shared = self.ask(["merge-base", old, new]).ok()?;
        if shared == new {
            return None;
        }
        let tip = if shared == old { self.merged_into(old, new) } else { self.upstream_within(new, old) };
        let tip = tip.unwrap_or_else(|| new.to_owned());
        let base = self.ask(["merge-base", old, &tip]).ok()?;
        (base != tip).then_some(Incoming { base, tip })
    }

    /// The second parent, if `new` is a merge into `old`.
    fn merged_into(&self, old: &str, new: &str) -> Option<String> {
        let line = self.ask(["rev-list", "--parents", "--max-count=1", new]).ok()?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            [_, first, second] if first == old => Some(second.to_owned()),
            _ => None,
        }
    }

    /// The newest commit of the upstream branch that `new` has and `old` lacks.
    fn upstream_within(&self, new: &str, old: &str) -> Option<String> {
        let tip = self.ask(["merge-base", new, "@{upstream}"]).ok()?;
        let had = self.ask(["merge-base", old, &tip]).ok()?;
        (had != tip).then_some(tip)
    }

    /// Whether git itself wrote the file as it stands: what it noted of it then still holds.
    #[must_use]
    pub fn vouches_for(&self, path: &CanvasPath) -> bool {
        let relative = literally(path);
        let listed = self.ask(["ls-files", "--error-unmatch", "--", &relative]).is_ok();
        // Without looking at contents: an editor that wrote the same bytes has changed the file's times.
        listed && self.ask(["diff-files", "--name-only", "--", &relative]).is_ok_and(|changed| changed.is_empty())
    }

    /// The name of this repository's user.
    #[must_use]
    pub fn user_name(&self) -> Option<String> {
        self.ask(["config", "user.name"]).ok().filter(|name| !name.is_empty())
    }

    fn ask<const N: usize>(&self, arguments: [&str; N]) -> Result<String, String> {
        run(&self.folder, arguments)
    }
}

/// Whether a name is that of a commit itself.
fn is_commit(name: &str) -> bool {
    let name = name.trim_end();
    name.len() >= 40 && name.chars().all(|character| character.is_ascii_hexdigit())
}

/// A path as git takes it where it takes patterns.
fn literally(path: &CanvasPath) -> String {
    format!(":(literal){}", path.relative())
}

fn run<const N: usize>(folder: &Path, arguments: [&str; N]) -> Result<String, String> {
    let bytes = output(folder, arguments)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned())
}

fn output<'a>(folder: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Result<Vec<u8>, String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).arg("--no-pager").args(arguments);
    // A program that git itself started would otherwise be led to another repository.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        git.env_remove(name);
    }
    // It only reads: takes no locks, asks nobody, fetches nothing.
    git.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("GIT_NO_LAZY_FETCH", "1").env("LC_ALL", "C");
    git.stdin(Stdio::null());
    let output = git.output().map_err(|error| format!("git cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("git failed without a word").to_owned())
}
