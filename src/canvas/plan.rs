//! What an edit writes: operations on the document's maps, decided before any is carried out.

use std::collections::BTreeSet;

use automerge::ReadDoc;
use automerge::ScalarValue;
use automerge::transaction::{Transactable, Transaction};

use crate::canvas::error::CanvasError;
use crate::canvas::model::ElementKind;
use crate::canvas::order::OrderKey;
use crate::canvas::plain::Put;
use crate::canvas::root::CanvasMap;
use crate::canvas::schema::{Maps, TextId, property_key, text_object};
use crate::canvas::side::TEXT;
use crate::canvas::text;
use crate::canvas::value::Value;
use crate::canvas::view::View;

/// One thing to write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// Set a property, or with `None` remove it. Not for texts that are strings.
    Property { kind: ElementKind, id: String, property: String, value: Option<Value> },
    /// Begin a text, in place of whatever stands there.
    NewText { id: String, text: String },
    /// Make a Text object contain this.
    Text { object: TextId, text: String },
    /// Give an element its place.
    Order { kind: ElementKind, id: String, key: OrderKey },
    /// Delete an element.
    Delete { kind: ElementKind, id: String },
}

impl Write {
    /// As a put, if it is one.
    fn as_put(&self) -> Option<Put> {
        match self {
            Self::Property { kind, id, property, value: Some(value) } => {
                let (map, key) = property_place(*kind, id, property);
                Some((map.number(&key), key, value.to_scalar()))
            }
            Self::Order { kind, id, key } => {
                Some((order_map(*kind).number(id), id.clone(), ScalarValue::Bytes(key.clone())))
            }
            _ => None,
        }
    }

    fn as_first(&self) -> First<'_> {
        match self {
            Self::NewText { id, text } => First::Text(CanvasMap::Texts.number(id), id, text),
            other => other.as_put().map_or(First::Other, First::Put),
        }
    }
}

/// What is written to a key at which nothing stands.
pub(crate) enum First<'a> {
    /// A value.
    Put(Put),
    /// A text: map, key and characters.
    Text(usize, &'a str, &'a str),
    /// What presupposes something.
    Other,
}

/// Operations for one transaction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    writes: Vec<Write>,
    /// Elements to be given a fresh tag: they come alive, or stay so against a concurrent deletion.
    alive: BTreeSet<(ElementKind, String)>,
    /// Something other than moves is among the writes.
    content: bool,
}

/// The properties that a mere move changes.
const GEOMETRY: [&str; 4] = ["x", "y", "width", "height"];

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.alive.is_empty()
    }

    /// Whether anything but moves is written.
    pub(crate) fn has_content(&self) -> bool {
        self.content || !self.alive.is_empty()
    }

    /// Adds a write; an edit of an element's content keeps or makes the element alive.
    pub(crate) fn push(&mut self, write: Write) {
        match &write {
            Write::Property { kind: ElementKind::Node, property, .. } if GEOMETRY.contains(&property.as_str()) => {}
            Write::Property { kind: ElementKind::Canvas, .. } | Write::Delete { .. } | Write::Text { .. } => {
                self.content = true;
            }
            Write::Property { kind, id, .. } => self.keep_alive(*kind, id),
            Write::NewText { id, .. } => self.keep_alive(ElementKind::Node, id),
            Write::Order { .. } => {}
        }
        self.writes.push(write);
    }

    /// Gives the element a fresh tag.
    pub(crate) fn keep_alive(&mut self, kind: ElementKind, id: &str) {
        self.alive.insert((kind, id.to_owned()));
    }

    /// The batch as puts, if it is nothing else; the view is of the present.
    pub(crate) fn as_puts(&self, view: &View) -> Option<Vec<Put>> {
        let tag = |(kind, id): &(ElementKind, String)| {
            put_tag(*kind, id, view.side(*kind).get(id).and_then(|entry| entry.tag))
        };
        let writes: Option<Vec<Put>> = self.writes.iter().map(Write::as_put).collect();
        Some(writes?.into_iter().chain(self.alive.iter().map(tag)).collect())
    }

    /// What the batch writes where nothing stands yet, in the order in which [`write`](Self::write) does.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = First<'_>> {
        let tag = |(kind, id): &(ElementKind, String)| First::Put(put_tag(*kind, id, None));
        self.writes.iter().map(Write::as_first).chain(self.alive.iter().map(tag))
    }

    /// How many operations the batch makes at least: each character counts.
    pub(crate) fn operations(&self) -> usize {
        let of = |write: &Write| match write {
            Write::NewText { text, .. } => 1 + text.chars().count(),
            _ => 1,
        };
        self.alive.len() + self.writes.iter().map(of).sum::<usize>()
    }

    /// Adds all of another batch.
    pub(crate) fn append(&mut self, other: Self) {
        self.writes.extend(other.writes);
        self.alive.extend(other.alive);
        self.content |= other.content;
    }

    /// Carries the batch out.
    pub(crate) fn write(&self, tx: &mut Transaction<'_>, maps: &Maps) -> Result<(), CanvasError> {
        for write in &self.writes {
            carry_out(write, tx, maps)?;
        }
        for (kind, id) in &self.alive {
            let map = maps.id(live_map(*kind).number(id));
            let tag = tx.get(map, id.as_str())?.and_then(|(value, _)| value.as_u64());
            tx.put(map, id.as_str(), next_tag(tag))?;
        }
        Ok(())
    }
}

fn put_tag(kind: ElementKind, id: &str, tag: Option<u64>) -> Put {
    (live_map(kind).number(id), id.to_owned(), ScalarValue::Uint(next_tag(tag)))
}

/// A tag unlike the one that stands there.
fn next_tag(tag: Option<u64>) -> u64 {
    tag.map_or(1, |tag| tag.saturating_add(1))
}

/// Which map says what exists.
pub(crate) fn live_map(kind: ElementKind) -> CanvasMap {
    if kind == ElementKind::Edge { CanvasMap::LiveEdges } else { CanvasMap::LiveNodes }
}

/// Which map says where an element is.
pub(crate) fn order_map(kind: ElementKind) -> CanvasMap {
    if kind == ElementKind::Edge { CanvasMap::EdgeOrder } else { CanvasMap::NodeOrder }
}

/// Where a property stands.
pub(crate) fn property_place(kind: ElementKind, id: &str, property: &str) -> (CanvasMap, String) {
    match kind {
        ElementKind::Node if property == TEXT => (CanvasMap::Texts, id.to_owned()),
        ElementKind::Node => (CanvasMap::Nodes, property_key(id, property)),
        ElementKind::Edge => (CanvasMap::Edges, property_key(id, property)),
        ElementKind::Canvas => (CanvasMap::Properties, property.to_owned()),
    }
}

fn carry_out(write: &Write, tx: &mut Transaction<'_>, maps: &Maps) -> Result<(), CanvasError> {
    match write {
        Write::Property { kind, id, property, value } => {
            let (map, key) = property_place(*kind, id, property);
            match value {
                Some(value) => tx.put(maps.id(map.number(&key)), key, value.to_scalar())?,
                None => remove(tx, maps, map, &key)?,
            }
        }
        Write::NewText { id, text } => {
            let object = tx.put_object(maps.id(CanvasMap::Texts.number(id)), id.as_str(), automerge::ObjType::Text)?;
            tx.splice_text(&object, 0, 0, text)?;
        }
        Write::Text { object, text } => text::write(tx, &text_object(object), text)?,
        Write::Order { kind, id, key } => tx.put(maps.id(order_map(*kind).number(id)), id.as_str(), key.clone())?,
        Write::Delete { kind, id } => remove(tx, maps, live_map(*kind), id)?,
    }
    Ok(())
}

fn remove(tx: &mut Transaction<'_>, maps: &Maps, map: CanvasMap, key: &str) -> Result<(), CanvasError> {
    let map = maps.id(map.number(key));
    if tx.get(map, key)?.is_some() {
        tx.delete(map, key)?;
    }
    Ok(())
}
