//! From a patch to what is to be written.

use crate::canvas::create::{create, delete_hidden_edges};
use crate::canvas::model::{Element, ElementKind};
use crate::canvas::order::{self, OrderKey};
use crate::canvas::patch::{CanvasPatch, ElementsPatch};
use crate::canvas::plan::{Batch, Write};
use crate::canvas::seen::Known;
use crate::canvas::side::{Entry, TEXT};
use crate::canvas::update::index;
use crate::canvas::value::Value;
use crate::canvas::view::View;

/// Decides what a patch writes, at present.
pub(crate) fn plan(view: &View, known: &Known<'_>, patch: &CanvasPatch) -> Batch {
    let mut batch = Batch::default();
    let edges = index(&patch.edges.upsert);
    for (kind, part) in [(ElementKind::Node, &patch.nodes), (ElementKind::Edge, &patch.edges)] {
        let mut added = Vec::new();
        for element in &part.upsert {
            match view.side(kind).get(&element.id) {
                Some(entry) if view.side(kind).is_visible(&element.id) => {
                    change(kind, element, entry, known, &mut batch);
                }
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
            batch.push(Write::Property { kind, id, property, value });
        }
    }
    batch
}

fn without_nulls(element: &Element) -> Element {
    let kept = element.properties.iter().filter(|(_, value)| **value != Value::Null);
    Element { id: element.id.clone(), properties: kept.map(|(key, value)| (key.clone(), value.clone())).collect() }
}

/// Sets what the patch names of an element that exists.
fn change(kind: ElementKind, element: &Element, entry: &Entry, known: &Known<'_>, batch: &mut Batch) {
    for (property, value) in &element.properties {
        let value = Some(value).filter(|value| **value != Value::Null);
        let current = entry.properties.get(property);
        if let (ElementKind::Node, TEXT, Some(Value::String(new))) = (kind, property.as_str(), value) {
            let write = match (&entry.text, current) {
                (Some(object), Some(Value::String(current))) => {
                    // Two people may have typed the same.
                    let text = known.merged(&element.id, new, current);
                    (text != *current).then(|| Write::Text { object: object.clone(), text })
                }
                (_, current) if current == value => None,
                _ => Some(Write::NewText { id: element.id.clone(), text: new.clone() }),
            };
            if let Some(write) = write {
                batch.push(write);
                batch.keep_alive(kind, &element.id);
            }
        } else if current != value {
            let (id, property, value) = (element.id.clone(), property.clone(), value.cloned());
            batch.push(Write::Property { kind, id, property, value });
        }
    }
}

/// Gives new elements their places, on top of all others.
fn append(view: &View, kind: ElementKind, added: &[&String], batch: &mut Batch) {
    if added.is_empty() {
        return;
    }
    let side = view.side(kind);
    if let Some(keys) = order::after(side.last_key(), added.len()) {
        for (id, key) in added.iter().zip(keys) {
            let id = (*id).clone();
            batch.push(Write::Order { kind, id, key });
        }
        return;
    }
    // The keys have grown too long: neighbours get new ones too.
    let new = added.iter().map(|id| (id.as_str(), None));
    let all: Vec<(&str, Option<&OrderKey>)> = side.places().map(|(id, key)| (id, Some(key))).chain(new).collect();
    let places: Vec<_> = (0..).zip(&all).map(|(place, (_, key))| key.map(|_| place)).collect();
    let key_at = |place: usize| all.get(place).and_then(|(_, key)| key.cloned()).unwrap_or_default();
    for (place, key) in order::arrange(&places, key_at) {
        if let Some((id, _)) = all.get(place) {
            let id = (*id).to_owned();
            batch.push(Write::Order { kind, id, key });
        }
    }
}

/// Removes what the patch names; an edge that goes with its node is not deleted, and comes back with it.
fn remove(view: &View, kind: ElementKind, part: &ElementsPatch, patch: &CanvasPatch, batch: &mut Batch) {
    for id in &part.remove {
        let Some(entry) = view.side(kind).get(id).filter(|entry| entry.tag.is_some()) else { continue };
        let goes_with_a_node =
            kind == ElementKind::Edge && entry.endpoints().any(|node| patch.nodes.remove.contains(node));
        if !goes_with_a_node {
            batch.push(Write::Delete { kind, id: id.clone() });
        }
    }
}
