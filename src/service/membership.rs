//! Who may take part in a repository, as the configuration says it, and as it was before.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::{RepositoryConfig, ServiceConfig};
use super::error::ServiceError;
use crate::drivers::storage::{pin_root, pinned_root};
use crate::ids::{PeerId, RepositoryName};
use crate::sync::Root;

/// Who may take part in a repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MembershipConfig {
    /// Who.
    pub mode: MembershipMode,
    /// With `members`: the peer id of the first admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// With `members`, in place of `root`: whoever is said to be the first admin when the repository is first read. Default
    /// false.
    #[serde(default)]
    pub trust_on_first_use: bool,
}

/// Who may take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MembershipMode {
    /// Anybody whom the broker lets in; the default without encryption.
    Open,
    /// Whoever has the repository's key; the default with encryption.
    Key,
    /// Those whom admins say to be members.
    Members,
}

impl RepositoryConfig {
    fn membership(&self) -> Option<&MembershipConfig> {
        self.object()?.membership.as_deref()
    }

    /// What is wrong with what is said about members.
    pub(super) fn membership_problem(&self, encrypted: bool) -> Option<String> {
        let MembershipConfig { mode, root, trust_on_first_use } = self.membership()?;
        let is_root = |root: &String| root.parse::<PeerId>().is_ok();
        let problem = match mode {
            MembershipMode::Open if encrypted => "mode 'open' and features.encryption exclude each other",
            MembershipMode::Key if !encrypted => "mode 'key' needs features.encryption: true",
            MembershipMode::Open | MembershipMode::Key if root.is_some() || *trust_on_first_use => {
                "root and trustOnFirstUse are for mode 'members'"
            }
            MembershipMode::Members if root.is_some() == *trust_on_first_use => {
                "mode 'members' needs root, the peer id of the first admin, or trustOnFirstUse: true"
            }
            MembershipMode::Members if !root.as_ref().is_none_or(is_root) => "root must be a peer id, such as z6Mk…",
            _ => return None,
        };
        Some(format!("membership: {problem}"))
    }

    fn root(&self) -> Option<Root> {
        let membership = self.membership().filter(|membership| membership.mode == MembershipMode::Members)?;
        Some(membership.root.as_ref().and_then(|root| root.parse().ok()).map_or(Root::FirstUse, Root::Known))
    }
}

impl ServiceConfig {
    /// The first admin of a repository, if only members take part.
    pub(super) fn root_of(&self, repository: &RepositoryName) -> Option<Root> {
        let names = self.repository_names().into_iter().zip(&self.repositories);
        names.filter(|(name, _)| name == repository).find_map(|(_, config)| config.root())
    }
}

/// The root that counts, given what the data directory knows; what is new is pinned there. Blocks.
///
/// # Errors
/// [`ServiceError::MembershipRoot`]: it was another one before.
pub(super) fn settle_root(directory: &Path, repository: &RepositoryName, root: Root) -> Result<Root, ServiceError> {
    match (root, pinned_root(directory, repository)?) {
        (Root::FirstUse, pinned) => Ok(pinned.map_or(Root::FirstUse, Root::Known)),
        (Root::Known(named), Some(pinned)) if named != pinned => {
            Err(ServiceError::MembershipRoot { repository: repository.clone(), named, pinned })
        }
        (Root::Known(named), pinned) => {
            if pinned.is_none() {
                pin_root(directory, repository, &named)?;
            }
            Ok(root)
        }
    }
}
