//! Finding concurrent writes that lost.

use std::collections::BTreeMap;

use automerge::{ActorId, Change, ObjId, ReadDoc, Value as Stored};

use crate::canvas::changes::Conflict;
use crate::canvas::model::ElementKind;
use crate::canvas::replica::Replica;
use crate::canvas::root::CanvasMap;
use crate::canvas::schema::{Touched, split_key};
use crate::canvas::side::TEXT;
use crate::canvas::value::Value;
use crate::limits::MAX_CONFLICTS_REPORTED;

/// The operations of new changes, to tell a new conflict from one that was reported before.
struct Fresh(BTreeMap<ActorId, Vec<(u64, u64)>>);

impl Fresh {
    fn of(changes: &[Change]) -> Self {
        let mut ranges: BTreeMap<ActorId, Vec<_>> = BTreeMap::new();
        for change in changes.iter().filter(|change| !change.is_empty()) {
            ranges.entry(change.actor_id().clone()).or_default().push((change.start_op().get(), change.max_op()));
        }
        Self(ranges)
    }

    fn contains(&self, id: &ObjId) -> bool {
        match id {
            ObjId::Root => false,
            ObjId::Id(counter, actor, _) => self
                .0
                .get(actor)
                .is_some_and(|ranges| ranges.iter().any(|(first, last)| (first..=last).contains(&counter))),
        }
    }
}

/// The conflicts that the changes brought about, at most [`MAX_CONFLICTS_REPORTED`].
pub(super) fn find(replica: &Replica, changes: &[Change], touched: &Touched) -> Vec<Conflict> {
    let fresh = Fresh::of(changes);
    let mut conflicts = Vec::new();
    for (map, key) in &touched.keys {
        let Some(map) = CanvasMap::at(*map) else {
            continue;
        };
        let Some((element, id, property)) = property_of(map, key) else {
            continue;
        };
        // The last one is what everybody reads.
        let Ok(mut values) = replica.doc.get_all(replica.maps.id(map.number(key)), key.as_str()) else {
            continue;
        };
        let Some((winner, winner_id)) = values.pop() else {
            continue;
        };
        for (loser, loser_id) in &values {
            if conflicts.len() >= MAX_CONFLICTS_REPORTED {
                return conflicts;
            }
            if !fresh.contains(&winner_id) && !fresh.contains(loser_id) {
                continue;
            }
            let (Some(winner), Some(loser)) = (read(replica, &winner, &winner_id), read(replica, loser, loser_id))
            else {
                continue;
            };
            if winner != loser {
                conflicts.push(Conflict { element, id: id.clone(), property: property.clone(), winner, loser });
            }
        }
    }
    conflicts
}

fn property_of(map: CanvasMap, key: &str) -> Option<(ElementKind, String, String)> {
    let of = |kind| split_key(key).map(|(id, property)| (kind, id, property.to_owned()));
    match map {
        CanvasMap::Nodes => of(ElementKind::Node),
        CanvasMap::Edges => of(ElementKind::Edge),
        CanvasMap::Texts => Some((ElementKind::Node, key.to_owned(), TEXT.to_owned())),
        CanvasMap::Properties => Some((ElementKind::Canvas, String::new(), key.to_owned())),
        _ => None,
    }
}

fn read(replica: &Replica, value: &Stored<'_>, id: &ObjId) -> Option<Value> {
    match value {
        Stored::Scalar(scalar) => Value::from_scalar(scalar),
        Stored::Object(_) => replica.doc.text(id).ok().map(Value::String),
    }
}
