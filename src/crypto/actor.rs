//! Actors that say whose they are.
//!
//! A peer's Automerge actor is 8 random bytes and the first 16 of SHA-256(label, its public key, those 8 bytes). So nobody
//! can use another's actor, or use up its sequence numbers, and no table of who came first is needed.

use sha2::{Digest, Sha256};

use crate::ids::PeerId;

/// Length of a peer's actor. Automerge derives longer ones from it, which end with it, for edits at an older version.
pub const OWNED_ACTOR_BYTES: usize = 24;
/// Random bytes in it.
pub const ACTOR_NONCE_BYTES: usize = 8;

/// Separates these hashes from all other uses of SHA-256.
const LABEL: &[u8] = b"mind-git/mqtt-p2p/actor/v1";

/// The actor of a peer that begins with these random bytes.
#[must_use]
pub fn actor_of(owner: &PeerId, nonce: [u8; ACTOR_NONCE_BYTES]) -> [u8; OWNED_ACTOR_BYTES] {
    let digest = Sha256::new().chain_update(LABEL).chain_update(owner.0).chain_update(nonce).finalize();
    let mut actor = [0; OWNED_ACTOR_BYTES];
    let (begin, end) = actor.split_at_mut(ACTOR_NONCE_BYTES);
    begin.copy_from_slice(&nonce);
    end.copy_from_slice(&digest[..OWNED_ACTOR_BYTES - ACTOR_NONCE_BYTES]);
    actor
}

/// Whether an actor is this peer's, or one that Automerge derived from such a one.
#[must_use]
pub fn owns(owner: &PeerId, actor: &[u8]) -> bool {
    let Some(own) = actor.last_chunk::<OWNED_ACTOR_BYTES>() else { return false };
    own.first_chunk().is_some_and(|nonce| actor_of(owner, *nonce) == *own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_its_owners_alone() {
        let (alice, bob) = (PeerId([1; 32]), PeerId([2; 32]));
        let actor = actor_of(&alice, [7; 8]);
        assert!(owns(&alice, &actor) && !owns(&bob, &actor));
        assert!(owns(&alice, &[b"\x12\x34\x56\x78\x01", actor.as_slice()].concat()), "what Automerge derives");
        assert!(!owns(&alice, &actor[1..]) && !owns(&alice, &[actor.as_slice(), b"x"].concat()));
        for bit in 0..8 * actor.len() {
            let mut other = actor;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!owns(&alice, &other), "bit {bit}");
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let digest = Sha256::digest([b"mind-git/mqtt-p2p/actor/v1".as_slice(), &[1; 32], &[7; 8]].concat());
        assert_eq!(actor_of(&PeerId([1; 32]), [7; 8]), [&[7; 8], &digest[..16]].concat()[..]);
    }
}
