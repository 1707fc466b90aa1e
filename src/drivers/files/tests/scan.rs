//! Which files are found.

use super::{TestFolder, path};
use crate::drivers::files::{is_ignored, is_in_other_work_tree, scan};

#[test]
fn hidden_ignored_and_linked_files_are_not_found() {
    let folder = TestFolder::new();
    folder.write("clone/.git/HEAD", "");
    folder.write("module/.git", "");
    for name in [
        "a.canvas",
        "clone/g.canvas",
        "module/in/h.canvas",
        "in/b.canvas",
        ".git/c.canvas",
        ".hidden/d.canvas",
        ".e.canvas",
        "out/f.canvas",
    ] {
        folder.write(name, "{}");
    }
    folder.write("in/secret.canvas", "{}");
    folder.write("nul.canvas", "{}");
    folder.write("notes.md", "");
    folder.write(".gitignore", "out/\n*.local\n");
    folder.write("in/.gitignore", "secret.*\n");
    folder.write(".ignore", "a.canvas\n");
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("in"), folder.path().join("link")).unwrap();
    let found = scan(folder.path());
    let ids: Vec<_> = found.files.iter().map(|path| path.id().as_str()).collect();
    assert_eq!(ids, ["a", "in/b"], "git does not know .ignore");
    let folders: Vec<_> = found.folders.iter().collect();
    assert_eq!(folders, [folder.path(), &folder.path().join("in")]);
    assert_eq!(found.refused.len(), 1, "{:?}", found.refused);
    assert!(found.unread.is_empty());
}

#[test]
fn what_is_in_another_work_tree() {
    let folder = TestFolder::new();
    folder.write(".git/HEAD", "");
    folder.write("module/.git", "");
    for (id, expected) in [("plan", false), ("in/plan", false), ("module/plan", true), ("module/in/plan", true)] {
        assert_eq!(is_in_other_work_tree(folder.path(), &path(id)), expected, "{id}");
    }
}

#[test]
fn whether_a_file_would_be_ignored_is_known_before_it_is_there() {
    let folder = TestFolder::new();
    folder.write(".gitignore", "out/\n/top.canvas\n");
    folder.write("in/.gitignore", "secret.*\n!kept.canvas\n");
    for (id, expected) in
        [("out/x", true), ("deep/out/x", true), ("top", true), ("in/top", false), ("in/secret", true), ("plan", false)]
    {
        assert_eq!(is_ignored(folder.path(), &path(id)), expected, "{id}");
    }
}
