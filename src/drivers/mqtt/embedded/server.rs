//! The embedded broker's thread: sets rmqtt up, runs it, and takes it down.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use rmqtt::context::ServerContext;
use rmqtt::net::{Builder, Listener};
use rmqtt::router::DefaultRouter;
use rmqtt::server::MqttServer;
use rmqtt::shared::DefaultShared;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::retain::MemoryRetainStorage;
use super::{EmbeddedBrokerError, EmbeddedBrokerOptions};
use crate::limits::{
    EMBEDDED_HANDSHAKE_TIMEOUT_MS, EMBEDDED_IN_FLIGHT, EMBEDDED_MAX_CONNECTIONS, EMBEDDED_QUEUE_MESSAGES,
    EMBEDDED_SEND_TIMEOUT_MS, EMBEDDED_STOP_TIMEOUT_MS,
};

/// Threads that serve clients.
const WORKER_THREADS: usize = 2;

type Started = Result<SocketAddr, EmbeddedBrokerError>;

/// Runs a broker until `stop` resolves; tells `started` once whether and where it listens.
pub(super) fn run(options: &EmbeddedBrokerOptions, started: &SyncSender<Started>, stop: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .thread_name("mqtt-broker")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(EmbeddedBrokerError::Start(error.to_string())));
            return;
        }
    };
    serve(&runtime, options, started, stop);
    runtime.shutdown_timeout(Duration::from_millis(EMBEDDED_STOP_TIMEOUT_MS));
}

fn serve(
    runtime: &Runtime,
    options: &EmbeddedBrokerOptions,
    started: &SyncSender<Started>,
    stop: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        let (listener, address) = match listen(options) {
            Ok(bound) => bound,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        // Without the check for a busy machine, or a test under load is refused.
        let context = ServerContext::new().busy_check_enable(false).build().await;
        *context.extends.retain_mut().await = Box::new(MemoryRetainStorage::default());
        let server = MqttServer::new(context.clone()).listener_by_id(listener, address.port()).build();
        // The socket listens already, so the system accepts from here on.
        let _ = started.send(Ok(address));
        tokio::select! {
            ended = server.run() => if let Err(error) = ended {
                tracing::error!(target: "mqtt", %error, "the embedded broker ended");
            },
            _ = stop => {}
        }
        let _ = timeout(Duration::from_millis(EMBEDDED_STOP_TIMEOUT_MS / 2), take_apart(&context)).await;
    });
}

/// The context holds parts that hold the context; taken out, so that its memory is freed.
async fn take_apart(context: &ServerContext) {
    *context.extends.shared_mut().await = Box::new(DefaultShared::new(None));
    *context.extends.router_mut().await = Box::new(DefaultRouter::new(None));
    *context.extends.retain_mut().await = Box::new(MemoryRetainStorage::default());
}

fn listen(options: &EmbeddedBrokerOptions) -> Result<(Listener, SocketAddr), EmbeddedBrokerError> {
    let EmbeddedBrokerOptions { host, port, max_packet_bytes } = options;
    let invalid_host = || EmbeddedBrokerError::InvalidHost { host: host.clone() };
    let ip: IpAddr = host.parse().map_err(|_| invalid_host())?;
    // Every value that matters is set here: most of rmqtt's defaults are for millions of devices.
    let listener = Builder::new()
        .name("embedded")
        .laddr((ip, *port).into())
        // On Unix this takes a port that old connections still linger on; on Windows it would take one in use.
        .reuseaddr(cfg!(unix).then_some(true))
        .nodelay(true)
        .max_packet_size(*max_packet_bytes)
        .max_connections(EMBEDDED_MAX_CONNECTIONS)
        .max_handshaking_limit(EMBEDDED_MAX_CONNECTIONS)
        .max_inflight(NonZeroU16::new(EMBEDDED_IN_FLIGHT).unwrap_or(NonZeroU16::MAX))
        .max_mqueue_len(EMBEDDED_QUEUE_MESSAGES)
        .allow_anonymous(true)
        .handshake_timeout(Duration::from_millis(EMBEDDED_HANDSHAKE_TIMEOUT_MS))
        .send_timeout(Duration::from_millis(EMBEDDED_SEND_TIMEOUT_MS))
        // 0.75 · 2 is the one and a half keep-alives that MQTT 3.1.1 gives a client (section 3.1.2.10).
        .keepalive_backoff(0.75)
        .max_topic_levels(0)
        .max_subscriptions(0)
        .session_expiry_interval(Duration::ZERO)
        .message_expiry_interval(Duration::ZERO)
        .bind()
        .and_then(Listener::tcp)
        .map_err(|error| match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
            Some(ErrorKind::AddrInUse) => EmbeddedBrokerError::AddressInUse { host: host.clone(), port: *port },
            Some(ErrorKind::AddrNotAvailable) => invalid_host(),
            _ => EmbeddedBrokerError::Start(error.to_string()),
        })?;
    let address = listener.local_addr().map_err(|error| EmbeddedBrokerError::Start(error.to_string()))?;
    Ok((listener, address))
}
