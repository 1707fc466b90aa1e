//! Texts: how far two differ, writing a new one into a Text object, and merging three.

use std::collections::BTreeMap;

use automerge::transaction::{Transactable, Transaction};
use automerge::{ActorId, AutoCommit, AutomergeError, ObjId, ObjType, ROOT, ReadDoc};
use similar::{Algorithm, DiffTag};

use crate::limits::MAX_TEXT_COMPARISON;

/// What remains of two texts without their common start and end, in characters.
pub(crate) struct Middle<'a> {
    /// Characters before it.
    pub(crate) start: usize,
    /// Of the old text.
    pub(crate) old: &'a str,
    /// Of the new text.
    pub(crate) new: &'a str,
}

impl<'a> Middle<'a> {
    pub(crate) fn of(old: &'a str, new: &'a str) -> Self {
        let prefix: usize = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
        let start = old.get(..prefix).unwrap_or_default().chars().count();
        let (old, new) = (old.get(prefix..).unwrap_or_default(), new.get(prefix..).unwrap_or_default());
        let both = old.chars().rev().zip(new.chars().rev());
        let suffix: usize = both.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
        let cut = |text: &'a str| text.get(..text.len() - suffix).unwrap_or_default();
        Self { start, old: cut(old), new: cut(new) }
    }
}

/// How much two texts differ: the bytes of the longer of the parts that remain without the common start and end.
/// Cheap, and exact enough to tell an edit from a stale base.
pub(crate) fn difference(old: &str, new: &str) -> usize {
    let middle = Middle::of(old, new);
    middle.old.len().max(middle.new.len())
}

/// Whether so many characters that were replaced by so many others can be compared one by one. That takes as many steps as
/// both have characters for each that differs, which may be all of them, however few one of the two has.
fn are_comparable(old: usize, new: usize) -> bool {
    let both = old.saturating_add(new);
    both.saturating_mul(both) <= 4 * MAX_TEXT_COMPARISON
}

/// Makes a Text object contain `new`, with the fewest operations where the comparison is affordable, so that what
/// others do to the same text at the same time keeps its place.
pub(crate) fn write(tx: &mut Transaction<'_>, object: &ObjId, new: &str) -> Result<(), AutomergeError> {
    let old = tx.text(object)?;
    let middle = Middle::of(&old, new);
    let (deleted, inserted) = (middle.old.chars().count(), middle.new.chars().count());
    if !are_comparable(deleted, inserted) || deleted == 0 || inserted == 0 {
        let deleted = isize::try_from(deleted).unwrap_or(isize::MAX);
        tx.splice_text(object, middle.start, deleted, middle.new)
    } else {
        tx.update_text(object, new)
    }
}

/// Merges what two did to the same text, character by character.
pub(crate) fn merge(base: &str, ours: &str, theirs: &str) -> String {
    if base == ours || ours == theirs {
        return theirs.to_owned();
    }
    if base == theirs {
        return ours.to_owned();
    }
    // Scratch documents cannot fail for reasons of ours; if one did, nothing that others wrote may be lost.
    try_merge(base, ours, theirs).unwrap_or_else(|_| theirs.to_owned())
}

fn try_merge(base: &str, ours: &str, theirs: &str) -> Result<String, AutomergeError> {
    // Fixed actors make the result the same wherever it is computed.
    let mut first = AutoCommit::new().with_actor(ActorId::from([0]));
    let text = first.put_object(ROOT, "text", ObjType::Text)?;
    first.splice_text(&text, 0, 0, base)?;
    let mut second = first.fork().with_actor(ActorId::from([1]));
    let mut third = first.fork().with_actor(ActorId::from([2]));
    for (doc, new) in [(&mut second, ours), (&mut third, theirs)] {
        let middle = Middle::of(base, new);
        let (deleted, inserted) = (middle.old.chars().count(), middle.new.chars().count());
        if are_comparable(deleted, inserted) {
            doc.update_text(&text, new)?;
        } else {
            doc.splice_text(&text, middle.start, isize::try_from(deleted).unwrap_or(isize::MAX), middle.new)?;
        }
    }
    second.merge(&mut third)?;
    second.text(&text)
}

/// The base with what `wanted` did to it and `there` did not do: what is left to be done of a difference. Done is what
/// `there` has, perhaps with more around it, in place of the same characters. Comparing texts that differ much is not
/// affordable: then all is left.
pub(crate) fn undone(base: &str, wanted: &str, there: &str) -> String {
    let characters: Vec<char> = base.chars().collect();
    let (Some(wanted_there), Some(there)) = (replaced(base, &characters, wanted), replaced(base, &characters, there))
    else {
        return wanted.to_owned();
    };
    let mut undone = String::with_capacity(wanted.len());
    let mut at = 0;
    for ((start, end), wanted) in wanted_there {
        // What is there may reach further: more was replaced since.
        let is_done = there.iter().any(|((from, to), there)| *from <= start && end <= *to && there.contains(&wanted));
        if !is_done {
            undone.extend(characters.get(at..start).unwrap_or_default());
            undone.push_str(&wanted);
            at = end;
        }
    }
    undone.extend(characters.get(at..).unwrap_or_default());
    undone
}

/// What stands in a new text in place of which characters of the old one; `None` if that is too much to find out.
fn replaced(old: &str, old_characters: &[char], new: &str) -> Option<BTreeMap<(usize, usize), String>> {
    let middle = Middle::of(old, new);
    if !are_comparable(middle.old.chars().count(), middle.new.chars().count()) {
        return None;
    }
    let characters: Vec<char> = new.chars().collect();
    let differences = similar::capture_diff_slices(Algorithm::Myers, old_characters, &characters);
    let changed = differences.into_iter().filter(|difference| difference.tag() != DiffTag::Equal).map(|difference| {
        let (old, new) = (difference.old_range(), difference.new_range());
        ((old.start, old.end), characters.get(new).unwrap_or_default().iter().collect())
    });
    Some(changed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_sees_the_middle_only() {
        assert_eq!(difference("abc", "abc"), 0);
        assert_eq!(difference("abc", "abXc"), 1);
        assert_eq!(difference("aaa", "aa"), 1);
        assert_eq!(difference("ä€x", "ä€y"), 1);
        assert_eq!(difference("", "four"), 4);
    }

    #[test]
    fn a_long_text_takes_the_place_of_a_short_one_without_a_comparison() {
        let long = "ab".repeat(250_000);
        assert!(!are_comparable(20, long.len()) && !are_comparable(long.len(), 20) && are_comparable(2_000, 2_000));
        let mut doc = AutoCommit::new();
        let text = doc.put_object(ROOT, "text", ObjType::Text).unwrap();
        doc.splice_text(&text, 0, 0, "b".repeat(20).as_str()).unwrap();
        doc.commit();
        let mut doc = doc.document().clone();
        let mut tx = doc.transaction();
        write(&mut tx, &text, &long).unwrap();
        assert_eq!(tx.text(&text).unwrap(), long);
    }

    #[test]
    fn what_is_there_already_is_not_left_to_be_done() {
        for (base, wanted, there, expected) in [
            ("a cat", "a big cat", "a big cat", "a cat"),
            ("a cat", "a big cat sat", "a very big cat", "a cat sat"),
            ("the cat", "the cat on the", "the cat on the mat", "the cat"),
            ("a cat", "a dog", "a cat", "a dog"),
            ("a cat", "cat", "the cat", "cat"),
            ("a cat", "cat", "cats", "a cat"),
            ("", "x", "", "x"),
        ] {
            assert_eq!(undone(base, wanted, there), expected, "{wanted} | {there}");
        }
        let (long, other) = ("x".repeat(10_000), "y".repeat(10_000));
        assert_eq!(undone(&long, &other, &other), other);
    }

    #[test]
    fn three_texts_merge() {
        assert_eq!(merge("the cat", "the big cat", "the cat sat"), "the big cat sat");
        assert_eq!(merge("a", "a", "b"), "b");
        assert_eq!(merge("a", "b", "a"), "b");
        let long = "x".repeat(10_000);
        assert_eq!(merge(&format!("{long}1"), &format!("{long}2"), &format!("0{long}1")), format!("0{long}2"));
    }
}
