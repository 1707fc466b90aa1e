//! Conflicts in a file, as git marks them.

use similar::{ChangeTag, TextDiff};

use crate::canvas::file::layout::FileLayout;
use crate::canvas::file::merge::Merge;
use crate::canvas::file::render::render_with;

/// The text of a merged canvas that somebody has to finish: where both sides' texts differ, both, between lines of `size`
/// markers. Taking ours everywhere, or theirs, leaves valid JSON. `layout` is that of ours, `other` of theirs.
#[must_use]
pub fn render_conflicts(merge: &Merge, layout: &FileLayout, other: &FileLayout, size: usize) -> String {
    let ours = render_with(&merge.canvas, layout, other);
    marked(&ours, &render_with(&merge.theirs(), layout, other), size)
}

/// Two texts as one, with markers where they differ.
pub(super) fn marked(ours: &str, theirs: &str, size: usize) -> String {
    let newline = if ours.contains("\r\n") { "\r\n" } else { "\n" };
    let mut out = String::with_capacity(ours.len());
    let mut side = ChangeTag::Equal;
    let marker = |out: &mut String, sign: &str, label: &str| {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push_str(newline); // The last line of a file may have no end.
        }
        out.push_str(&sign.repeat(size));
        out.push_str(label);
        out.push_str(newline);
    };
    // Ours are what is deleted, theirs what is inserted; one that is missing is an empty side.
    let go_to = |out: &mut String, from: ChangeTag, to: ChangeTag| {
        if from == to {
            return;
        }
        match from {
            ChangeTag::Equal => marker(out, "<", " ours"),
            ChangeTag::Delete => {}
            ChangeTag::Insert => marker(out, ">", " theirs"),
        }
        match (from, to) {
            (ChangeTag::Insert, ChangeTag::Delete) => marker(out, "<", " ours"),
            (ChangeTag::Delete, ChangeTag::Equal) => {
                marker(out, "=", "");
                marker(out, ">", " theirs");
            }
            (_, ChangeTag::Insert) => marker(out, "=", ""),
            _ => {}
        }
    };
    for change in TextDiff::from_lines(ours, theirs).iter_all_changes() {
        go_to(&mut out, side, change.tag());
        side = change.tag();
        out.push_str(change.value());
    }
    go_to(&mut out, side, ChangeTag::Equal);
    out
}

/// Our side of what [`marked`] wrote, whatever the size of its markers, and theirs.
pub(super) fn sides(marked: &str) -> [String; 2] {
    let is = |line: &str, sign: char, label: &str| {
        line.trim_end().strip_suffix(label).is_some_and(|signs| !signs.is_empty() && signs.chars().all(|c| c == sign))
    };
    let mut sides = [String::new(), String::new()];
    let mut inside = [true, true];
    for line in marked.split_inclusive('\n') {
        if is(line, '<', " ours") {
            inside = [true, false];
        } else if is(line, '=', "") {
            inside = [false, true];
        } else if is(line, '>', " theirs") {
            inside = [true, true];
        } else {
            for (side, inside) in sides.iter_mut().zip(inside) {
                side.push_str(if inside { line } else { "" });
            }
        }
    }
    sides
}
