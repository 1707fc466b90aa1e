//! A canvas as plain data, read from and printed as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

use crate::canvas::error::CanvasError;
use crate::canvas::parse;
use crate::canvas::value::{Value, write_string};

/// Properties by name.
pub type Properties = BTreeMap<String, Value>;

/// What a property belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementKind {
    /// A node.
    Node,
    /// An edge.
    Edge,
    /// The canvas itself.
    Canvas,
}

impl fmt::Display for ElementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Edge => "edge",
            Self::Canvas => "canvas",
        })
    }
}

/// A node or an edge.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Element {
    /// Unique among the nodes, or among the edges.
    pub id: String,
    /// Every property but `id`; a node's `text` is one of them.
    pub properties: Properties,
}

/// A canvas: JSON Canvas 1.0 and whatever else was put into it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Canvas {
    /// The nodes in z-order, lowest first.
    pub nodes: Vec<Element>,
    /// The edges.
    pub edges: Vec<Element>,
    /// Top-level keys other than `nodes` and `edges`.
    pub properties: Properties,
}

impl Canvas {
    /// Reads JSON Canvas leniently: `nodes` and `edges` may be absent, unknown properties are kept.
    ///
    /// # Errors
    /// [`CanvasError::Syntax`], [`CanvasError::Invalid`] or [`CanvasError::TooLarge`], each saying where.
    pub fn from_json(json: &str) -> Result<Self, CanvasError> {
        parse::canvas(json)
    }

    /// Prints the canvas as compact JSON: `nodes`, `edges`, then the other keys in ascending order.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::from("{");
        write_list("nodes", &self.nodes, &mut out);
        out.push(',');
        write_list("edges", &self.edges, &mut out);
        for (key, value) in &self.properties {
            out.push(',');
            write_member(key, value, &mut out);
        }
        out.push('}');
        out
    }

    /// Checks what [`from_json`](Self::from_json) ensures, for canvases built otherwise: ids are unique.
    pub(crate) fn check(&self) -> Result<(), CanvasError> {
        for (list, elements) in [("nodes", &self.nodes), ("edges", &self.edges)] {
            let mut seen = BTreeSet::new();
            for (index, element) in elements.iter().enumerate() {
                if !seen.insert(&element.id) {
                    return Err(parse::duplicate_id(list, index, &element.id));
                }
            }
        }
        Ok(())
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = ordered(&self.properties);
        serializer.collect_map(
            std::iter::once(("id", Member::Id(&self.id)))
                .chain(members.map(|(key, value)| (key, Member::Value(value)))),
        )
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Member<'a> {
    Id(&'a str),
    Value(&'a Value),
}

/// The order of keys in the examples of the JSON Canvas specification.
const KEY_ORDER: [&str; 18] = [
    "type",
    "text",
    "file",
    "subpath",
    "url",
    "label",
    "background",
    "backgroundStyle",
    "x",
    "y",
    "width",
    "height",
    "fromNode",
    "fromSide",
    "fromEnd",
    "toNode",
    "toSide",
    "toEnd",
];

/// The properties with those of the specification first, the others after them in ascending order.
pub(crate) fn ordered(properties: &Properties) -> impl Iterator<Item = (&str, &Value)> {
    let known = KEY_ORDER.iter().filter_map(|key| properties.get_key_value(*key));
    let others = properties.iter().filter(|(key, _)| !KEY_ORDER.contains(&key.as_str()));
    known.chain(others).map(|(key, value)| (key.as_str(), value))
}

fn write_list(name: &str, elements: &[Element], out: &mut String) {
    write_string(name, out);
    out.push_str(":[");
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str("{\"id\":");
        write_string(&element.id, out);
        for (key, value) in ordered(&element.properties) {
            out.push(',');
            write_member(key, value, out);
        }
        out.push('}');
    }
    out.push(']');
}

fn write_member(key: &str, value: &Value, out: &mut String) {
    write_string(key, out);
    out.push(':');
    value.write_json(out);
}
