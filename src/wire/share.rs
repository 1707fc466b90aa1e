//! What an index says of a canvas that is shared between encrypted repositories: the key that it has of its own
//! (`docs/protocol.md`, section 8.2).

use sha2::{Digest, Sha256};

use super::codec::{Reader, Wire, Writer};
use super::epoch_record::EpochRecord;
use super::error::WireError;
use crate::ids::{DocumentId, RepositoryName};
use crate::wire::topics::Topic;

/// Begins the names of spaces.
const SPACE: &str = "shared/";

/// The key of a shared canvas, wrapped for every repository that it is shared into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Which canvas.
    pub document: DocumentId,
    /// The key. Its recipients are repositories: the public halves of what [`RepositoryKeys::sharing`] gives.
    ///
    /// [`RepositoryKeys::sharing`]: crate::crypto::RepositoryKeys::sharing
    pub record: EpochRecord,
}

impl Share {
    /// As it is kept in an index.
    ///
    /// # Errors
    /// As [`EpochRecord::to_bytes`].
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::with_capacity(512);
        writer.array(2);
        self.document.write(&mut writer)?;
        self.record.write(&mut writer)?;
        Ok(writer.into_bytes())
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`WireError`]: it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        reader.fields(2, "share")?;
        let share = Self { document: Wire::read(&mut reader)?, record: Wire::read(&mut reader)? };
        reader.finish("share")?;
        Ok(share)
    }
}

/// The space of a document that has a key of its own, which is to its topics and keys what a repository is to those of
/// others.
#[must_use]
pub fn space_name(document: &DocumentId) -> Option<RepositoryName> {
    let path = Topic::Changes(document.clone()).plain_path();
    RepositoryName::new(&format!("{SPACE}{}", hex::encode(Sha256::digest(path)))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Identity, KeyId, RootSecret, Wrapping};
    use crate::ids::{CanvasId, Generation};

    #[test]
    fn a_share_reads_back_and_holds_for_its_canvas_alone() {
        let document = |generation| DocumentId::Canvas {
            repository: RepositoryName::new("home").unwrap(),
            canvas: CanvasId::new("plan").unwrap(),
            generation: Generation(generation),
        };
        let (home, target) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let (space, other) = (space_name(&document(1)).unwrap(), space_name(&document(2)).unwrap());
        let secret = RootSecret::of_epoch([7; 32], 1);
        let wrapping = Wrapping::new([9; 32]);
        let record = EpochRecord::new(&home, &space, KeyId([0; 32]), &secret, &[target.peer()], &wrapping).unwrap();
        let share = Share { document: document(1), record };
        let bytes = share.encode().unwrap();
        assert_eq!(Share::decode(&bytes), Ok(share.clone()));
        assert!((0..bytes.len()).all(|end| Share::decode(&bytes[..end]).is_err()));
        assert!(share.record.is_authentic(&space) && !share.record.is_authentic(&other));
        for identity in [&home, &target] {
            assert_eq!(share.record.open(identity, &space), Some(RootSecret::of_epoch([7; 32], 1)));
            assert_eq!(share.record.open(identity, &other), None);
        }
        assert_eq!(share.record.open(&Identity::from_seed([3; 32]), &space), None);
    }
}
