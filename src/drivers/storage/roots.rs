//! The first admin of each repository where only members take part, as this data directory has known it from the beginning:
//! whoever is named later, by whomever, is somebody else.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::StorageError;
use super::disk::{create_directory, private, sync_directory};
use crate::ids::{PeerId, RepositoryName};

/// Longer than a peer id and a line end.
const MAX_BYTES: u64 = 128;

/// The root that was pinned, if one was.
///
/// # Errors
/// [`StorageError::Corrupt`]: the file is no peer id; [`StorageError::Io`]: the system refused.
pub fn pinned_root(directory: &Path, repository: &RepositoryName) -> Result<Option<PeerId>, StorageError> {
    let path = file_of(directory, repository);
    let mut text = String::new();
    match File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::from_io(&path, &error)),
    }
    let reason = "it is not the peer id of a first admin".to_owned();
    text.trim_end().parse().map(Some).map_err(|_| StorageError::Corrupt { path, reason })
}

/// Pins a root. What is there under the name is whole, also after a crash.
///
/// # Errors
/// [`StorageError`]: the system refused, and nothing was changed.
pub fn pin_root(directory: &Path, repository: &RepositoryName, root: &PeerId) -> Result<(), StorageError> {
    let path = file_of(directory, repository);
    let unfinished = path.with_extension("new");
    let write = || {
        create_directory(directory)?;
        let mut file = private().create(true).truncate(true).open(&unfinished)?;
        file.write_all(format!("{root}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        sync_directory(directory)
    };
    write().map_err(|error| StorageError::from_io(&path, &error))
}

fn file_of(directory: &Path, repository: &RepositoryName) -> PathBuf {
    let digest = Sha256::digest(repository.as_str());
    directory.join(format!("root-{}.peer", hex::encode(&digest[..16])))
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::Folder;
    use super::*;

    #[test]
    fn a_root_stays_what_it_was() {
        let folder = Folder::new();
        let name = |text| RepositoryName::new(text).unwrap();
        let directory = folder.path().join("data");
        assert_eq!(pinned_root(&directory, &name("r")), Ok(None));
        pin_root(&directory, &name("r"), &PeerId([7; 32])).unwrap();
        assert_eq!(pinned_root(&directory, &name("r")), Ok(Some(PeerId([7; 32]))));
        assert_eq!(pinned_root(&directory, &name("../r")), Ok(None));
        fs::write(file_of(&directory, &name("r")), "nobody").unwrap();
        assert!(matches!(pinned_root(&directory, &name("r")), Err(StorageError::Corrupt { .. })));
    }
}
