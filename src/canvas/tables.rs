//! What a whole document's chunk holds, as tables: actors, changes, operations and what overwrites these.
//!
//! See the Automerge binary format specification, section "Document chunk". What this version of the schema never writes
//! (marks, columns of later versions) is not read: whoever asks is told so.

use automerge::ChangeHash;

use crate::canvas::chunk::{self, DOCUMENT, read_uleb};
use crate::canvas::columns::{Booleans, DAMAGED, Deltas, Runs};

/// The action that puts a value.
pub(super) const SET: u64 = 1;
/// The action that deletes; it has no row.
pub(super) const DELETE: u64 = 3;
/// The action that begins a text.
pub(super) const MAKE_TEXT: u64 = 4;

/// Names an operation or object: in the order of these fields, as everywhere in Automerge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    pub(super) counter: u32,
    /// Place in the table of actors, which is in their order.
    pub(super) actor: u32,
}

/// A row of the table of changes.
#[derive(Debug, Clone)]
pub(super) struct ChangeRow<'a> {
    pub(super) actor: u32,
    pub(super) sequence: u64,
    /// The counter of its last operation; of those before it, if it has none.
    pub(super) max_op: u32,
    /// Places in the table of those that it depends on.
    pub(super) deps: Vec<u32>,
    pub(super) time: i64,
    /// Empty if there is none.
    pub(super) message: &'a str,
}

/// Where in its object an operation has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// In a map.
    Map(&'a str),
    /// At the beginning of a sequence.
    Head,
    /// At, or behind, an element of a sequence.
    Element(Id),
}

/// A row of the table of operations.
#[derive(Debug, Clone, Copy)]
pub(super) struct OperationRow<'a> {
    /// `None` for the root.
    pub(super) object: Option<Id>,
    pub(super) key: Key<'a>,
    pub(super) id: Id,
    pub(super) insert: bool,
    pub(super) action: u64,
    /// Type and length of the value.
    pub(super) value_type: u64,
    pub(super) value: &'a [u8],
    /// How many operations overwrite it.
    pub(super) successors: u32,
}

/// A document's chunk.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    pub(super) actors: Vec<&'a [u8]>,
    pub(super) changes: Vec<ChangeRow<'a>>,
    /// Those on which no other depends, as it says.
    pub(super) heads: Vec<ChangeHash>,
    columns: OperationColumns<'a>,
}

/// The columns of the table of operations, as they are in the chunk.
#[derive(Debug, Clone, Default)]
struct OperationColumns<'a> {
    object_actor: &'a [u8],
    object_counter: &'a [u8],
    key_actor: &'a [u8],
    key_counter: &'a [u8],
    key_string: &'a [u8],
    id_actor: &'a [u8],
    id_counter: &'a [u8],
    insert: &'a [u8],
    action: &'a [u8],
    value_type: &'a [u8],
    value: &'a [u8],
    successors: &'a [u8],
    successor_actor: &'a [u8],
    successor_counter: &'a [u8],
}

const UNKNOWN: &str = "it has columns that this version does not write";

impl<'a> Tables<'a> {
    /// Reads a chunk that [`chunk::check_document`] has let through.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let Some((DOCUMENT, mut rest)) = chunk::split(bytes) else { return Err(DAMAGED) };
        let count = read_uleb(&mut rest).ok_or(DAMAGED)?;
        let mut actors = Vec::new();
        for _ in 0..count {
            actors.push(chunk::take_bytes(&mut rest).ok_or(DAMAGED)?);
        }
        let heads = read_heads(rest).ok_or(DAMAGED)?;
        let (change_columns, operation_columns, mut data) = chunk::read_columns_of_document(rest).ok_or(DAMAGED)?;
        let changes = read_changes(&split(&change_columns, &mut data)?, actors.len())?;
        let mut columns = OperationColumns::default();
        for (specification, column) in split(&operation_columns, &mut data)? {
            *columns.of(specification).ok_or(UNKNOWN)? = column;
        }
        // Last comes where the heads stand among the changes, which follows from them.
        let places = heads.iter().map(|_| read_uleb(&mut data)).collect::<Option<Vec<_>>>();
        if places.is_none() || !data.is_empty() {
            return Err(DAMAGED);
        }
        Ok(Self { actors, changes, heads, columns })
    }

    /// An actor by its place in the table; empty if there is none.
    pub(super) fn actor(&self, place: u32) -> &'a [u8] {
        self.actors.get(place as usize).copied().unwrap_or_default()
    }

    /// Of these hashes of the changes, those on which no other depends, in order.
    pub(super) fn newest_of(&self, hashes: &[ChangeHash]) -> Vec<ChangeHash> {
        let mut is_newest = vec![true; hashes.len()];
        for dep in self.changes.iter().flat_map(|change| &change.deps) {
            if let Some(newest) = is_newest.get_mut(*dep as usize) {
                *newest = false;
            }
        }
        let newest = hashes.iter().zip(is_newest).filter(|(_, newest)| *newest).map(|(hash, _)| *hash);
        let mut newest: Vec<_> = newest.collect();
        newest.sort_unstable();
        newest
    }

    /// The last change of each actor that has any, and its place.
    pub(super) fn newest_of_actors(&self) -> impl Iterator<Item = (&ChangeRow<'a>, usize)> {
        let mut newest = vec![None; self.actors.len()];
        for (place, change) in self.changes.iter().enumerate() {
            if let Some(newest) = newest.get_mut(change.actor as usize) {
                *newest = Some((change, place));
            }
        }
        newest.into_iter().flatten()
    }

    /// All operations, in the order in which they stand.
    pub(super) fn operations(&self) -> Operations<'a> {
        let columns = &self.columns;
        Operations {
            ids: self.ids(),
            object_actor: Runs::new(columns.object_actor),
            object_counter: Runs::new(columns.object_counter),
            key_actor: Runs::new(columns.key_actor),
            key_counter: Deltas::new(columns.key_counter),
            key_string: Runs::new(columns.key_string),
            insert: Booleans::new(columns.insert),
            action: Runs::new(columns.action),
            value_meta: Runs::new(columns.value_type),
            value: columns.value,
            successors: Runs::new(columns.successors),
            actors: self.actors.len(),
        }
    }

    /// The names of all operations, in the order in which they stand.
    pub(super) fn ids(&self) -> Ids<'a> {
        Ids::new(self.columns.id_actor, self.columns.id_counter, self.actors.len())
    }

    /// What overwrites the operations, in the order in which these stand.
    pub(super) fn successors(&self) -> Ids<'a> {
        Ids::new(self.columns.successor_actor, self.columns.successor_counter, self.actors.len())
    }
}

impl<'a> OperationColumns<'a> {
    /// The column of a specification, if it is one that is read.
    fn of(&mut self, specification: u64) -> Option<&mut &'a [u8]> {
        Some(match specification {
            0x01 => &mut self.object_actor,
            0x02 => &mut self.object_counter,
            0x11 => &mut self.key_actor,
            0x13 => &mut self.key_counter,
            0x15 => &mut self.key_string,
            0x21 => &mut self.id_actor,
            0x23 => &mut self.id_counter,
            0x34 => &mut self.insert,
            0x42 => &mut self.action,
            0x56 => &mut self.value_type,
            0x57 => &mut self.value,
            0x80 => &mut self.successors,
            0x81 => &mut self.successor_actor,
            0x83 => &mut self.successor_counter,
            _ => return None,
        })
    }
}

/// Each column's specification and bytes; each occurs once.
fn split<'a>(columns: &chunk::Columns, data: &mut &'a [u8]) -> Result<Vec<(u64, &'a [u8])>, &'static str> {
    if !columns.is_sorted_by(|(before, _), (after, _)| before < after) {
        return Err(UNKNOWN);
    }
    let take = |(specification, length): &(u64, usize)| {
        let (column, rest) = data.split_at_checked(*length)?;
        *data = rest;
        Some((*specification, column))
    };
    columns.iter().map(take).collect::<Option<_>>().ok_or(DAMAGED)
}

fn read_heads(mut rest: &[u8]) -> Option<Vec<ChangeHash>> {
    let count = usize::try_from(read_uleb(&mut rest)?).ok()?;
    let (hashes, _) = rest.as_chunks();
    Some(hashes.get(..count)?.iter().copied().map(ChangeHash).collect())
}

fn read_changes<'a>(columns: &[(u64, &'a [u8])], actors: usize) -> Result<Vec<ChangeRow<'a>>, &'static str> {
    const EXTRA_BYTES: u64 = 0x57;
    const KNOWN: [u64; 9] = [0x01, 0x03, 0x13, 0x23, 0x35, 0x40, 0x43, 0x56, EXTRA_BYTES];
    if !columns.iter().all(|(specification, _)| KNOWN.contains(specification)) {
        return Err(UNKNOWN);
    }
    let column = |wanted: u64| columns.iter().find(|(found, _)| *found == wanted).map_or(&[][..], |(_, bytes)| *bytes);
    let (mut actor, mut sequence) = (Runs::<u64>::new(column(0x01)), Deltas::new(column(0x03)));
    if !column(EXTRA_BYTES).is_empty() {
        return Err(UNKNOWN);
    }
    let mut max_op = Deltas::new(column(0x13));
    let (mut time, mut message) = (Deltas::new(column(0x23)), Runs::<&str>::new(column(0x35)));
    let (mut counts, mut dependencies) = (Runs::<u64>::new(column(0x40)), Deltas::new(column(0x43)));
    let mut changes: Vec<ChangeRow> = Vec::new();
    while !actor.has_ended() {
        let count = counts.next()?.unwrap_or_default();
        let mut deps = Vec::new();
        for _ in 0..count {
            let dep = dependencies.next()?.and_then(|dep| u32::try_from(dep).ok());
            deps.push(dep.filter(|dep| (*dep as usize) < changes.len()).ok_or("its changes are not in causal order")?);
        }
        changes.push(ChangeRow {
            actor: actor.next()?.and_then(|actor| actor_of(actor, actors)).ok_or(DAMAGED)?,
            sequence: sequence.next()?.ok_or(DAMAGED)?,
            max_op: max_op.next()?.and_then(|counter| u32::try_from(counter).ok()).ok_or(DAMAGED)?,
            deps,
            time: time.next()?.and_then(|time| i64::try_from(time).ok()).ok_or(DAMAGED)?,
            message: message.next()?.unwrap_or_default(),
        });
    }
    let ended = sequence.has_ended()
        && time.has_ended()
        && message.has_ended()
        && max_op.has_ended()
        && counts.has_ended()
        && dependencies.has_ended();
    if ended { Ok(changes) } else { Err(DAMAGED) }
}

fn actor_of(number: u64, actors: usize) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| (*number as usize) < actors)
}

/// A column of actors and one of counters, together.
#[derive(Debug, Clone)]
pub(super) struct Ids<'a> {
    actor: Runs<'a, u64>,
    counter: Deltas<'a>,
    actors: usize,
}

impl<'a> Ids<'a> {
    fn new(actor: &'a [u8], counter: &'a [u8], actors: usize) -> Self {
        Self { actor: Runs::new(actor), counter: Deltas::new(counter), actors }
    }

    /// The next one; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Id>, &'static str> {
        match (self.actor.next()?, self.counter.next()?) {
            (None, None) => Ok(None),
            (Some(actor), Some(counter)) => id(actor, counter, self.actors).map(Some).ok_or(DAMAGED),
            _ => Err(DAMAGED),
        }
    }

    /// The next one, of which there must be one.
    pub(super) fn expect(&mut self) -> Result<Id, &'static str> {
        self.next()?.ok_or(DAMAGED)
    }
}

fn id(actor: u64, counter: u64, actors: usize) -> Option<Id> {
    let counter = u32::try_from(counter).ok().filter(|counter| *counter > 0)?;
    Some(Id { counter, actor: actor_of(actor, actors)? })
}

/// The table of operations, row by row.
#[derive(Debug, Clone)]
pub(super) struct Operations<'a> {
    ids: Ids<'a>,
    object_actor: Runs<'a, u64>,
    object_counter: Runs<'a, u64>,
    key_actor: Runs<'a, u64>,
    key_counter: Deltas<'a>,
    key_string: Runs<'a, &'a str>,
    insert: Booleans<'a>,
    action: Runs<'a, u64>,
    value_meta: Runs<'a, u64>,
    value: &'a [u8],
    successors: Runs<'a, u64>,
    actors: usize,
}

impl<'a> Operations<'a> {
    /// The next row; `None` after the last, when every column has to have ended.
    pub(super) fn next(&mut self) -> Result<Option<OperationRow<'a>>, &'static str> {
        let Some(id) = self.ids.next()? else {
            return if self.have_ended() { Ok(None) } else { Err(DAMAGED) };
        };
        let meta = self.value_meta.next()?.ok_or(DAMAGED)?;
        let length = usize::try_from(meta >> 4).map_err(|_| DAMAGED)?;
        let (value, rest) = self.value.split_at_checked(length).ok_or(DAMAGED)?;
        self.value = rest;
        Ok(Some(OperationRow {
            object: self.object()?,
            key: self.key()?,
            id,
            insert: self.insert.next()?,
            action: self.action.next()?.ok_or(DAMAGED)?,
            value_type: meta & 0xf,
            value,
            successors: self.successors.next()?.and_then(|count| u32::try_from(count).ok()).ok_or(DAMAGED)?,
        }))
    }

    fn object(&mut self) -> Result<Option<Id>, &'static str> {
        match (self.object_actor.next()?, self.object_counter.next()?) {
            (None, None) => Ok(None),
            (Some(actor), Some(counter)) => id(actor, counter, self.actors).map(Some).ok_or(DAMAGED),
            _ => Err(DAMAGED),
        }
    }

    fn key(&mut self) -> Result<Key<'a>, &'static str> {
        match (self.key_string.next()?, self.key_actor.next()?, self.key_counter.next()?) {
            (Some(string), None, None) => Ok(Key::Map(string)),
            (None, None, Some(0)) => Ok(Key::Head),
            (None, Some(actor), Some(counter)) => id(actor, counter, self.actors).map(Key::Element).ok_or(DAMAGED),
            _ => Err(DAMAGED),
        }
    }

    fn have_ended(&self) -> bool {
        let objects = self.object_actor.has_ended() && self.object_counter.has_ended();
        let keys = self.key_actor.has_ended() && self.key_counter.has_ended() && self.key_string.has_ended();
        let values = self.value_meta.has_ended() && self.value.is_empty();
        objects && keys && values && self.insert.has_ended() && self.action.has_ended() && self.successors.has_ended()
    }
}
