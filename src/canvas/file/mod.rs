//! Canvases as files: how they are written, how three of them merge, how far two differ, and what changed in words.
//!
//! | part | modules |
//! | --- | --- |
//! | text | `scan` (structure of a JSON text), `layout` (reading), `style`, `render` (writing over an older text), `markers` |
//! | git | `texts`: all of this from text to text |
//! | content | `merge` (three ways, by the rules of live edits) on what `thin` leaves, `distance`, `describe` and `words` |

mod describe;
mod distance;
mod layout;
mod markers;
mod merge;
mod render;
mod scan;
mod style;
mod text_merge;
mod texts;
mod thin;
mod words;

#[cfg(test)]
mod tests;

pub use describe::{describe, describe_conflicts};
pub use distance::distance;
pub use layout::{FileLayout, read};
pub use markers::render_conflicts;
pub use merge::{Merge, MergeConflict, merge};
pub use render::{render, render_with};
pub use texts::{MergedText, TextError, describe_texts, merge_texts, plain_text};
