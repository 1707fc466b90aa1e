//! Properties of the protocol over arbitrary messages, and what hostile bytes may do: be refused.

mod bodies;
mod describe;
mod epoch_record;
mod packets;
mod reassembly;
pub(super) mod samples;
mod sealed;
mod topics;
