//! The wire protocol, as values and bytes: pure, bounded, specified in `docs/protocol.md`.
//!
//! Outgoing: [`messages::Body`] → [`sealed::seal_on`] → one MQTT payload, or several fragments, for the topic that
//! [`topics::TopicSpace::format`] names.
//!
//! Incoming: [`read`], in which own echoes end, and which verifies; then [`fragments::Reassembler::add`] where the content
//! is a fragment.
//!
//! In encrypted repositories [`seal_on`] and [`read`] encrypt and decrypt as well (`sealed.rs`).

pub mod describe;
pub mod envelope;
pub mod epoch_record;
pub mod error;
pub mod fragments;
pub mod header;
pub mod member;
pub mod messages;
pub mod party;
pub mod sealed;
pub mod share;
pub mod topics;
pub mod voucher;

mod codec;
mod compress;
mod gate;
mod keyring;
mod kind;
mod padding;

pub use codec::{decode_saved, decode_voucher, encode_saved, encode_voucher};
pub use describe::{Description, Standing, describe};
pub use envelope::{Content, Opened, Stamp, open, peek, seal};
pub use epoch_record::{EpochRecord, Recipient};
pub use error::WireError;
pub use fragments::Reassembler;
pub use gate::Gate;
pub use header::{Codec, Fragment, Header, Priority, Seal};
pub use kind::Kind;
pub use member::{MemberStatement, Role};
pub use messages::*;
pub use party::{Listing, Members, Party};
pub use sealed::{Arrival, content_room, read, seal_on};
pub use share::{Share, space_name};
pub use topics::{Topic, TopicError, TopicSpace};
pub use voucher::{EnvelopeProof, Statement, Voucher};

#[cfg(fuzzing)]
pub mod fuzzing;

#[cfg(test)]
mod tests;
