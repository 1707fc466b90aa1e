//! What an application is told of a canvas.

use crate::canvas::{CanvasChanges, Version};
use crate::ids::{CanvasId, Generation, PeerId, RepositoryName};

/// Where an edit came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This service.
    Local,
    /// Another peer.
    Remote,
    /// A file that is bound to the canvas here.
    File,
}

/// Which way a canvas changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanvasEventKind {
    /// It is new here.
    Created,
    /// It was edited.
    Updated,
    /// It is gone.
    Deleted,
    /// It was shared into this repository, or by us into another.
    Shared,
}

/// What happened to a canvas.
#[derive(Debug, Clone, PartialEq)]
pub struct CanvasEvent {
    /// Which way.
    pub kind: CanvasEventKind,
    /// Its id in this repository.
    pub canvas: CanvasId,
    /// Which of the documents that bore this id.
    pub generation: Generation,
    /// Who did it, as far as anyone said.
    pub author: Option<String>,
    /// The peer that vouches for it.
    pub peer: PeerId,
    /// From here or from elsewhere.
    pub origin: Origin,
    /// Milliseconds since the Unix epoch by the sender's clock.
    pub timestamp_unix_ms: u64,
    /// The version after it.
    pub version: Version,
    /// How the canvas changed.
    pub changes: CanvasChanges,
    /// For [`CanvasEventKind::Shared`]: the repository at the other end.
    pub shared_with: Option<RepositoryName>,
}
