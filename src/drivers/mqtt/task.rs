//! The task of a connection: connects, has the connection served while it lasts, pauses, connects again.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, EventLoop};
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::connection::Shared;
use super::event::{ConnectionEvent, ConnectionHandler, RejectCode};
use super::failure;
use super::inbound::InboundCap;
use super::link::Link;
use super::options::ConnectionOptions;
use super::serve::{End, Serving};
use super::tls::TlsClient;
use crate::limits::{CONNECTION_STABLE_MS, WATCHDOG_MAX_PATIENCE};

/// rumqttc's own time-out of a flush, in seconds. The watchdog decides earlier, and knows more.
const FLUSH_TIMEOUT_S: u64 = 3_600;

/// Runs until the connection is closed.
pub(super) async fn run(shared: Arc<Shared>, handler: Arc<dyn ConnectionHandler>, options: ConnectionOptions) {
    let _ended = Ended(shared.clone());
    let inbound = InboundCap::new(options.max_inbound_bytes);
    let mut task = Task { shared, handler, options, inbound, backoff: Backoff::default(), connection: 0, patience: 1 };
    while !task.closing() {
        let pause_ms = match task.connect().await {
            Some(Ok(event_loop)) => task.serve(event_loop).await,
            Some(Err(error)) => task.connect_failed(&error),
            None => break,
        };
        task.pause(pause_ms).await;
    }
}

/// Tells the handles that the task is gone, even after a panic.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended();
    }
}

struct Task {
    shared: Arc<Shared>,
    handler: Arc<dyn ConnectionHandler>,
    options: ConnectionOptions,
    inbound: InboundCap,
    backoff: Backoff,
    /// Connections so far.
    connection: u64,
    /// Factor of the watchdog's times.
    patience: u32,
}

impl Task {
    fn emit(&self, event: ConnectionEvent) {
        self.handler.on_event(event);
    }

    fn closing(&self) -> bool {
        self.shared.lock().closing.is_some()
    }

    /// One attempt to connect, up to the CONNACK; `None` if the connection was closed meanwhile.
    async fn connect(&mut self) -> Option<Result<EventLoop, ConnectionError>> {
        let will = self.handler.last_will(self.connection + 1);
        let options = self.options.to_rumqttc(self.inbound.packet_bytes(), will);
        // A new client for every attempt: one that lost its connection keeps requests of the old one.
        let (client, mut event_loop) = AsyncClient::new(options, self.options.channel_requests());
        let mut network = event_loop.network_options();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(FLUSH_TIMEOUT_S);
        event_loop.set_network_options(network);

        let outcome = {
            let attempt = timeout(Duration::from_millis(self.options.connect_timeout_ms), event_loop.poll());
            tokio::pin!(attempt);
            loop {
                tokio::select! {
                    outcome = &mut attempt => break outcome,
                    () = self.shared.wake.notified() => if self.closing() { return None },
                }
            }
        };
        Some(match outcome {
            Ok(Ok(_connack)) => {
                self.connected(client);
                Ok(event_loop)
            }
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err(ConnectionError::NetworkTimeout),
        })
    }

    fn connected(&mut self, client: AsyncClient) {
        self.connection += 1;
        let mut state = self.shared.lock();
        state.link = Some(Link::new(client, self.options.window_messages()));
        state.statistics.connects = self.connection;
        drop(state);
        tracing::info!(target: "mqtt", connection = self.connection, "connected");
        if self.options.tls.as_ref().is_some_and(TlsClient::is_insecure) {
            tracing::warn!(target: "mqtt", "the broker's certificate is not verified (tls.insecure): it may be anybody");
        }
        self.emit(ConnectionEvent::Connected { connection: self.connection });
    }

    /// Reports a failed attempt; the pause before the next, in ms.
    fn connect_failed(&mut self, error: &ConnectionError) -> u64 {
        let random = random();
        let (pause_ms, reason, rejected) = match error {
            ConnectionError::ConnectionRefused(code) => {
                let code = reject_code(*code);
                let pause_ms = match code {
                    RejectCode::ServerUnavailable => self.backoff.failed(random),
                    _ => self.backoff.refused(random),
                };
                (pause_ms, code.reason().to_owned(), Some(code))
            }
            ConnectionError::NetworkTimeout => {
                let reason = format!("no answer within {} ms", self.options.connect_timeout_ms);
                (self.backoff.failed(random), reason, None)
            }
            other => match failure::of_tls(other, &self.options) {
                Some(reason) => (self.backoff.refused(random), reason, Some(RejectCode::Tls)),
                None => (self.backoff.failed(random), failure::of_connection(other, &self.options), None),
            },
        };
        self.shared.lock().statistics.last_error = Some(reason.clone());
        tracing::warn!(target: "mqtt", %reason, pause_ms, "not connected");
        self.emit(match rejected {
            Some(code) => ConnectionEvent::Rejected { code, reason },
            None => ConnectionEvent::ConnectFailed { reason, attempt: self.backoff.failures(), retry_in_ms: pause_ms },
        });
        pause_ms
    }

    /// Serves a connection to its end; the pause before the next, in ms.
    async fn serve(&mut self, mut event_loop: EventLoop) -> u64 {
        let since = Instant::now();
        let end = Serving::new(&self.shared, &*self.handler, &self.inbound, self.patience).run(&mut event_loop).await;
        self.patience = match end {
            End::Stalled(_) => (self.patience * 2).min(WATCHDOG_MAX_PATIENCE),
            _ => 1,
        };
        let soon = since.elapsed() < Duration::from_millis(CONNECTION_STABLE_MS);
        if !soon {
            self.backoff.reset();
        }
        let reason = match end {
            End::Closed => "closed on request".to_owned(),
            End::Stalled(reason) => reason.to_owned(),
            End::OutOfStep => "the broker acknowledged what was never sent".to_owned(),
            End::Lost(error) => match self.inbound.grow(&error) {
                Some(bytes) => format!(
                    "the broker sent a packet of {bytes} bytes, more than is accepted; it will be dropped from now on \
                     (if it is retained, clear it)"
                ),
                None => failure::of_lost(&error, &self.options, soon),
            },
        };
        let mut state = self.shared.lock();
        state.link = None;
        state.statistics.last_error = Some(reason.clone());
        drop(state);
        tracing::info!(target: "mqtt", connection = self.connection, %reason, "disconnected");
        self.emit(ConnectionEvent::Disconnected { connection: self.connection, reason });
        self.backoff.failed(random())
    }

    /// Waits before the next attempt, or until the connection is closed.
    async fn pause(&self, pause_ms: u64) {
        let pause = sleep(Duration::from_millis(pause_ms));
        tokio::pin!(pause);
        while !self.closing() {
            tokio::select! {
                () = &mut pause => return,
                () = self.shared.wake.notified() => {}
            }
        }
    }
}

fn reject_code(code: ConnectReturnCode) -> RejectCode {
    match code {
        ConnectReturnCode::RefusedProtocolVersion => RejectCode::ProtocolVersion,
        ConnectReturnCode::BadClientId => RejectCode::ClientId,
        // Success is no refusal; should it appear here, trying again is right.
        ConnectReturnCode::ServiceUnavailable | ConnectReturnCode::Success => RejectCode::ServerUnavailable,
        ConnectReturnCode::BadUserNamePassword => RejectCode::BadCredentials,
        ConnectReturnCode::NotAuthorized => RejectCode::NotAuthorized,
    }
}

/// A number to spread pauses with, from the randomness that the standard library takes from the system for its maps.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
