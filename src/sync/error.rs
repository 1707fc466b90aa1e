//! What can go wrong in a repository, with the stable code that applications see.

use thiserror::Error;

use crate::canvas::CanvasError;
use crate::ids::{CanvasId, DocumentId, PeerId, RepositoryName};
use crate::limits::MAX_EPOCH_RECIPIENTS;

/// Why a call failed, or what an `error` event reports.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SyncError {
    /// No such canvas.
    #[error("repository '{repository}' has no canvas '{canvas}'; create it, or wait until it has been synchronised")]
    CanvasNotFound {
        /// The repository asked.
        repository: RepositoryName,
        /// The id asked for.
        canvas: CanvasId,
    },
    /// The id is taken.
    #[error("repository '{repository}' already has a canvas '{canvas}'; update it, or choose another id")]
    CanvasExists {
        /// The repository asked.
        repository: RepositoryName,
        /// The id that is taken.
        canvas: CanvasId,
    },
    /// The canvas or patch was refused, and nothing was changed.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
    /// A message of the application is larger than allowed.
    #[error("{what} has {bytes} bytes; at most {max_bytes} are allowed")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The cap.
        max_bytes: usize,
    },
    /// A feature that the configuration turned off.
    #[error("this needs features.{feature}, which the configuration turned off")]
    FeatureDisabled {
        /// Its name in the configuration.
        feature: &'static str,
    },
    /// The broker refused a subscription, or acknowledges a topic without delivering it.
    #[error(
        "the broker does not let us use '{topic}' ({reason}); check its access rules for this user, and its limit of subscriptions"
    )]
    BrokerRejected {
        /// The topic or filter.
        topic: String,
        /// What was seen.
        reason: &'static str,
    },
    /// Something that makes sense only on a connection.
    #[error("there is no connection to the broker at the moment; try again after 'connected'")]
    Offline,
    /// The repository has left the network.
    #[error("the service has been disconnected; create a new one")]
    Closed,
    /// Storage could not keep an edit; it is made, goes to the others, and is stored as soon as that works.
    #[error("the edit is made but not durable yet ({reason}); it is kept in memory and stored as soon as that works")]
    NotDurable {
        /// What storage said.
        reason: String,
    },
    /// Storage no longer gives back all of a document.
    #[error("storage has lost part of {document} ({reason}); check the disk, and see 'mqtt-p2p recover'")]
    NotRead {
        /// Which document.
        document: DocumentId,
        /// What was seen, and what happens now.
        reason: &'static str,
    },
    /// Somebody in the repository of this name uses another key.
    #[error(
        "others in repository '{repository}' use another key, and neither they nor this peer see what the other does; give \
         all the same key file, or passphrase and invite"
    )]
    OtherKey {
        /// The repository.
        repository: RepositoryName,
    },
    /// Only a member may do this.
    #[error(
        "in repository '{repository}' this needs a member that is {needed}; an admin says who is (mqtt-p2p members)"
    )]
    NotAMember {
        /// The repository.
        repository: RepositoryName,
        /// Which role it takes, in words.
        needed: &'static str,
    },
    /// Something that depends on whether only members take part.
    #[error("repository '{repository}': {reason}")]
    Membership {
        /// The repository.
        repository: RepositoryName,
        /// What stands in the way, and what to do.
        reason: &'static str,
    },
    /// Something of a document that was there before is not to be had any more.
    #[error(
        "{document} may have been rolled back: {reason}. Nothing that is here is lost; connect the peers that have the newest \
         state, and ask whoever runs the broker if it does not come back"
    )]
    RolledBack {
        /// Which document.
        document: DocumentId,
        /// What was seen.
        reason: &'static str,
    },
    /// The key of a repository was replaced, and not for this peer.
    #[error(
        "the key of repository '{repository}' has been replaced (epoch {epoch}), and the new one was not made for this peer; it \
         sees nothing of what the others do from now on: ask them for the new key"
    )]
    KeyReplaced {
        /// The repository.
        repository: RepositoryName,
        /// How often its key has been replaced.
        epoch: u64,
    },
    /// A canvas of another repository is shared with ours no longer.
    #[error(
        "canvas '{canvas}' is no longer shared with repository '{repository}'; what is here stays, and nobody else sees what is \
         edited from now on"
    )]
    ShareEnded {
        /// Our repository.
        repository: RepositoryName,
        /// Which canvas.
        canvas: CanvasId,
    },
    /// A canvas that lives in another repository was to be shared no longer.
    #[error(
        "canvas '{canvas}' lives in repository '{origin}', whose peers alone can end that it is shared; to have it here no \
         longer, delete it here"
    )]
    OfAnother {
        /// Which canvas.
        canvas: CanvasId,
        /// Where it lives.
        origin: RepositoryName,
    },
    /// One more canvas was to be shared.
    #[error("repository '{repository}' has {max} shared canvases, and can have no more; delete some")]
    TooManyShares {
        /// The repository.
        repository: RepositoryName,
        /// The cap.
        max: usize,
    },
    /// A canvas was to be shared, out of or into a repository whose key was replaced.
    #[error(
        "the key of repository '{repository}' has been replaced, so that others no longer have the same; let this peer take part in \
         the other repository, too, and share the canvas then"
    )]
    OtherKeySince {
        /// The repository.
        repository: RepositoryName,
    },
    /// A document has grown to what it may.
    #[error(
        "{document} has grown to the most that it may, and is followed no further; what is here stays readable. {}",
        advice(document)
    )]
    Full {
        /// Which document.
        document: DocumentId,
    },
    /// There are as many canvases as there may be.
    #[error(
        "repository '{repository}' has {max} canvases, and further ones are not followed; delete some, or put others into another \
         repository"
    )]
    TooManyCanvases {
        /// The repository.
        repository: RepositoryName,
        /// The cap.
        max: usize,
    },
    /// The key was to be replaced, but that has just happened.
    #[error(
        "somebody else has just replaced the key of repository '{repository}'; look who stays, and replace it again"
    )]
    EpochMoved {
        /// The repository.
        repository: RepositoryName,
    },
    /// A new key was to be made for what is no peer.
    #[error("no key can be made for {peer}: it is no peer id; nothing was replaced")]
    NotARecipient {
        /// What was given.
        peer: PeerId,
    },
    /// A new key was to be made for too many.
    #[error(
        "a key for {recipients} peers does not fit one message; raise performance.maxMessageSize, or replace it for at most \
         {MAX_EPOCH_RECIPIENTS}"
    )]
    TooManyRecipients {
        /// How many there are, this one included.
        recipients: usize,
    },
    /// A bounded list of ours is full.
    #[error("too many {what} wait already (at most {max}); try again when some have finished")]
    Busy {
        /// What waits.
        what: &'static str,
        /// The cap.
        max: usize,
    },
}

impl SyncError {
    /// The stable code under which applications know this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::CanvasNotFound { .. } => "ERR_CANVAS_NOT_FOUND",
            Self::CanvasExists { .. } => "ERR_CANVAS_EXISTS",
            Self::Canvas(CanvasError::TooLarge { .. })
            | Self::TooLarge { .. }
            | Self::TooManyShares { .. }
            | Self::Full { .. }
            | Self::TooManyCanvases { .. } => "ERR_PAYLOAD_TOO_LARGE",
            Self::Canvas(_) => "ERR_CANVAS_INVALID",
            Self::FeatureDisabled { .. } | Self::Membership { .. } | Self::OfAnother { .. } => "ERR_FEATURE_DISABLED",
            Self::BrokerRejected { .. } => "ERR_BROKER_REJECTED",
            Self::Offline => "ERR_BROKER_UNREACHABLE",
            Self::Closed => "ERR_CLOSED",
            Self::NotRead { .. } => "ERR_STORAGE_CORRUPT",
            Self::NotDurable { .. } => "ERR_STORAGE_FULL",
            Self::OtherKey { .. }
            | Self::KeyReplaced { .. }
            | Self::OtherKeySince { .. }
            | Self::EpochMoved { .. }
            | Self::NotARecipient { .. }
            | Self::TooManyRecipients { .. } => "ERR_ENCRYPTION_KEY",
            Self::NotAMember { .. } => "ERR_NOT_A_MEMBER",
            Self::ShareEnded { .. } => "ERR_SHARE_ENDED",
            Self::RolledBack { .. } => "ERR_ROLLBACK_SUSPECTED",
            Self::Busy { .. } => "ERR_RATE_LIMITED",
        }
    }
}

fn advice(full: &DocumentId) -> &'static str {
    match full {
        DocumentId::Canvas { .. } => {
            "Create a canvas of what it holds, under another id, and delete this one; if somebody did that on purpose, have the \
             broker or an admin shut them out"
        }
        DocumentId::Index { .. } => {
            "It is the list of canvases: begin a new repository; if somebody did that on purpose, have the broker or an admin shut \
             them out"
        }
    }
}
