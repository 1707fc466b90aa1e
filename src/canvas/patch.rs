//! A patch: what `patchCanvas` changes, by name.

use std::collections::{BTreeMap, BTreeSet};

use crate::canvas::error::CanvasError;
use crate::canvas::model::{Canvas, Element, Properties};
use crate::canvas::parse;
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

    /// Applies the patch to plain data; added elements come last.
    pub fn apply_to(&self, canvas: &mut Canvas) {
        self.nodes.apply_to(&mut canvas.nodes);
        self.edges.apply_to(&mut canvas.edges);
        set_properties(&mut canvas.properties, &self.properties);
    }
}

impl ElementsPatch {
    fn apply_to(&self, elements: &mut Vec<Element>) {
        if !self.remove.is_empty() {
            elements.retain(|element| !self.remove.contains(&element.id));
        }
        if self.upsert.is_empty() {
            return;
        }
        let positions: BTreeMap<String, usize> =
            elements.iter().enumerate().map(|(index, element)| (element.id.clone(), index)).collect();
        for upserted in &self.upsert {
            let known = positions.get(&upserted.id).and_then(|index| elements.get_mut(*index));
            if let Some(element) = known {
                set_properties(&mut element.properties, &upserted.properties);
            } else {
                let (id, mut properties) = (upserted.id.clone(), Properties::new());
                set_properties(&mut properties, &upserted.properties);
                elements.push(Element { id, properties });
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
