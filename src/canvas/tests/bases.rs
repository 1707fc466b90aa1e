//! Whole canvases passed against what the application had.

use automerge::ChangeHash;

use super::*;
use crate::canvas::{CanvasError, Version};
use crate::ids::Heads;

#[test]
fn an_older_whole_canvas_deletes_nothing_that_its_author_has_not_seen() {
    let (mut a, mut b) = pair(TWO);
    let mut copy = a.canvas();
    b.patch(&patch(r#"{"nodes":{"upsert":[{"id":"new","x":9}]},"edges":{"upsert":[{"id":"f"}]}}"#), "b").unwrap();
    sync(&mut a, &mut b);
    for round in 0..3 {
        set(&mut copy, 1, "x", Value::Int(round));
        let edit = a.update(&copy, &Base::Last, "a").unwrap();
        assert!(!a.canvas_at(&edit.version).unwrap().nodes.iter().any(|node| node.id == "new"));
        assert_eq!(ids(&a.canvas().nodes), ["a", "b", "new"]);
        assert_eq!(ids(&a.canvas().edges), ["e", "f"]);
    }
}

#[test]
fn what_was_passed_in_is_deleted_when_it_is_left_out_even_if_another_had_added_it() {
    let (mut a, mut b) = pair(TWO);
    let mut copy = a.canvas();
    b.patch(&patch(r#"{"nodes":{"upsert":[{"id":"new","x":9}]}}"#), "b").unwrap();
    sync(&mut a, &mut b).diff.apply_to(&mut copy);
    assert_eq!(a.update(&copy, &Base::Last, "a").unwrap().changes, [], "equal to the present is no edit");
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
            b.patch(&patch(&format!(r#"{{"nodes":{{"upsert":[{{"id":"r{round}"}}]}}}}"#)), "b").unwrap();
            a.apply(b.replica().changes_since(a.replica().heads().as_slice()));
            set(&mut copy, 1, "x", Value::Int(100 + round));
            set(&mut copy, 0, "text", Value::String(format!("cat{}", "!".repeat(usize::try_from(round).unwrap()))));
            let from = if named { Base::Explicit(base.clone()) } else { Base::Remembered(base.clone()) };
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
    document.patch(&patch(r#"{"nodes":{"upsert":[{"id":"mine"},{"id":"b","x":7}]}}"#), "").unwrap();
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
