//! One canvas as this peer holds it.

use automerge::{ActorId, Change, ChangeHash};

use crate::canvas::aside::Aside;
use crate::canvas::changes::{CanvasChanges, Conflict};
use crate::canvas::conflict;
use crate::canvas::create::import;
use crate::canvas::error::CanvasError;
use crate::canvas::foresee::Foretold;
use crate::canvas::held::Held;
use crate::canvas::lost_text::OwnTextEdits;
use crate::canvas::model::Canvas;
use crate::canvas::patch::CanvasPatch;
use crate::canvas::patching;
use crate::canvas::plan::Batch;
use crate::canvas::reader::Reader;
use crate::canvas::replica::{Replica, check_size};
use crate::canvas::root;
use crate::canvas::schema::{Maps, Touched};
use crate::canvas::seen::Seen;
use crate::canvas::update::{Ahead, Basis, Plan, Planner};
use crate::canvas::version::Version;
use crate::canvas::view::View;
use crate::ids::Heads;

/// What a whole-canvas update is a difference from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// The version that the application named, and nothing else.
    Explicit(Version),
    /// The version that the passed object remembers; own edits made since are united with it.
    Remembered(Version),
    /// What was last passed in or returned for this canvas; nothing if that never happened.
    Last,
}

/// What an edit did.
#[derive(Debug, Clone, Default)]
pub struct LocalEdit {
    /// The changes that it added to the document, in causal order; empty if it changed nothing.
    pub changes: Vec<Change>,
    /// The version of what was passed in, which is not that of the merged document: it never covers what the
    /// application has not seen.
    pub version: Version,
    /// How the visible canvas changed.
    pub diff: CanvasChanges,
    /// Whether anything but moves (position, size, order) was edited.
    pub content: bool,
    /// Writes of others, concurrent with the edit, that lost to it.
    pub conflicts: Vec<Conflict>,
}

/// The first half of a patch: see [`CanvasDocument::write_patch`].
#[derive(Debug, Clone)]
pub struct Written {
    /// What the edit added to the document; empty if it changed nothing.
    pub changes: Vec<Change>,
    /// The version of what was passed in.
    pub version: Version,
    /// Whether it is more than a move.
    pub content: bool,
    /// Whether the document is still to take it in; [`CanvasDocument::read_back`] does.
    pub composed: bool,
}

/// The second half of a patch: see [`CanvasDocument::read_back`].
#[derive(Debug, Clone)]
pub struct ReadBack {
    /// How the visible canvas changed.
    pub diff: CanvasChanges,
    /// Concurrent writes that lost.
    pub conflicts: Vec<Conflict>,
    /// The document made something else than what had been composed: see [`Applied::damaged`].
    pub damaged: bool,
}

/// What changes from elsewhere did.
#[derive(Debug, Default)]
pub struct Applied {
    /// The newly applied ones.
    pub hashes: Vec<ChangeHash>,
    /// Those refused, with why; everything else was applied.
    pub rejected: Vec<(ChangeHash, String)>,
    /// How the visible canvas changed.
    pub diff: CanvasChanges,
    /// Concurrent writes that lost.
    pub conflicts: Vec<Conflict>,
    /// Who made the last applied change that says so.
    pub author: Option<String>,
    /// The actor of that change.
    pub by: Option<ActorId>,
    /// Not applied, for what they would stand by was refused or lacks something; see [`CanvasDocument::apply_standing`].
    pub unsettled: Vec<Change>,
    /// Own edits to be published: what this process had written into texts that lost, put into the winning ones.
    pub repair: Vec<Change>,
    /// The changes made Automerge panic and the document could not be restored. It must be thrown away, loaded again
    /// from storage, and given a fresh actor.
    pub damaged: bool,
}

/// One canvas: its document, what it means, and what the application has of it.
#[derive(Debug)]
pub struct CanvasDocument {
    pub(super) replica: Replica,
    pub(super) view: View,
    pub(super) held: Held,
    pub(super) own_texts: OwnTextEdits,
    pub(super) aside: Aside,
    /// Own changes that the view does not show yet; empty but between the two halves of a patch.
    unread: Vec<Change>,
    /// What the view shows and the replica does not have yet; see [`CanvasDocument::foresee`].
    pub(super) foretold: Option<Foretold>,
    /// What will make the one change in `unread`, which the replica does not have yet; see [`CanvasDocument::write_patch`].
    composed: Option<Batch>,
}

/// What a canvas document keeps that is not in its changes: what the application has of it, and which edits were ours.
#[derive(Debug, Default)]
pub struct Memory {
    held: Option<Held>,
    own_texts: OwnTextEdits,
    aside: Aside,
    actors: Vec<ActorId>,
}

impl CanvasDocument {
    /// Lets go of the document; what is not in its changes is kept.
    #[must_use]
    pub fn into_memory(self) -> Memory {
        let (held, own_texts, aside) = (Some(self.held), self.own_texts, self.aside);
        Memory { held, own_texts, aside, actors: self.replica.into_actors() }
    }

    /// The counterpart of [`into_memory`](Self::into_memory), for the same document loaded again.
    pub fn recall(&mut self, memory: Memory) {
        self.held = memory.held.unwrap_or_else(|| Held::nothing(self.replica.root_heads()));
        self.own_texts = memory.own_texts;
        self.aside = memory.aside;
        self.replica.remember_actors(memory.actors);
    }

    /// An empty canvas, which holds only the root change.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Replica::new(&root::CANVAS), View::default())
    }

    /// Reads what [`Replica::save`] wrote.
    ///
    /// # Errors
    /// [`CanvasError::Corrupt`] or [`CanvasError::SchemaTooNew`].
    pub fn load(bytes: &[u8]) -> Result<Self, CanvasError> {
        let replica = Replica::load(&root::CANVAS, bytes)?;
        let view = View::read(reader(&replica, None));
        Ok(Self::of(replica, view))
    }

    fn of(replica: Replica, view: View) -> Self {
        let held = Held::nothing(replica.root_heads());
        Self {
            replica,
            view,
            held,
            own_texts: OwnTextEdits::default(),
            aside: Aside::default(),
            unread: Vec::new(),
            foretold: None,
            composed: None,
        }
    }

    /// The document below: heads, changes, questions about who has what.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Edits are made under this actor from now on; to be called before the first. Random, and never one
    /// that another process, or a copy of this document, uses.
    pub fn set_actor(&mut self, actor: ActorId) {
        self.replica.set_actor(actor);
    }

    /// The version of the canvas at present.
    #[must_use]
    pub fn version(&self) -> Version {
        let composed = self.unread.last().filter(|_| self.composed.is_some()).map(Change::hash);
        let newest = composed.or(self.foretold.as_ref().map(|told| told.change));
        Version(newest.map_or_else(|| self.replica.heads(), |change| Heads::new(vec![change])))
    }

    /// Whether the view and the document say the same.
    pub(super) fn is_settled(&self) -> bool {
        self.unread.is_empty() && self.foretold.is_none()
    }

    /// The canvas at present.
    #[must_use]
    pub fn canvas(&self) -> Canvas {
        self.view.canvas()
    }

    /// The canvas at present, as JSON.
    #[must_use]
    pub fn canvas_json(&self) -> String {
        self.canvas().to_json()
    }

    /// How many nodes and edges the canvas has at present.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.view.nodes.count(), self.view.edges.count())
    }

    /// The canvas at a version.
    ///
    /// # Errors
    /// [`CanvasError::UnknownVersion`].
    pub fn canvas_at(&self, version: &Version) -> Result<Canvas, CanvasError> {
        Ok(self.view_at(&version.0)?.canvas())
    }

    /// The application was just given [`canvas`](Self::canvas): it is now what it had last.
    pub fn note_returned(&mut self) {
        let heads = self.replica.heads();
        self.held.replace(heads, self.view.canvas(), Ahead::new());
    }

    /// Puts a canvas into a document: the first import, the same change on every peer that makes it, if the document is
    /// pristine; otherwise an update that adds and overwrites, and deletes nothing.
    ///
    /// # Errors
    /// [`CanvasError::Invalid`] if two elements have the same id.
    pub fn create(&mut self, canvas: &Canvas, author: &str) -> Result<LocalEdit, CanvasError> {
        canvas.check()?;
        if !self.replica.is_pristine() {
            return self.update(canvas, &Base::Explicit(Version(self.replica.root_heads())), author);
        }
        let edit = self.import(canvas)?;
        self.held.replace(self.replica.heads(), canvas.clone(), Ahead::new());
        Ok(edit)
    }

    /// The first import into a pristine document.
    pub(super) fn import(&mut self, canvas: &Canvas) -> Result<LocalEdit, CanvasError> {
        let batch = import(canvas);
        let change = self.replica.derive(&self.replica.root_heads(), |tx, maps| batch.write(tx, maps))?;
        let taken = self.replica.take(change.into_iter().collect(), &|_| true);
        let content = !taken.applied.is_empty();
        Ok(self.finish(taken.applied, &taken.touched, content, self.replica.heads()))
    }

    /// Takes in a whole canvas: the difference between it and its base.
    ///
    /// # Errors
    /// [`CanvasError::Invalid`] if two elements have the same id, [`CanvasError::UnknownVersion`].
    pub fn update(&mut self, passed: &Canvas, base: &Base, author: &str) -> Result<LocalEdit, CanvasError> {
        passed.check()?;
        let basis = self.basis(base)?;
        let (mut edit, plan) = self.update_from(passed, &basis, author)?;
        self.remember(passed, &basis, &plan, &mut edit.version);
        Ok(edit)
    }

    /// Changes what a patch names, at present.
    ///
    /// # Errors
    /// [`CanvasError::Internal`] only.
    pub fn patch(&mut self, patch: &CanvasPatch, author: &str) -> Result<LocalEdit, CanvasError> {
        let Written { changes, version, content, .. } = self.write_patch(patch, &Seen::Unknown, author, false)?;
        let ReadBack { diff, conflicts, .. } = self.read_back();
        Ok(LocalEdit { changes, version, diff, content, conflicts })
    }

    /// The first half of [`patch`](Self::patch): makes the change, which can leave before anyone looks at what it did, and
    /// with `compose`, where that is possible, before the document has it: then it must not be stored yet either.
    /// [`read_back`](Self::read_back) must follow before anything else is done with the document.
    ///
    /// # Errors
    /// [`CanvasError::UnknownVersion`] if its base is not here.
    pub fn write_patch(
        &mut self,
        patch: &CanvasPatch,
        seen: &Seen,
        author: &str,
        compose: bool,
    ) -> Result<Written, CanvasError> {
        let before = self.replica.heads();
        let batch = patching::plan(&self.view, &self.known(seen)?, patch);
        let content = batch.has_content();
        let puts = batch.as_puts().filter(|puts| compose && !puts.is_empty());
        let composed = puts.and_then(|puts| self.replica.compose(author, puts));
        let change = match &composed {
            None if !batch.is_empty() => self.replica.edit(None, author, |tx, maps| batch.write(tx, maps))?,
            change => change.clone(),
        };
        self.unread.extend(change.clone());
        let (content, composed) = (content && change.is_some(), composed.is_some());
        self.composed = composed.then_some(batch);
        let after = self.version().0;
        self.held.patched(patch, &before, &after);
        let version = Version(self.held.heads().clone());
        Ok(Written { changes: change.into_iter().collect(), version, content, composed })
    }

    /// The second half: how the visible canvas changed.
    pub fn read_back(&mut self) -> ReadBack {
        let changes = std::mem::take(&mut self.unread);
        if !self.make_composed(&changes) {
            return ReadBack { diff: CanvasChanges::default(), conflicts: Vec::new(), damaged: true };
        }
        let touched = self.touched_by(&changes);
        let diff = self.view.refresh(reader(&self.replica, None), &touched);
        ReadBack { diff, conflicts: conflict::find(&self.replica, &changes, &touched), damaged: false }
    }

    /// Makes the change that was composed; whether it is the same.
    fn make_composed(&mut self, changes: &[Change]) -> bool {
        let (Some(batch), Some(change)) = (self.composed.take(), changes.last()) else { return true };
        let author = change.message().unwrap_or_default();
        let made = self.replica.edit(None, author, |tx, maps| batch.write(tx, maps));
        made.is_ok_and(|made| made.is_some_and(|made| made.hash() == change.hash()))
    }

    /// Stands by everything that is in the document, with a change that does nothing else. `None` between the halves of a
    /// patch.
    pub fn stand_by(&mut self) -> Option<Change> {
        if self.is_settled() { self.replica.stand_by() } else { None }
    }

    /// Applies changes from elsewhere, whose dependencies are in the document or among them. Those already there are
    /// ignored. Of what [`foresee`](Self::foresee) has told, only what turned out otherwise is a difference.
    pub fn apply(&mut self, changes: Vec<Change>) -> Applied {
        self.apply_standing(changes, &|_| true)
    }

    /// The same, but only of those that stand: by themselves, as `stands` says, or by a later change of their actor that is
    /// applied with them and does.
    pub fn apply_standing(&mut self, changes: Vec<Change>, stands: &dyn Fn(&Change) -> bool) -> Applied {
        let is_first = self.replica.is_pristine();
        let mut taken = self.replica.take(changes, stands);
        if taken.damaged {
            return Applied { rejected: taken.rejected, damaged: true, ..Applied::default() };
        }
        taken.touched.extend(self.foretold.take().map(|told| told.touched).unwrap_or_default());
        let repair = self.repair_texts(&taken.touched);
        taken.touched.extend(self.touched_by(&repair));
        let diff = self.view.refresh(reader(&self.replica, None), &taken.touched);
        let said = taken.applied.iter().rev().find(|change| change.message().is_some());
        Applied {
            hashes: taken.applied.iter().map(Change::hash).collect(),
            // Of a canvas that is new here, nobody had anything that could conflict.
            conflicts: if is_first {
                Vec::new()
            } else {
                conflict::find(&self.replica, &taken.applied, &taken.touched)
            },
            author: said.and_then(|change| change.message().map(str::to_owned)),
            by: said.map(|change| change.actor_id().clone()),
            unsettled: taken.unsettled,
            rejected: taken.rejected,
            diff,
            repair,
            damaged: false,
        }
    }

    /// The view at a version all of whose changes are here.
    pub(super) fn view_at(&self, heads: &Heads) -> Result<View, CanvasError> {
        if !self.replica.contains_all(heads.as_slice()) {
            return Err(CanvasError::UnknownVersion);
        }
        if *heads == self.replica.heads() {
            return Ok(self.view.clone());
        }
        Ok(View::read(reader(&self.replica, Some(heads.as_slice()))))
    }

    /// Writes the difference between a basis and what is passed.
    pub(super) fn update_from(
        &mut self,
        passed: &Canvas,
        basis: &Basis,
        author: &str,
    ) -> Result<(LocalEdit, Plan), CanvasError> {
        let present = self.replica.heads();
        let at_present = present.as_slice() == basis.heads;
        let heads = (!at_present).then_some(basis.heads.as_slice());
        let planner = Planner { view: &self.view, base: reader(&self.replica, heads), basis, plan: Plan::default() };
        let mut plan = planner.plan(passed);
        if at_present {
            plan.base.append(std::mem::take(&mut plan.present));
            plan.ahead.clear();
        }
        let content = plan.base.has_content() || plan.present.has_content();
        check_size(plan.base.operations() + plan.present.operations())?;
        let mut changes = Vec::new();
        changes.extend(self.write(heads, &plan.base, author)?);
        let version = changes.last().map_or_else(|| basis.version.clone(), |change| Heads::new(vec![change.hash()]));
        let rest = self.write(None, &plan.present, author);
        changes.extend(rest.as_ref().ok().cloned().flatten());
        let touched = self.touched_by(&changes);
        let edit = self.finish(changes, &touched, content, version);
        rest?;
        Ok((edit, plan))
    }

    fn write(&mut self, at: Option<&[ChangeHash]>, batch: &Batch, author: &str) -> Result<Option<Change>, CanvasError> {
        if batch.is_empty() {
            return Ok(None);
        }
        self.replica.edit(at, author, |tx, maps: &Maps| batch.write(tx, maps))
    }

    pub(super) fn touched_by(&mut self, changes: &[Change]) -> Touched {
        let mut touched = Touched::default();
        for change in changes {
            let by_change = self.replica.touched_by(change);
            self.own_texts.record(change, &by_change);
            touched.extend(by_change);
        }
        touched
    }

    fn finish(&mut self, changes: Vec<Change>, touched: &Touched, content: bool, version: Heads) -> LocalEdit {
        let diff = self.view.refresh(reader(&self.replica, None), touched);
        let conflicts = conflict::find(&self.replica, &changes, touched);
        LocalEdit { content: content && !changes.is_empty(), changes, version: Version(version), diff, conflicts }
    }
}

impl Default for CanvasDocument {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads the document at present, or at an older version.
pub(super) fn reader<'a>(replica: &'a Replica, heads: Option<&'a [ChangeHash]>) -> Reader<'a> {
    Reader { doc: &replica.doc, maps: &replica.maps, heads }
}
