//! Replacing a key: the `epoch` of `tests/vectors/encryption.json`, made, and opened with nothing but the primitives.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use ed25519_dalek::{Signature, VerifyingKey};
use hkdf::Hkdf;
use minicbor::Decoder;
use mqtt_p2p::crypto::{Identity, RootSecret, Wrapping};
use mqtt_p2p::wire::{EpochRecord, Topic};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::accepted::{alice, repository};
use crate::hex_of;
use crate::sealed::{SECRET, counted, derived, space, stored};

const NEW_SECRET: [u8; 32] = [0x6e; 32];
const BOB: [u8; 32] = [0xb0; 32];
const WRAPPING: [u8; 32] = [0x77; 32];

/// Alice replaces the key of the file for Bob.
pub(crate) fn made() -> Value {
    let secret = RootSecret::of_epoch(NEW_SECRET, 1);
    let (previous, _) = space().key_of(&repository()).unwrap();
    let bob = Identity::from_seed(BOB).peer();
    let record =
        EpochRecord::new(&alice(), &repository(), previous, &secret, &[bob], &Wrapping::new(WRAPPING)).unwrap();
    json!({
        "topic": space().format(&Topic::Epoch(repository())),
        "recipientSeed": hex::encode(BOB),
        "wrappingSeed": hex::encode(WRAPPING),
        "keyFile": secret.to_text().as_str(),
        "record": hex::encode(record.to_bytes().unwrap()),
    })
}

#[test]
fn the_key_file_of_the_epoch_is_what_the_specification_says() {
    let sum = Sha256::digest([&b"mind-git/mqtt-p2p/key-file/v2"[..], &1_u64.to_be_bytes(), &NEW_SECRET].concat());
    let text = format!("mqtt-p2p-key-2 1 {} {}\n", hex::encode(NEW_SECRET), hex::encode(&sum[..4]));
    assert_eq!(stored()["epoch"]["keyFile"], text);
}

/// Taken apart without this implementation: CBOR, signature, exchange of keys, wrapped secret, key id.
#[test]
fn the_record_of_the_file_is_what_the_specification_says() {
    let bytes = hex_of(&stored()["epoch"]["record"]);
    let mut cbor = Decoder::new(&bytes);
    let fixed = |cbor: &mut Decoder<'_>| cbor.bytes().unwrap().to_vec();
    assert_eq!((cbor.array().unwrap(), cbor.u64().unwrap()), (Some(7), 1));
    let [previous, key, sender] = [(); 3].map(|()| fixed(&mut cbor));
    let count = cbor.array().unwrap().unwrap();
    let mut recipients = Vec::new();
    for _ in 0..count {
        assert_eq!(cbor.array().unwrap(), Some(2));
        recipients.push((fixed(&mut cbor), fixed(&mut cbor)));
    }
    let (signer, signature) = (fixed(&mut cbor), fixed(&mut cbor));
    assert_eq!(cbor.position(), bytes.len());
    let name = repository();
    let name = name.as_str();
    assert_eq!(previous, derived(&SECRET, "key id", name));
    assert_eq!(key, derived(&NEW_SECRET, "key id", name));

    let head = [&counted(name.as_bytes())[..], &1_u64.to_be_bytes()].concat();
    let mut signed = [b"mind-git/mqtt-p2p/epoch/v1", &head[..], &previous, &key, &sender, &signer].concat();
    for (peer, wrapped) in &recipients {
        signed.extend_from_slice(peer);
        signed.extend_from_slice(wrapped);
    }
    let verifier = VerifyingKey::from_bytes(&alice().peer().0).unwrap();
    assert_eq!(signer, verifier.to_bytes());
    verifier.verify_strict(&signed, &Signature::from_slice(&signature).unwrap()).unwrap();

    let bob = Identity::from_seed(BOB).peer().0;
    let (_, wrapped) = recipients.iter().find(|(peer, _)| *peer == bob).unwrap();
    let mut scalar = [0; 32];
    scalar.copy_from_slice(&Sha512::digest(BOB)[..32]);
    let own = StaticSecret::from(scalar);
    let theirs: [u8; 32] = sender.clone().try_into().unwrap();
    let shared = own.diffie_hellman(&PublicKey::from(theirs));
    let public = PublicKey::from(&own);
    assert_eq!(public.to_bytes(), VerifyingKey::from_bytes(&bob).unwrap().to_montgomery().to_bytes());
    let mut wrapping_key = [0; 32];
    let info = [counted(&sender), counted(public.as_bytes())].concat();
    Hkdf::<Sha256>::new(Some(b"mind-git/mqtt-p2p/wrapping/v1"), shared.as_bytes())
        .expand(&info, &mut wrapping_key)
        .unwrap();
    let aad = [b"mind-git/mqtt-p2p/epoch-secret/v1", &head[..], &previous, &key].concat();
    let cipher = XChaCha20Poly1305::new(&wrapping_key.into());
    let secret = cipher.decrypt(&[0; 24].into(), Payload { msg: wrapped, aad: &aad }).unwrap();
    assert_eq!(secret, NEW_SECRET);
}
