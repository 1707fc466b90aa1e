//! Where those meet who call a repository by the same name, whatever their keys.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};

use crate::limits::{NAME_TAG_MEMORY_KIB, NAME_TAG_PASSES};

/// Begins what is hashed, so that the tag fits no other purpose.
const SALT: &[u8] = b"mind-git/mqtt-p2p/name-tag/v1";

/// A slow hash of a repository's name. Whoever sees it can test guesses of the name, at the cost of an Argon2id each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameTag(pub [u8; 16]);

impl NameTag {
    /// Computes the tag of a name with Argon2id (RFC 9106); takes some milliseconds and [`NAME_TAG_MEMORY_KIB`].
    #[must_use]
    pub fn of(repository: &str) -> Self {
        let mut tag = [0; 16];
        // It fails for names of 4 GiB and the like only; then all have the tag of zeros, and meet there.
        if let Ok(parameters) = Params::new(NAME_TAG_MEMORY_KIB, NAME_TAG_PASSES, 1, Some(tag.len())) {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
            let hashed = argon2.hash_password_into(repository.as_bytes(), SALT, &mut tag);
            debug_assert!(hashed.is_ok());
        }
        Self(tag)
    }
}

impl fmt::Display for NameTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for NameTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_that_of_its_name() {
        assert_eq!(NameTag::of("team"), NameTag::of("team"));
        assert_ne!(NameTag::of("team"), NameTag::of("Team"));
        assert_ne!(NameTag::of("team"), NameTag([0; 16]));
    }
}
