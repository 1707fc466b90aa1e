//! A service whose canvases outlive it.

#![cfg(feature = "drivers")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // As in any test.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use mqtt_p2p::drivers::mqtt::embedded::{EmbeddedBroker, EmbeddedBrokerOptions};
use serde_json::json;
use support::service::{REPOSITORY, Service};

/// Tells the child processes of these tests which data directory to use.
const PATH: &str = "MQTT_P2P_TEST_DATA";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mqtt-p2p-service-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn canvases_and_the_peer_outlive_the_service() {
    let folder = Folder::new("outlive");
    let canvas = json!({ "nodes": [{ "id": "n", "type": "text", "text": "hello", "x": 1 }], "edges": [] });
    let mut first = Service::new(&folder.data(), 1).unwrap();
    first.initialize().unwrap();
    first.create("board", &canvas).unwrap();
    let peer = first.peer();
    first.disconnect();
    let mut second = Service::new(&folder.data(), 2).unwrap();
    assert_eq!(second.peer(), peer, "before it is initialized");
    second.initialize().unwrap();
    assert_eq!(second.get("board").unwrap(), canvas);
    second.disconnect();
}

#[tokio::test(flavor = "multi_thread")]
async fn canvases_outlive_a_service_that_had_a_broker() {
    let folder = Folder::new("broker");
    let broker = EmbeddedBroker::start(EmbeddedBrokerOptions::default()).unwrap();
    let config = json!({
        "broker": { "host": "127.0.0.1", "port": broker.port() },
        "repositories": [REPOSITORY],
        "storage": { "path": folder.data() },
    });
    let mut first = Service::with(&config, 1).unwrap();
    first.initialize().unwrap();
    first.create("board", &json!({ "nodes": [{ "id": "n" }] })).unwrap();
    first.disconnect();
    broker.stop();
    let mut second = Service::new(&folder.data(), 2).unwrap();
    second.initialize().unwrap();
    assert_eq!(second.get("board").unwrap()["nodes"][0]["id"], "n");
    second.disconnect();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_user_at_a_time() {
    let folder = Folder::new("locked");
    let mut first = Service::new(&folder.data(), 1).unwrap();
    let mut second = Service::new(&folder.data(), 2).unwrap();
    first.initialize().unwrap();
    let (code, message) = second.initialize().unwrap_err();
    assert_eq!(code, "ERR_STORAGE_LOCKED");
    assert!(message.contains(folder.data().to_str().unwrap()) && message.contains("disconnect"), "{message}");
    first.disconnect();
    second.initialize().expect("it is free as soon as the other has left");
    second.disconnect();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_never_initialized_leaves_nothing_open() {
    let folder = Folder::new("never");
    let mut first = Service::new(&folder.data(), 1).unwrap();
    first.disconnect();
    let mut second = Service::new(&folder.data(), 1).unwrap();
    second.initialize().unwrap();
    second.disconnect();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_directory_is_refused_and_left_alone() {
    let folder = Folder::new("damaged");
    std::fs::create_dir_all(folder.data()).unwrap();
    let file = folder.data().join("mqtt-p2p.redb");
    std::fs::write(&file, "no database").unwrap();
    let mut service = Service::new(&folder.data(), 1).unwrap();
    let (code, message) = service.initialize().unwrap_err();
    assert_eq!(code, "ERR_STORAGE_CORRUPT");
    assert!(message.contains("recover --data-dir"), "{message}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "no database");
    std::fs::remove_file(&file).unwrap();
    service.initialize().expect("it can be tried again");
    service.disconnect();
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(unix)]
async fn an_exposed_identity_is_refused_by_the_constructor() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("exposed");
    Service::new(&folder.data(), 1).unwrap();
    let key = folder.data().join("identity.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let Err(error) = Service::new(&folder.data(), 1) else { panic!("it was taken") };
    assert_eq!(error.code(), "ERR_CONFIG_INVALID");
    assert!(error.to_string().contains("storage.path") && error.to_string().contains("0644"), "{error}");
}

// ---- other processes ------------------------------------------------------------------------------------------------

/// Runs one of the ignored tests below in a process of its own.
fn process(test: &str, data: &Path) -> Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(PATH, data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_is_kept_out_and_what_it_stored_survives_its_death() {
    let folder = Folder::new("killed");
    let mut child = process("edits_until_it_is_killed", &folder.data());
    let mut stored = lines(&mut child).filter_map(|line| line.strip_prefix("stored ").map(str::to_owned));
    let first: u32 = stored.next().unwrap().parse().unwrap();
    let mut service = Service::new(&folder.data(), 1).unwrap();
    assert_eq!(service.initialize().unwrap_err().0, "ERR_STORAGE_LOCKED");
    let last: u32 = stored.by_ref().take(50).last().unwrap().parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    service.initialize().expect("the lock goes with the process");
    for number in first..=last {
        assert_eq!(service.get(&format!("board {number}")).unwrap()["nodes"][0]["x"], number);
    }
    service.disconnect();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by another test, in a process of its own"]
async fn edits_until_it_is_killed() {
    let Ok(data) = std::env::var(PATH) else { return };
    let mut service = Service::new(Path::new(&data), 1).unwrap();
    service.initialize().unwrap();
    for number in 0_u32.. {
        service.create(&format!("board {number}"), &json!({ "nodes": [{ "id": "n", "x": number }] })).unwrap();
        println!("stored {number}");
    }
}
