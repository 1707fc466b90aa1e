//! The number of each start of a peer, which only grows, whatever happens to the clock: by it others tell what an earlier
//! process sent from what this one sends.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::StorageError;
use super::disk::{create_directory, private, sync_directory};

/// The file's name.
const FILE: &str = "starts";
/// Longer than any number and a line end.
const MAX_BYTES: u64 = 32;
/// Numbers stay below: a session has room for so many.
const END: u64 = 1 << 48;

/// The number of the next start: the clock's milliseconds since the Unix epoch, or one more than the last number if that is not
/// less. It is on disk when it is returned. A file that holds no number counts as none.
///
/// # Errors
/// [`StorageError`]: the system refused.
pub fn next_start(directory: &Path, now_unix_ms: u64) -> Result<u64, StorageError> {
    let path = directory.join(FILE);
    let mut text = String::new();
    match File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {}
        Err(error) => return Err(StorageError::from_io(&path, &error)),
    }
    let last: Option<u64> = text.trim_end().parse().ok().filter(|last| *last < END - 1);
    let next = last.map_or(0, |last| last + 1).max(now_unix_ms.min(END - 1));
    let unfinished = directory.join(format!("{FILE}.new"));
    let write = || {
        create_directory(directory)?;
        let mut file = private().create(true).truncate(true).open(&unfinished)?;
        file.write_all(format!("{next}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        sync_directory(directory)
    };
    write().map_err(|error| StorageError::from_io(&path, &error))?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::Folder;
    use super::*;

    #[test]
    fn numbers_grow_also_when_the_clock_goes_back() {
        let folder = Folder::new();
        let directory = folder.path().join("data");
        assert_eq!(next_start(&directory, 1_000), Ok(1_000));
        assert_eq!(next_start(&directory, 1_000), Ok(1_001));
        assert_eq!(next_start(&directory, 5), Ok(1_002), "ten years back");
        assert_eq!(next_start(&directory, 9_000), Ok(9_000));
        fs::write(directory.join(FILE), "garbage").unwrap();
        assert_eq!(next_start(&directory, u64::MAX), Ok(END - 1));
        assert_eq!(next_start(&directory, 7), Ok(7), "the last number is not believed");
    }
}
