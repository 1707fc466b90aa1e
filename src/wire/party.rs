//! Whose writers may edit a shared canvas, where only members take part (`docs/protocol.md`, section 8.3).

use super::codec::{Limit, Reader, Wire, Writer};
use super::error::WireError;
use super::member::MemberStatement;
use crate::ids::{DocumentId, PeerId, RepositoryName};
use crate::limits::{MAX_PARTIES, MAX_STATEMENTS_PER_PARTY};

const PARTIES: Limit = Limit { what: "parties to a canvas", max: MAX_PARTIES };
const STATEMENTS: Limit = Limit { what: "statements about members", max: MAX_STATEMENTS_PER_PARTY };

/// A repository whose writers may edit a canvas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The repository.
    pub repository: RepositoryName,
    /// Of what is said of one repository the highest number counts.
    pub number: u64,
    /// Its first admin; none if its writers may not any more.
    pub root: Option<PeerId>,
}

impl Party {
    /// Whether it counts more than another for the same repository.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        // Of equal numbers the end counts: no number is too high to be ended.
        (self.number, self.root.is_none(), self.root) > (other.number, other.root.is_none(), other.root)
    }
}

/// A party to a canvas, as an index keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The canvas.
    pub document: DocumentId,
    /// Whose writers may edit it.
    pub party: Party,
}

impl Listing {
    /// As it is kept in an index.
    ///
    /// # Errors
    /// None for names that are within their bounds.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::with_capacity(256);
        writer.array(2);
        self.document.write(&mut writer)?;
        self.party.write(&mut writer)?;
        Ok(writer.into_bytes())
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`WireError`]: it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        reader.fields(2, PARTIES.what)?;
        let listing = Self { document: Wire::read(&mut reader)?, party: Wire::read(&mut reader)? };
        reader.finish(PARTIES.what)?;
        Ok(listing)
    }
}

/// What the sender knows of the parties to a canvas, and of their members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The canvas.
    pub document: DocumentId,
    /// The parties, each with what its admins have said, as in its index.
    pub parties: Vec<(Party, Vec<MemberStatement>)>,
}

impl Wire for Party {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(3);
        self.repository.write(writer)?;
        writer.uint(self.number);
        writer.optional_bytes(self.root.as_ref().map(|root| root.0.as_slice()));
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(3, PARTIES.what)?;
        Ok(Self {
            repository: Wire::read(reader)?,
            number: reader.uint("number of a party")?,
            root: reader.optional_fixed("first admin")?.map(PeerId),
        })
    }
}

impl Wire for (Party, Vec<MemberStatement>) {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        self.0.write(writer)?;
        writer.list(&self.1, STATEMENTS)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, PARTIES.what)?;
        Ok((Wire::read(reader)?, reader.list(STATEMENTS)?))
    }
}

impl Wire for Members {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        self.document.write(writer)?;
        writer.list(&self.parties, PARTIES)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, PARTIES.what)?;
        Ok(Self { document: Wire::read(reader)?, parties: reader.list(PARTIES)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CanvasId, Generation};

    #[test]
    fn a_listing_reads_back_and_an_end_counts_most() {
        let document = DocumentId::Canvas {
            repository: RepositoryName::new("home").unwrap(),
            canvas: CanvasId::new("plan").unwrap(),
            generation: Generation(1),
        };
        let party = |number, root: Option<u8>| Party {
            repository: RepositoryName::new("target").unwrap(),
            number,
            root: root.map(|byte| PeerId([byte; 32])),
        };
        for root in [Some(7), None] {
            let listing = Listing { document: document.clone(), party: party(3, root) };
            let bytes = listing.encode().unwrap();
            assert_eq!(Listing::decode(&bytes), Ok(listing));
            assert!((0..bytes.len()).all(|end| Listing::decode(&bytes[..end]).is_err()));
        }
        assert!(party(2, Some(1)).is_newer_than(&party(1, None)));
        assert!(party(u64::MAX, None).is_newer_than(&party(u64::MAX, Some(255))));
        assert!(!party(1, Some(1)).is_newer_than(&party(1, Some(1))));
    }
}
