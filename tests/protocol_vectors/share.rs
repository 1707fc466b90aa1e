//! Sharing: the `share` of `tests/vectors/encryption.json`, made, and checked with nothing but the primitives.

use ed25519_dalek::SigningKey;
use mqtt_p2p::crypto::{Identity, KeyId, RootSecret, Wrapping};
use mqtt_p2p::ids::DocumentId;
use mqtt_p2p::wire::{EpochRecord, Share, Topic, space_name};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::accepted::{document, repository};
use crate::hex_of;
use crate::sealed::{SECRET, counted, derived, name, space, stored};

/// The secret of the canvas, and that of the repository that it is shared into.
const CANVAS_SECRET: [u8; 32] = [0xca; 32];
const OTHER_SECRET: [u8; 32] = [0x0f; 32];
const OTHER: &str = "other";
const WRAPPING: [u8; 32] = [0x78; 32];

fn sharing(secret: &[u8; 32], repository: &str) -> [u8; 32] {
    derived(secret, "sharing", repository)
}

/// The repository of the file shares the canvas of the file into another.
pub(crate) fn made() -> Value {
    let name = space_name(&document()).unwrap();
    let secret = RootSecret::of_epoch(CANVAS_SECRET, 1);
    let own = space().sharing(&repository()).unwrap();
    let other = Identity::from_seed(sharing(&OTHER_SECRET, OTHER)).peer();
    let record = EpochRecord::new(&own, &name, KeyId([0; 32]), &secret, &[other], &Wrapping::new(WRAPPING)).unwrap();
    let shared = space().shared(&document(), &name, secret.into());
    let share = Share { document: document(), record };
    json!({
        "space": name.as_str(),
        "other": { "repository": OTHER, "secret": hex::encode(OTHER_SECRET) },
        "canvasSecret": hex::encode(CANVAS_SECRET),
        "wrappingSeed": hex::encode(WRAPPING),
        "sharingKeys": [hex::encode(own.peer().0), hex::encode(other.0)],
        "share": hex::encode(share.encode().unwrap()),
        "changes": shared.format(&Topic::Changes(document())),
        "sync": shared.format(&Topic::Sync(name)),
    })
}

#[test]
fn the_share_of_the_file_is_what_the_specification_says() {
    let vector = &stored()["share"];
    let plain = format!("shared/{}", hex::encode(Sha256::digest(Topic::Changes(document()).plain_path())));
    assert_eq!(vector["space"], plain);
    let public = |seed: [u8; 32]| hex::encode(SigningKey::from_bytes(&seed).verifying_key().to_bytes());
    let keys = [public(sharing(&SECRET, repository().as_str())), public(sharing(&OTHER_SECRET, OTHER))];
    assert_eq!(vector["sharingKeys"], json!(keys));

    let topics = derived(&CANVAS_SECRET, "topics", &plain);
    let DocumentId::Canvas { canvas, generation, .. } = document() else { panic!() };
    let (canvas, generation) = (canvas.as_str().as_bytes(), generation.0.to_be_bytes());
    let level = name(&topics, &[b"repository"]);
    let levels = [name(&topics, &[b"canvas", canvas]), name(&topics, &[b"generation", canvas, &generation])];
    assert_eq!(vector["changes"], format!("mind-git/v1/{level}/canvas/{}/changes", levels.join("/")));
    assert_eq!(vector["sync"], format!("mind-git/v1/{level}/sync"));

    let share = Share::decode(&hex_of(&vector["share"])).unwrap();
    assert_eq!((share.document, share.record.epoch, share.record.previous.0), (document(), 1, [0; 32]));
    assert_eq!(share.record.key.0, derived(&CANVAS_SECRET, "key id", &plain));
    assert_eq!(hex::encode(share.record.signer.0), keys[0]);
    let domain = b"mind-git/mqtt-p2p/epoch/v1".to_vec();
    let mut signed = [domain, counted(plain.as_bytes()), 1_u64.to_be_bytes().to_vec()].concat();
    signed.extend([share.record.previous.0, share.record.key.0, share.record.sender].concat());
    signed.extend(share.record.signer.0);
    for recipient in &share.record.recipients {
        assert!(keys.contains(&hex::encode(recipient.peer.0)));
        signed.extend([&recipient.peer.0[..], &recipient.wrapped].concat());
    }
    let own = SigningKey::from_bytes(&sharing(&SECRET, repository().as_str()));
    let signature = ed25519_dalek::Signer::sign(&own, &signed);
    assert_eq!(share.record.signature, signature.to_bytes());
}
