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
                let request = filters
                    .iter()
                    .map(|(path, qos)| SubscribeFilter::new(path.clone(), (*qos).into()));
                let _ = self.client.try_subscribe_many(request);
                self.window
                    .handed_subscribe(filters.into_iter().map(|(filter, _)| filter).collect(), now);
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
        let event = |(index, filter)| match granted(index) {
            true => ConnectionEvent::Subscribed { filter },
            false => ConnectionEvent::SubscribeRejected { filter },
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
    filter.len() <= usize::from(u16::MAX) && !filter.contains('\0') && valid_filter(filter)
}
