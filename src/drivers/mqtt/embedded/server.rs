//! The embedded broker's thread: sets rmqtt up, runs it, and takes it down.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use rmqtt::context::ServerContext;
use rmqtt::router::DefaultRouter;
use rmqtt::server::MqttServer;
use rmqtt::shared::DefaultShared;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::access::Access;
use super::retain::MemoryRetainStorage;
use super::{EmbeddedBrokerError, EmbeddedBrokerOptions, Listens, listeners};
use crate::limits::EMBEDDED_STOP_TIMEOUT_MS;

/// Threads that serve clients.
const WORKER_THREADS: usize = 2;

type Started = Result<Listens, EmbeddedBrokerError>;

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
    let context = serve(&runtime, options, started, stop);
    runtime.shutdown_timeout(Duration::from_millis(EMBEDDED_STOP_TIMEOUT_MS));
    if let Some(context) = context {
        take_apart(&context);
    }
}

/// Gives what has to be taken apart when nothing runs any more.
fn serve(
    runtime: &Runtime,
    options: &EmbeddedBrokerOptions,
    started: &SyncSender<Started>,
    stop: oneshot::Receiver<()>,
) -> Option<ServerContext> {
    runtime.block_on(async {
        let (open, listens) = match listeners::open(options) {
            Ok(bound) => bound,
            Err(error) => {
                let _ = started.send(Err(error));
                return None;
            }
        };
        // Without the check for a busy machine, or a test under load is refused.
        let context = ServerContext::new().busy_check_enable(false).build().await;
        *context.extends.retain_mut().await = Box::new(MemoryRetainStorage::default());
        if let Some(access) = Access::of(options) {
            access.install(&*context.extends.hook_mgr().register()).await;
        }
        let mut server = MqttServer::new(context.clone());
        for (listener, address) in open {
            server = server.listener_by_id(listener, address.port());
        }
        let server = server.build();
        // The socket listens already, so the system accepts from here on.
        let _ = started.send(Ok(listens));
        tokio::select! {
            ended = server.run() => if let Err(error) = ended {
                tracing::error!(target: "mqtt", %error, "the embedded broker ended");
            },
            _ = stop => {}
        }
        Some(context)
    })
}

/// The context holds parts that hold the context; taken out, so that its memory is freed. Sessions that still ran would panic
/// without them.
fn take_apart(context: &ServerContext) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let parts = async {
        *context.extends.shared_mut().await = Box::new(DefaultShared::new(None));
        *context.extends.router_mut().await = Box::new(DefaultRouter::new(None));
        *context.extends.retain_mut().await = Box::new(MemoryRetainStorage::default());
    };
    let limit = Duration::from_millis(EMBEDDED_STOP_TIMEOUT_MS / 2);
    let _ = runtime.block_on(async { timeout(limit, parts).await });
}
