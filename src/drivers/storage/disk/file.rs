//! The database's file: made whole or not at all, opened by one, checked before it is trusted.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, TableDefinition, TableError};

use super::overlay::Overlay;
use crate::drivers::storage::StorageError;
use crate::limits::STORAGE_CACHE_BYTES;

/// The database in a data directory.
pub(super) const DATABASE_FILE: &str = "mqtt-p2p.redb";
/// Locked while the directory is in use; holds nothing.
const LOCK_FILE: &str = "mqtt-p2p.lock";
/// The layout of the tables and rows. A change that an earlier version would misread needs the next number.
pub(super) const FORMAT: u64 = 1;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
/// A document's key -> its compacted content.
pub(super) const SNAPSHOTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("snapshots");
/// A document's key and a sequence number -> changes that were appended together.
pub(super) const CHANGES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("changes");
/// A document's key and the kind of note -> what is known of the document.
pub(super) const NOTES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("notes");
/// A document's key -> an actor that may be used again.
pub(super) const ACTORS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("actors");

/// redb's file starts with these bytes, the next holds flags (redb `docs/design.md`).
const REDB_MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
const REDB_UNCLEAN: u8 = 2;
const REDB_HEADER_BYTES: usize = 320;

/// The only user of a data directory, until it is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    lock: File,
}

impl Directory {
    /// Makes the directory if it is missing (for its owner alone), and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        let failed = |error: io::Error| StorageError::from_io(path, &error);
        create_directory(path).map_err(failed)?;
        // Locks belong to the open file, so a second service in this process is kept out like another process.
        let lock = private().create(true).truncate(false).open(path.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(StorageError::Locked { path: path.to_owned() }),
            // A file system without locks; redb tries its own.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Self { path: path.to_owned(), lock })
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database_file(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }

    /// Makes an empty database, unless there is one.
    pub(super) fn create_database(&self) -> Result<(), StorageError> {
        let file = self.database_file();
        if file.try_exists().map_err(|error| StorageError::from_io(&self.path, &error))? {
            return Ok(());
        }
        self.new_database(&file, |_| Ok(()))
    }

    /// Makes a database with what `fill` puts into it. It appears under its name when it is whole: whatever else has that
    /// name, an empty file too, is a damaged database.
    pub(super) fn new_database(
        &self,
        file: &Path,
        fill: impl FnOnce(&Database) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let unfinished = file.with_extension("redb.new");
        self.io(match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => private().create_new(true).open(&unfinished).map(drop),
        })?;
        let database = self.guard(|| {
            let database = builder().create(&unfinished)?;
            let transaction = database.begin_write()?;
            transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
            for table in [SNAPSHOTS, CHANGES, NOTES, ACTORS] {
                transaction.open_table(table)?;
            }
            transaction.commit()?;
            Ok(database)
        })?;
        fill(&database)?;
        self.guard(|| Ok(database.close()?))?;
        self.io(fs::rename(&unfinished, file).and_then(|()| sync_directory(&self.path)))
    }

    /// Opens the database with `open`, if it is sound.
    ///
    /// Opening one that was not closed repairs it: redb takes the last commit whose checksums hold. One that was closed
    /// must be as it was closed; that is checked beforehand, without touching it.
    pub(super) fn open_database(&self, open: &Opener) -> Result<Database, StorageError> {
        let file = self.database_file();
        if !self.is_unclean(&file)? {
            self.check(&file)?;
        }
        let database = self.guard(|| Ok(open(&file)?))?;
        self.check_format(&database)?;
        Ok(database)
    }

    fn is_unclean(&self, file: &Path) -> Result<bool, StorageError> {
        let mut header = [0; REDB_HEADER_BYTES];
        self.io(File::open(file).and_then(|mut file| file.read_exact(&mut header)))?;
        if header.starts_with(&REDB_MAGIC) {
            Ok(header[REDB_MAGIC.len()] & REDB_UNCLEAN != 0)
        } else {
            Err(self.corrupt("it does not begin as a database does"))
        }
    }

    fn check(&self, file: &Path) -> Result<(), StorageError> {
        // What the check changes is in memory, and goes with it.
        let (sound, database) = self.guard(|| {
            let mut database = builder().create_with_backend(Overlay::open(file)?)?;
            Ok((database.check_integrity()?, database))
        })?;
        if sound { self.check_format(&database) } else { Err(self.corrupt("checksums do not match")) }
    }

    pub(super) fn check_format(&self, database: &Database) -> Result<(), StorageError> {
        let found = self.guard(|| {
            let meta = match database.begin_read()?.open_table(META) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                meta => meta?,
            };
            Ok(meta.get(FORMAT_KEY)?.map(|format| format.value()))
        })?;
        match found {
            Some(FORMAT) => Ok(()),
            Some(found) if found > FORMAT => {
                Err(StorageError::NewerFormat { path: self.path.clone(), found, known: FORMAT })
            }
            _ => Err(self.corrupt("it is a database, but not of canvases")),
        }
    }

    /// Runs something of redb, which may panic on a damaged file.
    pub(super) fn guard<T>(&self, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StorageError> {
        guard(&self.path, work)
    }

    fn io<T>(&self, result: io::Result<T>) -> Result<T, StorageError> {
        result.map_err(|error| StorageError::from_io(&self.path, &error))
    }

    fn corrupt(&self, reason: &str) -> StorageError {
        StorageError::Corrupt { path: self.path.clone(), reason: reason.to_owned() }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing the file would do; a copy of the descriptor in a child process would keep the lock.
        let _ = self.lock.unlock();
    }
}

/// Opens a database file. Tests put failing media between.
pub(super) type Opener = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send>;

/// Opens the file itself.
pub(super) fn open_file(file: &Path) -> Result<Database, DatabaseError> {
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    builder().create_with_backend(FileBackend::new(file)?)
}

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(STORAGE_CACHE_BYTES);
    builder
}

/// Runs something of redb, and says in our words what went wrong.
pub(super) fn guard<T>(path: &Path, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StorageError> {
    let corrupt = |reason: String| StorageError::Corrupt { path: path.to_owned(), reason };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(match error {
            redb::Error::Io(error) => StorageError::from_io(path, &error),
            redb::Error::DatabaseAlreadyOpen => StorageError::Locked { path: path.to_owned() },
            redb::Error::Corrupted(reason) => corrupt(reason),
            error @ (redb::Error::RepairAborted
            | redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_)) => corrupt(error.to_string()),
            error => StorageError::Io { path: path.to_owned(), kind: io::ErrorKind::Other, reason: error.to_string() },
        }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            Err(corrupt(text.to_owned()))
        }
    }
}

/// For reading and writing, by its owner alone.
pub(in crate::drivers::storage) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The permissions of a file, if they allow anything to anybody but its owner.
pub(in crate::drivers::storage) fn mode_open_to_others(file: &File) -> io::Result<Option<u32>> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata()?) & 0o7777;
        Ok(Some(mode).filter(|mode| mode & 0o077 != 0))
    }
    #[cfg(not(unix))]
    {
        file.metadata().map(|_| None)
    }
}

/// Makes a directory, for its owner alone, unless it is there.
pub(in crate::drivers::storage) fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes what was renamed in a directory durable; where directories cannot be opened, that is so by itself.
pub(in crate::drivers::storage) fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
