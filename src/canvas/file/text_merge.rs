//! Merging what two branches made of one text: by words, within a word by characters.
//!
//! Live edits are merged character by character as they are typed. Two finished texts do not tell what was typed: compared by
//! characters, words that were replaced by others keep letters that they share by chance, and two such comparisons leave
//! letters of both.

use std::ops::Range;

use similar::{Algorithm, DiffTag, capture_diff_slices};

use crate::canvas::text::Middle;
use crate::limits::MAX_TEXT_COMPARISON;

/// One difference: which words of the base another text has in place of which.
struct Hunk {
    base: Range<usize>,
    new: Range<usize>,
}

/// A text as words, and as the characters between them one by one.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match rest.find(|character: char| !character.is_alphanumeric()) {
            Some(0) => first.len_utf8(),
            Some(length) => length,
            None => rest.len(),
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after;
    }
    words
}

/// Merges two texts that were made from `base`. What both did alike is done once; where one did what the other did and more,
/// that is taken; where both put something else in one place, both stay, in an order that does not depend on the sides.
pub(super) fn merge(base: &str, ours: &str, theirs: &str) -> String {
    let [base, ours, theirs] = [base, ours, theirs].map(words);
    let (mut our, mut their) =
        (hunks(&base, &ours).into_iter().peekable(), hunks(&base, &theirs).into_iter().peekable());
    let mut merged = String::new();
    let mut at = 0;
    loop {
        let next = [our.peek(), their.peek()].into_iter().flatten().map(|hunk| hunk.base.start).min();
        let Some(start) = next else { break };
        merged.extend(base.get(at..start).unwrap_or_default().iter().copied());
        // All that touches the same words of the base is one place.
        let mut place = start..start;
        let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
        loop {
            let touches = |hunk: &Hunk| hunk.base.start < place.end || hunk.base.start == place.start;
            let taken = match (our.next_if(touches), their.next_if(touches)) {
                (None, None) => break,
                taken => taken,
            };
            for (hunk, side) in [(taken.0, &mut of_ours), (taken.1, &mut of_theirs)] {
                if let Some(hunk) = hunk {
                    place.end = place.end.max(hunk.base.end);
                    side.push(hunk);
                }
            }
        }
        let before = base.get(place.clone()).unwrap_or_default();
        let sides = [(&of_ours, &ours), (&of_theirs, &theirs)].map(|(hunks, new)| applied(&base, &place, hunks, new));
        merged.push_str(&settle(before, &sides[0], &sides[1]));
        at = place.end;
    }
    merged.extend(base.get(at..).unwrap_or_default().iter().copied());
    merged
}

/// Texts that differ much are not compared: all between what they have in common at their ends counts as one difference.
fn hunks(base: &[&str], new: &[&str]) -> Vec<Hunk> {
    let (start, end) = common_ends(base, new);
    let (old_end, new_end) = (base.len() - end, new.len() - end);
    if (old_end - start).saturating_mul(new_end - start) > MAX_TEXT_COMPARISON {
        return vec![Hunk { base: start..old_end, new: start..new_end }];
    }
    let differences = capture_diff_slices(Algorithm::Patience, base, new);
    let changed = differences.into_iter().filter(|difference| difference.tag() != DiffTag::Equal);
    changed.map(|difference| Hunk { base: difference.old_range(), new: difference.new_range() }).collect()
}

/// How many words two texts have in common at the start, and of the rest at the end.
fn common_ends(one: &[&str], other: &[&str]) -> (usize, usize) {
    let start = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let rest = one.len().min(other.len()) - start;
    let end = one.iter().rev().zip(other.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    (start, end)
}

/// What one side has in a place.
fn applied<'a>(base: &[&'a str], place: &Range<usize>, hunks: &[Hunk], new: &[&'a str]) -> Vec<&'a str> {
    let mut words = Vec::new();
    let mut at = place.start;
    for hunk in hunks {
        words.extend(base.get(at..hunk.base.start).unwrap_or_default());
        words.extend(new.get(hunk.new.clone()).unwrap_or_default());
        at = hunk.base.end;
    }
    words.extend(base.get(at..place.end).unwrap_or_default());
    words
}

/// What becomes of one place.
fn settle(base: &[&str], ours: &[&str], theirs: &[&str]) -> String {
    if ours == theirs || theirs == base {
        return ours.concat();
    }
    if ours == base {
        return theirs.concat();
    }
    // Whoever rewrote something has more to say than who removed it.
    if ours.is_empty() || theirs.is_empty() {
        return [ours, theirs].concat().concat();
    }
    if let Some(both) = apart(&base.concat(), &ours.concat(), &theirs.concat()) {
        return both;
    }
    for (less, more) in [(ours, theirs), (theirs, ours)] {
        if let Some(extra) = extra(less, more) {
            // Words of the base that one side has removed stay removed; others were added by who has more.
            let was_there = extra.iter().all(|word| base.contains(word));
            return if was_there { less } else { more }.concat();
        }
    }
    side_by_side(ours, theirs)
}

/// Both edits of characters, if they do not touch.
fn apart(base: &str, ours: &str, theirs: &str) -> Option<String> {
    let (our, their) = (Middle::of(base, ours), Middle::of(base, theirs));
    let (first, second) = if our.start <= their.start { (our, their) } else { (their, our) };
    let (end, characters) = (first.start + first.old.chars().count(), base.chars());
    let rewritten = [&first, &second].iter().any(|side| side.old.len() == base.len());
    if end > second.start || first.start == second.start || rewritten {
        return None;
    }
    let characters: Vec<char> = characters.collect();
    let part = |range: Range<usize>| characters.get(range).unwrap_or_default().iter().collect::<String>();
    let after = second.start + second.old.chars().count();
    Some(
        [&part(0..first.start), first.new, &part(end..second.start), second.new, &part(after..characters.len())]
            .concat(),
    )
}

/// What `more` has beside all of `less`, in order; `None` if it lacks something.
fn extra<'a>(less: &[&str], more: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut less = less.iter().peekable();
    let extra = more.iter().filter(|word| less.next_if(|wanted| wanted == word).is_none()).copied().collect();
    less.peek().is_none().then_some(extra)
}

/// What both have at the start and at the end, and between that what each has.
fn side_by_side(ours: &[&str], theirs: &[&str]) -> String {
    let (start, end) = common_ends(ours, theirs);
    let middle = |side: &[&str]| side.get(start..side.len() - end).unwrap_or_default().concat();
    let mut middles = [middle(ours), middle(theirs)];
    middles.sort();
    let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    let gap = is_word(middles[0].chars().next_back()) && is_word(middles[1].chars().next());
    let before = ours.get(..start).unwrap_or_default().concat();
    let after = ours.get(ours.len() - end..).unwrap_or_default().concat();
    let gap = if gap { " " } else { "" };
    format!("{before}{}{gap}{}{after}", middles[0], middles[1])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_merge_by_words_and_within_a_word_by_characters() {
        for (base, ours, theirs, expected) in [
            ("Ship the release", "Ship the beta", "Ship the beta soon", "Ship the beta soon"),
            ("Ship the release", "Launch the beta", "Launch the beta soon", "Launch the beta soon"),
            ("PRECIOUS by ben", "ONE by ben", "ONE AND TWO by ben", "ONE AND TWO by ben"),
            ("Todo", "Done by Ada", "Done by Ben", "Done by Ada Ben"),
            ("us people release spring", "us dates release spring", "us dates spring", "us dates spring"),
            ("the cat", "the big cat", "the cat sat", "the big cat sat"),
            ("cat", "cats", "Cat", "Cats"),
            (
                "Write the docs",
                "Write the docs, with pictures",
                "Write all the docs",
                "Write all the docs, with pictures",
            ),
            ("", "a", "b", "a b"),
            ("a b c", "a c", "a b b2 c", "a b2 c"),
            ("one two", "", "one two three", " three"),
        ] {
            assert_eq!(merge(base, ours, theirs), expected, "{base} | {ours} | {theirs}");
            assert_eq!(merge(base, theirs, ours), expected, "{base} | {theirs} | {ours}");
        }
    }

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["[a-c]{1,3}", Just(" ".to_owned()), Just("\n".to_owned())], 0..8)
            .prop_map(|parts| parts.concat())
    }

    #[test]
    fn texts_that_differ_much_merge_all_the_same() {
        let long = |word: &str| vec![word; 10_000].join(" ");
        let (base, ours, theirs) = (long("a"), long("b"), format!("{} end", long("a")));
        assert_eq!(merge(&base, &ours, &theirs), format!("{ours} end"));
    }

    /// Words that are replaced as a whole or not at all.
    fn whole() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof![Just("pqr"), Just("stu"), Just("vwx"), Just("jkl")], 0..6)
            .prop_map(|parts| parts.join(" "))
    }

    proptest! {
        #[test]
        fn one_side_alone_is_taken_and_sides_make_no_difference(base in text(), ours in text(), theirs in text()) {
            prop_assert_eq!(merge(&base, &ours, &base), ours.clone());
            prop_assert_eq!(merge(&base, &base, &theirs), theirs.clone());
            prop_assert_eq!(merge(&base, &ours, &ours), ours.clone());
            prop_assert_eq!(merge(&base, &ours, &theirs), merge(&base, &theirs, &ours));
        }

        #[test]
        fn no_word_that_a_side_added_is_missing(base in whole(), ours in whole(), theirs in whole()) {
            let merged = merge(&base, &ours, &theirs);
            let before = words(&base);
            for side in [&ours, &theirs] {
                for word in words(side).into_iter().filter(|word| !before.contains(word)) {
                    prop_assert!(merged.contains(word), "{:?} of {:?} in {:?}", word, side, merged);
                }
            }
        }
    }
}
