//! Storage of retained messages in memory. rmqtt's own keeps nothing unless it is called through this.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rmqtt::Result;
use rmqtt::retain::{DefaultRetainStorage, RetainStorage};
use rmqtt::types::{Retain, TopicFilter, TopicName};
use tokio::sync::Mutex;

use crate::limits::{EMBEDDED_RETAINED_BYTES, EMBEDDED_RETAINED_MESSAGES};

/// rmqtt's tree of retained messages, with bounds.
#[derive(Default)]
pub(super) struct MemoryRetainStorage {
    tree: DefaultRetainStorage,
    /// Payload bytes in the tree; locked while it changes.
    bytes: Mutex<usize>,
}

#[async_trait]
impl RetainStorage for MemoryRetainStorage {
    fn enable(&self) -> bool {
        true
    }

    fn need_sync(&self) -> bool {
        false
    }

    async fn set(&self, topic: &TopicName, mut retain: Retain, _expiry_interval: Option<Duration>) -> Result<()> {
        let mut bytes = self.bytes.lock().await;
        let old: Option<usize> =
            self.tree.get_message(topic).await?.first().map(|(_, retain)| retain.publish.payload.len());
        let new_bytes = bytes.saturating_sub(old.unwrap_or(0)).saturating_add(retain.publish.payload.len());
        let full = new_bytes > EMBEDDED_RETAINED_BYTES
            || (old.is_none() && self.tree.count().await.unsigned_abs() >= EMBEDDED_RETAINED_MESSAGES);
        if full && !retain.publish.payload.is_empty() {
            tracing::warn!(target: "mqtt", "too much is retained: a message was delivered but not retained");
            return Ok(());
        }
        *bytes = new_bytes;
        // Both are slices of the buffer that the packet was read into, and would keep all of it: 8 KB for 200 bytes.
        retain.publish.payload = Bytes::copy_from_slice(&retain.publish.payload);
        retain.publish.topic = TopicName::from(topic.to_string());
        // Retained messages do not expire: an MQTT 3.1.1 publisher has no way to ask for it.
        self.tree.set_with_timeout(topic, retain, None).await
    }

    async fn get(&self, topic_filter: &TopicFilter) -> Result<Vec<(TopicName, Retain)>> {
        self.tree.get_message(topic_filter).await
    }

    async fn count(&self) -> isize {
        self.tree.count().await
    }

    async fn max(&self) -> isize {
        self.tree.max().await
    }
}
