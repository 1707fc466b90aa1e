//! A canvas in memory, kept up to date from what each change touched, without walking the document.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{ObjId, ObjType, Value as Stored};

use crate::canvas::changes::{CanvasChanges, PropertyChanges};
use crate::canvas::model::{Canvas, ElementKind, Properties};
use crate::canvas::reader::{Reader, Source, order, tag};
use crate::canvas::root::CanvasMap;
use crate::canvas::schema::{TextId, Touched, split_key, text_id};
use crate::canvas::shown::Shown;
use crate::canvas::side::{Before, Side, TEXT};
use crate::canvas::value::Value;

/// The canvas that a document means.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct View {
    pub(crate) nodes: Side,
    pub(crate) edges: Side,
    pub(crate) properties: Properties,
    /// The edges, alive or not, that name a node as an endpoint.
    incident: BTreeMap<String, BTreeSet<String>>,
    /// Whose text is read from which Text object.
    texts: BTreeMap<TextId, String>,
}

impl View {
    /// Reads a whole document.
    pub(crate) fn read(reader: Reader<'_>) -> Self {
        let mut view = Self::default();
        for map in CanvasMap::ALL {
            for number in map.numbers() {
                reader.for_each(number, |key, found| {
                    if map.number(key) == number {
                        view.take(reader, map, key, found);
                    }
                });
            }
        }
        view.settle_whole();
        view
    }

    /// What a whole document shows.
    pub(crate) fn shown(shown: &Shown<'_>) -> Self {
        let mut view = Self::default();
        for (number, key, stands) in &shown.entries {
            if let Some(map) = CanvasMap::at(*number).filter(|map| map.number(key) == *number) {
                view.take(shown, map, key, Some(stands.found()));
            }
        }
        view.settle_whole();
        view
    }

    fn settle_whole(&mut self) {
        let ids = self.nodes.ids();
        self.settle_all(ElementKind::Node, &ids);
        let ids = self.edges.ids();
        self.settle_all(ElementKind::Edge, &ids);
    }

    /// How many elements and properties the document holds, deleted ones included.
    pub(crate) fn entries(&self) -> usize {
        self.nodes.held() + self.edges.held() + self.properties.len()
    }

    pub(crate) fn side(&self, kind: ElementKind) -> &Side {
        if kind == ElementKind::Edge { &self.edges } else { &self.nodes }
    }

    fn side_mut(&mut self, kind: ElementKind) -> &mut Side {
        if kind == ElementKind::Edge { &mut self.edges } else { &mut self.nodes }
    }

    /// What applications see.
    pub(crate) fn canvas(&self) -> Canvas {
        Canvas { nodes: self.nodes.elements(), edges: self.edges.elements(), properties: self.properties.clone() }
    }

    /// The node whose text is read from the Text object.
    pub(crate) fn owner(&self, text: &TextId) -> Option<&String> {
        self.texts.get(text)
    }

    /// The living edges of a node that are not visible.
    pub(crate) fn hidden_edges<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a String> {
        let edges = self.incident.get(node).into_iter().flatten();
        edges.filter(|id| self.edges.get(id).is_some_and(|edge| edge.tag.is_some()) && !self.edges.is_visible(id))
    }

    /// How it differs from an empty canvas.
    pub(crate) fn as_new(&self) -> CanvasChanges {
        CanvasChanges {
            nodes: self.nodes.as_new(),
            edges: self.edges.as_new(),
            properties: PropertyChanges::between(&Properties::default(), &self.properties),
        }
    }

    /// Reads again what was touched, and says what changed for applications.
    pub(crate) fn refresh(&mut self, source: impl Source, touched: &Touched) -> CanvasChanges {
        let properties_before = touched.keys.iter().any(|(map, _)| CanvasMap::at(*map) == Some(CanvasMap::Properties));
        let properties_before = properties_before.then(|| self.properties.clone());
        let (nodes, edges) = self.affected(touched);
        let nodes = self.before(ElementKind::Node, nodes);
        let edges = self.before(ElementKind::Edge, edges);
        for (map, key) in &touched.keys {
            if let Some(map) = CanvasMap::at(*map) {
                self.take(source, map, key, source.get(map, key));
            }
        }
        for text in &touched.texts {
            self.reread_text(source, text);
        }
        self.settle_all(ElementKind::Node, nodes.keys());
        self.settle_all(ElementKind::Edge, edges.keys());
        CanvasChanges {
            nodes: self.nodes.changes(nodes),
            edges: self.edges.changes(edges),
            properties: properties_before
                .map(|before| PropertyChanges::between(&before, &self.properties))
                .unwrap_or_default(),
        }
    }

    /// The nodes and edges whose appearance can change.
    fn affected(&self, touched: &Touched) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut nodes: BTreeSet<String> = touched.texts.iter().filter_map(|id| self.texts.get(id)).cloned().collect();
        let mut edges = BTreeSet::new();
        for (map, key) in &touched.keys {
            match CanvasMap::at(*map).and_then(|map| map.element(key)) {
                Some((ElementKind::Node, id)) => {
                    // Its edges show or hide with it when it comes, goes, or becomes known.
                    if CanvasMap::at(*map) == Some(CanvasMap::LiveNodes)
                        || self.nodes.get(&id).is_none_or(|node| node.tag.is_none())
                    {
                        edges.extend(self.incident.get(&id).into_iter().flatten().cloned());
                    }
                    nodes.insert(id);
                }
                Some((ElementKind::Edge, id)) => {
                    edges.insert(id);
                }
                _ => {}
            }
        }
        (nodes, edges)
    }

    /// Notes what is visible of the elements, and takes them out of the order, to be put back by `settle`.
    fn before(&mut self, kind: ElementKind, ids: BTreeSet<String>) -> BTreeMap<String, Before> {
        let side = self.side_mut(kind);
        ids.into_iter().map(|id| (id.clone(), side.take_out(&id))).collect()
    }

    /// Takes over what now stands at one key of one map.
    fn take(&mut self, source: impl Source, map: CanvasMap, key: &str, found: Option<(Stored<'_>, ObjId)>) {
        let scalar = found.as_ref().and_then(|(value, _)| match value {
            Stored::Scalar(scalar) => Some(scalar.as_ref()),
            Stored::Object(_) => None,
        });
        match map {
            CanvasMap::Properties => {
                let value = scalar.and_then(Value::from_scalar).filter(|_| key != "nodes" && key != "edges");
                set_or_remove(&mut self.properties, key, value);
            }
            CanvasMap::Nodes | CanvasMap::Edges => {
                let Some((id, property)) = split_key(key) else { return };
                if property == "id" || (map == CanvasMap::Nodes && property == TEXT) {
                    return;
                }
                let value = scalar.and_then(Value::from_scalar);
                if map == CanvasMap::Nodes {
                    set_or_remove(&mut self.nodes.entry(&id).properties, property, value);
                } else {
                    self.take_edge_property(&id, property, value);
                }
            }
            CanvasMap::Texts => self.take_text(source, key, found),
            CanvasMap::LiveNodes => self.nodes.entry(key).tag = found.as_ref().map(|_| tag(scalar)),
            CanvasMap::LiveEdges => self.edges.entry(key).tag = found.as_ref().map(|_| tag(scalar)),
            CanvasMap::NodeOrder => self.nodes.entry(key).order = found.as_ref().map(|_| order(scalar)),
            CanvasMap::EdgeOrder => self.edges.entry(key).order = found.as_ref().map(|_| order(scalar)),
        }
    }

    fn take_edge_property(&mut self, id: &str, property: &str, value: Option<Value>) {
        let edge = self.edges.entry(id);
        let old: BTreeSet<_> = edge.endpoints().cloned().collect();
        set_or_remove(&mut edge.properties, property, value);
        let new: BTreeSet<_> = edge.endpoints().cloned().collect();
        for node in old.difference(&new) {
            if let Some(edges) = self.incident.get_mut(node) {
                edges.remove(id);
                if edges.is_empty() {
                    self.incident.remove(node);
                }
            }
        }
        for node in new.difference(&old) {
            self.incident.entry(node.clone()).or_default().insert(id.to_owned());
        }
    }

    fn take_text(&mut self, source: impl Source, id: &str, found: Option<(Stored<'_>, ObjId)>) {
        let (value, text) = match found {
            Some((Stored::Object(ObjType::Text), object)) => {
                let text = text_id(&object);
                (text.as_ref().and_then(|text| source.text(text)).map(Value::String), text)
            }
            Some((Stored::Scalar(scalar), _)) => (Value::from_scalar(&scalar), None),
            _ => (None, None),
        };
        let node = self.nodes.entry(id);
        set_or_remove(&mut node.properties, TEXT, value);
        if node.text == text {
            return;
        }
        if let Some(old) = std::mem::replace(&mut node.text, text.clone()) {
            self.texts.remove(&old);
        }
        self.texts.extend(text.map(|text| (text, id.to_owned())));
    }

    fn reread_text(&mut self, source: impl Source, text: &TextId) {
        // A Text object that lost to another is nobody's; what is edited in it cannot be seen.
        let Some(id) = self.texts.get(text) else { return };
        if let Some(value) = source.text(text) {
            let node = self.nodes.entry(id);
            node.properties.insert(TEXT.to_owned(), Value::String(value));
        }
    }

    fn settle_all<'a>(&mut self, kind: ElementKind, ids: impl IntoIterator<Item = &'a String>) {
        for id in ids {
            self.settle(kind, id);
        }
    }

    /// Decides whether an element is visible, after all that was touched has been read.
    fn settle(&mut self, kind: ElementKind, id: &str) {
        let Some(entry) = self.side(kind).get(id) else { return };
        let dead = |node: &String| self.nodes.get(node).is_some_and(|node| node.tag.is_none());
        let hidden = kind == ElementKind::Edge && entry.endpoints().any(dead);
        let visible = entry.tag.is_some() && !hidden;
        self.side_mut(kind).put_back(id, visible);
    }
}

fn set_or_remove(properties: &mut Properties, key: &str, value: Option<Value>) {
    match value {
        Some(value) => properties.insert(key.to_owned(), value),
        None => properties.remove(key),
    };
}
