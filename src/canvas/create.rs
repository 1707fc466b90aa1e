//! Writing whole elements: the first import, new ones, and ones that the application did not know to exist.

use crate::canvas::model::{Canvas, Element, ElementKind};
use crate::canvas::order::{self, OrderKey};
use crate::canvas::plan::{Batch, Write};
use crate::canvas::side::{Entry, TEXT};
use crate::canvas::update::Index;
use crate::canvas::value::Value;
use crate::canvas::view::View;

/// Everything that the first import of a canvas writes.
pub(crate) fn import(canvas: &Canvas) -> Batch {
    let mut batch = Batch::default();
    for (kind, elements) in [(ElementKind::Node, &canvas.nodes), (ElementKind::Edge, &canvas.edges)] {
        let keys = order::arrange(&vec![None; elements.len()], |_| OrderKey::new());
        for (element, key) in elements.iter().zip(keys.into_values()) {
            create(kind, element, None, &mut batch);
            batch.push(Write::Order { kind, id: element.id.clone(), key });
        }
    }
    for (property, value) in &canvas.properties {
        let (id, property, value) = (String::new(), property.clone(), Some(value.clone()));
        batch.push(Write::Property { kind: ElementKind::Canvas, id, property, value });
    }
    batch
}

/// Writes an element that does not exist; of one that did before, what it had and the new one lacks is removed.
pub(crate) fn create(kind: ElementKind, element: &Element, former: Option<&Entry>, batch: &mut Batch) {
    let none = Entry::default();
    let former = former.unwrap_or(&none);
    for property in former.properties.keys().filter(|property| !element.properties.contains_key(*property)) {
        let (id, property) = (element.id.clone(), property.clone());
        batch.push(Write::Property { kind, id, property, value: None });
    }
    upsert(kind, element, former, batch);
    batch.keep_alive(kind, &element.id);
}

/// Writes the properties in which an element differs from what the document has.
pub(crate) fn upsert(kind: ElementKind, element: &Element, entry: &Entry, batch: &mut Batch) {
    for (property, value) in &element.properties {
        if entry.properties.get(property) == Some(value) {
            continue;
        }
        let id = element.id.clone();
        match (kind, property.as_str(), value) {
            (ElementKind::Node, TEXT, Value::String(text)) => {
                let text = text.clone();
                batch.push(match entry.text.clone() {
                    Some(object) => Write::Text { object, text },
                    None => Write::NewText { id, text },
                });
                batch.keep_alive(kind, &element.id);
            }
            _ => batch.push(Write::Property { kind, id, property: property.clone(), value: Some(value.clone()) }),
        }
    }
}

/// Whoever makes a node alive says which edges it has.
pub(crate) fn delete_hidden_edges(view: &View, node: &str, keep: &Index<'_>, batch: &mut Batch) {
    for edge in view.hidden_edges(node).filter(|edge| !keep.contains_key(edge.as_str())) {
        batch.push(Write::Delete { kind: ElementKind::Edge, id: edge.clone() });
    }
}
