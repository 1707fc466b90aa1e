//! A file under a layer of memory: a database opened on it can repair itself, and the file stays as it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// What is written is kept in blocks of this size.
const BLOCK_BYTES: usize = 4096;

/// Reads from the file; writes, and everything after them, stay in memory. They are bounded by what redb's repair writes:
/// its own tables, not the data.
#[derive(Debug)]
pub(super) struct Overlay(Mutex<State>);

#[derive(Debug)]
struct State {
    file: File,
    /// How much of the file still counts.
    file_length: u64,
    length: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self(Mutex::new(State { file, file_length: length, length, blocks: BTreeMap::new() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One block as it stands.
    fn block(&mut self, number: u64) -> io::Result<Box<[u8]>> {
        if let Some(block) = self.blocks.get(&number) {
            return Ok(block.clone());
        }
        let mut block = vec![0; BLOCK_BYTES].into_boxed_slice();
        let start = number * BLOCK_BYTES as u64;
        let in_file = self.file_length.saturating_sub(start).min(BLOCK_BYTES as u64);
        let in_file = usize::try_from(in_file).unwrap_or(BLOCK_BYTES);
        self.file.seek(SeekFrom::Start(start))?;
        self.file.read_exact(&mut block[..in_file])?;
        Ok(block)
    }

    /// Calls `each` with every block that the range touches: its number, where in it the range begins, and which part of
    /// the range lies in it.
    fn split(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            if done == length {
                return None;
            }
            let at = offset + done as u64;
            let within = usize::try_from(at % BLOCK_BYTES as u64).unwrap_or_default();
            let part = done..length.min(done + BLOCK_BYTES - within);
            done = part.end;
            Some((at / BLOCK_BYTES as u64, within, part))
        })
    }

    fn check(&self, offset: u64, length: usize) -> io::Result<()> {
        match offset.checked_add(length as u64) {
            Some(end) if end <= self.length => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        state.check(offset, out.len())?;
        for (number, within, part) in State::split(offset, out.len()) {
            let block = state.block(number)?;
            let length = part.len();
            out[part].copy_from_slice(&block[within..within + length]);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        if length < state.length {
            // What lay beyond is gone, and reads as zeros should the length grow again.
            state.file_length = state.file_length.min(length);
            let keep = length.div_ceil(BLOCK_BYTES as u64);
            state.blocks.split_off(&keep);
            let within = usize::try_from(length % BLOCK_BYTES as u64).unwrap_or_default();
            if within > 0
                && let Some(block) = state.blocks.get_mut(&(length / BLOCK_BYTES as u64))
            {
                block[within..].fill(0);
            }
        }
        state.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.check(offset, data.len())?;
        for (number, within, part) in State::split(offset, data.len()) {
            let mut block = state.block(number)?;
            block[within..within + part.len()].copy_from_slice(&data[part]);
            state.blocks.insert(number, block);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_the_file_stays_as_it_is() {
        let folder = Folder::new();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..10_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        std::fs::write(&path, &content).unwrap();
        let overlay = Overlay::open(&path).unwrap();
        overlay.write(4090, &[255; 20]).unwrap();
        let mut expected = content.clone();
        expected[4090..4110].fill(255);
        let read = |offset: u64, length: usize| {
            let mut out = vec![1; length];
            overlay.read(offset, &mut out).map(|()| out)
        };
        assert_eq!(read(0, 10_000).unwrap(), expected);
        assert!(read(9_999, 2).is_err() && overlay.write(9_999, &[1, 2]).is_err());
        overlay.set_len(4_100).unwrap();
        overlay.set_len(12_000).unwrap();
        expected.truncate(4_100);
        expected.resize(12_000, 0);
        assert_eq!(read(0, 12_000).unwrap(), expected);
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}
