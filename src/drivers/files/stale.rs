//! What a save takes back that others had added, when it looks as if it was made from an old copy. Pure.

use std::collections::BTreeMap;

use crate::canvas::{Canvas, Conflict, Element, ElementKind, Properties, Value};
use crate::limits::MAX_CONFLICTS_REPORTED;

/// The property under which a whole element is told that the save removed.
const WHOLE: &str = "id";

/// Everything of `newest` that `old` lacks and `saved` lacks again, at most [`MAX_CONFLICTS_REPORTED`]: properties that
/// have their old value again, and elements that were removed, whole as JSON.
#[must_use]
pub fn taken_back(newest: &Canvas, old: &Canvas, saved: &Canvas) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    properties(ElementKind::Canvas, "", [&newest.properties, &old.properties, &saved.properties], &mut conflicts);
    for (kind, newest, old, saved) in [
        (ElementKind::Node, &newest.nodes, &old.nodes, &saved.nodes),
        (ElementKind::Edge, &newest.edges, &old.edges, &saved.edges),
    ] {
        let (old, saved) = (by_id(old), by_id(saved));
        for element in newest {
            let id = element.id.as_str();
            match (old.get(id), saved.get(id)) {
                (None, None) => conflicts.push(removed(kind, element)),
                (Some(old), Some(saved)) => {
                    properties(kind, id, [&element.properties, &old.properties, &saved.properties], &mut conflicts);
                }
                _ => {}
            }
        }
    }
    conflicts.truncate(MAX_CONFLICTS_REPORTED);
    conflicts
}

fn by_id(elements: &[Element]) -> BTreeMap<&str, &Element> {
    elements.iter().map(|element| (element.id.as_str(), element)).collect()
}

fn removed(element: ElementKind, gone: &Element) -> Conflict {
    let loser = serde_json::to_string(gone).map_or(Value::Null, Value::Json);
    Conflict { element, id: gone.id.clone(), property: WHOLE.to_owned(), winner: Value::Null, loser }
}

fn properties(element: ElementKind, id: &str, [newest, old, saved]: [&Properties; 3], conflicts: &mut Vec<Conflict>) {
    let value = |properties: &Properties, name: &str| properties.get(name).cloned().unwrap_or(Value::Null);
    let names = newest.keys().chain(old.keys().filter(|name| !newest.contains_key(*name)));
    for name in names {
        let (was, now) = (old.get(name), saved.get(name));
        if was == now && newest.get(name) != was {
            conflicts.push(Conflict {
                element,
                id: id.to_owned(),
                property: name.clone(),
                winner: value(saved, name),
                loser: value(newest, name),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_save_takes_back_is_named_with_both_values() {
        let canvas = |json: &str| Canvas::from_json(json).unwrap();
        let old = canvas(r#"{"nodes":[{"id":"a","x":1,"color":"1"},{"id":"gone"}],"theme":"dark"}"#);
        let newest =
            canvas(r#"{"nodes":[{"id":"a","x":2,"label":"A"},{"id":"b","x":9}],"edges":[{"id":"e"}],"theme":"light"}"#);
        let saved = canvas(r#"{"nodes":[{"id":"a","x":5,"color":"1"}],"theme":"dark"}"#);
        let told: Vec<_> =
            taken_back(&newest, &old, &saved).into_iter().map(|conflict| (conflict.id, conflict.property)).collect();
        let wanted = [("", "theme"), ("a", "label"), ("a", "color"), ("b", "id"), ("e", "id")];
        assert_eq!(told, wanted.map(|(id, property)| (id.to_owned(), property.to_owned())));
        assert_eq!(taken_back(&newest, &old, &newest), []);
    }
}
