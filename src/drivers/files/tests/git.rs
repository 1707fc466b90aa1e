//! What git is asked, with a real one.

use std::process::Command;

use super::{TestFolder, path};
use crate::drivers::files::{Git, Incoming, Operation};

/// A work tree in which nobody's configuration is read.
struct Work(TestFolder);

impl Work {
    fn new() -> Self {
        let work = Self(TestFolder::new());
        work.git(&["init", "--quiet"]);
        work
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let settings = [
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=a@b.c",
            "-c",
            "init.defaultBranch=main",
            "-c",
            "commit.gpgSign=no",
        ];
        let mut git = Command::new("git");
        git.arg("-C").arg(self.0.path()).args(settings).args(arguments);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_EDITOR", "true");
        let output = git.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    fn git(&self, arguments: &[&str]) -> String {
        let (done, said) = self.run(arguments);
        assert!(done, "git {arguments:?}: {said}");
        said
    }

    fn commit(&self, name: &str, text: &str) -> String {
        self.0.write(name, text);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", text]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn blob(&self, commit: &str, name: &str) -> String {
        self.git(&["rev-parse", &format!("{commit}:{name}")])
    }

    fn find(&self) -> Git {
        Git::find(self.0.path()).unwrap().unwrap()
    }
}

#[test]
fn where_it_stands() {
    let work = Work::new();
    let git = work.find();
    let state = git.state().unwrap();
    assert_eq!((state.head, state.branch.as_deref(), state.operation), (None, Some("main"), None));
    let first = work.commit("a.canvas", "{}");
    assert_eq!(git.state().unwrap().head.as_deref(), Some(first.as_str()));
    work.git(&["checkout", "--quiet", "--detach"]);
    assert_eq!(git.state().unwrap().branch, None);
    let outside = TestFolder::new();
    assert!(Git::find(outside.path()).unwrap().is_none());
    work.0.write("in/b.canvas", "{}");
    assert!(Git::find(&work.0.path().join("in")).unwrap().is_some());
}

#[test]
fn what_is_under_way() {
    let work = Work::new();
    let base = work.commit("a.canvas", "base");
    work.commit("a.canvas", "ours");
    work.git(&["checkout", "--quiet", "-b", "other", &base]);
    work.commit("a.canvas", "theirs");
    let git = work.find();
    for (begin, operation, end) in [
        (["merge", "main"].as_slice(), Operation::Merge, ["merge", "--abort"]),
        (&["rebase", "main"], Operation::Rebase, ["rebase", "--abort"]),
        (&["cherry-pick", "main"], Operation::Pick, ["cherry-pick", "--abort"]),
        (&["bisect", "start"], Operation::Bisect, ["bisect", "reset"]),
    ] {
        work.run(begin);
        let state = git.state().unwrap();
        assert_eq!((state.operation, state.branch.as_deref()), (Some(operation), Some("other")), "{begin:?}");
        work.git(&end);
        assert_eq!(git.state().unwrap().operation, None, "{end:?}");
    }
}

#[test]
fn what_a_move_brings() {
    let work = Work::new();
    let first = work.commit("a.canvas", "1");
    let second = work.commit("a.canvas", "2");
    work.git(&["checkout", "--quiet", "-b", "side", &first]);
    let side = work.commit("b.canvas", "side");
    let git = work.find();
    let brings = |base: &str, tip: &str| Some(Incoming { base: base.to_owned(), tip: tip.to_owned() });
    assert_eq!(git.incoming(&first, &second), brings(&first, &second), "fast-forward");
    assert_eq!(git.incoming(&second, &first), None, "back");
    assert_eq!(git.incoming(&first, &first), None);
    work.git(&["merge", "--quiet", "--no-edit", "main"]);
    let merged = work.git(&["rev-parse", "HEAD"]);
    assert_eq!(git.incoming(&side, &merged), brings(&first, &second), "a merge brings what was merged");
    assert_eq!(git.incoming(&second, &merged), brings(&second, &merged));
    work.git(&["reset", "--quiet", "--hard", &side]);
    work.git(&["branch", "--quiet", "--set-upstream-to=main"]);
    work.git(&["rebase", "--quiet", "main"]);
    let rebased = work.git(&["rev-parse", "HEAD"]);
    assert_eq!(git.incoming(&side, &rebased), brings(&first, &second), "a rebase brings what is upstream");
    work.git(&["checkout", "--quiet", "--orphan", "other"]);
    let unrelated = work.commit("a.canvas", "unrelated");
    assert_eq!(git.incoming(&second, &unrelated), None);
}

#[test]
fn commits_that_come_together_are_told_apart() {
    let work = Work::new();
    let first = work.commit("in/a b.canvas", "1");
    let second = work.commit("in/a b.canvas", "2");
    work.commit("other.txt", "x");
    work.git(&["checkout", "--quiet", "-b", "side"]);
    work.commit("in/new.canvas", "new");
    work.git(&["checkout", "--quiet", "main"]);
    work.commit("in/a b.canvas", "3");
    work.git(&["merge", "--quiet", "--no-edit", "side"]);
    let last = work.commit("in/a b.canvas", "4");
    let git = Git::find(&work.0.path().join("in")).unwrap().unwrap();
    let steps = git.steps(&Incoming { base: first.clone(), tip: last.clone() }).changed;
    let name = "in/a b.canvas";
    let ids: Vec<_> = [&first, &second, &format!("{last}~2"), &last].map(|commit| work.blob(commit, name)).into();
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), [(path("a b").id().clone(), ids.clone())]);
    let newest_first: Vec<_> = ids.iter().rev().cloned().collect();
    assert_eq!(git.history(&path("a b"))[..4], newest_first);
    // Back, the commits are none that follow one another.
    let steps = git.steps(&Incoming { base: last, tip: first }).changed;
    assert_eq!(steps[path("a b").id()], [ids[3].clone(), ids[0].clone()]);
}

#[test]
fn whether_git_wrote_a_file_as_it_stands() {
    let work = Work::new();
    work.commit("a.canvas", "1");
    let git = work.find();
    work.0.write("a.canvas", "changed");
    assert!(!git.vouches_for(&path("a")));
    work.git(&["checkout", "--", "a.canvas"]);
    assert!(git.vouches_for(&path("a")));
    work.0.write("untracked.canvas", "1");
    assert!(!git.vouches_for(&path("untracked")));
    work.0.write(".git/info/exclude", "secret.canvas\n");
    assert!(git.ignores(&path("secret")) && !git.ignores(&path("plan")));
    work.0.write(".git/index.lock", "");
    assert!(git.is_busy());
}
