//! The outermost form of Automerge's encoding, checked before Automerge sees it.
//!
//! A chunk is: magic number, checksum (the first four bytes of the hash), type, length, body; the hash is SHA-256 over
//! type, length and body. See the Automerge binary format specification, sections "Chunk" and "Change chunk".

use sha2::{Digest, Sha256};

use crate::limits::{
    MAX_CHANGE_BYTES, MAX_CHANGE_OPERATIONS, MAX_DOCUMENT_OPERATIONS, MAX_DOCUMENT_OPERATIONS_PER_BYTE,
};

/// Type of a chunk that holds a whole document.
pub(crate) const DOCUMENT: u8 = 0;
/// Type of a chunk that holds one uncompressed change.
pub(crate) const CHANGE: u8 = 1;

/// What every chunk begins with.
pub(crate) const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const CHECKSUM_BYTES: usize = 4;
/// In a column's specification, says that the column is deflated.
const DEFLATE_BIT: u64 = 0b1000;
/// In a column's specification, the bits that say how it is encoded.
const COLUMN_TYPE: u64 = 0b111;
/// Type of a column of run lengths of alternating truth values.
const BOOLEANS: u64 = 4;
/// Type of a run-length encoded column of strings.
const STRINGS: u64 = 5;
/// Type of a column of values without any structure of its own.
const RAW_VALUES: u64 = 7;
const HASH_BYTES: usize = 32;

/// Reads an unsigned LEB128 number of at most 64 bits off the front.
pub(crate) fn read_uleb(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(crate) fn write_uleb(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Writes a signed number as LEB128.
pub(crate) fn write_sleb(mut value: i64, out: &mut Vec<u8>) {
    while !(-64..64).contains(&value) {
        out.push(0x80 | (value & 0x7f).to_le_bytes()[0]);
        value >>= 7;
    }
    out.push((value & 0x7f).to_le_bytes()[0]);
}

/// Splits a single chunk into type and body; `None` if it is none, or more than one.
pub(crate) fn split(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (kind, body, rest) = split_first(bytes)?;
    rest.is_empty().then_some((kind, body))
}

/// Splits the chunk at the front into type and body, and gives what follows it. Its checksum is for whoever decodes it.
pub(crate) fn split_first(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let rest = bytes.strip_prefix(&MAGIC)?.get(CHECKSUM_BYTES..)?;
    let (kind, mut rest) = rest.split_first()?;
    let length = usize::try_from(read_uleb(&mut rest)?).ok()?;
    let (body, rest) = rest.split_at_checked(length)?;
    Some((*kind, body, rest))
}

/// Makes a chunk of type and body.
pub(crate) fn join(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut tail = vec![kind];
    write_uleb(body.len() as u64, &mut tail);
    tail.extend_from_slice(body);
    let hash = Sha256::digest(&tail);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&hash[..CHECKSUM_BYTES]);
    bytes.extend_from_slice(&tail);
    bytes
}

/// Whether the checksum of a single chunk is that of its content.
pub(crate) fn is_sound(bytes: &[u8]) -> bool {
    let rest = bytes.strip_prefix(&MAGIC).and_then(|rest| rest.split_at_checked(CHECKSUM_BYTES));
    rest.is_some_and(|(checksum, tail)| Sha256::digest(tail).starts_with(checksum))
}

/// Checks the size and type of what should be one uncompressed change. (Automerge itself refuses deflated columns in
/// those.)
pub(crate) fn check_change(bytes: &[u8]) -> Result<(), &'static str> {
    if bytes.len() > MAX_CHANGE_BYTES {
        return Err("it is too large");
    }
    match split(bytes) {
        Some((CHANGE, body)) => match most_rows(body) {
            Some(rows) if rows <= MAX_CHANGE_OPERATIONS => Ok(()),
            Some(_) => Err("it has too many operations"),
            None => Err("its columns are damaged"),
        },
        Some(_) => Err("it is not an uncompressed change"),
        None => Err("it is not one Automerge chunk"),
    }
}

/// The rows of a change's longest column. Columns are run-length encoded, so that a few bytes can stand for so many
/// rows that reading them exhausts the machine.
fn most_rows(body: &[u8]) -> Option<u64> {
    let mut rest = body;
    let dependencies = usize::try_from(read_uleb(&mut rest)?).ok()?;
    rest = rest.get(dependencies.checked_mul(HASH_BYTES)?..)?;
    skip_bytes(&mut rest)?; // actor
    for _ in ["sequence number", "first operation", "time"] {
        read_uleb(&mut rest)?;
    }
    skip_bytes(&mut rest)?; // message
    for _ in 0..read_uleb(&mut rest)? {
        skip_bytes(&mut rest)?; // other actors
    }
    let columns = read_columns(&mut rest)?;
    most_rows_of(&columns, &mut rest)
}

/// Specification and length in bytes of each column of a list.
pub(crate) type Columns = Vec<(u64, usize)>;

fn read_columns(input: &mut &[u8]) -> Option<Columns> {
    let columns = read_uleb(input)?;
    let column = |_| Some((read_uleb(input)?, usize::try_from(read_uleb(input)?).ok()?));
    (0..columns).map(column).collect()
}

/// Reads columns off the front; the rows of the longest.
fn most_rows_of(columns: &Columns, input: &mut &[u8]) -> Option<u64> {
    let mut most = 0;
    for (specification, length) in columns {
        let (column, rest) = input.split_at_checked(*length)?;
        *input = rest;
        most = most.max(rows(specification & COLUMN_TYPE, column)?);
    }
    Some(most)
}

/// How many rows a column has; 0 for raw values, which have none of their own.
fn rows(kind: u64, mut column: &[u8]) -> Option<u64> {
    let mut rows: u64 = 0;
    while !column.is_empty() && kind != RAW_VALUES {
        let count = if kind == BOOLEANS {
            read_uleb(&mut column)?
        } else {
            let run = read_sleb(&mut column)?;
            if run == 0 {
                read_uleb(&mut column)?
            } else {
                let values = if run > 0 { 1 } else { run.unsigned_abs() };
                for _ in 0..values {
                    if kind == STRINGS {
                        skip_bytes(&mut column)?;
                    } else {
                        read_uleb(&mut column)?;
                    }
                }
                run.unsigned_abs()
            }
        };
        rows = rows.checked_add(count)?;
    }
    Some(rows)
}

fn skip_bytes(input: &mut &[u8]) -> Option<()> {
    take_bytes(input).map(|_| ())
}

/// Reads bytes, before which their length stands, off the front.
pub(crate) fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(read_uleb(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

/// Reads a signed LEB128 number of at most 64 bits off the front.
pub(crate) fn read_sleb(input: &mut &[u8]) -> Option<i64> {
    let mut value: i64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        value |= i64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let negative = byte & 0x40 != 0 && shift + 7 < 64;
            return Some(if negative { value | (-1 << (shift + 7)) } else { value });
        }
    }
    None
}

/// Checks that a saved document is one document chunk, of no more operations than a document may have, without deflated
/// columns, which could inflate to gigabytes.
pub(crate) fn check_document(bytes: &[u8]) -> Result<(), &'static str> {
    let Some((DOCUMENT, body)) = split(bytes) else { return Err("it is not one Automerge document") };
    let (changes, operations, mut data) = read_document_header(body).ok_or("its header is damaged")?;
    if changes.iter().chain(&operations).any(|(specification, _)| specification & DEFLATE_BIT != 0) {
        return Err("it has compressed columns");
    }
    let in_so_many_bytes = MAX_CHANGE_OPERATIONS + MAX_DOCUMENT_OPERATIONS_PER_BYTE * bytes.len() as u64;
    let most = in_so_many_bytes.min(MAX_DOCUMENT_OPERATIONS);
    for columns in [changes, operations] {
        match most_rows_of(&columns, &mut data) {
            Some(rows) if rows <= most => {}
            Some(_) => return Err("it has too many operations"),
            None => return Err("its columns are damaged"),
        }
    }
    Ok(())
}

/// A document's body starts with actors, heads, and the two lists of columns: of changes, and of operations.
fn read_document_header(body: &[u8]) -> Option<(Columns, Columns, &[u8])> {
    let mut rest = body;
    for _ in 0..read_uleb(&mut rest)? {
        skip_bytes(&mut rest)?;
    }
    read_columns_of_document(rest)
}

/// What follows the actors: heads, which are skipped, the two lists of columns, and the columns.
pub(crate) fn read_columns_of_document(mut rest: &[u8]) -> Option<(Columns, Columns, &[u8])> {
    let heads = usize::try_from(read_uleb(&mut rest)?).ok()?;
    rest = rest.get(heads.checked_mul(HASH_BYTES)?..)?;
    let changes = read_columns(&mut rest)?;
    let operations = read_columns(&mut rest)?;
    Some((changes, operations, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_splits_into_what_it_was_joined_of() {
        for length in [0, 1, 127, 128, 70_000] {
            let body = vec![5; length];
            assert_eq!(split(&join(CHANGE, &body)), Some((CHANGE, body.as_slice())));
        }
    }

    #[test]
    fn damaged_chunks_are_refused() {
        let chunk = join(CHANGE, &[1, 2, 3]);
        for length in 0..chunk.len() {
            assert_eq!(split(&chunk[..length]), None);
        }
        assert!(check_change(&[chunk.clone(), chunk].concat()).is_err());
        assert!(check_change(&join(2, b"deflated")).is_err());
    }

    #[test]
    fn numbers_read_back_signed() {
        for (bytes, number) in [(&[0_u8][..], 0), (&[0x7f], -1), (&[0x3f], 63), (&[0x40], -64), (&[0xc0, 0x00], 64)] {
            assert_eq!(read_sleb(&mut &*bytes), Some(number));
        }
        assert_eq!(read_sleb(&mut &[0x80][..]), None);
    }

    #[test]
    fn a_few_bytes_cannot_stand_for_endless_operations() {
        let integers = 2;
        assert_eq!(rows(integers, &[3, 9, 0x7e, 1, 2, 0, 5]), Some(3 + 2 + 5));
        assert_eq!(rows(BOOLEANS, &[1, 2, 3]), Some(6));
        assert_eq!(rows(STRINGS, &[0x7f, 2, b'a', b'b', 4, 1, b'c']), Some(1 + 4));
        assert_eq!(rows(integers, &[0, 0xff, 0xff, 0xff, 0xff, 0x7f]), Some((1 << 35) - 1));
        assert_eq!(rows(integers, &[0x7e, 1]), None);
        // One column of 2^35 nulls, in a change that is well formed otherwise.
        let body = [&[0, 1, 9, 1, 1, 0, 0, 0, 1, 0x42, 6][..], &[0, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
        assert_eq!(check_change(&join(CHANGE, &body)), Err("it has too many operations"));
    }

    #[test]
    fn a_document_cannot_stand_for_endless_operations_either() {
        // No actors, no heads, no changes, and one column of 2^35 nulls.
        let body = [&[0, 0, 0, 1, 0x42, 6][..], &[0, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
        assert_eq!(check_document(&join(DOCUMENT, &body)), Err("it has too many operations"));
        assert_eq!(check_document(&join(DOCUMENT, &body[..8])), Err("its columns are damaged"));
        // So many columns that the list of them would fill the memory.
        let many = [&[0, 0][..], &[0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
        assert_eq!(check_document(&join(DOCUMENT, &many)), Err("its header is damaged"));
    }

    #[test]
    fn compressed_documents_are_refused() {
        use automerge::transaction::Transactable;
        let mut doc = automerge::Automerge::new();
        let mut tx = doc.transaction();
        for key in 0..500 {
            tx.put(automerge::ROOT, format!("key {key}"), "value").unwrap();
        }
        tx.commit();
        assert_eq!(check_document(&doc.save_nocompress()), Ok(()));
        assert_eq!(check_document(&doc.save()), Err("it has compressed columns"));
        assert!(check_document(b"garbage").is_err());
    }
}
