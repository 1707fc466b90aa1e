//! Which keys replaced those of encrypted repositories: a file for each epoch, in `epochs` in the data directory. A record
//! holds its secret wrapped for each peer that stays, so it is of use with `identity.key` alone.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::disk::{create_directory, private, sync_directory};
use crate::crypto::KeyId;
use crate::ids::RepositoryName;
use crate::limits::{MAX_EPOCH_RECIPIENTS, MAX_NAME_BYTES, MAX_STORED_EPOCHS};
use crate::sync::Epoch;
use crate::wire::EpochRecord;

const DIRECTORY: &str = "epochs";
const EXTENSION: &str = "epoch";
/// First bytes of a file.
const MAGIC: &[u8] = b"mqtt-p2p-epoch-1";
/// Length of the repository's name before the record.
const LENGTH_BYTES: usize = 2;
const DIGEST_BYTES: usize = 32;
/// Longest file: a recipient takes 87 bytes.
const MAX_FILE_BYTES: usize =
    MAGIC.len() + LENGTH_BYTES + MAX_NAME_BYTES + 512 + 96 * MAX_EPOCH_RECIPIENTS + DIGEST_BYTES;

/// Why the record of an epoch cannot be used or kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EpochFileError {
    /// The file is not whole. Without it this peer might go on with a key that was replaced.
    #[error("{} is damaged; put back a copy, or delete it, and give this peer the newest key file", .0.display())]
    Damaged(PathBuf),
    /// There are more files than ever should be.
    #[error("{} holds more than {MAX_STORED_EPOCHS} epochs; delete it, and give this peer the newest key file", .0.display())]
    TooMany(PathBuf),
    /// The system refused.
    #[error("{} cannot be used: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl EpochFileError {
    fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.to_owned(), reason: error.to_string() }
    }
}

/// All epochs that a data directory has, in no order. Blocks.
///
/// # Errors
/// [`EpochFileError`].
pub fn read_epochs(data: &Path) -> Result<Vec<Epoch>, EpochFileError> {
    let directory = data.join(DIRECTORY);
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| EpochFileError::io(&directory, &error))?,
    };
    let mut epochs = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| EpochFileError::io(&directory, &error))?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        if epochs.len() == MAX_STORED_EPOCHS {
            return Err(EpochFileError::TooMany(directory));
        }
        epochs.push(read(&path)?);
    }
    Ok(epochs)
}

/// Keeps an epoch durably, in the place of another that follows the same key. Blocks.
///
/// # Errors
/// [`EpochFileError::Io`]; then it is as before.
pub fn keep_epoch(data: &Path, epoch: &Epoch) -> Result<(), EpochFileError> {
    let directory = data.join(DIRECTORY);
    let path = directory.join(name(&epoch.repository, &epoch.record.previous)).with_extension(EXTENSION);
    let unfinished = path.with_extension("new");
    let failed = |error: io::Error| EpochFileError::io(&path, &error);
    create_directory(&directory).map_err(failed)?;
    let bytes = encode(epoch).ok_or_else(|| EpochFileError::Damaged(path.clone()))?;
    let mut file = private().create(true).truncate(true).open(&unfinished).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&unfinished, &path).and_then(|()| sync_directory(&directory)).map_err(failed)
}

/// One name for each key of each repository, whatever that is called.
fn name(repository: &RepositoryName, previous: &KeyId) -> String {
    let digest = Sha256::new().chain_update(previous.0).chain_update(repository.as_str()).finalize();
    hex::encode(&digest[..16])
}

fn encode(epoch: &Epoch) -> Option<Vec<u8>> {
    let name = epoch.repository.as_str().as_bytes();
    let length = u16::try_from(name.len()).ok()?;
    let mut bytes = [MAGIC, &length.to_be_bytes(), name, &epoch.record.to_bytes().ok()?].concat();
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    Some(bytes)
}

fn decode(bytes: &[u8]) -> Option<Epoch> {
    let (content, digest) = bytes.split_last_chunk::<DIGEST_BYTES>()?;
    if Sha256::digest(content)[..] != digest[..] {
        return None;
    }
    let (length, rest) = content.strip_prefix(MAGIC)?.split_first_chunk::<LENGTH_BYTES>()?;
    let (name, record) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let repository = RepositoryName::new(std::str::from_utf8(name).ok()?).ok()?;
    Some(Epoch { repository, record: EpochRecord::from_bytes(record).ok()? })
}

fn read(path: &Path) -> Result<Epoch, EpochFileError> {
    let failed = |error: io::Error| EpochFileError::io(path, &error);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_FILE_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
    decode(&bytes).ok_or_else(|| EpochFileError::Damaged(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::Folder;
    use super::*;
    use crate::crypto::{Identity, RootSecret, Wrapping};
    use crate::ids::PeerId;

    fn epoch(repository: &str, previous: u8, secret: u8) -> Epoch {
        let repository = RepositoryName::new(repository).unwrap();
        let secret = RootSecret::of_epoch([secret; 32], 1);
        let (identity, peers) = (Identity::from_seed([1; 32]), [Identity::from_seed([2; 32]).peer()]);
        let peers: &[PeerId] = &peers;
        let wrapping = Wrapping::new([3; 32]);
        let record =
            EpochRecord::new(&identity, &repository, KeyId([previous; 32]), &secret, peers, &wrapping).unwrap();
        Epoch { repository, record }
    }

    #[test]
    fn epochs_read_back_and_one_takes_the_place_of_its_rival() {
        let folder = Folder::new();
        assert_eq!(read_epochs(folder.path()), Ok(Vec::new()));
        let [one, rival, next, elsewhere] =
            [epoch("a/b", 1, 5), epoch("a/b", 1, 6), epoch("a/b", 2, 7), epoch("c", 1, 5)];
        for epoch in [&one, &rival, &next, &elsewhere, &elsewhere] {
            keep_epoch(folder.path(), epoch).unwrap();
        }
        let kept = read_epochs(folder.path()).unwrap();
        assert_eq!(kept.len(), 3);
        assert!([rival, next, elsewhere].iter().all(|epoch| kept.contains(epoch)));
    }

    #[test]
    #[cfg(unix)]
    fn they_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        keep_epoch(folder.path(), &epoch("a", 1, 5)).unwrap();
        let directory = folder.path().join(DIRECTORY);
        let file = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
    }

    #[test]
    fn a_damaged_file_is_not_passed_over() {
        let folder = Folder::new();
        keep_epoch(folder.path(), &epoch("a", 1, 5)).unwrap();
        let file = fs::read_dir(folder.path().join(DIRECTORY)).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&file).unwrap();
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            fs::write(&file, &broken).unwrap();
            assert_eq!(read_epochs(folder.path()), Err(EpochFileError::Damaged(file.clone())), "byte {at}");
            fs::write(&file, &bytes[..at]).unwrap();
            assert_eq!(read_epochs(folder.path()), Err(EpochFileError::Damaged(file.clone())), "cut at {at}");
        }
    }
}
