//! Whether a whole document's chunk says nothing but what its changes say.
//!
//! Automerge verifies the hashes of the changes in a chunk, and takes the order of the operations on trust: of a chunk that
//! somebody has put together another value could win than in the same changes applied one by one, and characters could
//! stand elsewhere. Here is checked, in one pass over the columns, that
//!
//! * every operation belongs to one change, and every change has all of its operations: what stands in the chunk is what
//!   the hashes cover;
//! * objects, keys, operations on one key, and what overwrites an operation are in the one order that Automerge keeps, and
//!   characters in the order that follows from behind which each was inserted;
//! * the changes are such as would be let in one by one: see [`inspect`](crate::canvas::schema::inspect) and
//!   [`Replica::check`](crate::canvas::replica::Replica).
//!
//! What is out of the ordinary is not refused, but left to be checked and applied change by change.

use std::collections::HashMap;

use crate::canvas::lineage::Lineage;
use crate::canvas::schema::{Maps, Root};
use crate::canvas::tables::{Id, Ids, Key, MAKE_TEXT, OperationRow, SET, Tables};

const STRING: u64 = 6;
/// Values of higher types are counters, timestamps, and those of later versions.
const BYTES: u64 = 7;

/// What a row is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    Root,
    Map(usize),
    /// With the place of the change that made it.
    Text(u32),
}

/// Checks a chunk that Automerge has loaded.
///
/// # Errors
/// What is out of the ordinary.
pub(super) fn check(tables: &Tables<'_>, root: &Root, maps: &Maps) -> Result<Lineage, &'static str> {
    if !tables.actors.is_sorted_by(|before, after| before < after) {
        return Err("its actors are out of order");
    }
    let root_actor = tables.actors.iter().position(|actor| *actor == maps.actor().to_bytes());
    let root_actor =
        root_actor.and_then(|place| u32::try_from(place).ok()).ok_or("it is a document of another kind")?;
    let lineage = Lineage::read(tables)?;
    let checker = Checker {
        root,
        maps,
        root_actor,
        lineage,
        successors: tables.successors(),
        successor: 0,
        texts: HashMap::new(),
        register: Register::default(),
        sequence: Vec::new(),
    };
    checker.check(tables)
}

struct Checker<'a> {
    root: &'a Root,
    maps: &'a Maps,
    root_actor: u32,
    lineage: Lineage,
    successors: Ids<'a>,
    /// How many of them were read.
    successor: usize,
    /// Texts that were begun, with the places of the changes that did.
    texts: HashMap<Id, u32>,
    register: Register,
    /// The elements behind which the next may be inserted: the last one, what that was inserted behind, and so on.
    sequence: Vec<Element>,
}

/// What was written to one key of a map, or to one element of a text.
#[derive(Debug, Default)]
struct Register {
    /// Counts through; 0 is none.
    number: u32,
    /// Its operations, in order, with the places of their changes.
    operations: Vec<(Id, u32)>,
    /// What overwrites them.
    overwriting: Vec<(Id, u32)>,
}

#[derive(Debug)]
struct Element {
    /// `None` for the beginning.
    id: Option<Id>,
    /// The place of its change.
    change: u32,
    /// What was inserted directly behind it and stands last so far.
    last: Option<Id>,
}

impl<'a> Checker<'a> {
    fn check(mut self, tables: &Tables<'a>) -> Result<Lineage, &'static str> {
        let mut operations = tables.operations();
        let (mut object, mut key) = (None, None);
        let mut number = 0;
        while let Some(row) = operations.next()? {
            let change = *self.lineage.of_rows.get(number).ok_or("an operation belongs to no change")?;
            number += 1;
            let present = match object {
                Some((id, kind)) if id == row.object => kind,
                before => {
                    self.finish_register()?;
                    key = None;
                    if before.is_some_and(|(before, _)| before >= row.object) {
                        return Err("its objects are out of order");
                    }
                    self.begin_object(&row)?
                }
            };
            object = Some((row.object, present));
            match present {
                Object::Root => check_root_row(&row, change, &mut key)?,
                Object::Map(map) => self.map_row(&row, change, map, &mut key)?,
                Object::Text(made_by) => self.text_row(&row, change, made_by)?,
            }
        }
        self.finish_register()?;
        let all = self.successors.next()?.is_none() && self.lineage.is_complete();
        if all { Ok(self.lineage) } else { Err("a change lacks operations") }
    }

    fn begin_object(&mut self, row: &OperationRow<'a>) -> Result<Object, &'static str> {
        let Some(id) = row.object else { return Ok(Object::Root) };
        if id.actor == self.root_actor
            && let Some(map) = self.maps.at_counter(u64::from(id.counter))
        {
            return Ok(Object::Map(map));
        }
        let made_by = self.texts.get(&id).ok_or("it writes into an object that is no known map or text")?;
        self.sequence.clear();
        self.sequence.push(Element { id: None, change: *made_by, last: None });
        Ok(Object::Text(*made_by))
    }

    fn map_row(
        &mut self,
        row: &OperationRow<'a>,
        change: u32,
        map: usize,
        key: &mut Option<&'a str>,
    ) -> Result<(), &'static str> {
        let Key::Map(name) = row.key else { return Err("a map has elements") };
        if *key != Some(name) {
            self.finish_register()?;
            if key.is_some_and(|before| before > name) {
                return Err("its keys are out of order");
            }
            if !(self.root.holds)(map, name) {
                return Err("it writes a key into a map where nobody looks for it");
            }
            *key = Some(name);
        }
        match row.action {
            SET if row.value_type <= BYTES => {}
            MAKE_TEXT if self.root.texts.contains(&map) && row.value_type == 0 && row.value.is_empty() => {
                self.texts.insert(row.id, change);
            }
            _ => return Err("it does to a map what is out of the ordinary"),
        }
        if row.insert || change == 0 {
            return Err("it does to a map what only texts allow");
        }
        self.add_to_register(row, change)
    }

    fn text_row(&mut self, row: &OperationRow<'a>, change: u32, made_by: u32) -> Result<(), &'static str> {
        self.finish_register()?;
        if !row.insert || row.action != SET || row.value_type != STRING {
            return Err("it does to a text what is out of the ordinary");
        }
        let text = row.object.ok_or("it edits as a text what is none")?;
        if change < made_by || row.id.counter <= text.counter {
            return Err("it edits a text that is not older than itself");
        }
        let behind = match row.key {
            Key::Head => None,
            Key::Element(id) => Some(id),
            Key::Map(_) => return Err("a text has keys"),
        };
        // What is not behind the last element is behind one that this was inserted behind, directly or not.
        while self.sequence.last().is_some_and(|element| element.id != behind) {
            self.sequence.pop();
        }
        let before = self.sequence.last_mut().ok_or("its characters are out of order")?;
        if before.change > change || before.id.is_some_and(|id| id.counter >= row.id.counter) {
            return Err("it refers to an operation that is not older than itself");
        }
        if before.last.is_some_and(|last| last <= row.id) {
            return Err("its characters are out of order");
        }
        before.last = Some(row.id);
        self.sequence.push(Element { id: Some(row.id), change, last: None });
        self.add_to_register(row, change)
    }

    fn add_to_register(&mut self, row: &OperationRow<'a>, change: u32) -> Result<(), &'static str> {
        if self.register.operations.last().is_some_and(|(before, _)| *before >= row.id) {
            return Err("its operations are out of order");
        }
        self.register.operations.push((row.id, change));
        let mut before = row.id;
        for _ in 0..row.successors {
            let id = self.successors.expect()?;
            let of = *self.lineage.of_successors.get(self.successor).ok_or("an operation belongs to no change")?;
            self.successor += 1;
            if id <= before || id.counter <= row.id.counter || of < change {
                return Err("what overwrites an operation is out of order");
            }
            before = id;
            self.register.overwriting.push((id, of));
        }
        Ok(())
    }

    /// What overwrites an operation is another of the same register, or a deletion there.
    fn finish_register(&mut self) -> Result<(), &'static str> {
        let Register { number, operations, overwriting } = &mut self.register;
        *number += 1;
        let mut next = 0;
        for (id, change) in overwriting.drain(..) {
            let is_next = operations.get(next).is_some_and(|(operation, _)| *operation == id);
            if is_next {
                next += 1;
            } else if let Ok(place) = operations.binary_search_by_key(&id, |(operation, _)| *operation) {
                next = place + 1;
            } else {
                self.lineage.note_deletion(id, change, *number)?;
            }
        }
        operations.clear();
        Ok(())
    }
}

/// The root's keys are written by the first change alone, which is known.
fn check_root_row<'a>(row: &OperationRow<'a>, change: u32, key: &mut Option<&'a str>) -> Result<(), &'static str> {
    let Key::Map(name) = row.key else { return Err("a map has elements") };
    if change != 0 || row.successors > 0 || key.is_some_and(|before| before >= name) {
        return Err("it writes at the root of the document");
    }
    *key = Some(name);
    Ok(())
}
