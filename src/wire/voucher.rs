//! An owner's word for its changes (`docs/protocol.md`, section 10.3).
//!
//! An envelope vouches for who sent it, and changes are relayed by others. So the owner of an actor signs which change is
//! the actor's newest; by the hashes in it that covers all earlier ones of the actor. A live message of one such change
//! needs no signature of its own for that: the envelope's says both, and can be shown to others without the envelope.

use automerge::{ActorId, ChangeHash};
use sha2::{Digest, Sha256};

use crate::crypto::actor::owns;
use crate::crypto::identity::{Identity, SIGNATURE_BYTES, VerifyError, verify};
use crate::ids::{DocumentId, PeerId};
use crate::wire::topics::Topic;

/// Length of the digests here.
pub const DIGEST_BYTES: usize = 32;

/// Begins what a voucher's digest is of.
const STATEMENT_DOMAIN: &[u8] = b"mind-git/mqtt-p2p/voucher/v1";
/// Begins everything that an owner signs to vouch.
const SIGNATURE_DOMAIN: &[u8] = b"mind-git/mqtt-p2p/vouched/v1";
/// In place of an envelope's digest where there is none.
const NO_ENVELOPE: [u8; DIGEST_BYTES] = [0; DIGEST_BYTES];

/// What a voucher says, as a digest: this change is the newest of this actor in this document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Statement(pub [u8; DIGEST_BYTES]);

impl Statement {
    /// That of an actor's change with this number and hash.
    #[must_use]
    pub fn new(document: &DocumentId, actor: &ActorId, sequence: u64, hash: &ChangeHash) -> Self {
        let path = Topic::Changes(document.clone()).plain_path();
        let mut digest = Sha256::new().chain_update(STATEMENT_DOMAIN);
        for part in [path.as_bytes(), actor.to_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.chain_update(sequence.to_be_bytes()).chain_update(hash.0).finalize().into())
    }

    /// What an owner signs to say it, together with an envelope or by itself.
    pub(super) fn signature_input(&self, envelope: &[u8; DIGEST_BYTES]) -> Vec<u8> {
        [SIGNATURE_DOMAIN, envelope, &self.0].concat()
    }
}

/// The signature of an envelope that vouches for its newest change, as it can be shown without the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeProof {
    /// What the envelope vouches for.
    pub statement: Statement,
    /// The digest of what an envelope's signature covers otherwise.
    pub envelope: [u8; DIGEST_BYTES],
    /// The signature over both.
    pub signature: [u8; SIGNATURE_BYTES],
}

/// An owner's word for its newest change, and by the hashes in it for all changes of the same actor before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// The Automerge actor.
    pub actor: ActorId,
    /// The sequence number of the change.
    pub sequence: u64,
    /// The change's hash.
    pub hash: ChangeHash,
    /// Who owns the actor.
    pub owner: PeerId,
    /// The digest of the envelope that the signature covers too; zeros if there is none.
    pub envelope: [u8; DIGEST_BYTES],
    /// The owner's signature over both.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Voucher {
    /// Signs that a change is the newest of an own actor.
    #[must_use]
    pub fn sign(identity: &Identity, document: &DocumentId, actor: ActorId, sequence: u64, hash: ChangeHash) -> Self {
        let input = Statement::new(document, &actor, sequence, &hash).signature_input(&NO_ENVELOPE);
        let signature = identity.sign(&input);
        Self { actor, sequence, hash, owner: identity.peer(), envelope: NO_ENVELOPE, signature }
    }

    /// Checks that the actor is the owner's, and that the owner signed this for the document.
    ///
    /// # Errors
    /// [`VerifyError`]; the voucher says nothing then.
    pub fn verify(&self, document: &DocumentId) -> Result<(), VerifyError> {
        if !owns(&self.owner, self.actor.to_bytes()) {
            return Err(VerifyError::InvalidKey);
        }
        let statement = Statement::new(document, &self.actor, self.sequence, &self.hash);
        verify(&self.owner, &statement.signature_input(&self.envelope), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::actor_of;
    use crate::ids::{CanvasId, Generation, RepositoryName};

    fn document(canvas: &str) -> DocumentId {
        DocumentId::Canvas {
            repository: RepositoryName::new("r").unwrap(),
            canvas: CanvasId::new(canvas).unwrap(),
            generation: Generation(1),
        }
    }

    #[test]
    fn a_voucher_holds_for_what_it_says_and_nothing_else() {
        let identity = Identity::from_seed([1; 32]);
        let actor = ActorId::from(actor_of(&identity.peer(), [7; 8]));
        let voucher = Voucher::sign(&identity, &document("a"), actor, 3, ChangeHash([4; 32]));
        assert_eq!(voucher.verify(&document("a")), Ok(()));
        assert!(voucher.verify(&document("b")).is_err());
        let other = ActorId::from(actor_of(&identity.peer(), [8; 8]));
        let altered = [
            Voucher { sequence: 4, ..voucher.clone() },
            Voucher { hash: ChangeHash([5; 32]), ..voucher.clone() },
            Voucher { actor: other, ..voucher.clone() },
            Voucher { owner: Identity::from_seed([2; 32]).peer(), ..voucher.clone() },
            Voucher { envelope: [1; 32], ..voucher.clone() },
            Voucher { signature: [0; 64], ..voucher.clone() },
        ];
        assert!(altered.iter().all(|voucher| voucher.verify(&document("a")).is_err()));
    }

    #[test]
    fn nobody_vouches_for_an_actor_of_another() {
        let (alice, bob) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let actor = ActorId::from(actor_of(&alice.peer(), [7; 8]));
        let forged = Voucher::sign(&bob, &document("a"), actor, 1, ChangeHash([4; 32]));
        assert_eq!(forged.verify(&document("a")), Err(VerifyError::InvalidKey));
    }
}
