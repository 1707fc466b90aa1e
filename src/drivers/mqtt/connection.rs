//! The handle of a connection, and what it shares with the connection's task.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rumqttc::valid_topic;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::event::{ConnectionHandler, Publish, PublishError, Qos};
use super::link::Link;
use super::options::ConnectionOptions;
use super::statistics::ConnectionStatistics;
use super::task;
use crate::drivers::turns::{Turn, Turns};

/// A connection to an MQTT 3.1.1 broker that connects, and connects again, by itself.
///
/// * **At any time, from any thread**: [`publish`](Self::publish), [`subscribe`](Self::subscribe),
///   [`unsubscribe`](Self::unsubscribe), [`statistics`](Self::statistics); none blocks.
/// * **Once at the end**: [`disconnect`](Self::disconnect).
/// * What happens is told to the [`ConnectionHandler`], in order, on the connection's task.
///
/// Nothing survives a connection: sessions are clean, and when one ends, publishes that were not acknowledged and all
/// subscriptions are forgotten. The caller makes them again when it hears `Connected`.
///
/// Cheap to clone. When the last clone goes, the connection ends as after `disconnect(Duration::ZERO)`.
#[derive(Clone)]
pub struct CanvasMQTTBroker {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    turns: Arc<Turns>,
    max_packet_bytes: usize,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close(Instant::now());
    }
}

impl CanvasMQTTBroker {
    /// Starts to connect, on the given runtime, and returns at once. The connection holds the handler until it has ended,
    /// so a handler that keeps a clone of this keeps the connection until [`disconnect`](Self::disconnect).
    pub fn start(options: ConnectionOptions, handler: Arc<dyn ConnectionHandler>, runtime: &Handle) -> Self {
        let shared = Arc::new(Shared::default());
        let max_packet_bytes = options.max_packet_bytes;
        let turns = Arc::<Turns>::default();
        runtime.spawn(turns.clone().run(task::run(shared.clone(), handler, options)));
        Self { inner: Arc::new(Inner { shared, turns, max_packet_bytes }) }
    }

    /// Publishes now or, if too much is unacknowledged, as soon as its priority allows. `Ok` promises nothing about the
    /// broker: that is what `Acknowledged` is for.
    pub fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        if publish.topic.is_empty()
            || publish.topic.len() > usize::from(u16::MAX)
            || publish.topic.contains('\0')
            || !valid_topic(&publish.topic)
        {
            return Err(PublishError::InvalidTopic { topic: publish.topic.chars().take(64).collect() });
        }
        let (bytes, max_bytes) = (packet_bytes(&publish), self.inner.max_packet_bytes);
        if bytes > max_bytes {
            return Err(PublishError::TooLarge { bytes, max_bytes });
        }
        tracing::debug!(target: "mqtt", topic = publish.topic, bytes, priority = ?publish.priority, "publish");
        let mut state = self.inner.shared.lock();
        if state.closing.is_some() {
            return Err(PublishError::Closed);
        }
        state.link.as_mut().ok_or(PublishError::NotConnected)?.publish(publish, Instant::now())
    }

    /// Takes the connection's task for a moment, to put on the socket from here what is published meanwhile.
    pub fn take_turn(&self) -> Option<Turn<'_>> {
        self.inner.turns.take()
    }

    /// Asks for subscriptions; `Subscribed` or `SubscribeRejected` follows for each filter. While not connected it does
    /// nothing: no subscription outlives a connection, and the caller subscribes when it hears `Connected`. While
    /// something waits for room, filters and publishes may leave in either order; where that matters, wait for
    /// `Subscribed`.
    pub fn subscribe(&self, filters: Vec<(String, Qos)>) {
        let refused = match self.inner.shared.lock().link.as_mut() {
            Some(link) => link.subscribe(filters, Instant::now()),
            None => false,
        };
        if refused {
            self.inner.shared.wake.notify_one();
        }
    }

    /// Ends subscriptions, after those that were asked for before; nothing reports it. While not connected it does
    /// nothing.
    pub fn unsubscribe(&self, filters: Vec<String>) {
        if let Some(link) = self.inner.shared.lock().link.as_mut() {
            link.unsubscribe(filters, Instant::now());
        }
    }

    /// Refuses further publishes, waits until all earlier ones are acknowledged or `timeout` is over, sends DISCONNECT (so
    /// the broker publishes no Will) and ends the task. Returns when the task has ended, which is at most
    /// [`DISCONNECT_LINGER_MS`](crate::limits::DISCONNECT_LINGER_MS) after the time-out. Further calls only wait for the
    /// same. Without a connection there is nothing to wait for, and what was not acknowledged is lost.
    pub async fn disconnect(&self, timeout: Duration) {
        let shared = &self.inner.shared;
        let now = Instant::now();
        shared.close(now.checked_add(timeout).unwrap_or(now + Duration::from_hours(24)));
        // An error means that the task is gone, which is what is waited for.
        let _ = shared.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Counters, and the state now.
    pub fn statistics(&self) -> ConnectionStatistics {
        let state = self.inner.shared.lock();
        let mut statistics = state.statistics.clone();
        if let Some(link) = &state.link {
            statistics.connected = true;
            (statistics.queued_messages, statistics.queued_bytes) = link.queued();
            (statistics.in_flight_messages, statistics.in_flight_bytes) = link.in_flight();
        }
        statistics
    }
}

impl fmt::Debug for CanvasMQTTBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CanvasMQTTBroker").field("statistics", &self.statistics()).finish()
    }
}

/// The size of a PUBLISH packet (MQTT 3.1.1, section 3.3), with the longest form of its length.
fn packet_bytes(publish: &Publish) -> usize {
    5 + 2 + publish.topic.len() + 2 + publish.payload.len()
}

/// What the handles and the task share.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the task: it is to close, or filters were refused.
    pub(super) wake: Notify,
    ended: watch::Sender<bool>,
}

/// Held only for moments, never while the handler is called.
#[derive(Default)]
pub(super) struct State {
    /// The connection, while there is one.
    pub(super) link: Option<Link>,
    /// When to stop waiting for acknowledgements; set once the connection is to end.
    pub(super) closing: Option<Instant>,
    /// The counters; what is in `link` is read from there.
    pub(super) statistics: ConnectionStatistics,
}

impl Shared {
    /// The state. A handler's panic cannot poison it, since no handler runs under the lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection, at the given time at the latest. The first call counts.
    fn close(&self, deadline: Instant) {
        self.lock().closing.get_or_insert(deadline);
        self.wake.notify_one();
    }

    /// Called when the task ends, for whatever reason: nothing is taken any more, and nobody waits for ever.
    pub(super) fn ended(&self) {
        let mut state = self.lock();
        state.link = None;
        state.closing.get_or_insert_with(Instant::now);
        drop(state);
        self.ended.send_replace(true);
    }
}
