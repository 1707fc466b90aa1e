//! Identity, actors and signatures, and the keys of encrypted repositories: pure, every random number is passed in.

pub mod actor;
pub mod identity;
pub mod name_tag;
pub mod passphrase;
pub mod repository;
pub mod secret;
pub mod wrapping;

pub use actor::{actor_of, owns};
pub use identity::Identity;
pub use name_tag::NameTag;
pub use passphrase::{Invite, Passphrase, PassphraseError};
pub use repository::{KeyId, RepositoryKeys};
pub use secret::RootSecret;
pub use wrapping::{WrapError, Wrapping, unwrap_secret};
