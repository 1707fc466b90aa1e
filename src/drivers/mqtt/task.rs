//! The task of a connection: connects, serves the connection while it lasts, pauses, connects again.

use std::future::pending;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Outgoing, Packet};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::backoff::Backoff;
use super::connection::Shared;
use super::event::{ConnectionEvent, ConnectionHandler, RejectCode};
use super::inbound::InboundCap;
use super::link::Link;
use super::options::ConnectionOptions;
use super::watchdog::Watchdog;
use super::window::{Done, OutOfStep};
use crate::limits::{CONNECTION_STABLE_MS, DISCONNECT_LINGER_MS, WATCHDOG_MAX_PATIENCE, WATCHDOG_TICK_MS};

/// rumqttc's own time-out of a flush, in seconds. The watchdog decides earlier, and knows more.
const FLUSH_TIMEOUT_S: u64 = 3_600;

/// Runs until the connection is closed.
pub(super) async fn run(shared: Arc<Shared>, handler: Arc<dyn ConnectionHandler>, options: ConnectionOptions) {
    let _ended = Ended(shared.clone());
    let inbound = InboundCap::new(options.max_inbound_bytes);
    let mut task = Task {
        shared,
        handler,
        options,
        inbound,
        backoff: Backoff::default(),
        connection: 0,
        patience: 1,
    };
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

/// Why a connection ended.
enum End {
    /// It was asked to.
    Closed,
    /// The watchdog saw no progress.
    Stalled(&'static str),
    /// An answer to something that was never asked.
    OutOfStep,
    /// The network, or the broker.
    Lost(ConnectionError),
}

/// How far closing has come.
enum Phase {
    Open,
    /// Waits for acknowledgements until then.
    Draining(Instant),
    /// DISCONNECT is on its way; the broker closes the connection, or it is closed from here then.
    Leaving(Instant),
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
            let attempt = timeout(
                Duration::from_millis(self.options.connect_timeout_ms),
                event_loop.poll(),
            );
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
        self.emit(ConnectionEvent::Connected {
            connection: self.connection,
        });
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
            other => (self.backoff.failed(random), other.to_string(), None),
        };
        self.shared.lock().statistics.last_error = Some(reason.clone());
        tracing::warn!(target: "mqtt", %reason, pause_ms, "not connected");
        self.emit(match rejected {
            Some(code) => ConnectionEvent::Rejected { code, reason },
            None => ConnectionEvent::ConnectFailed {
                reason,
                attempt: self.backoff.failures(),
                retry_in_ms: pause_ms,
            },
        });
        pause_ms
    }

    /// Serves a connection to its end; the pause before the next, in ms.
    async fn serve(&mut self, mut event_loop: EventLoop) -> u64 {
        let since = Instant::now();
        let end = self.poll(&mut event_loop).await;
        self.patience = match end {
            End::Stalled(_) => (self.patience * 2).min(WATCHDOG_MAX_PATIENCE),
            _ => 1,
        };
        if since.elapsed() >= Duration::from_millis(CONNECTION_STABLE_MS) {
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
                None => error.to_string(),
            },
        };
        let mut state = self.shared.lock();
        state.link = None;
        state.statistics.last_error = Some(reason.clone());
        drop(state);
        tracing::info!(target: "mqtt", connection = self.connection, %reason, "disconnected");
        self.emit(ConnectionEvent::Disconnected {
            connection: self.connection,
            reason,
        });
        self.backoff.failed(random())
    }

    /// Polls the event loop until the connection ends. Nothing here waits for anything else, or messages would.
    async fn poll(&mut self, event_loop: &mut EventLoop) -> End {
        let mut watchdog = Watchdog::new(Instant::now(), self.patience);
        let mut tick = interval(Duration::from_millis(WATCHDOG_TICK_MS));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut phase = Phase::Open;
        loop {
            // A poll that has begun is finished, or requests would be lost half-way to the socket.
            let poll = event_loop.poll();
            tokio::pin!(poll);
            let outcome = loop {
                if self.advance(&mut phase) {
                    return End::Closed;
                }
                tokio::select! {
                    biased; // What has arrived counts before the watchdog looks.
                    outcome = &mut poll => break outcome,
                    () = self.shared.wake.notified() => {}
                    () = deadline(&phase) => {}
                    _ = tick.tick() => if let Some(reason) = self.verdict(&watchdog) {
                        return End::Stalled(reason);
                    },
                }
            };
            match (outcome, &phase) {
                (Ok(event), _) => {
                    if self.handle(event, &mut watchdog).is_err() {
                        return End::OutOfStep;
                    }
                }
                (Err(_), Phase::Leaving(_)) => return End::Closed,
                (Err(error), _) => return End::Lost(error),
            }
        }
    }

    /// Reports filters that were refused without asking the broker, and takes the next step of closing; `true` after the
    /// last.
    fn advance(&self, phase: &mut Phase) -> bool {
        let mut state = self.shared.lock();
        let closing = state.closing;
        let Some(link) = state.link.as_mut() else { return true };
        let refused = link.refused();
        if let (Phase::Open, Some(deadline)) = (&*phase, closing) {
            *phase = Phase::Draining(deadline);
        }
        let over = match *phase {
            Phase::Open => false,
            Phase::Draining(deadline) => {
                if link.idle() || Instant::now() >= deadline {
                    link.disconnect();
                    *phase = Phase::Leaving(Instant::now() + Duration::from_millis(DISCONNECT_LINGER_MS));
                }
                false
            }
            Phase::Leaving(deadline) => Instant::now() >= deadline,
        };
        drop(state);
        for filter in refused {
            self.emit(ConnectionEvent::SubscribeRejected { filter });
        }
        over
    }

    fn verdict(&self, watchdog: &Watchdog) -> Option<&'static str> {
        let mut state = self.shared.lock();
        let window = state.link.as_mut()?.window();
        let (request, publish) = (window.oldest_request(), window.oldest_publish());
        drop(state);
        watchdog.verdict(Instant::now(), request, publish)
    }

    fn handle(&mut self, event: Event, watchdog: &mut Watchdog) -> Result<(), OutOfStep> {
        let now = Instant::now();
        match event {
            Event::Incoming(packet) => {
                watchdog.arrived(now);
                self.handle_incoming(packet, watchdog, now)
            }
            Event::Outgoing(Outgoing::Publish(packet_id)) => {
                let mut state = self.shared.lock();
                let Some(link) = state.link.as_mut() else { return Ok(()) };
                let sent = link.window().sent_publish(packet_id)?;
                state.statistics.messages_out += 1;
                state.statistics.bytes_out += sent.bytes as u64;
                drop(state);
                if let Some(done) = sent.done {
                    self.done(&done, now);
                }
                Ok(())
            }
            Event::Outgoing(Outgoing::Subscribe(packet_id)) => {
                self.with_link((), |link| link.window().sent_subscribe(packet_id))
            }
            Event::Outgoing(Outgoing::Unsubscribe(packet_id)) => {
                self.with_link((), |link| link.window().sent_unsubscribe(packet_id))
            }
            Event::Outgoing(Outgoing::PingReq) => {
                watchdog.pinged(now);
                Ok(())
            }
            Event::Outgoing(_) => Ok(()),
        }
    }

    fn handle_incoming(&mut self, packet: Packet, watchdog: &mut Watchdog, now: Instant) -> Result<(), OutOfStep> {
        match packet {
            Packet::Publish(message) => self.message(message),
            Packet::PubAck(ack) => {
                watchdog.acknowledged(now);
                let mut state = self.shared.lock();
                let Some(link) = state.link.as_mut() else { return Ok(()) };
                let done = link.acknowledged_publish(ack.pkid)?;
                state
                    .statistics
                    .round_trip
                    .record(now.saturating_duration_since(done.since));
                drop(state);
                self.done(&done, now);
            }
            Packet::SubAck(ack) => {
                let events = self.with_link(Vec::new(), |link| {
                    let events = link.acknowledged_subscribe(&ack)?;
                    link.pump(now);
                    Ok(events)
                })?;
                for event in events {
                    self.emit(event);
                }
            }
            Packet::UnsubAck(ack) => self.with_link((), |link| {
                link.window().acknowledged_unsubscribe(ack.pkid)?;
                link.pump(now);
                Ok(())
            })?,
            Packet::PingResp => watchdog.ponged(),
            _ => {}
        }
        Ok(())
    }

    /// Runs `use_link` on the connection; without one (closed meanwhile) it gives `without`.
    fn with_link<T>(
        &self,
        without: T,
        use_link: impl FnOnce(&mut Link) -> Result<T, OutOfStep>,
    ) -> Result<T, OutOfStep> {
        self.shared.lock().link.as_mut().map_or(Ok(without), use_link)
    }

    /// A publish is done: what waited for its room leaves, and the caller hears of it.
    fn done(&self, done: &Done, now: Instant) {
        let mut state = self.shared.lock();
        let drained = state.link.as_mut().is_some_and(|link| {
            link.pump(now);
            link.drained()
        });
        drop(state);
        if let Some(id) = done.id {
            self.emit(ConnectionEvent::Acknowledged { id });
        }
        if drained {
            self.emit(ConnectionEvent::Drained);
        }
    }

    fn message(&self, message: rumqttc::Publish) {
        let bytes = message.payload.len();
        let accepted = self.inbound.accepts(bytes);
        let mut state = self.shared.lock();
        if accepted {
            state.statistics.messages_in += 1;
            state.statistics.bytes_in += bytes as u64;
        } else {
            state.statistics.oversized_dropped += 1;
        }
        drop(state);
        if accepted {
            let rumqttc::Publish {
                topic,
                payload,
                retain: retained,
                ..
            } = message;
            self.emit(ConnectionEvent::Message {
                topic,
                payload,
                retained,
            });
        } else {
            tracing::warn!(target: "mqtt", topic = message.topic, bytes, "dropped a message that is too large");
        }
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

/// Sleeps until the phase's deadline, or for ever.
async fn deadline(phase: &Phase) {
    match phase {
        Phase::Open => pending().await,
        Phase::Draining(deadline) | Phase::Leaving(deadline) => sleep_until((*deadline).into()).await,
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
