//! Two branches become one by the rules of live edits.

use automerge::ActorId;
use proptest::prelude::*;

use super::*;
use crate::canvas::file::{
    Merge, describe_conflicts, describe_texts, merge, merge_texts, plain_text, read, render, render_conflicts,
};
use crate::canvas::tests::mutation::ids;
use crate::canvas::{Base, CanvasDocument, ElementKind};

const BASE: &str = r#"{"nodes":[{"id":"a","type":"text","text":"the cat","x":1,"color":"1"},{"id":"b","x":2}],
    "edges":[{"id":"e","fromNode":"a","toNode":"b","label":"l"}],"title":"t"}"#;

fn merged(base: &str, ours: &str, theirs: &str) -> Merge {
    merge(&canvas(base), &canvas(ours), &canvas(theirs)).unwrap()
}

#[test]
fn what_both_did_is_there() {
    let ours = BASE.replace("the cat", "the big cat").replace(r#""x":2"#, r#""x":9"#);
    let theirs = BASE.replace("the cat", "the cat sat").replace(r#""x":1,"#, r#""x":5,"#);
    let result = merged(BASE, &ours, &theirs);
    assert_eq!(result.conflicts, []);
    let expected = BASE.replace("the cat", "the big cat sat").replace(r#""x":2"#, r#""x":9"#);
    assert_eq!(result.canvas, canvas(&expected.replace(r#""x":1,"#, r#""x":5,"#)));
}

#[test]
fn a_property_changed_to_two_values_is_a_conflict_and_ours_stays() {
    let ours = BASE.replace(r#""color":"1""#, r#""color":"2""#).replace(r#","title":"t""#, "");
    let theirs = BASE.replace(r#""color":"1""#, r#""color":{"r":1}"#).replace(r#""title":"t""#, r#""title":"u""#);
    let result = merged(BASE, &ours, &theirs);
    assert_eq!(result.canvas, canvas(&ours));
    assert_eq!(result.theirs(), canvas(&theirs));
    let kinds: Vec<_> =
        result.conflicts.iter().map(|conflict| (conflict.element, conflict.property.as_str())).collect();
    assert_eq!(kinds, [(ElementKind::Node, "color"), (ElementKind::Canvas, "title")]);
    assert_eq!(result.conflicts[1].ours, None);
    let told = describe_conflicts(&result);
    assert_eq!(
        told,
        [r#"node "the cat" (a): color: ours "2", theirs {"r":1}"#, r#"canvas: title: ours none, theirs "u""#]
    );
}

#[test]
fn a_text_is_a_conflict_only_where_it_was_none_or_is_none() {
    let dropped = BASE.replace(r#""text":"the cat","#, "");
    let edited = BASE.replace("the cat", "cats");
    assert_eq!(merged(BASE, &dropped, &edited).conflicts.len(), 1);
    assert_eq!(merged(BASE, &BASE.replace("the cat", "dogs"), &edited).conflicts, []);
    let both = merged("{}", BASE, &edited);
    assert_eq!((both.canvas, both.conflicts.len()), (canvas(BASE), 1), "no text that both began is lost unseen");
}

#[test]
fn what_both_branches_have_in_common_is_done_once() {
    let ours = BASE.replace("the cat", "the cat sat").replace(r#""b","x":2"#, r#""b","x":3"#);
    let theirs = ours.replace("the cat sat", "the cat sat down").replace("edges\":[", "edges\":[{\"id\":\"f\"},");
    let result = merged(BASE, &ours, &theirs);
    assert_eq!((result.canvas, result.conflicts), (canvas(&theirs), vec![]));
}

#[test]
fn an_edit_of_content_outlives_a_deletion_and_is_no_conflict() {
    let gone = r#"{"nodes":[{"id":"b","x":2}],"title":"t"}"#;
    for (edited, stays) in [(BASE.replace("the cat", "a cat"), true), (BASE.replace(r#""x":1,"#, r#""x":5,"#), false)] {
        let result = merged(BASE, &edited, gone);
        assert_eq!(result.conflicts, []);
        assert_eq!(result.canvas, canvas(if stays { &edited } else { gone }));
    }
}

#[test]
fn canvases_that_both_added_merge_by_property() {
    let ours = r#"{"nodes":[{"id":"a","x":1,"y":1},{"id":"o"}]}"#;
    let theirs = r#"{"nodes":[{"id":"a","x":2,"z":3},{"id":"t"}]}"#;
    let result = merged("{}", ours, theirs);
    assert_eq!(ids(&result.canvas.nodes).into_iter().collect::<Vec<_>>(), ["a", "o", "t"]);
    let node = result.canvas.nodes.iter().find(|node| node.id == "a").unwrap();
    let expected = [("x", 1), ("y", 1), ("z", 3)].map(|(key, value)| (key.to_owned(), Value::Int(value)));
    assert_eq!(node.properties, Properties::from(expected));
    assert_eq!(result.conflicts.len(), 1);
}

#[test]
fn conflicts_are_marked_around_their_lines() {
    let text = "{\n\t\"nodes\":[\n\t\t{\"id\":\"a\",\"x\":1},\n\t\t{\"id\":\"b\",\"x\":1}\n\t],\n\t\"edges\":[]\n}";
    let [ours, theirs] = ["2", "3"].map(|x| text.replace(r#""a","x":1"#, &format!(r#""a","x":{x}"#)));
    let theirs = theirs.replace(r#""b","x":1"#, r#""b","x":4"#);
    let (base, _) = read(text).unwrap();
    let ((ours, layout), (theirs, other)) = (read(&ours).unwrap(), read(&theirs).unwrap());
    let result = merge(&base, &ours, &theirs).unwrap();
    let expected = "{\n\t\"nodes\":[\n<<<<<<< ours\n\t\t{\"id\":\"a\",\"x\":2},\n=======\n\t\t{\"id\":\"a\",\"x\":3},\n\
        >>>>>>> theirs\n\t\t{\"id\":\"b\",\"x\":4}\n\t],\n\t\"edges\":[]\n}";
    assert_eq!(render_conflicts(&result, &layout, &other, 7), expected);
    let one_line = read("{\"nodes\":[{\"id\":\"a\",\"x\":1}]}").unwrap().1;
    let marked = render_conflicts(&result, &one_line, &other, 9);
    assert!(marked.starts_with("<<<<<<<<< ours\n{") && marked.ends_with("}\n>>>>>>>>> theirs\n"), "{marked}");
}

#[test]
fn texts_merge_in_the_layout_of_whoever_changed_them() {
    let base = "{\r\n  \"nodes\": [\r\n    {\"id\": \"a\", \"x\": 1.0}\r\n  ]\r\n}\r\n";
    let theirs = "{\"nodes\":[{\"x\":2,\"id\":\"a\"}]}";
    let merged = |base, ours, theirs| merge_texts(base, ours, theirs, 7).unwrap();
    assert_eq!(merged(base, base, theirs).text, theirs);
    assert_eq!(merged(base, theirs, base).text, theirs);
    let ours = base.replace("  ]", "  ],\r\n  \"edges\": []");
    assert_eq!(merged(base, &ours, theirs).text, ours.replace("1.0", "2"));
    assert_eq!(merged("\n", &ours, "").text, ours, "blank is empty");
    let other = base.replace("1.0", "3");
    let conflict = merged(base, &other, theirs);
    assert_eq!(conflict.conflicts, ["node (a): x: ours 3, theirs 2"]);
    assert!(
        conflict.text.contains("<<<<<<< ours\r\n    {\"id\": \"a\", \"x\": 3}\r\n=======\r\n"),
        "{}",
        conflict.text
    );
    let onwards = merged(&conflict.text, &other.replace('3', "4"), &other);
    assert_eq!((onwards.text, onwards.conflicts), (other.replace('3', "4"), vec![]), "a marked base is our side of it");
    let error = merge_texts(base, "{", theirs, 7).unwrap_err().to_string();
    assert_eq!(error, "ours: not JSON: EOF while parsing an object (line 1, column 1)");
}

#[test]
fn texts_are_told_apart_and_made_plain() {
    assert_eq!(describe_texts("", "{\"nodes\":[{\"id\":\"a\"}]}").unwrap(), ["added node (a)"]);
    assert_eq!(describe_texts("[]", "").unwrap_err().text, "before");
    let plain = "{\n\t\"nodes\":[\n\t\t{\"id\":\"a\",\"x\":1}\n\t],\n\t\"edges\":[]\n}\n";
    assert_eq!(plain_text("{\"nodes\": [{\"x\": 1.0, \"id\": \"a\"}]}").unwrap(), plain);
}

/// The same merge between two peers, but for texts.
fn live(base: &Canvas, ours: &Canvas, theirs: &Canvas) -> Canvas {
    let peer = |number: u8, canvas: &Canvas| {
        let mut document = CanvasDocument::new();
        document.set_actor(ActorId::from([number; 16]));
        document.create(base, "").unwrap();
        document.update(canvas, &Base::Last, "").unwrap();
        document
    };
    let (mut a, b) = if ours.to_json() <= theirs.to_json() {
        (peer(7, ours), peer(8, theirs))
    } else {
        (peer(7, theirs), peer(8, ours))
    };
    a.apply(b.replica().changes_since(a.replica().heads().as_slice()));
    let mut canvas = a.canvas();
    crate::canvas::file::merge::merge_texts(&mut canvas, [base, ours, theirs]);
    canvas
}

proptest! {
    #[test]
    fn merges_keep_what_both_did(base in many(), ours in many(), theirs in many(), from_nothing in any::<bool>()) {
        let start = mutated(&Canvas::default(), &base);
        let (ours, theirs) = (mutated(&start, &ours), mutated(&start, &theirs));
        let base = if from_nothing { Canvas::default() } else { start };
        let result = merge(&base, &ours, &theirs).unwrap();
        let turned = merge(&base, &theirs, &ours).unwrap();

        prop_assert_eq!(&merge(&base, &base, &theirs).unwrap(), &Merge { canvas: theirs.clone(), conflicts: vec![] });
        prop_assert_eq!(&merge(&base, &ours, &base).unwrap().canvas, &ours);
        prop_assert_eq!(&merge(&base, &ours, &ours).unwrap(), &Merge { canvas: ours.clone(), conflicts: vec![] });
        prop_assert_eq!(&result.theirs(), &turned.canvas);
        prop_assert_eq!(&turned.theirs(), &result.canvas);
        prop_assert_eq!(result.conflicts.len(), turned.conflicts.len());
        if result.conflicts.is_empty() {
            prop_assert_eq!(&live(&base, &ours, &theirs), &result.canvas);
        }
        for side in [&ours, &theirs] {
            for node in ids(&side.nodes).difference(&ids(&base.nodes)) {
                prop_assert!(ids(&result.canvas.nodes).contains(node), "{} is missing", node);
            }
            let gone: Vec<_> = base.nodes.iter().filter(|node| !ids(&result.canvas.nodes).contains(node.id.as_str()))
                .map(|node| Value::String(node.id.clone())).collect();
            for edge in side.edges.iter().filter(|edge| !ids(&base.edges).contains(edge.id.as_str())) {
                let dangles = edge.properties.values().any(|end| gone.contains(end));
                prop_assert!(dangles || ids(&result.canvas.edges).contains(edge.id.as_str()), "{} is missing", edge.id);
            }
        }
        // Both sides of a marked file are canvases.
        let layout = read(&render(&ours, &crate::canvas::file::FileLayout::default())).unwrap().1;
        let marked = render_conflicts(&result, &layout, &layout, 7);
        let sides = crate::canvas::file::markers::sides(&marked).map(|side| read(&side).unwrap().0);
        prop_assert_eq!(sides, [result.canvas.clone(), result.theirs()]);
    }
}
