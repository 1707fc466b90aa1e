//! A handler that keeps what it hears.

use std::sync::{Arc, Mutex};

use mqtt_p2p::drivers::mqtt::{
    CanvasMQTTBroker, ConnectionEvent, ConnectionHandler, ConnectionOptions, LastWill, Priority, Publish, PublishId,
    Qos,
};
use tokio::runtime::Handle;

use super::wait_for;

/// Keeps every event in order.
#[derive(Default)]
pub struct Recorder {
    pub events: Mutex<Vec<ConnectionEvent>>,
    pub will: Option<LastWill>,
}

impl ConnectionHandler for Recorder {
    fn on_event(&self, event: ConnectionEvent) {
        self.events.lock().unwrap().push(event);
    }

    fn last_will(&self, _connection: u64) -> Option<LastWill> {
        self.will.clone()
    }
}

impl Recorder {
    /// How many events are such.
    pub fn count(&self, such: impl Fn(&ConnectionEvent) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| such(event)).count()
    }

    /// Waits for such an event.
    #[track_caller]
    pub fn wait(&self, what: &str, such: impl Fn(&ConnectionEvent) -> bool) {
        wait_for(what, || self.count(&such) > 0);
    }

    /// Ids acknowledged so far, in order.
    pub fn acknowledged(&self) -> Vec<u64> {
        let events = self.events.lock().unwrap();
        let id = |event: &ConnectionEvent| match event {
            ConnectionEvent::Acknowledged { id } => Some(id.0),
            _ => None,
        };
        events.iter().filter_map(id).collect()
    }

    /// Messages so far, in order: topic, payload, retained.
    pub fn messages(&self) -> Vec<(String, Vec<u8>, bool)> {
        let events = self.events.lock().unwrap();
        let message = |event: &ConnectionEvent| match event {
            ConnectionEvent::Message { topic, payload, retained } => Some((topic.clone(), payload.to_vec(), *retained)),
            _ => None,
        };
        events.iter().filter_map(message).collect()
    }
}

/// A connection with a recorder.
pub struct Peer {
    pub broker: CanvasMQTTBroker,
    pub recorder: Arc<Recorder>,
}

impl Peer {
    /// Starts to connect.
    pub fn start(options: ConnectionOptions, will: Option<LastWill>) -> Self {
        let recorder = Arc::new(Recorder { will, ..Recorder::default() });
        let broker = CanvasMQTTBroker::start(options, recorder.clone(), &Handle::current());
        Self { broker, recorder }
    }

    /// Connects to a port of this machine and waits for it.
    #[track_caller]
    pub fn connect(port: u16, client_id: &str) -> Self {
        let peer = Self::start(ConnectionOptions::new("127.0.0.1", port, client_id), None);
        peer.wait_connected(1);
        peer
    }

    /// Waits for the connection with this number.
    #[track_caller]
    pub fn wait_connected(&self, number: u64) {
        self.recorder.wait("connected", |event| *event == ConnectionEvent::Connected { connection: number });
    }

    /// Subscribes at QoS 1 and waits for the answer.
    #[track_caller]
    pub fn subscribe(&self, filter: &str) {
        self.broker.subscribe(vec![(filter.into(), Qos::AtLeastOnce)]);
        let subscribed = ConnectionEvent::Subscribed { filter: filter.into() };
        self.recorder.wait("subscribed", |event| *event == subscribed);
    }
}

/// A publish at QoS 1 and high priority.
pub fn publish(id: u64, topic: &str, payload: impl Into<Vec<u8>>) -> Publish {
    Publish {
        id: Some(PublishId(id)),
        topic: topic.into(),
        payload: payload.into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        priority: Priority::High,
    }
}
