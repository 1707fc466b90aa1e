//! Changes of which it is known what they make, before Automerge has taken them in.

use std::collections::BTreeSet;

use automerge::transaction::Transactable;
use automerge::{ActorId, Change, ReadDoc};
use proptest::prelude::*;

use super::{TWO, canvas, pair, patch, peer};
use crate::canvas::root::CanvasMap;
use crate::canvas::{Canvas, CanvasDocument, Value, chunk, decode_change};
use crate::limits::{MAX_KNOWN_WRITERS, MAX_PLAIN_BATCH_OPERATIONS, MAX_TAIL_CHANGES};

fn changes(document: &mut CanvasDocument, json: &str) -> Vec<Change> {
    document.patch(&patch(json), "author").unwrap().changes
}

fn moved(x: usize) -> String {
    format!(r#"{{"nodes":{{"upsert":[{{"id":"a","x":{x}}}]}}}}"#)
}

/// A change that puts values, made in Automerge; it says what it overwrites only if so wanted.
fn put(document: &CanvasDocument, values: &[(&str, i64)], says: bool) -> Change {
    let replica = &document.replica;
    let mut doc = replica.merged();
    doc.set_actor(ActorId::from([9; 16]));
    let mut tx = doc.transaction();
    for (key, value) in values {
        tx.put(replica.maps.id(CanvasMap::Nodes.number(key)), *key, *value).unwrap();
    }
    let (hash, _) = tx.commit();
    let mut change = doc.get_change_by_hash(&hash.unwrap()).unwrap().decode();
    if !says {
        for op in &mut change.operations {
            op.pred = Vec::new().into();
        }
    }
    change.into()
}

/// Applies a change, and says whether Automerge was spared that.
fn is_plain(document: &mut CanvasDocument, change: &Change) -> bool {
    document.merge();
    let mut copy = document.canvas();
    let applied = document.apply(vec![change.clone()]);
    assert_eq!((applied.rejected.len(), applied.hashes), (0, vec![change.hash()]));
    applied.diff.apply_to(&mut copy);
    assert_eq!(document.canvas(), copy);
    let (waits, before) = (document.is_to_be_merged(), document.canvas());
    document.merge();
    assert!(!document.is_lost());
    assert_eq!(CanvasDocument::load(&document.replica().save()).unwrap().canvas(), before);
    waits
}

#[test]
fn own_edits_are_the_changes_that_transactions_make() {
    let edits: [(&str, &[(&str, i64)]); 3] = [
        (r#"{"nodes":{"upsert":[{"id":"a","x":5}]}}"#, &[("a/x", 5)]),
        (r#"{"nodes":{"upsert":[{"id":"a","x":6,"y":-1}]}}"#, &[("a/x", 6), ("a/y", -1)]),
        (r#"{"nodes":{"upsert":[{"id":"b","width":7}]}}"#, &[("b/width", 7)]),
    ];
    let mut document = peer(9, TWO);
    for (json, values) in edits {
        let mut made = put(&document, values, true).decode();
        made.message = Some("author".to_owned());
        let composed = changes(&mut document, json);
        assert!(document.is_to_be_merged());
        assert_eq!(composed[0].raw_bytes(), Change::from(made).raw_bytes(), "{json}");
    }
}

#[test]
fn moves_and_other_properties_are_plain_also_on_the_other_side() {
    let (mut a, mut b) = pair(TWO);
    for json in [
        moved(11),
        moved(12),
        r#"{"nodes":{"upsert":[{"id":"a","x":13,"color":"2","new":true}]}}"#.to_owned(),
        r#"{"nodes":{"upsert":[{"id":"f","type":"file","file":"x.md","x":0,"y":0,"width":1,"height":1}]}}"#.to_owned(),
        r#"{"edges":{"upsert":[{"id":"e","fromNode":"a","toNode":"f"}]}}"#.to_owned(),
        r#"{"properties":{"title":"plan"}}"#.to_owned(),
    ] {
        a.merge();
        let made = changes(&mut a, &json);
        assert!(a.is_to_be_merged(), "{json}");
        assert!(is_plain(&mut b, &made[0]), "{json}");
        assert_eq!((b.version(), b.canvas()), (a.version(), a.canvas()), "{json}");
    }
}

#[test]
fn what_does_more_than_put_is_not_plain() {
    for json in [
        r#"{"nodes":{"upsert":[{"id":"a","text":"T"}]}}"#,
        r#"{"nodes":{"remove":["a"]}}"#,
        r#"{"nodes":{"upsert":[{"id":"a","x":null}]}}"#,
        r#"{"nodes":{"upsert":[{"id":"c","type":"text","text":"new"}]}}"#,
    ] {
        let (mut a, mut b) = pair(TWO);
        let made = changes(&mut a, json);
        assert!(!a.is_to_be_merged() && !is_plain(&mut b, &made[0]), "{json}");
        assert_eq!(a.canvas(), b.canvas());
    }
    let (mut a, _) = pair(TWO);
    let mut twice = patch(&moved(14));
    twice.nodes.upsert.extend(patch(&moved(15)).nodes.upsert);
    a.patch(&twice, "author").unwrap();
    assert!(!a.is_to_be_merged());
}

#[test]
fn what_is_concurrent_is_plain_but_at_the_same_key() {
    let (mut a, mut b) = pair(TWO);
    changes(&mut b, r#"{"nodes":{"upsert":[{"id":"b","x":1}]}}"#);
    let made = changes(&mut a, &moved(11));
    assert!(is_plain(&mut b, &made[0]));
    assert_eq!(b.replica().heads().as_slice().len(), 2);
    let made = changes(&mut b, r#"{"nodes":{"upsert":[{"id":"b","x":2}]}}"#);
    assert_eq!(made[0].deps().len(), 2, "it is made on top of both");
    changes(&mut b, &moved(12));
    let made = changes(&mut a, &moved(13));
    assert!(!is_plain(&mut b, &made[0]), "there are two values now");
    assert!(!is_plain(&mut b, &changes(&mut a, &moved(14))[0]));
}

#[test]
fn what_does_not_say_what_it_overwrites_stands_beside_that() {
    let (mut a, mut b) = pair(TWO);
    let change = put(&b, &[("a/x", 5), ("a/y", 6)], false);
    assert!(!is_plain(&mut b, &change));
    let change = put(&a, &[("a/x", 5)], true);
    assert!(is_plain(&mut a, &change));
    b.merge();
    changes(&mut b, &moved(13));
    assert!(!b.is_to_be_merged(), "two values stood there");
    changes(&mut b, &moved(14));
    assert!(b.is_to_be_merged());
}

/// What a document makes of a change that would be plain, were it not for something hidden in it: nothing, and it goes on.
fn is_refused(document: &mut CanvasDocument, bad: &Change) {
    let before = document.canvas();
    let applied = document.apply(vec![bad.clone()]);
    assert_eq!(applied.rejected.iter().map(|(hash, _)| *hash).collect::<Vec<_>>(), [bad.hash()]);
    assert!(applied.hashes.is_empty() && applied.diff.is_empty() && document.canvas() == before);
    document.merge();
    assert!(!document.is_lost() && !document.replica().contains(&bad.hash()));
    changes(document, &moved(99));
    assert!(document.is_to_be_merged());
}

#[test]
fn what_follows_the_operations_is_left_to_automerge() {
    let (_, mut b) = pair(TWO);
    let first = put(&b, &[("a/x", 5)], true);
    b.apply(vec![first]);
    let mut second = put(&b, &[("a/x", 6)], true).decode();
    second.extra_bytes = vec![1, 2, 3];
    assert!(!is_plain(&mut b, &Change::from(second)));
    // What Automerge takes for the name of an author may only come with an actor's first change; it panics over others.
    let mut third = put(&b, &[("a/x", 7)], true).decode();
    third.extra_bytes = vec![1, 0];
    is_refused(&mut b, &Change::from(third));
}

#[test]
fn what_names_an_actor_that_it_does_not_list_is_refused() {
    let (mut a, mut b) = pair(TWO);
    b.apply(changes(&mut a, &moved(11)));
    let good = put(&b, &[("a/x", 12)], true);
    let (kind, body) = chunk::split(good.raw_bytes()).unwrap();
    // The first of the other actors, whose number comes before it; without it the last index leads nowhere.
    let listed: Vec<u8> = [16].into_iter().chain([1; 16]).collect();
    let at = body.windows(listed.len()).position(|part| part == listed).unwrap();
    let unlisted = [&body[..at - 1], &[body[at - 1] - 1], &body[at + listed.len()..]].concat();
    let bad = decode_change(chunk::join(kind, &unlisted)).unwrap();
    is_refused(&mut b, &bad);
}

#[test]
fn what_waits_is_taken_in_when_it_is_much_or_anything_needs_it() {
    let (mut a, mut b) = pair(TWO);
    let (old, heads) = (a.version(), a.replica().heads());
    for x in 0..=MAX_TAIL_CHANGES {
        changes(&mut a, &moved(x + 1_000));
    }
    let since = a.replica().changes_since(heads.as_slice());
    assert_eq!(since.len(), MAX_TAIL_CHANGES + 1);
    let part = &since[..since.len() - 1];
    assert_eq!(a.replica().changes_since(&[part[part.len() - 1].hash()]), &since[part.len()..]);
    assert!(b.apply(since).rejected.is_empty());
    assert_eq!((a.canvas(), a.replica().save().len()), (b.canvas(), b.replica().save().len()));
    assert!(a.is_to_be_merged() && a.canvas_at(&old).unwrap() == canvas(TWO) && !a.is_to_be_merged());
    let mut fields = patch(&moved(1));
    for id in 0..=MAX_KNOWN_WRITERS {
        fields.nodes.upsert[0].properties.insert(format!("p{id}"), Value::Int(1));
        if fields.nodes.upsert[0].properties.len() == 60 {
            a.patch(&fields, "author").unwrap();
            fields = patch(&moved(id + 100));
        }
    }
    assert_eq!(CanvasDocument::load(&a.replica().save()).unwrap().canvas(), a.canvas());
}

#[test]
fn what_two_edited_apart_is_plain_when_it_comes_together() {
    const EACH: usize = 1_100;
    let (mut a, mut b) = pair(TWO);
    let theirs: Vec<Change> = (0..EACH).flat_map(|x| changes(&mut a, &moved(x + 10))).collect();
    for x in 0..EACH {
        changes(&mut b, &format!(r#"{{"nodes":{{"upsert":[{{"id":"b","x":{x}}}]}}}}"#));
    }
    b.merge();
    let mut copy = b.canvas();
    let applied = b.apply(theirs.clone());
    assert_eq!(applied.hashes, theirs.iter().map(Change::hash).collect::<Vec<_>>());
    applied.diff.apply_to(&mut copy);
    assert!(b.is_to_be_merged() && copy == b.canvas());
    assert_eq!(b.canvas().nodes[0].properties["x"], Value::Int(1_109));
    // What goes on from there knows what wrote last, whoever does.
    assert_eq!(changes(&mut b, &moved(1))[0].deps().len(), 2);
    assert!(b.apply(changes(&mut a, r#"{"nodes":{"upsert":[{"id":"a","y":3}]}}"#)).rejected.is_empty());
    assert!(b.is_to_be_merged());
    let before = b.canvas();
    b.merge();
    assert!(!b.is_lost());
    assert_eq!(CanvasDocument::load(&b.replica().save()).unwrap().canvas(), before);
}

#[test]
fn more_than_a_message_brings_is_given_to_automerge() {
    let (mut a, mut b) = pair(TWO);
    let two = |x: usize| format!(r#"{{"nodes":{{"upsert":[{{"id":"a","x":{x},"y":{x}}}]}}}}"#);
    let mut all: Vec<Change> =
        (10..).take(MAX_PLAIN_BATCH_OPERATIONS / 2 + 1).flat_map(|x| changes(&mut a, &two(x))).collect();
    let last = all.split_off(all.len() - 1);
    let mut c = peer(3, TWO);
    c.apply(all.clone());
    assert!(c.is_to_be_merged());
    b.apply(all.into_iter().chain(last.clone()).collect());
    assert!(!b.is_to_be_merged());
    c.apply(last);
    assert_eq!((b.canvas(), b.replica().heads()), (c.canvas(), c.replica().heads()));
}

#[test]
fn what_was_told_of_a_document_that_is_lost_is_corrected_by_the_one_that_is_loaded() {
    let (mut a, _) = pair(TWO);
    let mut copy = a.canvas();
    let saved = a.replica().save();
    a.patch(&patch(&moved(11)), "author").unwrap().diff.apply_to(&mut copy);
    // Automerge, of which everything is gone, cannot take in what waits.
    a.replica.doc = crate::canvas::replica::empty().into();
    a.merge();
    assert!(a.is_lost());
    assert_eq!(a.take_refused().len(), 1);
    let told = a.take_told().unwrap();
    let restored = CanvasDocument::load(&saved).unwrap();
    told.corrected_by(&restored).apply_to(&mut copy);
    assert_eq!(copy, restored.canvas());
}

#[derive(Debug, Clone)]
enum Action {
    Patch(usize, usize),
    Hear(usize, usize),
    Merge(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0..3_usize, 0..PATCHES.len()).prop_map(|(who, what)| Action::Patch(who, what)),
        3 => (0..3_usize, 0..3_usize).prop_map(|(who, whom)| Action::Hear(who, whom)),
        1 => (0..3_usize).prop_map(Action::Merge),
    ]
}

const PATCHES: [&str; 9] = [
    r#"{"nodes":{"upsert":[{"id":"a","x":#}]}}"#,
    r#"{"nodes":{"upsert":[{"id":"a","x":#,"y":#}]}}"#,
    r#"{"nodes":{"upsert":[{"id":"b","x":#}]}}"#,
    r##"{"nodes":{"upsert":[{"id":"b","color":"#"}]}}"##,
    r#"{"nodes":{"upsert":[{"id":"a","text":"text #"}]}}"#,
    r##"{"nodes":{"upsert":[{"id":"c","type":"file","file":"#"}]}}"##,
    r#"{"nodes":{"remove":["c"]}}"#,
    r##"{"edges":{"upsert":[{"id":"e","fromNode":"a","toNode":"c","label":"#"}]}}"##,
    r#"{"properties":{"p":#}}"#,
];

proptest! {
    /// Each of three peers has a twin that has Automerge take in everything at once, and sees the same at every step.
    #[test]
    fn it_makes_no_difference_when_automerge_takes_changes_in(
        actions in prop::collection::vec(action(), 1..60),
        size in 1..8_usize,
    ) {
        let peers = || [1, 2, 3].map(|number| peer(number, TWO));
        let (mut lazy, mut eager): ([CanvasDocument; 3], [CanvasDocument; 3]) = (peers(), peers());
        let mut copies: [Canvas; 3] = [1, 2, 3].map(|_| canvas(TWO));
        for (step, action) in actions.into_iter().enumerate() {
            let who = match action {
                Action::Patch(who, what) => {
                    let patch = patch(&PATCHES[what].replace('#', &step.to_string()));
                    let (one, other) = (lazy[who].patch(&patch, "p").unwrap(), eager[who].patch(&patch, "p").unwrap());
                    prop_assert_eq!(&one.diff, &other.diff);
                    prop_assert_eq!((one.changes, one.version, one.content), (other.changes, other.version, other.content));
                    one.diff.apply_to(&mut copies[who]);
                    who
                }
                Action::Hear(who, whom) => {
                    let news = lazy[whom].replica().changes_since(lazy[who].replica().heads().as_slice());
                    for together in news.chunks(size) {
                        let one = lazy[who].apply(together.to_vec());
                        let other = eager[who].apply_at_once(together.to_vec());
                        prop_assert_eq!(&one.diff, &other.diff);
                        prop_assert_eq!((one.hashes, one.rejected, one.conflicts), (other.hashes, other.rejected, other.conflicts));
                        one.diff.apply_to(&mut copies[who]);
                    }
                    who
                }
                Action::Merge(who) => {
                    lazy[who].merge();
                    who
                }
            };
            eager[who].merge();
            prop_assert!(!lazy[who].is_lost() && !eager[who].is_lost());
            prop_assert_eq!(lazy[who].canvas(), eager[who].canvas());
            prop_assert_eq!(&copies[who], &lazy[who].canvas());
            prop_assert_eq!(lazy[who].replica().heads(), eager[who].replica().heads());
        }
        for (one, other) in lazy.iter().zip(&eager) {
            let all = |document: &CanvasDocument| -> BTreeSet<_> {
                CanvasDocument::load(&document.replica().save()).unwrap().replica().history().iter().copied().collect()
            };
            prop_assert!(all(one) == all(other));
            prop_assert_eq!(CanvasDocument::load(&one.replica().save()).unwrap().canvas(), one.canvas());
        }
    }
}
