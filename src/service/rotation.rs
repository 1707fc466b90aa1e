//! Replacing a repository's key.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::error::ServiceError;
use super::manager::P2PNetworkManager;
use crate::crypto::RootSecret;
use crate::drivers::storage::create_key;
use crate::ids::PeerId;
use crate::sync::{Command, Reply, SyncError};

/// Who gets the new key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RotationOptions {
    /// Ids of the peers that stay; this one does in any case.
    recipients: Vec<String>,
    /// A new file that gets the new key.
    #[serde(default)]
    key_file: Option<PathBuf>,
}

impl P2PNetworkManager {
    /// Replaces the key of a repository; `secret` are 32 bytes from the operating system. The file, if one is named, is written
    /// first, and taken away again if the key is not replaced.
    ///
    /// # Errors
    /// The call was not taken, the options are no valid JSON, or name what is no peer.
    pub fn rotate_key(
        &self,
        call: u64,
        repository: &str,
        options: &str,
        secret: Zeroizing<[u8; 32]>,
    ) -> Result<(), ServiceError> {
        self.check_open()?;
        self.repository(repository)?;
        let options: RotationOptions = serde_json::from_str(options)
            .map_err(|error| ServiceError::BadArgument { what: "rotateKey's options", reason: error.to_string() })?;
        let peer = |text: &String| {
            text.parse::<PeerId>()
                .map_err(|error| ServiceError::EncryptionKey(format!("recipients: {text:?} is {error}")))
        };
        let peers = options.recipients.iter().map(peer).collect::<Result<Vec<_>, _>>()?;
        let (repository, file) = (repository.to_owned(), options.key_file);
        self.run(call, |this| async move {
            let repository = this.repository(&repository)?;
            let Reply::Epoch(epoch) = Self::ask(repository, Command::DescribeKey).await? else {
                return Err(SyncError::Closed.into());
            };
            let secret = RootSecret::of_epoch(*secret, epoch.saturating_add(1));
            let secret = match file.clone() {
                Some(path) => write(path, secret).await?,
                None => secret,
            };
            match Self::ask(repository, Command::RotateKey { secret, peers }).await {
                Ok(Reply::Epoch(epoch)) => Ok(json!({ "epoch": epoch }).to_string()),
                refused => {
                    // It is of no use: nothing is encrypted with that key.
                    let _ = tokio::task::spawn_blocking(move || file.map(std::fs::remove_file)).await;
                    refused.and(Err(SyncError::Closed.into()))
                }
            }
        })
    }
}

async fn write(path: PathBuf, secret: RootSecret) -> Result<RootSecret, ServiceError> {
    let writing = tokio::task::spawn_blocking(move || create_key(Path::new(&path), &secret).map(|()| secret));
    // It panics only if the runtime ends.
    Ok(writing.await.map_err(|_| ServiceError::Closed)??)
}
