//! What a step wants done, one thing after the other, so that a process can end between any two of them.

use mqtt_p2p::ids::DocumentId;
use mqtt_p2p::sync::{Epoch, Notice, Output, Publish, PublishToken, QualityOfService, StoreOperation, StoreToken};

/// A packet on its way to the broker.
pub enum Packet {
    Publish { topic: String, payload: Vec<u8>, retain: bool, token: Option<PublishToken> },
    Subscribe { filter: String, quality: QualityOfService },
    Unsubscribe { filter: String },
}

/// One of the things that a step wants done.
pub enum Effect {
    Send(Packet),
    Store(StoreToken, Vec<StoreOperation>),
    Load(DocumentId),
    Tell(Notice),
    KeepEpoch(Epoch),
}

/// The parts of a step, in the order in which they are carried out.
pub fn effects(output: Output) -> Vec<Effect> {
    let subscribe = |(filter, quality)| Effect::Send(Packet::Subscribe { filter, quality });
    let publish = |publish: Publish| {
        Effect::Send(Packet::Publish {
            topic: publish.topic,
            payload: publish.payload,
            retain: publish.retain,
            token: publish.token,
        })
    };
    let mut effects: Vec<Effect> = output.epochs.into_iter().map(Effect::KeepEpoch).collect();
    effects.extend(output.subscribe.into_iter().map(subscribe));
    effects.extend(output.unsubscribe.into_iter().map(|filter| Effect::Send(Packet::Unsubscribe { filter })));
    effects.extend(output.publish.into_iter().map(publish));
    effects.extend(output.store.map(|(token, operations)| Effect::Store(token, operations)));
    effects.extend(output.load.into_iter().map(Effect::Load));
    effects.extend(output.notices.into_iter().map(Effect::Tell));
    effects
}
