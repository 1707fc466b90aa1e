//! The root secret that the peers of encrypted repositories share, and its form as text.

use std::fmt;

use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Length of a root secret in bytes.
pub const SECRET_BYTES: usize = 32;
/// Longest text form: label, secret and checksum in hexadecimal, two spaces and the end of the line.
pub const MAX_SECRET_TEXT_BYTES: usize = 128;

/// First word of the text form; says what the file is, and in which version.
const LABEL: &str = "mqtt-p2p-key-1";
/// First word of that of a secret of a later epoch, before the epoch's number.
const EPOCH_LABEL: &str = "mqtt-p2p-key-2";
/// Begins what the checksum is made of, so that it says nothing about other uses of the secret.
const CHECKSUM_DOMAIN: &[u8] = b"mind-git/mqtt-p2p/key-file/v1";
const EPOCH_CHECKSUM_DOMAIN: &[u8] = b"mind-git/mqtt-p2p/key-file/v2";
const CHECKSUM_BYTES: usize = 4;

/// A text that is no root secret. The message never repeats any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretError {
    /// It does not begin as key files do.
    #[error("it is no key of mqtt-p2p (these begin with '{LABEL}'); name the file that 'mqtt-p2p keygen' made")]
    Foreign,
    /// A part is missing, is too short or too long, or is no hexadecimal number.
    #[error("it is cut off or was edited; copy the whole file again")]
    Damaged,
    /// All parts are there, but a character differs.
    #[error("its checksum does not match, so at least a character of it was changed; copy the whole file again")]
    Checksum,
}

/// What everything in an encrypted repository is derived from. Its memory is overwritten when it is dropped, and no
/// `Debug` form, message or log shows it.
pub struct RootSecret {
    secret: SecretBox<[u8; SECRET_BYTES]>,
    epoch: u64,
}

impl RootSecret {
    /// Takes 32 bytes, which must be uniformly random; of the first epoch.
    #[must_use]
    pub fn new(bytes: [u8; SECRET_BYTES]) -> Self {
        Self::of_epoch(bytes, 0)
    }

    /// The same, of a later epoch: how often the repository's key has been replaced before.
    #[must_use]
    pub fn of_epoch(bytes: [u8; SECRET_BYTES], epoch: u64) -> Self {
        let bytes = Zeroizing::new(bytes);
        let secret = SecretBox::init_with_mut(|secret: &mut [u8; SECRET_BYTES]| secret.copy_from_slice(&*bytes));
        Self { secret, epoch }
    }

    /// How often the repository's key had been replaced when this one came.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Reads the text form; white space around it does not matter.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn from_text(text: &str) -> Result<Self, SecretError> {
        let mut words = text.split_ascii_whitespace();
        let epoch = match words.next() {
            Some(LABEL) => 0,
            Some(EPOCH_LABEL) => {
                let number = words.next().ok_or(SecretError::Damaged)?;
                let epoch = number.parse().map_err(|_| SecretError::Damaged)?;
                // One secret, one text.
                if epoch == 0 || format!("{epoch}") != number {
                    return Err(SecretError::Damaged);
                }
                epoch
            }
            _ => return Err(SecretError::Foreign),
        };
        let (Some(secret), Some(sum), None) = (words.next(), words.next(), words.next()) else {
            return Err(SecretError::Damaged);
        };
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        let mut stated = [0; CHECKSUM_BYTES];
        hex::decode_to_slice(secret, &mut *bytes).map_err(|_| SecretError::Damaged)?;
        hex::decode_to_slice(sum, &mut stated).map_err(|_| SecretError::Damaged)?;
        if stated != checksum(&bytes, epoch) {
            return Err(SecretError::Checksum);
        }
        Ok(Self::of_epoch(*bytes, epoch))
    }

    /// The text form: label, number of an epoch that is not the first, secret and checksum in one line, with its end.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = self.expose();
        let digits = Zeroizing::new(hex::encode(secret));
        // Does not grow, so that no copy stays behind in memory.
        let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET_TEXT_BYTES));
        let label = if self.epoch == 0 { LABEL.to_owned() } else { format!("{EPOCH_LABEL} {}", self.epoch) };
        for part in [&label, " ", &digits, " ", &hex::encode(checksum(secret, self.epoch)), "\n"] {
            text.push_str(part);
        }
        text
    }

    pub(super) fn expose(&self) -> &[u8; SECRET_BYTES] {
        self.secret.expose_secret()
    }
}

/// For telling secrets that are both at hand apart; not for comparing with what somebody else sent.
impl PartialEq for RootSecret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret(…)")
    }
}

fn checksum(secret: &[u8; SECRET_BYTES], epoch: u64) -> [u8; CHECKSUM_BYTES] {
    let digest = match epoch {
        0 => Sha256::new().chain_update(CHECKSUM_DOMAIN).chain_update(secret),
        _ => Sha256::new().chain_update(EPOCH_CHECKSUM_DOMAIN).chain_update(epoch.to_be_bytes()).chain_update(secret),
    };
    let digest = digest.finalize();
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&digest[..CHECKSUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_reads_back() {
        let text = RootSecret::new([0xab; 32]).to_text();
        assert!(text.len() <= MAX_SECRET_TEXT_BYTES);
        assert_eq!(RootSecret::from_text(&text).unwrap().expose(), &[0xab; 32]);
        let spaced = format!("\n  {}\r\n", text.trim_end());
        assert_eq!(RootSecret::from_text(&spaced).unwrap().expose(), &[0xab; 32]);
    }

    #[test]
    fn the_epoch_is_in_the_text() {
        for epoch in [1, 12, u64::MAX] {
            let text = RootSecret::of_epoch([0xab; 32], epoch).to_text();
            assert!(text.len() <= MAX_SECRET_TEXT_BYTES);
            let read = RootSecret::from_text(&text).unwrap();
            assert_eq!((read.expose(), read.epoch()), (&[0xab; 32], epoch));
        }
        let zero = RootSecret::of_epoch([0xab; 32], 1).to_text().replace(" 1 ", " 0 ");
        assert_eq!(RootSecret::from_text(&zero).unwrap_err(), SecretError::Damaged);
    }

    #[test]
    fn every_cut_and_every_changed_character_is_refused() {
        let secret = |epoch| RootSecret::of_epoch(std::array::from_fn(|at| u8::try_from(at).unwrap() * 7), epoch);
        for text in [secret(0).to_text(), secret(7).to_text(), secret(u64::MAX).to_text()] {
            refuses_every_change(text.trim_end());
        }
    }

    fn refuses_every_change(text: &str) {
        for end in 0..text.len() {
            assert!(RootSecret::from_text(&text[..end]).is_err(), "cut at {end}");
        }
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(RootSecret::from_text(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let text = RootSecret::new([1; 32]).to_text();
        let refusal = |text: &str| RootSecret::from_text(text).unwrap_err();
        assert_eq!(refusal(""), SecretError::Foreign);
        assert_eq!(refusal("-----BEGIN PRIVATE KEY-----"), SecretError::Foreign);
        assert_eq!(refusal(&text[..60]), SecretError::Damaged);
        assert_eq!(refusal(&format!("{} more", text.trim_end())), SecretError::Damaged);
        assert_eq!(refusal(&text.replacen("01", "02", 1)), SecretError::Checksum);
    }

    #[test]
    fn the_secret_is_in_no_debug_form_and_no_message() {
        let secret = RootSecret::new([0xab; 32]);
        assert_eq!(format!("{secret:?}"), "RootSecret(…)");
        let broken = secret.to_text().replacen("ab", "ac", 1);
        assert!(!RootSecret::from_text(&broken).unwrap_err().to_string().contains("abab"));
    }
}
