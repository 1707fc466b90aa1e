//! Where the records of bound files are kept between starts. What is lost of it costs no edit: a file without a record is
//! met as for the first time.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use redb::{Database, DatabaseError, Durability, ReadableDatabase, StorageError, TableDefinition};
use serde::{Deserialize, Serialize};

use super::record::FileRecord;
use crate::ids::{CanvasId, RepositoryName};

/// In the data directory, beside the canvases.
const FILE: &str = "files.redb";
/// Records by repository and canvas, and the place of each binding by repository, compressed.
const TABLE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("files 1");
/// Cache of the database; records are read once, at the start.
const CACHE_BYTES: usize = 1 << 20;
/// Largest record after inflation; what is larger is not read back.
const MAX_RECORD_BYTES: usize = 256 << 20;

/// Where a binding stood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The bound folder.
    pub folder: String,
    /// The branch that was checked out.
    pub branch: Option<String>,
    /// The commit that was checked out, up to which git's changes are in the canvases.
    pub head: Option<String>,
}

/// Keeps records, on disk or in memory.
#[derive(Debug)]
pub struct Ledger(Keeper);

#[derive(Debug)]
enum Keeper {
    Memory(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>),
    Disk(Database),
}

impl Default for Ledger {
    fn default() -> Self {
        Self(Keeper::Memory(Mutex::default()))
    }
}

impl Ledger {
    /// Opens the ledger of a data directory that nobody else uses. One that cannot be read is put aside.
    ///
    /// # Errors
    /// The disk refuses: what it said.
    pub fn open(directory: &Path) -> Result<Self, String> {
        let path = directory.join(FILE);
        let open = || Database::builder().set_cache_size(CACHE_BYTES).create(&path);
        let database = match open() {
            Ok(database) => database,
            Err(error) if !is_damage(&error) => return Err(error.to_string()),
            Err(error) => {
                tracing::warn!(target: "mqtt:files", %error, "the records of bound files cannot be read; a new file begins");
                let aside = path.with_extension("redb.damaged");
                std::fs::rename(&path, aside)
                    .and_then(|()| open().map_err(std::io::Error::other))
                    .map_err(|error| error.to_string())?
            }
        };
        Ok(Self(Keeper::Disk(database)))
    }

    /// The record of a file.
    #[must_use]
    pub fn record(&self, repository: &RepositoryName, canvas: &CanvasId) -> Option<FileRecord> {
        FileRecord::decode(&self.read(&key(repository, Some(canvas)))?)
    }

    /// The canvases of a repository of which there are records.
    #[must_use]
    pub fn canvases(&self, repository: &RepositoryName) -> Vec<CanvasId> {
        let prefix = key(repository, None);
        let names = self.keys().into_iter().filter_map(|key| {
            let name = key.strip_prefix(prefix.as_slice())?;
            CanvasId::new(std::str::from_utf8(name).ok()?).ok()
        });
        names.collect()
    }

    /// Keeps a record, or with `None` forgets it. It is on the disk when this returns.
    ///
    /// # Errors
    /// It is not kept: what the disk said.
    pub fn keep(
        &self,
        repository: &RepositoryName,
        canvas: &CanvasId,
        record: Option<&FileRecord>,
    ) -> Result<(), String> {
        self.write(&key(repository, Some(canvas)), record.map(FileRecord::encode), Durability::Immediate)
    }

    /// Keeps a record that is on the disk as unsure, with what follows or at the end.
    ///
    /// # Errors
    /// It is not kept: what the disk said.
    pub fn keep_with_next(
        &self,
        repository: &RepositoryName,
        canvas: &CanvasId,
        record: &FileRecord,
    ) -> Result<(), String> {
        self.write(&key(repository, Some(canvas)), Some(record.encode()), Durability::None)
    }

    /// Whether anything in it is there for the next process.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self.0, Keeper::Disk(_))
    }

    /// Where the repository's binding stood.
    #[must_use]
    pub fn place(&self, repository: &RepositoryName) -> Option<Place> {
        serde_json::from_slice(&self.read(&key(repository, None))?).ok()
    }

    /// Keeps where the repository's binding stands.
    ///
    /// # Errors
    /// It is not kept: what the disk said.
    pub fn keep_place(&self, repository: &RepositoryName, place: &Place) -> Result<(), String> {
        self.write(&key(repository, None), serde_json::to_vec(place).ok(), Durability::Immediate)
    }

    fn read(&self, key: &[u8]) -> Option<Vec<u8>> {
        let packed = match &self.0 {
            Keeper::Memory(map) => map.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned(),
            Keeper::Disk(database) => {
                let table = database.begin_read().ok()?.open_table(TABLE).ok()?;
                table.get(key).ok()?.map(|value| value.value().to_vec())
            }
        };
        zstd::bulk::decompress(&packed?, MAX_RECORD_BYTES).ok()
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        match &self.0 {
            Keeper::Memory(map) => map.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect(),
            Keeper::Disk(database) => stored_keys(database).unwrap_or_default(),
        }
    }

    fn write(&self, key: &[u8], value: Option<Vec<u8>>, durability: Durability) -> Result<(), String> {
        let packed =
            value.map(|value| zstd::bulk::compress(&value, 1)).transpose().map_err(|error| error.to_string())?;
        match &self.0 {
            Keeper::Memory(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                match packed {
                    Some(value) => map.insert(key.to_owned(), value),
                    None => map.remove(key),
                };
                Ok(())
            }
            Keeper::Disk(database) => store(database, key, packed, durability).map_err(|error| error.to_string()),
        }
    }
}

/// Whether the file is none of ours, and not only out of reach for the moment.
fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Corrupted(_)) | DatabaseError::UpgradeRequired(_) => true,
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}

fn stored_keys(database: &Database) -> Result<Vec<Vec<u8>>, redb::Error> {
    use redb::ReadableTable;

    let table = database.begin_read()?.open_table(TABLE)?;
    let keys = table.iter()?.map(|entry| entry.map(|(key, _)| key.value().to_vec()));
    Ok(keys.collect::<Result<_, _>>()?)
}

fn store(database: &Database, key: &[u8], value: Option<Vec<u8>>, durability: Durability) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    {
        let mut table = transaction.open_table(TABLE)?;
        match value {
            Some(value) => table.insert(key, value.as_slice())?,
            None => table.remove(key)?,
        };
    }
    transaction.commit()?;
    Ok(())
}

/// The length of the repository's name comes first, so that no name can pass for another with a canvas.
fn key(repository: &RepositoryName, canvas: Option<&CanvasId>) -> Vec<u8> {
    let name = repository.as_str();
    let mut key = (name.len() as u64).to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    key.extend_from_slice(canvas.map_or("", CanvasId::as_str).as_bytes());
    key
}
