//! Canvases as texts, for git's tools.

use napi_derive::napi;

use super::errors::{Coded, coded_text};
use crate::canvas::file::{MergedText, describe_texts, merge_texts, plain_text};

/// Merges three texts of a canvas. `{ text, conflicts }` as JSON: the merged text, with conflicts between markers of that
/// size, and a line about each of them.
#[napi(catch_unwind)]
pub fn merge_canvas_texts(
    base: String,
    ours: String,
    theirs: String,
    marker_size: u32,
) -> napi::Result<String, String> {
    let merged = merge_texts(&base, &ours, &theirs, marker_size as usize);
    let MergedText { text, conflicts } = merged.map_err(|error| coded_text(&error))?;
    Ok(serde_json::json!({ "text": text, "conflicts": conflicts }).to_string())
}

/// What changed between two texts of a canvas: a JSON array of lines.
#[napi(catch_unwind)]
pub fn describe_canvas_texts(before: String, after: String) -> napi::Result<String, String> {
    let lines: Result<_, Coded> = describe_texts(&before, &after).map_err(|error| coded_text(&error));
    Ok(serde_json::json!(lines?).to_string())
}

/// A canvas one element a line, keys in the usual order.
#[napi(catch_unwind)]
pub fn plain_canvas_text(text: String) -> napi::Result<String, String> {
    plain_text(&text).map_err(|error| coded_text(&error))
}
