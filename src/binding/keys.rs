//! `createKeyFile` and `createInvite`.

use napi_derive::napi;
use zeroize::Zeroizing;

use super::errors::{Coded, coded};
use crate::crypto::passphrase::SALT_BYTES;
use crate::crypto::{Invite, RootSecret};
use crate::drivers::storage::create_key;
use crate::service::ServiceError;

/// Makes a new key, and a file of mode 0600 with it, which must not exist yet. One small file: it blocks for a moment.
#[napi]
pub fn create_key_file(path: String) -> napi::Result<(), String> {
    super::logging::init();
    let mut secret = Zeroizing::new([0; 32]);
    fill(&mut *secret)?;
    create_key(path.as_ref(), &RootSecret::new(*secret)).map_err(|error| coded(&ServiceError::from(error)))
}

/// Makes a new invite, of which a passphrase makes a key.
#[napi]
pub fn create_invite() -> napi::Result<String, String> {
    let mut salt = [0; SALT_BYTES];
    fill(&mut salt)?;
    Ok(Invite::new(salt).to_string())
}

pub(super) fn fill(bytes: &mut [u8]) -> napi::Result<(), String> {
    getrandom::fill(bytes)
        .map_err(|error| Coded::new("ERR_ENCRYPTION_KEY".to_owned(), format!("no randomness: {error}")))
}
