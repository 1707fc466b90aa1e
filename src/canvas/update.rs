//! From "what the application had" and "what it passes now" to what is to be written, and at which version.

use std::collections::{BTreeMap, BTreeSet};

use automerge::ChangeHash;

use crate::canvas::create::{create, delete_hidden_edges, upsert};
use crate::canvas::model::{Canvas, Element, ElementKind, Properties};
use crate::canvas::order;
use crate::canvas::plan::{Batch, Write, live_map, order_map, property_place};
use crate::canvas::reader::{Reader, Stands};
use crate::canvas::root::CanvasMap;
use crate::canvas::side::{Entry, TEXT};
use crate::canvas::text;
use crate::canvas::value::Value;
use crate::canvas::view::View;
use crate::ids::Heads;

/// Elements whose state the application knows from after the base version, with the version at which it knows them.
pub(crate) type Ahead = BTreeMap<(ElementKind, String), Vec<ChangeHash>>;

/// What an update is a difference from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Basis {
    /// The version that was named, or that the application had.
    pub(crate) version: Heads,
    /// The version at which the difference is applied: that one, or the last own update made from it.
    pub(crate) heads: Vec<ChangeHash>,
    /// What the application had.
    pub(crate) canvas: Canvas,
    /// Where that is newer than the version.
    pub(crate) ahead: Ahead,
}

/// An update as two transactions: most of it at the base, where positions and absences mean what the author saw, the
/// rest at the present.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// To be written at the base version.
    pub(crate) base: Batch,
    /// To be written at the present.
    pub(crate) present: Batch,
    /// The elements that only the second holds as they were passed.
    pub(crate) ahead: BTreeSet<(ElementKind, String)>,
}

/// Decides what an update writes.
pub(crate) struct Planner<'a> {
    pub(crate) view: &'a View,
    pub(crate) base: Reader<'a>,
    pub(crate) basis: &'a Basis,
    pub(crate) plan: Plan,
}

/// Elements by id, with their places.
pub(crate) type Index<'a> = BTreeMap<&'a str, (usize, &'a Element)>;

/// Finds elements by id.
pub(crate) fn index(elements: &[Element]) -> Index<'_> {
    elements.iter().enumerate().map(|(place, element)| (element.id.as_str(), (place, element))).collect()
}

impl<'a> Planner<'a> {
    /// Plans the difference between the basis and what is passed now.
    pub(crate) fn plan(mut self, passed: &Canvas) -> Plan {
        let had = &self.basis.canvas;
        self.properties(ElementKind::Canvas, "", &had.properties, &passed.properties, true);
        let (nodes, edges) = (index(&passed.nodes), index(&passed.edges));
        let had_nodes = index(&had.nodes);
        for (kind, had, now) in
            [(ElementKind::Node, &had.nodes, &passed.nodes), (ElementKind::Edge, &had.edges, &passed.edges)]
        {
            let had_index = index(had);
            for element in now {
                match had_index.get(element.id.as_str()) {
                    Some((_, before)) if before.properties == element.properties => {}
                    Some((_, before)) => self.changed(kind, before, element),
                    None => self.added(kind, element, &edges),
                }
            }
            let now_index = if kind == ElementKind::Node { &nodes } else { &edges };
            for element in had.iter().filter(|element| !now_index.contains_key(element.id.as_str())) {
                if kind == ElementKind::Node || !goes_with_a_node(element, &had_nodes, &nodes) {
                    self.removed(kind, &element.id);
                }
            }
            self.order(kind, &had_index, now);
        }
        self.plan
    }

    fn entry(&self, kind: ElementKind, id: &str) -> Option<&'a Entry> {
        self.view.side(kind).get(id)
    }

    fn lives_at_base(&self, kind: ElementKind, id: &str) -> bool {
        self.base.stands(live_map(kind), id) != Stands::Nothing
    }

    /// Properties that differ; `here` says whether the element existed at the base, and whether it does at present.
    fn properties(&mut self, kind: ElementKind, id: &str, had: &Properties, now: &Properties, at_base: bool) {
        let present = match kind {
            ElementKind::Canvas => Some(&self.view.properties),
            _ => self.entry(kind, id).filter(|entry| entry.tag.is_some()).map(|entry| &entry.properties),
        };
        let names: BTreeSet<&String> = had.keys().chain(now.keys()).collect();
        let mut writes = Vec::new();
        for property in names {
            let (before, after) = (had.get(property), now.get(property));
            if before == after || present.is_some_and(|present| present.get(property) == after) {
                continue;
            }
            if kind == ElementKind::Node && property == TEXT && matches!(after, Some(Value::String(_))) {
                continue; // Texts are planned apart.
            }
            let (map, key) = property_place(kind, id, property);
            let seen = at_base && self.base.stands(map, &key).is(before);
            let write = Write::Property { kind, id: id.to_owned(), property: property.clone(), value: after.cloned() };
            writes.push((seen, write));
        }
        for (seen, write) in writes {
            if seen {
                self.plan.base.push(write);
            } else {
                self.at_present(kind, id, write);
            }
        }
    }

    fn at_present(&mut self, kind: ElementKind, id: &str, write: Write) {
        self.plan.ahead.insert((kind, id.to_owned()));
        self.plan.present.push(write);
    }

    /// An element that the application had and has changed.
    fn changed(&mut self, kind: ElementKind, before: &Element, now: &Element) {
        let at_base = self.lives_at_base(kind, &now.id);
        self.properties(kind, &now.id, &before.properties, &now.properties, at_base);
        if kind == ElementKind::Node
            && let Some(Value::String(text)) = now.properties.get(TEXT)
        {
            match before.properties.get(TEXT) {
                Some(Value::String(had)) if had == text => {}
                Some(Value::String(had)) => self.edited_text(&now.id, had, text, at_base),
                other => self.new_text(&now.id, other, text, at_base),
            }
        }
    }

    fn edited_text(&mut self, id: &str, had: &str, text: &str, at_base: bool) {
        let entry = self.entry(ElementKind::Node, id);
        let alive = entry.is_some_and(|entry| entry.tag.is_some());
        let current = entry.and_then(|entry| match (&entry.text, entry.properties.get(TEXT)) {
            (Some(object), Some(Value::String(current))) => Some((object.clone(), current.clone())),
            _ => None,
        });
        let Some((object, current)) = current else {
            let write = Write::NewText { id: id.to_owned(), text: text.to_owned() };
            return self.at_present(ElementKind::Node, id, write);
        };
        if alive && current == text {
            return;
        }
        let follows_present = text::difference(&current, text) < text::difference(had, text);
        if !follows_present && at_base && self.base.stands(CanvasMap::Texts, id).is_text(&object, had) {
            self.plan.base.push(Write::Text { object, text: text.to_owned() });
            self.plan.base.keep_alive(ElementKind::Node, id);
        } else {
            let text = if follows_present { text.to_owned() } else { text::merge(had, text, &current) };
            self.at_present(ElementKind::Node, id, Write::Text { object, text });
            self.plan.present.keep_alive(ElementKind::Node, id);
        }
    }

    /// A text where the application had none.
    fn new_text(&mut self, id: &str, had: Option<&Value>, text: &str, at_base: bool) {
        let entry = self.entry(ElementKind::Node, id);
        if let Some((object, Value::String(current))) =
            entry.and_then(|entry| entry.text.clone().zip(entry.properties.get(TEXT).cloned()))
        {
            // Another began one at the same time: both stay.
            if current != text {
                let text = text::merge("", text, &current);
                self.at_present(ElementKind::Node, id, Write::Text { object, text });
                self.plan.present.keep_alive(ElementKind::Node, id);
            }
            return;
        }
        let write = Write::NewText { id: id.to_owned(), text: text.to_owned() };
        if at_base && self.base.stands(CanvasMap::Texts, id).is(had) {
            self.plan.base.push(write);
        } else {
            self.at_present(ElementKind::Node, id, write);
        }
    }

    /// An element that the application did not have.
    fn added(&mut self, kind: ElementKind, element: &Element, edges: &Index<'_>) {
        match self.entry(kind, &element.id) {
            None => create(kind, element, None, &mut self.plan.base),
            Some(entry) if self.view.side(kind).is_visible(&element.id) => {
                self.plan.ahead.insert((kind, element.id.clone()));
                upsert(kind, element, entry, &mut self.plan.present);
            }
            Some(entry) => {
                self.plan.ahead.insert((kind, element.id.clone()));
                create(kind, element, Some(entry), &mut self.plan.present);
                if kind == ElementKind::Node {
                    delete_hidden_edges(self.view, &element.id, edges, &mut self.plan.present);
                }
            }
        }
    }

    /// An element that the application had and has no longer.
    fn removed(&mut self, kind: ElementKind, id: &str) {
        if self.entry(kind, id).is_none_or(|entry| entry.tag.is_none()) {
            return;
        }
        let delete = || Write::Delete { kind, id: id.to_owned() };
        let at_base = self.lives_at_base(kind, id);
        if at_base {
            self.plan.base.push(delete());
        }
        // What keeps it alive at present may be the application's own later edit, or what it has seen of others'.
        match self.basis.ahead.get(&(kind, id.to_owned())) {
            Some(seen) if self.base.has_unseen_tags(live_map(kind), id, seen) => {}
            None if at_base => {}
            _ => self.plan.present.push(delete()),
        }
    }

    fn order(&mut self, kind: ElementKind, had: &Index<'_>, now: &[Element]) {
        let key_now = |element: &Element| {
            // One that another has deleted meanwhile keeps its place: passing it on is no edit of it.
            let has_place = had.contains_key(element.id.as_str()) || self.view.side(kind).is_visible(&element.id);
            let entry = self.entry(kind, &element.id).filter(|_| has_place);
            entry.map(|entry| entry.order.clone().unwrap_or_default())
        };
        let present: Vec<_> = now.iter().map(key_now).collect();
        let placed = present.iter().zip(now).filter_map(|(key, element)| key.as_ref().map(|key| (key, &element.id)));
        let keys = if placed.is_sorted() {
            // In the present order already: only new ones need a place.
            let places: Vec<_> = present.iter().enumerate().map(|(place, key)| key.as_ref().map(|_| place)).collect();
            order::arrange(&places, |place| present.get(place).cloned().flatten().unwrap_or_default())
        } else {
            let places: Vec<_> =
                now.iter().map(|element| had.get(element.id.as_str()).map(|(place, _)| *place)).collect();
            order::arrange(&places, |place| {
                let id = now.get(place).map(|element| element.id.as_str()).unwrap_or_default();
                let at_base = self.base.order_key(order_map(kind), id);
                at_base.or_else(|| present.get(place).cloned().flatten()).unwrap_or_default()
            })
        };
        for (place, key) in keys {
            let Some(element) = now.get(place) else { continue };
            let id = element.id.clone();
            let later = self.plan.ahead.contains(&(kind, id.clone()))
                || (had.contains_key(id.as_str()) && !self.lives_at_base(kind, &id));
            let write = Write::Order { kind, id: id.clone(), key };
            if later {
                self.at_present(kind, &id, write);
            } else {
                self.plan.base.push(write);
            }
        }
    }
}

/// Edges that go because a node does are not deleted: if the node comes back, so do they.
fn goes_with_a_node(edge: &Element, had: &Index<'_>, now: &Index<'_>) -> bool {
    ["fromNode", "toNode"].iter().any(|end| match edge.properties.get(*end) {
        Some(Value::String(node)) => had.contains_key(node.as_str()) && !now.contains_key(node.as_str()),
        _ => false,
    })
}
