//! MQTT 3.1.1: the connection to a broker, and a broker to embed.
//!
//! [`CanvasMQTTBroker`] keeps one connection alive and carries publishes in order of priority. It is the only place that
//! knows rumqttc; [`embedded`] is the only one that knows rmqtt. Neither knows what is in a message.
//!
//! ```text
//! any thread            publish() ──► link: window has room? ──yes──► rumqttc's channel ──► task ──► socket
//!                                       └──no──► outbox (by priority) ◄──drained on PUBACK──┘
//! the connection's task one event loop: polls rumqttc, calls the handler, watches progress, connects again
//! ```

mod backoff;
mod connection;
pub mod embedded;
mod event;
mod failure;
mod inbound;
mod link;
mod options;
mod outbox;
mod serve;
mod statistics;
mod task;
mod tls;
mod verifier;
mod watchdog;
mod window;

pub use connection::CanvasMQTTBroker;
pub use event::{
    ConnectionEvent, ConnectionHandler, LastWill, Priority, Publish, PublishError, PublishId, Qos, RejectCode,
};
pub use options::ConnectionOptions;
pub use statistics::ConnectionStatistics;
pub use tls::{TlsClient, TlsError, TlsOptions};
