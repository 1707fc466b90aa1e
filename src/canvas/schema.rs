//! The maps at a document's root, and what changes may do to them.

use std::collections::BTreeSet;
use std::ops::Range;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Change, ObjId, ObjType, ScalarValue};

/// The highest schema that this version reads and the one that it writes.
pub(crate) const SCHEMA: i64 = 1;

/// The kind of a document: its constant first change, which makes a map for each name, and what may stand in the maps.
#[derive(Debug)]
pub(crate) struct Root {
    /// The change's encoded bytes, the same on every peer.
    pub(crate) bytes: &'static [u8],
    /// The families of maps in the order of their creation, after the key `schema`, and how many maps each has.
    pub(crate) families: &'static [(&'static str, usize)],
    /// Which of the maps may hold Text objects.
    pub(crate) texts: Range<usize>,
    /// Whether a key belongs into a map.
    pub(crate) holds: fn(usize, &str) -> bool,
    /// Whether something may be done to a key of a map.
    pub(crate) allows: fn(usize, &str, &OpType) -> bool,
}

impl Root {
    /// The names of the maps: those of one family are numbered in hexadecimal.
    pub(crate) fn map_names(&self) -> impl Iterator<Item = String> {
        self.families.iter().flat_map(|(name, count)| {
            (0..*count).map(move |shard| if *count == 1 { (*name).to_owned() } else { format!("{name}/{shard:02x}") })
        })
    }
}

/// The counter of the operation that creates the first map; the first sets `schema`.
const FIRST_MAP_COUNTER: u64 = 2;

/// Names a Text object: the counter and actor of the operation that made it.
pub(crate) type TextId = (u64, ActorId);

/// The name of a Text object from Automerge's.
pub(crate) fn text_id(object: &ObjId) -> Option<TextId> {
    match object {
        ObjId::Root => None,
        ObjId::Id(counter, actor, _) => Some((*counter, actor.clone())),
    }
}

/// Automerge's name of a Text object; its last field is but a hint at where to look.
pub(crate) fn text_object((counter, actor): &TextId) -> ObjId {
    ObjId::Id(*counter, actor.clone(), 0)
}

/// The object ids of a root's maps.
#[derive(Debug)]
pub(crate) struct Maps {
    actor: ActorId,
    ids: Vec<ObjId>,
}

impl Maps {
    pub(crate) fn new(root: &Root, root_actor: &ActorId) -> Self {
        let counters = (FIRST_MAP_COUNTER..).take(root.map_names().count());
        Self {
            actor: root_actor.clone(),
            ids: counters.map(|counter| ObjId::Id(counter, root_actor.clone(), 0)).collect(),
        }
    }

    /// The map's object id; the root object for an index that no map has, which no caller passes.
    pub(crate) fn id(&self, map: usize) -> &ObjId {
        self.ids.get(map).unwrap_or(&ObjId::Root)
    }

    /// The map's name as changes have it.
    pub(crate) fn object(&self, map: usize) -> Option<ObjectId> {
        let counter = FIRST_MAP_COUNTER + u64::try_from(map).ok()?;
        (map < self.ids.len()).then(|| ObjectId::Id(OpId::new(counter, &self.actor)))
    }

    /// Which of the maps it is.
    pub(crate) fn index_of(&self, id: &OpId) -> Option<usize> {
        if *id.actor() == self.actor { self.at_counter(id.counter()) } else { None }
    }

    /// Which of the maps was made by the operation of the root with this counter.
    pub(crate) fn at_counter(&self, counter: u64) -> Option<usize> {
        let index = usize::try_from(counter.checked_sub(FIRST_MAP_COUNTER)?).ok()?;
        (index < self.ids.len()).then_some(index)
    }

    /// The actor of the root.
    pub(crate) fn actor(&self) -> &ActorId {
        &self.actor
    }
}

/// What a set of changes touched: all that has to be read again.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Map and key.
    pub(crate) keys: BTreeSet<(usize, String)>,
    /// Text objects whose characters changed.
    pub(crate) texts: BTreeSet<TextId>,
    /// Text objects that were begun.
    pub(crate) made: BTreeSet<TextId>,
    /// Operations of other changes that are overwritten, or next to which characters are inserted.
    pub(crate) references: BTreeSet<(u64, ActorId)>,
}

impl Touched {
    pub(crate) fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.texts.extend(other.texts);
        self.made.extend(other.made);
    }
}

/// Counters above this are refused, so that nobody can use up Automerge's 32 bits at one stroke.
pub(crate) const MAX_COUNTER: u64 = 1 << 31;

/// Learns what a change touches from its own (decoded) operations, and refuses what no version of this schema does: such a
/// change could replace whole maps, or nest objects that no reader looks for.
///
/// # Errors
/// Why the change is refused.
pub(crate) fn inspect(root: &Root, maps: &Maps, change: &Change, operations: &[Op]) -> Result<Touched, &'static str> {
    if change.max_op() > MAX_COUNTER {
        return Err("its operation counters are implausibly high");
    }
    let mut touched = Touched::default();
    for (counter, op) in (change.start_op().get()..).zip(operations) {
        let element = match &op.key {
            Key::Seq(element) => element.as_opid(),
            Key::Map(_) => None,
        };
        for id in op.pred.iter().chain(element) {
            if id.counter() >= counter {
                return Err("it refers to an operation that is not older than itself");
            }
            if id.actor() != change.actor_id() || id.counter() < change.start_op().get() {
                touched.references.insert((id.counter(), id.actor().clone()));
            }
        }
        match (&op.obj, &op.key) {
            (ObjectId::Root, _) => return Err("it writes at the root of the document"),
            (ObjectId::Id(id), Key::Map(key)) => {
                let Some(map) = maps.index_of(id) else {
                    return Err("it writes into an object that is no known map");
                };
                match op.action {
                    _ if op.insert => return Err("it does to a map what only texts allow"),
                    OpType::Put(_) | OpType::Delete => {}
                    OpType::Make(ObjType::Text) if root.texts.contains(&map) => {
                        touched.made.insert((counter, change.actor_id().clone()));
                    }
                    _ => return Err("it does to a map what this schema does not allow"),
                }
                if !(root.holds)(map, key) {
                    return Err("it writes a key into a map where nobody looks for it");
                }
                if !(root.allows)(map, key, &op.action) {
                    return Err("it alters what stays as it is");
                }
                touched.keys.insert((map, key.to_string()));
            }
            (ObjectId::Id(id), Key::Seq(_)) => {
                if root.texts.is_empty() || maps.index_of(id).is_some() || id.counter() >= counter {
                    return Err("it edits as a text what is none");
                }
                match op.action {
                    OpType::Put(ScalarValue::Str(_)) if op.insert => {}
                    OpType::Delete if !op.insert => {}
                    _ => return Err("it does to a text what this schema does not allow"),
                }
                touched.texts.insert((id.counter(), id.actor().clone()));
            }
        }
    }
    Ok(touched)
}

/// Escapes an element's id, so that the first `/` of a key ends it.
pub(crate) fn escape_id(id: &str) -> String {
    id.replace('%', "%25").replace('/', "%2F")
}

/// The key of one property of an element.
pub(crate) fn property_key(id: &str, property: &str) -> String {
    let mut key = escape_id(id);
    key.push('/');
    key.push_str(property);
    key
}

/// Splits a property's key into id and property; `None` if no writer makes such a key.
pub(crate) fn split_key(key: &str) -> Option<(String, &str)> {
    let (escaped, property) = key.split_once('/')?;
    let id = escaped.replace("%2F", "/").replace("%25", "%");
    // Only one escaping of an id is valid, or two keys would mean the same property.
    (escape_id(&id) == escaped).then_some((id, property))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_split_into_what_they_were_made_of() {
        for id in ["", "a", "a/b", "%", "%2F", "a%25/", "//", "é%/"] {
            for property in ["", "x", "a/b", "%"] {
                assert_eq!(split_key(&property_key(id, property)), Some((id.to_owned(), property)));
            }
        }
        for key in ["", "a", "%/x", "%2f/x", "a%/x"] {
            assert_eq!(split_key(key), None, "{key}");
        }
    }
}
