//! The keys of one encrypted repository: derived from the root secret and its name, and what they do.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use super::identity::Identity;
use super::secret::RootSecret;

/// Length of a key id in bytes.
pub const KEY_ID_BYTES: usize = 32;
/// Length of a nonce in bytes: long enough to be chosen at random for every message (`XChaCha20`).
pub const SEAL_NONCE_BYTES: usize = 24;
/// What sealing adds to a text in bytes (Poly1305).
pub const SEAL_TAG_BYTES: usize = 16;

/// HKDF's salt: keys derived here fit no other purpose of the same secret.
const DOMAIN: &[u8] = b"mind-git/mqtt-p2p/encryption/v1";
const SEALING: &[u8] = b"sealing";
const TOPICS: &[u8] = b"topics";
const KEY_ID: &[u8] = b"key id";
const SHARING: &[u8] = b"sharing";

/// Length of a keyed name in bytes; 128 bits of HMAC-SHA-256.
const NAME_BYTES: usize = 16;

/// Sealed bytes that are not what a holder of this key sealed with these associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the message cannot be decrypted; it was altered, or sealed with another key: drop it")]
pub struct UnsealError;

/// Says which key sealed a message, and commits to it: no two keys have the same, so a text that opens under one key can
/// be shown to no holder of another as something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; KEY_ID_BYTES]);

/// The keys of one repository. Their memory is overwritten when they are dropped; no `Debug` form shows them.
pub struct RepositoryKeys {
    id: KeyId,
    sealing: XChaCha20Poly1305,
    topics: SecretBox<[u8; 32]>,
    sharing: Arc<Identity>,
}

impl RepositoryKeys {
    /// Derives the keys of the repository of that name with HKDF-SHA-256 (RFC 5869).
    #[must_use]
    pub fn derive(root: &RootSecret, repository: &str) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(DOMAIN), root.expose());
        let derive = |label: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            // It fails only for keys of more than 8,160 bytes.
            let derived = hkdf
                .expand_multi_info(&[&counted(label), &counted(repository.as_bytes())].map(Vec::as_slice), &mut *key);
            debug_assert!(derived.is_ok());
            key
        };
        let (sealing, topics) = (derive(SEALING), derive(TOPICS));
        Self {
            id: KeyId(*derive(KEY_ID)),
            sealing: XChaCha20Poly1305::new(&(*sealing).into()),
            topics: SecretBox::init_with_mut(|key: &mut [u8; 32]| key.copy_from_slice(&*topics)),
            sharing: Arc::new(Identity::from_seed(*derive(SHARING))),
        }
    }

    /// Which key this is; may be seen by anybody.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whom keys of shared canvases are wrapped for, so that all who have this key can unwrap them.
    #[must_use]
    pub fn sharing(&self) -> Arc<Identity> {
        self.sharing.clone()
    }

    /// Encrypts and authenticates `text` (XChaCha20-Poly1305), and authenticates `associated` with it. The nonce must be
    /// random, and new for every call.
    ///
    /// # Errors
    /// [`UnsealError`] for a text of 256 GiB and more.
    pub fn seal(&self, nonce: &[u8; SEAL_NONCE_BYTES], associated: &[u8], text: &[u8]) -> Result<Vec<u8>, UnsealError> {
        self.sealing.encrypt(&(*nonce).into(), Payload { msg: text, aad: associated }).map_err(|_| UnsealError)
    }

    /// The text that was sealed with this nonce and these associated data.
    ///
    /// # Errors
    /// [`UnsealError`]; nothing of the text is known then.
    pub fn unseal(
        &self,
        nonce: &[u8; SEAL_NONCE_BYTES],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, UnsealError> {
        self.sealing.decrypt(&(*nonce).into(), Payload { msg: sealed, aad: associated }).map_err(|_| UnsealError)
    }

    /// A name that only holders of the key can compute or recognise, for a topic: a keyed hash of what is named, as 32
    /// hexadecimal digits.
    #[must_use]
    pub fn name(&self, parts: &[&[u8]]) -> String {
        // Keys of any length are taken.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.topics.expose_secret()) else { return String::new() };
        for part in parts {
            mac.update(&counted(part));
        }
        hex::encode(&mac.finalize().into_bytes()[..NAME_BYTES])
    }
}

impl fmt::Debug for RepositoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepositoryKeys").field("id", &hex::encode(&self.id.0[..4])).finish_non_exhaustive()
    }
}

/// Bytes behind their length, so that no two different lists give the same bytes.
pub(super) fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_be_bytes(), bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; SEAL_NONCE_BYTES] = [5; SEAL_NONCE_BYTES];

    fn keys(secret: u8, repository: &str) -> RepositoryKeys {
        RepositoryKeys::derive(&RootSecret::new([secret; 32]), repository)
    }

    #[test]
    fn a_text_opens_with_its_key_nonce_and_associated_data_alone() {
        let keys_a = keys(1, "a");
        let sealed = keys_a.seal(&NONCE, b"header", b"text").unwrap();
        assert_eq!(sealed.len(), 4 + SEAL_TAG_BYTES);
        assert_eq!(keys_a.unseal(&NONCE, b"header", &sealed), Ok(b"text".to_vec()));
        assert_eq!(keys_a.unseal(&NONCE, b"haeder", &sealed), Err(UnsealError));
        assert_eq!(keys_a.unseal(&[6; SEAL_NONCE_BYTES], b"header", &sealed), Err(UnsealError));
        assert_eq!(keys(2, "a").unseal(&NONCE, b"header", &sealed), Err(UnsealError));
        assert_eq!(keys(1, "b").unseal(&NONCE, b"header", &sealed), Err(UnsealError));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let keys = keys(1, "a");
        let mut sealed = keys.seal(&NONCE, b"header", b"text").unwrap();
        for bit in 0..sealed.len() * 8 {
            sealed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.unseal(&NONCE, b"header", &sealed), Err(UnsealError), "bit {bit}");
            sealed[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn keys_and_names_differ_by_secret_and_repository_and_are_always_the_same() {
        let name = |keys: &RepositoryKeys| keys.name(&[b"canvas", b"plan"]);
        let mine = keys(1, "a");
        assert_eq!((mine.id(), name(&mine)), (keys(1, "a").id(), name(&keys(1, "a"))));
        for other in [keys(2, "a"), keys(1, "b")] {
            assert_ne!(other.id(), mine.id());
            assert_ne!(name(&other), name(&mine));
        }
        assert_ne!(mine.name(&[b"ab", b"c"]), mine.name(&[b"a", b"bc"]));
    }

    #[test]
    fn no_key_is_in_the_debug_form() {
        let keys = keys(1, "a");
        assert_eq!(format!("{keys:?}").len(), "RepositoryKeys { id: \"00000000\", .. }".len());
    }
}
