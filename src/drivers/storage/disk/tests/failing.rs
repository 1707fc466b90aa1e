//! Full disks, failing media, and power that goes at any moment.

use std::path::PathBuf;

use super::medium::Medium;
use super::*;

impl Folder {
    fn open(&self, medium: &Medium) -> Result<Disk, StorageError> {
        Disk::open_with(&self.data(), medium.opener())
    }

    /// As large as the database is now, and somewhat more.
    fn limit(&self, medium: &Medium, more: u64) {
        medium.limit(Some(std::fs::metadata(self.database()).unwrap().len() + more));
    }
}

/// Keeps the storage thread busy until the returned sender is dropped, so that what is handed over meanwhile is carried out
/// together.
fn hold(disk: &Disk) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (reached, arrived) = mpsc::channel();
    disk.repository(&name("other")).read(canvas("none"), move |_| {
        reached.send(()).unwrap();
        let _ = released.recv();
    });
    arrived.recv().unwrap();
    release
}

fn store(
    storage: &super::super::DiskStorage,
    operations: Vec<StoreOperation>,
) -> mpsc::Receiver<Result<(), StorageError>> {
    let (sender, receiver) = mpsc::channel();
    storage.store(operations, move |result| sender.send(result).unwrap());
    receiver
}

#[test]
fn a_full_disk_is_told_and_written_to_again_when_there_is_room() {
    let folder = Folder::new();
    let medium = Medium::default();
    let disk = folder.open(&medium).unwrap();
    let mut storage = disk.repository(&name("r"));
    storage.apply(vec![append("a", &[b"before"])]).unwrap();
    folder.limit(&medium, 1 << 20);
    let block = vec![7; 100_000];
    let mut kept = 0;
    let error = loop {
        match storage.apply(vec![append("a", &[&block])]) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    assert!(kept > 0);
    let stored = storage.load(&canvas("a")).unwrap().unwrap();
    assert_eq!((&stored.changes[0][..], stored.changes.len()), (&b"before"[..], kept + 1), "what is there can be read");
    for _ in 0..3 {
        assert!(matches!(storage.apply(vec![append("a", &[&block])]), Err(StorageError::Full { .. })));
    }
    medium.limit(None);
    storage.apply(vec![append("a", &[&block])]).expect("there is room again");
    assert_eq!(changes(&disk, "r", "a").unwrap().len(), kept + 2);
    close(&disk);
    let disk = Disk::open(&folder.data()).unwrap();
    assert_eq!(changes(&disk, "r", "a").unwrap().len(), kept + 2);
    close(&disk);
}

#[test]
fn a_batch_for_which_there_is_no_room_fails_alone() {
    let folder = Folder::new();
    let medium = Medium::default();
    let disk = folder.open(&medium).unwrap();
    let (small, large) = (disk.repository(&name("small")), disk.repository(&name("large")));
    let release = hold(&disk);
    let too_much = store(&large, vec![append("a", &[&vec![7; 20 << 20]])]);
    let little = store(&small, vec![append("a", &[b"1"]), append("b", &[b"2"])]);
    folder.limit(&medium, 1 << 20);
    drop(release);
    assert!(matches!(too_much.recv().unwrap(), Err(StorageError::Full { .. })));
    little.recv().unwrap().unwrap();
    assert_eq!(changes(&disk, "large", "a"), None);
    assert_eq!(changes(&disk, "small", "b"), Some(vec![b"2".to_vec()]));
    close(&disk);
}

#[test]
fn what_waits_together_costs_one_transaction() {
    let folder = Folder::new();
    let medium = Medium::default();
    let disk = folder.open(&medium).unwrap();
    let storages: Vec<_> = (0..50).map(|number| disk.repository(&name(&format!("r{number}")))).collect();
    let alone = {
        let before = medium.flushes();
        store(&storages[0], vec![append("a", &[b"0"])]).recv().unwrap().unwrap();
        medium.flushes() - before
    };
    let release = hold(&disk);
    let before = medium.flushes();
    let waiting: Vec<_> = storages.iter().map(|storage| store(storage, vec![append("a", &[b"1"])])).collect();
    drop(release);
    for result in waiting {
        result.recv().unwrap().unwrap();
    }
    assert_eq!(medium.flushes() - before, alone);
    assert_eq!(alone, 1, "one fsync");
    close(&disk);
}

#[test]
fn whichever_operation_fails_nothing_is_lost_and_writing_goes_on() {
    let mut failing = 0;
    loop {
        let folder = Folder::new();
        let medium = Medium::default();
        let disk = folder.open(&medium).unwrap();
        let mut storage = disk.repository(&name("r"));
        medium.fail_in(failing);
        for number in 0..5_u8 {
            let mut attempts = 0;
            while let Err(error) = storage.apply(vec![append("a", &[&[number]]), append("b", &[&[number]])]) {
                assert!(matches!(error, StorageError::Io { .. }), "{error}");
                attempts += 1;
                assert!(attempts < 3, "operation {failing}: {error}");
            }
            for document in ["a", "b"] {
                // A batch whose flush failed may be there twice.
                let mut all = changes(&disk, "r", document).unwrap();
                all.dedup();
                let expected: Vec<_> = (0..=number).map(|number| vec![number]).collect();
                assert_eq!(all, expected, "operation {failing}");
            }
        }
        let happened = !medium.fails_later();
        close(&disk);
        if !happened {
            break;
        }
        failing += 1;
    }
    assert!(failing > 20, "only {failing} operations");
}

/// Batches are numbered and write to two documents. Cuts the power in the n-th write, and looks what is there then.
fn power_goes(power_off_in: u64, seed: u64) -> bool {
    let folder = Folder::new();
    let medium = Medium::default();
    let disk = folder.open(&medium).unwrap();
    let mut storage = disk.repository(&name("r"));
    medium.power_off_in(power_off_in);
    let mut acknowledged = 0;
    for number in 1..=8_u32 {
        // Of different sizes, so that pages are allocated and freed.
        let change = [&number.to_le_bytes()[..], &vec![0; number as usize * 700]].concat();
        if storage.apply(vec![append("a", &[&change]), append("b", &[&change])]).is_err() {
            break;
        }
        acknowledged = number;
    }
    let went = medium.is_powered_off();
    close(&disk);
    medium.power_on(&folder.database(), seed);
    let disk = folder.open(&medium).unwrap_or_else(|error| panic!("write {power_off_in}, seed {seed}: {error}"));
    let numbers = |document| {
        let all = changes(&disk, "r", document).unwrap_or_default();
        all.iter().map(|change| u32::from_le_bytes(*change.first_chunk().unwrap())).collect::<Vec<_>>()
    };
    let (a, b) = (numbers("a"), numbers("b"));
    assert_eq!(a, b, "write {power_off_in}, seed {seed}: a batch is there as a whole or not at all");
    let last = u32::try_from(a.len()).unwrap();
    assert_eq!(a, (1..=last).collect::<Vec<_>>(), "write {power_off_in}, seed {seed}");
    assert!(
        last >= acknowledged,
        "write {power_off_in}, seed {seed}: {acknowledged} were acknowledged, {last} are there"
    );
    disk.repository(&name("r")).apply(vec![append("c", &[b"after"])]).unwrap();
    close(&disk);
    went
}

#[test]
fn what_is_acknowledged_survives_when_the_power_goes() {
    for seed in 0..4 {
        let mut write = 0;
        while power_goes(write, seed) {
            write += 1;
        }
        assert!(write > 30, "only {write} writes");
    }
}

/// A file system of its own, unmounted in the end.
struct Mount(PathBuf);

impl Mount {
    /// `None` with the reason when this machine does not let us.
    fn new(path: PathBuf, bytes: u64) -> Result<Self, String> {
        std::fs::create_dir_all(&path).unwrap();
        let size = format!("size={bytes},mode=700");
        let output = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "mqtt-p2p-test"])
            .arg(&path)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() { Ok(Self(path)) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = std::process::Command::new("umount").arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

#[test]
fn a_real_file_system_that_is_full_is_written_to_again_when_there_is_room() {
    let folder = Folder::new();
    let mount = match Mount::new(folder.data(), 4 << 20) {
        Ok(mount) => mount,
        Err(reason) => return println!("skipped: a tmpfs cannot be mounted here: {reason}"),
    };
    let disk = Disk::open(&folder.data()).unwrap();
    let mut storage = disk.repository(&name("r"));
    let ballast = folder.data().join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let block = vec![7; 100_000];
    let mut kept = 0;
    let error = loop {
        match storage.apply(vec![append("a", &[&block])]) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    assert_eq!(changes(&disk, "r", "a").unwrap_or_default().len(), kept);
    std::fs::remove_file(&ballast).unwrap();
    storage.apply(vec![append("a", &[&block])]).expect("there is room again");
    close(&disk);
    let disk = Disk::open(&folder.data()).unwrap();
    assert_eq!(changes(&disk, "r", "a").unwrap().len(), kept + 1);
    close(&disk);
    drop(mount);
}
