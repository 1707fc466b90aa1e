//! What an application changes in its own copy of a canvas.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::canvas::{Canvas, CanvasPatch, Element, ElementsPatch, Properties, Value};

/// A change that an application makes to its own copy of the canvas. Numbers choose among what there is.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    AddNode(u8),
    RemoveNode(u8),
    Move(u8, i64),
    Colour(u8, u8),
    Uncolour(u8),
    Type(u8, usize, String),
    Cut(u8, usize, usize),
    DropText(u8),
    Raise(u8),
    Lower(u8),
    AddEdge(u8, u8, u8),
    RemoveEdge(u8),
    Title(u8),
}

pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let any = || 0..6_u8;
    prop_oneof![
        3 => any().prop_map(Mutation::AddNode),
        2 => any().prop_map(Mutation::RemoveNode),
        3 => (any(), -9..9_i64).prop_map(|(node, x)| Mutation::Move(node, x)),
        2 => (any(), 0..3_u8).prop_map(|(node, colour)| Mutation::Colour(node, colour)),
        1 => any().prop_map(Mutation::Uncolour),
        4 => (any(), 0..20_usize, "[a-z ]{1,4}").prop_map(|(node, at, text)| Mutation::Type(node, at, text)),
        2 => (any(), 0..20_usize, 1..4_usize).prop_map(|(node, at, length)| Mutation::Cut(node, at, length)),
        1 => any().prop_map(Mutation::DropText),
        2 => any().prop_map(Mutation::Raise),
        2 => any().prop_map(Mutation::Lower),
        3 => (any(), any(), any()).prop_map(|(edge, from, to)| Mutation::AddEdge(edge, from, to)),
        1 => any().prop_map(Mutation::RemoveEdge),
        1 => any().prop_map(Mutation::Title),
    ]
}

pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    prop::collection::vec(mutation(), 1..4)
}

fn find(elements: &mut [Element], number: u8) -> Option<&mut Element> {
    let index = usize::from(number).checked_rem(elements.len())?;
    elements.get_mut(index)
}

impl Mutation {
    pub(crate) fn apply_to(&self, canvas: &mut Canvas) {
        let set = |element: &mut Element, key: &str, value| element.properties.insert(key.to_owned(), value);
        match self {
            Self::AddNode(number) => {
                let id = format!("n{number}");
                if canvas.nodes.iter().all(|node| node.id != id) {
                    let properties = Properties::from([("x".to_owned(), Value::Int(i64::from(*number)))]);
                    canvas.nodes.insert(usize::from(*number) % (canvas.nodes.len() + 1), Element { id, properties });
                }
            }
            Self::RemoveNode(number) => {
                if let Some(id) = find(&mut canvas.nodes, *number).map(|node| node.id.clone()) {
                    canvas.nodes.retain(|node| node.id != id);
                    canvas.edges.retain(|edge| edge.properties.values().all(|end| *end != Value::String(id.clone())));
                }
            }
            Self::Move(number, x) => {
                find(&mut canvas.nodes, *number).map(|node| set(node, "x", Value::Int(*x)));
            }
            Self::Colour(number, colour) => {
                find(&mut canvas.nodes, *number).map(|node| set(node, "color", Value::Int(i64::from(*colour))));
            }
            Self::Uncolour(number) => {
                find(&mut canvas.nodes, *number).map(|node| node.properties.remove("color"));
            }
            Self::DropText(number) => {
                find(&mut canvas.nodes, *number).map(|node| node.properties.remove("text"));
            }
            Self::Type(number, at, typed) => edit_text(canvas, *number, |text| {
                let at = (*at).min(text.len());
                text.insert_str(at, typed);
            }),
            Self::Cut(number, at, length) => edit_text(canvas, *number, |text| {
                let at = (*at).min(text.len());
                text.drain(at..(at + length).min(text.len()));
            }),
            Self::Raise(number) => {
                if let Some(index) = usize::from(*number).checked_rem(canvas.nodes.len()) {
                    let node = canvas.nodes.remove(index);
                    canvas.nodes.push(node);
                }
            }
            Self::Lower(number) => {
                if let Some(index) = usize::from(*number).checked_rem(canvas.nodes.len()) {
                    canvas.nodes[..=index].rotate_right(1);
                }
            }
            Self::AddEdge(number, from, to) => {
                let id = format!("e{number}");
                let end =
                    |canvas: &mut Canvas, end| find(&mut canvas.nodes, end).map(|node| Value::String(node.id.clone()));
                let ends = end(canvas, *from).zip(end(canvas, *to));
                if let Some((from, to)) = ends.filter(|_| canvas.edges.iter().all(|edge| edge.id != id)) {
                    let properties = Properties::from([("fromNode".to_owned(), from), ("toNode".to_owned(), to)]);
                    canvas.edges.push(Element { id, properties });
                }
            }
            Self::RemoveEdge(number) => {
                if let Some(id) = find(&mut canvas.edges, *number).map(|edge| edge.id.clone()) {
                    canvas.edges.retain(|edge| edge.id != id);
                }
            }
            Self::Title(number) => {
                canvas.properties.insert("title".to_owned(), Value::Int(i64::from(*number)));
            }
        }
    }
}

fn edit_text(canvas: &mut Canvas, number: u8, edit: impl FnOnce(&mut String)) {
    let Some(node) = find(&mut canvas.nodes, number) else { return };
    let text = node.properties.entry("text".to_owned()).or_insert_with(|| Value::String(String::new()));
    if let Value::String(text) = text {
        edit(text);
    }
}

/// The patch that leads from one canvas to another, order aside.
pub(crate) fn patch_between(before: &Canvas, after: &Canvas) -> CanvasPatch {
    let part = |before: &[Element], after: &[Element]| {
        let old = |id: &str| before.iter().find(|element| element.id == id);
        let changed = |element: &Element| {
            let none = Properties::new();
            let old = old(&element.id).map_or(&none, |old| &old.properties);
            let mut properties: Properties =
                element.properties.iter().filter(|(key, value)| old.get(*key) != Some(*value)).map(own).collect();
            let removed = old.keys().filter(|key| !element.properties.contains_key(*key));
            properties.extend(removed.map(|key| (key.clone(), Value::Null)));
            Element { id: element.id.clone(), properties }
        };
        let upsert = after.iter().filter(|element| old(&element.id) != Some(*element)).map(changed).collect();
        let gone = before.iter().filter(|element| after.iter().all(|other| other.id != element.id));
        ElementsPatch { upsert, remove: gone.map(|element| element.id.clone()).collect() }
    };
    let properties = after.properties.iter().filter(|(key, value)| before.properties.get(*key) != Some(*value));
    CanvasPatch {
        nodes: part(&before.nodes, &after.nodes),
        edges: part(&before.edges, &after.edges),
        properties: properties.map(own).collect(),
    }
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

pub(crate) fn ids(elements: &[Element]) -> BTreeSet<&str> {
    elements.iter().map(|element| element.id.as_str()).collect()
}
