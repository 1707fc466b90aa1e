//! What rows hold, as bytes.

use automerge::{ActorId, ChangeHash};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::ids::Heads;
use crate::sync::{ActorMark, Summary};

const HASH_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;

/// In the order of the fields; a later version may add some at the end.
#[derive(Encode, Decode)]
struct SummaryRow {
    #[n(0)]
    heads: ByteVec,
    #[n(1)]
    nodes: u64,
    #[n(2)]
    edges: u64,
    #[n(3)]
    unsent: bool,
}

#[derive(Encode, Decode)]
struct ActorRow {
    #[n(0)]
    actor: ByteVec,
    #[n(1)]
    sequence: u64,
}

pub(super) fn encode_summary(summary: &Summary) -> Vec<u8> {
    encode(&SummaryRow {
        heads: encode_heads(&summary.heads).into(),
        nodes: summary.nodes as u64,
        edges: summary.edges as u64,
        unsent: summary.unsent,
    })
}

pub(super) fn decode_summary(bytes: &[u8]) -> Option<Summary> {
    let row: SummaryRow = minicbor::decode(bytes).ok()?;
    Some(Summary {
        heads: decode_heads(&row.heads)?,
        nodes: usize::try_from(row.nodes).ok()?,
        edges: usize::try_from(row.edges).ok()?,
        unsent: row.unsent,
    })
}

pub(super) fn encode_actor(mark: &ActorMark) -> Vec<u8> {
    encode(&ActorRow { actor: mark.actor.to_bytes().to_vec().into(), sequence: mark.sequence })
}

pub(super) fn decode_actor(bytes: &[u8]) -> Option<ActorMark> {
    let row: ActorRow = minicbor::decode(bytes).ok()?;
    Some(ActorMark { actor: ActorId::from(row.actor.as_slice()), sequence: row.sequence })
}

pub(super) fn encode_heads(heads: &Heads) -> Vec<u8> {
    heads.as_slice().iter().flat_map(|hash| hash.0).collect()
}

pub(super) fn decode_heads(bytes: &[u8]) -> Option<Heads> {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    rest.is_empty().then(|| hashes.iter().map(|hash| ChangeHash(*hash)).collect())
}

/// Each change behind its length; `None` if one is longer than 4 GiB.
pub(super) fn encode_changes(changes: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(changes.iter().map(|change| LENGTH_BYTES + change.len()).sum());
    for change in changes {
        bytes.extend_from_slice(&u32::try_from(change.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(change);
    }
    Some(bytes)
}

/// The changes, as far as the bytes go; `None` in place of one that is cut off.
pub(super) fn changes(mut bytes: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some(change) = take_change(&mut bytes) else {
            bytes = &[];
            return Some(None);
        };
        Some(Some(change))
    })
}

fn take_change<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let (change, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    Some(change)
}

/// These structures hold nothing that CBOR could not express, and memory takes all bytes.
fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back() {
        let heads = Heads::new(vec![ChangeHash([1; 32]), ChangeHash([2; 32])]);
        let summary = Summary { heads: heads.clone(), nodes: 3, edges: 4, unsent: true };
        assert_eq!(decode_summary(&encode_summary(&summary)), Some(summary));
        let mark = ActorMark { actor: ActorId::from([9; 16]), sequence: 7 };
        assert_eq!(decode_actor(&encode_actor(&mark)), Some(mark));
        assert_eq!(decode_heads(&encode_heads(&heads)), Some(heads));
        let list = vec![b"a".to_vec(), Vec::new(), b"bcd".to_vec()];
        let bytes = encode_changes(&list).unwrap();
        let read: Vec<_> = changes(&bytes).map(|change| change.unwrap().to_vec()).collect();
        assert_eq!(read, list);
        assert_eq!(changes(&bytes[..bytes.len() - 1]).last(), Some(None));
    }

    #[test]
    fn damaged_values_are_refused() {
        for bytes in [&b""[..], b"\x00", &[0xff; 40]] {
            assert_eq!(decode_summary(bytes), None);
            assert_eq!(decode_actor(bytes), None);
        }
        assert_eq!(decode_heads(&[0; 33]), None);
    }
}
