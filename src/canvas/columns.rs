//! The columns of an Automerge document, read row by row: runs of numbers, of differences, of strings, of truth values.
//!
//! See the Automerge binary format specification, section "Column encodings". A column that is absent, or has ended, goes on
//! with rows that hold nothing.

use crate::canvas::chunk::{read_sleb, read_uleb};

/// Why columns were not read.
pub(super) const DAMAGED: &str = "its columns are damaged";

/// What stands in one row of a run-length encoded column.
pub(super) trait Item<'a>: Copy {
    /// Reads one off the front.
    fn read(input: &mut &'a [u8]) -> Option<Self>;
}

impl Item<'_> for u64 {
    fn read(input: &mut &[u8]) -> Option<Self> {
        read_uleb(input)
    }
}

impl Item<'_> for i64 {
    fn read(input: &mut &[u8]) -> Option<Self> {
        read_sleb(input)
    }
}

impl<'a> Item<'a> for &'a str {
    fn read(input: &mut &'a [u8]) -> Option<Self> {
        let length = usize::try_from(read_uleb(input)?).ok()?;
        let (string, rest) = input.split_at_checked(length)?;
        *input = rest;
        std::str::from_utf8(string).ok()
    }
}

/// A run-length encoded column.
#[derive(Debug, Clone)]
pub(super) struct Runs<'a, T> {
    rest: &'a [u8],
    /// Rows left of the present run.
    left: u64,
    run: Run<T>,
}

#[derive(Debug, Clone, Copy)]
enum Run<T> {
    /// Each row is written out.
    Literal,
    /// All rows are the same.
    Same(Option<T>),
}

impl<'a, T: Item<'a>> Runs<'a, T> {
    pub(super) fn new(column: &'a [u8]) -> Self {
        Self { rest: column, left: 0, run: Run::Literal }
    }

    /// Whether every row was read.
    pub(super) fn has_ended(&self) -> bool {
        self.left == 0 && self.rest.is_empty()
    }

    /// What stands in the next row.
    pub(super) fn next(&mut self) -> Result<Option<T>, &'static str> {
        if self.has_ended() {
            return Ok(None);
        }
        if self.left == 0 {
            self.begin_run().ok_or(DAMAGED)?;
        }
        self.left -= 1;
        match self.run {
            Run::Same(value) => Ok(value),
            Run::Literal => T::read(&mut self.rest).map(Some).ok_or(DAMAGED),
        }
    }

    fn begin_run(&mut self) -> Option<()> {
        let length = read_sleb(&mut self.rest)?;
        (self.left, self.run) = match length {
            0 => (read_uleb(&mut self.rest)?, Run::Same(None)),
            1.. => (length.unsigned_abs(), Run::Same(Some(T::read(&mut self.rest)?))),
            _ => (length.unsigned_abs(), Run::Literal),
        };
        (self.left > 0).then_some(())
    }
}

/// A column of numbers of which each is written as the difference from the one before.
#[derive(Debug, Clone)]
pub(super) struct Deltas<'a> {
    runs: Runs<'a, i64>,
    last: i64,
}

impl<'a> Deltas<'a> {
    pub(super) fn new(column: &'a [u8]) -> Self {
        Self { runs: Runs::new(column), last: 0 }
    }

    /// Whether every row was read.
    pub(super) fn has_ended(&self) -> bool {
        self.runs.has_ended()
    }

    /// What stands in the next row, which is no less than 0.
    pub(super) fn next(&mut self) -> Result<Option<u64>, &'static str> {
        let Some(delta) = self.runs.next()? else { return Ok(None) };
        self.last = self.last.checked_add(delta).ok_or(DAMAGED)?;
        u64::try_from(self.last).map(Some).map_err(|_| DAMAGED)
    }
}

/// A column of truth values, in runs that alternate and begin with false.
#[derive(Debug, Clone)]
pub(super) struct Booleans<'a> {
    rest: &'a [u8],
    left: u64,
    value: bool,
}

impl<'a> Booleans<'a> {
    pub(super) fn new(column: &'a [u8]) -> Self {
        Self { rest: column, left: 0, value: true }
    }

    /// Whether every row was read.
    pub(super) fn has_ended(&self) -> bool {
        self.left == 0 && self.rest.is_empty()
    }

    /// What stands in the next row.
    pub(super) fn next(&mut self) -> Result<bool, &'static str> {
        while self.left == 0 {
            if self.rest.is_empty() {
                return Ok(false);
            }
            self.left = read_uleb(&mut self.rest).ok_or(DAMAGED)?;
            self.value = !self.value;
        }
        self.left -= 1;
        Ok(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T, E>(count: usize, mut next: impl FnMut() -> Result<T, E>) -> Result<Vec<T>, E> {
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn runs_read_row_by_row() {
        let mut column = Runs::<u64>::new(&[3, 9, 0x7e, 1, 2, 0, 2]);
        let rows = read(8, || column.next()).unwrap();
        assert_eq!(rows, [Some(9), Some(9), Some(9), Some(1), Some(2), None, None, None]);
        let mut column = Runs::<&str>::new(&[0x7f, 2, b'a', b'b', 2, 1, b'c']);
        assert_eq!(read(3, || column.next()).unwrap(), [Some("ab"), Some("c"), Some("c")]);
        assert!(column.has_ended());
        let mut column = Deltas::new(&[2, 5, 0x7f, 0x7c, 0, 1]);
        assert_eq!(read(4, || column.next()).unwrap(), [Some(5), Some(10), Some(6), None]);
        let mut column = Booleans::new(&[0, 2, 1, 1]);
        assert_eq!(read(5, || column.next()).unwrap(), [true, true, false, true, false]);
    }

    #[test]
    fn damaged_columns_are_no_rows() {
        assert!(Runs::<u64>::new(&[2]).next().is_err());
        assert!(Runs::<u64>::new(&[0, 0]).next().is_err());
        assert!(Runs::<&str>::new(&[1, 1, 0xff]).next().is_err());
        assert!(Deltas::new(&[1, 0x7f]).next().is_err(), "below zero");
        assert!(Booleans::new(&[0x80]).next().is_err());
    }
}
