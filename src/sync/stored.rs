//! What storage keeps for the synchroniser: what is asked of it, and what it gives back.

use automerge::ActorId;

use super::content::Content;
use crate::canvas::CanvasError;
use crate::ids::{DocumentId, Heads};
use crate::wire::Voucher;

/// One write to storage. A batch of them is carried out as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOperation {
    /// Add changes to a document.
    Append {
        /// Which document.
        document: DocumentId,
        /// Raw change chunks, in causal order.
        changes: Vec<Vec<u8>>,
    },
    /// Put a whole document in the place of everything that there is of it, but for the notes.
    Replace {
        /// Which document.
        document: DocumentId,
        /// What Automerge's `save_nocompress` gave.
        snapshot: Vec<u8>,
    },
    /// Note who vouches for the changes of a document: for each of these actors in place of what was noted before. Follows the
    /// [`Append`](Self::Append) or [`Replace`](Self::Replace) that it is about in the same batch.
    Vouch {
        /// Which document.
        document: DocumentId,
        /// For the newest changes of some actors.
        vouchers: Vec<Voucher>,
    },
    /// Note what is to be known of a document without reading its changes; follows every [`Append`](Self::Append) and
    /// [`Replace`](Self::Replace) of it in the same batch.
    Describe {
        /// Which document.
        document: DocumentId,
        /// What is to be known.
        summary: Summary,
    },
    /// Note what the broker has of this peer's own changes.
    Acknowledged {
        /// Which document.
        document: DocumentId,
        /// Everything that is no ancestor of these may have to be sent again.
        heads: Heads,
    },
    /// Note the actor under which a document was edited, which may be used again after this orderly end.
    KeepActor {
        /// Which document.
        document: DocumentId,
        /// The actor.
        mark: ActorMark,
    },
    /// Forget the actors of all documents: a process that has begun may use them, and may crash.
    ForgetActors,
    /// Note what was heard of other peers, in the place of what was noted before.
    Heard {
        /// The repository's index.
        document: DocumentId,
        /// Opaque; given back as [`StoredDocument::heard`].
        marks: Vec<u8>,
    },
    /// Forget a document.
    Delete {
        /// Which document.
        document: DocumentId,
    },
}

/// What is known of a stored document without reading its changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its newest changes.
    pub heads: Heads,
    /// How many nodes it shows; 0 for an index.
    pub nodes: usize,
    /// How many edges it shows; 0 for an index.
    pub edges: usize,
    /// Whether the broker may lack some of this peer's own changes.
    pub unsent: bool,
}

/// An actor that may be used again, if the document has so many changes of it and no more: two changes with one actor and
/// sequence number keep peers apart for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorMark {
    /// The actor.
    pub actor: ActorId,
    /// The sequence number of its last change.
    pub sequence: u64,
}

/// One document that storage has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDocument {
    /// Which document.
    pub document: DocumentId,
    /// The last [`StoreOperation::Describe`].
    pub summary: Summary,
    /// The last [`StoreOperation::KeepActor`], if it was not forgotten since.
    pub actor: Option<ActorMark>,
}

/// Everything that storage has of one document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredDocument {
    /// The compacted document, if it was compacted or [replaced](StoreOperation::Replace): what Automerge's `save_nocompress` gave.
    pub snapshot: Option<Vec<u8>>,
    /// Raw change chunks appended since, in the order in which they were appended. Some of them may be in the snapshot.
    pub changes: Vec<Vec<u8>>,
    /// The last [`StoreOperation::Acknowledged`].
    pub acknowledged: Option<Heads>,
    /// Of each actor the last [`StoreOperation::Vouch`], in any order.
    pub vouchers: Vec<Voucher>,
    /// Of an index, the last [`StoreOperation::Heard`].
    pub heard: Option<Vec<u8>>,
}

/// Makes one snapshot of everything that storage has of a document, loads it again, and compares.
///
/// # Errors
/// [`CanvasError::Corrupt`]: not everything that is stored can be put into one, or it does not lead back to the same heads.
/// What is stored must stay as it is.
pub fn compact(document: &DocumentId, stored: StoredDocument) -> Result<Vec<u8>, CanvasError> {
    let content = Content::restore_whole(document, stored)?;
    let bytes = content.replica().save();
    if Content::load(document, &bytes)?.replica().heads() == content.replica().heads() {
        Ok(bytes)
    } else {
        Err(CanvasError::Corrupt("its compacted form has other heads".to_owned()))
    }
}
