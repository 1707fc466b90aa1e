//! The changes of a whole document's chunk, put together again from its columns.
//!
//! A document keeps of its changes only what does not follow from its operations. Here each is encoded as it was when it was
//! made, so that its hash shows that the chunk says what the change said: without Automerge, which takes several times as
//! long, because it also builds what it needs to go on with the document.
//!
//! See the Automerge binary format specification, sections "Change chunk" and "Reconstructing changes".

use automerge::ChangeHash;
use sha2::{Digest, Sha256};

use crate::canvas::chunk::{CHANGE, write_sleb, write_uleb};
use crate::canvas::column_writer::{write_booleans, write_deltas, write_runs};
use crate::canvas::lineage::Lineage;
use crate::canvas::tables::{ChangeRow, DELETE, Id, Key, OperationRow, Tables};

const INCOMPLETE: &str = "an operation belongs to no change";

/// An operation as its change has it, but for what it overwrites.
#[derive(Debug, Clone, Copy)]
struct Operation<'a> {
    object: Option<Id>,
    key: Key<'a>,
    insert: bool,
    action: u64,
    value_type: u64,
    value: &'a [u8],
}

impl<'a> Operation<'a> {
    fn of(row: &OperationRow<'a>) -> Self {
        let OperationRow { object, key, insert, action, value_type, value, .. } = *row;
        Self { object, key, insert, action, value_type, value }
    }

    fn name(&self) -> Option<&'a str> {
        match self.key {
            Key::Map(name) => Some(name),
            Key::Element(_) | Key::Head => None,
        }
    }

    fn element(&self) -> Option<Id> {
        match self.key {
            Key::Element(id) => Some(id),
            Key::Map(_) | Key::Head => None,
        }
    }

    /// Of what overwrites a row and has none of its own.
    fn deletion_of(row: &OperationRow<'a>) -> Self {
        let key = if row.insert { Key::Element(row.id) } else { row.key };
        Self { object: row.object, key, insert: false, action: DELETE, value_type: 0, value: &[] }
    }
}

/// All operations, those of each change together and in order.
struct Operations<'a> {
    all: Vec<Option<Operation<'a>>>,
    /// Of each operation, where what it overwrites begins in `overwritten`; and the end of the last.
    starts: Vec<usize>,
    overwritten: Vec<Id>,
}

impl<'a> Operations<'a> {
    fn gather(tables: &Tables<'a>, lineage: &Lineage) -> Result<Self, &'static str> {
        let mut all = vec![None; lineage.operations()];
        let mut pairs: Vec<(usize, Id)> = Vec::with_capacity(lineage.of_successors.len());
        let (mut rows, mut successors) = (tables.operations(), tables.successors());
        let (mut of_rows, mut of_successors) = (lineage.of_rows.iter(), lineage.of_successors.iter());
        while let Some(row) = rows.next()? {
            let place = lineage.place(row.id, *of_rows.next().ok_or(INCOMPLETE)?).ok_or(INCOMPLETE)?;
            *all.get_mut(place).ok_or(INCOMPLETE)? = Some(Operation::of(&row));
            for _ in 0..row.successors {
                let (id, change) = (successors.expect()?, *of_successors.next().ok_or(INCOMPLETE)?);
                let place = lineage.place(id, change).ok_or(INCOMPLETE)?;
                pairs.push((place, row.id));
                if !lineage.has_row(place) {
                    *all.get_mut(place).ok_or(INCOMPLETE)? = Some(Operation::deletion_of(&row));
                }
            }
        }
        // The rows of a key are in the order of their ids, and so is then what each operation overwrites.
        pairs.sort_by_key(|(place, _)| *place);
        let mut starts = Vec::with_capacity(all.len() + 1);
        let mut next = 0;
        for place in 0..=all.len() {
            starts.push(next);
            next += pairs.get(next..).unwrap_or_default().iter().take_while(|(of, _)| *of == place).count();
        }
        Ok(Self { all, starts, overwritten: pairs.into_iter().map(|(_, id)| id).collect() })
    }

    fn overwritten_by(&self, place: usize) -> &[Id] {
        let range = self.starts.get(place).zip(self.starts.get(place + 1));
        range.and_then(|(start, end)| self.overwritten.get(*start..*end)).unwrap_or_default()
    }
}

/// Puts together each change of a chunk whose lineage is complete, hands what is hashed of it (its chunk's body) to `each`,
/// and returns the hashes.
///
/// # Errors
/// What is out of the ordinary; or the first that `each` returned.
pub(super) fn rebuild(
    tables: &Tables<'_>,
    lineage: &Lineage,
    mut each: impl FnMut(&ChangeRow<'_>, &[u8]) -> Result<(), &'static str>,
) -> Result<Vec<ChangeHash>, &'static str> {
    let operations = Operations::gather(tables, lineage)?;
    let mut hashes: Vec<ChangeHash> = Vec::with_capacity(tables.changes.len());
    let mut writer = Writer::default();
    for (number, change) in tables.changes.iter().enumerate() {
        writer.write(tables, change, lineage.of_change(number), &operations, &hashes)?;
        each(change, &writer.body)?;
        hashes.push(writer.hash());
    }
    Ok(hashes)
}

/// Writes one change after the other.
#[derive(Default)]
struct Writer {
    body: Vec<u8>,
    columns: Vec<(u8, Vec<u8>)>,
    /// Those other than the change's own that its operations name, in order.
    others: Vec<u32>,
}

impl Writer {
    fn write(
        &mut self,
        tables: &Tables<'_>,
        change: &ChangeRow<'_>,
        (first, last, start_op): (usize, usize, u32),
        operations: &Operations<'_>,
        hashes: &[ChangeHash],
    ) -> Result<(), &'static str> {
        let own: Option<Vec<Operation<'_>>> =
            operations.all.get(first..last).and_then(|own| own.iter().copied().collect());
        let own = own.ok_or(INCOMPLETE)?;
        let actor = |number: u32| tables.actors.get(number as usize).copied().ok_or(INCOMPLETE);
        self.write_columns(change.actor, &own, &|at| operations.overwritten_by(first + at));
        let body = &mut self.body;
        body.clear();
        write_uleb(change.deps.len() as u64, body);
        for dep in &change.deps {
            body.extend_from_slice(hashes.get(*dep as usize).ok_or(INCOMPLETE)?.as_ref());
        }
        write_bytes(actor(change.actor)?, body);
        write_uleb(change.sequence, body);
        let start_op = if own.is_empty() { u64::from(change.max_op) + 1 } else { u64::from(start_op) };
        write_uleb(start_op, body);
        write_sleb(change.time, body);
        write_bytes(change.message.as_bytes(), body);
        write_uleb(self.others.len() as u64, body);
        for other in &self.others {
            write_bytes(actor(*other)?, body);
        }
        self.columns.retain(|(_, column)| !column.is_empty());
        write_uleb(self.columns.len() as u64, body);
        for (specification, column) in &self.columns {
            write_uleb(u64::from(*specification), body);
            write_uleb(column.len() as u64, body);
        }
        self.columns.iter().for_each(|(_, column)| body.extend_from_slice(column));
        Ok(())
    }

    fn write_columns<'a>(
        &mut self,
        own_actor: u32,
        operations: &[Operation<'_>],
        overwritten: &dyn Fn(usize) -> &'a [Id],
    ) {
        let all_overwritten = || (0..operations.len()).flat_map(overwritten);
        let named = operations.iter().flat_map(|operation| operation.object.into_iter().chain(operation.element()));
        let others = named.chain(all_overwritten().copied()).map(|id| id.actor).filter(|actor| *actor != own_actor);
        self.others.clear();
        self.others.extend(others);
        self.others.sort_unstable();
        self.others.dedup();
        let others = &self.others;
        // Its own actor is the first in its table.
        let number =
            |id: Id| if id.actor == own_actor { 0 } else { 1 + others.partition_point(|other| *other < id.actor) };
        let columns = &mut self.columns;
        columns.clear();
        let mut column = |specification: u8, write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            columns.push((specification, out));
        };
        let numbers = |rows: &mut dyn Iterator<Item = Option<u64>>, out: &mut Vec<u8>| {
            let rows: Vec<_> = rows.collect();
            // A column of nothing is none.
            if rows.iter().any(Option::is_some) {
                write_runs(&rows, out, write_uleb);
            }
        };
        column(0x01, &|out| numbers(&mut operations.iter().map(|op| op.object.map(|id| number(id) as u64)), out));
        column(0x02, &|out| numbers(&mut operations.iter().map(|op| op.object.map(|id| u64::from(id.counter))), out));
        column(0x11, &|out| numbers(&mut operations.iter().map(|op| op.element().map(|id| number(id) as u64)), out));
        column(0x13, &|out| {
            let counter = |operation: &Operation<'_>| match operation.key {
                Key::Element(id) => Some(id.counter),
                Key::Head => Some(0),
                Key::Map(_) => None,
            };
            if operations.iter().any(|operation| counter(operation).is_some()) {
                write_deltas(operations.iter().map(counter), out);
            }
        });
        column(0x15, &|out| {
            let names: Vec<Option<&str>> = operations.iter().map(Operation::name).collect();
            if names.iter().any(Option::is_some) {
                write_runs(&names, out, |name, out| write_bytes(name.as_bytes(), out));
            }
        });
        column(0x34, &|out| write_booleans(operations.iter().map(|operation| operation.insert), out));
        column(0x42, &|out| numbers(&mut operations.iter().map(|operation| Some(operation.action)), out));
        let meta = |operation: &Operation<'_>| operation.value_type | (operation.value.len() as u64) << 4;
        column(0x56, &|out| numbers(&mut operations.iter().map(|operation| Some(meta(operation))), out));
        column(0x57, &|out| operations.iter().for_each(|operation| out.extend_from_slice(operation.value)));
        let counts = || (0..operations.len()).map(|at| Some(overwritten(at).len() as u64));
        column(0x70, &|out| numbers(&mut counts(), out));
        column(0x71, &|out| numbers(&mut all_overwritten().map(|id| Some(number(*id) as u64)), out));
        column(0x73, &|out| write_deltas(all_overwritten().map(|id| Some(id.counter)), out));
    }

    /// That of the change whose body was written last.
    fn hash(&self) -> ChangeHash {
        let mut head = vec![CHANGE];
        write_uleb(self.body.len() as u64, &mut head);
        ChangeHash(Sha256::new().chain_update(head).chain_update(&self.body).finalize().into())
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_uleb(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
