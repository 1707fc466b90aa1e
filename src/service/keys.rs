//! The keys of encrypted repositories: which files the configuration names, and reading them before the service connects.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::ServiceConfig;
use super::error::ServiceError;
use crate::crypto::RootSecret;
use crate::drivers::storage::read_key;
use crate::ids::RepositoryName;
use crate::wire::TopicSpace;

/// End-to-end encryption.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncryptionConfig {
    /// The file that `mqtt-p2p keygen` made, for all repositories that name none of their own.
    pub key_file: String,
}

impl ServiceConfig {
    /// The files with the keys of the repositories, in their order; `None` for one that has none.
    pub(super) fn key_files(&self) -> impl Iterator<Item = Option<&str>> {
        let common = self.encryption.as_ref().map(|encryption| encryption.key_file.as_str());
        self.repositories
            .iter()
            .map(move |repository| repository.object().and_then(|object| object.key_file.as_deref()).or(common))
    }

    /// What is wrong with the shape of what is said about keys.
    pub(super) fn key_problems(&self) -> Vec<String> {
        let common = self.encryption.as_ref().map(|encryption| ("encryption".to_owned(), &encryption.key_file));
        let own = self.repositories.iter().enumerate().filter_map(|(index, repository)| {
            Some((format!("repositories[{index}]"), repository.object()?.key_file.as_ref()?))
        });
        let problem = |(place, path): (String, &String)| {
            if !self.features.encryption {
                Some(format!("{place}.keyFile needs features.encryption: true; without it nothing is encrypted"))
            } else if path.is_empty() || path.contains('\0') {
                Some(format!("{place}.keyFile must name a file"))
            } else {
                None
            }
        };
        common.into_iter().chain(own).filter_map(problem).collect()
    }
}

/// The keys of a service's repositories; none where nothing is encrypted.
#[derive(Debug, Default)]
pub(super) struct Keys(BTreeMap<RepositoryName, Keyed>);

#[derive(Debug)]
struct Keyed {
    secret: Arc<RootSecret>,
    topics: TopicSpace,
}

impl Keys {
    /// Reads all key files. Blocks, also to compute where others with other keys are looked for.
    ///
    /// # Errors
    /// [`ServiceError::EncryptionKey`]: a repository has none, or its file cannot be used.
    pub(super) fn read(config: &ServiceConfig, topics: &TopicSpace) -> Result<Self, ServiceError> {
        let mut keys = Self::default();
        if !config.features.encryption {
            return Ok(keys);
        }
        let mut files = BTreeMap::<&str, Arc<RootSecret>>::new();
        for (name, file) in config.repository_names().into_iter().zip(config.key_files()) {
            let file = file.ok_or_else(|| no_key(&name))?;
            let secret = match files.get(file) {
                Some(secret) => secret.clone(),
                None => Arc::new(read_key(Path::new(file))?),
            };
            files.insert(file, secret.clone());
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
         --key-file ('mqtt-p2p keygen' makes one), or turn encryption off"
    ))
}
