//! Serves a connection from its CONNACK to its end.

use std::future::pending;
use std::time::{Duration, Instant};

use rumqttc::{ConnectionError, Event, EventLoop, Outgoing, Packet, PubAck, QoS};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::connection::Shared;
use super::event::{ConnectionEvent, ConnectionHandler};
use super::inbound::InboundCap;
use super::link::Link;
use super::watchdog::Watchdog;
use super::window::{Done, OutOfStep};
use crate::limits::{DISCONNECT_LINGER_MS, WATCHDOG_TICK_MS};

/// Why a connection ended.
pub(super) enum End {
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

/// What serving takes.
pub(super) struct Serving<'a> {
    shared: &'a Shared,
    handler: &'a dyn ConnectionHandler,
    inbound: &'a InboundCap,
    watchdog: Watchdog,
    phase: Phase,
}

impl<'a> Serving<'a> {
    /// Begins right after the CONNACK, with the watchdog's times multiplied by `patience`.
    pub(super) fn new(
        shared: &'a Shared,
        handler: &'a dyn ConnectionHandler,
        inbound: &'a InboundCap,
        patience: u32,
    ) -> Self {
        Self { shared, handler, inbound, watchdog: Watchdog::new(Instant::now(), patience), phase: Phase::Open }
    }

    /// Polls the event loop until the connection ends. Nothing here waits for anything else, or messages would.
    pub(super) async fn run(mut self, event_loop: &mut EventLoop) -> End {
        let mut tick = interval(Duration::from_millis(WATCHDOG_TICK_MS));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::new();
        loop {
            // A poll that has begun is finished, or requests would be lost half-way to the socket.
            // All that was read at once is handed on first, and then acknowledged at once.
            let handed_on = event_loop.state.events.is_empty();
            let due = if handed_on { std::mem::take(&mut taken) } else { Vec::new() };
            let poll = acknowledge_and_poll(event_loop, due);
            tokio::pin!(poll);
            let outcome = loop {
                if self.advance() {
                    return End::Closed;
                }
                tokio::select! {
                    biased; // What has arrived counts before the watchdog looks.
                    outcome = &mut poll => break outcome,
                    () = self.shared.wake.notified() => {}
                    () = deadline(&self.phase) => {}
                    _ = tick.tick() => if let Some(reason) = self.verdict() {
                        return End::Stalled(reason);
                    },
                }
            };
            match (outcome, &self.phase) {
                (Ok(event), _) => {
                    if let Event::Incoming(Packet::Publish(message)) = &event
                        && message.qos == QoS::AtLeastOnce
                    {
                        taken.push(message.pkid);
                    }
                    if self.handle(event).is_err() {
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
    fn advance(&mut self) -> bool {
        let mut state = self.shared.lock();
        let closing = state.closing;
        let Some(link) = state.link.as_mut() else { return true };
        let refused = link.refused();
        if let (Phase::Open, Some(deadline)) = (&self.phase, closing) {
            self.phase = Phase::Draining(deadline);
        }
        let over = match self.phase {
            Phase::Open => false,
            Phase::Draining(deadline) => {
                if link.idle() || Instant::now() >= deadline {
                    link.disconnect();
                    self.phase = Phase::Leaving(Instant::now() + Duration::from_millis(DISCONNECT_LINGER_MS));
                }
                false
            }
            Phase::Leaving(deadline) => Instant::now() >= deadline,
        };
        drop(state);
        for filter in refused {
            self.handler.on_event(ConnectionEvent::SubscribeRejected { filter });
        }
        over
    }

    fn verdict(&self) -> Option<&'static str> {
        let mut state = self.shared.lock();
        let window = state.link.as_mut()?.window();
        let (request, publish) = (window.oldest_request(), window.oldest_publish());
        drop(state);
        self.watchdog.verdict(Instant::now(), request, publish)
    }

    fn handle(&mut self, event: Event) -> Result<(), OutOfStep> {
        let now = Instant::now();
        match event {
            Event::Incoming(packet) => {
                self.watchdog.arrived(now);
                self.handle_incoming(packet, now)
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
                self.watchdog.pinged(now);
                Ok(())
            }
            Event::Outgoing(_) => Ok(()),
        }
    }

    fn handle_incoming(&mut self, packet: Packet, now: Instant) -> Result<(), OutOfStep> {
        match packet {
            Packet::Publish(message) => self.message(message),
            Packet::PubAck(ack) => {
                self.watchdog.acknowledged(now);
                let mut state = self.shared.lock();
                let Some(link) = state.link.as_mut() else { return Ok(()) };
                let done = link.acknowledged_publish(ack.pkid)?;
                let us = now.saturating_duration_since(done.since).as_micros();
                state.statistics.round_trip.record_us(u64::try_from(us).unwrap_or(u64::MAX));
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
                    self.handler.on_event(event);
                }
            }
            Packet::UnsubAck(ack) => self.with_link((), |link| {
                link.window().acknowledged_unsubscribe(ack.pkid)?;
                link.pump(now);
                Ok(())
            })?,
            Packet::PingResp => self.watchdog.ponged(),
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
            self.handler.on_event(ConnectionEvent::Acknowledged { id });
        }
        if drained {
            self.handler.on_event(ConnectionEvent::Drained);
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
            let rumqttc::Publish { topic, payload, retain: retained, .. } = message;
            self.handler.on_event(ConnectionEvent::Message { topic, payload, retained });
        } else {
            tracing::warn!(target: "mqtt", topic = message.topic, bytes, "dropped a message that is too large");
        }
    }
}

/// Acknowledges the messages of these packet ids, and goes on.
async fn acknowledge_and_poll(event_loop: &mut EventLoop, taken: Vec<u16>) -> Result<Event, ConnectionError> {
    if taken.len() == 1 {
        // Who takes it in runs first: to write to the socket, which wakes the broker, takes a twentieth of a move's way.
        tokio::task::yield_now().await;
    }
    if let Some(network) = event_loop.network.as_mut().filter(|_| !taken.is_empty()) {
        for packet_id in taken {
            network.write(Packet::PubAck(PubAck::new(packet_id))).await?;
        }
        network.flush().await?;
    }
    event_loop.poll().await
}

/// Sleeps until the phase's deadline, or for ever.
async fn deadline(phase: &Phase) {
    match phase {
        Phase::Open => pending().await,
        Phase::Draining(deadline) | Phase::Leaving(deadline) => sleep_until((*deadline).into()).await,
    }
}
