//! Changes from elsewhere: the sound ones are applied, whatever came with them.

use automerge::transaction::{Transactable, Transaction};
use automerge::{ActorId, Automerge, Change, ChangeHash, ExpandedChange, ObjType, ROOT, ReadDoc, ScalarValue};

use crate::canvas::replica::Replica;
use crate::canvas::root::CanvasMap;
use crate::canvas::{Canvas, CanvasDocument, CanvasPatch, ChangeError, decode_change, root};
use crate::ids::Heads;

/// A replica with an actor, and a document as a peer that keeps to no rules would have it.
fn rogue(actor: &[u8]) -> Automerge {
    let mut doc = Automerge::new();
    doc.apply_changes([Change::from_bytes(root::CANVAS.bytes.to_vec()).unwrap()]).unwrap();
    doc.set_actor(ActorId::from(actor));
    doc
}

fn commit(doc: &mut Automerge, write: impl FnOnce(&mut Transaction<'_>)) -> Change {
    let mut tx = doc.transaction();
    write(&mut tx);
    let (hash, _) = tx.commit();
    doc.get_change_by_hash(&hash.unwrap()).unwrap()
}

/// The map in which a node's property, or a text, stands.
fn map(family: CanvasMap, key: &str) -> automerge::ObjId {
    replica().maps.id(family.number(key)).clone()
}

fn put(doc: &mut Automerge, key: &str, value: impl Into<ScalarValue>) -> Change {
    let object = map(CanvasMap::Nodes, key);
    commit(doc, |tx| tx.put(object, key, value).unwrap())
}

fn replica() -> Replica {
    Replica::new(&root::CANVAS)
}

#[test]
fn what_breaks_the_schema_is_refused_and_the_rest_applied() {
    type Rogue = fn(&mut Automerge) -> Change;
    let cases: [(&str, Rogue); 7] = [
        ("root", |doc| commit(doc, |tx| tx.put(ROOT, "schema", 2_i64).unwrap())),
        ("whole map", |doc| commit(doc, |tx| drop(tx.put_object(ROOT, "nodes", ObjType::Map).unwrap()))),
        ("list in a map", |doc| {
            let nodes = map(CanvasMap::Nodes, "a/x");
            commit(doc, |tx| drop(tx.put_object(nodes, "a/x", ObjType::List).unwrap()))
        }),
        ("text in the wrong map", |doc| {
            let nodes = map(CanvasMap::Nodes, "a/x");
            commit(doc, |tx| drop(tx.put_object(nodes, "a/x", ObjType::Text).unwrap()))
        }),
        ("key in another's map", |doc| {
            let nodes = map(CanvasMap::Nodes, "a/x");
            let elsewhere = ["b/x", "c/x"].into_iter().find(|key| map(CanvasMap::Nodes, key) != nodes).unwrap();
            commit(doc, |tx| tx.put(nodes, elsewhere, 1_i64).unwrap())
        }),
        ("counter", |doc| {
            put(doc, "a/x", ScalarValue::counter(1));
            let nodes = map(CanvasMap::Nodes, "a/x");
            commit(doc, |tx| tx.increment(nodes, "a/x", 1).unwrap())
        }),
        ("block in a text", |doc| {
            let texts = map(CanvasMap::Texts, "a");
            let mut text = None;
            commit(doc, |tx| text = Some(tx.put_object(texts, "a", ObjType::Text).unwrap()));
            commit(doc, |tx| drop(tx.split_block(text.unwrap(), 0).unwrap()))
        }),
    ];
    for (name, make) in cases {
        let mut doc = rogue(&[1; 16]);
        let bad = make(&mut doc);
        let after = put(&mut doc, "a/y", 1_i64);
        let good = put(&mut rogue(&[2; 16]), "b/x", 2_i64);
        let mut changes = doc.get_changes(&[]);
        changes.push(good.clone());
        let mut replica = replica();
        let taken = replica.take(changes, &|_| true);
        let rejected: Vec<_> = taken.rejected.iter().map(|(hash, _)| *hash).collect();
        assert_eq!(rejected, [bad.hash(), after.hash()], "{name}");
        assert!(replica.contains(&good.hash()), "{name}");
        assert_eq!(replica.doc.get_heads().len(), 1 + usize::from(bad.seq() > 1), "{name}");
    }
}

#[test]
fn two_changes_with_one_actor_and_number_are_told_apart() {
    let (first, second) = (put(&mut rogue(&[1; 16]), "a/x", 1_i64), put(&mut rogue(&[1; 16]), "a/x", 2_i64));
    let good = put(&mut rogue(&[2; 16]), "b/x", 2_i64);
    let mut replica = replica();
    let taken = replica.take(vec![first.clone(), second.clone(), good.clone()], &|_| true);
    assert_eq!(taken.applied, [first, good]);
    assert_eq!(taken.rejected.len(), 1);
    assert_eq!(taken.rejected[0].0, second.hash());
}

#[test]
fn any_order_will_do_but_what_is_missing_is_refused() {
    let mut doc = rogue(&[1; 16]);
    let changes: Vec<_> = (0..50).map(|value| put(&mut doc, "a/x", i64::from(value))).collect();
    let mut backwards = replica();
    assert_eq!(backwards.take(changes.iter().rev().cloned().collect(), &|_| true).applied, changes);
    let mut lacking = replica();
    let taken = lacking.take(changes[1..].to_vec(), &|_| true);
    assert_eq!((taken.applied.len(), taken.rejected.len()), (0, 49));
    assert_eq!(lacking.missing_dependencies(&changes[1]).collect::<Vec<_>>(), [changes[0].hash()]);
    assert_eq!(lacking.take(changes, &|_| true).applied.len(), 50);
}

#[test]
fn who_has_what() {
    let mut doc = rogue(&[1; 16]);
    let changes: Vec<_> = (0..20).map(|value| put(&mut doc, "a/x", i64::from(value))).collect();
    let mut replica = replica();
    assert!(replica.is_pristine());
    assert!(replica.is_covered_by(&Heads::default()), "everybody has the root");
    assert_eq!(replica.ancestors_at_powers(), []);
    replica.take(changes.clone(), &|_| true);
    let hash = |number: usize| changes[number].hash();
    assert_eq!(replica.ancestors_at_powers(), [hash(18), hash(17), hash(15), hash(11), hash(3)]);
    assert!(replica.is_covered_by(&replica.heads()));
    assert!(!replica.is_covered_by(&Heads::new(vec![hash(18)])));
    assert!(!replica.is_covered_by(&Heads::new(vec![ChangeHash([7; 32])])));
    assert_eq!(replica.changes_since(&[hash(17), ChangeHash([7; 32])]), changes[18..]);
    assert_eq!(replica.changes_since(&[]), changes);
}

#[test]
fn an_actor_that_claims_to_be_derived_and_is_not_is_refused() {
    let forged = put(&mut rogue(&[7; 32]), "a/x", 1_i64);
    assert_eq!(decode_change(forged.raw_bytes().to_vec()), Err(ChangeError::NotDerived));
    assert_eq!(replica().take(vec![forged], &|_| true).rejected.len(), 1);
    let mut document = CanvasDocument::new();
    let edit = document.create(&Canvas::from_json(r#"{"nodes":[{"id":"a","text":"t"}]}"#).unwrap(), "").unwrap();
    let bytes = edit.changes[0].raw_bytes().to_vec();
    assert_eq!(decode_change(bytes).unwrap(), edit.changes[0]);
}

#[test]
fn damaged_bytes_are_refused_and_never_panic() {
    let mut document = CanvasDocument::new();
    document.set_actor(ActorId::from([1; 16]));
    let patch = CanvasPatch::from_json(r#"{"nodes":{"upsert":[{"id":"a","text":"some text","x":1}]}}"#).unwrap();
    let bytes = document.patch(&patch, "someone").unwrap().changes[0].raw_bytes().to_vec();
    assert!(decode_change(bytes.clone()).is_ok());
    for length in 0..bytes.len() {
        assert!(decode_change(bytes[..length].to_vec()).is_err());
    }
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << bit;
            assert!(decode_change(damaged).is_err(), "byte {index}, bit {bit}");
        }
    }
    assert!(decode_change([bytes.clone(), bytes].concat()).is_err());
}

#[test]
fn compressed_changes_are_refused() {
    let mut doc = rogue(&[1; 16]);
    let mut change = put(&mut doc, "a/x", "x".repeat(10_000));
    assert!(decode_change(change.raw_bytes().to_vec()).is_ok());
    assert!(matches!(decode_change(change.bytes().to_vec()), Err(ChangeError::Malformed(_))));
}

#[test]
fn two_changes_with_one_number_are_told_as_equivocation() {
    let (mut first, mut second) = (rogue(&[9; 16]), rogue(&[9; 16]));
    let (one, other) = (put(&mut first, "a/x", 1_i64), put(&mut second, "a/x", 2_i64));
    let mut replica = replica();
    assert_eq!(replica.take(vec![one.clone()], &|_| true).applied.len(), 1);
    let taken = replica.take(vec![one, other.clone()], &|_| true);
    let [(hash, reason)] = taken.rejected.as_slice() else { panic!("{:?}", taken.rejected) };
    assert_eq!(*hash, other.hash());
    assert!(reason.starts_with("equivocation"), "{reason}");
}

#[test]
fn an_empty_change_that_leaves_numbers_out_is_refused_for_nobody_could_load_what_holds_it() {
    let empty = |start: u64| {
        Change::from(ExpandedChange {
            operations: Vec::new(),
            actor_id: ActorId::from([5; 24]),
            hash: None,
            seq: 1,
            start_op: start.try_into().unwrap(),
            time: 0,
            message: None,
            deps: Vec::new(),
            extra_bytes: Vec::new(),
            author: None,
        })
    };
    for (start, sound) in [(1, true), (4, false)] {
        let mut document = CanvasDocument::new();
        let applied = document.apply(vec![empty(start)]);
        assert_eq!(applied.rejected.is_empty(), sound, "{:?}", applied.rejected);
        CanvasDocument::load(&document.replica().save()).unwrap();
    }
}
