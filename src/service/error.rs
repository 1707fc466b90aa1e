//! What can go wrong in a service, with the stable code that applications see.

use thiserror::Error;

use crate::canvas::CanvasError;
use crate::drivers::storage::{EpochFileError, KeyFileError, StorageError};
use crate::ids::{IdError, PeerId, RepositoryName};
use crate::sync::SyncError;

/// Why a call of the service failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServiceError {
    /// The configuration is not valid; the message names the fields.
    #[error("{}", .0.join("; "))]
    ConfigInvalid(Vec<String>),
    /// A call came before `initialize()`.
    #[error("the service is not connected yet; call initialize() and wait for it first")]
    NotInitialized,
    /// A call came after `disconnect()`.
    #[error("the service has been disconnected; create a new one")]
    Closed,
    /// No broker answered in time.
    #[error("no MQTT broker answered at {address} within {timeout_ms} ms ({reason}); is it running and reachable?")]
    BrokerUnreachable {
        /// Host and port.
        address: String,
        /// How long it was tried.
        timeout_ms: u64,
        /// What the last attempt met.
        reason: String,
    },
    /// The broker answered and refused, or could not be trusted.
    #[error("the connection to the MQTT broker at {address} was refused: {reason}")]
    BrokerRejected {
        /// Host and port.
        address: String,
        /// Why, in words.
        reason: String,
    },
    /// The service does not take part in this repository.
    #[error("'{0}' is not one of this service's repositories; add it to 'repositories' in the configuration")]
    RepositoryUnknown(String),
    /// An id or name is empty or too long.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Text that should be JSON is none, or has a field of the wrong kind.
    #[error("{what} is not valid: {reason}")]
    BadArgument {
        /// What was passed.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Too many calls wait already.
    #[error("{waiting} calls wait already; await some before making more")]
    RateLimited {
        /// How many.
        waiting: usize,
    },
    /// Something did not happen in time.
    #[error("{what} took longer than {timeout_ms} ms; check the connection with healthCheck()")]
    Timeout {
        /// What did not happen.
        what: &'static str,
        /// How long it was waited for.
        timeout_ms: u64,
    },
    /// Somebody else uses the data directory.
    #[error("{0}")]
    StorageLocked(StorageError),
    /// What the data directory holds cannot be read.
    #[error("{0}")]
    StorageCorrupt(StorageError),
    /// The data directory cannot be written to.
    #[error("{0}; make room, or mend what is in the way")]
    StorageFull(StorageError),
    /// A repository's key cannot be used, or is not the one that is needed.
    #[error("{0}")]
    EncryptionKey(String),
    /// The first admin of a repository is not who it was.
    #[error(
        "the first admin of repository '{repository}' was {pinned} when this data directory was first used, and is now said to \
         be {named}; if that is meant, use another data directory"
    )]
    MembershipRoot {
        /// Which repository.
        repository: RepositoryName,
        /// Who is named now.
        named: PeerId,
        /// Who it was.
        pinned: PeerId,
    },
    /// A repository's own error.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

impl From<CanvasError> for ServiceError {
    fn from(error: CanvasError) -> Self {
        Self::Sync(error.into())
    }
}

impl From<KeyFileError> for ServiceError {
    fn from(error: KeyFileError) -> Self {
        Self::EncryptionKey(error.to_string())
    }
}

impl From<EpochFileError> for ServiceError {
    fn from(error: EpochFileError) -> Self {
        Self::EncryptionKey(error.to_string())
    }
}

impl From<StorageError> for ServiceError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Locked { .. } => Self::StorageLocked(error),
            StorageError::Corrupt { .. } | StorageError::Unreadable { .. } => Self::StorageCorrupt(error),
            StorageError::Io { kind: std::io::ErrorKind::NotFound, .. } => {
                Self::ConfigInvalid(vec![format!("storage.path: {error}")])
            }
            // Nothing is damaged, and nothing is to be recovered: it is the wrong directory for this version.
            StorageError::NewerFormat { .. } => Self::ConfigInvalid(vec![format!("storage.path: {error}")]),
            StorageError::Full { .. } | StorageError::Io { .. } => Self::StorageFull(error),
            StorageError::Closed => Self::Closed,
        }
    }
}

impl ServiceError {
    /// The stable code under which applications know this error; `docs/errors.md` gives cause and remedy of each.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ConfigInvalid(_) => "ERR_CONFIG_INVALID",
            Self::NotInitialized => "ERR_NOT_INITIALIZED",
            Self::Closed => "ERR_CLOSED",
            Self::BrokerUnreachable { .. } => "ERR_BROKER_UNREACHABLE",
            Self::BrokerRejected { .. } => "ERR_BROKER_REJECTED",
            Self::RepositoryUnknown(_) => "ERR_REPOSITORY_UNKNOWN",
            Self::Id(_) | Self::BadArgument { .. } => "ERR_CANVAS_INVALID",
            Self::RateLimited { .. } => "ERR_RATE_LIMITED",
            Self::Timeout { .. } => "ERR_TIMEOUT",
            Self::StorageLocked(_) => "ERR_STORAGE_LOCKED",
            Self::StorageCorrupt(_) => "ERR_STORAGE_CORRUPT",
            Self::StorageFull(_) => "ERR_STORAGE_FULL",
            Self::EncryptionKey(_) => "ERR_ENCRYPTION_KEY",
            Self::MembershipRoot { .. } => "ERR_MEMBERSHIP_ROOT",
            Self::Sync(error) => error.code(),
        }
    }
}
