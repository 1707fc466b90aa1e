//! Identity and signatures: pure, every random number is passed in.

pub mod identity;

pub use identity::Identity;
