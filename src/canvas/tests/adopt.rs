//! A whole document that is taken over is the one that its changes make.

use std::collections::BTreeSet;
use std::ops::Range;

use automerge::ActorId;
use hexane::{DeltaEncoder, Encoder, EncoderApi};
use proptest::prelude::*;

use super::mutation::{Mutation, mutations};
use super::{TWO, pair, patch, peer, set, sync, text_of, update};
use crate::canvas::canonical::check;
use crate::canvas::chunk::{self, DOCUMENT, read_uleb, take_bytes};
use crate::canvas::replica::Replica;
use crate::canvas::tables::{Id, Key, Tables};
use crate::canvas::unread::{Document, Unread};
use crate::canvas::{Base, CanvasDocument, Value, WholeCanvas, root};

/// Takes over what a document saves, and compares with applying its changes.
pub(super) fn adopted(document: &CanvasDocument) -> CanvasDocument {
    let saved = document.replica().save();
    let whole = WholeCanvas::load(&saved).unwrap();
    assert_eq!(whole.unusual(), None);
    let (mut fast, mut slow) = (CanvasDocument::new(), CanvasDocument::new());
    for document in [&mut fast, &mut slow] {
        document.set_actor(ActorId::from([99; 24]));
        assert!(document.may_adopt(&whole));
    }
    let expected = slow.apply(whole.replica().changes_since(&[]));
    let got = fast.adopt(whole);
    assert_eq!(format!("{got:?}"), format!("{expected:?}"));
    assert_eq!(fast.view, slow.view);
    assert_eq!(fast.replica().heads(), document.replica().heads());
    assert!(are_same(fast.replica(), slow.replica()));
    assert_eq!(fast.replica().history(), slow.replica().history());
    for (actor, newest) in slow.replica().newest_of_actors() {
        assert_eq!(fast.replica().newest_of_actors().get(actor), Some(newest));
    }
    for document in [&mut fast, &mut slow] {
        document.patch(&patch(r#"{"nodes":{"upsert":[{"id":"new","text":"one more","x":7}]}}"#), "").unwrap();
    }
    assert!(are_same(fast.replica(), slow.replica()));
    fast
}

/// Whether two documents hold the same changes, and the same operations in the same order. (In which order Automerge lists
/// changes depends on which came together.)
fn are_same(one: &Replica, other: &Replica) -> bool {
    let hashes = |replica: &Replica| replica.history().iter().copied().collect::<BTreeSet<_>>();
    one.heads() == other.heads() && hashes(one) == hashes(other) && rows_of(&one.save()) == rows_of(&other.save())
}

/// A document with what two have done at the same time: to one property, to one text, and to what the other deleted.
fn rich() -> CanvasDocument {
    let (mut a, mut b) = pair(TWO);
    for (document, x, text) in [(&mut a, 5, "the cat sat"), (&mut b, 6, "fat cats")] {
        update(document, |canvas| {
            set(canvas, 0, "x", Value::Int(x));
            set(canvas, 0, "text", Value::String(text.into()));
            set(canvas, 0, "more", Value::Json(r#"{"a":[1.5]}"#.into()));
        });
    }
    update(&mut b, |canvas| canvas.nodes.truncate(1));
    sync(&mut a, &mut b);
    update(&mut a, |canvas| {
        set(canvas, 0, "text", Value::String("fat cats sit".into()));
        canvas.nodes[0].properties.remove("more");
    });
    a
}

#[test]
fn what_is_taken_over_is_what_its_changes_make() {
    adopted(&CanvasDocument::new());
    adopted(&peer(1, TWO));
    let document = rich();
    let mut taken_over = adopted(&document);
    let mut other = adopted(&document);
    update(&mut other, |canvas| set(canvas, 0, "text", Value::String("cats".into())));
    sync(&mut taken_over, &mut other);
    assert!(text_of(&taken_over, 0).contains("cats"));
}

#[test]
fn what_is_taken_over_is_read_when_more_is_asked_than_is_known() {
    let document = rich();
    let saved = document.replica().save();
    let mut taken_over = CanvasDocument::new();
    taken_over.set_actor(ActorId::from([99; 24]));
    taken_over.adopt(WholeCanvas::load(&saved).unwrap());
    let (own, other) = (taken_over.replica(), document.replica());
    assert_eq!(taken_over.canvas(), document.canvas());
    assert_eq!((own.heads(), own.save(), own.head_actors()), (other.heads(), other.save(), other.head_actors()));
    assert!(own.contains_all(other.history()) && own.is_covered_by(&other.heads()));
    assert!(own.doc.is_unread() && taken_over.is_to_be_merged());
    taken_over.merge();
    assert!(!taken_over.is_to_be_merged() && !taken_over.is_lost());
    assert_eq!(*taken_over.replica().doc.get_actor(), ActorId::from([99; 24]));
    assert_eq!(taken_over.replica().save(), saved);
}

/// None is known. All that is not looked at here is what Automerge makes of the hashes, and of memory that runs out.
#[test]
fn what_automerge_cannot_read_after_all_is_taken_back() {
    let saved = rich().replica().save();
    let mut document = CanvasDocument::new();
    let mut copy = document.canvas();
    document.adopt(WholeCanvas::load(&saved).unwrap()).diff.apply_to(&mut copy);
    let mut bytes = saved.clone();
    bytes[5] ^= 1;
    let (heads, hashes) = (document.replica().doc.heads(), document.replica().history().iter().copied().collect());
    document.replica.doc = Document::later(Unread { bytes, heads, hashes, actor: None });
    assert!(!document.is_lost() && !copy.nodes.is_empty());
    document.merge();
    assert!(document.is_lost());
    document.take_told().unwrap().corrected_by(&CanvasDocument::new()).apply_to(&mut copy);
    assert_eq!(copy, CanvasDocument::new().canvas());
}

#[test]
fn a_chunk_that_was_damaged_on_the_way_is_none() {
    let mut saved = rich().replica().save();
    saved[5] ^= 1;
    assert!(WholeCanvas::load(&saved).is_err());
}

#[test]
fn only_who_has_nothing_takes_over_a_document() {
    let whole = WholeCanvas::load(&rich().replica().save()).unwrap();
    let mut own = CanvasDocument::new();
    own.set_actor(ActorId::from([1; 16]));
    assert!(!own.may_adopt(&whole), "some of it is its own");
    assert!(!peer(3, TWO).may_adopt(&whole));
}

// ---- chunks that somebody has put together ------------------------------------------------------------------------

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    object: Option<Id>,
    key: (Option<String>, Option<Id>),
    id: Id,
    insert: bool,
    action: u64,
    meta: u64,
    value: Vec<u8>,
    successors: Vec<Id>,
}

/// Automerge's name of the place before the first element.
const HEAD: Id = Id { counter: 0, actor: 0 };

fn rows_of(bytes: &[u8]) -> Vec<Row> {
    let tables = Tables::read(bytes).unwrap();
    let (mut operations, mut successors) = (tables.operations(), tables.successors());
    let mut rows = Vec::new();
    while let Some(row) = operations.next().unwrap() {
        let key = match row.key {
            Key::Map(name) => (Some(name.to_owned()), None),
            Key::Head => (None, Some(HEAD)),
            Key::Element(id) => (None, Some(id)),
        };
        rows.push(Row {
            object: row.object,
            key,
            id: row.id,
            insert: row.insert,
            action: row.action,
            meta: row.value_type | (row.value.len() as u64) << 4,
            value: row.value.to_vec(),
            successors: (0..row.successors).map(|_| successors.expect().unwrap()).collect(),
        });
    }
    rows
}

/// The chunk with other operations.
fn with_rows(bytes: &[u8], rows: &[Row]) -> Vec<u8> {
    let (_, body) = chunk::split(bytes).unwrap();
    let mut rest = body;
    for _ in 0..read_uleb(&mut rest).unwrap() {
        take_bytes(&mut rest).unwrap();
    }
    let heads = usize::try_from(read_uleb(&mut rest).unwrap()).unwrap();
    rest = &rest[heads * 32..];
    let prefix = body.len() - rest.len();
    let (changes, operations, data) = chunk::read_columns_of_document(&body[prefix - heads * 32 - 1..]).unwrap();
    let lengths = |columns: &chunk::Columns| columns.iter().map(|(_, length)| length).sum::<usize>();
    let change_columns = &data[..lengths(&changes)];
    let suffix = &data[lengths(&changes) + lengths(&operations)..];
    let (list, columns) = encode(rows);
    let mut out = body[..prefix].to_vec();
    write_columns(&changes, &mut out);
    write_columns(&list, &mut out);
    for part in [change_columns, &columns, suffix] {
        out.extend_from_slice(part);
    }
    chunk::join(DOCUMENT, &out)
}

fn write_columns(columns: &chunk::Columns, out: &mut Vec<u8>) {
    chunk::write_uleb(columns.len() as u64, out);
    for (specification, length) in columns {
        chunk::write_uleb(*specification, out);
        chunk::write_uleb(*length as u64, out);
    }
}

fn encode(rows: &[Row]) -> (chunk::Columns, Vec<u8>) {
    let mut data = Vec::new();
    let mut list: chunk::Columns = Vec::new();
    let mut note = |specification, range: Range<usize>| {
        if !range.is_empty() {
            list.push((specification, range.len()));
        }
    };
    let actor = |id: Id| u64::from(id.actor);
    let object = || rows.iter().map(|row| row.object);
    note(0x01, Encoder::<Option<u64>>::encode_to_unless(&mut data, object().map(|id| id.map(actor)), None));
    let counters = object().map(|id| id.map(|id| u64::from(id.counter)));
    note(0x02, Encoder::<Option<u64>>::encode_to_unless(&mut data, counters, None));
    let element = || rows.iter().map(|row| row.key.1);
    let actors = element().map(|id| id.filter(|id| id.counter > 0).map(actor));
    note(0x11, Encoder::<Option<u64>>::encode_to_unless(&mut data, actors, None));
    let counters = element().map(|id| id.map(|id| i64::from(id.counter)));
    note(0x13, DeltaEncoder::<Option<i64>>::encode_to_unless(&mut data, counters, None));
    let names = rows.iter().map(|row| row.key.0.as_deref());
    note(0x15, Encoder::<Option<String>>::encode_to_unless(&mut data, names, None));
    note(0x21, Encoder::<u64>::encode_to(&mut data, rows.iter().map(|row| actor(row.id))));
    note(0x23, DeltaEncoder::<i64>::encode_to(&mut data, rows.iter().map(|row| i64::from(row.id.counter))));
    note(0x34, Encoder::<bool>::encode_to(&mut data, rows.iter().map(|row| row.insert)));
    note(0x42, Encoder::<u64>::encode_to(&mut data, rows.iter().map(|row| row.action)));
    note(0x56, Encoder::<u64>::encode_to(&mut data, rows.iter().map(|row| row.meta)));
    let start = data.len();
    data.extend(rows.iter().flat_map(|row| row.value.iter()));
    note(0x57, start..data.len());
    note(0x80, Encoder::<u64>::encode_to(&mut data, rows.iter().map(|row| row.successors.len() as u64)));
    let successors = || rows.iter().flat_map(|row| row.successors.iter());
    note(0x81, Encoder::<u64>::encode_to(&mut data, successors().map(|id| actor(*id))));
    note(0x83, DeltaEncoder::<i64>::encode_to(&mut data, successors().map(|id| i64::from(id.counter))));
    (list, data)
}

/// Why a chunk with these operations is not taken over, if it is not.
fn unusual(bytes: &[u8], rows: &[Row]) -> Option<&'static str> {
    let chunk = with_rows(bytes, rows);
    let replica = Replica::new(&root::CANVAS);
    Tables::read(&chunk).and_then(|tables| check(&tables, &root::CANVAS, &replica.maps)).err()
}

#[test]
fn whatever_is_put_in_another_order_is_not_taken_over() {
    let bytes = rich().replica().save();
    let rows = rows_of(&bytes);
    assert_eq!(with_rows(&bytes, &rows), bytes);
    // Other values would win, and characters stand elsewhere, in the same changes with the same hashes.
    let (mut loaded, mut shown) = (0, 0);
    let canvas = CanvasDocument::load(&bytes).unwrap().canvas();
    for from in 450..rows.len() {
        for to in [from + 1, from + 2, from + 7] {
            let mut others = rows.clone();
            if to >= rows.len() {
                continue;
            }
            others.swap(from, to);
            assert!(unusual(&bytes, &others).is_some(), "{from} {to}");
            if let Ok(other) = CanvasDocument::load(&with_rows(&bytes, &others)) {
                loaded += 1;
                shown += usize::from(other.canvas() != canvas);
            }
        }
    }
    assert!(loaded > 20 && shown > 5, "{loaded} were loaded, {shown} show something else");
}

#[test]
fn what_no_change_has_is_not_taken_over() {
    let bytes = rich().replica().save();
    let rows = rows_of(&bytes);
    let highest = rows.iter().flat_map(|row| row.successors.iter().chain([&row.id])).max().copied().unwrap();
    let nobodys = Id { counter: highest.counter + 1, ..highest };
    let last_put = rows.iter().rposition(|row| row.action == 1 && row.key.0.is_some()).unwrap();
    let mut added = rows.clone();
    added.insert(last_put + 1, Row { id: nobodys, ..rows[last_put].clone() });
    let mut overwritten = rows.clone();
    overwritten[last_put].successors.push(nobodys);
    let mut twice = rows.clone();
    twice.insert(last_put, rows[last_put].clone());
    for (what, others) in [("added", added), ("overwritten", overwritten), ("twice", twice)] {
        assert!(unusual(&bytes, &others).is_some(), "{what}");
        let whole = WholeCanvas::load(&with_rows(&bytes, &others));
        assert!(whole.is_err() || whole.unwrap().unusual().is_some(), "{what}");
    }
}

/// What somebody does to the operations of a chunk. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Tampering {
    Swap(usize, usize),
    Move(usize, usize),
    MoveObject(usize, usize),
    Duplicate(usize, usize),
    Remove(usize),
    SwapSuccessors(usize, usize),
    AddSuccessor(usize, usize),
    AddStrangeSuccessor(usize, u32),
    RemoveSuccessor(usize, usize),
    CopyKey(usize, usize),
    CopyObject(usize, usize),
    FlipInsert(usize),
    SetAction(usize, u64),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let any = any::<usize>;
    prop_oneof![
        3 => (any(), 1..4_usize).prop_map(|(at, by)| Tampering::Swap(at, by)),
        2 => (any(), any()).prop_map(|(from, to)| Tampering::Move(from, to)),
        2 => (any(), any()).prop_map(|(from, to)| Tampering::MoveObject(from, to)),
        1 => (any(), any()).prop_map(|(from, to)| Tampering::Duplicate(from, to)),
        1 => any().prop_map(Tampering::Remove),
        2 => (any(), any()).prop_map(|(at, index)| Tampering::SwapSuccessors(at, index)),
        1 => (any(), any()).prop_map(|(at, other)| Tampering::AddSuccessor(at, other)),
        1 => (any(), 1..900_u32).prop_map(|(at, counter)| Tampering::AddStrangeSuccessor(at, counter)),
        1 => (any(), any()).prop_map(|(at, index)| Tampering::RemoveSuccessor(at, index)),
        1 => (any(), any()).prop_map(|(at, other)| Tampering::CopyKey(at, other)),
        1 => (any(), any()).prop_map(|(at, other)| Tampering::CopyObject(at, other)),
        1 => any().prop_map(Tampering::FlipInsert),
        1 => (any(), 0..8_u64).prop_map(|(at, action)| Tampering::SetAction(at, action)),
    ]
}

impl Tampering {
    fn apply_to(&self, rows: &mut Vec<Row>) {
        // The rows of the root are those that tell little.
        let first = rows.iter().position(|row| row.object.is_some()).unwrap_or(0);
        let count = rows.len() - first;
        if count == 0 {
            return;
        }
        let at = |number: &usize| first + number % count;
        match self {
            Self::Swap(from, by) => rows.swap(at(from), at(&(from % count + by))),
            Self::Move(from, to) => {
                let row = rows.remove(at(from));
                rows.insert(first + to % count, row);
            }
            Self::MoveObject(from, to) => {
                let object = rows[at(from)].object;
                let before = rows[at(to)].object;
                let (moved, mut rest): (Vec<_>, Vec<_>) = rows.drain(..).partition(|row| row.object == object);
                let place = rest.iter().position(|row| row.object == before).unwrap_or(rest.len());
                rest.splice(place..place, moved);
                *rows = rest;
            }
            Self::Duplicate(from, to) => rows.insert(at(to), rows[at(from)].clone()),
            Self::Remove(number) => drop(rows.remove(at(number))),
            Self::SwapSuccessors(number, index) => {
                let several: Vec<usize> = (0..rows.len()).filter(|row| rows[*row].successors.len() > 1).collect();
                if let Some(row) = number.checked_rem(several.len()).map(|place| several[place]) {
                    let successors = &mut rows[row].successors;
                    let by = index % successors.len();
                    successors.rotate_left(by);
                }
            }
            Self::AddSuccessor(number, other) => {
                let id = rows[at(other)].id;
                rows[at(number)].successors.push(id);
            }
            Self::AddStrangeSuccessor(number, counter) => {
                let id = Id { counter: *counter, ..rows[at(number)].id };
                rows[at(number)].successors.push(id);
            }
            Self::RemoveSuccessor(number, index) => {
                let successors = &mut rows[at(number)].successors;
                if let Some(index) = index.checked_rem(successors.len()) {
                    successors.remove(index);
                }
            }
            Self::CopyKey(number, other) => rows[at(number)].key = rows[at(other)].key.clone(),
            Self::CopyObject(number, other) => rows[at(number)].object = rows[at(other)].object,
            Self::FlipInsert(number) => rows[at(number)].insert ^= true,
            Self::SetAction(number, action) => rows[at(number)].action = *action,
        }
    }
}

/// Two peers that edit the same canvas, exchange what they have now and then, and are united in the end.
fn history(edits: &[(bool, Vec<Mutation>)]) -> CanvasDocument {
    let (mut a, mut b) = pair(TWO);
    for (step, (by_a, mutations)) in edits.iter().enumerate() {
        let document = if *by_a { &mut a } else { &mut b };
        let mut canvas = document.canvas();
        document.note_returned();
        for mutation in mutations {
            mutation.apply_to(&mut canvas);
        }
        document.update(&canvas, &Base::Last, "author").unwrap();
        if step % 3 == 2 {
            sync(&mut a, &mut b);
        }
    }
    sync(&mut a, &mut b);
    a
}

fn edits() -> impl Strategy<Value = Vec<(bool, Vec<Mutation>)>> {
    prop::collection::vec((any::<bool>(), mutations()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_history_is_taken_over_as_its_changes_make_it(edits in edits()) {
        adopted(&history(&edits));
    }

    #[test]
    fn what_is_taken_over_of_tampered_chunks_is_what_their_changes_make(
        edits in edits(),
        tamperings in prop::collection::vec(prop::collection::vec(tampering(), 1..3), 1..40),
    ) {
        let bytes = history(&edits).replica().save();
        let rows = rows_of(&bytes);
        prop_assert_eq!(unusual(&bytes, &rows), None);
        for tampering in tamperings {
            let mut others = rows.clone();
            for each in &tampering {
                each.apply_to(&mut others);
            }
            let chunk = with_rows(&bytes, &others);
            if unusual(&bytes, &others).is_some() {
                continue;
            }
            // As if Automerge's writing it otherwise were no reason.
            let Ok(fast) = Replica::load(&root::CANVAS, &chunk) else { continue };
            let mut slow = Replica::new(&root::CANVAS);
            slow.take(fast.changes_since(&[]), &|_| true);
            prop_assert!(are_same(&fast, &slow), "{:?}", tampering);
        }
    }
}
