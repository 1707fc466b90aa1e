//! Keys: the repository that holds a document, the document, and for some tables a suffix.
//!
//! Each part is preceded by its length, so that no key begins with another document's, and all keys of a repository are
//! next to each other.

use crate::ids::{CanvasId, DocumentId, Generation, RepositoryName};

const INDEX: u8 = 0;
const CANVAS: u8 = 1;
/// Length of a sequence number at the end of a key.
pub(super) const SEQUENCE_BYTES: usize = 8;

/// What all keys of a repository begin with.
pub(super) fn repository(repository: &RepositoryName) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    put(&mut key, repository.as_str());
    key
}

/// The first key behind all that begin with the prefix; `None` if there is none.
pub(super) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}

/// The key of a document of a repository.
pub(super) fn document(repository_name: &RepositoryName, document: &DocumentId) -> Vec<u8> {
    let mut key = repository(repository_name);
    put(&mut key, document.repository().as_str());
    match document {
        DocumentId::Index { .. } => key.push(INDEX),
        DocumentId::Canvas { canvas, generation, .. } => {
            key.push(CANVAS);
            put(&mut key, canvas.as_str());
            key.extend_from_slice(&generation.0.to_be_bytes());
        }
    }
    key
}

/// A document's key with a sequence number: in order of the numbers.
pub(super) fn numbered(document: &[u8], sequence: u64) -> Vec<u8> {
    [document, &sequence.to_be_bytes()].concat()
}

/// Splits a sequence number off.
pub(super) fn split_number(key: &[u8]) -> Option<(&[u8], u64)> {
    let (document, sequence) = key.split_last_chunk::<SEQUENCE_BYTES>()?;
    Some((document, u64::from_be_bytes(*sequence)))
}

/// Reads a key: the repository that holds the document, the document, and what follows.
pub(super) fn read(mut key: &[u8]) -> Option<(RepositoryName, DocumentId, &[u8])> {
    let holder = RepositoryName::new(take(&mut key)?).ok()?;
    let repository = RepositoryName::new(take(&mut key)?).ok()?;
    let (kind, mut rest) = key.split_first()?;
    let document = match *kind {
        INDEX => DocumentId::Index { repository },
        CANVAS => {
            let canvas = CanvasId::new(take(&mut rest)?).ok()?;
            let (generation, behind) = rest.split_first_chunk()?;
            rest = behind;
            DocumentId::Canvas { repository, canvas, generation: Generation(u64::from_be_bytes(*generation)) }
        }
        _ => return None,
    };
    Some((holder, document, rest))
}

/// Names are at most [`crate::limits::MAX_NAME_BYTES`] long, which two bytes hold.
#[expect(clippy::cast_possible_truncation, reason = "names are bounded")]
fn put(key: &mut Vec<u8>, name: &str) {
    key.extend_from_slice(&(name.len() as u16).to_be_bytes());
    key.extend_from_slice(name.as_bytes());
}

fn take<'a>(key: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = key.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *key = rest;
    std::str::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        RepositoryName::new(text).unwrap()
    }

    fn canvas(repository: &str, canvas: &str, generation: u64) -> DocumentId {
        DocumentId::Canvas {
            repository: name(repository),
            canvas: CanvasId::new(canvas).unwrap(),
            generation: Generation(generation),
        }
    }

    #[test]
    fn keys_read_back_and_none_begins_with_another() {
        let longest = "x".repeat(crate::limits::MAX_NAME_BYTES);
        let documents = [
            DocumentId::Index { repository: name("a") },
            DocumentId::Index { repository: name("ab") },
            canvas("a", "c", 1),
            canvas("a", "c", u64::MAX),
            canvas("a", "cc", 1),
            canvas(&longest, &longest, 7),
        ];
        let keys: Vec<_> = documents.iter().map(|id| document(&name("holder"), id)).collect();
        for (id, key) in documents.iter().zip(&keys) {
            assert_eq!(read(key), Some((name("holder"), id.clone(), &[][..])));
            let long = numbered(key, 5);
            assert_eq!(split_number(&long), Some((key.as_slice(), 5)));
            assert_eq!(keys.iter().filter(|other| long.starts_with(other)).count(), 1);
        }
        for length in 0..keys[2].len() {
            assert_eq!(read(&keys[2][..length]), None);
        }
    }

    #[test]
    fn a_repository_ends_before_the_next() {
        let prefix = repository(&name("a"));
        let end = after(&prefix).unwrap();
        let inside = document(&name("a"), &canvas("zz", "zz", u64::MAX));
        assert!(prefix < inside && inside < end);
        assert!(repository(&name("b")) >= end && repository(&name("aa")) >= end);
        assert_eq!(after(&[u8::MAX]), None);
    }
}
