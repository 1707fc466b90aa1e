//! What a canvas document promises, on its own and between peers.

use super::*;
use crate::canvas::{Element, Value};

fn canvas(json: &str) -> Canvas {
    Canvas::from_json(json).unwrap()
}

fn patch(json: &str) -> CanvasPatch {
    CanvasPatch::from_json(json).unwrap()
}

/// A peer's document, which holds this canvas.
fn peer(number: u8, json: &str) -> CanvasDocument {
    let mut document = CanvasDocument::new();
    document.set_actor(ActorId::from([number; 16]));
    document.create(&canvas(json), "someone").unwrap();
    document
}

/// Two peers that imported the same canvas.
fn pair(json: &str) -> (CanvasDocument, CanvasDocument) {
    (peer(1, json), peer(2, json))
}

/// Exchanges everything, and returns what the second exchange reported to the first peer.
fn sync(a: &mut CanvasDocument, b: &mut CanvasDocument) -> Applied {
    let to_a = b.replica().changes_since(a.replica().heads().as_slice());
    let to_b = a.replica().changes_since(b.replica().heads().as_slice());
    b.apply(to_b);
    let applied = a.apply(to_a);
    // Repairs of lost texts are changes too.
    b.apply(a.replica().changes_since(b.replica().heads().as_slice()));
    a.apply(b.replica().changes_since(a.replica().heads().as_slice()));
    assert_eq!(a.canvas(), b.canvas());
    assert_eq!(a.replica().heads(), b.replica().heads());
    applied
}

fn update(document: &mut CanvasDocument, edit: impl FnOnce(&mut Canvas)) -> LocalEdit {
    let mut copy = document.canvas();
    document.note_returned();
    edit(&mut copy);
    document.update(&copy, &Base::Last, "author").unwrap()
}

fn set(canvas: &mut Canvas, node: usize, property: &str, value: Value) {
    canvas.nodes[node].properties.insert(property.into(), value);
}

fn text_of(document: &CanvasDocument, node: usize) -> String {
    match document.canvas().nodes[node].properties.get("text") {
        Some(Value::String(text)) => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

fn ids(elements: &[Element]) -> Vec<&str> {
    elements.iter().map(|element| element.id.as_str()).collect()
}

const TWO: &str = r#"{"nodes":[{"id":"a","type":"text","text":"cat","x":1},{"id":"b","x":2}],
    "edges":[{"id":"e","fromNode":"a","toNode":"b"}]}"#;

#[test]
fn a_canvas_goes_in_and_comes_out_equal() {
    let json = r#"{"nodes":[{"id":"b","type":"text","text":"hi","x":1},{"id":"a/%","x":1.5,"o":{"k":[1]},"text":7},
        {"id":"__proto__","constructor":{"__proto__":null},"text":null}],
        "edges":[{"id":"e","fromNode":"a/%","toNode":"zz","from":"b","label":null}],"meta":true,"__proto__":[]}"#;
    let document = peer(1, json);
    assert_eq!(document.canvas(), canvas(json));
    assert_eq!(canvas(&document.canvas_json()), canvas(json));
    assert_eq!(
        CanvasDocument::load(&document.replica().save()).unwrap().canvas(),
        canvas(json)
    );
    assert_eq!(document.counts(), (3, 1));
}

#[test]
fn real_canvases_go_in_and_come_out_equal() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut read = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "canvas") {
            let json = std::fs::read_to_string(&path).unwrap();
            let original: serde_json::Value = serde_json::from_str(&json).unwrap();
            let document = peer(1, &json);
            let printed: serde_json::Value = serde_json::from_str(&document.canvas_json()).unwrap();
            assert_eq!(printed["nodes"], original["nodes"], "{}", path.display());
            assert_eq!(
                CanvasDocument::load(&document.replica().save()).unwrap().canvas(),
                document.canvas()
            );
            read += 1;
        }
    }
    assert!(read >= 7);
}

#[test]
fn the_same_import_is_the_same_change_on_every_peer() {
    let (mut a, b) = pair(TWO);
    assert_eq!(a.version(), b.version());
    let rearranged = r#"{"edges":[{"toNode":"b","id":"e","fromNode":"a"}],
        "nodes":[{"x":1.0,"text":"cat","type":"text","id":"a"},{"id":"b","x":2e0}]}"#;
    assert_eq!(peer(3, rearranged).version(), a.version());
    assert_eq!(a.create(&canvas(TWO), "again").unwrap().changes, []);
}

#[test]
fn imports_that_differ_in_one_node_merge() {
    let (mut a, mut b) = (peer(1, TWO), peer(2, &TWO.replace("\"x\":2", "\"x\":3")));
    update(&mut a, |canvas| set(canvas, 0, "text", Value::String("cats".into())));
    update(&mut b, |canvas| set(canvas, 1, "color", Value::Int(5)));
    sync(&mut a, &mut b);
    assert_eq!(a.canvas().nodes.len(), 2);
    assert_eq!(text_of(&a, 0), "cats");
    assert_eq!(a.canvas().nodes[1].properties.get("color"), Some(&Value::Int(5)));
}

#[test]
fn what_was_written_into_a_text_that_lost_is_put_into_the_winner_once() {
    // Which of the two Text objects wins depends on the actors, so both peers edit.
    let (mut a, mut b) = (peer(1, TWO), peer(2, &TWO.replace("cat", "dog")));
    update(&mut a, |canvas| {
        set(canvas, 0, "text", Value::String("cat purrs".into()))
    });
    update(&mut b, |canvas| {
        set(canvas, 0, "text", Value::String("dog barks".into()))
    });
    let reported = sync(&mut a, &mut b);
    let text = text_of(&a, 0);
    assert!(
        text == "cat purrs barks"
            || text == "cat barks purrs"
            || text == "dog purrs barks"
            || text == "dog barks purrs",
        "{text}"
    );
    assert!(
        reported
            .conflicts
            .iter()
            .any(|conflict| conflict.property == "text" && conflict.id == "a")
    );
    let heads = a.replica().heads();
    sync(&mut a, &mut b);
    assert_eq!((text_of(&a, 0), a.replica().heads()), (text, heads));
}

#[test]
fn texts_merge_by_character() {
    let (mut a, mut b) = pair(TWO);
    update(&mut a, |canvas| set(canvas, 0, "text", Value::String("the cat".into())));
    b.patch(&patch(r#"{"nodes":{"upsert":[{"id":"a","text":"cat sat"}]}}"#), "b")
        .unwrap();
    sync(&mut a, &mut b);
    assert_eq!(text_of(&a, 0), "the cat sat");
}

#[test]
fn an_edit_of_content_outlives_a_concurrent_deletion_and_a_move_does_not() {
    for (property, survives) in [("color", true), ("x", false), ("height", false), ("text", true)] {
        let (mut a, mut b) = pair(TWO);
        update(&mut a, |canvas| set(canvas, 0, property, Value::String("new".into())));
        b.patch(&patch(r#"{"nodes":{"remove":["a"]}}"#), "b").unwrap();
        sync(&mut a, &mut b);
        assert_eq!(ids(&a.canvas().nodes).contains(&"a"), survives, "{property}");
        assert_eq!(
            a.canvas().edges.len(),
            usize::from(survives),
            "the edge goes and stays with its node"
        );
    }
}

#[test]
fn an_edge_comes_back_with_its_node_unless_the_update_leaves_it_out() {
    for (edges, expected) in [(vec![], 0), (canvas(TWO).edges, 1)] {
        let mut document = peer(1, TWO);
        let removed = update(&mut document, |canvas| {
            canvas.nodes.remove(0);
            canvas.edges.clear();
        });
        assert_eq!(removed.diff.edges.removed, ["e"]);
        update(&mut document, |canvas_now| {
            canvas_now.nodes.push(canvas(TWO).nodes.remove(0));
            canvas_now.edges = edges;
        });
        assert_eq!(document.canvas().edges.len(), expected);
    }
    let (mut a, mut b) = pair(TWO);
    update(&mut a, |canvas| set(canvas, 0, "color", Value::Int(1)));
    update(&mut b, |canvas| {
        canvas.nodes.remove(0);
        canvas.edges.clear();
    });
    sync(&mut a, &mut b);
    assert_eq!(ids(&a.canvas().edges), ["e"]);
}

#[test]
fn a_known_id_added_again_is_a_new_element() {
    let mut document = peer(1, TWO);
    document.patch(&patch(r#"{"nodes":{"remove":["a"]}}"#), "").unwrap();
    document
        .patch(&patch(r#"{"nodes":{"upsert":[{"id":"a","color":"1","y":null}]}}"#), "")
        .unwrap();
    let properties = document.canvas().nodes[1].properties.clone();
    assert_eq!(
        properties.into_iter().collect::<Vec<_>>(),
        [("color".to_owned(), Value::String("1".into()))]
    );
    assert_eq!(
        document.canvas().edges.len(),
        0,
        "the patch does not contain the hidden edge"
    );
}

#[test]
fn the_order_of_nodes_merges() {
    let json = r#"{"nodes":[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d"}]}"#;
    let (mut a, mut b) = pair(json);
    let moved = update(&mut a, |canvas| canvas.nodes.rotate_left(1));
    assert_eq!(moved.diff.nodes.order.len(), 1, "one entry moves");
    assert!(!moved.content);
    update(&mut b, |canvas| canvas.nodes.swap(1, 2));
    sync(&mut a, &mut b);
    assert_eq!(ids(&a.canvas().nodes), ["c", "b", "d", "a"]);
}

#[test]
fn an_older_whole_canvas_deletes_nothing_that_its_author_has_not_seen() {
    let (mut a, mut b) = pair(TWO);
    let mut copy = a.canvas();
    b.patch(
        &patch(r#"{"nodes":{"upsert":[{"id":"new","x":9}]},"edges":{"upsert":[{"id":"f"}]}}"#),
        "b",
    )
    .unwrap();
    sync(&mut a, &mut b);
    for round in 0..3 {
        set(&mut copy, 1, "x", Value::Int(round));
        let edit = a.update(&copy, &Base::Last, "a").unwrap();
        assert!(
            !a.canvas_at(&edit.version)
                .unwrap()
                .nodes
                .iter()
                .any(|node| node.id == "new")
        );
        assert_eq!(ids(&a.canvas().nodes), ["a", "b", "new"]);
        assert_eq!(ids(&a.canvas().edges), ["e", "f"]);
    }
}

#[test]
fn what_was_passed_in_is_deleted_when_it_is_left_out_even_if_another_had_added_it() {
    let (mut a, mut b) = pair(TWO);
    let mut copy = a.canvas();
    b.patch(&patch(r#"{"nodes":{"upsert":[{"id":"new","x":9}]}}"#), "b")
        .unwrap();
    sync(&mut a, &mut b).diff.apply_to(&mut copy);
    assert_eq!(
        a.update(&copy, &Base::Last, "a").unwrap().changes,
        [],
        "equal to the present is no edit"
    );
    copy.nodes.retain(|node| node.id != "new");
    a.update(&copy, &Base::Last, "a").unwrap();
    assert_eq!(ids(&a.canvas().nodes), ["a", "b"]);
}

#[test]
fn updates_from_one_old_base_take_few_actors_and_leave_few_heads() {
    for named in [true, false] {
        let (mut a, mut b) = pair(TWO);
        let base = a.version();
        let mut copy = a.canvas();
        let mut actors = std::collections::BTreeSet::new();
        for round in 0..20 {
            b.patch(
                &patch(&format!(r#"{{"nodes":{{"upsert":[{{"id":"r{round}"}}]}}}}"#)),
                "b",
            )
            .unwrap();
            a.apply(b.replica().changes_since(a.replica().heads().as_slice()));
            set(&mut copy, 1, "x", Value::Int(100 + round));
            set(
                &mut copy,
                0,
                "text",
                Value::String(format!("cat{}", "!".repeat(usize::try_from(round).unwrap()))),
            );
            let from = if named {
                Base::Explicit(base.clone())
            } else {
                Base::Remembered(base.clone())
            };
            let edit = a.update(&copy, &from, "a").unwrap();
            actors.extend(edit.changes.iter().map(|change| change.actor_id().clone()));
        }
        assert!(actors.len() <= 2, "{} actors", actors.len());
        assert!(a.replica().heads().as_slice().len() <= 2);
        assert_eq!(a.canvas().nodes.len(), 22);
        assert_eq!(a.canvas().nodes[1].properties["x"], Value::Int(119));
    }
}

#[test]
fn a_remembered_version_includes_own_edits_made_since() {
    let mut document = peer(1, TWO);
    let (mut old, version) = (document.canvas(), document.version());
    document
        .patch(&patch(r#"{"nodes":{"upsert":[{"id":"mine"},{"id":"b","x":7}]}}"#), "")
        .unwrap();
    document.note_returned();
    set(&mut old, 0, "x", Value::Int(5));
    let explicit = CanvasDocument::load(&document.replica().save());
    document.update(&old, &Base::Remembered(version.clone()), "").unwrap();
    assert_eq!(ids(&document.canvas().nodes), ["a", "b"], "left out of what has it");
    assert_eq!(document.canvas().nodes[1].properties["x"], Value::Int(2));
    let mut explicit = explicit.unwrap();
    explicit.set_actor(ActorId::from([9; 16]));
    explicit.update(&old, &Base::Explicit(version), "").unwrap();
    assert_eq!(ids(&explicit.canvas().nodes), ["a", "b", "mine"]);
    assert_eq!(explicit.canvas().nodes[1].properties["x"], Value::Int(7));
}

#[test]
fn conflicts_are_reported_once_with_both_values() {
    let (mut a, mut b) = pair(TWO);
    let color = |document: &mut CanvasDocument, value: i64| {
        document
            .patch(
                &patch(&format!(r#"{{"nodes":{{"upsert":[{{"id":"b","color":{value}}}]}}}}"#)),
                "",
            )
            .unwrap()
    };
    color(&mut a, 1);
    color(&mut b, 2);
    let conflicts = sync(&mut a, &mut b).conflicts;
    assert_eq!(conflicts.len(), 1);
    let [winner, loser] = [&conflicts[0].winner, &conflicts[0].loser];
    assert_eq!(a.canvas().nodes[1].properties["color"], *winner);
    assert_ne!(winner, loser);
    color(&mut b, 3);
    assert_eq!(
        sync(&mut a, &mut b).conflicts,
        [],
        "an edit that has seen both settles it"
    );
}

#[test]
fn changes_serialise_as_events_carry_them() {
    let mut document = peer(1, TWO);
    let diff = update(&mut document, |canvas| {
        canvas.nodes.remove(1);
        canvas.nodes.insert(
            0,
            Element {
                id: "n".into(),
                properties: canvas.nodes[0].properties.clone(),
            },
        );
        canvas.nodes[1].properties.remove("type");
        canvas.properties.insert("k".into(), Value::Json("[1]".into()));
    })
    .diff;
    let expected = serde_json::json!({
        "nodes": {
            "added": [{ "id": "n", "type": "text", "text": "cat", "x": 1 }],
            "updated": [{ "id": "a", "removed": ["type"] }],
            "removed": ["b"],
            "order": [{ "id": "n", "after": null }],
        },
        "edges": { "removed": ["e"] },
        "properties": { "set": { "k": [1] } },
    });
    assert_eq!(serde_json::to_value(&diff).unwrap(), expected);
}

#[test]
fn versions_are_read_and_unknown_ones_refused() {
    let mut document = peer(1, TWO);
    let before = document.version();
    document.patch(&patch(r#"{"nodes":{"remove":["a"]}}"#), "").unwrap();
    assert_eq!(document.canvas_at(&before).unwrap(), canvas(TWO));
    let unknown = Version(Heads::new(vec![ChangeHash([3; 32])]));
    assert_eq!(document.canvas_at(&unknown), Err(CanvasError::UnknownVersion));
    let error = document.update(&canvas(TWO), &Base::Explicit(unknown), "").unwrap_err();
    assert_eq!(error, CanvasError::UnknownVersion);
}

#[test]
fn a_document_of_a_newer_schema_or_another_kind_is_refused() {
    use automerge::transaction::Transactable;
    let mut document = peer(1, TWO);
    let mut tx = document.replica.doc.transaction();
    tx.put(automerge::ROOT, "schema", 2_i64).unwrap();
    tx.commit();
    let refused = CanvasDocument::load(&document.replica().save()).unwrap_err();
    assert_eq!(refused, CanvasError::SchemaTooNew { found: 2 });
    let index = crate::canvas::IndexDocument::new();
    assert!(matches!(
        CanvasDocument::load(&index.replica().save()),
        Err(CanvasError::Corrupt(_))
    ));
}
