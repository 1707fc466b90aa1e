//! Merging what two branches did to one canvas.

use std::collections::{BTreeMap, BTreeSet};

use automerge::ActorId;

use crate::canvas::document::{Base, CanvasDocument};
use crate::canvas::error::CanvasError;
use crate::canvas::file::text_merge;
use crate::canvas::file::thin::Thinned;
use crate::canvas::model::{Canvas, Element, ElementKind, Properties};
use crate::canvas::side::TEXT;
use crate::canvas::value::Value;

/// Properties of an edge that name nodes.
const ENDS: [&str; 2] = ["fromNode", "toNode"];

/// Two branches in one.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// What both did. Where they are in conflict, our side.
    pub canvas: Canvas,
    /// What somebody has to decide, nodes first.
    pub conflicts: Vec<MergeConflict>,
}

/// A property that was changed to different values on both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeConflict {
    /// What it belongs to.
    pub element: ElementKind,
    /// The id of the node or edge; empty for the canvas.
    pub id: String,
    /// Which property.
    pub property: String,
    /// What it was; `None` if it was absent.
    pub base: Option<Value>,
    /// What we made of it; `None` if we removed it.
    pub ours: Option<Value>,
    /// What they made of it; `None` if they removed it.
    pub theirs: Option<Value>,
}

impl Merge {
    /// The merged canvas with their side where there is a conflict.
    #[must_use]
    pub fn theirs(&self) -> Canvas {
        let mut canvas = self.canvas.clone();
        settle(&mut canvas, &self.conflicts, |conflict| conflict.theirs.as_ref());
        canvas
    }
}

/// Merges two canvases that were made from `base`, by the rules of live edits, for it is done with documents: properties
/// merge one by one, the order too, and an edit of content keeps an element that the other side deleted. Unlike live edits,
/// texts merge by words, and what both did to one alike is done once: branches often have commits in common that their base
/// lacks. `base` may be empty, if both sides added the canvas. Which side is which makes no difference but to conflicts.
///
/// A conflict is a property that both sides changed, to different values. A text that was one before and is one on both
/// sides merges and is none.
///
/// # Errors
/// [`CanvasError::Invalid`] if two elements of a canvas have the same id, [`CanvasError::TooLarge`].
pub fn merge(base: &Canvas, ours: &Canvas, theirs: &Canvas) -> Result<Merge, CanvasError> {
    // Actors decide between concurrent writes: they go by content, lest the result depend on who merges whom.
    let (first, second) = if ours.to_json() <= theirs.to_json() { (ours, theirs) } else { (theirs, ours) };
    let thinned = Thinned::of([base, first, second]);
    let [start, first, second] = &thinned.canvases;
    let mut document = CanvasDocument::new();
    document.create(start, "")?;
    let mut other = CanvasDocument::load(&document.replica().save())?;
    for (document, side, actor) in [(&mut document, first, 1), (&mut other, second, 2)] {
        document.set_actor(ActorId::from([actor; 16]));
        let version = document.version();
        document.update(side, &Base::Explicit(version), "")?;
    }
    let applied = document.apply(other.replica().changes_since(document.replica().heads().as_slice()));
    if let Some((_, reason)) = applied.rejected.into_iter().next() {
        return Err(CanvasError::Internal(reason));
    }
    let mut canvas = document.canvas();
    thinned.restore(&mut canvas);
    merge_texts(&mut canvas, [base, ours, theirs]);
    keep_reconnected(&mut canvas, [base, ours, theirs]);
    let conflicts = conflicts(&canvas, [base, ours, theirs]);
    settle(&mut canvas, &conflicts, |conflict| conflict.ours.as_ref());
    Ok(Merge { canvas, conflicts })
}

/// Texts that both changed: of two finished texts, unlike of typing, words say more than characters.
pub(super) fn merge_texts(canvas: &mut Canvas, states: [&Canvas; 3]) {
    let states = states.map(|canvas| by_id(&canvas.nodes));
    for node in &mut canvas.nodes {
        let [base, ours, theirs] = states.each_ref().map(|state| match state.get(node.id.as_str())?.get(TEXT) {
            Some(Value::String(text)) => Some(text.as_str()),
            _ => None,
        });
        if let (Some(base), Some(ours), Some(theirs)) = (base, ours, theirs)
            && base != ours
            && base != theirs
        {
            node.properties.insert(TEXT.to_owned(), Value::String(text_merge::merge(base, ours, theirs)));
        }
    }
}

/// Edges that both connected, in different ways: one that got a deleted node for an end vanishes from a document, but here
/// somebody is to decide, and may want the other one's.
fn keep_reconnected(canvas: &mut Canvas, [base, ours, theirs]: [&Canvas; 3]) {
    let nodes: BTreeSet<&str> = canvas.nodes.iter().map(|node| node.id.as_str()).collect();
    let kept: BTreeSet<&str> = canvas.edges.iter().map(|edge| edge.id.as_str()).collect();
    let [base, ours, theirs] = [base, ours, theirs].map(|state| by_id(&state.edges));
    let none = Properties::new();
    let is_there = |end: &Value| !matches!(end, Value::String(node) if !nodes.contains(node.as_str()));
    let holds = |edge: &Properties| ENDS.iter().filter_map(|end| edge.get(*end)).all(is_there);
    let mut lost = Vec::new();
    for (id, our) in ours.iter().filter(|(id, _)| !kept.contains(*id)) {
        let Some(their) = theirs.get(id).filter(|their| holds(our) || holds(their)) else { continue };
        let was = base.get(id).copied().unwrap_or(&none);
        let in_conflict = |end: &&str| {
            let (was, our, their) = (was.get(*end), our.get(*end), their.get(*end));
            our != their && was != our && was != their
        };
        if ENDS.iter().any(in_conflict) {
            let names: BTreeSet<&String> = our.keys().chain(their.keys()).collect();
            let merged = |name: &String| if our.get(name) == was.get(name) { their.get(name) } else { our.get(name) };
            let properties = names.into_iter().filter_map(|name| Some((name.clone(), merged(name)?.clone()))).collect();
            lost.push(Element { id: (*id).to_owned(), properties });
        }
    }
    canvas.edges.extend(lost);
}

fn conflicts(merged: &Canvas, states: [&Canvas; 3]) -> Vec<MergeConflict> {
    let mut found = Vec::new();
    for kind in [ElementKind::Node, ElementKind::Edge] {
        let [base, ours, theirs] = states.map(|canvas| by_id(elements(canvas, kind)));
        let none = Properties::new();
        for element in elements(merged, kind) {
            let id = element.id.as_str();
            if let (Some(ours), Some(theirs)) = (ours.get(id), theirs.get(id)) {
                let before = base.get(id).copied().unwrap_or(&none);
                compare(kind, id, [before, ours, theirs], &mut found);
            }
        }
    }
    compare(ElementKind::Canvas, "", states.map(|canvas| &canvas.properties), &mut found);
    found
}

fn compare(element: ElementKind, id: &str, [base, ours, theirs]: [&Properties; 3], found: &mut Vec<MergeConflict>) {
    let removed = theirs.keys().chain(base.keys()).filter(|property| !ours.contains_key(*property));
    let names: BTreeSet<&String> = ours.keys().chain(removed).collect();
    for property in names {
        let values = [base, ours, theirs].map(|properties| properties.get(property));
        let [was, our, their] = values;
        let is_text = element == ElementKind::Node && property == TEXT;
        let merges = is_text && values.iter().all(|value| matches!(value, Some(Value::String(_))));
        if our != their && our != was && their != was && !merges {
            let [base, ours, theirs] = values.map(Option::<&Value>::cloned);
            let (id, property) = (id.to_owned(), property.clone());
            found.push(MergeConflict { element, id, property, base, ours, theirs });
        }
    }
}

/// Puts one side's values where there are conflicts.
fn settle<'a>(
    canvas: &mut Canvas,
    conflicts: &'a [MergeConflict],
    side: impl Fn(&'a MergeConflict) -> Option<&'a Value>,
) {
    for kind in [ElementKind::Node, ElementKind::Edge, ElementKind::Canvas] {
        let mut of: BTreeMap<&str, Vec<&MergeConflict>> = BTreeMap::new();
        for conflict in conflicts.iter().filter(|conflict| conflict.element == kind) {
            of.entry(&conflict.id).or_default().push(conflict);
        }
        let put = |properties: &mut Properties, id: &str| {
            for conflict in of.get(id).into_iter().flatten() {
                match side(conflict) {
                    Some(value) => properties.insert(conflict.property.clone(), value.clone()),
                    None => properties.remove(&conflict.property),
                };
            }
        };
        match kind {
            ElementKind::Node => canvas.nodes.iter_mut().for_each(|node| put(&mut node.properties, &node.id)),
            ElementKind::Edge => canvas.edges.iter_mut().for_each(|edge| put(&mut edge.properties, &edge.id)),
            ElementKind::Canvas => put(&mut canvas.properties, ""),
        }
    }
}

fn elements(canvas: &Canvas, kind: ElementKind) -> &[Element] {
    if kind == ElementKind::Edge { &canvas.edges } else { &canvas.nodes }
}

fn by_id(elements: &[Element]) -> BTreeMap<&str, &Properties> {
    elements.iter().map(|element| (element.id.as_str(), &element.properties)).collect()
}
