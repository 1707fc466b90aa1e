//! The configuration: what applications may set, its defaults, and what is wrong with a wrong one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::broker_config::BrokerConfig;
use super::error::ServiceError;
use super::key_sources::EncryptionConfig;
use super::membership::MembershipConfig;
use super::performance::PerformanceConfig;
use super::wrong_value::without_value;
use crate::crypto::Passphrase;
use crate::ids::RepositoryName;
use crate::limits::{DEFAULT_FILE_DEBOUNCE_MS, DEFAULT_STALE_WINDOW_MS, MAX_REPOSITORIES};
use crate::wire::TopicSpace;

/// The whole configuration, as JSON names it. An unknown field is an error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceConfig {
    /// How to reach the broker.
    #[serde(default)]
    pub broker: BrokerConfig,
    /// The repositories in which the service takes part; at least one.
    #[serde(default)]
    pub repositories: Vec<RepositoryConfig>,
    /// What is turned on.
    #[serde(default)]
    pub features: FeaturesConfig,
    /// Sizes and intervals.
    #[serde(default)]
    pub performance: PerformanceConfig,
    /// First level or levels of all topics. Default `mind-git`.
    #[serde(default = "default_prefix")]
    pub topic_prefix: String,
    /// Words that tell other peers what this one is for, such as `server`. Default none.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Where canvases, and who this peer is, are kept on disk. Default: nowhere, only in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageConfig>,
    /// Whether `initialize()` succeeds without a broker. Default reject.
    #[serde(default)]
    pub offline: Offline,
    /// Which key encrypts the repositories; needs `features.encryption`. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<EncryptionConfig>,
}

/// Storage on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// The data directory; made, for its owner alone, if it is missing. One service at a time uses it.
    pub path: String,
}

/// What `initialize()` does when no broker answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offline {
    /// It succeeds once an attempt has failed; connecting goes on being tried.
    Allow,
    /// It fails when the time is over.
    #[default]
    Reject,
}

/// A repository: its name, or an object that has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a name, or an object with a name and perhaps path, author, branch, debounceMs, staleWindowMs, keyFile, \
                 passphrase, passphraseFile, invite, membership"
)]
pub enum RepositoryConfig {
    /// The name alone.
    Name(String),
    /// An object, which has room for more.
    Object(Box<RepositoryObject>),
}

/// A repository as an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositoryObject {
    /// Its name.
    pub name: String,
    /// A folder whose `.canvas` files are the repository's canvases. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whose edits those made in the files are. Default: git's `user.name` there, else the system's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The git branch whose files are bound. Default: the one that is checked out at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// How long a file must have been left alone before it is read, in milliseconds. Default 50.
    #[serde(default = "default_debounce_ms")]
    pub debounce_ms: u64,
    /// How long after we wrote a file an editor may still save what it had read before, in milliseconds. Default 5,000.
    #[serde(default = "default_stale_window_ms")]
    pub stale_window_ms: u64,
    /// The file with its key; needs `features.encryption`. Default: the key of `encryption`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The passphrase that its key is made of, instead. Never shown.
    #[serde(default, skip_serializing)]
    pub passphrase: Option<Passphrase>,
    /// A file with that passphrase, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<String>,
    /// The invite that belongs to the passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
    /// Who may take part. Default: with encryption whoever has the key, otherwise anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership: Option<Box<MembershipConfig>>,
}

fn default_debounce_ms() -> u64 {
    DEFAULT_FILE_DEBOUNCE_MS
}

fn default_stale_window_ms() -> u64 {
    DEFAULT_STALE_WINDOW_MS
}

impl RepositoryConfig {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Object(object) => &object.name,
        }
    }

    /// The object, if it is one.
    pub(super) fn object(&self) -> Option<&RepositoryObject> {
        match self {
            Self::Name(_) => None,
            Self::Object(object) => Some(object),
        }
    }

    /// What is wrong with the options of its folder.
    fn problem(&self) -> Option<&'static str> {
        let RepositoryObject { path, author, branch, debounce_ms, stale_window_ms, .. } = self.object()?;
        if path.as_ref().is_some_and(|path| path.is_empty() || path.contains('\0')) {
            Some("path must name a folder")
        } else if path.is_none() && (author.is_some() || branch.is_some()) {
            Some("author and branch are of a folder; name its path")
        } else if !(1..=60_000).contains(debounce_ms) {
            Some("debounceMs must be 1 to 60000")
        } else if *stale_window_ms > 3_600_000 {
            Some("staleWindowMs must be 0 to 3600000")
        } else {
            None
        }
    }
}

/// What is turned on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "the features are switches")]
pub struct FeaturesConfig {
    /// Publish and take in edits as they are made. Default true.
    pub real_time_collaboration: bool,
    /// Catch up without being asked. Default true.
    pub auto_sync: bool,
    /// Tell others of this peer and learn of them. Default true.
    pub discovery: bool,
    /// Encrypt the repositories end to end. Default false.
    pub encryption: bool,
}

impl Default for FeaturesConfig {
    fn default() -> Self {
        Self { real_time_collaboration: true, auto_sync: true, discovery: true, encryption: false }
    }
}

fn default_prefix() -> String {
    "mind-git".to_owned()
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            // Written out for those who read the defaults; a configuration's own section begins without a port.
            broker: BrokerConfig { port: Some(BrokerConfig::default().port()), ..BrokerConfig::default() },
            repositories: Vec::new(),
            features: FeaturesConfig::default(),
            performance: PerformanceConfig::default(),
            topic_prefix: default_prefix(),
            capabilities: Vec::new(),
            storage: None,
            offline: Offline::default(),
            encryption: None,
        }
    }
}

impl ServiceConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// [`ServiceError::ConfigInvalid`] with everything that is wrong, each naming its field.
    pub fn from_json(json: &str) -> Result<Self, ServiceError> {
        let config = read_sections(json).map_err(ServiceError::ConfigInvalid)?;
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { Err(ServiceError::ConfigInvalid(problems)) }
    }

    /// The names of the repositories, in the given order. Empty when the configuration was not checked.
    #[must_use]
    pub fn repository_names(&self) -> Vec<RepositoryName> {
        self.repositories.iter().filter_map(|repository| RepositoryName::new(repository.name()).ok()).collect()
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        for problem in self.broker.problems() {
            check(false, problem);
        }
        let count = self.repositories.len();
        check(
            (1..=MAX_REPOSITORIES).contains(&count),
            format!("repositories must name 1 to {MAX_REPOSITORIES} repositories; it names {count}"),
        );
        let mut seen = std::collections::BTreeSet::new();
        for (index, repository) in self.repositories.iter().enumerate() {
            if let Err(error) = RepositoryName::new(repository.name()) {
                check(false, format!("repositories[{index}]: {error}"));
            }
            check(
                seen.insert(repository.name()),
                format!("repositories[{index}] names '{}' a second time", repository.name()),
            );
            if let Some(problem) = repository.problem() {
                check(false, format!("repositories[{index}]: {problem}"));
            }
            if let Some(problem) = repository.membership_problem(self.features.encryption) {
                check(false, format!("repositories[{index}].{problem}"));
            }
        }
        for problem in self.key_problems() {
            check(false, problem);
        }
        for problem in self.performance.problems(self.features.encryption) {
            check(false, problem);
        }
        let path = self.storage.as_ref().map(|storage| storage.path.as_str());
        check(
            path.is_none_or(|path| !path.is_empty() && !path.contains('\0')),
            "storage.path must name a directory".to_owned(),
        );
        if let Err(error) = TopicSpace::new(&self.topic_prefix) {
            check(false, format!("topicPrefix: {error}"));
        }
        problems
    }
}

/// Reads each section by itself, so that a message names the section that is wrong, and all that are.
fn read_sections(json: &str) -> Result<ServiceConfig, Vec<String>> {
    let value: Value = serde_json::from_str(json).map_err(|error| vec![format!("the configuration: {error}")])?;
    let Value::Object(fields) = value else {
        return Err(vec!["the configuration must be an object".to_owned()]);
    };
    let mut config = ServiceConfig::default();
    let mut problems = Vec::new();
    for (name, value) in fields {
        let result = match name.as_str() {
            "broker" => read(&name, value, &mut config.broker),
            "repositories" => read(&name, value, &mut config.repositories),
            "features" => read(&name, value, &mut config.features),
            "performance" => read(&name, value, &mut config.performance),
            "topicPrefix" => read(&name, value, &mut config.topic_prefix),
            "capabilities" => read(&name, value, &mut config.capabilities),
            "storage" => read(&name, value, &mut config.storage),
            "offline" => read(&name, value, &mut config.offline),
            // What serde says of another value would repeat it, and it may be a passphrase.
            "encryption" if !value.is_object() && !value.is_null() => Err("encryption: must be an object".to_owned()),
            "encryption" => read(&name, value, &mut config.encryption),
            _ => Err(format!("{name}: is not a known field")),
        };
        problems.extend(result.err());
    }
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// Reads one section; a message names the field within it.
fn read<T: serde::de::DeserializeOwned>(section: &str, value: Value, into: &mut T) -> Result<(), String> {
    *into = serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string().as_str() {
        "." => format!("{section}: {}", without_value(error.inner())),
        path if path.starts_with('[') => format!("{section}{path}: {}", without_value(error.inner())),
        path => format!("{section}.{path}: {}", without_value(error.inner())),
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> String {
        ServiceConfig::from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn the_guides_configuration_is_valid_and_missing_fields_take_their_defaults() {
        let config = ServiceConfig::from_json(
            r#"{"broker":{"host":"localhost","port":1883},"repositories":["my-repo",{"name":"other"}],
                "features":{"encryption":false},"performance":{"heartbeatInterval":5}}"#,
        )
        .unwrap();
        assert_eq!(config.repository_names().len(), 2);
        assert!(config.features.real_time_collaboration && config.features.auto_sync && config.features.discovery);
        assert_eq!(config.performance.heartbeat_interval, 5);
        assert_eq!(config.performance.max_message_size, 1 << 20);
    }

    #[test]
    fn every_problem_is_named_with_its_field() {
        let text = problems(r#"{"broker":{"port":0},"repositories":["a","a",""],"encryption":{"keyFile":"k"}}"#);
        for field in ["broker.port", "repositories[1]", "repositories[2]", "encryption.keyFile"] {
            assert!(text.contains(field), "{text}");
        }
        assert!(problems(r#"{"repositories":["a"],"storage":{}}"#).contains("storage"));
        assert!(problems(r#"{"repositories":["a"],"broker":{"hots":"x"}}"#).contains("hots"));
        assert!(problems(r#"{"repositories":["a"],"performance":{"maxMessageSize":"big"}}"#).contains("performance"));
        assert!(problems(r#"{"repositories":[{"path":"x"}]}"#).contains("repositories"));
        assert!(problems(r#"{"repositories":["a"],"broker":{"port":"1883"}}"#).contains("broker.port"));
        assert!(problems("[]").contains("object"));
    }

    #[test]
    fn a_password_is_never_shown() {
        let json = r#"{"repositories":["a"],"broker":{"username":"u","password":"hunter2"}}"#;
        let config = ServiceConfig::from_json(json).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
        for misplaced in [r#""mqtt://u:hunter2@h""#, r#"{"port":"hunter2"}"#, r#"{"protocol":"hunter2"}"#] {
            assert!(!problems(&format!(r#"{{"repositories":["a"],"broker":{misplaced}}}"#)).contains("hunter2"));
        }
    }
}
