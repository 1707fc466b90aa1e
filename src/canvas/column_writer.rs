//! The columns of an Automerge change, written as Automerge writes them: the counterpart of [`columns`](super::columns).
//!
//! See the Automerge binary format specification, section "Column encodings".

use crate::canvas::chunk::{write_sleb, write_uleb};

/// Writes a run-length encoded column: what stands two times or more in a row once with its count, the rest row by row.
pub(super) fn write_runs<T: Copy + PartialEq>(rows: &[Option<T>], out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|row| *row == first).count();
        if same > 1 || first.is_none() {
            match first {
                None => {
                    write_sleb(0, out);
                    write_uleb(same as u64, out);
                }
                Some(value) => {
                    write_sleb(length(same), out);
                    write(*value, out);
                }
            }
            rest = rest.split_at(same).1;
            continue;
        }
        let single = |at: &usize| {
            rest.get(*at).is_some_and(|row| row.is_some() && rest.get(at + 1).is_none_or(|next| next != row))
        };
        let singles = (0..rest.len()).take_while(single).count();
        let (literals, others) = rest.split_at(singles);
        write_sleb(-length(singles), out);
        literals.iter().flatten().for_each(|value| write(*value, out));
        rest = others;
    }
}

fn length(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Writes a column of numbers, each as the difference from the one before.
pub(super) fn write_deltas(rows: impl Iterator<Item = Option<u32>>, out: &mut Vec<u8>) {
    let mut last = 0;
    let difference = |row: u32| i64::from(row) - std::mem::replace(&mut last, i64::from(row));
    let rows: Vec<Option<i64>> = rows
        .map({
            let mut difference = difference;
            move |row| row.map(&mut difference)
        })
        .collect();
    write_runs(&rows, out, write_sleb);
}

/// Writes a column of truth values: how many are alike, beginning with false.
pub(super) fn write_booleans(rows: impl Iterator<Item = bool>, out: &mut Vec<u8>) {
    let (mut value, mut count) = (false, 0);
    for row in rows {
        if row != value {
            write_uleb(count, out);
            (value, count) = (row, 0);
        }
        count += 1;
    }
    if count > 0 {
        write_uleb(count, out);
    }
}

#[cfg(test)]
mod tests {
    use hexane::{DeltaEncoder, Encoder, EncoderApi};
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    /// Few values, so that there are runs; some take several bytes.
    fn number() -> impl Strategy<Value = Option<u32>> {
        prop::option::weighted(0.8, prop_oneof![0..3_u32, Just(64), Just(u32::MAX), any::<u32>()])
    }

    proptest! {
        #[test]
        fn columns_are_written_as_automerge_writes_them(
            numbers in prop::collection::vec(number(), 1..40),
            names in prop::collection::vec(prop::option::weighted(0.8, "[ab]?"), 1..20),
            truths in prop::collection::vec(any::<bool>(), 1..40),
        ) {
            let wide: Vec<Option<u64>> = numbers.iter().map(|number| number.map(u64::from)).collect();
            let expected = written(|out| _ = Encoder::<Option<u64>>::encode_to(out, wide.iter().copied()));
            prop_assert_eq!(written(|out| write_runs(&wide, out, write_uleb)), expected);
            let signed = numbers.iter().map(|number| number.map(i64::from));
            let expected = written(|out| _ = DeltaEncoder::<Option<i64>>::encode_to(out, signed));
            prop_assert_eq!(written(|out| write_deltas(numbers.iter().copied(), out)), expected);
            let names: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
            let expected = written(|out| _ = Encoder::<Option<String>>::encode_to(out, names.iter().copied()));
            let write = |name: &str, out: &mut Vec<u8>| {
                write_uleb(name.len() as u64, out);
                out.extend_from_slice(name.as_bytes());
            };
            prop_assert_eq!(written(|out| write_runs(&names, out, write)), expected);
            let expected = written(|out| _ = Encoder::<bool>::encode_to(out, truths.iter().copied()));
            prop_assert_eq!(written(|out| write_booleans(truths.iter().copied(), out)), expected);
        }
    }
}
