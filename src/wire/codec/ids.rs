//! Identifiers in bodies (`docs/protocol.md`, section 4.1).

use automerge::ChangeHash;

use crate::ids::{CanvasId, DocumentId, Generation, Heads, Nonce, RepositoryName};
use crate::limits::{MAX_HASHES_PER_LIST, MAX_NAME_BYTES};
use crate::wire::error::WireError;

use super::primitives::{Limit, Reader, Wire, Writer};

const REPOSITORY: Limit = Limit { what: "repository name", max: MAX_NAME_BYTES };
const CANVAS: Limit = Limit { what: "canvas id", max: MAX_NAME_BYTES };
const HEADS: Limit = Limit { what: "heads", max: MAX_HASHES_PER_LIST };

const INDEX: u64 = 0;
const CANVAS_DOCUMENT: u64 = 1;

impl Wire for RepositoryName {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.text(self.as_str(), REPOSITORY)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Self::new(reader.text(REPOSITORY)?).map_err(|_| WireError::Malformed { what: REPOSITORY.what })
    }
}

impl Wire for CanvasId {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.text(self.as_str(), CANVAS)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Self::new(reader.text(CANVAS)?).map_err(|_| WireError::Malformed { what: CANVAS.what })
    }
}

impl Wire for DocumentId {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        match self {
            Self::Index { repository } => {
                writer.array(2);
                writer.uint(INDEX);
                repository.write(writer)
            }
            Self::Canvas { repository, canvas, generation } => {
                writer.array(4);
                writer.uint(CANVAS_DOCUMENT);
                repository.write(writer)?;
                canvas.write(writer)?;
                writer.uint(generation.0);
                Ok(())
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match (reader.array("document id")?, reader.uint("document id")?) {
            (2, INDEX) => Ok(Self::Index { repository: Wire::read(reader)? }),
            (4, CANVAS_DOCUMENT) => Ok(Self::Canvas {
                repository: Wire::read(reader)?,
                canvas: Wire::read(reader)?,
                generation: Generation(reader.uint("generation")?),
            }),
            _ => Err(WireError::Malformed { what: "document id" }),
        }
    }
}

impl Wire for Nonce {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.uint(self.0);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.uint("request id").map(Self)
    }
}

impl Wire for ChangeHash {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.raw_bytes(&self.0);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fixed("change hash").map(Self)
    }
}

impl Wire for [u8; 32] {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.raw_bytes(self);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fixed("digest")
    }
}

impl Wire for Heads {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.list(self.as_slice(), HEADS)
    }

    /// Strictly ascending, so that a set has one encoding.
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let hashes: Vec<ChangeHash> = reader.list(HEADS)?;
        if hashes.is_sorted_by(|a, b| a < b) {
            Ok(Self::new(hashes))
        } else {
            Err(WireError::Malformed { what: HEADS.what })
        }
    }
}
