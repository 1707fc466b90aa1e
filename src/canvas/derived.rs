//! Changes that are the same on every peer that makes them, because their actor is derived from their content.
//!
//! Such a change has the actor SHA-256(label, body with an actor of zeros), sequence number 1, time 0 and no author.
//! Whoever receives one checks that, or anyone could use these actors to keep peers apart for ever.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{ActorId, Change, ChangeHash};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::canvas::chunk::{self, CHANGE};

/// Length of an actor that is derived from its change; other actors have other lengths.
pub(crate) const DERIVED_ACTOR_BYTES: usize = 32;

/// Separates these hashes from all other uses of SHA-256.
const LABEL: &[u8] = b"mind-git mqtt-p2p content-derived change 1\n";

/// Why bytes were refused as a change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// Not an uncompressed, well-formed change chunk within the limits.
    #[error("not a valid change: {0}")]
    Malformed(String),
    /// The actor claims to be derived from the content and is not.
    #[error("the change's actor is not derived from its content")]
    NotDerived,
}

/// The actor under which a change is encoded before its own is derived.
pub(crate) fn zero_actor() -> ActorId {
    ActorId::from([0; DERIVED_ACTOR_BYTES])
}

/// Reads a change that came from elsewhere. Refuses Automerge's compressed chunks and columns, which can inflate to
/// gigabytes, and content-derived changes that are none.
///
/// # Errors
/// [`ChangeError`]; the bytes are to be dropped.
pub fn decode_change(bytes: Vec<u8>) -> Result<Change, ChangeError> {
    chunk::check_change(&bytes).map_err(|reason| ChangeError::Malformed(reason.to_owned()))?;
    let declared: [u8; 4] = bytes.get(4..8).and_then(|checksum| checksum.try_into().ok()).unwrap_or_default();
    // Automerge panics on some inputs that pass every check above.
    let change = catch_unwind(AssertUnwindSafe(|| Change::from_bytes(bytes)))
        .map_err(|_| ChangeError::Malformed("the decoder panicked".into()))?
        .map_err(|error| ChangeError::Malformed(error.to_string()))?;
    if !change.hash().0.starts_with(&declared) {
        return Err(ChangeError::Malformed("the checksum is wrong".into()));
    }
    verify(&change)?;
    Ok(change)
}

/// Whether a change's actor claims to be derived from it, which [`decode_change`] has checked then.
#[must_use]
pub fn is_derived(change: &Change) -> bool {
    change.actor_id().to_bytes().len() == DERIVED_ACTOR_BYTES
}

/// Checks a change whose actor claims to be derived; passes all others.
pub(crate) fn verify(change: &Change) -> Result<(), ChangeError> {
    if !is_derived(change) {
        return Ok(());
    }
    let plain = change.seq() == 1 && change.timestamp() == 0 && change.message().is_none();
    match with_derived_actor(change) {
        Some(bytes) if plain && bytes == change.raw_bytes() => Ok(()),
        _ => Err(ChangeError::NotDerived),
    }
}

/// Gives a change that was encoded with the [`zero_actor`] its own.
pub(crate) fn derive(change: &Change) -> Result<Change, ChangeError> {
    let bytes = with_derived_actor(change).ok_or(ChangeError::NotDerived)?;
    Change::from_bytes(bytes).map_err(|error| ChangeError::Malformed(error.to_string()))
}

/// The chunk with the actor that follows from the rest of it.
fn with_derived_actor(change: &Change) -> Option<Vec<u8>> {
    let (kind, body) = chunk::split(change.raw_bytes())?;
    let body = derived_body(body)?;
    (kind == CHANGE).then(|| chunk::join(CHANGE, &body))
}

fn derived_body(body: &[u8]) -> Option<Vec<u8>> {
    let actor = actor_range(body)?;
    let mut body = body.to_vec();
    body.get_mut(actor.clone())?.fill(0);
    let derived = Sha256::new().chain_update(LABEL).chain_update(&body).finalize();
    body.get_mut(actor)?.copy_from_slice(&derived);
    Some(body)
}

/// Whether the actor of a change's chunk with this body follows from the rest of it.
pub(crate) fn is_derived_body(body: &[u8]) -> bool {
    derived_body(body).is_some_and(|derived| derived == body)
}

/// Where a change's actor stands: after the count of dependencies and their hashes.
fn actor_range(body: &[u8]) -> Option<Range<usize>> {
    let mut rest = body;
    let dependencies = usize::try_from(chunk::read_uleb(&mut rest)?).ok()?;
    rest = rest.get(dependencies.checked_mul(size_of::<ChangeHash>())?..)?;
    let length = usize::try_from(chunk::read_uleb(&mut rest)?).ok()?;
    let start = body.len() - rest.len();
    (length == DERIVED_ACTOR_BYTES && rest.len() >= length).then_some(start..start + length)
}
