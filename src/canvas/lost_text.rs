//! When two peers begin a text for the same node at the same time, one Text object shadows the other. What this
//! process had written into the one that lost is put into the winner, once, by the author only.

use std::collections::BTreeMap;

use automerge::{Automerge, Change, ChangeHash, ObjId, ObjType, ReadDoc};

use crate::canvas::document::CanvasDocument;
use crate::canvas::plan::{Batch, Write};
use crate::canvas::root::CanvasMap;
use crate::canvas::schema::{TextId, Touched, text_id, text_object};
use crate::canvas::text;
use crate::limits::MAX_TEXT_RUNS;

/// This process's own edits of texts, as runs of changes that follow one another without anything of others between.
/// Beyond [`MAX_TEXT_RUNS`] of one text the oldest are forgotten, and lost with the text if it should lose.
#[derive(Debug, Default)]
pub(crate) struct OwnTextEdits {
    runs: BTreeMap<TextId, Vec<Run>>,
    last: Option<ChangeHash>,
    number: u64,
}

#[derive(Debug)]
struct Run {
    number: u64,
    /// The version that the first change of the run was made on.
    before: Vec<ChangeHash>,
    /// The last change of the run that edits the text.
    after: ChangeHash,
}

impl OwnTextEdits {
    /// Notes an own change. What creates a text is no edit of it: if the text loses, so does its first content.
    pub(crate) fn record(&mut self, change: &Change, touched: &Touched) {
        if self.last.is_none_or(|last| change.deps() != [last]) {
            self.number += 1;
        }
        self.last = Some(change.hash());
        for text in &touched.texts {
            if touched.made.contains(text) {
                continue;
            }
            let runs = self.runs.entry(text.clone()).or_default();
            match runs.last_mut() {
                Some(run) if run.number == self.number => run.after = change.hash(),
                _ => {
                    let before = change.deps().to_vec();
                    runs.push(Run { number: self.number, before, after: change.hash() });
                    if runs.len() > MAX_TEXT_RUNS {
                        runs.remove(0);
                    }
                }
            }
        }
    }
}

impl CanvasDocument {
    /// Puts own edits of texts that have just lost into the texts that won; to be called while the view still shows
    /// the state before. Returns the change, if there was anything to do.
    pub(super) fn repair_texts(&mut self, touched: &Touched) -> Vec<Change> {
        let mut batch = Batch::default();
        for (map, id) in &touched.keys {
            if CanvasMap::at(*map) == Some(CanvasMap::Texts)
                && let Some((object, text)) = self.carry_over(id)
            {
                batch.push(Write::Text { object, text });
            }
        }
        if batch.is_empty() {
            return Vec::new();
        }
        // The changes from elsewhere are applied, and must be reported whatever becomes of the repair.
        let change = self.replica.edit(None, "", |tx, maps| batch.write(tx, maps)).ok().flatten();
        change.into_iter().collect()
    }

    fn carry_over(&mut self, id: &str) -> Option<(TextId, String)> {
        let lost = self.view.nodes.get(id)?.text.clone()?;
        let doc: &Automerge = &self.replica.doc;
        let (value, object) = doc.get(self.replica.maps.id(CanvasMap::Texts.number(id)), id).ok()??;
        let winner = text_id(&object).filter(|winner| *winner != lost && value.is_object())?;
        if doc.object_type(&object).ok()? != ObjType::Text {
            return None;
        }
        let runs = self.own_texts.runs.remove(&lost)?;
        let lost: ObjId = text_object(&lost);
        let current = doc.text(&object).ok()?;
        let merged = runs.iter().fold(current.clone(), |merged, run| {
            let before = doc.text_at(&lost, &run.before).unwrap_or_default();
            match doc.text_at(&lost, &[run.after]) {
                Ok(after) => text::merge(&before, &after, &merged),
                Err(_) => merged,
            }
        });
        (merged != current).then_some((winner, merged))
    }
}
