//! What can be wrong with a canvas, a patch, a version or a stored document.

use thiserror::Error;

use crate::limits::{MAX_CANVAS_JSON_BYTES, MAX_CHANGE_OPERATIONS, MAX_ELEMENTS, MAX_STRING_BYTES};

/// Why a canvas, patch, version or document was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CanvasError {
    /// The text is not JSON.
    #[error("not JSON: {reason} (line {line}, column {column})")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser said.
        reason: String,
    },
    /// The JSON is not a canvas or a patch.
    #[error("{path}: {reason}")]
    Invalid {
        /// Where, such as `nodes[3].id`; `canvas` or `patch` for the whole.
        path: String,
        /// What is wrong there, and what is expected.
        reason: String,
    },
    /// The canvas is beyond a limit.
    #[error("{path}: {amount} {unit} are too many; at most {limit} are allowed")]
    TooLarge {
        /// Where, such as `nodes[3].text`.
        path: String,
        /// How much there is.
        amount: usize,
        /// What is counted, such as `bytes` or `nodes`.
        unit: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The document was written by a newer version of this software.
    #[error("the document has schema {found}, newer than this version understands; upgrade this peer")]
    SchemaTooNew {
        /// The document's schema.
        found: i64,
    },
    /// The version names a change that this document does not hold.
    #[error("unknown version: this peer does not hold all the changes that it names; catch up first")]
    UnknownVersion,
    /// The text is no version.
    #[error("not a canvas version: expected the text that an edit or getCanvas returned")]
    NotAVersion,
    /// The bytes are no document of this kind, or damaged.
    #[error("the stored document cannot be read: {0}")]
    Corrupt(String),
    /// The document is in a state that forbids the edit; nothing was changed.
    #[error("the edit could not be made: {0}")]
    Internal(String),
}

impl CanvasError {
    pub(crate) fn invalid(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { path: path.into(), reason: reason.into() }
    }

    pub(crate) fn string_too_long(path: impl Into<String>, bytes: usize) -> Self {
        Self::TooLarge { path: path.into(), amount: bytes, unit: "bytes", limit: MAX_STRING_BYTES }
    }

    pub(crate) fn json_too_long(path: impl Into<String>, bytes: usize) -> Self {
        Self::TooLarge { path: path.into(), amount: bytes, unit: "bytes", limit: MAX_CANVAS_JSON_BYTES }
    }

    pub(crate) fn too_many_operations(amount: usize) -> Self {
        let limit = usize::try_from(MAX_CHANGE_OPERATIONS).unwrap_or(usize::MAX);
        Self::TooLarge { path: "the edit".into(), amount, unit: "properties and characters", limit }
    }

    pub(crate) fn too_many(list: &'static str, count: usize) -> Self {
        Self::TooLarge { path: list.into(), amount: count, unit: list, limit: MAX_ELEMENTS }
    }
}

/// Automerge refuses an edit only when the document lacks what its schema promises.
impl From<automerge::AutomergeError> for CanvasError {
    fn from(error: automerge::AutomergeError) -> Self {
        Self::Internal(error.to_string())
    }
}
