//! From a patch to what is to be written.

use std::collections::BTreeMap;

use crate::canvas::held::Held;
use crate::canvas::model::{Element, ElementKind};
use crate::canvas::order;
use crate::canvas::patch::{CanvasPatch, ElementsPatch};
use crate::canvas::plan::{Batch, Write};
use crate::canvas::text;
use crate::canvas::update::{create, delete_hidden_edges, index};
use crate::canvas::value::Value;
use crate::canvas::view::{Entry, TEXT, View};

/// Decides what a patch writes, at present.
pub(crate) fn plan(view: &View, held: &Held, patch: &CanvasPatch) -> Batch {
    let mut batch = Batch::default();
    let edges = index(&patch.edges.upsert);
    for (kind, part) in [(ElementKind::Node, &patch.nodes), (ElementKind::Edge, &patch.edges)] {
        let mut added = Vec::new();
        for element in &part.upsert {
            match view.side(kind).get(&element.id) {
                Some(entry) if entry.tag.is_some() => change(kind, element, entry, held, &mut batch),
                former => {
                    create(kind, &without_nulls(element), former, &mut batch);
                    added.push(&element.id);
                    if kind == ElementKind::Node {
                        delete_hidden_edges(view, &element.id, &edges, &mut batch);
                    }
                }
            }
        }
        append(view, kind, &added, &mut batch);
        remove(view, kind, part, patch, &mut batch);
    }
    for (property, value) in &patch.properties {
        let value = Some(value.clone()).filter(|value| *value != Value::Null);
        if view.properties.get(property) != value.as_ref() {
            let (kind, id, property) = (ElementKind::Canvas, String::new(), property.clone());
            batch.push(Write::Property {
                kind,
                id,
                property,
                value,
            });
        }
    }
    batch
}

fn without_nulls(element: &Element) -> Element {
    let kept = element.properties.iter().filter(|(_, value)| **value != Value::Null);
    Element {
        id: element.id.clone(),
        properties: kept.map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

/// Sets what the patch names of an element that exists.
fn change(kind: ElementKind, element: &Element, entry: &Entry, held: &Held, batch: &mut Batch) {
    for (property, value) in &element.properties {
        let value = Some(value).filter(|value| **value != Value::Null);
        let current = entry.properties.get(property);
        if current == value {
            continue;
        }
        match (kind, property.as_str(), value) {
            (ElementKind::Node, TEXT, Some(Value::String(new))) => {
                batch.push(match (&entry.text, current) {
                    (Some(object), Some(Value::String(current))) => Write::Text {
                        object: object.clone(),
                        text: merged(held.text(&element.id), new, current),
                    },
                    _ => Write::NewText {
                        id: element.id.clone(),
                        text: new.clone(),
                    },
                });
                batch.keep_alive(kind, &element.id);
            }
            _ => {
                let (id, property, value) = (element.id.clone(), property.clone(), value.cloned());
                batch.push(Write::Property {
                    kind,
                    id,
                    property,
                    value,
                });
            }
        }
    }
}

/// A text is an edit of the one that it differs from least: what the application last had, or the present one.
fn merged(had: Option<&str>, new: &str, current: &str) -> String {
    match had {
        Some(had) if text::difference(had, new) < text::difference(current, new) => text::merge(had, new, current),
        _ => new.to_owned(),
    }
}

/// Gives new elements their places, on top of all others.
fn append(view: &View, kind: ElementKind, added: &[&String], batch: &mut Batch) {
    if added.is_empty() {
        return;
    }
    let side = view.side(kind);
    let keys: BTreeMap<String, order::OrderKey> = match order::after(side.last_key().as_ref(), added.len()) {
        Some(keys) => added.iter().map(|id| (*id).clone()).zip(keys).collect(),
        None => {
            // The keys have grown too long: their neighbours get new ones too.
            let all: Vec<_> = side
                .places()
                .chain(added.iter().map(|id| (id.as_str(), None)))
                .collect();
            let places: Vec<_> = all
                .iter()
                .enumerate()
                .map(|(place, (_, key))| key.map(|_| place))
                .collect();
            let key = |place: usize| all.get(place).and_then(|(_, key)| key.cloned()).unwrap_or_default();
            let arranged = order::arrange(&places, key);
            let named = arranged
                .into_iter()
                .filter_map(|(place, key)| Some((all.get(place)?.0.to_owned(), key)));
            named.collect()
        }
    };
    for (id, key) in keys {
        batch.push(Write::Order { kind, id, key });
    }
}

/// Removes what the patch names; an edge that goes with its node is not deleted, and comes back with it.
fn remove(view: &View, kind: ElementKind, part: &ElementsPatch, patch: &CanvasPatch, batch: &mut Batch) {
    for id in &part.remove {
        let Some(entry) = view.side(kind).get(id).filter(|entry| entry.tag.is_some()) else {
            continue;
        };
        let goes_with_a_node =
            kind == ElementKind::Edge && entry.endpoints().any(|node| patch.nodes.remove.contains(node));
        if !goes_with_a_node {
            batch.push(Write::Delete { kind, id: id.clone() });
        }
    }
}
