//! A file and a canvas of one name that meet for the first time, with nothing to tell who changed what. Pure.

use std::collections::BTreeMap;

use crate::canvas::{Canvas, Element};

/// What becomes of the two.
#[derive(Debug, PartialEq)]
pub struct Meeting {
    /// The canvas with what only the file has: elements and properties. Nothing of it is overwritten or missing.
    pub canvas: Canvas,
    /// Whether some property has one value in the file and another in the canvas.
    pub clashes: bool,
}

/// Adds to a canvas what only the file has.
#[must_use]
pub fn meet(present: &Canvas, found: &Canvas) -> Meeting {
    let mut canvas = present.clone();
    let mut clashes = add_properties(&mut canvas.properties, &found.properties);
    clashes |= add_elements(&mut canvas.nodes, &found.nodes);
    clashes |= add_elements(&mut canvas.edges, &found.edges);
    Meeting { canvas, clashes }
}

fn add_elements(present: &mut Vec<Element>, found: &[Element]) -> bool {
    let mut clashes = false;
    let mut places: BTreeMap<String, usize> =
        present.iter().enumerate().map(|(place, element)| (element.id.clone(), place)).collect();
    for element in found {
        if let Some(known) = places.get(&element.id).and_then(|place| present.get_mut(*place)) {
            clashes |= add_properties(&mut known.properties, &element.properties);
        } else {
            places.insert(element.id.clone(), present.len());
            present.push(element.clone());
        }
    }
    clashes
}

fn add_properties<V: Clone + PartialEq>(present: &mut BTreeMap<String, V>, found: &BTreeMap<String, V>) -> bool {
    let mut clashes = false;
    for (name, value) in found {
        clashes |= present.entry(name.clone()).or_insert_with(|| value.clone()) != value;
    }
    clashes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canvas(json: &str) -> Canvas {
        Canvas::from_json(json).unwrap()
    }

    #[test]
    fn what_only_the_file_has_is_added_and_nothing_is_deleted_or_overwritten() {
        let present =
            canvas(r#"{"nodes":[{"id":"a","x":1},{"id":"b","text":"b"}],"edges":[{"id":"e"}],"theme":"dark"}"#);
        let found = canvas(r#"{"nodes":[{"id":"c","x":3},{"id":"a","x":1,"color":"1"}],"author":"me"}"#);
        let meeting = meet(&present, &found);
        assert!(!meeting.clashes);
        let wanted = r#"{"nodes":[{"id":"a","x":1,"color":"1"},{"id":"b","text":"b"},{"id":"c","x":3}],
            "edges":[{"id":"e"}],"theme":"dark","author":"me"}"#;
        assert_eq!(meeting.canvas, canvas(wanted));
    }

    #[test]
    fn two_values_of_one_property_clash_and_the_canvas_keeps_its_own() {
        for (present, found) in [
            (r#"{"nodes":[{"id":"a","x":1}]}"#, r#"{"nodes":[{"id":"a","x":2}]}"#),
            (r#"{"nodes":[{"id":"a","text":"one"}]}"#, r#"{"nodes":[{"id":"a","text":"two"}]}"#),
            (r#"{"theme":"dark"}"#, r#"{"theme":"light"}"#),
        ] {
            let meeting = meet(&canvas(present), &canvas(found));
            assert_eq!((meeting.canvas, meeting.clashes), (canvas(present), true));
        }
    }
}
