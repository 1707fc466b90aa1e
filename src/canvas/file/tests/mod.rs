//! What is promised of canvases as files.

mod merging;
mod rendering;

use proptest::prelude::*;

use crate::canvas::file::distance;
use crate::canvas::tests::mutation::{Mutation, mutations};
use crate::canvas::{Canvas, Element, Properties, Value};

pub(super) fn canvas(json: &str) -> Canvas {
    Canvas::from_json(json).unwrap()
}

pub(super) fn mutated(canvas: &Canvas, mutations: &[Mutation]) -> Canvas {
    let mut canvas = canvas.clone();
    for mutation in mutations {
        mutation.apply_to(&mut canvas);
    }
    canvas
}

/// Canvases that edits lead to, one of which begins where the other does.
pub(super) fn many() -> impl Strategy<Value = Vec<Mutation>> {
    prop::collection::vec(mutations(), 0..6).prop_map(|lists| lists.concat())
}

/// Real files, by name.
pub(super) fn examples() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let canvases = files.filter(|path| path.extension().is_some_and(|extension| extension == "canvas"));
    let read = |path: std::path::PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
    let examples: Vec<_> = canvases.map(read).collect();
    assert!(examples.len() >= 7);
    examples
}

#[test]
fn the_distance_counts_what_differs() {
    let base = canvas(r#"{"nodes":[{"id":"a","text":"some long text","x":1},{"id":"b"},{"id":"c"}],"k":1}"#);
    let far = |edit: fn(&mut Canvas)| {
        let mut other = base.clone();
        edit(&mut other);
        distance(&base, &other)
    };
    assert_eq!(far(|_| {}), 0);
    let text = |canvas: &mut Canvas, text: &str| {
        canvas.nodes[0].properties.insert("text".into(), Value::String(text.into()));
    };
    assert_eq!(
        distance(&base, &{
            let mut other = base.clone();
            text(&mut other, "some longer text");
            other
        }),
        3
    );
    assert_eq!(far(|canvas| canvas.nodes.rotate_left(1)), 1);
    assert_eq!(far(|canvas| canvas.nodes.push(Element { id: "d".into(), properties: Properties::new() })), 1);
    assert_eq!(far(|canvas| drop(canvas.nodes.remove(0))), 1 + (1 + 14) + 1);
    assert_eq!(far(|canvas| canvas.properties.clear()), 1);
}

proptest! {
    #[test]
    fn the_distance_is_nothing_for_equals_only_and_the_same_both_ways(first in many(), second in many()) {
        let a = mutated(&Canvas::default(), &first);
        let b = mutated(&a, &second);
        prop_assert_eq!(distance(&a, &a.clone()), 0);
        prop_assert_eq!(distance(&a, &b) == 0, a == b);
        prop_assert_eq!(distance(&a, &b), distance(&b, &a));
    }
}
