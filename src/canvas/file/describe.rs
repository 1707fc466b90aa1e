//! What changed in a canvas, in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::canvas::changes::PropertyChanges;
use crate::canvas::file::merge::{Merge, MergeConflict};
use crate::canvas::file::words::{name_of, quoted, shortened, text_change};
use crate::canvas::model::{Canvas, Element, ElementKind, Properties};
use crate::canvas::order;
use crate::canvas::value::Value;

/// More elements than this that change place are counted, not named.
const MAX_MOVES_NAMED: usize = 5;

/// What changed between two canvases, one line for each change, in words that a person likes to read: nodes, edges,
/// order, then the canvas's own properties. Lines are short, whatever the canvas holds, and have no control characters.
/// Empty if the canvases are equal.
#[must_use]
pub fn describe(before: &Canvas, after: &Canvas) -> Vec<String> {
    let mut lines = Vec::new();
    let [old_nodes, new_nodes] = [before, after].map(|canvas| by_id(&canvas.nodes));
    let [old_edges, new_edges] = [before, after].map(|canvas| by_id(&canvas.edges));
    let sides = [
        (ElementKind::Node, &old_nodes, &new_nodes, &before.nodes, &after.nodes),
        (ElementKind::Edge, &old_edges, &new_edges, &before.edges, &after.edges),
    ];
    for (kind, known, now, old, new) in sides {
        for element in new {
            match known.get(element.id.as_str()) {
                None => lines.push(format!("added {kind} {}", full_name(&new_nodes, kind, element))),
                Some((_, was)) if was.properties == element.properties => {}
                Some((_, was)) => changed(&full_name(&new_nodes, kind, element), kind, was, element, &mut lines),
            }
        }
        for element in old.iter().filter(|element| !now.contains_key(element.id.as_str())) {
            lines.push(format!("removed {kind} {}", full_name(&old_nodes, kind, element)));
        }
    }
    for (kind, known, _, _, new) in sides {
        order(&new_nodes, kind, known, new, &mut lines);
    }
    properties("canvas", &before.properties, &after.properties, &[], &mut lines);
    lines
}

/// One line about each conflict of a merge: what it is in, and both values.
#[must_use]
pub fn describe_conflicts(merge: &Merge) -> Vec<String> {
    let (nodes, edges) = (by_id(&merge.canvas.nodes), by_id(&merge.canvas.edges));
    let line = |conflict: &MergeConflict| {
        let elements = if conflict.element == ElementKind::Edge { &edges } else { &nodes };
        let kind = conflict.element;
        let subject = match elements.get(conflict.id.as_str()) {
            Some((_, element)) if kind != ElementKind::Canvas => format!("{kind} {}", full_name(&nodes, kind, element)),
            _ => kind.to_string(),
        };
        let [ours, theirs] = [&conflict.ours, &conflict.theirs].map(|value| value_words(value.as_ref()));
        format!("{subject}: {}: ours {ours}, theirs {theirs}", shortened(&conflict.property))
    };
    merge.conflicts.iter().map(line).collect()
}

type Index<'a> = BTreeMap<&'a str, (usize, &'a Element)>;

fn by_id(elements: &[Element]) -> Index<'_> {
    elements.iter().enumerate().map(|(place, element)| (element.id.as_str(), (place, element))).collect()
}

/// What people call an element, and its id.
fn full_name(nodes: &Index<'_>, kind: ElementKind, element: &Element) -> String {
    let id = shortened(&element.id);
    if kind == ElementKind::Node {
        return name_of(element).map_or_else(|| format!("({id})"), |name| format!("\"{name}\" ({id})"));
    }
    let end = |end: &str| match element.properties.get(end) {
        Some(Value::String(node)) => {
            let node = nodes.get(node.as_str()).and_then(|(_, node)| name_of(node));
            node.or_else(|| element.properties.get(end).map(|id| shortened(&value_text(id))))
        }
        _ => None,
    };
    let mut name = match (end("fromNode").or_else(|| end("from")), end("toNode").or_else(|| end("to"))) {
        (None, None) => format!("({id})"),
        (from, to) => {
            let end = |end: Option<String>| end.unwrap_or_else(|| "?".to_owned());
            format!("{} → {}", end(from), end(to))
        }
    };
    if let Some(Value::String(label)) = element.properties.get("label") {
        let _ = write!(name, " ({})", quoted(label));
    }
    name
}

fn changed(name: &str, kind: ElementKind, was: &Element, now: &Element, lines: &mut Vec<String>) {
    let (old, new) = (&was.properties, &now.properties);
    let subject = format!("{kind} {name}");
    let pair = |properties: &Properties, [a, b]: [&str; 2], sign: &str| {
        Some(format!("{}{sign}{}", number(properties.get(a)?)?, number(properties.get(b)?)?))
    };
    let mut told = Vec::new();
    for (keys, verb, sign) in [(["x", "y"], "moved", ","), (["width", "height"], "resized", "×")] {
        if let (Some(from), Some(to)) = (pair(old, keys, sign), pair(new, keys, sign)) {
            told.extend(keys);
            if keys.iter().any(|key| old.get(*key) != new.get(*key)) {
                lines.push(format!("{subject}: {verb} from {from} to {to}"));
            }
        }
    }
    properties(&subject, old, new, &told, lines);
}

fn properties(subject: &str, old: &Properties, new: &Properties, told: &[&str], lines: &mut Vec<String>) {
    let changes = PropertyChanges::between(old, new);
    for (key, value) in changes.set.iter().filter(|(key, _)| !told.contains(&key.as_str())) {
        let change = match (old.get(key), value) {
            (Some(Value::String(was)), Value::String(now)) => text_change(was, now),
            (was, now) => format!("{} → {}", value_words(was), value_words(Some(now))),
        };
        lines.push(format!("{subject}: {}: {change}", shortened(key)));
    }
    for key in changes.removed.iter().filter(|key| !told.contains(&key.as_str())) {
        lines.push(format!("{subject}: {}: {} → none", shortened(key), value_words(old.get(key))));
    }
}

fn order(nodes: &Index<'_>, kind: ElementKind, known: &Index<'_>, new: &[Element], lines: &mut Vec<String>) {
    let places: Vec<_> = new.iter().map(|element| known.get(element.id.as_str()).map(|(place, _)| *place)).collect();
    let moved = order::moved(&places);
    if moved.len() > MAX_MOVES_NAMED {
        lines.push(format!("order: {} {kind}s are elsewhere", moved.len()));
        return;
    }
    for place in moved {
        let Some(element) = new.get(place) else { continue };
        let name = full_name(nodes, kind, element);
        let below = place.checked_sub(1).and_then(|below| new.get(below));
        lines.push(match below {
            None => format!("order: {kind} {name} is now the lowest"),
            Some(below) => format!("order: {kind} {name} is now right above {}", full_name(nodes, kind, below)),
        });
    }
}

fn number(value: &Value) -> Option<String> {
    matches!(value, Value::Int(_) | Value::Float(_)).then(|| value_text(value))
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => {
            let mut text = String::new();
            other.write_json(&mut text);
            text
        }
    }
}

fn value_words(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(Value::String(text)) => quoted(text),
        Some(other) => shortened(&value_text(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(before: &str, after: &str) -> Vec<String> {
        describe(&Canvas::from_json(before).unwrap(), &Canvas::from_json(after).unwrap())
    }

    const BEFORE: &str = r##"{"nodes":[
        {"id":"a1","type":"text","text":"# Login flow\nmore","x":10,"y":20,"width":5,"height":6,"color":"1"},
        {"id":"b2","type":"file","file":"db/Database.md","x":0},
        {"id":"c3","x":1}],
        "edges":[{"id":"e","fromNode":"a1","toNode":"b2","label":"uses"}],"title":1}"##;

    #[test]
    fn changes_are_told_in_words() {
        let after = r##"{"nodes":[
            {"id":"c3","x":1},
            {"id":"a1","type":"text","text":"# Login flow\nmuch more","x":40,"y":20,"width":5,"height":8},
            {"id":"d4","url":"https://example.org/"}],
            "edges":[{"id":"f","fromNode":"c3","toNode":"a1"}],"title":{"a":[1]}}"##;
        assert_eq!(
            lines(BEFORE, after),
            [
                "node \"Login flow\" (a1): moved from 10,20 to 40,20",
                "node \"Login flow\" (a1): resized from 5×6 to 5×8",
                "node \"Login flow\" (a1): text: \"…Login flow more\" → \"…Login flow much more\"",
                "node \"Login flow\" (a1): color: \"1\" → none",
                "added node \"https://example.org/\" (d4)",
                "removed node \"db/Database.md\" (b2)",
                "added edge c3 → Login flow",
                "removed edge Login flow → db/Database.md (\"uses\")",
                "order: node (c3) is now the lowest",
                "canvas: title: 1 → {\"a\":[1]}",
            ]
        );
        assert_eq!(lines(BEFORE, BEFORE), [""; 0]);
    }

    #[test]
    fn whatever_a_canvas_holds_lines_are_short_and_plain() {
        let nasty = "\u{1b}[31m\u{202e}red\u{7}\n\t\u{9b}".repeat(1_000);
        let json = serde_json::json!({
            "nodes": [{ "id": nasty, "text": nasty, "x": 1 }, { "id": "q", nasty.clone(): nasty, "label": nasty }],
            "edges": [{ "id": nasty, "fromNode": nasty, "toNode": nasty, "label": nasty }],
            nasty.clone(): [nasty],
        });
        let other = json.to_string().replace("red", "blue");
        let all = [lines("{}", &json.to_string()), lines(&json.to_string(), &other), lines(&other, "{}")].concat();
        assert!(all.len() > 6);
        for line in all {
            assert!(line.chars().count() < 350, "{line}");
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
    }
}
