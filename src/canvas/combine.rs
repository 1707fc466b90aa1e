//! Several changes of a canvas, one after the other, as one.

use std::collections::{BTreeMap, BTreeSet};

use crate::canvas::changes::{CanvasChanges, ElementChanges, ElementUpdate, Placement, PropertyChanges};
use crate::canvas::model::Element;

/// Changes made of several; applied, they do what those do one after the other. What is added costs no more, however much
/// there is already.
#[derive(Debug, Default)]
pub struct CombinedChanges {
    nodes: Elements,
    edges: Elements,
    properties: PropertyChanges,
}

#[derive(Debug, Default)]
struct Elements {
    added: BTreeMap<String, Element>,
    updated: BTreeMap<String, PropertyChanges>,
    removed: BTreeSet<String>,
    order: Vec<Placement>,
    /// All ids in `order`.
    placed: BTreeSet<String>,
}

impl CombinedChanges {
    /// Adds what happened next. Refused, and given back, where the result cannot be told without the canvas: each place is
    /// told by what is before it, which may have moved or gone since.
    ///
    /// # Errors
    /// The changes.
    #[allow(clippy::result_large_err, reason = "they are given back as they were, to be kept")]
    pub fn add(&mut self, next: CanvasChanges) -> Result<(), CanvasChanges> {
        if !(self.nodes.takes(&next.nodes) && self.edges.takes(&next.edges)) {
            return Err(next);
        }
        self.nodes.add(next.nodes);
        self.edges.add(next.edges);
        self.properties.then(next.properties);
        Ok(())
    }

    /// All of them as one.
    #[must_use]
    pub fn changes(&self) -> CanvasChanges {
        CanvasChanges { nodes: self.nodes.changes(), edges: self.edges.changes(), properties: self.properties.clone() }
    }
}

impl From<CanvasChanges> for CombinedChanges {
    fn from(first: CanvasChanges) -> Self {
        let mut combined = Self { properties: first.properties, ..Self::default() };
        combined.nodes.add(first.nodes);
        combined.edges.add(first.edges);
        combined
    }
}

impl Elements {
    fn takes(&self, next: &ElementChanges) -> bool {
        // That it came back as another could not be told from its having been changed.
        if next.added.iter().any(|element| self.removed.contains(&element.id)) {
            return false;
        }
        if self.order.is_empty() || (next.order.is_empty() && next.removed.is_empty()) {
            return true;
        }
        let last = self.order.last().map(|placement| &placement.id);
        let appended = next.order.first().is_none_or(|first| first.after.as_ref() == last);
        let untouched = |id: &String| !self.placed.contains(id);
        appended && next.removed.iter().all(untouched) && next.order.iter().all(|placement| untouched(&placement.id))
    }

    fn add(&mut self, next: ElementChanges) {
        for id in next.removed {
            self.updated.remove(&id);
            self.removed.insert(id);
        }
        self.added.extend(next.added.into_iter().map(|element| (element.id.clone(), element)));
        for ElementUpdate { id, properties } in next.updated {
            match self.added.get_mut(&id) {
                Some(element) => properties.apply_to(&mut element.properties),
                None => self.updated.entry(id).or_default().then(properties),
            }
        }
        let named = |placement: &Placement| [Some(placement.id.clone()), placement.after.clone()];
        self.placed.extend(next.order.iter().flat_map(named).flatten());
        self.order.extend(next.order);
    }

    fn changes(&self) -> ElementChanges {
        let updated = self.updated.iter();
        ElementChanges {
            added: self.added.values().cloned().collect(),
            updated: updated
                .map(|(id, properties)| ElementUpdate { id: id.clone(), properties: properties.clone() })
                .collect(),
            removed: self.removed.iter().cloned().collect(),
            order: self.order.clone(),
        }
    }
}

impl PropertyChanges {
    fn then(&mut self, next: Self) {
        for name in next.removed {
            self.set.remove(&name);
            if !self.removed.contains(&name) {
                self.removed.push(name);
            }
        }
        self.removed.retain(|name| !next.set.contains_key(name));
        self.set.extend(next.set);
    }
}
