//! One peer: what goes in comes out, and edits mean what they say.

use super::*;
use crate::canvas::CanvasError;

#[test]
fn a_canvas_goes_in_and_comes_out_equal() {
    let json = r#"{"nodes":[{"id":"b","type":"text","text":"hi","x":1},{"id":"a/%","x":1.5,"o":{"k":[1]},"text":7},
        {"id":"__proto__","constructor":{"__proto__":null},"text":null}],
        "edges":[{"id":"e","fromNode":"a/%","toNode":"zz","from":"b","label":null}],"meta":true,"__proto__":[]}"#;
    let document = peer(1, json);
    assert_eq!(document.canvas(), canvas(json));
    assert_eq!(canvas(&document.canvas_json()), canvas(json));
    assert_eq!(CanvasDocument::load(&document.replica().save()).unwrap().canvas(), canvas(json));
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
            assert_eq!(CanvasDocument::load(&document.replica().save()).unwrap().canvas(), document.canvas());
            read += 1;
        }
    }
    assert!(read >= 7);
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
    document.patch(&patch(r#"{"nodes":{"upsert":[{"id":"a","color":"1","y":null}]}}"#), "").unwrap();
    let properties = document.canvas().nodes[1].properties.clone();
    assert_eq!(properties.into_iter().collect::<Vec<_>>(), [("color".to_owned(), Value::String("1".into()))]);
    assert_eq!(document.canvas().edges.len(), 0, "the patch does not contain the hidden edge");
}

#[test]
fn changes_serialise_as_events_carry_them() {
    let mut document = peer(1, TWO);
    let diff = update(&mut document, |canvas| {
        canvas.nodes.remove(1);
        canvas.nodes.insert(0, Element { id: "n".into(), properties: canvas.nodes[0].properties.clone() });
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
fn a_document_of_a_newer_schema_or_another_kind_is_refused() {
    use automerge::transaction::Transactable;
    let mut document = peer(1, TWO);
    let mut tx = document.replica.doc.transaction();
    tx.put(automerge::ROOT, "schema", 2_i64).unwrap();
    tx.commit();
    let refused = CanvasDocument::load(&document.replica().save()).unwrap_err();
    assert_eq!(refused, CanvasError::SchemaTooNew { found: 2 });
    let index = crate::canvas::IndexDocument::new();
    assert!(matches!(CanvasDocument::load(&index.replica().save()), Err(CanvasError::Corrupt(_))));
}
