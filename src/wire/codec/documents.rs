//! Bodies that carry documents, or ask for them (`docs/protocol.md`, section 4.4).

use automerge::ActorId;

use crate::ids::{DocumentId, Heads, PeerId};
use crate::limits::{
    MAX_BODY_BYTES, MAX_CHANGES_PER_MESSAGE, MAX_DOCUMENTS_PER_ANNOUNCEMENT, MAX_HASHES_PER_LIST, MAX_SNAPSHOT_PARTS,
    MAX_VOUCHERS_PER_MESSAGE, VOUCHER_ACTOR_BYTES,
};
use crate::wire::error::WireError;
use crate::wire::messages::{
    Changes, HeadsAnnouncement, Manifest, SavedDocument, SyncAnnouncement, SyncContent, SyncReply, SyncRequest,
};
use crate::wire::voucher::Voucher;

use super::primitives::{Limit, Reader, Wire, Writer};

const CHANGES: Limit = Limit { what: "changes", max: MAX_CHANGES_PER_MESSAGE };
const CHANGE: Limit = Limit { what: "change", max: MAX_BODY_BYTES };
const VOUCHERS: Limit = Limit { what: "vouchers", max: MAX_VOUCHERS_PER_MESSAGE };
const ACTOR: Limit = Limit { what: "actor", max: *VOUCHER_ACTOR_BYTES.end() };
const PARTS: Limit = Limit { what: "snapshot parts", max: MAX_SNAPSHOT_PARTS };
const HAVE: Limit = Limit { what: "ancestors", max: MAX_HASHES_PER_LIST };
const DOCUMENT: Limit = Limit { what: "document", max: MAX_BODY_BYTES };
const DOCUMENTS: Limit = Limit { what: "announced documents", max: MAX_DOCUMENTS_PER_ANNOUNCEMENT };

const CONTENT_CHANGES: u64 = 0;
const CONTENT_DOCUMENT: u64 = 1;

/// One raw change.
impl Wire for Vec<u8> {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.bytes(self, CHANGE)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.bytes(CHANGE).map(<[u8]>::to_vec)
    }
}

impl Wire for Voucher {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        let actor = self.actor.to_bytes();
        if !VOUCHER_ACTOR_BYTES.contains(&actor.len()) {
            return Err(WireError::Malformed { what: ACTOR.what });
        }
        writer.array(6);
        writer.raw_bytes(actor);
        writer.uint(self.sequence);
        self.hash.write(writer)?;
        writer.raw_bytes(&self.owner.0);
        writer.raw_bytes(&self.envelope);
        writer.raw_bytes(&self.signature);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(6, "voucher")?;
        let actor = reader.bytes(ACTOR)?;
        if !VOUCHER_ACTOR_BYTES.contains(&actor.len()) {
            return Err(WireError::Malformed { what: ACTOR.what });
        }
        Ok(Self {
            actor: ActorId::from(actor),
            sequence: reader.uint("sequence number")?,
            hash: Wire::read(reader)?,
            owner: PeerId(reader.fixed("owner")?),
            envelope: reader.fixed("digest of an envelope")?,
            signature: reader.fixed("voucher's signature")?,
        })
    }
}

impl Wire for Changes {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        writer.list(&self.changes, CHANGES)?;
        writer.list(&self.vouchers, VOUCHERS)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, CHANGES.what)?;
        Ok(Self { changes: reader.list(CHANGES)?, vouchers: reader.list(VOUCHERS)?, proof: None })
    }
}

impl Wire for SavedDocument {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        writer.bytes(&self.document, DOCUMENT)?;
        writer.list(&self.vouchers, VOUCHERS)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, DOCUMENT.what)?;
        Ok(Self { document: reader.bytes(DOCUMENT)?.to_vec(), vouchers: reader.list(VOUCHERS)? })
    }
}

impl Wire for Manifest {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(3);
        self.heads.write(writer)?;
        writer.list(&self.parts, PARTS)?;
        writer.uint(self.total_bytes);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(3, "manifest")?;
        Ok(Self {
            heads: Wire::read(reader)?,
            parts: reader.list(PARTS)?,
            total_bytes: reader.uint("length of the parts")?,
        })
    }
}

impl Wire for SyncRequest {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(4);
        self.request.write(writer)?;
        self.document.write(writer)?;
        self.heads.write(writer)?;
        writer.list(&self.have, HAVE)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(4, "request")?;
        Ok(Self {
            request: Wire::read(reader)?,
            document: Wire::read(reader)?,
            heads: Wire::read(reader)?,
            have: reader.list(HAVE)?,
        })
    }
}

impl Wire for SyncAnnouncement {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        self.request.write(writer)?;
        self.heads.write(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, "announcement")?;
        Ok(Self { request: Wire::read(reader)?, heads: Wire::read(reader)? })
    }
}

impl Wire for SyncContent {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        match self {
            Self::Changes(changes) => {
                writer.uint(CONTENT_CHANGES);
                changes.write(writer)
            }
            Self::Document(document) => {
                writer.uint(CONTENT_DOCUMENT);
                document.write(writer)
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, "content of a reply")?;
        match reader.uint("content of a reply")? {
            CONTENT_CHANGES => Ok(Self::Changes(Wire::read(reader)?)),
            CONTENT_DOCUMENT => Ok(Self::Document(Wire::read(reader)?)),
            _ => Err(WireError::Malformed { what: "content of a reply" }),
        }
    }
}

impl Wire for SyncReply {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(4);
        self.request.write(writer)?;
        self.document.write(writer)?;
        self.heads.write(writer)?;
        self.content.write(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(4, "reply")?;
        Ok(Self {
            request: Wire::read(reader)?,
            document: Wire::read(reader)?,
            heads: Wire::read(reader)?,
            content: Wire::read(reader)?,
        })
    }
}

impl Wire for (DocumentId, Heads) {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        self.0.write(writer)?;
        self.1.write(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, "announced document")?;
        Ok((Wire::read(reader)?, Wire::read(reader)?))
    }
}

impl Wire for HeadsAnnouncement {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.list(&self.documents, DOCUMENTS)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.list(DOCUMENTS).map(|documents| Self { documents })
    }
}
