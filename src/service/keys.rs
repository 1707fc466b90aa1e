//! The keys of encrypted repositories, read and made before the service connects.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::ServiceConfig;
use super::error::ServiceError;
use super::key_sources::KeySource;
use crate::crypto::RootSecret;
use crate::ids::RepositoryName;
use crate::wire::TopicSpace;

/// The keys of a service's repositories; none where nothing is encrypted.
#[derive(Debug, Default)]
pub(super) struct Keys(BTreeMap<RepositoryName, Keyed>);

#[derive(Debug)]
struct Keyed {
    secret: Arc<RootSecret>,
    topics: TopicSpace,
}

impl Keys {
    /// Reads all key files, and makes keys of passphrases. Blocks, also to compute where others with other keys are looked
    /// for; each passphrase takes some hundred milliseconds.
    ///
    /// # Errors
    /// [`ServiceError::EncryptionKey`]: a repository has none, or what it names gives none.
    pub(super) fn read(config: &ServiceConfig, topics: &TopicSpace) -> Result<Self, ServiceError> {
        let mut keys = Self::default();
        if !config.features.encryption {
            return Ok(keys);
        }
        let mut secrets = Vec::<(KeySource<'_>, Arc<RootSecret>)>::new();
        for (name, source) in config.repository_names().into_iter().zip(config.key_sources()) {
            let source = source.ok_or_else(|| no_key(&name))?;
            let known = secrets.iter().find(|(known, _)| *known == source).map(|(_, secret)| secret.clone());
            let secret = match known {
                Some(secret) => secret,
                None => Arc::new(source.secret()?),
            };
            secrets.push((source, secret.clone()));
            let topics = topics.clone().encrypted(secret.clone());
            if config.features.discovery {
                let _ = topics.key_notices(&name);
            }
            keys.0.insert(name, Keyed { secret, topics });
        }
        Ok(keys)
    }

    /// The topics of an encrypted repository.
    pub(super) fn topics(&self, repository: &RepositoryName) -> Option<&TopicSpace> {
        self.0.get(repository).map(|keyed| &keyed.topics)
    }

    /// Whether who reads one of the repositories can read the other; so it is where neither is encrypted.
    pub(super) fn are_same(&self, one: &RepositoryName, other: &RepositoryName) -> bool {
        let secret = |name| self.0.get(name).map(|keyed| &keyed.secret);
        secret(one) == secret(other)
    }
}

fn no_key(repository: &RepositoryName) -> ServiceError {
    ServiceError::EncryptionKey(format!(
        "features.encryption is on, and repository '{repository}' has no key; name its file as encryption.keyFile or with \
         --key-file ('mqtt-p2p keygen' makes one), or a passphrase, or turn encryption off"
    ))
}
