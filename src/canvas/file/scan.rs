//! The structure of a JSON text that a parser has found to be valid: where every value begins and ends, and what stands
//! between. Any other text gives some structure too, but no panic.

use std::collections::BTreeMap;

/// One item of an array, or member of an object.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// A member's key, decoded; empty in an array.
    pub(super) key: String,
    /// All that stands before the value: the key as it is written, and `colon`. Empty in an array.
    pub(super) head: &'a str,
    /// The colon with the white space around it.
    pub(super) colon: &'a str,
    /// The value.
    pub(super) value: &'a str,
}

/// An object or array.
#[derive(Debug, Default)]
pub(super) struct Container<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// What stands before the first item, between each two (comma and white space), and after the last. Of an empty
    /// container: all that stands between its brackets.
    pub(super) gaps: Vec<&'a str>,
}

impl<'a> Container<'a> {
    /// Reads the text of one object or array, from bracket to bracket.
    pub(super) fn of(text: &'a str) -> Self {
        let is_object = text.starts_with('{');
        let mut container = Self::default();
        let mut cursor = Cursor { text, at: 1 };
        let mut gap = 1;
        loop {
            cursor.skip_white_space();
            container.gaps.push(cursor.since(gap));
            if matches!(cursor.peek(), None | Some(b'}' | b']')) {
                return container;
            }
            let start = cursor.at;
            let (mut key, mut colon) = (String::new(), "");
            if is_object {
                cursor.skip_string();
                key = serde_json::from_str(cursor.since(start)).unwrap_or_default();
                let end = cursor.at;
                cursor.skip_white_space();
                cursor.at += 1;
                cursor.skip_white_space();
                colon = cursor.since(end);
            }
            let head = cursor.since(start);
            let start = cursor.at;
            cursor.skip_value();
            container.items.push(Item { key, head, colon, value: cursor.since(start) });
            gap = cursor.at;
            cursor.skip_white_space();
            if cursor.peek() == Some(b',') {
                cursor.at += 1;
            }
        }
    }

    /// The member of this name that counts: where a name is repeated, the last.
    pub(super) fn member(&self, key: &str) -> Option<&Item<'a>> {
        self.items.iter().rfind(|item| item.key == key)
    }

    /// The place of each member that counts, by name.
    pub(super) fn places(&self) -> BTreeMap<&str, usize> {
        self.items.iter().enumerate().map(|(place, item)| (item.key.as_str(), place)).collect()
    }
}

/// Splits a text into what stands before its only value, the value, and what stands after it.
pub(super) fn frame(text: &str) -> (&str, &str, &str) {
    let unmarked = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = unmarked.trim_matches([' ', '\t', '\r', '\n']);
    let start = offset(text, value);
    let (before, rest) = text.split_at_checked(start).unwrap_or(("", text));
    let (value, after) = rest.split_at_checked(value.len()).unwrap_or((rest, ""));
    (before, value, after)
}

/// Where a part of a text begins in it, in bytes.
pub(super) fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }

    /// Goes to the end of a value, without recursion.
    fn skip_value(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                None => return,
                Some(b'"') => self.skip_string(),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Some(b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(_) => {
                    const ENDS: &[u8] = b"\",:{}[] \t\n\r";
                    while self.peek().is_some_and(|byte| !ENDS.contains(&byte)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_taken_apart_without_a_rest() {
        let text = "\u{feff}\n{ \"a\" : [1, {\"x\":\"}\\\"\"} ],\r\n\t\"\\u0062\":-1e3,\"c\":{ } }\n";
        let (before, value, after) = frame(text);
        assert_eq!((before, after), ("\u{feff}\n", "\n"));
        let container = Container::of(value);
        assert_eq!(container.gaps, [" ", ",\r\n\t", ",", " "]);
        let items: Vec<_> = container.items.iter().map(|item| (item.key.as_str(), item.colon, item.value)).collect();
        assert_eq!(items, [("a", " : ", "[1, {\"x\":\"}\\\"\"} ]"), ("b", ":", "-1e3"), ("c", ":", "{ }")]);
        assert_eq!(Container::of("{ }").gaps, [" "]);
        assert_eq!(Container::of("[1 , 2]").gaps, ["", " , ", ""]);
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "[\\[\\]{},:\" \\\\a1é]{0,40}") {
            Container::of(frame(&text).1);
        }
    }
}
