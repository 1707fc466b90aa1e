//! The record that begins a repository's next epoch: its new secret, wrapped for everybody who stays
//! (`docs/protocol.md`, section 10.1).

use crate::crypto::identity::{Identity, SIGNATURE_BYTES, verify};
use crate::crypto::wrapping::{WRAPPED_BYTES, WrapError, Wrapping, unwrap_secret};
use crate::crypto::{KeyId, RepositoryKeys, RootSecret};
use crate::ids::{PeerId, RepositoryName};
use crate::limits::MAX_EPOCH_RECIPIENTS;
use crate::wire::codec::{Limit, Reader, Wire, Writer};
use crate::wire::envelope::push_counted;
use crate::wire::error::WireError;

/// Begins everything that a record's signature covers.
const SIGNATURE_DOMAIN: &[u8] = b"mind-git/mqtt-p2p/epoch/v1";
/// Begins what is authenticated with each wrapped secret.
const WRAPPED_DOMAIN: &[u8] = b"mind-git/mqtt-p2p/epoch-secret/v1";

const RECIPIENTS: Limit = Limit { what: "recipients of an epoch", max: MAX_EPOCH_RECIPIENTS };

/// Somebody who stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Who.
    pub peer: PeerId,
    /// The epoch's secret, for this peer alone.
    pub wrapped: [u8; WRAPPED_BYTES],
}

/// What replaces a repository's key. Holds no secret but such as is wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// Which epoch it begins; one more than the one that it ends.
    pub epoch: u64,
    /// The key of the epoch that it ends.
    pub previous: KeyId,
    /// The key of the epoch that it begins.
    pub key: KeyId,
    /// The public half of the key that wraps.
    pub sender: [u8; 32],
    /// Everybody who stays, in strictly ascending order of peer ids.
    pub recipients: Vec<Recipient>,
    /// Who replaces the key.
    pub signer: PeerId,
    /// The signer's signature over all of it, and the repository's name.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl EpochRecord {
    /// Wraps the secret of the epoch after that of `previous` for all peers, and for the signer.
    ///
    /// # Errors
    /// The first peer whose id no secret can be wrapped for.
    pub fn new(
        identity: &Identity,
        repository: &RepositoryName,
        previous: KeyId,
        secret: &RootSecret,
        peers: &[PeerId],
        wrapping: &Wrapping,
    ) -> Result<Self, (PeerId, WrapError)> {
        let mut record = Self {
            epoch: secret.epoch(),
            previous,
            key: RepositoryKeys::derive(secret, repository.as_str()).id(),
            sender: wrapping.public(),
            recipients: Vec::new(),
            signer: identity.peer(),
            signature: [0; SIGNATURE_BYTES],
        };
        let mut all: Vec<PeerId> = peers.iter().copied().chain([identity.peer()]).collect();
        all.sort_unstable();
        all.dedup();
        let context = record.context(repository);
        let wrap = |peer| match wrapping.wrap(&peer, &context, secret) {
            Ok(wrapped) => Ok(Recipient { peer, wrapped }),
            Err(error) => Err((peer, error)),
        };
        record.recipients = all.into_iter().map(wrap).collect::<Result<_, _>>()?;
        record.signature = identity.sign(&record.signed(repository));
        Ok(record)
    }

    /// Whether the signer made it for this repository.
    #[must_use]
    pub fn is_authentic(&self, repository: &RepositoryName) -> bool {
        verify(&self.signer, &self.signed(repository), &self.signature).is_ok()
    }

    /// The epoch's secret, if this peer stays; it is the one whose key the record names.
    #[must_use]
    pub fn open(&self, identity: &Identity, repository: &RepositoryName) -> Option<RootSecret> {
        let own = self.recipient(&identity.peer())?;
        let bytes = unwrap_secret(identity, &self.sender, &self.context(repository), &own.wrapped).ok()?;
        let secret = RootSecret::of_epoch(*bytes, self.epoch);
        (RepositoryKeys::derive(&secret, repository.as_str()).id() == self.key).then_some(secret)
    }

    /// Whether it takes the place of another record that ends the same epoch: the other's maker counts its maker as one who
    /// stays, and either it leaves out the other's maker, or it has the smaller key id. So of two that were made at the same
    /// time all follow one; and who was left out cannot undo that.
    #[must_use]
    pub fn beats(&self, other: &Self) -> bool {
        self.previous == other.previous
            && other.recipient(&self.signer).is_some()
            && (self.recipient(&other.signer).is_none() || self.key < other.key)
    }

    /// The record as bytes, as it travels and as it is stored.
    ///
    /// # Errors
    /// [`WireError::TooLong`], [`WireError::Malformed`]: recipients beyond the bound, or not in order.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::with_capacity(256 + 100 * self.recipients.len());
        self.write(&mut writer)?;
        Ok(writer.into_bytes())
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`WireError::TooLong`], [`WireError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let record = Self::read(&mut reader)?;
        reader.finish("epoch record")?;
        Ok(record)
    }

    fn recipient(&self, peer: &PeerId) -> Option<&Recipient> {
        let at = self.recipients.binary_search_by_key(peer, |recipient| recipient.peer).ok()?;
        self.recipients.get(at)
    }

    /// What is authenticated with each wrapped secret.
    fn context(&self, repository: &RepositoryName) -> Vec<u8> {
        let mut context = WRAPPED_DOMAIN.to_vec();
        push_counted(&mut context, repository.as_str().as_bytes());
        context.extend_from_slice(&self.epoch.to_be_bytes());
        context.extend_from_slice(&self.previous.0);
        context.extend_from_slice(&self.key.0);
        context
    }

    fn signed(&self, repository: &RepositoryName) -> Vec<u8> {
        let mut signed = SIGNATURE_DOMAIN.to_vec();
        push_counted(&mut signed, repository.as_str().as_bytes());
        signed.extend_from_slice(&self.epoch.to_be_bytes());
        for part in [&self.previous.0, &self.key.0, &self.sender, &self.signer.0] {
            signed.extend_from_slice(part);
        }
        for Recipient { peer, wrapped } in &self.recipients {
            signed.extend_from_slice(&peer.0);
            signed.extend_from_slice(wrapped);
        }
        signed
    }
}

impl Wire for Recipient {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(2);
        writer.raw_bytes(&self.peer.0);
        writer.raw_bytes(&self.wrapped);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(2, RECIPIENTS.what)?;
        Ok(Self { peer: PeerId(reader.fixed("recipient")?), wrapped: reader.fixed("wrapped secret")? })
    }
}

impl Wire for EpochRecord {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        if self.epoch == 0 || !self.recipients.is_sorted_by(|a, b| a.peer < b.peer) {
            return Err(WireError::Malformed { what: "epoch record" });
        }
        writer.array(7);
        writer.uint(self.epoch);
        writer.raw_bytes(&self.previous.0);
        writer.raw_bytes(&self.key.0);
        writer.raw_bytes(&self.sender);
        writer.list(&self.recipients, RECIPIENTS)?;
        writer.raw_bytes(&self.signer.0);
        writer.raw_bytes(&self.signature);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(7, "epoch record")?;
        let record = Self {
            epoch: reader.uint("epoch")?,
            previous: KeyId(reader.fixed("key id")?),
            key: KeyId(reader.fixed("key id")?),
            sender: reader.fixed("wrapping key")?,
            recipients: reader.list(RECIPIENTS)?,
            signer: PeerId(reader.fixed("signer")?),
            signature: reader.fixed("signature of an epoch record")?,
        };
        if record.epoch == 0 || !record.recipients.is_sorted_by(|a, b| a.peer < b.peer) {
            return Err(WireError::Malformed { what: "epoch record" });
        }
        Ok(record)
    }
}
