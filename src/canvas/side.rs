//! The nodes, or the edges, of a canvas in memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::canvas::changes::{ElementChanges, ElementUpdate, Placement, PropertyChanges};
use crate::canvas::model::{Element, Properties};
use crate::canvas::order::OrderKey;
use crate::canvas::schema::TextId;
use crate::canvas::value::Value;

/// The property that is kept as a Text object of its own.
pub(crate) const TEXT: &str = "text";

/// All that a document holds of one node or edge, whether it is alive or not.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entry {
    /// A node's text among them.
    pub(crate) properties: Properties,
    /// Absent only while a concurrent creator's is on its way.
    pub(crate) order: Option<OrderKey>,
    /// Its tag in `liveNodes` or `liveEdges`, if it exists.
    pub(crate) tag: Option<u64>,
    /// The Text object that the text is read from.
    pub(crate) text: Option<TextId>,
}

impl Entry {
    /// Whether the document says anything at all of the element.
    fn is_known(&self) -> bool {
        self.tag.is_some() || self.order.is_some() || !self.properties.is_empty()
    }

    /// Itself and its properties.
    fn held(&self) -> usize {
        1 + self.properties.len()
    }

    fn key(&self) -> OrderKey {
        self.order.clone().unwrap_or_default()
    }

    /// The nodes that an edge connects.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &String> {
        ["fromNode", "toNode"].into_iter().filter_map(|end| match self.properties.get(end) {
            Some(Value::String(node)) => Some(node),
            _ => None,
        })
    }
}

/// Nodes, or edges.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Side {
    entries: BTreeMap<String, Entry>,
    /// What applications see, in its order.
    visible: BTreeSet<(OrderKey, String)>,
    /// How many elements and properties there are, but for those that were taken out.
    held: usize,
}

/// What was visible of an element before a change.
pub(crate) type Before = Option<(OrderKey, Properties)>;

impl Side {
    /// What the document holds of an element.
    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// How many elements applications see.
    pub(crate) fn count(&self) -> usize {
        self.visible.len()
    }

    /// How many elements and properties the document holds, deleted ones included.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The key of the last visible element.
    pub(crate) fn last_key(&self) -> Option<&OrderKey> {
        self.visible.last().map(|(key, _)| key)
    }

    /// The visible elements in order, with their keys.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&str, &OrderKey)> {
        self.visible.iter().map(|(key, id)| (id.as_str(), key))
    }

    /// The visible elements in order.
    pub(crate) fn elements(&self) -> Vec<Element> {
        let properties = |id: &String| self.entries.get(id).map(|entry| entry.properties.clone());
        let element = |id: &String| Element { id: id.clone(), properties: properties(id).unwrap_or_default() };
        self.visible.iter().map(|(_, id)| element(id)).collect()
    }

    /// Whether applications see the element: it is alive and, as an edge, not hidden.
    pub(crate) fn is_visible(&self, id: &str) -> bool {
        self.entries.get(id).is_some_and(|entry| self.visible.contains(&(entry.key(), id.to_owned())))
    }

    /// The ids of all elements of which the document holds anything.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// The entry of an element, to be written to between [`take_out`](Self::take_out) and
    /// [`put_back`](Self::put_back).
    pub(crate) fn entry(&mut self, id: &str) -> &mut Entry {
        self.entries.entry(id.to_owned()).or_default()
    }

    /// Takes an element out of the order, and returns what was visible of it.
    pub(crate) fn take_out(&mut self, id: &str) -> Before {
        let entry = self.entries.get(id)?;
        let place = (entry.key(), id.to_owned());
        self.held = self.held.saturating_sub(entry.held());
        self.visible.remove(&place).then(|| (place.0, entry.properties.clone()))
    }

    /// Puts an element into the order if it is visible, and forgets one of which nothing is left.
    pub(crate) fn put_back(&mut self, id: &str, visible: bool) {
        let Some(entry) = self.entries.get(id) else { return };
        if visible {
            self.visible.insert((entry.key(), id.to_owned()));
        } else if !entry.is_known() {
            self.entries.remove(id);
            return;
        }
        self.held += self.entries.get(id).map_or(0, Entry::held);
    }

    /// Compares what was visible before with what is now.
    pub(crate) fn changes(&self, before: BTreeMap<String, Before>) -> ElementChanges {
        let mut changes = ElementChanges::default();
        let mut placed = BTreeSet::new();
        for (id, before) in before {
            let entry = self.entries.get(&id);
            let now = entry.filter(|_| self.is_visible(&id));
            match (before, now) {
                (None, None) => {}
                (Some(_), None) => changes.removed.push(id),
                (None, Some(entry)) => {
                    placed.insert((entry.key(), id.clone()));
                    changes.added.push(Element { id, properties: entry.properties.clone() });
                }
                (Some((key, properties)), Some(entry)) => {
                    if key != entry.key() {
                        placed.insert((entry.key(), id.clone()));
                    }
                    let properties = PropertyChanges::between(&properties, &entry.properties);
                    if !properties.is_empty() {
                        changes.updated.push(ElementUpdate { id, properties });
                    }
                }
            }
        }
        changes.order = placed.into_iter().map(|place| self.placement(place)).collect();
        changes
    }

    /// How it differs from nothing at all.
    pub(crate) fn as_new(&self) -> ElementChanges {
        let mut after = None;
        let placement = |(_, id): &(OrderKey, String)| Placement { id: id.clone(), after: after.replace(id.clone()) };
        let order = self.visible.iter().map(placement).collect();
        let mut added = self.elements();
        added.sort_unstable_by(|before, after| before.id.cmp(&after.id));
        ElementChanges { added, order, ..ElementChanges::default() }
    }

    fn placement(&self, place: (OrderKey, String)) -> Placement {
        let after = self.visible.range(..&place).next_back().map(|(_, id)| id.clone());
        Placement { id: place.1, after }
    }
}
