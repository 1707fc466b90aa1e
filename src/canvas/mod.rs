//! The document model: one canvas is one Automerge document, and so is a repository's index of canvases. Pure: no I/O,
//! no clock, no randomness but what is passed in.
//!
//! | part | modules |
//! | --- | --- |
//! | plain data | `value`, `model`, `patch`, `parse`, `changes`, `combine`, `version`, `error` |
//! | the document's form | `root` (constant first changes), `schema` (maps, what changes may do), `chunk`, `derived` |
//! | replication | `replica` (own edits, who has what), `size` (how much there is), `intake` (changes from elsewhere), `standing` (those that stand by later ones), `plain` (those of which it is known what they make), `tail` (that wait for Automerge) |
//! | whole documents of others | `adopt` (taking one over), `canonical` and `lineage` (whether it says just what its changes say), `tables`, `columns` |
//! | what it means | `reader`, `view` and `side` (the canvas in memory), `order` (z-order keys), `conflict` |
//! | edits | `held` (what the application has), `update`, `create` and `patching` (what to write), `plan`, `text`, `lost_text` |
//! | edits by way of files | `aside` (not the application's own), `pulled` (what git brought) |
//! | together | [`CanvasDocument`], [`IndexDocument`] |
//! | files | [`file`]: reading and writing `.canvas` files, merging, comparing and describing canvases |

mod adopt;
mod aside;
mod canonical;
mod changes;
pub(crate) mod chunk;
mod column_writer;
mod columns;
mod combine;
mod conflict;
mod create;
mod derived;
mod document;
mod error;
pub mod file;
mod held;
mod import;
mod index;
mod intake;
mod lineage;
mod lost_text;
mod model;
mod order;
mod parse;
mod patch;
mod patching;
mod plain;
mod plan;
mod pulled;
mod reader;
mod rebuild;
mod replica;
mod root;
mod schema;
mod seen;
mod shown;
mod side;
mod size;
mod standing;
mod tables;
mod tail;
mod text;
mod unread;
mod update;
mod value;
mod version;
mod view;

#[cfg(test)]
mod tests;

pub use adopt::WholeCanvas;
pub use changes::{CanvasChanges, Conflict, ElementChanges, ElementUpdate, Placement, PropertyChanges};
pub use combine::CombinedChanges;
pub use derived::{ChangeError, decode_change, is_derived};
pub use document::{Applied, Base, CanvasDocument, LocalEdit, Memory};
pub use error::CanvasError;
pub use index::{AppliedIndex, IndexDocument, IndexEntry, LocalIndexEdit};
pub use model::{Canvas, Element, ElementKind, Properties};
pub use patch::{CanvasPatch, ElementsPatch};
pub use replica::{Newest, Replica};
pub use seen::Seen;
pub use size::Size;
pub use tail::Told;
pub use value::Value;
pub use version::Version;
