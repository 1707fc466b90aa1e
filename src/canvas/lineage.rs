//! Which change each operation of a whole document's chunk belongs to.

use crate::canvas::schema::MAX_COUNTER;
use crate::canvas::tables::{ChangeRow, Id, Ids, Tables};

/// Stands for an operation that has a row of its own.
const ROW: u32 = u32::MAX;

/// The changes of a chunk, checked as [`Replica::check`](crate::canvas::replica::Replica) checks them one by one, and all
/// of their operations, each accounted for once.
pub(super) struct Lineage {
    /// Of each row of the table of operations, the place of its change.
    pub(super) of_rows: Vec<u32>,
    /// The same of each successor.
    pub(super) of_successors: Vec<u32>,
    /// Of each change, the number of its first operation when all are counted through, and its counter.
    firsts: Vec<(u32, u32)>,
    /// Of each operation when all are counted through: 0 if there is none, [`ROW`], or the register that it deletes.
    marks: Vec<u32>,
}

impl Lineage {
    /// Checks changes, of which the first has to be the root, and finds what belongs to each.
    pub(super) fn read(tables: &Tables<'_>) -> Result<Self, &'static str> {
        let floors = check_changes(&tables.changes, tables.actors.len())?;
        let mut finder = Finder::new(&tables.changes, &floors, tables.actors.len());
        let mut starts: Vec<u32> = vec![0; tables.changes.len()];
        let mut changes_of = |mut ids: Ids<'_>| {
            let mut places = Vec::new();
            while let Some(id) = ids.next()? {
                let place = finder.find(id).ok_or("an operation belongs to no change")?;
                let start = &mut starts[place as usize];
                *start = if *start == 0 { id.counter } else { id.counter.min(*start) };
                places.push(place);
            }
            Ok::<_, &'static str>(places)
        };
        let of_rows = changes_of(tables.ids())?;
        let of_successors = changes_of(tables.successors())?;
        let most = of_rows.len() + of_successors.len();
        let mut firsts = Vec::with_capacity(starts.len());
        let mut total = 0;
        for ((change, floor), start) in tables.changes.iter().zip(&floors).zip(starts) {
            firsts.push((u32::try_from(total).map_err(|_| "it has too many operations")?, start));
            total += match start {
                0 if change.max_op > *floor => return Err("a change lacks operations"),
                0 => 0,
                start => (change.max_op - start) as usize + 1,
            };
            if total > most {
                return Err("a change lacks operations");
            }
        }
        let mut lineage = Self { of_rows, of_successors, firsts, marks: vec![0; total] };
        lineage.mark_rows(tables)?;
        Ok(lineage)
    }

    fn mark_rows(&mut self, tables: &Tables<'_>) -> Result<(), &'static str> {
        let mut ids = tables.ids();
        for row in 0..self.of_rows.len() {
            let id = ids.expect()?;
            let change = self.of_rows[row];
            let mark = self.mark(id, change).ok_or("an operation belongs to no change")?;
            if std::mem::replace(mark, ROW) != 0 {
                return Err("an operation stands there twice");
            }
        }
        Ok(())
    }

    /// How many operations there are.
    pub(super) fn operations(&self) -> usize {
        self.marks.len()
    }

    /// The place of a change's operation when all are counted through.
    pub(super) fn place(&self, id: Id, change: u32) -> Option<usize> {
        let (first, start) = *self.firsts.get(change as usize)?;
        Some((first + id.counter.checked_sub(start)?) as usize)
    }

    /// The places of a change's first operation and of the one after its last, and the first one's counter.
    pub(super) fn of_change(&self, number: usize) -> (usize, usize, u32) {
        let (first, start) = self.firsts.get(number).copied().unwrap_or_default();
        let next = self.firsts.get(number + 1).map_or(self.marks.len(), |(next, _)| *next as usize);
        (first as usize, next, start)
    }

    /// Whether the operation at a place has a row of its own.
    pub(super) fn has_row(&self, place: usize) -> bool {
        self.marks.get(place) == Some(&ROW)
    }

    fn mark(&mut self, id: Id, change: u32) -> Option<&mut u32> {
        let place = self.place(id, change)?;
        self.marks.get_mut(place)
    }

    /// Notes that an operation of a change deletes in a register, and in no other; not one that has a row of its own.
    pub(super) fn note_deletion(&mut self, id: Id, change: u32, register: u32) -> Result<(), &'static str> {
        let mark = self.mark(id, change).ok_or("an operation belongs to no change")?;
        if *mark != 0 && *mark != register {
            return Err("an operation overwrites what stands elsewhere");
        }
        *mark = register;
        Ok(())
    }

    /// Whether each operation of each change was found.
    pub(super) fn is_complete(&self) -> bool {
        self.marks.iter().all(|mark| *mark != 0)
    }
}

/// Checks what can be known of changes without their operations; of each, the counter after which its operations begin.
fn check_changes(changes: &[ChangeRow<'_>], actors: usize) -> Result<Vec<u32>, &'static str> {
    let mut newest: Vec<Option<(u32, u64)>> = vec![None; actors];
    let mut floors = Vec::with_capacity(changes.len());
    for (place, change) in (0..).zip(changes) {
        if change.deps.is_empty() != (place == 0) {
            return Err("there is not one first change");
        }
        let floor = change.deps.iter().map(|dep| changes[*dep as usize].max_op).max().unwrap_or_default();
        if change.max_op < floor || u64::from(change.max_op) > MAX_COUNTER {
            return Err("the counters of its operations are implausible");
        }
        floors.push(floor);
        let newest = &mut newest[change.actor as usize];
        let (last, sequence) = newest.map_or((None, 0), |(last, sequence)| (Some(last), sequence));
        if change.sequence != sequence + 1 || last.is_some_and(|last| !change.deps.contains(&last)) {
            return Err("an actor's changes are no chain");
        }
        *newest = Some((place, change.sequence));
    }
    Ok(floors)
}

/// Finds the change of an operation. Those of one actor have ranges of counters that do not overlap, in order.
struct Finder<'a> {
    changes: &'a [ChangeRow<'a>],
    floors: &'a [u32],
    by_actor: Vec<Vec<u32>>,
    /// Of each actor, where something was found last: the next is likely there, or just behind.
    hints: Vec<usize>,
}

impl<'a> Finder<'a> {
    fn new(changes: &'a [ChangeRow<'a>], floors: &'a [u32], actors: usize) -> Self {
        let mut by_actor = vec![Vec::new(); actors];
        for (place, change) in (0..).zip(changes) {
            by_actor[change.actor as usize].push(place);
        }
        Self { changes, floors, by_actor, hints: vec![0; actors] }
    }

    fn find(&mut self, id: Id) -> Option<u32> {
        let (places, hint) = (self.by_actor.get(id.actor as usize)?, self.hints.get_mut(id.actor as usize)?);
        let is_in = |place: u32| {
            let place = place as usize;
            self.floors[place] < id.counter && id.counter <= self.changes[place].max_op
        };
        let near = (*hint..).take(2).find(|index| places.get(*index).is_some_and(|place| is_in(*place)));
        *hint =
            near.unwrap_or_else(|| places.partition_point(|place| self.changes[*place as usize].max_op < id.counter));
        places.get(*hint).copied().filter(|place| is_in(*place))
    }
}
