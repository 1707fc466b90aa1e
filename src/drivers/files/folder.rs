//! A bound folder: reading canvas files, and putting new contents in their place without losing what somebody saves at
//! the same moment. Everything goes through a handle on the folder that lets nothing lead out of it.

use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use thiserror::Error;

use super::path::CanvasPath;
use crate::limits::MAX_CANVAS_JSON_BYTES;

/// A temporary file: hidden, so that neither we nor an editor takes it for a canvas.
const TEMPORARY: &str = ".mqtt-p2p-";
/// How many copies of one file are put aside on one day; further ones are refused.
const MAX_ASIDES: u32 = 1_000;

/// Why a folder or a file in it could not be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// The folder is not there, or cannot be opened.
    #[error("the folder {} cannot be used: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file in it cannot be read or written.
    #[error("{path} cannot be used: {source}")]
    File {
        /// The file, relative to the folder.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file or a folder on the way is a symbolic link.
    #[error("{path} leads through a symbolic link; it is left alone")]
    Link {
        /// The file, relative to the folder.
        path: String,
    },
    /// The file is larger than a canvas may be.
    #[error("{path} has {bytes} bytes; at most {MAX_CANVAS_JSON_BYTES} are allowed")]
    TooLarge {
        /// The file, relative to the folder.
        path: String,
        /// Its size.
        bytes: u64,
    },
}

/// What became of new contents.
#[derive(Debug, PartialEq, Eq)]
pub enum Replaced {
    /// They are in place.
    Done,
    /// The file is not as it was expected to be: somebody saved. Nothing of it is lost; what they saved is in the file.
    Raced,
}

/// A bound folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

/// A file's folder, opened, and the file's name in it.
struct Place {
    dir: Dir,
    name: String,
}

impl Folder {
    /// A folder that is there.
    ///
    /// # Errors
    /// [`FolderError::Folder`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Folder { path: path.to_owned(), source };
        let folder = Self { path: path.canonicalize().map_err(failed)? };
        folder.dir()?;
        Ok(folder)
    }

    /// Its absolute path without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opened anew each time: what is mounted there may change.
    fn dir(&self) -> Result<Dir, FolderError> {
        Dir::open_ambient_dir(&self.path, ambient_authority())
            .map_err(|source| FolderError::Folder { path: self.path.clone(), source })
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// Everything else that stands in the way.
    pub fn read(&self, path: &CanvasPath) -> Result<Option<Vec<u8>>, FolderError> {
        match self.place(path, false)? {
            Some(place) => read(&place.dir, &place.name).map_err(|error| error.of(path)),
            None => Ok(None),
        }
    }

    /// Whether the folder that holds a file is there, and has anything in it. An empty one may be a mount point.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn is_empty_beside(&self, path: &CanvasPath) -> Result<Option<bool>, FolderError> {
        let failed = |source| FolderError::File { path: path.relative(), source };
        match self.place(path, false)? {
            Some(place) => Ok(Some(place.dir.entries().map_err(failed)?.next().is_none())),
            None => Ok(None),
        }
    }

    /// Whether nothing at all is in the folder.
    ///
    /// # Errors
    /// [`FolderError::Folder`]: it is gone, or cannot be read.
    pub fn is_empty(&self) -> Result<bool, FolderError> {
        let failed = |source| FolderError::Folder { path: self.path.clone(), source };
        Ok(self.dir()?.entries().map_err(failed)?.next().is_none())
    }

    /// Puts `contents` in the place of what the file has now, which must be `expected` (`None`: no file). They are on the
    /// disk before they are in place, and appear as a whole. Folders on the way are made.
    ///
    /// # Errors
    /// Nothing was changed.
    pub fn replace(
        &self,
        path: &CanvasPath,
        expected: Option<&[u8]>,
        contents: &[u8],
    ) -> Result<Replaced, FolderError> {
        let Some(place) = self.place(path, true)? else { return Ok(Replaced::Raced) };
        place.replace(expected, contents).map_err(|error| error.of(path))
    }

    /// Removes the file, which must have these contents.
    ///
    /// # Errors
    /// Nothing was changed.
    pub fn remove(&self, path: &CanvasPath, expected: &[u8]) -> Result<Replaced, FolderError> {
        let Some(place) = self.place(path, false)? else { return Ok(Replaced::Raced) };
        place.remove(expected).map_err(|error| error.of(path))
    }

    /// Puts a copy beside a file under a name of its own, and gives that name, relative to the folder.
    ///
    /// # Errors
    /// The copy could not be made.
    pub fn put_aside(&self, path: &CanvasPath, day: &str, contents: &[u8]) -> Result<String, FolderError> {
        let Some(place) = self.place(path, true)? else { return Err(Trouble::Io(ErrorKind::NotFound.into()).of(path)) };
        for number in 0..MAX_ASIDES {
            let name = path.aside_name(day, number);
            match place.dir.open_with(&name, OpenOptions::new().write(true).create_new(true)) {
                Ok(mut file) => {
                    file.write_all(contents)
                        .and_then(|()| file.sync_all())
                        .map_err(|error| Trouble::Io(error).of(path))?;
                    let folders = path.relative();
                    return Ok(folders.rsplit_once('/').map_or_else(|| name.clone(), |(to, _)| format!("{to}/{name}")));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Trouble::Io(error).of(path)),
            }
        }
        Err(Trouble::Io(ErrorKind::AlreadyExists.into()).of(path))
    }

    /// Opens the folder of a file, one part at a time, so that no symbolic link is followed.
    fn place(&self, path: &CanvasPath, make: bool) -> Result<Option<Place>, FolderError> {
        let mut dir = self.dir()?;
        for part in path.folders() {
            dir = match enter(&dir, part, make) {
                Ok(Some(inner)) => inner,
                Ok(None) => return Ok(None),
                Err(error) => return Err(error.of(path)),
            };
        }
        Ok(Some(Place { dir, name: path.file_name() }))
    }
}

fn enter(dir: &Dir, part: &str, make: bool) -> Result<Option<Dir>, Trouble> {
    match dir.symlink_metadata(part) {
        Ok(found) if found.is_symlink() => return Err(Trouble::Link),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound && make => dir.create_dir(part)?,
        // Also when what should be a folder is a file: then there is nothing in it.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    match dir.open_dir(part) {
        Ok(inner) => Ok(Some(inner)),
        Err(error) if !make && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What can go wrong with one file.
enum Trouble {
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
    fn of(self, path: &CanvasPath) -> FolderError {
        let path = path.relative();
        match self {
            Self::Io(source) => FolderError::File { path, source },
            Self::Link => FolderError::Link { path },
            Self::TooLarge(bytes) => FolderError::TooLarge { path, bytes },
        }
    }
}

fn read(dir: &Dir, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
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
    // It may grow while it is read.
    let limit = MAX_CANVAS_JSON_BYTES as u64;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Trouble::TooLarge(found.len().max(limit + 1)));
    }
    Ok(Some(bytes))
}

impl Place {
    fn replace(&self, expected: Option<&[u8]>, contents: &[u8]) -> Result<Replaced, Trouble> {
        if read(&self.dir, &self.name)?.as_deref() != expected {
            return Ok(Replaced::Raced);
        }
        let temporary = Temporary::new(&self.dir, &self.name, contents)?;
        match expected {
            None => temporary.link_to(&self.name),
            Some(expected) => temporary.exchange_with(&self.name, expected),
        }
    }

    /// The file is moved to a name that nobody else uses, looked at there, and moved back if it is not what was expected.
    fn remove(&self, expected: &[u8]) -> Result<Replaced, Trouble> {
        if read(&self.dir, &self.name)?.as_deref() != Some(expected) {
            return Ok(Replaced::Raced);
        }
        let hidden = temporary_name(&self.name);
        self.dir.rename(&self.name, &self.dir, &hidden)?;
        if read(&self.dir, &hidden)?.as_deref() == Some(expected) {
            self.dir.remove_file(&hidden)?;
            return Ok(Replaced::Done);
        }
        // If there is another one by now, theirs is the newer; the older goes beside it.
        self.dir.hard_link(&hidden, &self.dir, &self.name)?;
        self.dir.remove_file(&hidden)?;
        Ok(Replaced::Raced)
    }
}

/// New contents on their way; removed when dropped.
struct Temporary<'a> {
    dir: &'a Dir,
    name: String,
}

fn temporary_name(name: &str) -> String {
    format!("{TEMPORARY}{}-{name}.tmp", std::process::id())
}

impl<'a> Temporary<'a> {
    fn new(dir: &'a Dir, target: &str, contents: &[u8]) -> io::Result<Self> {
        let temporary = Self { dir, name: temporary_name(target) };
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
    fn exchange_with(&self, name: &str, expected: &[u8]) -> Result<Replaced, Trouble> {
        use rustix::fs::{RenameFlags, renameat_with};

        let exchange = || renameat_with(self.dir, self.name.as_str(), self.dir, name, RenameFlags::EXCHANGE);
        match exchange() {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT) => return Ok(Replaced::Raced),
            // Not every file system can exchange.
            Err(_) => return self.rename_to(name, expected),
        }
        if read(self.dir, &self.name)?.as_deref() == Some(expected) {
            return Ok(Replaced::Done);
        }
        exchange().map_err(io::Error::from)?;
        Ok(Replaced::Raced)
    }

    #[cfg(not(target_os = "linux"))]
    fn exchange_with(&self, name: &str, expected: &[u8]) -> Result<Replaced, Trouble> {
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
        // After a rename there is nothing left to remove.
        let _ = self.dir.remove_file(&self.name);
    }
}
