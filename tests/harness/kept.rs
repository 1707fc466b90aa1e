//! What a broker keeps for those who come later, read as anyone could who has the key, if there is one.

use std::collections::{BTreeMap, BTreeSet};

use automerge::Automerge;
use mqtt_p2p::ids::{DocumentId, Heads, PeerId};
use mqtt_p2p::limits::MAX_INBOUND_PACKET_BYTES;
use mqtt_p2p::wire::{Arrival, Body, Content, Header, Manifest, Topic, TopicSpace, WireError, read};

use super::world::World;

/// What the broker keeps: manifests by document and writer, and the parts of each document.
#[derive(Debug, Default)]
pub struct Kept {
    pub manifests: BTreeMap<(DocumentId, PeerId), Manifest>,
    pub parts: BTreeSet<(DocumentId, [u8; 32])>,
}

/// Reads what the broker keeps, and checks that each message is whole.
pub fn kept(world: &mut World, max_message_bytes: usize) -> Kept {
    // Shared canvases have keys of their own, which the nodes that hold them know.
    let nodes = world.nodes.iter().map(|node| node.synchronizer.topics().clone());
    let spaces: Vec<TopicSpace> = [world.topics.clone()].into_iter().chain(nodes).collect();
    let mut kept = Kept::default();
    let encrypted = world.topics.is_encrypted();
    for (name, message) in world.broker().retained() {
        assert!(message.payload.len() <= max_message_bytes);
        let own = |_: &Header| false;
        let mut readings = spaces.iter().map(|topics| read(topics, name, &message.payload, own));
        let arrival = match readings.find(|reading| !matches!(reading, Err(WireError::UnknownTopic))) {
            // Two have shared a canvas at the same time, and this is of the key that nobody follows.
            None if encrypted => continue,
            reading => reading.expect("somebody can read it"),
        };
        let arrival = match arrival {
            // It is of a canvas that was shared since then.
            Err(WireError::Malformed { what: "sealed topic" }) => continue,
            arrival => arrival.unwrap(),
        };
        let Arrival::Message(topic, opened) = arrival else { panic!("{name} is nobody's own") };
        let Content::Whole(body) = opened.content else { panic!("{name} is cut") };
        match (topic, body) {
            (Topic::Manifest { document, writer }, Body::Manifest(manifest)) => {
                kept.manifests.insert((document, writer), manifest);
            }
            (Topic::SnapshotPart { document, digest }, Body::SnapshotPart(_)) => {
                kept.parts.insert((document, digest));
            }
            (Topic::Presence { .. } | Topic::Epoch(_), _) => {}
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

/// Checks that whatever the peers of a repository hold, once it has come to rest, is on the broker for those who come when
/// they are gone.
///
/// # Errors
/// What is not.
pub fn check(world: &mut World) -> Result<(), String> {
    let kept = kept(world, MAX_INBOUND_PACKET_BYTES);
    for (number, node) in world.nodes.iter().enumerate() {
        for id in node.synchronizer.document_ids().into_iter().filter(|id| *id.repository() == node.repository) {
            let document = Automerge::load(&node.document(id)).unwrap();
            let heads: Heads = document.get_heads().into_iter().collect();
            let is_whole = |((of, _), manifest): (&(DocumentId, PeerId), &Manifest)| {
                let has_part = |digest: &[u8; 32]| kept.parts.contains(&(id.clone(), *digest));
                of == id && manifest.heads == heads && manifest.parts.iter().all(has_part)
            };
            // What holds nothing but its root is not written.
            if document.get_changes(&[]).len() > 1 && !kept.manifests.iter().any(is_whole) {
                return Err(format!("the broker does not keep {id} as node {number} has it: {:?}", kept.writers(id)));
            }
        }
    }
    Ok(())
}
