//! Own edits that leave before the document has them.

use automerge::Change;

use super::foresee::put;
use super::{TWO, pair, patch};
use crate::canvas::{CanvasDocument, Seen, Version, Written};
use crate::ids::Heads;

/// Patches, and says whether the change was composed.
fn write(document: &mut CanvasDocument, json: &str) -> (Written, bool) {
    let written = document.write_patch(&patch(json), &Seen::Unknown, "author", true).unwrap();
    let composed = written.composed;
    let held = written.changes.iter().all(|change| document.replica().contains(&change.hash()));
    assert_eq!(held, !composed, "{json}");
    let heads = Heads::new(written.changes.iter().map(Change::hash).collect());
    assert_eq!(document.version(), Version(heads));
    assert!(!document.read_back().damaged && document.version().0 == document.replica().heads());
    (written, composed)
}

#[test]
fn the_second_move_of_a_node_is_composed_and_is_the_change_that_a_transaction_makes() {
    let (mut a, mut b) = pair(TWO);
    let heads = a.replica().heads();
    for (number, composed) in [(11, false), (12, true), (13, true)] {
        let json = format!(r#"{{"nodes":{{"upsert":[{{"id":"a","x":{number},"y":-{number}}}]}}}}"#);
        assert_eq!(write(&mut a, &json).1, composed, "{number}");
    }
    let changes = a.replica().changes_since(heads.as_slice());
    b.set_actor(changes[0].actor_id().clone());
    for change in &changes {
        let json = format!(r#"{{"nodes":{{"upsert":[{{"id":"a","x":{},"y":-{0}}}]}}}}"#, change.seq() + 10);
        assert_eq!(b.patch(&patch(&json), "author").unwrap().changes[0].raw_bytes(), change.raw_bytes());
    }
    assert_eq!(a.canvas(), b.canvas());
}

#[test]
fn what_others_moved_can_be_composed_and_what_is_concurrent_cannot() {
    let (mut a, mut b) = pair(TWO);
    let moved = |x: u64| format!(r#"{{"nodes":{{"upsert":[{{"id":"a","x":{x}}}]}}}}"#);
    let (first, _) = write(&mut a, &moved(11));
    b.apply(first.changes);
    let (second, composed) = write(&mut b, &moved(12));
    assert!(composed);
    let (third, composed) = write(&mut a, &moved(13));
    assert!(composed);
    a.apply(second.changes);
    b.apply(third.changes);
    assert_eq!(a.canvas(), b.canvas());
    let (merged, composed) = write(&mut a, &moved(14));
    assert!(!composed, "two values stand there");
    b.apply(merged.changes);
    assert!(write(&mut b, &moved(15)).1);
}

#[test]
fn what_was_written_beside_another_branch_is_not_known_when_both_meet() {
    let moved = |x: u64| format!(r#"{{"nodes":{{"upsert":[{{"id":"a","x":{x}}}]}}}}"#);
    let coloured = r#"{"nodes":{"upsert":[{"id":"b","x":5}]}}"#;
    let (mut a, mut b) = pair(TWO);
    let mut c = CanvasDocument::load(&b.replica().save()).unwrap();
    let beside = write(&mut a, &moved(11)).0.changes;
    let mut there = write(&mut b, &moved(12)).0.changes;
    there.extend(write(&mut b, coloured).0.changes);
    for change in beside.into_iter().chain(there.clone()) {
        c.apply(vec![change]);
    }
    a.apply(there);
    let met = write(&mut a, r#"{"nodes":{"upsert":[{"id":"b","x":6}]}}"#).0.changes;
    c.set_actor([3; 16].into());
    c.apply(met);
    assert!(!write(&mut c, &moved(13)).1, "two values stand there");
    assert!(write(&mut c, &moved(14)).1);
}

#[test]
fn taking_turns_all_is_composed_and_told_ahead() {
    let (mut a, mut b) = pair(TWO);
    for round in 0..4 {
        for (x, y) in [(0, 1), (2, 3)] {
            let (from, to) = if x == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
            for number in [x, y] {
                let json = format!(r#"{{"nodes":{{"upsert":[{{"id":"a","x":{}}}]}}}}"#, 10 + 4 * round + number);
                let (written, composed) = write(from, &json);
                assert!(composed, "{json}");
                assert!(to.foresee(&written.changes[0]).is_some(), "{json}");
                assert!(to.apply(written.changes).diff.is_empty() && to.canvas() == from.canvas());
            }
        }
    }
    assert_eq!(a.replica().heads(), b.replica().heads());
}

#[test]
fn what_does_not_stand_alone_is_not_overwritten_blindly() {
    let (mut a, _) = pair(TWO);
    let moved = |x: u64| format!(r#"{{"nodes":{{"upsert":[{{"id":"a","x":{x}}}]}}}}"#);
    write(&mut a, &moved(11));
    // Says of nothing that it overwrites it: the earlier values stand beside its own.
    let applied = a.apply(vec![put(&a, &[("a/x", 12)])]);
    assert!(applied.rejected.is_empty());
    assert!(!write(&mut a, &moved(13)).1);
    assert!(write(&mut a, &moved(14)).1);
}

#[test]
fn what_is_more_than_puts_is_not_composed() {
    let (mut a, _) = pair(TWO);
    for json in [
        r#"{"nodes":{"upsert":[{"id":"a","x":11,"color":"1"}]}}"#,
        r#"{"nodes":{"upsert":[{"id":"a","x":12,"color":"2"}]}}"#,
        r#"{"nodes":{"upsert":[{"id":"a","x":null}]}}"#,
        r#"{"nodes":{"upsert":[{"id":"a","x":13,"text":"T"}]}}"#,
        r#"{"nodes":{"remove":["a"]}}"#,
    ] {
        assert!(!write(&mut a, json).1, "{json}");
    }
    let (mut a, _) = pair(TWO);
    let mut twice = patch(r#"{"nodes":{"upsert":[{"id":"a","x":14}]}}"#);
    twice.nodes.upsert.extend(patch(r#"{"nodes":{"upsert":[{"id":"a","x":15}]}}"#).nodes.upsert);
    assert!(!a.write_patch(&twice, &Seen::Unknown, "author", true).unwrap().composed && !a.read_back().damaged);
}
