//! A Mosquitto of the test's own.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{free_port, wait_for};

/// Runs until it is dropped; killed by its process id.
pub struct Mosquitto {
    pub port: u16,
    directory: PathBuf,
    child: Child,
}

impl Mosquitto {
    /// Starts one with further lines of configuration, and files beside it (name, content) that these may name as
    /// `{dir}/name`. `None`, with the reason printed, if Mosquitto is not installed; with `CI=true` that fails instead.
    pub fn start(configuration: &str, files: &[(&str, &str)]) -> Option<Self> {
        Self::start_on(free_port(), configuration, files)
    }

    /// The same on a port of the caller's choice.
    pub fn start_on(port: u16, configuration: &str, files: &[(&str, &str)]) -> Option<Self> {
        let Some(program) = find() else {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "mosquitto is not installed: apt-get install mosquitto"
            );
            println!("skipped: mosquitto is not installed (apt-get install mosquitto)");
            return None;
        };
        let directory = std::env::temp_dir().join(format!("mqtt-p2p-mosquitto-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for (name, content) in files {
            std::fs::write(directory.join(name), content).unwrap();
        }
        let anonymous = if configuration.contains("allow_anonymous") { "" } else { "allow_anonymous true\n" };
        let text = format!(
            "listener {port} 127.0.0.1\nset_tcp_nodelay true\npersistence false\n{anonymous}{}\n",
            configuration.replace("{dir}", directory.to_str().unwrap())
        );
        let file = directory.join("mosquitto.conf");
        std::fs::write(&file, text).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto starts");
        let mosquitto = Self { port, directory, child };
        wait_for("mosquitto listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(mosquitto)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    directories.map(|directory| directory.join("mosquitto")).find(|file| file.is_file())
}
