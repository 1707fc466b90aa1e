//! A file on a medium that fails when told to, and that forgets what was not flushed when the power goes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use redb::StorageBackend;

use super::super::file::{Opener, builder};

/// What a disk writes as a whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// The medium. Survives the processes that use it.
#[derive(Debug, Clone, Default)]
pub(super) struct Medium(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Writes beyond this length find no room.
    room: Option<u64>,
    /// The n-th operation from now fails.
    fail_in: Option<u64>,
    /// The power goes in the n-th write or flush from now.
    power_off_in: Option<u64>,
    powered_off: bool,
    flushes: u64,
    /// Sectors written since they were flushed, as they are on the medium.
    unflushed: BTreeMap<u64, Vec<u8>>,
    flushed_length: Option<u64>,
}

impl Medium {
    pub(super) fn opener(&self) -> Opener {
        let medium = self.clone();
        Box::new(move |path: &Path| {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            builder().create_with_backend(Backend { medium: medium.clone(), file: Mutex::new(file) })
        })
    }

    pub(super) fn limit(&self, room: Option<u64>) {
        self.state().room = room;
    }

    pub(super) fn fail_in(&self, operations: u64) {
        self.state().fail_in = Some(operations);
    }

    /// Whether the failure is still to come.
    pub(super) fn fails_later(&self) -> bool {
        self.state().fail_in.is_some()
    }

    pub(super) fn flushes(&self) -> u64 {
        self.state().flushes
    }

    pub(super) fn power_off_in(&self, writes: u64) {
        self.state().power_off_in = Some(writes);
    }

    pub(super) fn is_powered_off(&self) -> bool {
        self.state().powered_off
    }

    /// The power is back: of each sector that was not flushed, the old or the new content is there.
    pub(super) fn power_on(&self, file: &Path, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut file = OpenOptions::new().write(true).open(file).unwrap();
        let mut state = self.state();
        for (sector, content) in std::mem::take(&mut state.unflushed) {
            if rng.next_u32() % 2 == 0 {
                file.seek(SeekFrom::Start(sector * SECTOR_BYTES)).unwrap();
                file.write_all(&content).unwrap();
            }
        }
        if let Some(length) = state.flushed_length.take()
            && rng.next_u32() % 2 == 0
        {
            file.set_len(length).unwrap();
        }
        *state = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

#[derive(Debug)]
struct Backend {
    medium: Medium,
    file: Mutex<File>,
}

impl Backend {
    fn begin(&self, writes: bool) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.medium.state();
        if state.powered_off {
            return Err(io::ErrorKind::Other.into());
        }
        if state.fail_in.take_if(|left| *left == 0).is_some() {
            return Err(io::Error::from_raw_os_error(5)); // EIO
        }
        if let Some(left) = &mut state.fail_in {
            *left -= 1;
        }
        if let Some(left) = state.power_off_in.as_mut().filter(|_| writes) {
            state.powered_off = *left == 0;
            if let Some(left) = &mut state.power_off_in {
                *left = left.saturating_sub(1);
            }
        }
        Ok(state)
    }
}

impl State {
    fn check_room(&self, end: u64) -> io::Result<()> {
        match self.room {
            Some(room) if end > room => Err(io::Error::from_raw_os_error(28)), // ENOSPC
            _ => Ok(()),
        }
    }

    fn check_power(&self) -> io::Result<()> {
        if self.powered_off { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }

    /// Notes what the medium has in the place of what is about to be written.
    fn remember(&mut self, file: &mut File, offset: u64, length: u64) -> io::Result<()> {
        for sector in offset / SECTOR_BYTES..(offset + length).div_ceil(SECTOR_BYTES) {
            if let Entry::Vacant(vacant) = self.unflushed.entry(sector) {
                let mut content = Vec::new();
                file.seek(SeekFrom::Start(sector * SECTOR_BYTES))?;
                file.take(SECTOR_BYTES).read_to_end(&mut content)?;
                vacant.insert(content);
            }
        }
        Ok(())
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.lock().unwrap().metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let _state = self.begin(false)?;
        let mut file = self.file.lock().unwrap();
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.begin(true)?;
        state.check_power()?;
        let file = self.file.lock().unwrap();
        let before = file.metadata()?.len();
        if length > before {
            state.check_room(length)?;
            state.flushed_length.get_or_insert(before);
        } else {
            // Shrinking is taken to be flushed at once.
            state.flushed_length = state.flushed_length.map(|flushed| flushed.min(length));
            state.unflushed.split_off(&length.div_ceil(SECTOR_BYTES));
        }
        file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.begin(true)?;
        state.check_power()?;
        state.flushes += 1;
        state.unflushed.clear();
        state.flushed_length = None;
        self.file.lock().unwrap().sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.begin(true)?;
        let mut file = self.file.lock().unwrap();
        state.remember(&mut file, offset, data.len() as u64)?;
        // When the power goes, or the room ends, a part has been written.
        let torn = state.check_power().and_then(|()| state.check_room(offset + data.len() as u64));
        let part = if torn.is_ok() { data } else { &data[..data.len() / 2] };
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(part)?;
        torn
    }
}
