//! Who may take part, and in what: statements of admins, and what follows from all of them together.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Change, ChangeHash};

use crate::crypto::Identity;
use crate::ids::{PeerId, RepositoryName};
use crate::limits::{MAX_MEMBER_STATEMENTS, MAX_STATEMENTS_PER_ADMIN, MAX_STATEMENTS_PER_PARTY};
use crate::wire::{MemberStatement, Role};

/// Statements of this number and above count from the root alone: nobody uses up the numbers.
const FIRST_NUMBER_OF_ROOT: u64 = 1 << 63;

/// The members of one repository, as far as is known here.
///
/// * The root, the first admin, is one always. It alone says who else is an admin.
/// * Of any other peer, that statement of a *present* admin counts which has the highest number, and of equal ones the one
///   of the greatest digest. When it was made does not matter, nor in which order statements are heard; so an admin that
///   was removed cannot say anything in the past, either. What it had said counts no more; whoever removes it says anew
///   what shall stay.
#[derive(Debug)]
pub(crate) struct Membership {
    repository: RepositoryName,
    root: Root,
    /// Of each peer, the highest statement of each who may have said something of it.
    said: BTreeMap<(PeerId, PeerId), (u64, [u8; 32], MemberStatement)>,
    /// How many of them are of each.
    counts: BTreeMap<PeerId, usize>,
    shares: Shares,
    roles: BTreeMap<PeerId, Member>,
    /// Digests of statements whose signatures do not hold, which are there for ever and are not verified again. Bounded:
    /// [`MAX_MEMBER_STATEMENTS`], further ones are.
    forged: BTreeSet<[u8; 32]>,
}

/// Of how many peers somebody may speak, so that no admin leaves others without a word, and none the first.
#[derive(Debug, Clone, Copy)]
struct Shares {
    root: usize,
    each_other: usize,
    all_others: usize,
}

impl Default for Shares {
    fn default() -> Self {
        let each_other = MAX_STATEMENTS_PER_ADMIN;
        Self { root: MAX_MEMBER_STATEMENTS, each_other, all_others: MAX_MEMBER_STATEMENTS }
    }
}

/// The first admin of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// This one.
    Known(PeerId),
    /// Whoever is first said to be.
    FirstUse,
}

/// One member of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub peer: PeerId,
    /// What it may do.
    pub role: Role,
    /// Which admin says so; the root says so of itself.
    pub by: PeerId,
}

impl Membership {
    pub(crate) fn new(repository: RepositoryName, root: Root) -> Self {
        let mut membership = Self {
            repository,
            root,
            said: BTreeMap::new(),
            counts: BTreeMap::new(),
            shares: Shares::default(),
            roles: BTreeMap::new(),
            forged: BTreeSet::new(),
        };
        membership.evaluate();
        membership
    }

    pub(crate) fn root(&self) -> Option<PeerId> {
        match self.root {
            Root::Known(root) => Some(root),
            Root::FirstUse => None,
        }
    }

    /// Trusts the first of these who says to be the first admin, if nobody is known to be. Returns whom.
    pub(crate) fn trust(&mut self, statements: &[Vec<u8>]) -> Option<PeerId> {
        if self.root != Root::FirstUse {
            return None;
        }
        let claims = |said: &MemberStatement| said.peer == said.by && said.role == Role::Admin;
        let mut read = statements.iter().filter_map(|bytes| MemberStatement::decode(bytes).ok());
        let claim = read.find(|said| claims(said) && said.verify(&self.repository).is_ok())?;
        self.root = Root::Known(claim.peer);
        self.evaluate();
        Some(claim.peer)
    }

    /// Whether anything was said yet: before that, nobody knows who is no member.
    pub(crate) fn is_known(&self) -> bool {
        !self.said.is_empty()
    }

    pub(crate) fn role(&self, peer: &PeerId) -> Role {
        self.roles.get(peer).map_or(Role::Removed, |member| member.role)
    }

    pub(crate) fn may_write(&self, peer: &PeerId) -> bool {
        self.role(peer) >= Role::Writer
    }

    /// What admins have said, and counts or may count; of more than others take in, the first.
    pub(crate) fn said(&self) -> Vec<MemberStatement> {
        self.said.values().take(MAX_STATEMENTS_PER_PARTY).map(|(_, _, statement)| statement.clone()).collect()
    }

    /// All who were not removed.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.roles.values().filter(|member| member.role > Role::Removed).copied().collect()
    }

    /// Takes in statements, as bytes. Those of whom nobody has made an admin are passed over, and count once somebody
    /// has and they are brought again. Whether anybody's role changed.
    pub(crate) fn learn(&mut self, statements: &[Vec<u8>]) -> bool {
        let read = statements.iter().filter_map(|bytes| MemberStatement::decode(bytes).ok()).collect();
        self.take_in(read, false)
    }

    /// The same of what somebody tells, who is not heard further after a statement that is forged: each costs.
    pub(crate) fn learn_told(&mut self, statements: Vec<MemberStatement>) -> bool {
        self.take_in(statements, true)
    }

    fn take_in(&mut self, mut statements: Vec<MemberStatement>, ends_at_forged: bool) -> bool {
        let before = self.roles.clone();
        // The root's first: they say whose else count.
        let root = self.root();
        statements.sort_by_key(|statement| Some(statement.by) != root);
        for statement in statements {
            let key = (statement.peer, statement.by);
            let rank = (statement.number, statement.digest());
            let newer = self.said.get(&key).is_none_or(|(number, digest, _)| rank > (*number, *digest));
            let counts = self.role(&statement.by) == Role::Admin && Some(statement.peer) != root;
            // Higher numbers are the root's, so that it can always say more.
            let counts = counts && (Some(statement.by) == root || statement.number < FIRST_NUMBER_OF_ROOT);
            let room = self.said.contains_key(&key) || self.has_room_for(&statement.by);
            if !newer || !counts || !room || self.forged.contains(&rank.1) {
                continue;
            }
            if statement.verify(&self.repository).is_err() {
                if ends_at_forged {
                    break;
                }
                if self.forged.len() < MAX_MEMBER_STATEMENTS {
                    self.forged.insert(rank.1);
                }
            } else {
                let by_root = Some(statement.by) == root;
                if self.said.insert(key, (rank.0, rank.1, statement)).is_none() {
                    *self.counts.entry(key.1).or_default() += 1;
                }
                if by_root {
                    self.evaluate();
                }
            }
        }
        self.evaluate();
        self.roles != before
    }

    /// Whether somebody may speak of one more peer.
    fn has_room_for(&self, by: &PeerId) -> bool {
        let said_by = |peer: &PeerId| self.counts.get(peer).copied().unwrap_or_default();
        let by_root = self.root().map(|root| said_by(&root)).unwrap_or_default();
        if Some(*by) == self.root() {
            return by_root < self.shares.root;
        }
        said_by(by) < self.shares.each_other && self.said.len() - by_root < self.shares.all_others
    }

    fn evaluate(&mut self) {
        let Some(root) = self.root() else { return };
        let by_root = |peer: &PeerId| self.said.get(&(*peer, root)).map(|(_, _, said)| said.role);
        let is_admin = |peer: &PeerId| *peer == root || by_root(peer) == Some(Role::Admin);
        let mut best: BTreeMap<PeerId, &(u64, [u8; 32], MemberStatement)> = BTreeMap::new();
        for ((peer, by), said) in &self.said {
            // Only the root speaks of admins, and only the root makes them.
            let speaks = *by == root || (is_admin(by) && !is_admin(peer) && said.2.role < Role::Admin);
            let higher = best.get(peer).is_none_or(|known| (said.0, said.1) > (known.0, known.1));
            if speaks && (higher || is_admin(peer)) {
                best.insert(*peer, said);
            }
        }
        let members = best.into_iter().map(|(peer, said)| (peer, Member { peer, role: said.2.role, by: said.2.by }));
        let first = Member { peer: root, role: Role::Admin, by: root };
        self.roles = members.chain([(root, first)]).collect();
    }

    /// What to say so that a peer has this role from now on, if `identity` may say it. Of an admin that is one no longer
    /// that includes what it had said of others.
    pub(crate) fn statements_for(&self, identity: &Identity, peer: PeerId, role: Role) -> Option<Vec<MemberStatement>> {
        let own = identity.peer();
        let (mine, was_admin) = (self.role(&own), self.role(&peer) == Role::Admin);
        let needs_root = was_admin || role == Role::Admin;
        let root = self.root()?;
        if mine < Role::Admin || (needs_root && own != root) || peer == root {
            return None;
        }
        let say = |peer: PeerId, role: Role| {
            let numbers = self.said.range((peer, PeerId([0; 32]))..=(peer, PeerId([u8::MAX; 32])));
            let last = numbers.map(|(_, (number, _, _))| *number).max().unwrap_or_default();
            MemberStatement::sign(identity, &self.repository, peer, role, last.saturating_add(1))
        };
        let rests = self.roles.values().filter(|member| was_admin && role < Role::Admin && member.by == peer);
        // So that those who trust on first use know whom.
        let claim = MemberStatement::sign(identity, &self.repository, root, Role::Admin, 0);
        let claim = (own == root).then_some(claim);
        let rests = rests.map(|member| say(member.peer, member.role));
        Some(claim.into_iter().chain(rests).chain([say(peer, role)]).collect())
    }
}

/// Of changes that came together those by writers, and those that a change of a writer among them builds on: it stands by
/// them. Whether one is by a writer, `by_writer` says.
pub(crate) fn approved(changes: &[Change], by_writer: impl Fn(&Change) -> bool) -> BTreeSet<ChangeHash> {
    let by_hash: BTreeMap<ChangeHash, &Change> = changes.iter().map(|change| (change.hash(), change)).collect();
    let mut approved = BTreeSet::new();
    let mut open: Vec<ChangeHash> = changes.iter().filter(|change| by_writer(change)).map(Change::hash).collect();
    while let Some(hash) = open.pop() {
        if let Some(change) = by_hash.get(&hash)
            && approved.insert(hash)
        {
            open.extend(change.deps());
        }
    }
    approved
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(number: u8) -> Identity {
        Identity::from_seed([number; 32])
    }

    fn peer(number: u8) -> PeerId {
        identity(number).peer()
    }

    fn name() -> RepositoryName {
        RepositoryName::new("r").unwrap()
    }

    fn membership() -> Membership {
        Membership::new(name(), Root::Known(peer(1)))
    }

    fn say(by: u8, of: u8, role: Role, number: u64) -> Vec<u8> {
        MemberStatement::sign(&identity(by), &name(), peer(of), role, number).encode()
    }

    #[test]
    fn only_the_root_makes_admins_and_only_admins_make_members() {
        let mut membership = membership();
        assert!(!membership.learn(&[say(2, 3, Role::Writer, 1), say(2, 2, Role::Admin, 1)]));
        assert!(membership.learn(&[say(2, 3, Role::Writer, 1), say(1, 2, Role::Admin, 1)]));
        assert!(membership.may_write(&peer(3)) && membership.role(&peer(2)) == Role::Admin);
        membership.learn(&[say(2, 4, Role::Admin, 1), say(3, 5, Role::Writer, 1)]);
        assert!(!membership.may_write(&peer(4)) && !membership.may_write(&peer(5)));
        membership.learn(&[say(2, 1, Role::Removed, 9), say(1, 1, Role::Removed, 9)]);
        assert_eq!(membership.role(&peer(1)), Role::Admin, "the root stays");
    }

    #[test]
    fn what_a_removed_admin_says_counts_no_more_however_it_is_dated() {
        let mut membership = membership();
        membership.learn(&[say(1, 2, Role::Admin, 1), say(2, 3, Role::Writer, 1), say(2, 4, Role::Reader, 1)]);
        let removal = membership.statements_for(&identity(1), peer(2), Role::Removed).unwrap();
        membership.learn(&removal.iter().map(MemberStatement::encode).collect::<Vec<_>>());
        assert_eq!((membership.role(&peer(2)), membership.role(&peer(3))), (Role::Removed, Role::Writer));
        assert_eq!(membership.role(&peer(4)), Role::Reader, "what it had said was said again");
        for number in [0, 1, 2, 99, u64::MAX] {
            membership.learn(&[say(2, 5, Role::Writer, number), say(2, 3, Role::Removed, number)]);
        }
        assert!(!membership.may_write(&peer(5)) && membership.may_write(&peer(3)));
    }

    #[test]
    fn an_admin_that_uses_up_the_numbers_cannot_keep_the_first_from_saying_otherwise() {
        let mut membership = membership();
        membership.learn(&[say(1, 2, Role::Admin, 1), say(2, 3, Role::Writer, u64::MAX)]);
        assert!(!membership.may_write(&peer(3)), "such a number counts for nothing");
        membership.learn(&[say(2, 3, Role::Writer, FIRST_NUMBER_OF_ROOT - 1)]);
        assert!(membership.may_write(&peer(3)));
        let removal = membership.statements_for(&identity(1), peer(3), Role::Removed).unwrap();
        membership.learn(&removal.iter().map(MemberStatement::encode).collect::<Vec<_>>());
        assert!(!membership.may_write(&peer(3)));
    }

    #[test]
    fn no_admin_crowds_out_the_others_or_the_first() {
        let mut membership = membership();
        membership.shares = Shares { root: 9, each_other: 4, all_others: 10 };
        let admins: Vec<Vec<u8>> = (2..=5).map(|admin| say(1, admin, Role::Admin, 1)).collect();
        membership.learn(&admins);
        let flood = |by: u8| (50..60).map(|of| say(by, of, Role::Writer, u64::from(by))).collect::<Vec<_>>();
        membership.learn(&flood(2));
        assert!(membership.may_write(&peer(53)) && !membership.may_write(&peer(54)), "its share");
        membership.learn(&[say(3, 60, Role::Writer, 1)]);
        assert!(membership.may_write(&peer(60)), "another has one of its own");
        for other in 3..=5 {
            membership.learn(&flood(other));
        }
        assert_eq!(membership.said.len(), 4 + 10, "and all of them together");
        membership.learn(&[say(2, 53, Role::Removed, 9)]);
        assert!(!membership.may_write(&peer(53)), "what was said can be said anew");
        membership.learn(&[say(1, 70, Role::Writer, 1), say(1, 50, Role::Removed, 99)]);
        assert!(membership.may_write(&peer(70)) && !membership.may_write(&peer(50)), "the first is heard all the same");
        membership.learn(&(80..90).map(|of| say(1, of, Role::Writer, 1)).collect::<Vec<_>>());
        assert_eq!(membership.said.len(), 9 + 10);
    }

    #[test]
    fn who_is_first_said_to_be_the_first_admin_is_trusted_and_nobody_after() {
        let mut membership = Membership::new(name(), Root::FirstUse);
        membership.learn(&[say(1, 2, Role::Writer, 1)]);
        assert!(!membership.may_write(&peer(2)) && !membership.may_write(&peer(1)));
        assert_eq!(membership.trust(&[say(2, 3, Role::Admin, 1)]), None);
        assert_eq!(membership.trust(&[say(1, 1, Role::Admin, 0), say(2, 2, Role::Admin, 0)]), Some(peer(1)));
        assert_eq!(membership.trust(&[say(2, 2, Role::Admin, 0)]), None);
        assert!(membership.learn(&[say(1, 2, Role::Writer, 1)]) && membership.may_write(&peer(2)));
    }

    #[test]
    fn who_may_not_say_it_cannot() {
        let mut membership = membership();
        membership.learn(&[say(1, 2, Role::Admin, 1), say(1, 3, Role::Admin, 1), say(1, 4, Role::Writer, 1)]);
        assert!(membership.statements_for(&identity(2), peer(5), Role::Writer).is_some());
        assert!(membership.statements_for(&identity(2), peer(3), Role::Removed).is_none());
        assert!(membership.statements_for(&identity(2), peer(5), Role::Admin).is_none());
        assert!(membership.statements_for(&identity(4), peer(5), Role::Writer).is_none());
        assert!(membership.statements_for(&identity(1), peer(1), Role::Removed).is_none());
    }

    fn statement() -> impl Strategy<Value = Vec<u8>> {
        let role = prop::sample::select(vec![Role::Removed, Role::Reader, Role::Writer, Role::Admin]);
        (1..6_u8, 1..6_u8, role, 0..4_u64).prop_map(|(by, of, role, number)| say(by, of, role, number))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn in_whatever_order_statements_come_they_mean_the_same(
            statements in prop::collection::vec(statement(), 0..12),
            other in any::<prop::sample::Index>(),
        ) {
            let (mut one, mut two) = (membership(), membership());
            one.learn(&statements);
            let mut backwards: Vec<Vec<u8>> = statements.iter().rev().cloned().collect();
            if !backwards.is_empty() {
                let turn = other.index(backwards.len());
                backwards.rotate_left(turn);
            }
            for statement in &backwards {
                two.learn(std::slice::from_ref(statement));
                // As is done whenever a role has changed.
                two.learn(&backwards);
            }
            prop_assert_eq!(one.members(), two.members());
        }
    }
}
