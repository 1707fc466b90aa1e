//! One canvas as this peer holds it.

use std::collections::BTreeSet;

use automerge::{ActorId, Change, ChangeHash};

use crate::canvas::aside::Aside;
use crate::canvas::changes::{CanvasChanges, Conflict};
use crate::canvas::conflict;
use crate::canvas::error::CanvasError;
use crate::canvas::held::Held;
use crate::canvas::lost_text::OwnTextEdits;
use crate::canvas::model::Canvas;
use crate::canvas::patch::CanvasPatch;
use crate::canvas::patching;
use crate::canvas::plain::Plain;
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

impl Applied {
    /// Nothing but that these were.
    fn of(changes: &[Change]) -> Self {
        let said = changes.iter().rev().find(|change| change.message().is_some());
        Self {
            hashes: changes.iter().map(Change::hash).collect(),
            author: said.and_then(|change| change.message().map(str::to_owned)),
            by: said.map(|change| change.actor_id().clone()),
            ..Self::default()
        }
    }
}

/// One canvas: its document, what it means, and what the application has of it.
#[derive(Debug)]
pub struct CanvasDocument {
    pub(super) replica: Replica,
    pub(super) view: View,
    pub(super) held: Held,
    pub(super) own_texts: OwnTextEdits,
    pub(super) aside: Aside,
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
        Self { replica, view, held, own_texts: OwnTextEdits::default(), aside: Aside::default() }
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
        Version(self.replica.heads())
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
    pub fn canvas_at(&mut self, version: &Version) -> Result<Canvas, CanvasError> {
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

    /// Changes what a patch names, at present; nothing is known of what the application had.
    ///
    /// # Errors
    /// [`CanvasError::Internal`] only.
    pub fn patch(&mut self, patch: &CanvasPatch, author: &str) -> Result<LocalEdit, CanvasError> {
        self.patch_seen(patch, &Seen::Unknown, author)
    }

    /// Changes what a patch names, at present.
    ///
    /// # Errors
    /// [`CanvasError::UnknownVersion`] if its base is not here.
    pub fn patch_seen(&mut self, patch: &CanvasPatch, seen: &Seen, author: &str) -> Result<LocalEdit, CanvasError> {
        if patch.has_texts() {
            // They are edits of texts at older versions.
            self.merge();
        }
        let before = self.replica.heads();
        let batch = patching::plan(&self.view, &self.known(seen)?, patch);
        let composed = batch.as_puts(&self.view).and_then(|puts| self.replica.compose(author, puts));
        let mut edit = if let Some(plain) = composed {
            let changes = plain.changes.clone();
            for change in &changes {
                // It goes on with the texts that are being edited.
                self.own_texts.record(change, &plain.touched);
            }
            LocalEdit { diff: self.append(plain), changes, ..LocalEdit::default() }
        } else {
            let changes: Vec<Change> = self.write(None, &batch, author)?.into_iter().collect();
            let touched = self.touched_by(&changes);
            self.finish(changes, &touched, true, Heads::default())
        };
        edit.content = batch.has_content() && !edit.changes.is_empty();
        self.held.patched(patch, &before, &self.replica.heads());
        edit.version = Version(self.held.heads().clone());
        Ok(edit)
    }

    /// Holds changes that were found to be plain, and says how the visible canvas changed.
    fn append(&mut self, plain: Plain) -> CanvasChanges {
        let diff = self.view.refresh(&plain.values, &plain.touched);
        self.replica.append(plain);
        diff
    }

    /// Stands by everything that is in the document, with a change that does nothing else.
    pub fn stand_by(&mut self) -> Option<Change> {
        self.replica.stand_by()
    }

    /// Applies changes from elsewhere, whose dependencies are in the document or among them. Those already there are
    /// ignored.
    pub fn apply(&mut self, changes: Vec<Change>) -> Applied {
        self.apply_standing(changes, &|_| true)
    }

    /// The same, but only of those that stand: by themselves, as `stands` says, or by a later change of their actor that is
    /// applied with them and does.
    pub fn apply_standing(&mut self, changes: Vec<Change>, stands: &dyn Fn(&Change) -> bool) -> Applied {
        if all_stand(&changes, stands)
            && let Some(plain) = self.replica.as_plain(&changes)
        {
            let diff = self.append(plain);
            return Applied { diff, damaged: self.is_lost(), ..Applied::of(&changes) };
        }
        self.take_in(changes, stands)
    }

    /// The same, but Automerge takes all of it in at once, and nothing waits.
    pub fn apply_at_once(&mut self, changes: Vec<Change>) -> Applied {
        self.take_in(changes, &|_| true)
    }

    fn take_in(&mut self, changes: Vec<Change>, stands: &dyn Fn(&Change) -> bool) -> Applied {
        let is_first = self.replica.is_pristine();
        let mut taken = self.replica.take(changes, stands);
        if taken.damaged {
            return Applied { rejected: taken.rejected, damaged: true, ..Applied::default() };
        }
        let repair = self.repair_texts(&taken.touched);
        taken.touched.extend(self.touched_by(&repair));
        let diff = self.refresh(&taken.touched, is_first);
        Applied {
            // Of a canvas that is new here, nobody had anything that could conflict.
            conflicts: if is_first {
                Vec::new()
            } else {
                conflict::find(&self.replica, &taken.applied, &taken.touched)
            },
            unsettled: taken.unsettled,
            rejected: taken.rejected,
            diff,
            repair,
            ..Applied::of(&taken.applied)
        }
    }

    /// Reads what was touched; of a document that held nothing, all there is.
    pub(super) fn refresh(&mut self, touched: &Touched, is_first: bool) -> CanvasChanges {
        if !is_first {
            return self.view.refresh(reader(&self.replica, None), touched);
        }
        self.view = View::read(reader(&self.replica, None));
        self.view.as_new()
    }

    /// The view at a version all of whose changes are here.
    pub(super) fn view_at(&mut self, heads: &Heads) -> Result<View, CanvasError> {
        if !self.replica.contains_all(heads.as_slice()) {
            return Err(CanvasError::UnknownVersion);
        }
        self.merge();
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
        self.merge();
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

/// Whether each stands by itself, or by a later change of its actor; what has less to stand by is looked at one by one.
fn all_stand(changes: &[Change], stands: &dyn Fn(&Change) -> bool) -> bool {
    let mut standing = BTreeSet::new();
    changes.iter().rev().all(|change| {
        if !standing.contains(change.actor_id()) && stands(change) {
            standing.insert(change.actor_id());
        }
        standing.contains(change.actor_id())
    })
}

/// Reads the document as Automerge has it at present, or at an older version that is no part of its tail.
pub(super) fn reader<'a>(replica: &'a Replica, heads: Option<&'a [ChangeHash]>) -> Reader<'a> {
    Reader { doc: &replica.doc, maps: &replica.maps, heads }
}
