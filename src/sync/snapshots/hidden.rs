//! Which manifest a topic with hidden names is of.

use std::collections::BTreeMap;

use crate::limits::MAX_MANIFESTS;
use crate::wire::{Topic, TopicSpace};

/// The topics of manifests that were heard in an encrypted repository: once one is emptied, nothing but its topic's text
/// says which it was. At [`MAX_MANIFESTS`] all are forgotten; what is emptied then is found missing after a reconnect.
#[derive(Debug, Default)]
pub(in crate::sync) struct HiddenManifests(BTreeMap<String, Topic>);

impl HiddenManifests {
    /// Notes the topic of a manifest, unless its text says it all.
    pub(in crate::sync) fn note(&mut self, topics: &TopicSpace, text: &str, topic: &Topic) {
        if !topics.is_encrypted() || self.0.contains_key(text) {
            return;
        }
        if self.0.len() >= MAX_MANIFESTS {
            self.0.clear();
        }
        self.0.insert(text.to_owned(), topic.clone());
    }

    pub(in crate::sync) fn get(&self, text: &str) -> Option<Topic> {
        self.0.get(text).cloned()
    }
}
