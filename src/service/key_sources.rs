//! What the configuration says of keys: a file that holds one, or a passphrase with its invite.

use std::path::Path;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::config::{RepositoryObject, ServiceConfig};
use super::error::ServiceError;
use crate::crypto::{Invite, Passphrase, PassphraseError, RootSecret};
use crate::drivers::storage::{read_key, read_passphrase};

/// End-to-end encryption: the key of all repositories that have none of their own. Exactly one of the first three.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncryptionConfig {
    /// The file that `mqtt-p2p keygen` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The passphrase of which the key is made. Never shown.
    #[serde(default, skip_serializing)]
    pub passphrase: Option<Passphrase>,
    /// A file with the passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<String>,
    /// The invite that belongs to the passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// The fields about keys of one object of the configuration.
#[derive(Clone, Copy)]
struct Fields<'a> {
    key_file: Option<&'a str>,
    passphrase: Option<&'a Passphrase>,
    passphrase_file: Option<&'a str>,
    invite: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn of_all(config: &'a EncryptionConfig) -> Self {
        Self {
            key_file: config.key_file.as_deref(),
            passphrase: config.passphrase.as_ref(),
            passphrase_file: config.passphrase_file.as_deref(),
            invite: config.invite.as_deref(),
        }
    }

    fn of_one(repository: &'a RepositoryObject) -> Self {
        Self {
            key_file: repository.key_file.as_deref(),
            passphrase: repository.passphrase.as_ref(),
            passphrase_file: repository.passphrase_file.as_deref(),
            invite: repository.invite.as_deref(),
        }
    }

    fn names(self) -> usize {
        [self.key_file.is_some(), self.passphrase.is_some(), self.passphrase_file.is_some()]
            .map(usize::from)
            .iter()
            .sum()
    }

    fn problem(self, place: &str, encryption: bool) -> Option<String> {
        let no_file = |path: &str| path.is_empty() || path.contains('\0');
        let first = match (self.key_file, self.passphrase, self.passphrase_file) {
            (Some(_), _, _) => "keyFile",
            (_, Some(_), _) => "passphrase",
            (_, _, Some(_)) => "passphraseFile",
            _ => "invite",
        };
        if !encryption {
            Some(format!("{place}.{first} needs features.encryption: true; without it nothing is encrypted"))
        } else if self.names() > 1 {
            Some(format!("{place} must name one of keyFile, passphrase and passphraseFile, not several"))
        } else if self.key_file.is_some_and(no_file) || self.passphrase_file.is_some_and(no_file) {
            Some(format!("{place}.{first} must name a file"))
        } else if (first == "passphrase" || first == "passphraseFile") && self.invite.is_none() {
            Some(format!("{place}.{first} needs the invite beside it that 'mqtt-p2p keygen --passphrase' prints"))
        } else if self.invite.is_some() && (first == "keyFile" || first == "invite") {
            Some(format!("{place}.invite belongs to a passphrase or passphraseFile; name one"))
        } else {
            None
        }
    }
}

/// Where a repository's key comes from.
#[derive(Clone, Copy)]
pub(super) enum KeySource<'a> {
    File(&'a str),
    Passphrase { passphrase: &'a Passphrase, invite: &'a str },
    PassphraseFile { path: &'a str, invite: &'a str },
}

/// Whether they give the same key for certain.
impl PartialEq for KeySource<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (
                Self::Passphrase { passphrase: one, invite },
                Self::Passphrase { passphrase: other, invite: of_other },
            ) => one.expose() == other.expose() && invite == of_other,
            (Self::PassphraseFile { path, invite }, Self::PassphraseFile { path: other, invite: of_other }) => {
                path == other && invite == of_other
            }
            _ => false,
        }
    }
}

impl KeySource<'_> {
    /// The key. Blocks: reads a file, or makes it of a passphrase, which takes some hundred milliseconds.
    ///
    /// # Errors
    /// [`ServiceError::EncryptionKey`].
    pub(super) fn secret(&self) -> Result<RootSecret, ServiceError> {
        match *self {
            Self::File(path) => Ok(read_key(Path::new(path))?),
            Self::Passphrase { passphrase, invite } => derive(passphrase, invite),
            Self::PassphraseFile { path, invite } => derive(&read_passphrase(Path::new(path))?, invite),
        }
    }
}

fn derive(passphrase: &Passphrase, invite: &str) -> Result<RootSecret, ServiceError> {
    let secret = invite.parse::<Invite>().and_then(|invite| invite.derive(&normal(passphrase)?));
    secret.map_err(|error| ServiceError::EncryptionKey(error.to_string()))
}

/// The same passphrase typed on another system may be other bytes: which of them stand for a letter with an accent is the
/// keyboard's choice, so all are brought into one form (NFC).
fn normal(passphrase: &Passphrase) -> Result<Passphrase, PassphraseError> {
    // No text grows more; without growing, no copy stays behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(3 * passphrase.expose().len()));
    text.extend(passphrase.expose().nfc());
    Passphrase::new(std::mem::take(&mut *text))
}

impl ServiceConfig {
    /// Where the keys of the repositories come from, in their order; `None` for one that has none. The configuration has
    /// been checked.
    pub(super) fn key_sources(&self) -> impl Iterator<Item = Option<KeySource<'_>>> {
        let common = self.encryption.as_ref().map(Fields::of_all);
        self.repositories.iter().map(move |repository| {
            let own = repository.object().map(Fields::of_one).filter(|fields| fields.names() > 0);
            let fields = own.or(common)?;
            match (fields.key_file, fields.passphrase, fields.passphrase_file) {
                (Some(path), _, _) => Some(KeySource::File(path)),
                (_, Some(passphrase), _) => Some(KeySource::Passphrase { passphrase, invite: fields.invite? }),
                (_, _, path) => Some(KeySource::PassphraseFile { path: path?, invite: fields.invite? }),
            }
        })
    }

    /// What is wrong with the shape of what is said about keys.
    pub(super) fn key_problems(&self) -> Vec<String> {
        let encryption = self.features.encryption;
        let common = self.encryption.as_ref().map(Fields::of_all);
        let common = common.and_then(|fields| match fields.names() {
            0 if fields.invite.is_none() => {
                Some("encryption must name a keyFile, a passphrase or a passphraseFile".to_owned())
            }
            _ => fields.problem("encryption", encryption),
        });
        let own = self.repositories.iter().enumerate().filter_map(|(index, repository)| {
            let fields = Fields::of_one(repository.object()?);
            let said = fields.names() > 0 || fields.invite.is_some();
            said.then(|| fields.problem(&format!("repositories[{index}]"), encryption)).flatten()
        });
        common.into_iter().chain(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_same_however_its_accents_are_typed() {
        let form = |text: &str| normal(&Passphrase::new(text.to_owned()).unwrap()).unwrap().expose().to_owned();
        assert_eq!(form("cafe\u{301} au lait"), form("caf\u{e9} au lait"));
        assert_ne!(form("cafe au lait"), form("caf\u{e9} au lait"));
    }
}
