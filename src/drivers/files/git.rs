//! What git knows of a bound folder. Asked of git itself, which knows worktrees, submodules and its configuration best.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::path::CanvasPath;
use crate::ids::CanvasId;

/// How many commits of one line are looked at one by one.
const MOST_STEPS: &str = "64";

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

/// The difference between two commits, one following the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The earlier commit.
    pub base: String,
    /// The later one.
    pub tip: String,
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
        // Fails when a commit is checked out by itself.
        let branch = self.ask(["symbolic-ref", "-q", "--short", "HEAD"]).ok();
        let head = self.ask(["rev-parse", "-q", "--verify", "HEAD"]).ok();
        if branch.is_none() && head.is_none() {
            // Neither, and not even before the first commit: then something is wrong.
            self.ask(["rev-parse", "--git-dir"])?;
        }
        Ok(GitState { head, branch, operation })
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

    /// The bytes of an object.
    #[must_use]
    pub fn object(&self, id: &str) -> Option<Vec<u8>> {
        output(&self.folder, ["cat-file", "blob", id]).ok()
    }

    /// Whether a file that does not exist yet would be ignored.
    #[must_use]
    pub fn ignores(&self, path: &CanvasPath) -> bool {
        self.ask(["check-ignore", "-q", "--no-index", "--", &path.relative()]).is_ok()
    }

    /// What is plain to see without running git: what `HEAD` names, and whether an operation is under way. If neither
    /// changes, the branch is the same.
    #[must_use]
    pub fn glance(&self) -> (Vec<u8>, Option<Operation>) {
        (std::fs::read(self.directory.join("HEAD")).unwrap_or_default(), self.operation())
    }

    /// Whether git is writing at this moment.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        ["index.lock", "HEAD.lock"].iter().any(|lock| self.directory.join(lock).exists())
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

    /// What `HEAD` came by when it moved from one commit to another: commit by commit, so that it is the same for who pulls them
    /// at once and who pulls them one after the other. None if it went back, or the two have nothing in common.
    ///
    /// | move | commits |
    /// | --- | --- |
    /// | forward | those between, the first parents |
    /// | of these, a merge | those that it merged, from where they left the others |
    /// | rebase of old | those of the branch upstream that new has and old lacks |
    ///
    /// Of very many the oldest are taken together.
    #[must_use]
    pub fn pulled(&self, old: &str, new: &str) -> Vec<Pulled> {
        let Ok(shared) = self.ask(["merge-base", old, new]) else { return Vec::new() };
        if shared == new {
            return Vec::new();
        }
        if shared != old {
            let tip = self.upstream_within(new, old).unwrap_or_else(|| new.to_owned());
            return self.ask(["merge-base", old, &tip]).map(|base| self.line(&base, &tip)).unwrap_or_default();
        }
        let mut pulled = Vec::new();
        for step in self.line(old, new) {
            match self.merged_by(&step.tip) {
                Some(merged) => {
                    let base = self.ask(["merge-base", &step.base, &merged]);
                    pulled.extend(base.map(|base| self.line(&base, &merged)).unwrap_or_default());
                }
                None => pulled.push(step),
            }
        }
        pulled
    }

    /// The first parents from one commit to another, step by step.
    fn line(&self, base: &str, tip: &str) -> Vec<Pulled> {
        let range = format!("{base}..{tip}");
        let newest_first =
            self.ask(["rev-list", "--first-parent", "--max-count", MOST_STEPS, &range]).unwrap_or_default();
        let mut base = base.to_owned();
        let step = |tip: &str| Pulled { base: std::mem::replace(&mut base, tip.to_owned()), tip: tip.to_owned() };
        newest_first.lines().rev().map(step).collect()
    }

    /// The second parent of a commit, if it has two.
    fn merged_by(&self, commit: &str) -> Option<String> {
        let parent = format!("{commit}^2");
        self.ask(["rev-parse", "-q", "--verify", &parent]).ok()
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
        let relative = path.relative();
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

fn run<const N: usize>(folder: &Path, arguments: [&str; N]) -> Result<String, String> {
    let bytes = output(folder, arguments)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned())
}

fn output<const N: usize>(folder: &Path, arguments: [&str; N]) -> Result<Vec<u8>, String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).arg("--no-pager").args(arguments.map(OsStr::new));
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
