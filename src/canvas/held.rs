//! What the application has of a canvas, so that a whole canvas can be passed without deleting what it never saw.

use std::collections::{BTreeMap, VecDeque};

use automerge::Change;

use crate::canvas::document::{Base, CanvasDocument, reader};
use crate::canvas::error::CanvasError;
use crate::canvas::model::{Canvas, ElementKind};
use crate::canvas::patch::CanvasPatch;
use crate::canvas::root::CanvasMap;
use crate::canvas::schema::Touched;
use crate::canvas::side::TEXT;
use crate::canvas::update::{Ahead, Basis, Plan};
use crate::canvas::value::Value;
use crate::canvas::version::Version;
use crate::canvas::view::View;
use crate::ids::Heads;
use crate::limits::{MAX_UNFOLDED_PATCHES, MAX_UPDATE_CHAINS};

/// The canvas that was last passed in or returned, by value, and the version that holds it.
#[derive(Debug, Default)]
pub(crate) struct Held {
    heads: Heads,
    canvas: Canvas,
    /// Elements whose state in `canvas` is newer than `heads`, with the version at which the application knows them.
    ahead: Ahead,
    /// Whether `heads` was the version of something else before: then who names it may mean that.
    ambiguous: bool,
    /// Patches made since, not yet applied to `canvas`: that would cost its whole size each time.
    patches: Vec<CanvasPatch>,
    /// For versions from which updates were made, the last update of the chain that grew on each; newest last.
    chains: VecDeque<(Heads, Heads)>,
}

impl Held {
    /// The application has seen nothing yet.
    pub(crate) fn nothing(root: Heads) -> Self {
        Self { heads: root, ..Self::default() }
    }

    /// The version that holds what the application has, as far as any does.
    pub(crate) fn heads(&self) -> &Heads {
        &self.heads
    }

    /// The application now has this.
    pub(crate) fn replace(&mut self, heads: Heads, canvas: Canvas, ahead: Ahead) {
        self.ambiguous = !ahead.is_empty() && heads == self.heads;
        (self.heads, self.canvas, self.ahead) = (heads, canvas, ahead);
        self.patches.clear();
    }

    /// The application patched what it has; the patch led from one version of the document to another.
    pub(crate) fn patched(&mut self, patch: &CanvasPatch, before: &Heads, after: &Heads) {
        if *before == self.heads {
            self.heads = after.clone();
        } else {
            // Made on top of what the application has not seen, so no version holds exactly what it has.
            self.ambiguous = true;
            let nodes = patch.nodes.upsert.iter().map(|node| (ElementKind::Node, node.id.clone()));
            let edges = patch.edges.upsert.iter().map(|edge| (ElementKind::Edge, edge.id.clone()));
            self.ahead.extend(nodes.chain(edges).map(|key| (key, after.as_slice().to_vec())));
        }
        self.patches.push(patch.clone());
        if self.patches.len() > MAX_UNFOLDED_PATCHES {
            self.fold();
        }
    }

    fn fold(&mut self) {
        CanvasPatch::apply_all(&self.patches, &mut self.canvas);
        self.patches.clear();
    }

    /// The text of a node as the application has it.
    pub(crate) fn text(&self, id: &str) -> Option<&str> {
        let patched = self.patches.iter().rev().flat_map(|patch| &patch.nodes.upsert);
        let found = patched
            .filter(|node| node.properties.contains_key(TEXT))
            .chain(&self.canvas.nodes)
            .find(|node| node.id == id)?;
        match found.properties.get(TEXT) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    fn chain_end(&self, version: &Heads) -> Heads {
        let chain = self.chains.iter().rev().find(|(start, _)| start == version);
        chain.map_or_else(|| version.clone(), |(_, end)| end.clone())
    }

    fn extend_chain(&mut self, start: Heads, end: Heads) {
        self.chains.retain(|(known, _)| *known != start);
        self.chains.push_back((start, end));
        if self.chains.len() > MAX_UPDATE_CHAINS {
            self.chains.pop_front();
        }
    }

    fn basis(&self, version: Heads) -> Basis {
        Basis { version, heads: self.heads.as_slice().to_vec(), canvas: self.canvas.clone(), ahead: self.ahead.clone() }
    }
}

impl CanvasDocument {
    /// What an update is a difference from.
    pub(super) fn basis(&mut self, base: &Base) -> Result<Basis, CanvasError> {
        self.held.fold();
        self.merge();
        let (version, remembered) = match base {
            Base::Last => return Ok(self.held.basis(self.held.heads.clone())),
            Base::Explicit(version) => (version, false),
            Base::Remembered(version) => (version, true),
        };
        let version = self.named(version);
        let end = self.held.chain_end(&version);
        let held = version == self.held.heads && !self.held.ambiguous;
        if held || (remembered && end == self.held.heads) {
            return Ok(self.held.basis(version));
        }
        let mut view = self.view_at(if remembered { &end } else { &version })?;
        let ahead = if remembered { self.unite_own_edits(&mut view, &end) } else { Ahead::new() };
        let (heads, canvas) = (end.as_slice().to_vec(), view.canvas());
        Ok(Basis { version, heads, canvas, ahead })
    }

    /// The version that was named: no hashes stand for the root.
    pub(super) fn named(&self, version: &Version) -> Heads {
        if version.0.as_slice().is_empty() { self.replica.root_heads() } else { version.0.clone() }
    }

    /// Brings a view of an older version up to date with the application's own edits since, and says which elements
    /// these touched.
    fn unite_own_edits(&self, view: &mut View, since: &Heads) -> Ahead {
        let mut ahead = Ahead::new();
        let changes = self.replica.changes_since(since.as_slice());
        let own = |change: &&Change| self.replica.is_own(change.actor_id()) && !self.aside.contains(&change.hash());
        for change in changes.iter().filter(own) {
            let touched = self.replica.touched_by(change);
            let at = vec![change.hash()];
            ahead.extend(elements(view, &touched).map(|element| (element, at.clone())).collect::<BTreeMap<_, _>>());
            view.refresh(reader(&self.replica, Some(&at)), &touched);
        }
        ahead
    }

    /// Notes what was passed in an update as what the application has. Where the document reads the same, the
    /// application has seen all of it.
    pub(super) fn remember(&mut self, passed: &Canvas, basis: &Basis, plan: &Plan, version: &mut Version) {
        let present = self.replica.heads();
        let changed = version.0 != basis.version;
        let mut ahead = Ahead::new();
        if version.0 != present && self.view.canvas() == *passed {
            version.0 = present;
        } else if version.0 != present {
            ahead.clone_from(&basis.ahead);
            ahead.extend(plan.ahead.iter().map(|element| (element.clone(), present.as_slice().to_vec())));
        }
        if changed {
            self.held.extend_chain(basis.version.clone(), version.0.clone());
        }
        self.held.replace(version.0.clone(), passed.clone(), ahead);
    }
}

/// The nodes and edges that a change touched.
fn elements(view: &View, touched: &Touched) -> impl Iterator<Item = (ElementKind, String)> {
    let keys = touched.keys.iter().filter_map(|(map, key)| CanvasMap::at(*map).and_then(|map| map.element(key)));
    let texts = touched.texts.iter().filter_map(|text| view.owner(text)).map(|id| (ElementKind::Node, id.clone()));
    keys.chain(texts)
}
