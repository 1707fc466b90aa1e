//! Who a peer is, across starts: `identity.key` in the data directory.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

use super::disk::{create_directory, mode_open_to_others, private, sync_directory};

/// The file's name.
const FILE: &str = "identity.key";
/// Length of an Ed25519 seed.
const SEED_BYTES: usize = 32;

/// Why a data directory gives no identity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Others than its owner may read or write the key, and so act as this peer.
    #[error(
        "{} has mode {mode:04o}, so that others can read it; if nobody has, 'chmod 600' it; otherwise delete it, and the \
         peer gets a new identity",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file is no key.
    #[error(
        "{} is not a key of {SEED_BYTES} bytes; put back a copy, or delete it, and the peer gets a new identity",
        path.display()
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{} cannot be used: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// The secret seed of the peer that a data directory belongs to. A directory without one gets `fresh`, which must be
/// random; what appears under the name is whole and durable, and when several do this at once, all get the same.
/// The directory is made (with mode 0700) if it is missing, the file has mode 0600.
///
/// # Errors
/// [`IdentityError`]; nothing was changed.
pub fn identity_seed(directory: &Path, fresh: [u8; SEED_BYTES]) -> Result<[u8; SEED_BYTES], IdentityError> {
    let path = directory.join(FILE);
    let failed = |error: io::Error| IdentityError::Io { path: path.clone(), reason: error.to_string() };
    match File::open(&path) {
        Ok(file) => read(&path, &file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(directory, &path, fresh).map_err(failed)?;
            read(&path, &File::open(&path).map_err(failed)?)
        }
        Err(error) => Err(failed(error)),
    }
}

fn read(path: &Path, file: &File) -> Result<[u8; SEED_BYTES], IdentityError> {
    let failed = |error: io::Error| IdentityError::Io { path: path.to_owned(), reason: error.to_string() };
    if let Some(mode) = mode_open_to_others(file).map_err(failed)? {
        return Err(IdentityError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::with_capacity(SEED_BYTES + 1);
    file.take(SEED_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    bytes.try_into().map_err(|_| IdentityError::NotAKey { path: path.to_owned() })
}

fn create(directory: &Path, path: &Path, seed: [u8; SEED_BYTES]) -> io::Result<()> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    create_directory(directory)?;
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let unfinished = directory.join(format!("{FILE}.new-{}-{number}", std::process::id()));
    let written = write(&unfinished, seed).and_then(|()| publish(&unfinished, path));
    // It has its name by now, or is of no use.
    let _ = fs::remove_file(&unfinished);
    written?;
    sync_directory(directory)
}

fn write(path: &Path, seed: [u8; SEED_BYTES]) -> io::Result<()> {
    let mut file = private().create_new(true).open(path)?;
    file.write_all(&seed)?;
    file.sync_all()
}

/// Gives a file its name, unless another has it already.
fn publish(unfinished: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(unfinished, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system has links.
        Err(_) => fs::rename(unfinished, path),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::Folder;
    use super::*;

    #[test]
    fn a_peer_stays_who_it_is() {
        let folder = Folder::new();
        let directory = folder.path().join("a/b");
        assert_eq!(identity_seed(&directory, [1; 32]), Ok([1; 32]));
        assert_eq!(identity_seed(&directory, [2; 32]), Ok([1; 32]));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn several_that_begin_at_once_are_one_peer() {
        let folder = Folder::new();
        let directory = folder.path().join("data");
        let seeds: Vec<_> = std::thread::scope(|scope| {
            let begin = |number| {
                let directory = &directory;
                scope.spawn(move || identity_seed(directory, [number; 32]).unwrap())
            };
            let all: Vec<_> = (0..8).map(begin).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(seeds.iter().all(|seed| *seed == seeds[0]), "{seeds:?}");
    }

    #[test]
    fn what_is_no_key_is_refused_and_left_alone() {
        let folder = Folder::new();
        let path = folder.path().join(FILE);
        for length in [0, 31, 33, 100_000] {
            let _ = fs::remove_file(&path);
            private().create_new(true).open(&path).unwrap().write_all(&vec![7; length]).unwrap();
            let error = identity_seed(folder.path(), [1; 32]).unwrap_err();
            assert_eq!(error, IdentityError::NotAKey { path: path.clone() });
            assert_eq!(fs::metadata(&path).unwrap().len(), length as u64);
        }
        assert!(matches!(identity_seed(&path, [1; 32]), Err(IdentityError::Io { .. })), "not a directory");
    }

    #[test]
    #[cfg(unix)]
    fn files_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        let directory = folder.path().join("data");
        identity_seed(&directory, [1; 32]).unwrap();
        let path = directory.join(FILE);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
        for wide in [0o640, 0o604, 0o660, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(wide)).unwrap();
            let error = identity_seed(&directory, [2; 32]).unwrap_err();
            assert_eq!(error, IdentityError::Exposed { path: path.clone(), mode: wide });
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(identity_seed(&directory, [2; 32]), Ok([1; 32]));
    }
}
