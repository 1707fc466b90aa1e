//! Any bytes, on any topic, as they come from a broker; and packets of ours with one bit flipped.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mqtt_p2p::crypto::{Identity, RootSecret};
use mqtt_p2p::ids::{CanvasId, DocumentId, Generation, Nonce, RepositoryName, Session};
use mqtt_p2p::wire::{Body, Header, Priority, Stamp, Topic, TopicSpace, open, peek, read, seal};

struct World {
    identity: Identity,
    spaces: [TopicSpace; 2],
    topics: Vec<Topic>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let identity = Identity::from_seed([1; 32]);
    let peer = identity.peer();
    let repository = RepositoryName::new("r").expect("a name");
    let canvas = CanvasId::new("c").expect("an id");
    let document = DocumentId::Canvas { repository: repository.clone(), canvas, generation: Generation(1) };
    let plain = TopicSpace::new("mind-git").expect("a prefix");
    let sealed = plain.clone().encrypted(RootSecret::new([2; 32]).into());
    let topics = vec![
        Topic::Presence { repository: repository.clone(), peer },
        Topic::Will { peer },
        Topic::Changes(document.clone()),
        Topic::Manifest { document: document.clone(), writer: peer },
        Topic::SnapshotPart { document: document.clone(), digest: [3; 32] },
        Topic::Cursor(document),
        Topic::Sync(repository.clone()),
        Topic::Inbox { repository: repository.clone(), peer },
        Topic::Messages(repository),
    ];
    World { identity, spaces: [plain, sealed], topics }
});

fuzz_target!(|data: &[u8]| {
    let world = &*WORLD;
    let _ = peek(data);
    for topic in &world.topics {
        let _ = open(topic, data);
        for space in &world.spaces {
            let _ = read(space, &space.format(topic), data, |_: &Header| false);
        }
    }
    let [first, second, text @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let topic = Topic::Messages(RepositoryName::new("r").expect("a name"));
    let mut counter = u64::from(*first);
    let stamp =
        Stamp { session: Session(1), counter: &mut counter, sent_unix_ms: 0, message: Nonce(u64::from(*second)), vouches: None };
    let body = Body::Application(text.to_owned());
    let Ok(packets) = seal(&world.identity, &topic, stamp, Priority::High, &body, 1 << 20) else { return };
    for mut packet in packets {
        assert!(open(&topic, &packet).is_ok(), "what was sealed opens");
        let bit = (usize::from(*first) << 8 | usize::from(*second)) % (8 * packet.len());
        packet[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&topic, &packet).is_err(), "bit {bit} is not protected");
    }
});
