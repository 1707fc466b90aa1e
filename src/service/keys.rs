//! The keys of encrypted repositories: read from their files before the service connects.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::config::ServiceConfig;
use super::error::ServiceError;
use crate::crypto::RootSecret;
use crate::drivers::storage::read_key;
use crate::ids::RepositoryName;
use crate::wire::TopicSpace;

/// The root secrets of a service's repositories.
#[derive(Debug, Default)]
pub(super) struct Keys(BTreeMap<RepositoryName, Arc<RootSecret>>);

impl Keys {
    /// Reads all key files; none where nothing is encrypted. Blocks.
    ///
    /// # Errors
    /// [`ServiceError::EncryptionKey`]: a repository has none, or its file cannot be used.
    pub(super) fn read(config: &ServiceConfig) -> Result<Self, ServiceError> {
        let mut keys = Self::default();
        if !config.features.encryption {
            return Ok(keys);
        }
        let mut files = BTreeMap::<&str, Arc<RootSecret>>::new();
        for (name, file) in config.repository_names().into_iter().zip(config.key_files()) {
            let file = file.ok_or_else(|| {
                ServiceError::EncryptionKey(format!(
                    "features.encryption is on, and repository '{name}' has no key; name its file as \
                     encryption.keyFile or --key-file ('mqtt-p2p keygen' makes one), or turn encryption off"
                ))
            })?;
            let secret = match files.get(file) {
                Some(secret) => secret.clone(),
                None => Arc::new(read_key(Path::new(file))?),
            };
            files.insert(file, secret.clone());
            keys.0.insert(name, secret);
        }
        Ok(keys)
    }

    /// The topics of a repository.
    pub(super) fn topics(&self, topics: &TopicSpace, repository: &RepositoryName) -> TopicSpace {
        match self.0.get(repository) {
            Some(secret) => topics.clone().encrypted(secret.clone()),
            None => topics.clone(),
        }
    }

    /// The repositories that have the same key as this one, itself included: who is in one may know of the others.
    pub(super) fn same_key(&self, repository: &RepositoryName, all: Vec<RepositoryName>) -> Vec<RepositoryName> {
        let own = self.0.get(repository);
        all.into_iter().filter(|other| self.0.get(other) == own).collect()
    }
}
