//! Taking over a whole document of another peer at once, where there is nothing yet to merge it with.
//!
//! The reference is [`CanvasDocument::apply`]: what is adopted is the document that applying its changes one after another
//! makes. Where that is not certain the changes are applied.

use automerge::{ActorId, Change};

use crate::canvas::canonical;
use crate::canvas::derived::{self, DERIVED_ACTOR_BYTES};
use crate::canvas::document::{Applied, CanvasDocument, reader};
use crate::canvas::error::CanvasError;
use crate::canvas::replica::{Newest, Replica};
use crate::canvas::root;
use crate::canvas::tables::Tables;
use crate::canvas::view::View;

/// Content-derived changes are checked one by one; a document with more of them, beside its root, is not adopted.
const MAX_DERIVED: usize = 16;

fn is_derived(actor: &ActorId) -> bool {
    actor.to_bytes().len() == DERIVED_ACTOR_BYTES
}

/// A whole canvas document, as it came from elsewhere.
#[derive(Debug)]
pub struct WholeCanvas {
    pub(super) replica: Replica,
    /// What is out of the ordinary about it.
    unusual: Option<&'static str>,
}

impl WholeCanvas {
    /// Reads what [`Replica::save`] wrote, elsewhere.
    ///
    /// # Errors
    /// [`CanvasError::Corrupt`] or [`CanvasError::SchemaTooNew`].
    pub fn load(bytes: &[u8]) -> Result<Self, CanvasError> {
        let replica = Replica::load(&root::CANVAS, bytes)?;
        let unusual = replica.check_whole(bytes).err();
        Ok(Self { replica, unusual })
    }

    /// The document. What it says is to be relied on only if the document is [adopted](CanvasDocument::may_adopt).
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The last change of each actor that somebody owns: not of those that are derived from the content of a change.
    pub fn newest_of_owned(&self) -> impl Iterator<Item = (&ActorId, &Newest)> {
        let newest = self.replica.newest_of_actors().iter();
        newest.filter(|(actor, _)| !is_derived(actor))
    }

    /// What is out of the ordinary about it, so that its changes are to be taken in one by one.
    #[must_use]
    pub fn unusual(&self) -> Option<&'static str> {
        self.unusual
    }
}

impl Replica {
    /// Whether applying its changes would make the document that was read from `bytes`.
    fn check_whole(&self, bytes: &[u8]) -> Result<(), &'static str> {
        if self.save() != bytes {
            return Err("Automerge would write it otherwise");
        }
        canonical::check(&Tables::read(bytes)?, self.root, &self.maps)?;
        // Each of these actors has but one change: what is a second is not derived.
        let derived = self.newest.iter().filter(|(actor, _)| is_derived(actor) && *actor != self.maps.actor());
        let derived: Vec<Change> =
            derived.take(MAX_DERIVED + 1).filter_map(|(_, newest)| self.change(&newest.hash)).collect();
        if derived.len() > MAX_DERIVED || !derived.iter().all(|change| derived::verify(change).is_ok()) {
            return Err("the actor of a change is not derived from its content, or there are many such");
        }
        Ok(())
    }

    /// Becomes the other document; the actors under which this process edits stay.
    fn adopt(&mut self, other: Self) {
        let actors = std::mem::replace(self, other).into_actors();
        for actor in actors {
            self.set_actor(actor);
        }
    }
}

impl CanvasDocument {
    /// Whether [`adopt`](Self::adopt) does what applying the changes of the other document would do.
    #[must_use]
    pub fn may_adopt(&self, whole: &WholeCanvas) -> bool {
        let own = || whole.replica.newest_of_actors().keys().any(|actor| self.replica.is_own(actor));
        whole.unusual.is_none() && self.replica.is_pristine() && !own()
    }

    /// Takes over a document that it [may adopt](Self::may_adopt).
    pub fn adopt(&mut self, whole: WholeCanvas) -> Applied {
        self.replica.adopt(whole.replica);
        self.view = View::read(reader(&self.replica, None));
        let said = self.replica.last_said();
        Applied {
            hashes: self.replica.history().iter().skip(1).copied().collect(),
            diff: self.view.as_new(),
            author: said.as_ref().map(|(_, message)| message.clone()),
            by: said.map(|(actor, _)| actor),
            ..Applied::default()
        }
    }
}
