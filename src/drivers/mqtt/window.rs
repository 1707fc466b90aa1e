//! What was handed to the MQTT client and is not answered yet.
//!
//! The client gives a packet id to a request only when it puts it on the socket, and reports it then. Requests leave in
//! the order in which they were handed over, so a queue of what was handed over says whose id it is.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::event::{Priority, Publish, PublishId, Qos};
use crate::limits::{MAX_CONTROL_IN_FLIGHT, MAX_IN_FLIGHT_BULK_BYTES, MAX_IN_FLIGHT_LIVE_BYTES};

/// Requests without an answer, with room for publishes of two classes (see [`Priority`]) and for control packets.
#[derive(Debug)]
pub(super) struct Window {
    /// Most publishes of each class.
    max_messages: usize,
    /// Handed to the client, not on the socket yet.
    handed: VecDeque<Handed>,
    /// On the socket, by packet id.
    publishes: BTreeMap<u16, InFlight>,
    subscribes: BTreeMap<u16, Subscribe>,
    unsubscribes: BTreeMap<u16, Instant>,
    /// SUBSCRIBE and UNSUBSCRIBE packets among all these.
    control: usize,
    classes: [Usage; 2],
}

#[derive(Debug)]
enum Handed {
    Publish(InFlight),
    Subscribe(Subscribe),
    Unsubscribe(Instant),
}

impl Handed {
    fn since(&self) -> Instant {
        match self {
            Self::Publish(InFlight { since, .. })
            | Self::Subscribe(Subscribe { since, .. })
            | Self::Unsubscribe(since) => *since,
        }
    }
}

#[derive(Debug)]
struct InFlight {
    id: Option<PublishId>,
    class: Class,
    bytes: usize,
    qos: Qos,
    since: Instant,
}

#[derive(Debug)]
struct Subscribe {
    filters: Vec<String>,
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Class {
    Live,
    Bulk,
}

impl From<Priority> for Class {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Critical | Priority::High => Self::Live,
            Priority::Medium | Priority::Low => Self::Bulk,
        }
    }
}

#[derive(Debug, Default)]
struct Usage {
    messages: usize,
    bytes: usize,
}

/// A publish that is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// The caller's name for it.
    pub(super) id: Option<PublishId>,
    /// When it was handed to the client.
    pub(super) since: Instant,
}

/// A publish that is on the socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Its payload bytes.
    pub(super) bytes: usize,
    /// Given at QoS 0, which is done by being sent.
    pub(super) done: Option<Done>,
}

/// The client or the broker named a request that does not exist: the two are out of step, and only a new connection
/// brings them together again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfStep;

impl Window {
    /// An empty window for so many publishes of each class.
    pub(super) fn new(max_messages: u16) -> Self {
        Self {
            max_messages: usize::from(max_messages),
            handed: VecDeque::new(),
            publishes: BTreeMap::new(),
            subscribes: BTreeMap::new(),
            unsubscribes: BTreeMap::new(),
            control: 0,
            classes: Default::default(),
        }
    }

    /// Whether there is room for this publish. One alone in its class always fits.
    pub(super) fn fits(&self, publish: &Publish) -> bool {
        let class = Class::from(publish.priority);
        let usage = &self.classes[class as usize];
        let max_bytes = match class {
            Class::Live => MAX_IN_FLIGHT_LIVE_BYTES,
            Class::Bulk => MAX_IN_FLIGHT_BULK_BYTES,
        };
        usage.messages == 0
            || (usage.messages < self.max_messages && usage.bytes.saturating_add(publish.payload.len()) <= max_bytes)
    }

    /// Whether there is room for a control packet.
    pub(super) fn fits_control(&self) -> bool {
        self.control < MAX_CONTROL_IN_FLIGHT
    }

    /// A publish was handed to the client.
    pub(super) fn handed_publish(&mut self, publish: &Publish, now: Instant) {
        let (class, bytes) = (Class::from(publish.priority), publish.payload.len());
        let usage = &mut self.classes[class as usize];
        usage.messages += 1;
        usage.bytes += bytes;
        self.handed.push_back(Handed::Publish(InFlight { id: publish.id, class, bytes, qos: publish.qos, since: now }));
    }

    /// A SUBSCRIBE with these filters was handed to the client.
    pub(super) fn handed_subscribe(&mut self, filters: Vec<String>, now: Instant) {
        self.control += 1;
        self.handed.push_back(Handed::Subscribe(Subscribe { filters, since: now }));
    }

    /// An UNSUBSCRIBE was handed to the client.
    pub(super) fn handed_unsubscribe(&mut self, now: Instant) {
        self.control += 1;
        self.handed.push_back(Handed::Unsubscribe(now));
    }

    /// The client put a publish on the socket, with packet id 0 for QoS 0, which is done by that.
    pub(super) fn sent_publish(&mut self, packet_id: u16) -> Result<Sent, OutOfStep> {
        let Some(Handed::Publish(publish)) = self.handed.pop_front() else {
            return Err(OutOfStep);
        };
        let bytes = publish.bytes;
        match (publish.qos, packet_id) {
            (Qos::AtMostOnce, 0) => Ok(Sent { bytes, done: Some(self.done(&publish)) }),
            (Qos::AtLeastOnce, 1..) if !self.publishes.contains_key(&packet_id) => {
                self.publishes.insert(packet_id, publish);
                Ok(Sent { bytes, done: None })
            }
            _ => Err(OutOfStep),
        }
    }

    /// The client put a SUBSCRIBE on the socket.
    pub(super) fn sent_subscribe(&mut self, packet_id: u16) -> Result<(), OutOfStep> {
        let Some(Handed::Subscribe(subscribe)) = self.handed.pop_front() else {
            return Err(OutOfStep);
        };
        self.subscribes.insert(packet_id, subscribe).map_or(Ok(()), |_| Err(OutOfStep))
    }

    /// The client put an UNSUBSCRIBE on the socket.
    pub(super) fn sent_unsubscribe(&mut self, packet_id: u16) -> Result<(), OutOfStep> {
        let Some(Handed::Unsubscribe(since)) = self.handed.pop_front() else {
            return Err(OutOfStep);
        };
        self.unsubscribes.insert(packet_id, since).map_or(Ok(()), |_| Err(OutOfStep))
    }

    /// A PUBACK arrived.
    pub(super) fn acknowledged_publish(&mut self, packet_id: u16) -> Result<Done, OutOfStep> {
        let publish = self.publishes.remove(&packet_id).ok_or(OutOfStep)?;
        Ok(self.done(&publish))
    }

    /// A SUBACK arrived: the filters it is about, in the order of its codes.
    pub(super) fn acknowledged_subscribe(&mut self, packet_id: u16) -> Result<Vec<String>, OutOfStep> {
        let subscribe = self.subscribes.remove(&packet_id).ok_or(OutOfStep)?;
        self.control -= 1;
        Ok(subscribe.filters)
    }

    /// An UNSUBACK arrived.
    pub(super) fn acknowledged_unsubscribe(&mut self, packet_id: u16) -> Result<(), OutOfStep> {
        self.unsubscribes.remove(&packet_id).ok_or(OutOfStep)?;
        self.control -= 1;
        Ok(())
    }

    fn done(&mut self, publish: &InFlight) -> Done {
        let usage = &mut self.classes[publish.class as usize];
        usage.messages -= 1;
        usage.bytes -= publish.bytes;
        Done { id: publish.id, since: publish.since }
    }

    /// How many publishes have no answer.
    pub(super) fn messages(&self) -> usize {
        self.classes.iter().map(|usage| usage.messages).sum()
    }

    /// Their payload bytes.
    pub(super) fn bytes(&self) -> usize {
        self.classes.iter().map(|usage| usage.bytes).sum()
    }

    /// Since when the oldest publish on the socket has been waiting for its PUBACK.
    pub(super) fn oldest_publish(&self) -> Option<Instant> {
        self.publishes.values().map(|publish| publish.since).min()
    }

    /// Since when the oldest request of any kind has been waiting.
    pub(super) fn oldest_request(&self) -> Option<Instant> {
        let handed = self.handed.front().map(Handed::since);
        let subscribe = self.subscribes.values().map(|subscribe| subscribe.since).min();
        let unsubscribe = self.unsubscribes.values().copied().min();
        [handed, self.oldest_publish(), subscribe, unsubscribe].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(id: u64, priority: Priority, qos: Qos, bytes: usize) -> Publish {
        Publish { id: Some(PublishId(id)), topic: "t".into(), payload: vec![0; bytes], qos, retain: false, priority }
    }

    fn id(done: &Done) -> u64 {
        done.id.unwrap().0
    }

    #[test]
    fn acknowledgements_find_their_publish_in_any_order() {
        let mut window = Window::new(10);
        let now = Instant::now();
        for (n, qos) in [(1, Qos::AtLeastOnce), (2, Qos::AtMostOnce), (3, Qos::AtLeastOnce)] {
            window.handed_publish(&publish(n, Priority::High, qos, 5), now);
        }
        assert_eq!(window.sent_publish(7), Ok(Sent { bytes: 5, done: None }));
        assert_eq!(id(&window.sent_publish(0).unwrap().done.unwrap()), 2);
        assert_eq!(window.sent_publish(8), Ok(Sent { bytes: 5, done: None }));
        assert_eq!((window.messages(), window.bytes()), (2, 10));
        assert_eq!(id(&window.acknowledged_publish(8).unwrap()), 3);
        assert_eq!(id(&window.acknowledged_publish(7).unwrap()), 1);
        assert_eq!((window.messages(), window.bytes(), window.oldest_request()), (0, 0, None));
    }

    #[test]
    fn an_answer_to_nothing_is_out_of_step() {
        let mut window = Window::new(10);
        let now = Instant::now();
        assert_eq!(window.acknowledged_publish(1), Err(OutOfStep));
        assert_eq!(window.acknowledged_subscribe(1), Err(OutOfStep));
        assert_eq!(window.acknowledged_unsubscribe(1), Err(OutOfStep));
        assert_eq!(window.sent_publish(1), Err(OutOfStep));
        window.handed_subscribe(vec!["a".into()], now);
        assert_eq!(window.sent_publish(1), Err(OutOfStep));
        window.handed_publish(&publish(1, Priority::Low, Qos::AtLeastOnce, 0), now);
        assert_eq!(window.sent_publish(0), Err(OutOfStep));
    }

    #[test]
    fn bulk_leaves_room_for_live_publishes() {
        let mut window = Window::new(2);
        let now = Instant::now();
        let bulk = publish(1, Priority::Low, Qos::AtLeastOnce, 1);
        let live = publish(2, Priority::High, Qos::AtLeastOnce, 1);
        window.handed_publish(&bulk, now);
        window.handed_publish(&bulk, now);
        assert!(!window.fits(&bulk));
        assert!(window.fits(&live));
    }

    #[test]
    fn a_large_publish_fits_alone_only() {
        let mut window = Window::new(100);
        let large = publish(1, Priority::Low, Qos::AtLeastOnce, MAX_IN_FLIGHT_BULK_BYTES + 1);
        assert!(window.fits(&large));
        window.handed_publish(&large, Instant::now());
        assert!(!window.fits(&publish(2, Priority::Medium, Qos::AtLeastOnce, 1)));
    }

    #[test]
    fn control_packets_have_their_own_limit_and_give_their_filters_back() {
        let mut window = Window::new(1);
        let now = Instant::now();
        for _ in 1..MAX_CONTROL_IN_FLIGHT {
            window.handed_unsubscribe(now);
        }
        assert!(window.fits_control());
        window.handed_subscribe(vec!["a".into(), "b".into()], now);
        assert!(!window.fits_control());
        for packet_id in 1..u16::try_from(MAX_CONTROL_IN_FLIGHT).unwrap() {
            window.sent_unsubscribe(packet_id).unwrap();
        }
        window.sent_subscribe(100).unwrap();
        assert_eq!(window.acknowledged_subscribe(100).unwrap(), ["a", "b"]);
        assert!(window.fits_control());
        assert_eq!(window.oldest_request(), Some(now));
    }
}
