//! One connection while it lasts: what waits, what is in flight, and the MQTT client that carries it.

use std::collections::VecDeque;
use std::time::Instant;

use rumqttc::{AsyncClient, SubAck, SubscribeFilter, SubscribeReasonCode, valid_filter};

use super::event::{ConnectionEvent, Publish, PublishError, Qos};
use super::outbox::Outbox;
use super::window::{Done, OutOfStep, Window};
use crate::limits::{MAX_CONTROL_QUEUED, MAX_FILTERS_PER_SUBSCRIBE};

/// Dropped with its connection, and everything unacknowledged with it.
#[derive(Debug)]
pub(super) struct Link {
    client: AsyncClient,
    window: Window,
    outbox: Outbox,
    /// Control packets that wait for room in the window.
    control: VecDeque<Control>,
    /// Filters that were refused without asking the broker, to be reported by the task.
    refused: Vec<String>,
    /// Whether a publish was made since everything was last acknowledged.
    busy: bool,
}

#[derive(Debug)]
enum Control {
    Subscribe(Vec<(String, Qos)>),
    Unsubscribe(String),
}

impl Link {
    /// A new connection, with room for so many unacknowledged publishes of each class.
    pub(super) fn new(client: AsyncClient, max_messages: u16) -> Self {
        Self {
            client,
            window: Window::new(max_messages),
            outbox: Outbox::default(),
            control: VecDeque::new(),
            refused: Vec::new(),
            busy: false,
        }
    }

    /// Sends at once if there is room and nothing as urgent waits, else queues.
    pub(super) fn publish(&mut self, publish: Publish, now: Instant) -> Result<(), PublishError> {
        if self.window.fits(&publish) && !self.outbox.waits_before(publish.priority) {
            self.send(publish, now)?;
        } else {
            self.outbox.push(publish)?;
        }
        self.busy = true;
        Ok(())
    }

    fn send(&mut self, publish: Publish, now: Instant) -> Result<(), PublishError> {
        // The channel has room for a full window, so this fails only when the event loop is gone.
        self.window.handed_publish(&publish, now);
        self.client
            .try_publish(publish.topic, publish.qos.into(), publish.retain, publish.payload)
            .map_err(|_| PublishError::NotConnected)
    }

    /// Asks for subscriptions. `true` if some were refused, see [`Link::refused`].
    pub(super) fn subscribe(&mut self, filters: Vec<(String, Qos)>, now: Instant) -> bool {
        let (valid, invalid): (Vec<_>, Vec<_>) = filters.into_iter().partition(|(filter, _)| acceptable(filter));
        self.refused.extend(invalid.into_iter().map(|(filter, _)| filter));
        for chunk in valid.chunks(MAX_FILTERS_PER_SUBSCRIBE) {
            if self.control.len() < MAX_CONTROL_QUEUED {
                self.control.push_back(Control::Subscribe(chunk.to_vec()));
            } else {
                self.refused.extend(chunk.iter().map(|(filter, _)| filter.clone()));
            }
        }
        self.pump(now);
        !self.refused.is_empty()
    }

    /// Ends subscriptions.
    pub(super) fn unsubscribe(&mut self, filters: Vec<String>, now: Instant) {
        let room = MAX_CONTROL_QUEUED.saturating_sub(self.control.len());
        let valid = filters.into_iter().filter(|filter| acceptable(filter));
        self.control.extend(valid.take(room).map(Control::Unsubscribe));
        self.pump(now);
    }

    /// Hands over what has room now: control packets, then publishes by priority.
    pub(super) fn pump(&mut self, now: Instant) {
        while self.window.fits_control() {
            let Some(control) = self.control.pop_front() else { break };
            self.send_control(control, now);
        }
        while let Some(publish) = self.outbox.pop_if(|publish| self.window.fits(publish)) {
            if self.send(publish, now).is_err() {
                break; // The event loop is gone, and its task is about to drop this link.
            }
        }
    }

    fn send_control(&mut self, control: Control, now: Instant) {
        // As in `send`: there is room unless the event loop is gone.
        match control {
            Control::Subscribe(filters) => {
                let request = filters.iter().map(|(path, qos)| SubscribeFilter::new(path.clone(), (*qos).into()));
                let _ = self.client.try_subscribe_many(request);
                self.window.handed_subscribe(filters.into_iter().map(|(filter, _)| filter).collect(), now);
            }
            Control::Unsubscribe(filter) => {
                let _ = self.client.try_unsubscribe(filter);
                self.window.handed_unsubscribe(now);
            }
        }
    }

    /// Sends DISCONNECT, after what was handed over.
    pub(super) fn disconnect(&self) {
        let _ = self.client.try_disconnect();
    }

    /// What was handed over and is not answered.
    pub(super) fn window(&mut self) -> &mut Window {
        &mut self.window
    }

    /// What a SUBACK means for the caller. A filter without a code of its own counts as rejected.
    pub(super) fn acknowledged_subscribe(&mut self, ack: &SubAck) -> Result<Vec<ConnectionEvent>, OutOfStep> {
        let filters = self.window.acknowledged_subscribe(ack.pkid)?;
        let granted = |index| matches!(ack.return_codes.get(index), Some(SubscribeReasonCode::Success(_)));
        let event = |(index, filter)| {
            if granted(index) {
                ConnectionEvent::Subscribed { filter }
            } else {
                ConnectionEvent::SubscribeRejected { filter }
            }
        };
        Ok(filters.into_iter().enumerate().map(event).collect())
    }

    /// A PUBACK arrived.
    pub(super) fn acknowledged_publish(&mut self, packet_id: u16) -> Result<Done, OutOfStep> {
        self.window.acknowledged_publish(packet_id)
    }

    /// Filters refused without asking the broker; each is given once.
    pub(super) fn refused(&mut self) -> Vec<String> {
        std::mem::take(&mut self.refused)
    }

    /// Whether nothing waits and no publish is unacknowledged.
    pub(super) fn idle(&self) -> bool {
        self.window.messages() == 0 && self.outbox.messages() == 0 && self.control.is_empty()
    }

    /// Whether everything published has been acknowledged since this was last `true`.
    pub(super) fn drained(&mut self) -> bool {
        self.idle() && std::mem::take(&mut self.busy)
    }

    /// Publishes that wait, and their bytes.
    pub(super) fn queued(&self) -> (usize, usize) {
        (self.outbox.messages(), self.outbox.bytes())
    }

    /// Publishes in flight, and their bytes.
    pub(super) fn in_flight(&self) -> (usize, usize) {
        (self.window.messages(), self.window.bytes())
    }
}

/// Whether a filter may be put into a packet (MQTT 3.1.1, section 4.7).
fn acceptable(filter: &str) -> bool {
    u16::try_from(filter.len()).is_ok() && !filter.contains('\0') && valid_filter(filter)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;
    use rumqttc::{QoS, Request};

    use super::super::event::{Priority, PublishId};
    use super::*;
    use crate::limits::MAX_CONTROL_IN_FLIGHT;

    const WINDOW: u16 = 4;

    #[derive(Debug, Clone)]
    enum Step {
        Publish(Priority, Qos, usize),
        Subscribe(usize),
        Unsubscribe,
        /// The client puts the next request on the socket.
        Send,
        /// The broker answers the n-th request that has no answer.
        Answer(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let priority = prop::sample::select(Priority::ALL.to_vec());
        let qos = prop::sample::select(vec![Qos::AtMostOnce, Qos::AtLeastOnce]);
        prop_oneof![
            4 => (priority, qos, prop::sample::select(vec![0, 1, 100, 200_000, 2_000_000]))
                .prop_map(|(priority, qos, bytes)| Step::Publish(priority, qos, bytes)),
            1 => (1..20_usize).prop_map(Step::Subscribe),
            1 => Just(Step::Unsubscribe),
            4 => Just(Step::Send),
            4 => (0..8_usize).prop_map(Step::Answer),
        ]
    }

    /// The client and the broker, as the link sees them.
    struct World {
        link: Link,
        channel: flume::Receiver<Request>,
        unanswered: VecDeque<(u16, Request)>,
        packet_id: u16,
        now: Instant,
        sent: Vec<Vec<u8>>,
        done: Vec<u64>,
        answered_filters: usize,
    }

    impl World {
        fn new() -> Self {
            let (sender, channel) = flume::bounded(2 * usize::from(WINDOW) + MAX_CONTROL_IN_FLIGHT + 1);
            Self {
                link: Link::new(AsyncClient::from_senders(sender), WINDOW),
                channel,
                unanswered: VecDeque::new(),
                packet_id: 0,
                now: Instant::now(),
                sent: Vec::new(),
                done: Vec::new(),
                answered_filters: 0,
            }
        }

        fn send(&mut self) -> bool {
            let Ok(request) = self.channel.try_recv() else {
                return false;
            };
            self.packet_id = self.packet_id.wrapping_add(1).max(1);
            match &request {
                Request::Publish(publish) => {
                    self.sent.push(publish.payload[..9.min(publish.payload.len())].to_vec());
                    let packet_id = if publish.qos == QoS::AtMostOnce { 0 } else { self.packet_id };
                    let sent = self.link.window().sent_publish(packet_id).unwrap();
                    if let Some(done) = sent.done {
                        self.done.push(done.id.unwrap().0);
                        self.link.pump(self.now);
                        return true;
                    }
                }
                Request::Subscribe(_) => self.link.window().sent_subscribe(self.packet_id).unwrap(),
                Request::Unsubscribe(_) => self.link.window().sent_unsubscribe(self.packet_id).unwrap(),
                other => panic!("{other:?}"),
            }
            self.unanswered.push_back((self.packet_id, request));
            true
        }

        fn answer(&mut self, index: usize) -> bool {
            let index = index.min(self.unanswered.len().saturating_sub(1));
            let Some((pkid, request)) = self.unanswered.remove(index) else {
                return false;
            };
            match request {
                Request::Publish(_) => self.done.push(self.link.acknowledged_publish(pkid).unwrap().id.unwrap().0),
                Request::Subscribe(_) => {
                    let ack = SubAck { pkid, return_codes: Vec::new() };
                    self.answered_filters += self.link.acknowledged_subscribe(&ack).unwrap().len();
                }
                _ => self.link.window().acknowledged_unsubscribe(pkid).unwrap(),
            }
            self.link.pump(self.now);
            true
        }
    }

    proptest! {
        #[test]
        fn everything_taken_leaves_once_in_order_of_its_priority_and_is_answered_once(
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let mut world = World::new();
            let (mut publishes, mut filters) = (0, 0);
            for step in steps {
                match step {
                    Step::Publish(priority, qos, bytes) => {
                        let mut payload = vec![priority as u8];
                        payload.extend(u64::to_be_bytes(publishes));
                        payload.resize(9 + bytes, 0);
                        let publish = Publish {
                            id: Some(PublishId(publishes)), topic: "t".into(), payload, qos, retain: false, priority,
                        };
                        world.link.publish(publish, world.now).unwrap();
                        publishes += 1;
                    }
                    Step::Subscribe(count) => {
                        filters += count;
                        world.link.subscribe(vec![("f".into(), Qos::AtLeastOnce); count], world.now);
                    }
                    Step::Unsubscribe => world.link.unsubscribe(vec!["f".into()], world.now),
                    Step::Send => { world.send(); }
                    Step::Answer(index) => { world.answer(index); }
                }
                prop_assert!(world.link.in_flight().0 <= 2 * usize::from(WINDOW));
            }
            while world.send() || world.answer(0) {}

            prop_assert!(world.link.idle());
            prop_assert_eq!((world.link.in_flight(), world.link.queued()), ((0, 0), (0, 0)));
            prop_assert_eq!(world.link.window().oldest_request(), None);
            prop_assert_eq!(world.answered_filters, filters);
            world.done.sort_unstable();
            prop_assert_eq!(world.done, (0..publishes).collect::<Vec<_>>());
            // Stable, so it keeps the order in which publishes of one priority left.
            let sent = world.sent.clone();
            world.sent.sort();
            let mut by_priority = sent;
            by_priority.sort_by_key(|payload| payload[0]);
            prop_assert_eq!(by_priority, world.sent);
        }
    }
}
