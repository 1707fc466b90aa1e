//! Taking over a whole document of another peer at once, where there is nothing yet to merge it with.
//!
//! The reference is [`CanvasDocument::apply`]: what is adopted is the document that applying its changes one after another
//! makes. Where that is not certain the changes are applied.

use automerge::ActorId;

use crate::canvas::canonical;
use crate::canvas::chunk;
use crate::canvas::derived::{self, DERIVED_ACTOR_BYTES};
use crate::canvas::document::{Applied, CanvasDocument};
use crate::canvas::error::CanvasError;
use crate::canvas::rebuild::rebuild;
use crate::canvas::replica::{Newest, Replica, empty};
use crate::canvas::root;
use crate::canvas::schema::Root;
use crate::canvas::shown::Shown;
use crate::canvas::size::Grown;
use crate::canvas::tables::{ChangeRow, Tables};
use crate::canvas::unread::{Document, Unread};
use crate::canvas::view::View;
use crate::limits::MAX_REBUILT_OPERATIONS;

/// Content-derived changes are checked one by one; a document with more of them, beside its root, is not adopted.
const MAX_DERIVED: usize = 16;

fn is_derived(actor: &ActorId) -> bool {
    actor.to_bytes().len() == DERIVED_ACTOR_BYTES
}

/// A whole canvas document, as it came from elsewhere.
#[derive(Debug)]
pub struct WholeCanvas {
    pub(super) replica: Replica,
    /// What can be told of it, or what is out of the ordinary about it.
    contents: Result<Contents, &'static str>,
}

/// What can be told of a whole document.
#[derive(Debug)]
struct Contents {
    view: View,
    /// The actor and the message of the last change that has one.
    said: Option<(ActorId, String)>,
}

impl WholeCanvas {
    /// Reads what [`Replica::save`] wrote, elsewhere.
    ///
    /// # Errors
    /// [`CanvasError::Corrupt`] or [`CanvasError::SchemaTooNew`].
    pub fn load(bytes: &[u8]) -> Result<Self, CanvasError> {
        chunk::check_document(bytes).map_err(|reason| CanvasError::Corrupt(reason.to_owned()))?;
        match Replica::of_chunk(&root::CANVAS, bytes) {
            Ok((replica, contents)) => Ok(Self { replica, contents: Ok(contents) }),
            Err(unusual) => Ok(Self { replica: Replica::load(&root::CANVAS, bytes)?, contents: Err(unusual) }),
        }
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
        self.contents.as_ref().err().copied()
    }
}

impl Replica {
    /// A document of which Automerge reads the chunk later, and what can be told of it.
    ///
    /// # Errors
    /// What is out of the ordinary: applying its changes might make another document.
    fn of_chunk(root: &'static Root, bytes: &[u8]) -> Result<(Self, Contents), &'static str> {
        if !chunk::is_sound(bytes) {
            return Err("its checksum is wrong");
        }
        let tables = Tables::read(bytes)?;
        // The document itself comes last.
        let mut replica = Self::of(root, empty().into());
        let lineage = canonical::check(&tables, root, &replica.maps)?;
        if lineage.operations() > MAX_REBUILT_OPERATIONS {
            return Err("it has very many operations");
        }
        let mut derived = 0;
        let hashes = rebuild(&tables, &lineage, |change, body| {
            let actor = tables.actor(change.actor);
            if actor.len() != DERIVED_ACTOR_BYTES || actor == replica.maps.actor().to_bytes() {
                return Ok(());
            }
            derived += 1;
            let plain = change.sequence == 1 && change.time == 0 && change.message.is_empty();
            if plain && derived::is_derived_body(body) && derived <= MAX_DERIVED {
                return Ok(());
            }
            Err("the actor of a change is not derived from its content, or there are many such")
        })?;
        if hashes.first() != Some(&replica.root_hash) {
            return Err("it is a document of another kind");
        }
        let heads = tables.newest_of(&hashes);
        if heads != tables.heads {
            return Err("it names other newest changes than it has");
        }
        let view = View::shown(&Shown::read(&tables, &replica.maps)?);
        replica.grown = Grown::rebuilt(lineage.operations() + hashes.len(), bytes.len());
        let actor_of = |change: &ChangeRow<'_>| ActorId::from(tables.actor(change.actor));
        let newest = tables.newest_of_actors().map(|(change, place)| (change, hashes.get(place)));
        let newest = newest.filter_map(|(change, hash)| Some((actor_of(change), change.sequence, *hash?)));
        replica.newest = newest.map(|(actor, sequence, hash)| (actor, Newest { sequence, hash })).collect();
        let said = tables.changes.iter().rfind(|change| !change.message.is_empty());
        let said = said.map(|change| (actor_of(change), change.message.to_owned()));
        replica.doc = Document::later(Unread {
            bytes: bytes.to_vec(),
            heads,
            hashes: hashes.iter().copied().collect(),
            actor: None,
        });
        replica.log = hashes;
        Ok((replica, Contents { view, said }))
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
        whole.unusual().is_none() && self.replica.is_pristine() && !own()
    }

    /// Takes over a document that it [may adopt](Self::may_adopt); nothing happens if it may not. Automerge
    /// [reads it later](Self::is_to_be_merged).
    pub fn adopt(&mut self, whole: WholeCanvas) -> Applied {
        let Ok(Contents { view, said }) = whole.contents else { return Applied::default() };
        self.replica.adopt(whole.replica);
        self.view = view;
        Applied {
            hashes: self.replica.history().iter().skip(1).copied().collect(),
            diff: self.view.as_new(),
            author: said.as_ref().map(|(_, message)| message.clone()),
            by: said.map(|(actor, _)| actor),
            ..Applied::default()
        }
    }
}
