//! A version of a canvas as applications see it.

use std::fmt;
use std::str::FromStr;

use automerge::ChangeHash;

use crate::canvas::error::CanvasError;
use crate::ids::Heads;
use crate::limits::MAX_HASHES_PER_LIST;

/// A version of a canvas: the newest changes that it holds. Its text form is opaque to applications: the base58 of the
/// concatenated hashes, `0` for none.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub Heads);

const HASH_BYTES: usize = 32;

/// The text of the version that holds nothing; `0` is not in the base58 alphabet.
const NOTHING: &str = "0";

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.as_slice().is_empty() {
            return f.write_str(NOTHING);
        }
        let bytes: Vec<u8> = self.0.as_slice().iter().flat_map(|hash| hash.0).collect();
        f.write_str(&bs58::encode(bytes).into_string())
    }
}

impl FromStr for Version {
    type Err = CanvasError;

    fn from_str(text: &str) -> Result<Self, CanvasError> {
        if text == NOTHING {
            return Ok(Self::default());
        }
        // Base58 takes 1.37 characters a byte, and decodes in quadratic time: bound it first.
        if text.is_empty() || text.len() > MAX_VERSION_HASHES * HASH_BYTES * 3 / 2 {
            return Err(CanvasError::NotAVersion);
        }
        let bytes = bs58::decode(text).into_vec().map_err(|_| CanvasError::NotAVersion)?;
        let (hashes, []) = bytes.as_chunks::<HASH_BYTES>() else {
            return Err(CanvasError::NotAVersion);
        };
        let version = Self(hashes.iter().copied().map(ChangeHash).collect());
        // One text for one version: equal versions compare equal as text too.
        if version.to_string() == text { Ok(version) } else { Err(CanvasError::NotAVersion) }
    }
}

/// Most hashes read from a version's text; far above what merging leaves.
const MAX_VERSION_HASHES: usize = MAX_HASHES_PER_LIST / 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_reads_back_from_its_text() {
        for hashes in [vec![], vec![ChangeHash([0; 32])], vec![ChangeHash([9; 32]), ChangeHash([1; 32])]] {
            let version = Version(Heads::new(hashes));
            assert_eq!(version.to_string().parse(), Ok(version));
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "00", "x", "!", &"1".repeat(100_000), &bs58::encode([7; 33]).into_string()] {
            assert_eq!(text.parse::<Version>(), Err(CanvasError::NotAVersion), "{text}");
        }
    }
}
