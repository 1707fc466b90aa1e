//! What changed between two states of a canvas, as applications get it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::canvas::model::{Canvas, Element, ElementKind, Properties};
use crate::canvas::value::Value;

/// What changed between two states of one canvas: everything needed to follow without reading it again. Serialises to
/// the `changes` of a `canvas-updated` event; empty parts are omitted.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CanvasChanges {
    /// Among the nodes.
    #[serde(skip_serializing_if = "ElementChanges::is_empty")]
    pub nodes: ElementChanges,
    /// Among the edges that are visible.
    #[serde(skip_serializing_if = "ElementChanges::is_empty")]
    pub edges: ElementChanges,
    /// Among the top-level properties.
    #[serde(skip_serializing_if = "PropertyChanges::is_empty")]
    pub properties: PropertyChanges,
}

/// What changed among the nodes, or among the edges.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ElementChanges {
    /// Elements that were not there before, whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Element>,
    /// Elements that were there before and have changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub updated: Vec<ElementUpdate>,
    /// Ids of elements that are there no longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Where the added and the moved elements are, in ascending order of place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Placement>,
}

/// The new properties of one element.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ElementUpdate {
    /// Which element.
    pub id: String,
    /// The changed properties.
    #[serde(flatten)]
    pub properties: PropertyChanges,
}

/// Changed properties.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PropertyChanges {
    /// New values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: Properties,
    /// Names of properties that are there no longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// The place of one element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// Which element.
    pub id: String,
    /// The element right before it; `None` at the start.
    pub after: Option<String>,
}

/// A concurrent write that lost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conflict {
    /// What the property belongs to.
    pub element: ElementKind,
    /// The id of the node or edge; empty for the canvas.
    pub id: String,
    /// Which property.
    pub property: String,
    /// The value that every peer now has.
    pub winner: Value,
    /// The value that lost.
    pub loser: Value,
}

impl CanvasChanges {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.edges.is_empty() && self.properties.is_empty()
    }

    /// What leads from the empty canvas to this one.
    #[must_use]
    pub fn whole(canvas: Canvas) -> Self {
        let elements = |elements: Vec<Element>| {
            let before = std::iter::once(None).chain(elements.iter().map(|element| Some(element.id.clone())));
            let order = elements.iter().zip(before).map(|(element, after)| Placement { id: element.id.clone(), after });
            ElementChanges { order: order.collect(), added: elements, ..ElementChanges::default() }
        };
        Self {
            nodes: elements(canvas.nodes),
            edges: elements(canvas.edges),
            properties: PropertyChanges { set: canvas.properties, removed: Vec::new() },
        }
    }

    /// Applies the changes to a copy that was equal to the state before.
    pub fn apply_to(&self, canvas: &mut Canvas) {
        self.nodes.apply_to(&mut canvas.nodes);
        self.edges.apply_to(&mut canvas.edges);
        self.properties.apply_to(&mut canvas.properties);
    }
}

impl ElementChanges {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.updated.is_empty() && self.removed.is_empty() && self.order.is_empty()
    }

    fn apply_to(&self, elements: &mut Vec<Element>) {
        let removed: BTreeSet<&str> = self.removed.iter().map(String::as_str).collect();
        let placed: BTreeSet<&str> = self.order.iter().map(|placement| placement.id.as_str()).collect();
        let mut taken: BTreeMap<String, Element> =
            self.added.iter().map(|element| (element.id.clone(), element.clone())).collect();
        let mut rest = Vec::with_capacity(elements.len());
        for element in std::mem::take(elements) {
            if placed.contains(element.id.as_str()) {
                taken.entry(element.id.clone()).or_insert(element);
            } else if !removed.contains(element.id.as_str()) {
                rest.push(element);
            }
        }
        *elements = merge_placed(rest, &self.order, taken);
        let updates: BTreeMap<&str, &PropertyChanges> =
            self.updated.iter().map(|update| (update.id.as_str(), &update.properties)).collect();
        for element in elements {
            if let Some(changes) = updates.get(element.id.as_str()) {
                changes.apply_to(&mut element.properties);
            }
        }
    }
}

/// One pass: as placements ascend, each follows an element already passed or placed.
fn merge_placed(rest: Vec<Element>, order: &[Placement], mut taken: BTreeMap<String, Element>) -> Vec<Element> {
    let mut merged: Vec<Element> = Vec::with_capacity(rest.len() + order.len());
    let mut rest = rest.into_iter();
    for placement in order {
        while merged.last().map(|element| &element.id) != placement.after.as_ref() {
            match rest.next() {
                Some(element) => merged.push(element),
                None => break,
            }
        }
        merged.extend(taken.remove(&placement.id));
    }
    merged.extend(rest);
    merged
}

impl PropertyChanges {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }

    /// What leads from one state to another.
    pub(crate) fn between(before: &Properties, after: &Properties) -> Self {
        Self {
            set: after
                .iter()
                .filter(|(key, value)| before.get(*key) != Some(*value))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            removed: before.keys().filter(|key| !after.contains_key(*key)).cloned().collect(),
        }
    }

    pub(super) fn apply_to(&self, properties: &mut Properties) {
        for key in &self.removed {
            properties.remove(key);
        }
        properties.extend(self.set.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}
