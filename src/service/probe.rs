//! Real round trips through the broker, on a topic of this peer's own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::error::ServiceError;
use crate::drivers::mqtt::{CanvasMQTTBroker, Priority, Publish, PublishError, PublishId, Qos};
use crate::ids::PeerId;
use crate::limits::{
    DEFAULT_PERFORMANCE_MESSAGES, DEFAULT_PERFORMANCE_PAYLOAD_BYTES, MAX_INBOUND_PACKET_BYTES,
    MAX_PERFORMANCE_MESSAGES, PROBE_RETAINED_MS, PROBE_TIMEOUT_MS,
};
use crate::wire::TopicSpace;

/// Each probe message begins with its number.
const NUMBER_BYTES: usize = 8;
/// Names the publish whose acknowledgement is waited for; no repository's publish has this id.
const ACKNOWLEDGED: PublishId = PublishId(u64::MAX);
/// The number of the message that the broker is to retain.
const RETAINED: u64 = u64::MAX / 2;
/// How many round trips measure latency; the others measure throughput.
const LATENCY_SAMPLES: usize = 200;

/// What `performanceTest` is to do.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct PerformanceOptions {
    messages: usize,
    payload_bytes: usize,
}

impl Default for PerformanceOptions {
    fn default() -> Self {
        Self { messages: DEFAULT_PERFORMANCE_MESSAGES, payload_bytes: DEFAULT_PERFORMANCE_PAYLOAD_BYTES }
    }
}

/// What `performanceTest` measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PerformanceReport {
    messages: usize,
    payload_bytes: usize,
    duration_ms: f64,
    throughput_per_second: f64,
    latency_ms: Latency,
}

#[derive(Debug, Clone, Serialize)]
struct Latency {
    min: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

/// Sends messages to itself through the broker; one probe at a time.
pub(crate) struct Probe {
    topic: String,
    /// Matches `topic`, with a wildcard.
    wildcard: String,
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What arrives goes here. At most as many as were sent.
    arrivals: Option<mpsc::UnboundedSender<Arrival>>,
    subscribed: Option<oneshot::Sender<bool>>,
    acknowledged: Option<oneshot::Sender<Instant>>,
}

/// What a broker makes of retained messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retention {
    /// It keeps them, gives them to whoever subscribes, and forgets them on demand.
    Kept,
    /// It keeps them, and gives none to a subscription with a wildcard.
    NotForWildcards,
    /// It does not keep them, or not until they are cleared.
    None,
}

/// A message came back.
struct Arrival {
    number: u64,
    at: Instant,
    /// Whether the broker had kept it.
    retained: bool,
}

type Arrivals = mpsc::UnboundedReceiver<Arrival>;

impl Probe {
    pub(crate) fn new(topics: &TopicSpace, peer: PeerId) -> Self {
        Self {
            topic: topics.probe(&peer),
            wildcard: topics.all_probes(),
            turn: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// A message arrived; whether it was ours.
    pub(crate) fn arrived(&self, topic: &str, payload: &[u8], retained: bool) -> bool {
        if topic != self.topic {
            return false;
        }
        if let (Some(arrivals), Some(number)) = (&self.state().arrivals, payload.first_chunk::<NUMBER_BYTES>()) {
            // Whoever no longer waits does not want to know.
            let _ = arrivals.send(Arrival { number: u64::from_be_bytes(*number), at: Instant::now(), retained });
        }
        true
    }

    /// A subscription was answered; whether it was ours.
    pub(crate) fn subscribed(&self, filter: &str, granted: bool) -> bool {
        if filter != self.topic && filter != self.wildcard {
            return false;
        }
        if let Some(waiting) = self.state().subscribed.take() {
            let _ = waiting.send(granted);
        }
        true
    }

    /// A publish was acknowledged; whether it was ours.
    pub(crate) fn acknowledged(&self, id: PublishId) -> bool {
        if id != ACKNOWLEDGED {
            return false;
        }
        if let Some(waiting) = self.state().acknowledged.take() {
            let _ = waiting.send(Instant::now());
        }
        true
    }

    /// The connection is gone: nothing will arrive.
    pub(crate) fn interrupt(&self) {
        *self.state() = State::default();
    }

    /// One round trip.
    pub(crate) async fn round_trip(&self, broker: &CanvasMQTTBroker) -> Result<Duration, ServiceError> {
        let _turn = self.turn.lock().await;
        let mut arrivals = self.open(broker).await?;
        let result = self.there_and_back(broker, &mut arrivals, 0, NUMBER_BYTES).await;
        self.close(broker);
        result
    }

    /// How long the broker takes to acknowledge a message that it has been given at QoS 1, and delivers.
    pub(crate) async fn acknowledgement(&self, broker: &CanvasMQTTBroker) -> Result<Duration, ServiceError> {
        let _turn = self.turn.lock().await;
        let result = async {
            let mut arrivals = self.open(broker).await?;
            let (acknowledged, answer) = oneshot::channel();
            self.state().acknowledged = Some(acknowledged);
            let sent = Instant::now();
            Self::send(broker, Publish { id: Some(ACKNOWLEDGED), ..self.message(0, NUMBER_BYTES) })?;
            next(&mut arrivals).await?;
            match timeout(Duration::from_millis(PROBE_TIMEOUT_MS), answer).await {
                Ok(Ok(at)) => Ok(at.duration_since(sent)),
                Ok(Err(_)) => Err(crate::sync::SyncError::Offline.into()),
                Err(_) => Err(too_slow()),
            }
        }
        .await;
        self.close(broker);
        result
    }

    /// What becomes of a retained message; nothing is left behind.
    pub(crate) async fn retention(&self, broker: &CanvasMQTTBroker) -> Result<Retention, ServiceError> {
        let _turn = self.turn.lock().await;
        let result = async {
            let mut arrivals = self.open(broker).await?;
            Self::send(broker, Publish { retain: true, ..self.message(RETAINED, NUMBER_BYTES) })?;
            next(&mut arrivals).await?;
            let kept = self.finds_retained(broker, &self.topic).await?;
            let kept_for_wildcards = kept && self.finds_retained(broker, &self.wildcard).await?;
            Self::send(broker, Publish { retain: true, payload: Vec::new(), ..self.message(RETAINED, NUMBER_BYTES) })?;
            // What comes back here was sent after the clearing.
            let mut arrivals = self.open(broker).await?;
            self.there_and_back(broker, &mut arrivals, RETAINED + 1, NUMBER_BYTES).await?;
            let forgotten = kept && !self.finds_retained(broker, &self.topic).await?;
            Ok(match (forgotten, kept_for_wildcards) {
                (true, true) => Retention::Kept,
                (true, false) => Retention::NotForWildcards,
                (false, _) => Retention::None,
            })
        }
        .await;
        self.close(broker);
        result
    }

    /// Whether a new subscription brings a retained message, soon.
    async fn finds_retained(&self, broker: &CanvasMQTTBroker, filter: &str) -> Result<bool, ServiceError> {
        self.close(broker);
        let mut arrivals = self.subscribe(broker, filter).await?;
        let found = async {
            while let Some(arrival) = arrivals.recv().await {
                if arrival.retained && arrival.number == RETAINED {
                    return true;
                }
            }
            false
        };
        let found = timeout(Duration::from_millis(PROBE_RETAINED_MS), found).await.unwrap_or(false);
        self.unsubscribe(broker, filter);
        Ok(found)
    }

    fn send(broker: &CanvasMQTTBroker, publish: Publish) -> Result<(), ServiceError> {
        broker.publish(publish).map_err(|error| not_sent(&error))
    }

    /// Round trips one by one for latency, then as many as possible at once for throughput.
    pub(crate) async fn measure(
        &self,
        broker: &CanvasMQTTBroker,
        options: &PerformanceOptions,
    ) -> Result<PerformanceReport, ServiceError> {
        let _turn = self.turn.lock().await;
        let messages = options.messages.clamp(1, MAX_PERFORMANCE_MESSAGES);
        let payload_bytes = options.payload_bytes.clamp(NUMBER_BYTES, MAX_INBOUND_PACKET_BYTES);
        let mut arrivals = self.open(broker).await?;
        let result = async {
            let mut samples = Vec::with_capacity(LATENCY_SAMPLES);
            for number in 0..messages.min(LATENCY_SAMPLES) as u64 {
                samples.push(self.there_and_back(broker, &mut arrivals, number, payload_bytes).await?);
            }
            let duration = self.all_at_once(broker, &mut arrivals, messages, payload_bytes).await?;
            Ok(report(messages, payload_bytes, duration, samples))
        }
        .await;
        self.close(broker);
        result
    }

    async fn there_and_back(
        &self,
        broker: &CanvasMQTTBroker,
        arrivals: &mut Arrivals,
        number: u64,
        bytes: usize,
    ) -> Result<Duration, ServiceError> {
        let sent = Instant::now();
        Self::send(broker, self.message(number, bytes))?;
        loop {
            let arrival = next(arrivals).await?;
            if arrival.number == number {
                return Ok(arrival.at.duration_since(sent));
            }
        }
    }

    async fn all_at_once(
        &self,
        broker: &CanvasMQTTBroker,
        arrivals: &mut Arrivals,
        messages: usize,
        bytes: usize,
    ) -> Result<Duration, ServiceError> {
        let started = Instant::now();
        let mut sent = 0;
        let mut received = 0;
        while received < messages {
            while sent < messages {
                match broker.publish(self.message(sent as u64, bytes)) {
                    Ok(()) => sent += 1,
                    Err(PublishError::QueueFull { .. }) if sent > received => break,
                    Err(error) => return Err(not_sent(&error)),
                }
            }
            next(arrivals).await?;
            received += 1;
        }
        Ok(started.elapsed())
    }

    async fn open(&self, broker: &CanvasMQTTBroker) -> Result<Arrivals, ServiceError> {
        self.subscribe(broker, &self.topic).await
    }

    async fn subscribe(&self, broker: &CanvasMQTTBroker, filter: &str) -> Result<Arrivals, ServiceError> {
        // Nobody would answer.
        if !broker.statistics().connected {
            return Err(crate::sync::SyncError::Offline.into());
        }
        let (arrivals, receiver) = mpsc::unbounded_channel();
        let (subscribed, answer) = oneshot::channel();
        *self.state() = State { arrivals: Some(arrivals), subscribed: Some(subscribed), acknowledged: None };
        broker.subscribe(vec![(filter.to_owned(), Qos::AtLeastOnce)]);
        match timeout(Duration::from_millis(PROBE_TIMEOUT_MS), answer).await {
            Ok(Ok(true)) => Ok(receiver),
            Ok(Ok(false)) => Err(crate::sync::SyncError::BrokerRejected {
                topic: filter.to_owned(),
                reason: "it refused the subscription",
            }
            .into()),
            Ok(Err(_)) => Err(crate::sync::SyncError::Offline.into()),
            Err(_) => Err(too_slow()),
        }
    }

    fn close(&self, broker: &CanvasMQTTBroker) {
        self.unsubscribe(broker, &self.topic);
    }

    fn unsubscribe(&self, broker: &CanvasMQTTBroker, filter: &str) {
        broker.unsubscribe(vec![filter.to_owned()]);
        *self.state() = State::default();
    }

    fn message(&self, number: u64, bytes: usize) -> Publish {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(bytes, 0);
        Publish {
            id: None,
            topic: self.topic.clone(),
            payload,
            qos: Qos::AtLeastOnce,
            retain: false,
            priority: Priority::High,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn next(arrivals: &mut Arrivals) -> Result<Arrival, ServiceError> {
    match timeout(Duration::from_millis(PROBE_TIMEOUT_MS), arrivals.recv()).await {
        Ok(Some(arrival)) => Ok(arrival),
        Ok(None) => Err(crate::sync::SyncError::Offline.into()),
        Err(_) => Err(too_slow()),
    }
}

fn too_slow() -> ServiceError {
    ServiceError::Timeout { what: "a round trip through the broker", timeout_ms: PROBE_TIMEOUT_MS }
}

fn not_sent(error: &PublishError) -> ServiceError {
    match error {
        PublishError::TooLarge { bytes, max_bytes } => {
            crate::sync::SyncError::TooLarge { what: "the payload", bytes: *bytes, max_bytes: *max_bytes }.into()
        }
        _ => crate::sync::SyncError::Offline.into(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(messages: usize, payload_bytes: usize, duration: Duration, mut samples: Vec<Duration>) -> PerformanceReport {
    samples.sort_unstable();
    let at = |percent: usize| {
        let index = (samples.len() * percent / 100).min(samples.len().saturating_sub(1));
        samples.get(index).map_or(0.0, |sample| sample.as_secs_f64() * 1e3)
    };
    PerformanceReport {
        messages,
        payload_bytes,
        duration_ms: duration.as_secs_f64() * 1e3,
        throughput_per_second: messages as f64 / duration.as_secs_f64(),
        latency_ms: Latency { min: at(0), p50: at(50), p95: at(95), p99: at(99), max: at(100) },
    }
}
