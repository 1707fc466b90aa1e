//! A bound folder: reading canvas files, and putting new contents in their place without losing what somebody saves at
//! the same moment. Everything goes through a handle on the folder that lets nothing lead out of it.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use thiserror::Error;

use super::path::CanvasPath;
use super::replace::{Place, Replaced, TEMPORARY, Trouble, read};
use crate::limits::MAX_CANVAS_JSON_BYTES;

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

/// A temporary file of a process that ended in the middle of a write.
#[derive(Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The file that was being written.
    pub of: CanvasPath,
    /// What it was to hold, or what it held before.
    pub contents: Vec<u8>,
    name: String,
}

/// A bound folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
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

    /// What dead processes left beside a file, of this file and others. What cannot be read is not found.
    #[must_use]
    pub fn leftovers(&self, beside: &CanvasPath) -> Vec<Leftover> {
        let Ok(Some(place)) = self.place(beside, false) else { return Vec::new() };
        let Ok(entries) = place.dir.entries() else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let left = names.filter_map(|name| {
            let (process, rest) = name.strip_prefix(TEMPORARY)?.split_once('-')?;
            let of = beside.sibling(rest.strip_suffix(".tmp")?)?;
            if is_alive(process.parse().ok()?) {
                return None;
            }
            let contents = read(&place.dir, &name).ok().flatten()?;
            Some(Leftover { of, contents, name })
        });
        left.collect()
    }

    /// Removes what a dead process left.
    ///
    /// # Errors
    /// It is still there.
    pub fn discard(&self, leftover: &Leftover) -> Result<(), FolderError> {
        let Some(place) = self.place(&leftover.of, false)? else { return Ok(()) };
        place.dir.remove_file(&leftover.name).map_err(|error| Trouble::Io(error).of(&leftover.of))
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

/// Whether another process has a number. Where that is not known, none has: a folder is bound once.
fn is_alive(process: u32) -> bool {
    process != std::process::id() && Path::new("/proc").join(process.to_string()).exists()
}
