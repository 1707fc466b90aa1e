//! Documents that Automerge has still to read.
//!
//! Of a whole document that was [rebuilt](super::rebuild) it is known what it holds and shows. Automerge reads it when somebody
//! asks for more, or a little later.

use std::collections::HashSet;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use automerge::{ActorId, Automerge, ChangeHash, LoadOptions, ReadDoc, TextEncoding};

use crate::canvas::replica::{empty, with_root};
use crate::canvas::root;

/// An Automerge document that is read when it is needed.
pub(super) struct Document {
    read: OnceLock<Automerge>,
    unread: Option<Box<Unread>>,
    /// Automerge could not read it; there is an empty one in its place.
    failed: AtomicBool,
}

/// What Automerge has still to read, and what is known of it.
pub(super) struct Unread {
    /// As Automerge saves it.
    pub(super) bytes: Vec<u8>,
    /// In order.
    pub(super) heads: Vec<ChangeHash>,
    /// All changes.
    pub(super) hashes: HashSet<ChangeHash>,
    /// Under which edits are to be made.
    pub(super) actor: Option<ActorId>,
}

impl Document {
    /// To be read later.
    pub(super) fn later(unread: Unread) -> Self {
        Self { read: OnceLock::new(), unread: Some(Box::new(unread)), failed: AtomicBool::new(false) }
    }

    fn unread(&self) -> Option<&Unread> {
        self.unread.as_deref().filter(|_| self.read.get().is_none())
    }

    /// Whether Automerge has still to read it.
    pub(super) fn is_unread(&self) -> bool {
        self.unread().is_some()
    }

    /// Has Automerge read it, if it has not.
    pub(super) fn read(&mut self) {
        let _: &mut Automerge = self;
    }

    /// Whether Automerge could not read it, as has never been seen: none of it is here.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The bytes that could not be read.
    pub(super) fn take_failed(&mut self) -> Option<Vec<u8>> {
        let failed = std::mem::take(self.failed.get_mut());
        self.unread.take().filter(|_| failed).map(|unread| unread.bytes)
    }

    /// The newest changes, in order.
    pub(super) fn heads(&self) -> Vec<ChangeHash> {
        self.unread().map_or_else(|| self.get_heads(), |unread| unread.heads.clone())
    }

    /// Whether it holds a change.
    pub(super) fn holds(&self, hash: &ChangeHash) -> bool {
        match self.unread() {
            Some(unread) => unread.hashes.contains(hash),
            None => self.get_missing_deps(&[*hash]).is_empty(),
        }
    }

    /// As Automerge saves it, uncompressed.
    pub(super) fn save(&self) -> Vec<u8> {
        self.unread().map_or_else(|| self.save_nocompress(), |unread| unread.bytes.clone())
    }

    /// Edits are made under this actor from now on.
    pub(super) fn set_actor(&mut self, actor: ActorId) {
        match self.unread.as_mut().filter(|_| self.read.get().is_none()) {
            Some(unread) => unread.actor = Some(actor),
            None => drop(Automerge::set_actor(self, actor)),
        }
    }

    fn load(&self) -> Automerge {
        let Some(unread) = &self.unread else { return empty() };
        let mut doc = load(&unread.bytes).unwrap_or_else(|reason| {
            tracing::error!(target: "mqtt:sync", reason, "a document whose changes are right could not be read");
            self.failed.store(true, Ordering::Relaxed);
            with_root(&root::CANVAS)
        });
        if let Some(actor) = unread.actor.clone() {
            doc.set_actor(actor);
        }
        doc
    }
}

impl From<Automerge> for Document {
    fn from(doc: Automerge) -> Self {
        Self { read: OnceLock::from(doc), unread: None, failed: AtomicBool::new(false) }
    }
}

impl Deref for Document {
    type Target = Automerge;

    fn deref(&self) -> &Automerge {
        self.read.get_or_init(|| self.load())
    }
}

impl DerefMut for Document {
    fn deref_mut(&mut self) -> &mut Automerge {
        let _: &Automerge = self;
        if !self.has_failed() {
            self.unread = None;
        }
        // It was read just now.
        self.read.get_mut().unwrap_or_else(|| unreachable!("the document was read"))
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Document").field("heads", &self.heads()).field("unread", &self.is_unread()).finish()
    }
}

/// Reads a saved document; what panics or errs says why.
pub(super) fn load(bytes: &[u8]) -> Result<Automerge, String> {
    let options = LoadOptions::new().text_encoding(TextEncoding::UnicodeCodePoint);
    catch_unwind(AssertUnwindSafe(|| Automerge::load_with_options(bytes, options)))
        .map_err(|_| "the decoder panicked".to_owned())?
        .map_err(|error| error.to_string())
}
