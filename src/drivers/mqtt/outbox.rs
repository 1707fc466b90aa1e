//! Publishes that wait for room in the window, by priority.

use std::collections::VecDeque;

use super::event::{Priority, Publish, PublishError};
use crate::limits::{MAX_OUTBOX_BYTES, MAX_OUTBOX_MESSAGES};

/// Bounded queues, one a priority; each has caps of its own, so waiting bulk never makes a live edit refused.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lanes: [Lane; Priority::ALL.len()],
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Publish>,
    bytes: usize,
}

impl Outbox {
    /// Puts a publish at the end of its lane, or refuses it with [`PublishError::QueueFull`].
    pub(super) fn push(&mut self, publish: Publish) -> Result<(), PublishError> {
        let lane = &mut self.lanes[publish.priority as usize];
        let messages = lane.waiting.len();
        let bytes = lane.bytes.saturating_add(publish.payload.len());
        if messages >= MAX_OUTBOX_MESSAGES || (bytes > MAX_OUTBOX_BYTES && messages > 0) {
            return Err(PublishError::QueueFull { messages, bytes: lane.bytes });
        }
        lane.bytes = bytes;
        lane.waiting.push_back(publish);
        Ok(())
    }

    /// Takes the oldest publish of the most urgent priority that waits, if `fits` says that there is room for it. If not,
    /// nothing less urgent leaves either.
    pub(super) fn pop_if(&mut self, fits: impl FnOnce(&Publish) -> bool) -> Option<Publish> {
        let lane = self.lanes.iter_mut().find(|lane| !lane.waiting.is_empty())?;
        if !lane.waiting.front().is_some_and(fits) {
            return None;
        }
        let publish = lane.waiting.pop_front()?;
        lane.bytes -= publish.payload.len();
        Some(publish)
    }

    /// Whether something waits that a publish of this priority must not overtake.
    pub(super) fn waits_before(&self, priority: Priority) -> bool {
        self.lanes[..=priority as usize].iter().any(|lane| !lane.waiting.is_empty())
    }

    /// How many publishes wait.
    pub(super) fn messages(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }

    /// Their payload bytes.
    pub(super) fn bytes(&self) -> usize {
        self.lanes.iter().map(|lane| lane.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{PublishId, Qos};
    use super::*;

    fn publish(id: u64, priority: Priority, bytes: usize) -> Publish {
        Publish {
            id: Some(PublishId(id)),
            topic: "t".into(),
            payload: vec![0; bytes],
            qos: Qos::AtLeastOnce,
            retain: false,
            priority,
        }
    }

    fn drain(outbox: &mut Outbox) -> Vec<u64> {
        std::iter::from_fn(|| outbox.pop_if(|_| true)).filter_map(|publish| publish.id).map(|id| id.0).collect()
    }

    #[test]
    fn the_most_urgent_leaves_first_and_equal_ones_in_order() {
        let mut outbox = Outbox::default();
        for (id, priority) in [
            (1, Priority::Low),
            (2, Priority::High),
            (3, Priority::Medium),
            (4, Priority::Critical),
            (5, Priority::High),
            (6, Priority::Low),
        ] {
            outbox.push(publish(id, priority, 10)).unwrap();
        }
        assert_eq!((outbox.messages(), outbox.bytes()), (6, 60));
        assert_eq!(drain(&mut outbox), [4, 2, 5, 3, 1, 6]);
        assert_eq!((outbox.messages(), outbox.bytes()), (0, 0));
    }

    #[test]
    fn nothing_overtakes_what_is_as_urgent() {
        let mut outbox = Outbox::default();
        outbox.push(publish(1, Priority::High, 1)).unwrap();
        assert!(!outbox.waits_before(Priority::Critical));
        assert!(outbox.waits_before(Priority::High));
        assert!(outbox.waits_before(Priority::Low));
        assert_eq!(outbox.pop_if(|_| false), None);
        assert_eq!(outbox.messages(), 1);
    }

    #[test]
    fn the_caps_hold_for_each_priority_alone() {
        let mut outbox = Outbox::default();
        for id in 0..MAX_OUTBOX_MESSAGES as u64 {
            outbox.push(publish(id, Priority::Low, 1)).unwrap();
        }
        let full = PublishError::QueueFull { messages: MAX_OUTBOX_MESSAGES, bytes: MAX_OUTBOX_MESSAGES };
        assert_eq!(outbox.push(publish(0, Priority::Low, 1)), Err(full));
        outbox.push(publish(0, Priority::High, MAX_OUTBOX_BYTES)).unwrap();
        let full = PublishError::QueueFull { messages: 1, bytes: MAX_OUTBOX_BYTES };
        assert_eq!(outbox.push(publish(0, Priority::High, 1)), Err(full));
        outbox.push(publish(0, Priority::Critical, 1)).unwrap();
    }
}
