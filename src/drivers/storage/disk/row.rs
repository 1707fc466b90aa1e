//! The value of every row: what it holds, behind a header that says what it belongs to.
//!
//! The header repeats the key and has checksums, for two reasons: a row that was damaged is noticed when it is read, and
//! when the database cannot be opened any more, its rows can be found by looking through the bytes of the file.
//!
//! ```text
//! magic 8 | checksum of the header 8 | checksum of the payload 8 | kind 1 | length of the context 2 |
//! length of the payload 4 | context | payload             (numbers little-endian; the context is the row's key)
//! ```
//!
//! A checksum is the first bytes of SHA-256, that of the header over everything between it and the payload.

use sha2::{Digest, Sha256};

/// Its last byte is the version of this layout.
pub(super) const MAGIC: [u8; 8] = *b"mqttp2p\x01";
const CHECKSUM_BYTES: usize = 8;
const HEADER_CHECKSUM: std::ops::Range<usize> = 8..16;
const PAYLOAD_CHECKSUM: std::ops::Range<usize> = 16..24;
const FIXED_BYTES: usize = 31;

/// What a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A compacted document; its context ends with the last sequence number that it covers.
    Snapshot = 1,
    /// Changes appended together; its context ends with their sequence number.
    Changes = 2,
    /// What is known of a document.
    Note = 3,
    /// An actor that may be used again.
    Actor = 4,
}

impl Kind {
    fn read(byte: u8) -> Option<Self> {
        [Self::Snapshot, Self::Changes, Self::Note, Self::Actor].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A row whose header is intact.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) kind: Kind,
    pub(super) context: &'a [u8],
    /// What it holds. As long as the header says, unless the bytes end before.
    pub(super) payload: &'a [u8],
    /// Whether the payload is as it was written.
    pub(super) intact: bool,
}

impl Row<'_> {
    /// Of the whole row, as far as it goes.
    pub(super) fn length(&self) -> usize {
        FIXED_BYTES + self.context.len() + self.payload.len()
    }
}

/// Makes a row; `None` if the payload is longer than a row can be (4 GiB; the database refuses at 3 GiB).
pub(super) fn encode(kind: Kind, context: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let mut row = Vec::with_capacity(FIXED_BYTES + context.len() + payload.len());
    row.extend_from_slice(&MAGIC);
    row.extend_from_slice(&[0; CHECKSUM_BYTES]);
    row.extend_from_slice(&checksum(payload));
    row.push(kind as u8);
    row.extend_from_slice(&u16::try_from(context.len()).ok()?.to_le_bytes());
    row.extend_from_slice(&u32::try_from(payload.len()).ok()?.to_le_bytes());
    row.extend_from_slice(context);
    let header = checksum(&row[PAYLOAD_CHECKSUM.start..]);
    row[HEADER_CHECKSUM].copy_from_slice(&header);
    row.extend_from_slice(payload);
    Some(row)
}

/// Reads the row at the beginning of the bytes; `None` if none with an intact header is there.
pub(super) fn read(bytes: &[u8]) -> Option<Row<'_>> {
    let fixed = bytes.get(..FIXED_BYTES)?;
    if fixed[..MAGIC.len()] != MAGIC {
        return None;
    }
    let context_length = usize::from(u16::from_le_bytes([fixed[25], fixed[26]]));
    let payload_length = u32::from_le_bytes([fixed[27], fixed[28], fixed[29], fixed[30]]);
    let header = bytes.get(PAYLOAD_CHECKSUM.start..FIXED_BYTES + context_length)?;
    if checksum(header) != fixed[HEADER_CHECKSUM] {
        return None;
    }
    let behind = &bytes[FIXED_BYTES + context_length..];
    let payload_length = usize::try_from(payload_length).ok()?;
    let payload = behind.get(..payload_length).unwrap_or(behind);
    Some(Row {
        kind: Kind::read(fixed[24])?,
        context: &bytes[FIXED_BYTES..FIXED_BYTES + context_length],
        payload,
        intact: payload.len() == payload_length && checksum(payload) == fixed[PAYLOAD_CHECKSUM],
    })
}

/// Reads a value that is one row of this kind and context, and nothing else.
pub(super) fn expect<'a>(bytes: &'a [u8], kind: Kind, context: &[u8]) -> Option<&'a [u8]> {
    let row = read(bytes)?;
    (row.kind == kind && row.context.starts_with(context) && row.intact && row.length() == bytes.len())
        .then_some(row.payload)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&Sha256::digest(bytes)[..CHECKSUM_BYTES]);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_and_any_flipped_byte_is_noticed() {
        let row = encode(Kind::Changes, b"key", b"payload").unwrap();
        assert_eq!(expect(&row, Kind::Changes, b"key"), Some(&b"payload"[..]));
        assert_eq!(expect(&row, Kind::Note, b"key"), None);
        assert_eq!(expect(&row, Kind::Changes, b"yek"), None);
        for index in 0..row.len() {
            let mut damaged = row.clone();
            damaged[index] ^= 0x10;
            assert_eq!(expect(&damaged, Kind::Changes, b"key"), None, "byte {index}");
            assert_eq!(expect(&row[..index], Kind::Changes, b"key"), None, "length {index}");
        }
        assert_eq!(expect(&[row.as_slice(), b"x"].concat(), Kind::Changes, b"key"), None);
    }

    #[test]
    fn a_row_with_a_damaged_payload_still_says_what_it_belonged_to() {
        let mut bytes = encode(Kind::Snapshot, b"key", b"payload").unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let row = read(&bytes).unwrap();
        assert_eq!((row.context, row.intact), (&b"key"[..], false));
        assert_eq!(read(&bytes[..last]).unwrap().payload, b"payloa");
    }
}
