//! Edits by way of a file: made beside the application, or brought by git.

use proptest::prelude::*;

use super::mutation::{Mutation, mutations};
use super::*;
use crate::canvas::{Version, decode_change};

fn add(canvas: &mut Canvas, id: &str) {
    canvas.nodes.push(Element { id: id.into(), ..Element::default() });
}

#[test]
fn what_a_file_added_outlives_whatever_the_application_had() {
    for (base, forgets) in [(None, false), (Some(false), false), (Some(true), true), (Some(true), false)] {
        let mut document = peer(1, TWO);
        let (mut old, version) = (document.canvas(), document.version());
        document.note_returned();
        let mut file = old.clone();
        add(&mut file, "f");
        set(&mut file, 0, "text", Value::String("cats".into()));
        let edit = document.update_aside(&file, &version, "").unwrap();
        assert_eq!((document.canvas(), &edit.version), (file, &document.version()));
        document.patch(&patch(r#"{"nodes":{"upsert":[{"id":"mine"}]}}"#), "").unwrap();
        if forgets {
            let saved = document.replica().save();
            let memory = document.into_memory();
            document = CanvasDocument::load(&saved).unwrap();
            document.recall(memory);
            document.set_actor(ActorId::from([7; 16]));
        }
        set(&mut old, 1, "x", Value::Int(9));
        let base = match base {
            None => Base::Last,
            Some(false) => Base::Explicit(version),
            Some(true) => Base::Remembered(version),
        };
        let mine_stays = matches!(base, Base::Explicit(_));
        document.update(&old, &base, "").unwrap();
        let expected = if mine_stays { vec!["a", "b", "f", "mine"] } else { vec!["a", "b", "f"] };
        assert_eq!(ids(&document.canvas().nodes), expected, "{base:?}");
        assert_eq!(text_of(&document, 0), "cats");
        assert_eq!(document.canvas().nodes[1].properties["x"], Value::Int(9));
    }
}

#[test]
fn an_old_file_undoes_nothing_and_deletes_no_edit_made_since() {
    let mut document = peer(1, TWO);
    let (mut file, version) = (document.canvas(), document.version());
    update(&mut document, |canvas| {
        set(canvas, 0, "text", Value::String("the cat".into()));
        set(canvas, 1, "x", Value::Int(5));
        add(canvas, "c");
    });
    set(&mut file, 0, "text", Value::String("cat sat".into()));
    file.nodes.remove(1);
    file.edges.clear();
    document.update_aside(&file, &version, "").unwrap();
    assert_eq!(text_of(&document, 0), "the cat sat");
    assert_eq!(ids(&document.canvas().nodes), ["a", "c"]);
    let mut again = canvas(TWO);
    again.nodes.remove(0);
    again.edges.clear();
    document.update_aside(&again, &version, "").unwrap();
    assert_eq!(
        ids(&document.canvas().nodes),
        ["a", "c"],
        "an edit of content outlives a deletion that has not seen it"
    );
}

#[test]
fn a_save_that_was_taken_in_already_is_not_taken_in_again() {
    let mut document = peer(1, TWO);
    let (mut file, version) = (document.canvas(), document.version());
    set(&mut file, 0, "text", Value::String("the cat sat".into()));
    let made = document.update_aside(&file, &version, "").unwrap();
    update(&mut document, |canvas| set(canvas, 0, "text", Value::String("the cat sat down".into())));
    let again = document.update_aside(&file, &version, "").unwrap();
    assert_eq!((again.changes, &again.version), (vec![], &made.version));
    let present = document.canvas();
    let again = document.update_aside(&present, &version, "").unwrap();
    assert_eq!((again.changes, again.version), (vec![], document.version()));
    assert_eq!(text_of(&document, 0), "the cat sat down");
}

#[test]
fn a_file_is_imported_beside_the_application() {
    let mut document = CanvasDocument::new();
    document.set_actor(ActorId::from([1; 16]));
    assert_eq!(document.create_aside(&canvas(TWO), "").unwrap().version, peer(2, TWO).version());
    document.update(&canvas(r#"{"nodes":[{"id":"new"}]}"#), &Base::Last, "").unwrap();
    assert_eq!(document.counts(), (3, 1));
    document.create_aside(&canvas(r#"{"nodes":[{"id":"late"}]}"#), "").unwrap();
    document.update(&canvas("{}"), &Base::Last, "").unwrap();
    assert_eq!(ids(&document.canvas().nodes), ["a", "b", "late"]);
}

/// A commit that does something of everything to `TWO`.
fn commit() -> Canvas {
    canvas(
        r#"{"nodes":[{"id":"c","text":"new"},{"id":"a","type":"text","text":"big cat","x":7}],"title":"t",
        "edges":[{"id":"f","fromNode":"a","toNode":"c"}]}"#,
    )
}

#[test]
fn a_commit_is_the_same_change_whatever_else_a_peer_has() {
    let (mut a, mut b) = pair(TWO);
    let base = a.version();
    update(&mut a, |canvas| set(canvas, 0, "text", Value::String("cat sat".into())));
    b.patch(&patch(r#"{"nodes":{"upsert":[{"id":"b","color":1},{"id":"z"}]}}"#), "b").unwrap();
    let made = [&mut a, &mut b].map(|peer| peer.derive_update(&commit(), &base).unwrap());
    let [change] = made[0].changes.as_slice() else { panic!("{made:?}") };
    assert_eq!(made[1].changes, made[0].changes);
    assert_eq!(decode_change(change.raw_bytes().to_vec()).unwrap(), *change);
    assert_eq!(a.canvas_at(&made[0].version).unwrap(), commit());
    let mut receiver = peer(3, TWO);
    assert_eq!(receiver.apply(vec![change.clone()]).hashes, [change.hash()]);
    assert_eq!(receiver.canvas(), commit());
    sync(&mut a, &mut b);
    sync(&mut a, &mut receiver);
    assert_eq!(a.canvas().nodes[1].properties["text"], Value::String("big cat sat".into()));
    assert_eq!(
        ids(&a.canvas().nodes),
        ["c", "a", "b", "z"],
        "an edit of content keeps b, whose deletion was concurrent"
    );
    for peer in [&mut a, &mut b, &mut receiver] {
        assert_eq!(peer.derive_update(&commit(), &base).unwrap().changes, [], "once is enough");
    }
}

#[test]
fn what_is_there_already_is_not_done_again() {
    let (mut a, mut b) = pair(TWO);
    let base = a.version();
    // What was committed had come live, all of it to one, some of it to the other.
    a.update(&commit(), &Base::Explicit(base.clone()), "a").unwrap();
    let edit = a.derive_update(&commit(), &base).unwrap();
    assert_eq!((edit.changes, edit.version), (vec![], a.version()));
    update(&mut b, |canvas| {
        set(canvas, 0, "text", Value::String("big cat".into()));
        set(canvas, 0, "x", Value::Int(3));
    });
    let edit = b.derive_update(&commit(), &base).unwrap();
    assert_eq!(edit.changes.len(), 1);
    let alone = b.canvas_at(&Version(crate::ids::Heads::new(vec![edit.changes[0].hash()]))).unwrap();
    let node = alone.nodes.iter().find(|node| node.id == "a").unwrap();
    assert_eq!(node.properties["text"], Value::String("cat".into()), "the change leaves the text alone");
    assert_eq!(text_of(&b, 1), "big cat");
    // A later commit from the same base adds to the first, and does not do it again.
    let mut later = commit();
    set(&mut later, 0, "text", Value::String("newer".into()));
    later.nodes.push(Element { id: "late".into(), ..Element::default() });
    let mut c = peer(3, TWO);
    c.derive_update(&commit(), &base).unwrap();
    c.derive_update(&later, &base).unwrap();
    assert_eq!(ids(&c.canvas().nodes), ["c", "a", "late"]);
    assert_eq!(text_of(&c, 1), "big cat");
}

#[test]
fn of_a_text_only_what_is_not_there_is_done() {
    let mut document = peer(1, TWO);
    let base = document.version();
    let old = text_of(&document, 0);
    let mut commit = document.canvas();
    set(&mut commit, 0, "text", Value::String(format!("big {old} on")));
    // The commit was made of live edits, and the typing has gone on.
    update(&mut document, |canvas| set(canvas, 0, "text", Value::String(format!("{old} on the mat"))));
    document.derive_update(&commit, &base).unwrap();
    assert_eq!(text_of(&document, 0), format!("big {old} on the mat"));
    assert_eq!(document.derive_update(&commit, &base).unwrap().changes, []);
}

#[test]
fn a_commit_from_an_unknown_version_is_refused() {
    let unknown = Version(crate::ids::Heads::new(vec![automerge::ChangeHash([3; 32])]));
    let mut document = peer(1, TWO);
    assert_eq!(document.derive_update(&commit(), &unknown).unwrap_err(), crate::canvas::CanvasError::UnknownVersion);
    assert_eq!(document.update_aside(&commit(), &unknown, "").unwrap_err(), crate::canvas::CanvasError::UnknownVersion);
}

fn mutated(canvas: &Canvas, mutations: &[Mutation]) -> Canvas {
    let mut canvas = canvas.clone();
    for mutation in mutations {
        mutation.apply_to(&mut canvas);
    }
    canvas
}

proptest! {
    #[test]
    fn commits_and_files_converge_with_live_edits(
        start in mutations(), first in mutations(), second in mutations(), pulled in mutations(), file in mutations(),
    ) {
        let start = mutated(&Canvas::default(), &start).to_json();
        let (mut a, mut b) = pair(&start);
        let base = a.version();
        let commit = mutated(&a.canvas(), &pulled);
        let mut alone = peer(3, &start);
        alone.derive_update(&commit, &base).unwrap();
        prop_assert_eq!(alone.canvas(), commit.clone(), "alone it gives what was passed");
        let mut beside = peer(4, &start);
        beside.update_aside(&commit, &base, "").unwrap();
        prop_assert_eq!(beside.canvas(), commit.clone(), "as does a file");

        for (peer, edits) in [(&mut a, &first), (&mut b, &second)] {
            peer.update(&mutated(&peer.canvas(), edits), &Base::Last, "").unwrap();
            peer.derive_update(&commit, &base).unwrap();
            prop_assert_eq!(&peer.derive_update(&commit, &base).unwrap().changes, &[]);
            peer.update_aside(&mutated(&canvas(&start), &file), &base, "").unwrap();
            let loaded = CanvasDocument::load(&peer.replica().save()).unwrap();
            prop_assert_eq!(&loaded.view, &peer.view);
        }
        sync(&mut a, &mut b);
    }
}
