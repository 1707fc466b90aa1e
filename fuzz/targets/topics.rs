//! Topics as they come from a broker, and names as they come from people.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, RepositoryName};
use mqtt_p2p::wire::{Topic, TopicSpace};

fuzz_target!(|text: &str| {
    let space = TopicSpace::new("mind-git").expect("a prefix");
    if let Some(topic) = space.parse(text) {
        assert_eq!(space.format(&topic), text, "one spelling each");
    }
    let below = format!("mind-git/v1/{text}");
    if let Some(topic) = space.parse(&below) {
        assert_eq!(space.format(&topic), below, "one spelling each");
    }
    let (left, right) = text.split_once('\n').unwrap_or((text, "c"));
    let (Ok(repository), Ok(canvas)) = (RepositoryName::new(left), CanvasId::new(right)) else { return };
    let topic = Topic::Changes(DocumentId::Canvas { repository, canvas, generation: Generation(7) });
    let name = space.format(&topic);
    assert!(!name.contains(['+', '#', '\0', '$', '.', ' ']), "{name}: a name leaked into the topic");
    assert_eq!(name.matches('/').count(), 6, "{name}: a name made levels");
    assert_eq!(space.parse(&name), Some(topic));
});
