//! Handing a secret to peers of whom nothing is known but their ids: X25519, HKDF-SHA-256, XChaCha20-Poly1305.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use ed25519_dalek::VerifyingKey;
use hkdf::Hkdf;
use sha2::Sha256;
use thiserror::Error;
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

use super::identity::Identity;
use super::repository::{SEAL_NONCE_BYTES, SEAL_TAG_BYTES, counted};
use super::secret::{RootSecret, SECRET_BYTES};
use crate::ids::PeerId;

/// Length of a wrapped secret in bytes.
pub const WRAPPED_BYTES: usize = SECRET_BYTES + SEAL_TAG_BYTES;

/// HKDF's salt: keys derived here fit no other purpose.
const DOMAIN: &[u8] = b"mind-git/mqtt-p2p/wrapping/v1";
/// Each key wraps one secret, so the nonce need not differ.
const NONCE: [u8; SEAL_NONCE_BYTES] = [0; SEAL_NONCE_BYTES];

/// A secret that cannot be wrapped for a peer, or unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WrapError {
    /// The peer id is no point of the curve, or one of small order, with which everybody could unwrap.
    #[error("the peer id is not an Ed25519 public key that a secret can be wrapped for")]
    InvalidKey,
    /// It was not wrapped for this peer, with these data.
    #[error("the secret was not wrapped for this peer, or was altered")]
    NotForUs,
}

/// One end of the exchange: a key that is used for one wrapping, of one secret for some peers. Its memory is overwritten when
/// it is dropped.
pub struct Wrapping(StaticSecret);

impl Wrapping {
    /// Takes 32 bytes, which must be random and new.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(StaticSecret::from(seed))
    }

    /// The public half, which travels with what is wrapped.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    /// Encrypts a secret for a peer alone, and authenticates `associated` with it.
    ///
    /// # Errors
    /// [`WrapError::InvalidKey`].
    pub fn wrap(
        &self,
        peer: &PeerId,
        associated: &[u8],
        secret: &RootSecret,
    ) -> Result<[u8; WRAPPED_BYTES], WrapError> {
        let key = VerifyingKey::from_bytes(&peer.0).map_err(|_| WrapError::InvalidKey)?;
        if key.is_weak() {
            return Err(WrapError::InvalidKey);
        }
        let theirs = PublicKey::from(key.to_montgomery().to_bytes());
        let cipher = cipher(&self.0.diffie_hellman(&theirs), &self.public(), &theirs).ok_or(WrapError::InvalidKey)?;
        let sealed = cipher.encrypt(&NONCE.into(), Payload { msg: secret.expose(), aad: associated });
        // It fails only for texts of 256 GiB and more.
        sealed.ok().and_then(|sealed| sealed.try_into().ok()).ok_or(WrapError::InvalidKey)
    }
}

impl fmt::Debug for Wrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wrapping(…)")
    }
}

/// The secret that was wrapped for this peer with the key whose public half is `sender`.
///
/// # Errors
/// [`WrapError::NotForUs`], also when `sender` is of small order.
pub fn unwrap_secret(
    identity: &Identity,
    sender: &[u8; 32],
    associated: &[u8],
    wrapped: &[u8; WRAPPED_BYTES],
) -> Result<Zeroizing<[u8; SECRET_BYTES]>, WrapError> {
    let own = identity.exchange_key();
    let shared = own.diffie_hellman(&PublicKey::from(*sender));
    let cipher = cipher(&shared, sender, &PublicKey::from(&own)).ok_or(WrapError::NotForUs)?;
    let opened = cipher.decrypt(&NONCE.into(), Payload { msg: wrapped, aad: associated });
    let opened = Zeroizing::new(opened.map_err(|_| WrapError::NotForUs)?);
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    secret.copy_from_slice(opened.get(..SECRET_BYTES).ok_or(WrapError::NotForUs)?);
    Ok(secret)
}

/// The key of both ends; `None` where one of them is of small order, so that the other had no part in it.
fn cipher(shared: &SharedSecret, sender: &[u8; 32], receiver: &PublicKey) -> Option<XChaCha20Poly1305> {
    if !shared.was_contributory() {
        return None;
    }
    let info = [counted(sender), counted(receiver.as_bytes())].concat();
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(DOMAIN), shared.as_bytes()).expand(&info, &mut *key).ok()?;
    Some(XChaCha20Poly1305::new(&(*key).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [0x5e; 32];

    fn identity(seed: u8) -> Identity {
        Identity::from_seed([seed; 32])
    }

    #[test]
    fn a_secret_opens_for_its_peer_alone() {
        let wrapping = Wrapping::new([9; 32]);
        let wrapped = wrapping.wrap(&identity(1).peer(), b"record", &RootSecret::new(SECRET)).unwrap();
        let unwrap = |who: u8, sender: &[u8; 32], associated: &[u8], wrapped: &[u8; WRAPPED_BYTES]| {
            unwrap_secret(&identity(who), sender, associated, wrapped).map(|secret| *secret)
        };
        assert_eq!(unwrap(1, &wrapping.public(), b"record", &wrapped), Ok(SECRET));
        assert_eq!(unwrap(2, &wrapping.public(), b"record", &wrapped), Err(WrapError::NotForUs));
        assert_eq!(unwrap(1, &wrapping.public(), b"other", &wrapped), Err(WrapError::NotForUs));
        assert_eq!(unwrap(1, &Wrapping::new([8; 32]).public(), b"record", &wrapped), Err(WrapError::NotForUs));
        for bit in 0..WRAPPED_BYTES * 8 {
            let mut flipped = wrapped;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unwrap(1, &wrapping.public(), b"record", &flipped), Err(WrapError::NotForUs), "bit {bit}");
        }
    }

    #[test]
    fn the_exchange_key_is_that_of_the_peer_id() {
        for seed in 1..20 {
            let id = VerifyingKey::from_bytes(&identity(seed).peer().0).unwrap().to_montgomery();
            assert_eq!(PublicKey::from(&identity(seed).exchange_key()).to_bytes(), id.to_bytes());
        }
    }

    /// The points of small order in both forms (RFC 7748, section 6.1, and the neutral element of Edwards form).
    #[test]
    fn points_of_small_order_are_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let wrapping = Wrapping::new([9; 32]);
        assert_eq!(wrapping.wrap(&PeerId(neutral), b"", &RootSecret::new(SECRET)), Err(WrapError::InvalidKey));
        let mut off_curve = [0; 32];
        off_curve[0] = 2;
        assert_eq!(wrapping.wrap(&PeerId(off_curve), b"", &RootSecret::new(SECRET)), Err(WrapError::InvalidKey));
        for sender in [[0; 32], neutral] {
            let opened = unwrap_secret(&identity(1), &sender, b"", &[0; WRAPPED_BYTES]);
            assert_eq!(opened.map(|secret| *secret), Err(WrapError::NotForUs));
        }
    }
}
