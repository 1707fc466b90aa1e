//! Files that hold the root secret of encrypted repositories, or the passphrase of which it is made.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::disk::{mode_open_to_others, private, sync_directory};
use crate::crypto::secret::{MAX_SECRET_TEXT_BYTES, SecretError};
use crate::crypto::{Passphrase, PassphraseError, RootSecret};
use crate::limits::MAX_PASSPHRASE_BYTES;

/// Why a key file cannot be used or made. Messages name the file, never what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyFileError {
    /// There is none.
    #[error("{} does not exist; make a key with 'mqtt-p2p keygen', or copy the file of the other peers", .0.display())]
    Missing(PathBuf),
    /// Others than its owner may read or write it.
    #[error("{} has mode {mode:04o}, so that others can read it; 'chmod 600' it, or make a new key if somebody may have", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds no key.
    #[error("{} cannot be used: {reason}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: SecretError,
    },
    /// It holds no passphrase.
    #[error("{} cannot be used: {reason}", path.display())]
    NotAPassphrase {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: PassphraseError,
    },
    /// There is something of that name, which is never overwritten.
    #[error("{} exists already and is never overwritten: what was encrypted with a key cannot be read without it; choose another name", .0.display())]
    Exists(PathBuf),
    /// The system refused.
    #[error("{} cannot be used: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl KeyFileError {
    fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.to_owned(), reason: error.to_string() }
    }
}

/// Reads the secret of a key file that nobody but its owner can read.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_key(path: &Path) -> Result<RootSecret, KeyFileError> {
    let not_a_key = |reason| KeyFileError::NotAKey { path: path.to_owned(), reason };
    let bytes = read_private(path, MAX_SECRET_TEXT_BYTES)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| not_a_key(SecretError::Foreign))?;
    RootSecret::from_text(text).map_err(not_a_key)
}

/// Reads the passphrase of a file that nobody but its owner can read: all of it, but for one end of a line at its end.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_passphrase(path: &Path) -> Result<Passphrase, KeyFileError> {
    let no_passphrase = |reason| KeyFileError::NotAPassphrase { path: path.to_owned(), reason };
    let bytes = read_private(path, MAX_PASSPHRASE_BYTES + "\r\n".len())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| no_passphrase(PassphraseError::NotText))?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Passphrase::new(line.to_owned()).map_err(no_passphrase)
}

/// The first `max_bytes` and one more of a file that nobody but its owner can read.
fn read_private(path: &Path, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        _ => KeyFileError::io(path, &error),
    };
    let file = File::open(path).map_err(failed)?;
    if let Some(mode) = mode_open_to_others(&file).map_err(failed)? {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    // One buffer that does not grow, so no copy stays behind in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max_bytes + 1));
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Writes a secret to a new file that only its owner can read (mode 0600), durably.
///
/// # Errors
/// [`KeyFileError::Exists`], [`KeyFileError::Io`]; then there is no new file.
pub fn create_key(path: &Path, secret: &RootSecret) -> Result<(), KeyFileError> {
    let mut file = private().create_new(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => KeyFileError::io(path, &error),
    })?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = file.write_all(secret.to_text().as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| sync_directory(directory)).map_err(|error| {
        // Half a key is of no use, and would be in the way.
        let _ = fs::remove_file(path);
        KeyFileError::io(path, &error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::storage::disk::tests::Folder;

    #[test]
    fn a_key_reads_back_and_is_never_overwritten() {
        let folder = Folder::new();
        let path = folder.path().join("team.key");
        create_key(&path, &RootSecret::new([7; 32])).unwrap();
        assert_eq!(read_key(&path).unwrap(), RootSecret::new([7; 32]));
        assert_eq!(create_key(&path, &RootSecret::new([8; 32])), Err(KeyFileError::Exists(path.clone())));
        assert_eq!(read_key(&path).unwrap(), RootSecret::new([7; 32]));
    }

    #[test]
    #[cfg(unix)]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        let path = folder.path().join("team.key");
        create_key(&path, &RootSecret::new([7; 32])).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read_key(&path).unwrap_err(), KeyFileError::Exposed { path, mode: 0o640 });
    }

    #[test]
    fn what_is_missing_or_no_key_is_refused() {
        let folder = Folder::new();
        let path = folder.path().join("team.key");
        assert_eq!(read_key(&path).unwrap_err(), KeyFileError::Missing(path.clone()));
        let text = RootSecret::new([7; 32]).to_text();
        for bytes in [&b""[..], b"\xff\xfe", &[b'x'; 10_000], &text.as_bytes()[..50]] {
            let _ = fs::remove_file(&path);
            private().create_new(true).open(&path).unwrap().write_all(bytes).unwrap();
            assert!(matches!(read_key(&path), Err(KeyFileError::NotAKey { .. })));
        }
    }

    #[test]
    fn a_passphrase_is_the_line_of_its_file() {
        let folder = Folder::new();
        let path = folder.path().join("passphrase");
        let read = |bytes: &[u8]| {
            let _ = fs::remove_file(&path);
            private().create_new(true).open(&path).unwrap().write_all(bytes).unwrap();
            read_passphrase(&path)
        };
        for end in ["", "\n", "\r\n"] {
            assert_eq!(read(format!(" correct horse {end}").as_bytes()).unwrap().expose(), " correct horse ");
        }
        assert_eq!(read(b"correct\nhorse\n\n").unwrap().expose(), "correct\nhorse\n");
        let refused = [
            (&b""[..], PassphraseError::Length),
            (&[b'x'; 1_027], PassphraseError::Length),
            (b"\xff", PassphraseError::NotText),
        ];
        for (bytes, reason) in refused {
            assert_eq!(read(bytes).unwrap_err(), KeyFileError::NotAPassphrase { path: path.clone(), reason });
        }
    }
}
