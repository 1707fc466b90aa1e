//! The wire protocol, as values and bytes: pure, bounded, specified in `docs/protocol.md`.
//!
//! Outgoing: [`messages::Body`] → [`envelope::seal`] → one MQTT payload, or several fragments, for the topic that
//! [`topics::TopicSpace::format`] names.
//!
//! Incoming: [`topics::TopicSpace::parse`], then [`envelope::peek`] (own echoes end here), then [`envelope::open`], which
//! verifies, then [`fragments::Reassembler::add`] where the content is a fragment.

pub mod envelope;
pub mod error;
pub mod fragments;
pub mod header;
pub mod messages;
pub mod topics;

mod codec;
mod compress;
mod kind;

pub use envelope::{Content, Opened, Stamp, open, peek, seal};
pub use error::WireError;
pub use fragments::Reassembler;
pub use header::{Codec, Fragment, Header, Priority};
pub use kind::Kind;
pub use messages::*;
pub use topics::{Topic, TopicError, TopicSpace};

#[cfg(test)]
mod tests;
