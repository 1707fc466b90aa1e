//! Short, harmless words for what a canvas holds.

use crate::canvas::model::Element;
use crate::canvas::side::TEXT;
use crate::canvas::text::Middle;
use crate::canvas::value::Value;

/// Longest name, id or value in a line, in characters.
const MAX_WORDS: usize = 40;
/// How much of an unchanged text is told before and after what changed in it, in characters.
const CONTEXT: usize = 12;

/// What people call a node: the first line of its text, its file, address or label.
pub(super) fn name_of(node: &Element) -> Option<String> {
    let names = [TEXT, "file", "url", "label"].into_iter().filter_map(|key| match node.properties.get(key) {
        Some(Value::String(name)) => Some(name),
        _ => None,
    });
    names
        .filter_map(|name| name.lines().map(|line| line.trim_start_matches('#').trim()).find(|line| !line.is_empty()))
        .map(shortened)
        .next()
}

/// Text without anything that could steer a terminal, at most [`MAX_WORDS`] long.
pub(super) fn shortened(text: &str) -> String {
    cut(text, MAX_WORDS)
}

/// The same between quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shortened(text))
}

/// What changed within a text, with a little around it.
pub(super) fn text_change(was: &str, now: &str) -> String {
    let middle = Middle::of(was, now);
    let excerpt = |text: &str, changed: &str| {
        let start = middle.start.saturating_sub(CONTEXT);
        let before: String = text.chars().skip(start).take(middle.start - start).collect();
        let after: String = text.chars().skip(middle.start + changed.chars().count()).take(CONTEXT).collect();
        let cut_before = if start > 0 { "…" } else { "" };
        let ends = middle.start + changed.chars().count() + CONTEXT >= text.chars().count();
        let cut_after = if ends { "" } else { "…" };
        let changed = shortened(changed);
        format!("\"{cut_before}{}{changed}{}{cut_after}\"", cut(&before, CONTEXT), cut(&after, CONTEXT))
    };
    format!("{} → {}", excerpt(was, middle.old), excerpt(now, middle.new))
}

fn cut(text: &str, length: usize) -> String {
    let mut words: String = text.chars().take(length).map(harmless).collect();
    if text.chars().nth(length).is_some() {
        words.push('…');
    }
    words
}

fn harmless(c: char) -> char {
    match c {
        c if c.is_whitespace() => ' ',
        // What changes the direction of writing, or cannot be seen.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}
