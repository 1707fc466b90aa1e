//! What git's tools need, from text to text. Committed files are not just being written, so unlike in
//! [`read`](crate::canvas::file::read) a blank text is an empty canvas.

use thiserror::Error;

use crate::canvas::error::CanvasError;
use crate::canvas::file::describe::{describe, describe_conflicts};
use crate::canvas::file::layout::{FileLayout, read};
use crate::canvas::file::markers::{marked, render_conflicts, sides};
use crate::canvas::file::merge::merge;
use crate::canvas::file::render::render;
use crate::canvas::model::Canvas;

/// Length of git's markers, unless it says otherwise.
const MARKER_SIZE: usize = 7;

/// One of several texts is no canvas.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}: {error}")]
pub struct TextError {
    /// Which text: `base`, `ours`, `theirs`, `before`, `after`, or `canvas` if there is but one.
    pub text: &'static str,
    /// What is wrong with it.
    pub error: CanvasError,
}

/// Two branches of a file in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedText {
    /// The file; where there are conflicts, with both sides between git's markers.
    pub text: String,
    /// One line for each conflict; none if the text is a canvas.
    pub conflicts: Vec<String>,
}

/// Merges three texts as [`merge`] does, in the layout of ours, or of theirs if ours did not change. A base in which an
/// earlier merge left markers, as git's own merges of several bases do, counts as our side of it.
///
/// # Errors
/// [`TextError`], whichever text is no canvas.
pub fn merge_texts(base: &str, ours: &str, theirs: &str, marker_size: usize) -> Result<MergedText, TextError> {
    for (same, as_other, result) in [(ours, base, theirs), (theirs, base, ours), (ours, theirs, ours)] {
        if same == as_other {
            return Ok(MergedText { text: result.to_owned(), conflicts: Vec::new() });
        }
    }
    let [our_base, _] = sides(base);
    let (base, _) = canvas("base", base).or_else(|error| canvas("base", &our_base).map_err(|_| error))?;
    let (ours, layout) = canvas("ours", ours)?;
    let (theirs, other) = canvas("theirs", theirs)?;
    let merged = merge(&base, &ours, &theirs).map_err(|error| TextError { text: "canvas", error })?;
    let conflicts = describe_conflicts(&merged);
    Ok(MergedText { text: render_conflicts(&merged, &layout, &other, marker_size), conflicts })
}

/// What changed between two texts, in words, as [`describe`] tells it.
///
/// # Errors
/// [`TextError`], whichever text is no canvas.
pub fn describe_texts(before: &str, after: &str) -> Result<Vec<String>, TextError> {
    Ok(describe(&canvas("before", before)?.0, &canvas("after", after)?.0))
}

/// A text in the default layout, keys in the usual order: for comparing by line what two files hold, however written. One
/// with markers of conflicts has them where its sides differ.
///
/// # Errors
/// [`TextError`] if it is no canvas.
pub fn plain_text(text: &str) -> Result<String, TextError> {
    let plain = |text: &str| Ok(render(&canvas("canvas", text)?.0, &FileLayout::default()) + "\n");
    plain(text).or_else(|error| match sides(text).map(|side| plain(&side)) {
        [Ok(ours), Ok(theirs)] => Ok(marked(&ours, &theirs, MARKER_SIZE)),
        _ => Err(error),
    })
}

fn canvas(name: &'static str, text: &str) -> Result<(Canvas, FileLayout), TextError> {
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        return Ok((Canvas::default(), FileLayout::default()));
    }
    read(text).map_err(|error| TextError { text: name, error })
}
