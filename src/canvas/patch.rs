//! A patch: what `patchCanvas` changes, by name.

use std::collections::{BTreeMap, BTreeSet};

use crate::canvas::error::CanvasError;
use crate::canvas::model::{Canvas, Element, Properties};
use crate::canvas::parse;
use crate::canvas::side::TEXT;
use crate::canvas::value::Value;

/// What changes among the nodes, or among the edges.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ElementsPatch {
    /// Elements to add, or whose given properties to set; `null` removes a property, absent ones stay.
    pub upsert: Vec<Element>,
    /// Ids to remove; unknown ones are no error.
    pub remove: BTreeSet<String>,
}

/// What changes in a canvas.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CanvasPatch {
    /// Among the nodes.
    pub nodes: ElementsPatch,
    /// Among the edges.
    pub edges: ElementsPatch,
    /// Top-level properties to set; `null` removes one.
    pub properties: Properties,
}

impl CanvasPatch {
    /// Reads `{ nodes?: { upsert?, remove? }, edges?: …, properties?: … }`.
    ///
    /// # Errors
    /// [`CanvasError::Syntax`], [`CanvasError::Invalid`] or [`CanvasError::TooLarge`], each saying where.
    pub fn from_json(json: &str) -> Result<Self, CanvasError> {
        parse::patch(json)
    }

    /// Whether it names texts of nodes.
    pub(crate) fn has_texts(&self) -> bool {
        self.nodes.upsert.iter().any(|node| node.properties.contains_key(TEXT))
    }

    /// Applies the patch to plain data; added elements come last.
    pub fn apply_to(&self, canvas: &mut Canvas) {
        Self::apply_all(std::slice::from_ref(self), canvas);
    }

    /// Applies one after the other; who knows several looks the elements up once.
    pub(crate) fn apply_all(patches: &[Self], canvas: &mut Canvas) {
        ElementsPatch::apply_all(patches.iter().map(|patch| &patch.nodes), &mut canvas.nodes);
        ElementsPatch::apply_all(patches.iter().map(|patch| &patch.edges), &mut canvas.edges);
        for patch in patches {
            set_properties(&mut canvas.properties, &patch.properties);
        }
    }
}

impl ElementsPatch {
    fn apply_all<'a>(patches: impl Iterator<Item = &'a Self>, elements: &mut Vec<Element>) {
        let mut positions: Option<BTreeMap<String, usize>> = None;
        for patch in patches {
            if !patch.remove.is_empty() {
                elements.retain(|element| !patch.remove.contains(&element.id));
                positions = None;
            }
            for upserted in &patch.upsert {
                let positions = positions.get_or_insert_with(|| {
                    (0..).zip(&*elements).map(|(at, element)| (element.id.clone(), at)).collect()
                });
                let at = *positions.entry(upserted.id.clone()).or_insert_with(|| {
                    elements.push(Element { id: upserted.id.clone(), properties: Properties::new() });
                    elements.len() - 1
                });
                if let Some(element) = elements.get_mut(at) {
                    set_properties(&mut element.properties, &upserted.properties);
                }
            }
        }
    }
}

fn set_properties(properties: &mut Properties, changed: &Properties) {
    for (key, value) in changed {
        if *value == Value::Null {
            properties.remove(key);
        } else {
            properties.insert(key.clone(), value.clone());
        }
    }
}
