//! A peer's Ed25519 key (RFC 8032): signing what it sends, verifying what others sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use thiserror::Error;
use x25519_dalek::StaticSecret;

use crate::ids::PeerId;
use crate::limits::MAX_REMEMBERED_KEYS;

/// Length of an Ed25519 signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// A signature that does not prove what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The peer id is not a point on the curve, so nothing can be signed by it.
    #[error("the sender's id is not an Ed25519 public key; drop the message")]
    InvalidKey,
    /// The signature is not this peer's over this message.
    #[error("the signature does not match; the message was altered, moved to another topic, or forged: drop it")]
    InvalidSignature,
}

/// The secret half of a peer. Its memory is overwritten when it is dropped.
pub struct Identity(SigningKey);

impl Identity {
    /// The identity that belongs to a secret seed (RFC 8032's private key), which must be uniformly random.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The public half.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        PeerId(self.0.verifying_key().to_bytes())
    }

    /// Signs a message; deterministic, needs no random numbers.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }
}

impl Identity {
    /// The same key for an exchange of keys (X25519); using one key for both is sound (<https://eprint.iacr.org/2021/509>).
    pub(super) fn exchange_key(&self) -> StaticSecret {
        StaticSecret::from(self.0.to_scalar_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.peer()).finish()
    }
}

/// Checks that `peer` signed `message`.
///
/// Strict: small-order keys, with which one signature fits many messages, and non-canonical signatures are refused
/// (Chalkias, Garillot, Nikolaenko: "Taming the many `EdDSAs`").
///
/// # Errors
/// [`VerifyError`], always to be answered by dropping the message.
pub fn verify(peer: &PeerId, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Result<(), VerifyError> {
    let key = key_of(peer)?;
    key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| VerifyError::InvalidSignature)
}

thread_local! {
    /// The keys of the last peers that something was verified of, the newest last: to find the point on the curve takes a
    /// tenth of verifying.
    static KEYS: RefCell<VecDeque<VerifyingKey>> = const { RefCell::new(VecDeque::new()) };
}

fn key_of(peer: &PeerId) -> Result<VerifyingKey, VerifyError> {
    KEYS.with_borrow_mut(|keys| {
        if let Some(known) = keys.iter().rev().find(|key| *key.as_bytes() == peer.0) {
            return Ok(*known);
        }
        let key = VerifyingKey::from_bytes(&peer.0).map_err(|_| VerifyError::InvalidKey)?;
        if keys.len() == MAX_REMEMBERED_KEYS {
            keys.pop_front();
        }
        keys.push_back(key);
        Ok(key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_fits_its_message_and_signer_alone() {
        let (alice, bob) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let signature = alice.sign(b"message");
        assert_eq!(verify(&alice.peer(), b"message", &signature), Ok(()));
        assert_eq!(verify(&alice.peer(), b"massage", &signature), Err(VerifyError::InvalidSignature));
        assert_eq!(verify(&bob.peer(), b"message", &signature), Err(VerifyError::InvalidSignature));
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn the_key_and_signature_of_the_standard_come_out() {
        let seed = hex::decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let identity = Identity::from_seed(seed.try_into().unwrap());
        let peer = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(hex::encode(identity.peer().0), peer);
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(hex::encode(identity.sign(&[0x72])), signature);
    }

    #[test]
    fn weak_and_invalid_keys_are_refused() {
        // The neutral element: with it, the all-zero S and R = identity would "sign" every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(verify(&PeerId(neutral), b"anything", &signature), Err(VerifyError::InvalidSignature));
        // y = 2 is on no point of the curve.
        let mut off_curve = [0; 32];
        off_curve[0] = 2;
        assert_eq!(verify(&PeerId(off_curve), b"anything", &signature), Err(VerifyError::InvalidKey));
    }

    #[test]
    fn the_secret_is_not_in_the_debug_form() {
        let identity = Identity::from_seed([7; 32]);
        assert_eq!(format!("{identity:?}"), format!("Identity({})", identity.peer()));
    }
}
