//! Changes told together do what they do one after the other.

use proptest::prelude::*;

use super::mutation::{Mutation, mutation, patch_between};
use super::{TWO, canvas, patch, peer};
use crate::canvas::{Canvas, CanvasChanges, CanvasDocument, CombinedChanges};

fn told(document: &mut CanvasDocument, json: &str) -> CanvasChanges {
    document.patch(&patch(json), "author").unwrap().diff
}

/// Follows the combined changes, and what could not be added to them, by itself.
fn follow(copy: &mut Canvas, combined: &mut CombinedChanges, next: CanvasChanges) -> bool {
    let refused = combined.add(next).err();
    let added = refused.is_none();
    if let Some(next) = refused {
        std::mem::replace(combined, next.into()).changes().apply_to(copy);
    }
    added
}

proptest! {
    #[test]
    fn combined_changes_do_what_they_do_one_after_the_other(mutations in prop::collection::vec(mutation(), 1..40)) {
        let (mut document, mut copy) = (peer(1, TWO), canvas(TWO));
        let mut combined = CombinedChanges::default();
        for mutation in &mutations {
            let mut edited = document.canvas();
            mutation.apply_to(&mut edited);
            let diff = document.patch(&patch_between(&document.canvas(), &edited), "author").unwrap().diff;
            let added = follow(&mut copy, &mut combined, diff);
            prop_assert!(added || !matches!(mutation, Mutation::Move(..) | Mutation::Colour(..) | Mutation::Title(_)));
        }
        combined.changes().apply_to(&mut copy);
        prop_assert_eq!(copy, document.canvas());
    }
}

#[test]
fn what_is_added_and_then_edited_is_one_addition() {
    let (mut document, mut copy) = (peer(1, TWO), canvas(TWO));
    let mut combined = CombinedChanges::default();
    for number in 0..5 {
        let add = format!(r#"{{"nodes":{{"upsert":[{{"id":"n{number}","type":"text","text":"new"}}]}}}}"#);
        assert!(follow(&mut copy, &mut combined, told(&mut document, &add)));
        let edit = format!(
            r#"{{"nodes":{{"upsert":[{{"id":"n{number}","color":"1","text":"newer"}},{{"id":"a","x":{number}}}]}}}}"#
        );
        assert!(follow(&mut copy, &mut combined, told(&mut document, &edit)));
    }
    let changes = combined.changes();
    assert_eq!((changes.nodes.added.len(), changes.nodes.updated.len()), (5, 1));
    changes.apply_to(&mut copy);
    assert_eq!(copy, document.canvas());
}
