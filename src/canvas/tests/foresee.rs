//! Changes that are told before they are applied.

use automerge::transaction::Transactable;
use automerge::{ActorId, Change, ReadDoc};

use super::{TWO, canvas, pair, patch};
use crate::canvas::root::CanvasMap;
use crate::canvas::{Canvas, CanvasDocument};

fn changes(document: &mut CanvasDocument, json: &str) -> Vec<Change> {
    document.patch(&patch(json), "author").unwrap().changes
}

/// A change that puts values, and says of none that it overwrites another.
pub(super) fn put(document: &CanvasDocument, values: &[(&str, i64)]) -> Change {
    let replica = &document.replica;
    let mut doc = replica.doc.fork();
    doc.set_actor(ActorId::from([9; 16]));
    let mut tx = doc.transaction();
    for (key, value) in values {
        tx.put(replica.maps.id(CanvasMap::Nodes.number(key)), *key, *value).unwrap();
    }
    let (hash, _) = tx.commit();
    let mut change = doc.get_change_by_hash(&hash.unwrap()).unwrap().decode();
    for op in &mut change.operations {
        op.pred = Vec::new().into();
    }
    change.into()
}

fn told(document: &mut CanvasDocument, copy: &mut Canvas, change: &Change) {
    let diff = document.foresee(change).unwrap();
    diff.apply_to(copy);
    assert_eq!(*copy, document.canvas());
}

#[test]
fn a_move_is_told_before_it_is_applied() {
    let ((mut a, mut b), mut copy) = (pair(TWO), canvas(TWO));
    let made = changes(&mut a, r#"{"nodes":{"upsert":[{"id":"a","x":11,"color":"2"}]}}"#);
    told(&mut b, &mut copy, &made[0]);
    assert_eq!((b.version(), b.canvas()), (a.version(), a.canvas()));
    assert!(b.replica().heads() != a.replica().heads() && b.has_foretold());
    let applied = b.apply(made);
    assert!(applied.diff.is_empty() && applied.rejected.is_empty() && !b.has_foretold());
    assert_eq!((b.version(), b.canvas()), (a.version(), a.canvas()));
}

#[test]
fn what_is_concurrent_or_does_more_than_put_is_not_told() {
    for json in [
        r#"{"nodes":{"upsert":[{"id":"a","text":"T"}]}}"#,
        r#"{"nodes":{"remove":["a"]}}"#,
        r#"{"nodes":{"upsert":[{"id":"a","x":null}]}}"#,
        r#"{"nodes":{"upsert":[{"id":"c","type":"text","text":"new"}]}}"#,
    ] {
        let ((mut a, mut b), copy) = (pair(TWO), canvas(TWO));
        let made = changes(&mut a, json);
        assert!(b.foresee(&made[0]).is_none() && b.canvas() == copy && !b.has_foretold(), "{json}");
    }
    let (mut a, mut b) = pair(TWO);
    let made = changes(&mut a, r#"{"nodes":{"upsert":[{"id":"a","x":11}]}}"#);
    changes(&mut b, r#"{"nodes":{"upsert":[{"id":"a","x":12}]}}"#);
    assert!(b.foresee(&made[0]).is_none());
    let next = changes(&mut a, r#"{"nodes":{"upsert":[{"id":"a","x":13}]}}"#);
    assert!(b.foresee(&next[0]).is_none());
}

#[test]
fn what_does_not_say_what_it_overwrites_is_newer_all_the_same() {
    let ((_, mut b), mut copy) = (pair(TWO), canvas(TWO));
    let change = put(&b, &[("a/x", 5), ("a/y", 6), ("a/x", 7), ("b/x", 8)]);
    told(&mut b, &mut copy, &change);
    let applied = b.apply(vec![change]);
    assert!(applied.diff.is_empty() && applied.rejected.is_empty(), "{:?}", applied.rejected);
    assert_eq!(b.canvas(), copy);
}

#[test]
fn what_is_not_applied_after_all_is_told_as_a_difference() {
    let ((mut a, mut b), mut copy) = (pair(TWO), canvas(TWO));
    let before = b.canvas();
    let made = changes(&mut a, r#"{"nodes":{"upsert":[{"id":"a","x":11}]}}"#);
    told(&mut b, &mut copy, &made[0]);
    b.apply(Vec::new()).diff.apply_to(&mut copy);
    assert_eq!((b.canvas(), copy), (before.clone(), before));
    assert!(!b.has_foretold());
}

#[test]
fn what_was_told_of_a_document_that_is_lost_is_corrected_by_the_one_that_is_loaded() {
    let ((mut a, mut b), mut copy) = (pair(TWO), canvas(TWO));
    let saved = b.replica().save();
    let made = changes(&mut a, r#"{"nodes":{"upsert":[{"id":"a","x":11}]}}"#);
    told(&mut b, &mut copy, &made[0]);
    let told = b.take_told().unwrap();
    let restored = CanvasDocument::load(&saved).unwrap();
    told.corrected_by(&restored).apply_to(&mut copy);
    assert_eq!(copy, restored.canvas());
}
