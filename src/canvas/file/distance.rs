//! How far two canvases differ.

use std::collections::BTreeMap;

use crate::canvas::model::{Canvas, Element, Properties};
use crate::canvas::order;
use crate::canvas::text;
use crate::canvas::value::Value;

/// How much two canvases differ; 0 if and only if they are equal, and the same both ways. For telling which of several
/// older states a canvas was made from, not a number of edits.
///
/// | what | weight |
/// | --- | --- |
/// | an element that only one has | 1, and that of its properties |
/// | a property that differs, or only one has | 1, and for strings the bytes of the longer of the parts that remain without the common start and end |
/// | an element that both have, in another place | 1 for each of the fewest that must move |
#[must_use]
pub fn distance(a: &Canvas, b: &Canvas) -> u64 {
    elements(&a.nodes, &b.nodes) + elements(&a.edges, &b.edges) + properties(&a.properties, &b.properties)
}

fn elements(a: &[Element], b: &[Element]) -> u64 {
    let none = Properties::new();
    let mut rest: BTreeMap<&str, (usize, &Element)> =
        b.iter().enumerate().map(|(place, element)| (element.id.as_str(), (place, element))).collect();
    let mut places = Vec::with_capacity(a.len());
    let mut sum = 0;
    for element in a {
        let other = rest.remove(element.id.as_str());
        places.push(other.map(|(place, _)| place));
        sum += match other {
            Some((_, other)) => properties(&element.properties, &other.properties),
            None => 1 + properties(&element.properties, &none),
        };
    }
    let added = rest.values().map(|(_, element)| 1 + properties(&none, &element.properties));
    sum + added.sum::<u64>() + order::moved(&places).len() as u64
}

fn properties(a: &Properties, b: &Properties) -> u64 {
    let changed = a.iter().map(|(key, value)| weight(Some(value), b.get(key)));
    let added = b.iter().filter(|(key, _)| !a.contains_key(*key)).map(|(_, value)| weight(None, Some(value)));
    changed.chain(added).sum()
}

fn weight(a: Option<&Value>, b: Option<&Value>) -> u64 {
    fn string(value: Option<&Value>) -> &str {
        match value {
            Some(Value::String(text)) => text,
            _ => "",
        }
    }
    if a == b { 0 } else { 1 + text::difference(string(a), string(b)) as u64 }
}
