//! Storage of retained messages in memory. rmqtt's own keeps nothing unless it is called through this.

use std::time::Duration;

use async_trait::async_trait;
use rmqtt::Result;
use rmqtt::retain::{DefaultRetainStorage, RetainStorage};
use rmqtt::types::{Retain, TopicFilter, TopicName};

use crate::limits::EMBEDDED_RETAINED_MESSAGES;

/// rmqtt's tree of retained messages, with a bound.
#[derive(Default)]
pub(super) struct MemoryRetainStorage {
    tree: DefaultRetainStorage,
}

#[async_trait]
impl RetainStorage for MemoryRetainStorage {
    fn enable(&self) -> bool {
        true
    }

    fn need_sync(&self) -> bool {
        false
    }

    async fn set(&self, topic: &TopicName, retain: Retain, _expiry_interval: Option<Duration>) -> Result<()> {
        let full = self.tree.count().await >= isize::try_from(EMBEDDED_RETAINED_MESSAGES).unwrap_or(isize::MAX);
        if full && !retain.publish.payload.is_empty() && self.tree.get_message(topic).await?.is_empty() {
            tracing::warn!(target: "mqtt", "too many retained messages: one was delivered but not retained");
            return Ok(());
        }
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
