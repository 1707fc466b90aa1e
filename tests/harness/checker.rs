//! What must hold once everything has healed, of all that has not grown to somebody's bound.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, Change};
use mqtt_p2p::canvas::CanvasDocument;
use mqtt_p2p::ids::DocumentId;
use mqtt_p2p::sync::compact;

use super::node::{Edit, Node};

/// Checks that all peers of each repository hold equal documents, in memory and on disk; that every edit that was ever
/// durable is in them (unless its canvas was deleted where it was made), and none that nobody made; and that events alone
/// told every application the truth.
///
/// # Errors
/// What does not hold.
pub fn check(nodes: &[Node], ever: &BTreeSet<Edit>) -> Result<(), String> {
    let mut first: BTreeMap<DocumentId, (usize, Automerge)> = BTreeMap::new();
    for (number, node) in nodes.iter().enumerate() {
        for id in node.synchronizer.document_ids() {
            let document = Automerge::load(&node.document(id)).unwrap();
            let on_disk = Automerge::load(&compact(id, node.disk.load(id).unwrap_or_default()).unwrap()).unwrap();
            if on_disk.get_heads() != document.get_heads() {
                return Err(format!("node {number} has not stored all of {id}"));
            }
            if let Some(change) = document.get_changes(&[]).iter().find(|change| !is_known(id, change, ever)) {
                return Err(format!("node {number} has {} in {id}, which nobody made", change.hash()));
            }
            check_mirror(number, node, id)?;
            match first.get(id) {
                None => drop(first.insert(id.clone(), (number, document))),
                Some(_) if is_full(nodes, id) => {}
                Some((other, reference)) if reference.get_heads() != document.get_heads() => {
                    return Err(format!(
                        "nodes {other} and {number} differ in {id}: {:?} and {:?}; {:?} and {:?}",
                        reference.get_heads(),
                        document.get_heads(),
                        nodes[*other].synchronizer.status(),
                        node.synchronizer.status()
                    ));
                }
                Some(_) => {}
            }
        }
    }
    check_same_documents(nodes)?;
    check_vouchers(nodes)?;
    for (number, node) in nodes.iter().enumerate() {
        for (id, hash) in &node.durable {
            // Where the maker's repository has deleted the canvas, another may go on with it, without this edit.
            if node.synchronizer.document_ids().contains(id)
                && !is_full(nodes, id)
                && let Some((holder, document)) = first.get(id)
                && document.get_change_by_hash_or_none(hash).is_none()
            {
                return Err(format!("{hash}, made by node {number} in {id}, is missing at node {holder}"));
            }
        }
        let mut answered: Vec<u64> = node.application.outcomes.iter().map(|(call, _)| *call).collect();
        answered.sort_unstable();
        if !answered.iter().copied().eq(0..node.application.next_call) {
            return Err(format!(
                "not every call of node {number} had one outcome: {} of {}",
                answered.len(),
                node.application.next_call
            ));
        }
        let status = node.synchronizer.status();
        if status.pending_edits != 0 || status.buffered_changes != 0 {
            return Err(format!("node {number} is not at rest: {status:?}"));
        }
    }
    Ok(())
}

/// Whether it has grown to somebody's bound, so that not everybody has all of it.
pub fn is_full(nodes: &[Node], id: &DocumentId) -> bool {
    nodes.iter().any(|node| node.synchronizer.is_full(id))
}

fn check_same_documents(nodes: &[Node]) -> Result<(), String> {
    let mut by_repository = BTreeMap::new();
    for (number, node) in nodes.iter().enumerate() {
        // Who shared into another repository holds that one's index too.
        let guest = |id: &&DocumentId| matches!(id, DocumentId::Index { repository } if *repository != node.repository);
        let ids: Vec<_> = node.synchronizer.document_ids().into_iter().filter(|id| !guest(id)).cloned().collect();
        match by_repository.get(&node.repository) {
            None => drop(by_repository.insert(node.repository.clone(), (number, ids))),
            Some((other, reference)) if *reference != ids => {
                return Err(format!("nodes {other} and {number} hold different documents: {reference:?}, {ids:?}"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Among honest peers every change arrives with what vouches for it.
fn check_vouchers(nodes: &[Node]) -> Result<(), String> {
    for (number, node) in nodes.iter().enumerate() {
        let rejected = node.synchronizer.status().statistics.rejected;
        if rejected.contains_key("unvouched change") || rejected.contains_key("bad voucher") {
            return Err(format!("node {number} dropped what an honest peer sent: {rejected:?}"));
        }
    }
    Ok(())
}

fn check_mirror(number: usize, node: &Node, id: &DocumentId) -> Result<(), String> {
    let DocumentId::Canvas { canvas, generation, .. } = id else {
        return Ok(());
    };
    let document = CanvasDocument::load(&node.document(id)).map_err(|e| e.to_string())?;
    let Some(mirror) = node.application.mirrors.get(&(canvas.clone(), *generation)) else {
        if node.synchronizer.is_full(id) {
            // Nothing of it was taken in.
            return Ok(());
        }
        return Err(format!("node {number} was never told of {id}"));
    };
    if *mirror != document.canvas() {
        return Err(format!(
            "the events that node {number} got of {id} lead to {}, but it holds {}",
            mirror.to_json(),
            document.canvas_json()
        ));
    }
    Ok(())
}

/// Every peer makes the root, and a first import, by itself.
fn is_known(id: &DocumentId, change: &Change, ever: &BTreeSet<Edit>) -> bool {
    change.actor_id().to_bytes().len() == 32 || ever.contains(&(id.clone(), change.hash()))
}

trait GetChange {
    fn get_change_by_hash_or_none(&self, hash: &automerge::ChangeHash) -> Option<automerge::Change>;
}

impl GetChange for Automerge {
    fn get_change_by_hash_or_none(&self, hash: &automerge::ChangeHash) -> Option<automerge::Change> {
        automerge::ReadDoc::get_change_by_hash(self, hash)
    }
}
