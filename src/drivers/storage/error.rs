//! What can go wrong with storage.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::ids::DocumentId;

/// Why storage failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StorageError {
    /// Somebody has the data directory open already: another process, or another service of this one.
    #[error("{} is in use by another process or service; disconnect that one first, or use another path", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The file is damaged. It is left as it is.
    #[error(
        "the data in {0} is damaged: {reason}; nothing was changed; see what 'mqtt-p2p recover --data-dir {0}' rescues",
        path.display()
    )]
    Corrupt {
        /// The data directory.
        path: PathBuf,
        /// What was seen.
        reason: String,
    },
    /// What is kept of one document does not lead back to it. It is left as it is.
    #[error("the stored data of {document} cannot be read: {reason}")]
    Unreadable {
        /// Which document.
        document: DocumentId,
        /// What was seen.
        reason: String,
    },
    /// The data was written by a later version of this package. It is left as it is.
    #[error(
        "the data in {} was written by a newer version (its format is {found}, this version reads {known}); install that \
         version, or use another path",
        path.display()
    )]
    NewerFormat {
        /// The data directory.
        path: PathBuf,
        /// The format of the data.
        found: u64,
        /// The newest format that this version reads.
        known: u64,
    },
    /// There is no room: on the disk, in the quota, or below the largest size that a file may have.
    #[error("there is no room in {}: {reason}", path.display())]
    Full {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The system refused, or the medium failed.
    #[error("{} cannot be used: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Which kind of failure.
        kind: io::ErrorKind,
        /// What the system said.
        reason: String,
    },
    /// The storage has been closed.
    #[error("the storage is closed")]
    Closed,
}

impl StorageError {
    /// A failure of the system, told apart by its kind.
    pub(crate) fn from_io(path: &Path, error: &io::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { path, reason }
            }
            // A file that ends early, or is no database.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Self::Corrupt { path, reason },
            kind => Self::Io { path, kind, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn no_room_has_several_names() {
        let (enospc, efbig, edquot, eio) = (28, 27, 122, 5);
        for number in [enospc, efbig, edquot] {
            let error = StorageError::from_io(Path::new("x"), &io::Error::from_raw_os_error(number));
            assert!(matches!(error, StorageError::Full { .. }), "{error:?}");
        }
        let error = StorageError::from_io(Path::new("x"), &io::Error::from_raw_os_error(eio));
        assert!(matches!(error, StorageError::Io { .. }), "{error:?}");
    }
}
