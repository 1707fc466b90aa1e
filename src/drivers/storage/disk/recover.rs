//! Rescues what can be read of a damaged data directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable};
use serde::Serialize;

use super::file::{CHANGES, DATABASE_FILE, Directory, NOTES, SNAPSHOTS, builder, sync_directory};
use super::overlay::Overlay;
use super::rescue::{Rescued, assign, puzzles};
use super::scan::Found;
use super::store::Replacement;
use super::tables::Tables;
use crate::drivers::storage::StorageError;
use crate::sync::StoreOperation;

/// What [`recover`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryReport {
    /// Documents (canvases and lists of canvases) of which something is there.
    pub documents: u64,
    /// Those of them of which everything is there that was noted of them.
    pub complete: u64,
    /// Changes in them.
    pub changes: u64,
    /// Changes among these that depend on lost ones: they count again once another peer brings those.
    pub waiting_changes: u64,
    /// Compacted documents that could be read, among them older ones.
    pub snapshots: u64,
    /// Bytes that belonged to documents and could not be used, as far as their beginnings were found. What was
    /// overwritten as a whole is not known of.
    pub lost_bytes: u64,
    /// Where the damaged database is now; `None` when nothing was damaged, and nothing was changed.
    pub damaged_file: Option<PathBuf>,
}

/// The values of all rows, copied out of a database that can be opened.
type Values = Vec<Vec<u8>>;

/// Rescues what can be read of a damaged data directory into a new database in its place. Blocks, and needs memory for the
/// whole file. The damaged file stays as it is, and is renamed in the end to `mqtt-p2p.redb.damaged-1` (or the next number
/// that is free). The identity stays; edits of which it is not known that the broker has them are sent again.
///
/// If redb can repair the database, its rows are taken; what was lost in that, and everything if it cannot be opened at
/// all, is looked for in the bytes of the file. So documents that had been deleted may come back.
///
/// # Errors
/// * [`StorageError::Locked`]: a service uses it; disconnect that first.
/// * [`StorageError::NewerFormat`]: nothing is damaged; a newer version reads it.
/// * [`StorageError::Full`], [`StorageError::Io`]: the system refused, or there is no database. Nothing was changed.
pub fn recover(path: &Path) -> Result<RecoveryReport, StorageError> {
    let file = path.join(DATABASE_FILE);
    let failed = |error: io::Error| match StorageError::from_io(&file, &error) {
        // A file of which nothing could be read is no reason to stop.
        StorageError::Corrupt { path, reason } => StorageError::Io { path, kind: error.kind(), reason },
        other => other,
    };
    fs::metadata(&file).map_err(failed)?;
    let directory = Directory::open(path)?;
    let (rows, sound) = match read_rows(&directory, &file) {
        Ok((rows, sound)) => (Some(rows), sound),
        Err(StorageError::Corrupt { .. }) => (None, false),
        Err(error) => return Err(error),
    };
    let mut found = Found::default();
    rows.iter().flatten().for_each(|row| found.scan(row));
    let intact = sound && found.lost_bytes == 0;
    let bytes = if intact { Vec::new() } else { fs::read(&file).map_err(failed)? };
    let mut raw = Found::default();
    raw.scan(&bytes);
    if rows.is_some() {
        // What is in the bytes and in no row: of documents that are there, for the others were deleted.
        for (key, pieces) in std::mem::take(&mut raw.documents) {
            if let Some(known) = found.documents.get_mut(&key) {
                known.merge(pieces);
            }
        }
        found.loose.merge(raw.loose);
    } else {
        found = raw;
    }
    rescue(&directory, &file, found, intact)
}

fn rescue(
    directory: &Directory,
    file: &Path,
    mut found: Found<'_>,
    intact: bool,
) -> Result<RecoveryReport, StorageError> {
    let (keys, mut puzzles): (Vec<_>, Vec<_>) = puzzles(&mut found).into_iter().unzip();
    let lost_bytes = found.lost_bytes + assign(&mut puzzles, found.loose);
    let mut report = RecoveryReport { lost_bytes, ..RecoveryReport::default() };
    let solved = keys.into_iter().zip(puzzles).filter_map(|(key, puzzle)| Some((key, puzzle.solve()?)));
    let mut count = |rescued: &Rescued| {
        report.documents += 1;
        report.complete += u64::from(rescued.complete);
        report.waiting_changes += rescued.changes.len() as u64;
        report.changes += rescued.change_count;
        report.snapshots += rescued.snapshots_read;
    };
    if intact {
        solved.for_each(|(_, rescued)| count(&rescued));
        return Ok(RecoveryReport { lost_bytes: 0, ..report });
    }
    let recovered = file.with_extension("redb.recovered");
    directory.new_database(&recovered, |database| {
        directory.guard(|| {
            let transaction = database.begin_write()?;
            let mut tables = Tables::open(&transaction)?;
            for (key, rescued) in solved {
                count(&rescued);
                write(&mut tables, &key, rescued)?;
            }
            drop(tables);
            Ok(transaction.commit()?)
        })
    })?;
    let damaged = exchange(directory.path(), file, &recovered)
        .map_err(|error| StorageError::from_io(directory.path(), &error))?;
    Ok(RecoveryReport { damaged_file: Some(damaged), ..report })
}

/// The rows of a database as redb can repair it, and whether there was nothing to repair. Nothing is written to the file.
fn read_rows(directory: &Directory, file: &Path) -> Result<(Values, bool), StorageError> {
    let (sound, database) = directory.guard(|| {
        let mut database = builder().create_with_backend(Overlay::open(file)?)?;
        Ok((database.check_integrity()?, database))
    })?;
    directory.check_format(&database)?;
    let rows = directory.guard(|| copy_rows(&database))?;
    Ok((rows, sound))
}

fn copy_rows(database: &Database) -> Result<Values, redb::Error> {
    let transaction = database.begin_read()?;
    let mut rows = Values::new();
    for table in [SNAPSHOTS, CHANGES, NOTES] {
        for item in transaction.open_table(table)?.iter()? {
            rows.push(item?.1.value().to_vec());
        }
    }
    Ok(rows)
}

fn write(tables: &mut Tables<'_>, key: &[u8], rescued: Rescued) -> Result<(), redb::Error> {
    let Some((repository, document, _)) = super::keys::read(key) else { return Ok(()) };
    let Rescued { snapshot, changes, summary, acknowledged, vouchers, .. } = rescued;
    let mut put = |operation| tables.add(&repository, &operation);
    if !changes.is_empty() {
        put(StoreOperation::Append { document: document.clone(), changes })?;
    }
    if let Some(heads) = acknowledged {
        put(StoreOperation::Acknowledged { document: document.clone(), heads })?;
    }
    put(StoreOperation::Vouch { document: document.clone(), vouchers })?;
    put(StoreOperation::Describe { document, summary })?;
    if let Some(snapshot) = snapshot {
        // It covers no row: those that are here could not be applied.
        let replacement = Replacement::new(key.to_vec(), 0, 0, &snapshot);
        tables.put_snapshot(&replacement.ok_or(redb::Error::ValueTooLarge(snapshot.len()))?)?;
    }
    Ok(())
}

/// Gives the damaged file another name, and its name to the new one.
fn exchange(directory: &Path, file: &Path, recovered: &Path) -> io::Result<PathBuf> {
    let mut number = 1_u32;
    let damaged = loop {
        let damaged = file.with_extension(format!("redb.damaged-{number}"));
        // With a second name first, there is a database at any time; not every file system has that.
        match fs::hard_link(file, &damaged) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Ok(()) => break damaged,
            Err(_) if damaged.try_exists()? => number += 1,
            Err(_) => {
                fs::rename(file, &damaged)?;
                break damaged;
            }
        }
    };
    fs::rename(recovered, file)?;
    sync_directory(directory)?;
    Ok(damaged)
}
