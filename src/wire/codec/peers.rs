//! Bodies about peers (`docs/protocol.md`, section 4.3).

use crate::crypto::KeyId;
use crate::limits::{MAX_APPLICATION_MESSAGE_BYTES, MAX_LABEL_BYTES, MAX_PRESENCE_LIST};
use crate::wire::error::WireError;
use crate::wire::messages::{Cursor, KeyNotice, Presence, PresenceStatus, Will};

use super::primitives::{Limit, Reader, Wire, Writer};

const REPOSITORIES: Limit = Limit { what: "repositories of a presence", max: MAX_PRESENCE_LIST };
const CAPABILITIES: Limit = Limit { what: "capabilities of a presence", max: MAX_PRESENCE_LIST };
const CAPABILITY: Limit = Limit { what: "capability", max: MAX_LABEL_BYTES };
const CURSOR: Limit = Limit { what: "cursor presence", max: MAX_APPLICATION_MESSAGE_BYTES };
const AUTHOR: Limit = Limit { what: "author", max: MAX_LABEL_BYTES };

impl Wire for PresenceStatus {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.uint(match self {
            Self::Birth => 0,
            Self::Alive => 1,
            Self::Offline => 2,
        });
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match reader.uint("presence status")? {
            0 => Ok(Self::Birth),
            1 => Ok(Self::Alive),
            2 => Ok(Self::Offline),
            _ => Err(WireError::Malformed { what: "presence status" }),
        }
    }
}

/// A capability.
impl Wire for String {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.text(self, CAPABILITY)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.text(CAPABILITY).map(str::to_owned)
    }
}

impl Wire for Presence {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(6);
        self.status.write(writer)?;
        writer.uint(self.instance);
        writer.uint(self.connection);
        writer.list(&self.repositories, REPOSITORIES)?;
        writer.list(&self.capabilities, CAPABILITIES)?;
        writer.uint(self.heartbeat_ms);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(6, "presence")?;
        Ok(Self {
            status: Wire::read(reader)?,
            instance: reader.uint("instance")?,
            connection: reader.uint("connection")?,
            repositories: reader.list(REPOSITORIES)?,
            capabilities: reader.list(CAPABILITIES)?,
            heartbeat_ms: reader.uint("heartbeat")?,
        })
    }
}

impl Wire for Will {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        writer.uint(self.instance);
        writer.uint(self.connection);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, "will")?;
        Ok(Self { instance: reader.uint("instance")?, connection: reader.uint("connection")? })
    }
}

impl Wire for Cursor {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        writer.optional_text(self.presence.as_deref(), CURSOR)?;
        writer.optional_text(self.author.as_deref(), AUTHOR)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, "cursor")?;
        Ok(Self {
            presence: reader.optional_text(CURSOR)?.map(str::to_owned),
            author: reader.optional_text(AUTHOR)?.map(str::to_owned),
        })
    }
}

impl Wire for KeyNotice {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        writer.uint(u64::from(self.asks));
        writer.raw_bytes(&self.key.0);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, "key notice")?;
        let asks = match reader.uint("key notice")? {
            0 => false,
            1 => true,
            _ => return Err(WireError::Malformed { what: "key notice" }),
        };
        Ok(Self { asks, key: KeyId(reader.fixed("key id")?) })
    }
}
