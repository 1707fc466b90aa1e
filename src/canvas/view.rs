//! A canvas in memory, kept up to date from what each change touched, without walking the document.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, ChangeHash, ObjId, ObjType, ReadDoc, ScalarValue, Value as Stored};

use crate::canvas::changes::{CanvasChanges, ElementChanges, ElementUpdate, Placement, PropertyChanges};
use crate::canvas::model::{Canvas, Element, ElementKind, Properties};
use crate::canvas::order::{OrderKey, read_key};
use crate::canvas::root::CanvasMap;
use crate::canvas::schema::{Maps, TextId, Touched, split_key, text_id, text_object};
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

    fn key(&self) -> OrderKey {
        self.order.clone().unwrap_or_default()
    }

    /// The nodes that an edge connects.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &String> {
        ["fromNode", "toNode"]
            .into_iter()
            .filter_map(|end| match self.properties.get(end) {
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
}

impl Side {
    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// How many elements applications see.
    pub(crate) fn count(&self) -> usize {
        self.visible.len()
    }

    /// The key of the last visible element.
    pub(crate) fn last_key(&self) -> Option<&OrderKey> {
        self.visible.last().map(|(key, _)| key)
    }

    /// The visible elements in order, with their keys.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&str, &OrderKey)> {
        self.visible.iter().map(|(key, id)| (id.as_str(), key))
    }

    fn elements(&self) -> Vec<Element> {
        let entry = |id: &String| {
            self.entries
                .get(id)
                .map(|entry| entry.properties.clone())
                .unwrap_or_default()
        };
        self.visible
            .iter()
            .map(|(_, id)| Element {
                id: id.clone(),
                properties: entry(id),
            })
            .collect()
    }

    /// Whether applications see the element: it is alive and, as an edge, not hidden.
    pub(crate) fn is_visible(&self, id: &str) -> bool {
        self.entries
            .get(id)
            .is_some_and(|entry| self.visible.contains(&(entry.key(), id.to_owned())))
    }
}

/// Where values are read: the document at present, or at an older version.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) doc: &'a Automerge,
    pub(crate) maps: &'a Maps,
    pub(crate) heads: Option<&'a [ChangeHash]>,
}

impl<'a> Reader<'a> {
    fn get(&self, map: usize, key: &str) -> Option<(Stored<'a>, ObjId)> {
        let object = self.maps.id(map);
        let found = match self.heads {
            None => self.doc.get(object, key),
            Some(heads) => self.doc.get_at(object, key, heads),
        };
        found.ok().flatten()
    }

    fn text(&self, id: &TextId) -> Option<String> {
        let object = text_object(id);
        match self.heads {
            None => self.doc.text(object),
            Some(heads) => self.doc.text_at(object, heads),
        }
        .ok()
    }

    /// What stands at a key.
    pub(crate) fn stands(&self, map: CanvasMap, key: &str) -> Stands {
        match self.get(map as usize, key) {
            None => Stands::Nothing,
            Some((Stored::Scalar(scalar), _)) => Stands::Scalar(Value::from_scalar(&scalar)),
            Some((Stored::Object(_), object)) => match text_id(&object) {
                Some(id) => self
                    .text(&id)
                    .map_or(Stands::Scalar(None), |text| Stands::Text(id, text)),
                None => Stands::Scalar(None),
            },
        }
    }

    /// The order key that stands at an element's id.
    pub(crate) fn order_key(&self, map: CanvasMap, id: &str) -> Option<OrderKey> {
        match self.get(map as usize, id)? {
            (Stored::Scalar(scalar), _) => Some(order(Some(&scalar))),
            (Stored::Object(_), _) => None,
        }
    }

    /// Whether something keeps an element alive at present that is not known at the version `seen`.
    pub(crate) fn has_unseen_tags(&self, live: CanvasMap, id: &str, seen: &[ChangeHash]) -> bool {
        let object = self.maps.id(live as usize);
        let known = self.doc.get_all_at(object, id, seen).unwrap_or_default();
        let now = self.doc.get_all(object, id).unwrap_or_default();
        now.iter().any(|(_, tag)| known.iter().all(|(_, known)| known != tag))
    }

    fn for_each(&self, map: usize, mut visit: impl FnMut(&str, Option<(Stored<'a>, ObjId)>)) {
        let object = self.maps.id(map);
        let range = match self.heads {
            None => self.doc.map_range(object, ..),
            Some(heads) => self.doc.map_range_at(object, .., heads),
        };
        for item in range {
            let id = item.id();
            visit(&item.key, Some((item.value.into_value(), id)));
        }
    }
}

/// What stands at a key of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stands {
    /// Nothing.
    Nothing,
    /// A scalar; `None` for one that counts as absent.
    Scalar(Option<Value>),
    /// A Text object.
    Text(TextId, String),
}

impl Stands {
    /// Whether it reads as this value.
    pub(crate) fn is(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Nothing | Self::Scalar(None), None) => true,
            (Self::Scalar(Some(stands)), Some(value)) => stands == value,
            (Self::Text(_, stands), Some(Value::String(value))) => stands == value,
            _ => false,
        }
    }

    /// Whether it is this Text object with this content.
    pub(crate) fn is_text(&self, object: &TextId, text: &str) -> bool {
        matches!(self, Self::Text(id, stands) if id == object && stands == text)
    }
}

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

/// What was visible of an element before a change.
type Before = Option<(OrderKey, Properties)>;

impl View {
    /// Reads a whole document.
    pub(crate) fn read(reader: Reader<'_>) -> Self {
        let mut view = Self::default();
        for map in CanvasMap::ALL {
            reader.for_each(map as usize, |key, found| view.take(reader, map, key, found));
        }
        let ids: Vec<_> = view.nodes.entries.keys().cloned().collect();
        view.settle_all(ElementKind::Node, &ids);
        let ids: Vec<_> = view.edges.entries.keys().cloned().collect();
        view.settle_all(ElementKind::Edge, &ids);
        view
    }

    pub(crate) fn side(&self, kind: ElementKind) -> &Side {
        if kind == ElementKind::Edge {
            &self.edges
        } else {
            &self.nodes
        }
    }

    /// What applications see.
    pub(crate) fn canvas(&self) -> Canvas {
        Canvas {
            nodes: self.nodes.elements(),
            edges: self.edges.elements(),
            properties: self.properties.clone(),
        }
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

    /// Reads again what was touched, and says what changed for applications.
    pub(crate) fn refresh(&mut self, reader: Reader<'_>, touched: &Touched) -> CanvasChanges {
        let properties_before = touched
            .keys
            .iter()
            .any(|(map, _)| *map == CanvasMap::Properties as usize);
        let properties_before = properties_before.then(|| self.properties.clone());
        let (nodes, edges) = self.affected(touched);
        let nodes = self.before(ElementKind::Node, nodes);
        let edges = self.before(ElementKind::Edge, edges);
        for (map, key) in &touched.keys {
            if let Some(map) = CanvasMap::ALL.get(*map) {
                self.take(reader, *map, key, reader.get(*map as usize, key));
            }
        }
        for text in &touched.texts {
            self.reread_text(reader, text);
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
        let mut nodes: BTreeSet<String> = touched
            .texts
            .iter()
            .filter_map(|id| self.texts.get(id))
            .cloned()
            .collect();
        let mut edges = BTreeSet::new();
        for (map, key) in &touched.keys {
            match CanvasMap::ALL.get(*map).and_then(|map| map.element(key)) {
                Some((ElementKind::Node, id)) => {
                    // Its edges show or hide with it when it comes, goes, or becomes known.
                    if *map == CanvasMap::LiveNodes as usize
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
        let side = if kind == ElementKind::Edge {
            &mut self.edges
        } else {
            &mut self.nodes
        };
        let before = |id: String| {
            let before = side.entries.get(&id).and_then(|entry| {
                let place = (entry.key(), id.clone());
                side.visible.remove(&place).then(|| (place.0, entry.properties.clone()))
            });
            (id, before)
        };
        ids.into_iter().map(before).collect()
    }

    /// Takes over what now stands at one key of one map.
    fn take(&mut self, reader: Reader<'_>, map: CanvasMap, key: &str, found: Option<(Stored<'_>, ObjId)>) {
        let scalar = found.as_ref().and_then(|(value, _)| match value {
            Stored::Scalar(scalar) => Some(scalar.as_ref()),
            Stored::Object(_) => None,
        });
        match map {
            CanvasMap::Properties => {
                let value = scalar
                    .and_then(Value::from_scalar)
                    .filter(|_| key != "nodes" && key != "edges");
                set_or_remove(&mut self.properties, key, value);
            }
            CanvasMap::Nodes | CanvasMap::Edges => {
                let Some((id, property)) = split_key(key) else { return };
                if property == "id" || (map == CanvasMap::Nodes && property == TEXT) {
                    return;
                }
                let value = scalar.and_then(Value::from_scalar);
                if map == CanvasMap::Nodes {
                    set_or_remove(&mut self.nodes.entry(id).properties, property, value);
                } else {
                    self.take_edge_property(&id, property, value);
                }
            }
            CanvasMap::Texts => self.take_text(reader, key, found),
            CanvasMap::LiveNodes => self.nodes.entry(key.to_owned()).tag = found.as_ref().map(|_| tag(scalar)),
            CanvasMap::LiveEdges => self.edges.entry(key.to_owned()).tag = found.as_ref().map(|_| tag(scalar)),
            CanvasMap::NodeOrder => self.nodes.entry(key.to_owned()).order = found.as_ref().map(|_| order(scalar)),
            CanvasMap::EdgeOrder => self.edges.entry(key.to_owned()).order = found.as_ref().map(|_| order(scalar)),
        }
    }

    fn take_edge_property(&mut self, id: &str, property: &str, value: Option<Value>) {
        let edge = self.edges.entry(id.to_owned());
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

    fn take_text(&mut self, reader: Reader<'_>, id: &str, found: Option<(Stored<'_>, ObjId)>) {
        let (value, text) = match found {
            Some((Stored::Object(ObjType::Text), object)) => {
                let text = text_id(&object);
                (
                    text.as_ref().and_then(|text| reader.text(text)).map(Value::String),
                    text,
                )
            }
            Some((Stored::Scalar(scalar), _)) => (Value::from_scalar(&scalar), None),
            _ => (None, None),
        };
        let node = self.nodes.entry(id.to_owned());
        set_or_remove(&mut node.properties, TEXT, value);
        if node.text == text {
            return;
        }
        if let Some(old) = std::mem::replace(&mut node.text, text.clone()) {
            self.texts.remove(&old);
        }
        self.texts.extend(text.map(|text| (text, id.to_owned())));
    }

    fn reread_text(&mut self, reader: Reader<'_>, text: &TextId) {
        // A Text object that lost to another is nobody's; what is edited in it cannot be seen.
        let Some(id) = self.texts.get(text) else { return };
        if let (Some(node), Some(value)) = (self.nodes.entries.get_mut(id), reader.text(text)) {
            node.properties.insert(TEXT.to_owned(), Value::String(value));
        }
    }

    fn settle_all<'a>(&mut self, kind: ElementKind, ids: impl IntoIterator<Item = &'a String>) {
        for id in ids {
            self.settle(kind, id);
        }
    }

    /// Forgets an element of which nothing is left, or puts it into the order if it is visible.
    fn settle(&mut self, kind: ElementKind, id: &str) {
        let Some(entry) = self.side(kind).get(id) else { return };
        let known = entry.is_known();
        let hidden = kind == ElementKind::Edge
            && entry
                .endpoints()
                .any(|node| self.nodes.get(node).is_some_and(|node| node.tag.is_none()));
        let place = (entry.tag.is_some() && !hidden).then(|| (entry.key(), id.to_owned()));
        let side = if kind == ElementKind::Edge {
            &mut self.edges
        } else {
            &mut self.nodes
        };
        side.visible.extend(place);
        if !known {
            side.entries.remove(id);
        }
    }
}

impl Side {
    fn entry(&mut self, id: String) -> &mut Entry {
        self.entries.entry(id).or_default()
    }

    /// Compares what was visible before with what is now.
    fn changes(&self, before: BTreeMap<String, Before>) -> ElementChanges {
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
                    changes.added.push(Element {
                        id,
                        properties: entry.properties.clone(),
                    });
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

    fn placement(&self, place: (OrderKey, String)) -> Placement {
        let after = self.visible.range(..&place).next_back().map(|(_, id)| id.clone());
        Placement { id: place.1, after }
    }
}

fn set_or_remove(properties: &mut Properties, key: &str, value: Option<Value>) {
    match value {
        Some(value) => properties.insert(key.to_owned(), value),
        None => properties.remove(key),
    };
}

/// A key that is present means alive, whatever its value.
fn tag(scalar: Option<&ScalarValue>) -> u64 {
    match scalar {
        Some(ScalarValue::Uint(tag)) => *tag,
        _ => 0,
    }
}

fn order(scalar: Option<&ScalarValue>) -> OrderKey {
    match scalar {
        Some(ScalarValue::Bytes(bytes)) => read_key(bytes),
        _ => OrderKey::new(),
    }
}
