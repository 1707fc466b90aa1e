//! A root secret from a passphrase (Argon2id), and the invite that says how.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::secret::{RootSecret, SECRET_BYTES};
use crate::limits::{INVITE_MEMORY_KIB, INVITE_PASSES, MAX_INVITE_BYTES, MAX_PASSPHRASE_BYTES, MIN_PASSPHRASE_BYTES};

/// Length of an invite's salt in bytes.
pub const SALT_BYTES: usize = 16;

/// First part of an invite; says what the text is, and in which version.
const LABEL: &str = "mqtt-p2p-invite-1";
/// Begins what the checksum is made of.
const CHECKSUM_DOMAIN: &[u8] = b"mind-git/mqtt-p2p/invite/v1";
const CHECKSUM_BYTES: usize = 4;

/// What people share instead of a key file. Its memory is overwritten when it is dropped, and no `Debug` form, message or
/// log shows it.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// Takes a passphrase as it is; whoever means the same must pass the same bytes.
    ///
    /// # Errors
    /// [`PassphraseError::Length`], see [`MIN_PASSPHRASE_BYTES`] and [`MAX_PASSPHRASE_BYTES`].
    pub fn new(mut text: String) -> Result<Self, PassphraseError> {
        if (MIN_PASSPHRASE_BYTES..=MAX_PASSPHRASE_BYTES).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            text.zeroize();
            Err(PassphraseError::Length)
        }
    }

    /// The passphrase itself, for whoever brings it into another form.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// What is wrong is said without the value.
impl<'de> Deserialize<'de> for Passphrase {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer).map_err(|_| serde::de::Error::custom("must be a text"))?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

/// A passphrase, or what belongs to it, that gives no secret. No message repeats any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PassphraseError {
    /// It is too short to be one, or too long.
    #[error("a passphrase has {MIN_PASSPHRASE_BYTES} to {MAX_PASSPHRASE_BYTES} bytes")]
    Length,
    /// It is no text.
    #[error("a passphrase is text in UTF-8")]
    NotText,
    /// The text does not begin as invites do.
    #[error(
        "it is no invite of mqtt-p2p (these begin with '{LABEL}:'); pass what 'mqtt-p2p keygen --passphrase' printed"
    )]
    Foreign,
    /// A part of the invite is missing, or was changed.
    #[error("the invite is cut off or was edited; copy the whole text again")]
    Damaged,
    /// The invite asks for less work than is safe, or for more than this peer does.
    #[error(
        "the invite asks for {memory_kib} KiB of memory and {passes} passes; {} to {} KiB and {} to {} passes are allowed: \
         make another one with 'mqtt-p2p keygen --passphrase'",
        INVITE_MEMORY_KIB.start(), INVITE_MEMORY_KIB.end(), INVITE_PASSES.start(), INVITE_PASSES.end()
    )]
    Cost {
        /// Memory that it asks for.
        memory_kib: u32,
        /// How often it is gone over.
        passes: u32,
    },
    /// The system does not have the memory that the invite asks for.
    #[error("there is not enough memory to make a key of the passphrase ({memory_kib} KiB)")]
    Memory {
        /// Memory that it asks for.
        memory_kib: u32,
    },
}

/// How a passphrase becomes a root secret. No secret: with the passphrase it gives the key, without it nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Invite {
    salt: [u8; SALT_BYTES],
    memory_kib: u32,
    passes: u32,
}

impl Invite {
    /// An invite with this salt, which must be random, and the smallest cost that is allowed.
    #[must_use]
    pub fn new(salt: [u8; SALT_BYTES]) -> Self {
        Self { salt, memory_kib: *INVITE_MEMORY_KIB.start(), passes: *INVITE_PASSES.start() }
    }

    /// The root secret of a passphrase, by Argon2id (RFC 9106) with one lane. Takes some hundred milliseconds, and as much
    /// memory as the invite says, which is overwritten afterwards.
    ///
    /// # Errors
    /// [`PassphraseError::Memory`].
    pub fn derive(&self, passphrase: &Passphrase) -> Result<RootSecret, PassphraseError> {
        let short = PassphraseError::Memory { memory_kib: self.memory_kib };
        let parameters = Params::new(self.memory_kib, self.passes, 1, Some(SECRET_BYTES)).map_err(|_| short)?;
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(passphrase.expose().as_bytes(), &self.salt, &mut *secret)
            .map_err(|_| short)?;
        Ok(RootSecret::new(*secret))
    }

    fn checksum(&self) -> [u8; CHECKSUM_BYTES] {
        let digest = Sha256::new()
            .chain_update(CHECKSUM_DOMAIN)
            .chain_update(self.memory_kib.to_be_bytes())
            .chain_update(self.passes.to_be_bytes())
            .chain_update(self.salt)
            .finalize();
        let mut sum = [0; CHECKSUM_BYTES];
        sum.copy_from_slice(&digest[..CHECKSUM_BYTES]);
        sum
    }
}

/// One word: label, memory in KiB, passes, salt and checksum, between colons.
impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (salt, sum) = (hex::encode(self.salt), hex::encode(self.checksum()));
        write!(f, "{LABEL}:{}:{}:{salt}:{sum}", self.memory_kib, self.passes)
    }
}

/// Strict: only what [`Display`](fmt::Display) makes is read, with white space around it. What it asks for is bounded here,
/// before anything is allocated.
impl FromStr for Invite {
    type Err = PassphraseError;

    fn from_str(text: &str) -> Result<Self, PassphraseError> {
        let text = text.trim_ascii();
        let fields =
            text.strip_prefix(LABEL).and_then(|rest| rest.strip_prefix(':')).ok_or(PassphraseError::Foreign)?;
        if text.len() > MAX_INVITE_BYTES {
            return Err(PassphraseError::Damaged);
        }
        let mut fields = fields.split(':');
        let mut next = || fields.next().ok_or(PassphraseError::Damaged);
        let number = |text: &str| text.parse::<u32>().map_err(|_| PassphraseError::Damaged);
        let (memory_kib, passes) = (number(next()?)?, number(next()?)?);
        let mut salt = [0; SALT_BYTES];
        hex::decode_to_slice(next()?, &mut salt).map_err(|_| PassphraseError::Damaged)?;
        let invite = Self { salt, memory_kib, passes };
        if invite.to_string() != text {
            return Err(PassphraseError::Damaged);
        }
        if !INVITE_MEMORY_KIB.contains(&memory_kib) || !INVITE_PASSES.contains(&passes) {
            return Err(PassphraseError::Cost { memory_kib, passes });
        }
        Ok(invite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Invite, PassphraseError> {
        text.parse()
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned()).unwrap()
    }

    #[test]
    fn the_text_form_reads_back() {
        let invite = Invite::new([0xab; SALT_BYTES]);
        let text = invite.to_string();
        assert!(text.len() <= MAX_INVITE_BYTES);
        assert_eq!(read(&format!(" {text}\r\n")), Ok(invite));
    }

    #[test]
    fn every_cut_and_every_changed_character_is_refused() {
        let text = Invite::new(std::array::from_fn(|at| u8::try_from(at).unwrap() * 7)).to_string();
        for end in 0..text.len() {
            assert!(read(&text[..end]).is_err(), "cut at {end}");
        }
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
            assert!(read(&format!("{}{other}{}", &text[..at], &text[at + 1..])).is_err(), "changed at {at}");
        }
        assert_eq!(read("mqtt-p2p-key-1 00"), Err(PassphraseError::Foreign));
        assert_eq!(read(&format!("{text}{}", ":0".repeat(1 << 20))), Err(PassphraseError::Damaged));
    }

    #[test]
    fn too_cheap_and_too_dear_an_invite_is_refused_before_it_is_used() {
        let with = |memory_kib, passes| Invite { salt: [1; SALT_BYTES], memory_kib, passes };
        for (memory_kib, passes) in
            [(0, 3), (65_535, 3), (65_536, 2), (65_536, 17), (1_048_577, 3), (u32::MAX, u32::MAX)]
        {
            let refusal = PassphraseError::Cost { memory_kib, passes };
            assert_eq!(read(&with(memory_kib, passes).to_string()), Err(refusal));
        }
        assert_eq!(read(&with(1 << 20, 16).to_string()), Ok(with(1 << 20, 16)));
    }

    #[test]
    fn a_secret_is_that_of_its_passphrase_and_invite() {
        let (one, other) = (Invite::new([1; SALT_BYTES]), Invite::new([2; SALT_BYTES]));
        let secret = one.derive(&passphrase("correct horse")).unwrap();
        assert_eq!(one.derive(&passphrase("correct horse")).unwrap(), secret);
        assert_ne!(one.derive(&passphrase("correct house")).unwrap(), secret);
        assert_ne!(other.derive(&passphrase("correct horse")).unwrap(), secret);
    }

    #[test]
    fn a_passphrase_is_in_no_debug_form_and_no_message() {
        assert_eq!(format!("{:?}", passphrase("hunter22")), "Passphrase(…)");
        for json in ["\"hunter2\"", "12345678", "[\"hunter22\"]", "{\"hunter22\":1}"] {
            let message = serde_json::from_str::<Passphrase>(json).unwrap_err().to_string();
            assert!(!message.contains("hunter") && !message.contains("12345678"), "{message}");
        }
    }
}
