//! What a broker keeps for those who come later, read as anyone could.

use std::collections::{BTreeMap, BTreeSet};

use mqtt_p2p::ids::{DocumentId, PeerId};
use mqtt_p2p::wire::{Body, Content, Manifest, Topic, TopicSpace, open};

use super::world::World;

/// What the broker keeps: manifests by document and writer, and the parts of each document.
#[derive(Debug, Default)]
pub struct Kept {
    pub manifests: BTreeMap<(DocumentId, PeerId), Manifest>,
    pub parts: BTreeSet<(DocumentId, [u8; 32])>,
}

/// Reads what the broker keeps as anyone could, and checks that each message is whole.
pub fn kept(world: &mut World, max_message_bytes: usize) -> Kept {
    let topics = TopicSpace::new("mind-git").unwrap();
    let mut kept = Kept::default();
    for (name, message) in world.broker().retained() {
        assert!(message.payload.len() <= max_message_bytes);
        let topic = topics.parse(name).unwrap();
        let Content::Whole(body) = open(&topic, &message.payload).unwrap().content else { panic!("{name} is cut") };
        match (topic, body) {
            (Topic::Manifest { document, writer }, Body::Manifest(manifest)) => {
                kept.manifests.insert((document, writer), manifest);
            }
            (Topic::SnapshotPart { document, digest }, Body::SnapshotPart(_)) => {
                kept.parts.insert((document, digest));
            }
            (Topic::Presence { .. }, _) => {}
            (topic, _) => panic!("{topic:?} is kept"),
        }
    }
    kept
}

impl Kept {
    pub fn writers(&self, id: &DocumentId) -> Vec<PeerId> {
        self.manifests.keys().filter(|(document, _)| document == id).map(|(_, writer)| *writer).collect()
    }

    /// Every part is named by a manifest, and every part that one names is there.
    pub fn assert_tight(&self) {
        let named = |((id, _), manifest): (&(DocumentId, PeerId), &Manifest)| {
            manifest.parts.iter().map(|digest| (id.clone(), *digest)).collect::<Vec<_>>()
        };
        let named: BTreeSet<_> = self.manifests.iter().flat_map(named).collect();
        assert_eq!(named, self.parts);
    }
}
