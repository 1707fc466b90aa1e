//! A broker inside this process, on rmqtt: for demos, tests and small teams that run none.
//!
//! It runs on threads and a tokio runtime of its own, so that its load never delays the peer beside it, and stopping it
//! ends everything. Retained messages live in memory: after a restart peers publish them again.

mod retain;
mod server;

use std::fmt;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;

use super::options::PACKET_OVERHEAD_BYTES;
use crate::limits::{EMBEDDED_START_TIMEOUT_MS, MAX_INBOUND_PACKET_BYTES};

/// Where the embedded broker listens, and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedBrokerOptions {
    /// IP address to listen on. Default 127.0.0.1: anyone who reaches the port may publish and read everything.
    pub host: String,
    /// TCP port; 0 takes any free one, which [`EmbeddedBroker::port`] tells. Default 0.
    pub port: u16,
    /// Largest packet taken from a client; a client that sends a larger one is disconnected. Default: the largest packet
    /// that [`CanvasMQTTBroker`](super::CanvasMQTTBroker) accepts.
    pub max_packet_bytes: u32,
}

impl Default for EmbeddedBrokerOptions {
    fn default() -> Self {
        let max_packet_bytes = u32::try_from(MAX_INBOUND_PACKET_BYTES + PACKET_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        Self { host: "127.0.0.1".into(), port: 0, max_packet_bytes }
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
    /// Anything else, such as no permission for the port.
    #[error("the embedded broker does not start: {0}")]
    Start(String),
}

/// A running broker. It stops when it is dropped.
pub struct EmbeddedBroker {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Starts a broker; when this returns, it accepts connections. Blocks for some milliseconds, also inside a runtime.
    pub fn start(options: EmbeddedBrokerOptions) -> Result<Self, EmbeddedBrokerError> {
        let (started, result) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        // A thread of its own, since a runtime cannot be entered or dropped inside another.
        let thread = std::thread::Builder::new()
            .name("mqtt-broker".into())
            .spawn(move || server::run(&options, &started, stopped))
            .map_err(|error| EmbeddedBrokerError::Start(error.to_string()))?;
        let address = result
            .recv_timeout(Duration::from_millis(EMBEDDED_START_TIMEOUT_MS))
            .map_err(|error| EmbeddedBrokerError::Start(error.to_string()))??;
        tracing::info!(target: "mqtt", %address, "embedded broker listens");
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The IP address that it listens on.
    pub fn host(&self) -> String {
        self.address.ip().to_string()
    }

    /// The TCP port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its address for clients, such as `mqtt://127.0.0.1:1883`.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
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
        f.debug_struct("EmbeddedBroker").field("address", &self.address).finish_non_exhaustive()
    }
}
