//! Everything that touches a socket, a file or a clock: it carries out what `sync` decides.

pub mod files;
pub mod mqtt;
pub mod storage;
pub mod turns;
