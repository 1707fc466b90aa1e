//! Who may take part in a repository, as its admins say it (`docs/protocol.md`, section 8.1).

use sha2::{Digest, Sha256};

use super::codec::{Limit, Reader, Wire, Writer};
use super::error::WireError;
use crate::crypto::identity::{Identity, SIGNATURE_BYTES, VerifyError, verify};
use crate::ids::{PeerId, RepositoryName};

/// Begins everything that an admin signs about a member.
const SIGNATURE_DOMAIN: &[u8] = b"mind-git/mqtt-p2p/member/v1";
/// Length of an encoded statement at most.
const STATEMENT: Limit = Limit { what: "statement about a member", max: 256 };

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Nothing any more.
    Removed,
    /// Read, and be seen.
    Reader,
    /// Edit, too.
    Writer,
    /// Say who else is a reader or writer, too.
    Admin,
}

impl Role {
    const ALL: [Self; 4] = [Self::Removed, Self::Reader, Self::Writer, Self::Admin];

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u64 {
        self as u64
    }

    /// The word for people and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        ["removed", "reader", "writer", "admin"][self as usize]
    }

    /// The role of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// What an admin says of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatement {
    /// Of whom.
    pub peer: PeerId,
    /// What that peer is.
    pub role: Role,
    /// Of two statements about one peer the one with the higher number counts.
    pub number: u64,
    /// Who says it.
    pub by: PeerId,
    signature: [u8; SIGNATURE_BYTES],
}

impl MemberStatement {
    /// Says it.
    #[must_use]
    pub fn sign(identity: &Identity, repository: &RepositoryName, peer: PeerId, role: Role, number: u64) -> Self {
        let by = identity.peer();
        let signature = identity.sign(&signature_input(repository, &peer, role, number, &by));
        Self { peer, role, number, by, signature }
    }

    /// Checks that who is said to say it does so, of this repository.
    ///
    /// # Errors
    /// [`VerifyError`]; it says nothing then.
    pub fn verify(&self, repository: &RepositoryName) -> Result<(), VerifyError> {
        let Self { peer, role, number, by, signature } = self;
        verify(by, &signature_input(repository, peer, *role, *number, by), signature)
    }

    /// As it is kept in an index.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(STATEMENT.max);
        // It has no part that could be too long.
        let _ = self.write(&mut writer);
        writer.into_bytes()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`WireError`]: it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        STATEMENT.check(bytes.len())?;
        let mut reader = Reader::new(bytes);
        let statement = Self::read(&mut reader)?;
        reader.finish(STATEMENT.what)?;
        // One statement, one form: it is known by its digest.
        if statement.encode() == bytes { Ok(statement) } else { Err(WireError::Malformed { what: STATEMENT.what }) }
    }

    /// By what it is known.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.encode()).into()
    }
}

fn signature_input(repository: &RepositoryName, peer: &PeerId, role: Role, number: u64, by: &PeerId) -> Vec<u8> {
    let name = repository.as_str().as_bytes();
    let length = (name.len() as u64).to_be_bytes();
    let numbers = [role.number().to_be_bytes(), number.to_be_bytes()].concat();
    [SIGNATURE_DOMAIN, &length, name, &peer.0, &numbers, &by.0].concat()
}

impl Wire for MemberStatement {
    fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.array(5);
        writer.raw_bytes(&self.peer.0);
        writer.uint(self.role.number());
        writer.uint(self.number);
        writer.raw_bytes(&self.by.0);
        writer.raw_bytes(&self.signature);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fields(5, STATEMENT.what)?;
        let peer = PeerId(reader.fixed("member")?);
        let number = reader.uint("role")?;
        let role = Role::ALL.into_iter().find(|role| role.number() == number);
        Ok(Self {
            peer,
            role: role.ok_or(WireError::Malformed { what: "role" })?,
            number: reader.uint("number of a statement")?,
            by: PeerId(reader.fixed("admin")?),
            signature: reader.fixed("signature of a statement")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_reads_back_and_holds_for_its_repository_alone() {
        let admin = Identity::from_seed([1; 32]);
        let repository = |name| RepositoryName::new(name).unwrap();
        let statement = MemberStatement::sign(&admin, &repository("r"), PeerId([2; 32]), Role::Writer, 7);
        let bytes = statement.encode();
        assert_eq!(MemberStatement::decode(&bytes), Ok(statement.clone()));
        assert_eq!(statement.verify(&repository("r")), Ok(()));
        assert!(statement.verify(&repository("s")).is_err());
        for bit in 0..8 * bytes.len() {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let read = MemberStatement::decode(&altered);
            assert!(
                read.is_err_and(|_| true)
                    || MemberStatement::decode(&altered).unwrap().verify(&repository("r")).is_err()
            );
        }
    }

    #[test]
    fn words_name_roles() {
        assert!(Role::ALL.into_iter().all(|role| Role::of_word(role.word()) == Some(role)));
        assert_eq!(Role::of_word("owner"), None);
    }
}
