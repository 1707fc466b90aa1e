//! Replacing one file, or removing it, unless somebody saves it at the same moment.

use std::io::{self, ErrorKind, Read, Write};

use cap_std::fs::{Dir, OpenOptions};

use super::folder::FolderError;
use super::path::CanvasPath;
use crate::limits::MAX_CANVAS_JSON_BYTES;

/// A temporary file: hidden, so that neither we nor an editor takes it for a canvas.
pub(super) const TEMPORARY: &str = ".mqtt-p2p-";

/// What became of new contents.
#[derive(Debug, PartialEq, Eq)]
pub enum Replaced {
    /// They are in place.
    Done,
    /// The file is not as it was expected to be: somebody saved. Nothing of it is lost; what they saved is in the file.
    Raced,
}

/// A file's folder, opened, and the file's name in it.
pub(super) struct Place {
    pub(super) dir: Dir,
    pub(super) name: String,
}

/// What can go wrong with one file.
pub(super) enum Trouble {
    Io(io::Error),
    Link,
    TooLarge(u64),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Trouble {
    pub(super) fn of(self, path: &CanvasPath) -> FolderError {
        let path = path.relative();
        match self {
            Self::Io(source) => FolderError::File { path, source },
            Self::Link => FolderError::Link { path },
            Self::TooLarge(bytes) => FolderError::TooLarge { path, bytes },
        }
    }
}

/// Reads a file; `None` if there is none.
pub(super) fn read(dir: &Dir, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let found = match dir.symlink_metadata(name) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if found.is_symlink() {
        return Err(Trouble::Link);
    }
    if !found.is_file() {
        return Ok(None);
    }
    let mut file = match dir.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let limit = MAX_CANVAS_JSON_BYTES as u64;
    if found.len() > limit {
        return Err(Trouble::TooLarge(found.len()));
    }
    // It may grow while it is read.
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Trouble::TooLarge(found.len().max(limit + 1)));
    }
    Ok(Some(bytes))
}

impl Place {
    pub(super) fn replace(&self, expected: Option<&[u8]>, contents: &[u8]) -> Result<Replaced, Trouble> {
        if read(&self.dir, &self.name)?.as_deref() != expected {
            return Ok(Replaced::Raced);
        }
        let mut temporary = Temporary::new(&self.dir, &self.name, contents)?;
        match expected {
            None => temporary.link_to(&self.name),
            Some(expected) => temporary.exchange_with(&self.name, expected, contents),
        }
    }

    /// The file is moved to a name that nobody else uses, looked at there, and moved back if it is not what was expected.
    pub(super) fn remove(&self, expected: &[u8]) -> Result<Replaced, Trouble> {
        if read(&self.dir, &self.name)?.as_deref() != Some(expected) {
            return Ok(Replaced::Raced);
        }
        let hidden = temporary_name(&self.name);
        self.dir.rename(&self.name, &self.dir, &hidden)?;
        if read(&self.dir, &hidden)?.as_deref() == Some(expected) {
            self.dir.remove_file(&hidden)?;
            return Ok(Replaced::Done);
        }
        // If there is another one by now, it was saved later.
        match self.dir.hard_link(&hidden, &self.dir, &self.name) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // Not every file system has links.
            Err(_) => {
                self.dir.rename(&hidden, &self.dir, &self.name)?;
                return Ok(Replaced::Raced);
            }
        }
        self.dir.remove_file(&hidden)?;
        Ok(Replaced::Raced)
    }
}

/// New contents on their way; removed when dropped.
struct Temporary<'a> {
    dir: &'a Dir,
    name: String,
    /// Whether it holds what somebody else saved: then it stays, for the next start to find.
    is_theirs: bool,
}

fn temporary_name(name: &str) -> String {
    format!("{TEMPORARY}{}-{name}.tmp", std::process::id())
}

impl<'a> Temporary<'a> {
    fn new(dir: &'a Dir, target: &str, contents: &[u8]) -> io::Result<Self> {
        let temporary = Self { dir, name: temporary_name(target), is_theirs: false };
        let mut file = dir.open_with(&temporary.name, OpenOptions::new().write(true).create(true).truncate(true))?;
        file.write_all(contents)?;
        if let Ok(found) = dir.symlink_metadata(target) {
            file.set_permissions(found.permissions())?;
        }
        file.sync_all()?;
        Ok(temporary)
    }

    /// Gives the contents a name that must not exist yet.
    fn link_to(&self, name: &str) -> Result<Replaced, Trouble> {
        match self.dir.hard_link(&self.name, self.dir, name) {
            Ok(()) => Ok(Replaced::Done),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Replaced::Raced),
            // Not every file system has links; then nothing better can be done than to look once more.
            Err(_) if self.dir.symlink_metadata(name).is_err() => {
                self.dir.rename(&self.name, self.dir, name)?;
                Ok(Replaced::Done)
            }
            Err(_) => Ok(Replaced::Raced),
        }
    }

    /// Puts the contents in the place of what must be `expected`. What was replaced is looked at, and goes back if
    /// somebody had saved in the last moment.
    #[cfg(target_os = "linux")]
    fn exchange_with(&mut self, name: &str, expected: &[u8], contents: &[u8]) -> Result<Replaced, Trouble> {
        use rustix::fs::{RenameFlags, renameat_with};

        let exchange = || renameat_with(self.dir, self.name.as_str(), self.dir, name, RenameFlags::EXCHANGE);
        match exchange() {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT) => return Ok(Replaced::Raced),
            // Not every file system can exchange.
            Err(_) => return self.rename_to(name, expected),
        }
        let found = read(self.dir, &self.name);
        if found.as_ref().is_ok_and(|found| found.as_deref() == Some(expected)) {
            return Ok(Replaced::Done);
        }
        // Somebody saved in the last moment: that goes back. What comes out in exchange is ours, or was saved still later.
        self.is_theirs = true;
        let (mut theirs, mut ours) = (found.ok().flatten(), Some(contents.to_vec()));
        loop {
            match exchange() {
                Ok(()) => {}
                // They have removed it, which they did last.
                Err(rustix::io::Errno::NOENT) => break,
                Err(error) => return Err(io::Error::from(error).into()),
            }
            let out = read(self.dir, &self.name)?;
            if out == ours {
                break;
            }
            ours = std::mem::replace(&mut theirs, out);
        }
        self.is_theirs = false;
        Ok(Replaced::Raced)
    }

    #[cfg(not(target_os = "linux"))]
    fn exchange_with(&mut self, name: &str, expected: &[u8], _: &[u8]) -> Result<Replaced, Trouble> {
        self.rename_to(name, expected)
    }

    fn rename_to(&self, name: &str, expected: &[u8]) -> Result<Replaced, Trouble> {
        if read(self.dir, name)?.as_deref() != Some(expected) {
            return Ok(Replaced::Raced);
        }
        self.dir.rename(&self.name, self.dir, name)?;
        Ok(Replaced::Done)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.is_theirs {
            // After a rename there is nothing left to remove.
            let _ = self.dir.remove_file(&self.name);
        }
    }
}
