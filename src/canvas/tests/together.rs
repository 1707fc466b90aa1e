//! Two peers that edit at the same time.

use super::*;

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
        set(canvas, 0, "text", Value::String("cat purrs".into()));
    });
    update(&mut b, |canvas| {
        set(canvas, 0, "text", Value::String("dog barks".into()));
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
    assert!(reported.conflicts.iter().any(|conflict| conflict.property == "text" && conflict.id == "a"));
    let heads = a.replica().heads();
    sync(&mut a, &mut b);
    assert_eq!((text_of(&a, 0), a.replica().heads()), (text, heads));
}

#[test]
fn texts_merge_by_character() {
    let (mut a, mut b) = pair(TWO);
    update(&mut a, |canvas| set(canvas, 0, "text", Value::String("the cat".into())));
    b.patch(&patch(r#"{"nodes":{"upsert":[{"id":"a","text":"cat sat"}]}}"#), "b").unwrap();
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
        assert_eq!(a.canvas().edges.len(), usize::from(survives), "the edge goes and stays with its node");
    }
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
fn conflicts_are_reported_once_with_both_values() {
    let (mut a, mut b) = pair(TWO);
    let color = |document: &mut CanvasDocument, value: i64| {
        document.patch(&patch(&format!(r#"{{"nodes":{{"upsert":[{{"id":"b","color":{value}}}]}}}}"#)), "").unwrap()
    };
    color(&mut a, 1);
    color(&mut b, 2);
    let conflicts = sync(&mut a, &mut b).conflicts;
    assert_eq!(conflicts.len(), 1);
    let [winner, loser] = [&conflicts[0].winner, &conflicts[0].loser];
    assert_eq!(a.canvas().nodes[1].properties["color"], *winner);
    assert_ne!(winner, loser);
    color(&mut b, 3);
    assert_eq!(sync(&mut a, &mut b).conflicts, [], "an edit that has seen both settles it");
}
