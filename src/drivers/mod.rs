//! Everything that touches a socket, a file or a clock: it carries out what `sync` decides.

pub mod mqtt;
