//! The document model.
