//! A broker inside this process, on rmqtt: for demos, tests and small teams that run none.
//!
//! It runs on threads and a tokio runtime of its own, so that its load never delays the peer beside it, and stopping it
//! ends everything. Retained messages live in memory: after a restart peers publish them again.

mod access;
mod listeners;
mod retain;
mod rules;
mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;

use super::options::PACKET_OVERHEAD_BYTES;
use crate::limits::{EMBEDDED_START_TIMEOUT_MS, MAX_INBOUND_PACKET_BYTES};

pub use rules::BrokerRule;

/// Where the embedded broker listens, whom it lets in, and how much it takes.
#[derive(Clone, PartialEq, Eq)]
pub struct EmbeddedBrokerOptions {
    /// IP address to listen on. Default 127.0.0.1: without `users` and `rules`, anyone who reaches the port may publish and
    /// read everything.
    pub host: String,
    /// TCP port; 0 takes any free one, which [`EmbeddedBroker::port`] tells. Default 0.
    pub port: u16,
    /// TLS on all ports; nothing is to be had without it then. Default none.
    pub tls: Option<EmbeddedTls>,
    /// A second port, for MQTT over WebSockets; 0 takes any free one. Default none.
    pub websocket_port: Option<u16>,
    /// User names and their passwords; who has none of them is refused. Default: everybody may connect.
    pub users: Option<BTreeMap<String, String>>,
    /// What clients may do; see [`BrokerRule`]. Default: everything.
    pub rules: Option<Vec<BrokerRule>>,
    /// Largest packet taken from a client; a client that sends a larger one is disconnected. Default: the largest packet
    /// that [`CanvasMQTTBroker`](super::CanvasMQTTBroker) accepts.
    pub max_packet_bytes: u32,
}

/// TLS of the embedded broker, versions 1.2 and 1.3. Files are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedTls {
    /// Its certificate, and the chain of that if there is one.
    pub cert_file: PathBuf,
    /// Its private key, without a passphrase.
    pub key_file: PathBuf,
    /// Certificates of CAs, one of which must have signed that of each client. Default: clients need none.
    pub client_ca_file: Option<PathBuf>,
}

/// Without the passwords.
impl fmt::Debug for EmbeddedBrokerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedBrokerOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("websocket_port", &self.websocket_port)
            .field("users", &self.users.as_ref().map(BTreeMap::len))
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl Default for EmbeddedBrokerOptions {
    fn default() -> Self {
        let max_packet_bytes = u32::try_from(MAX_INBOUND_PACKET_BYTES + PACKET_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        Self {
            host: "127.0.0.1".into(),
            port: 0,
            tls: None,
            websocket_port: None,
            users: None,
            rules: None,
            max_packet_bytes,
        }
    }
}

impl EmbeddedBrokerOptions {
    fn check(&self) -> Result<(), EmbeddedBrokerError> {
        let invalid = |problem: String| Err(EmbeddedBrokerError::Access(problem));
        if let Some(users) = &self.users {
            if users.is_empty() {
                return invalid("users: names nobody, so nobody could connect".to_owned());
            }
            if let Some((user, _)) = users.iter().find(|(user, password)| user.is_empty() || password.is_empty()) {
                return invalid(format!("users: '{user}' must have a name and a password"));
            }
        }
        let is_user = |name: &str| self.users.as_ref().is_some_and(|users| users.contains_key(name));
        for (index, rule) in self.rules.iter().flatten().enumerate() {
            if let Some(problem) = rule.problem(is_user) {
                return invalid(format!("rules[{index}].{problem}"));
            }
        }
        Ok(())
    }
}

/// Why the embedded broker does not run.
#[derive(Debug, Error)]
pub enum EmbeddedBrokerError {
    /// Another program listens there.
    #[error("{host}:{port} is in use; choose another port, or 0 for any free one")]
    AddressInUse {
        /// The address that was asked for.
        host: String,
        /// The port that was asked for.
        port: u16,
    },
    /// The host is no IP address of this machine.
    #[error("{host:?} is no IP address to listen on; use one of this machine, such as 127.0.0.1")]
    InvalidHost {
        /// The host that was asked for.
        host: String,
    },
    /// A file cannot be used.
    #[error("TLS of the embedded broker cannot be set up: {0}")]
    Tls(String),
    /// A rule or a user cannot be used; names the field.
    #[error("{0}")]
    Access(String),
    /// Anything else, such as no permission for the port.
    #[error("the embedded broker does not start: {0}")]
    Start(String),
}

/// Where a broker listens.
#[derive(Debug, Clone, Copy)]
struct Listens {
    mqtt: SocketAddr,
    websocket: Option<SocketAddr>,
}

/// A running broker. It stops when it is dropped.
pub struct EmbeddedBroker {
    listens: Listens,
    tls: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Starts a broker; when this returns, it accepts connections. Blocks for some milliseconds, also inside a runtime.
    pub fn start(options: EmbeddedBrokerOptions) -> Result<Self, EmbeddedBrokerError> {
        options.check()?;
        let tls = options.tls.is_some();
        let (started, result) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        // A thread of its own, since a runtime cannot be entered or dropped inside another.
        let thread = std::thread::Builder::new()
            .name("mqtt-broker".into())
            .spawn(move || server::run(&options, &started, stopped))
            .map_err(|error| EmbeddedBrokerError::Start(error.to_string()))?;
        let listens = result
            .recv_timeout(Duration::from_millis(EMBEDDED_START_TIMEOUT_MS))
            .map_err(|error| EmbeddedBrokerError::Start(error.to_string()))??;
        tracing::info!(target: "mqtt", address = %listens.mqtt, websocket = ?listens.websocket, tls, "embedded broker listens");
        Ok(Self { listens, tls, stop: Some(stop), thread: Some(thread) })
    }

    /// The IP address that it listens on.
    pub fn host(&self) -> String {
        self.listens.mqtt.ip().to_string()
    }

    /// The TCP port that it listens on.
    pub fn port(&self) -> u16 {
        self.listens.mqtt.port()
    }

    /// The TCP port that it listens on for WebSockets, if it does.
    pub fn websocket_port(&self) -> Option<u16> {
        self.listens.websocket.map(|address| address.port())
    }

    /// Its address for clients, such as `mqtt://127.0.0.1:1883`, with TLS `mqtts://127.0.0.1:1883`.
    pub fn url(&self) -> String {
        format!("mqtt{}://{}", self.letter(), self.listens.mqtt)
    }

    /// Its address for clients that use WebSockets, such as `ws://127.0.0.1:1884/mqtt`, with TLS `wss://…`.
    pub fn websocket_url(&self) -> Option<String> {
        self.listens.websocket.map(|address| format!("ws{}://{address}/mqtt", self.letter()))
    }

    fn letter(&self) -> &'static str {
        if self.tls { "s" } else { "" }
    }

    /// Stops: closes all connections and releases the port. Blocks until that is done, at most about
    /// [`EMBEDDED_STOP_TIMEOUT_MS`](crate::limits::EMBEDDED_STOP_TIMEOUT_MS); so does dropping it.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        // Dropping the sender is the signal.
        self.stop.take();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(target: "mqtt", "the embedded broker's thread panicked");
        }
    }
}

impl fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedBroker").field("listens", &self.listens).finish_non_exhaustive()
    }
}
