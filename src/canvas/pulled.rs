//! A difference that git brought: the same change on every peer that makes it from the same commit.

use std::collections::{BTreeMap, BTreeSet};

use automerge::ChangeHash;

use crate::canvas::document::{CanvasDocument, LocalEdit, reader};
use crate::canvas::error::CanvasError;
use crate::canvas::model::{Canvas, Element, Properties};
use crate::canvas::side::TEXT;
use crate::canvas::text;
use crate::canvas::update::{Ahead, Basis, Plan, Planner};
use crate::canvas::value::Value;
use crate::canvas::version::Version;
use crate::canvas::view::View;
use crate::ids::Heads;
use crate::limits::MAX_SIBLING_CHANGES;

impl CanvasDocument {
    /// Takes in the difference between the canvas at a version and a whole canvas as one content-derived change: whoever
    /// does the same, whatever else is in the document, makes the same change, which takes effect once. What equals the
    /// present already is left as it was at the base, as is what such a change of the same base has done already. The
    /// edit has no author, and is not the application's own.
    ///
    /// The version returned is that of the change, unless the document now reads as what was passed: it does not hold
    /// what was left out.
    ///
    /// # Errors
    /// [`CanvasError::Invalid`] if two elements have the same id, [`CanvasError::UnknownVersion`],
    /// [`CanvasError::TooLarge`].
    pub fn derive_update(&mut self, passed: &Canvas, base: &Version) -> Result<LocalEdit, CanvasError> {
        passed.check()?;
        let heads = self.named(base);
        let view = self.view_at(&heads)?;
        let mut states = vec![self.canvas()];
        states.extend(self.states_made_at(&view, &heads, true).map(|(_, state)| state));
        let canvas = view.canvas();
        let wanted = Wanted { had: &canvas, states: &states }.of(passed);
        let basis = Basis { version: heads.clone(), heads: heads.as_slice().to_vec(), canvas, ahead: Ahead::new() };
        let base = reader(&self.replica, Some(&basis.heads));
        let Plan { base: mut batch, present, .. } =
            Planner { view: &view, base, basis: &basis, plan: Plan::default() }.plan(&wanted);
        batch.append(present);
        let change =
            if batch.is_empty() { None } else { self.replica.derive(&heads, |tx, maps| batch.write(tx, maps))? };
        let version = change.as_ref().map_or(heads, |change| Heads::new(vec![change.hash()]));
        let applied = self.apply(change.clone().into_iter().collect());
        if let Some((_, reason)) = applied.rejected.into_iter().next() {
            return Err(CanvasError::Internal(reason));
        }
        let changes = change.into_iter().filter(|change| applied.hashes.contains(&change.hash())).chain(applied.repair);
        let changes: Vec<_> = changes.collect();
        let version = if self.view.canvas() == *passed { self.version() } else { Version(version) };
        let content = batch.has_content() && !changes.is_empty();
        Ok(LocalEdit { changes, version, diff: applied.diff, content, conflicts: applied.conflicts })
    }

    /// The canvas as each change made at a version left it, the newest first; `view` is of that version.
    pub(super) fn states_made_at(
        &self,
        view: &View,
        at: &Heads,
        derived: bool,
    ) -> impl Iterator<Item = (ChangeHash, Canvas)> {
        self.replica.made_at(at, derived, MAX_SIBLING_CHANGES).into_iter().map(|change| {
            let mut view = view.clone();
            let heads = [change.hash()];
            view.refresh(reader(&self.replica, Some(&heads)), &self.replica.touched_by(&change));
            (change.hash(), view.canvas())
        })
    }
}

/// What is still to be done of a difference.
struct Wanted<'a> {
    had: &'a Canvas,
    /// The present, and the base with each of the content-derived changes made at it.
    states: &'a [Canvas],
}

type Index<'a> = BTreeMap<&'a str, &'a Properties>;

impl Wanted<'_> {
    /// The canvas that was passed, with what is done already as it was at the base.
    fn of(&self, passed: &Canvas) -> Canvas {
        let states: Vec<_> = self.states.iter().map(|state| Some(&state.properties)).collect();
        Canvas {
            nodes: self.elements(|canvas| &canvas.nodes, &passed.nodes, Some(TEXT)),
            edges: self.elements(|canvas| &canvas.edges, &passed.edges, None),
            properties: properties(&self.had.properties, &states, &passed.properties, None),
        }
    }

    /// `text` is the property that merges by character, if they have one.
    fn elements(&self, list: fn(&Canvas) -> &Vec<Element>, passed: &[Element], text: Option<&str>) -> Vec<Element> {
        let had = list(self.had);
        let (known, now) = (index(had), index(passed));
        let states: Vec<_> = self.states.iter().map(|state| index(list(state))).collect();
        let none = Properties::new();
        let wanted = |id: &str| -> Option<Element> {
            let (before, after) = (known.get(id).copied(), now.get(id).copied());
            let states: Vec<_> = states.iter().map(|state| state.get(id).copied()).collect();
            let properties = match after {
                _ if is_done(before, after, &states) => before?.clone(),
                None => return None,
                Some(after) => {
                    let missing = properties(before.unwrap_or(&none), &states, after, text);
                    let is_there = before.is_none() && states.iter().any(Option::is_some);
                    if is_there && missing.is_empty() {
                        return None;
                    }
                    missing
                }
            };
            Some(Element { id: id.to_owned(), properties })
        };
        let ids = |elements: &[Element]| elements.iter().map(|element| element.id.clone()).collect::<Vec<_>>();
        let in_order = self.states.iter().any(|state| is_in_order_of(passed, list(state)));
        let (first, second) = if in_order { (ids(had), ids(passed)) } else { (ids(passed), ids(had)) };
        interleaved(&first, &second).into_iter().filter_map(|id| wanted(&id)).collect()
    }
}

/// Whether what was passed is there: in the present, which is the first state, or in another that made it so.
fn is_done<T: PartialEq>(before: Option<&T>, after: Option<&T>, states: &[Option<&T>]) -> bool {
    states.iter().enumerate().any(|(number, there)| *there == after && (number == 0 || *there != before))
}

/// Properties that were passed, but where that is done already, what was had.
fn properties(had: &Properties, states: &[Option<&Properties>], passed: &Properties, text: Option<&str>) -> Properties {
    let names: BTreeSet<&String> = had.keys().chain(passed.keys()).collect();
    let wanted = names.into_iter().filter_map(|name| {
        let (before, after) = (had.get(name), passed.get(name));
        // An element that is not there says nothing of its properties: for it, they are as before.
        let states: Vec<_> = states.iter().map(|state| state.map_or(before, |state| state.get(name))).collect();
        let value = if is_done(before, after, &states) { before } else { after };
        let merges = text == Some(name.as_str());
        value.map(|value| (name.clone(), if merges { left(before, value, &states) } else { value.clone() }))
    });
    wanted.collect()
}

/// Of a text that was one before, only what no state has done; any other value whole.
fn left(before: Option<&Value>, after: &Value, states: &[Option<&Value>]) -> Value {
    let (Some(Value::String(before)), Value::String(after)) = (before, after) else { return after.clone() };
    let there = states.iter().filter_map(|state| match state {
        Some(Value::String(text)) => Some(text),
        _ => None,
    });
    Value::String(there.fold(after.clone(), |left, there| text::undone(before, &left, there)))
}

fn index(elements: &[Element]) -> Index<'_> {
    elements.iter().map(|element| (element.id.as_str(), &element.properties)).collect()
}

/// Whether the elements that both have stand in the same order in both.
fn is_in_order_of(elements: &[Element], other: &[Element]) -> bool {
    let places: BTreeMap<&str, usize> = other.iter().enumerate().map(|(place, e)| (e.id.as_str(), place)).collect();
    elements.iter().filter_map(|element| places.get(element.id.as_str())).is_sorted()
}

/// The first list, with what only the second has after whatever stands before it there.
fn interleaved(first: &[String], second: &[String]) -> Vec<String> {
    let known: BTreeSet<&String> = first.iter().collect();
    let mut followers: BTreeMap<Option<&String>, Vec<&String>> = BTreeMap::new();
    let mut last = None;
    for id in second {
        if known.contains(id) {
            last = Some(id);
        } else {
            followers.entry(last).or_default().push(id);
        }
    }
    let after = |id| followers.get(&id).into_iter().flatten().copied().cloned().collect::<Vec<_>>();
    after(None)
        .into_iter()
        .chain(first.iter().flat_map(|id| std::iter::once(id.clone()).chain(after(Some(id)))))
        .collect()
}
