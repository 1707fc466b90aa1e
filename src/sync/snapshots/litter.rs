//! Parts on the broker that this peer is to clear one day.

use std::collections::{BTreeMap, BTreeSet};

use super::book::Digest;
use crate::ids::DocumentId;
use crate::limits::MAX_LITTER_PARTS;

/// Parts that this peer has published, or whose manifest it has cleared: they go when no manifest needs them. Kept over
/// reconnects.
#[derive(Debug, Default)]
pub(super) struct Litter {
    parts: BTreeMap<DocumentId, BTreeSet<Digest>>,
    count: usize,
}

impl Litter {
    /// At the bound the new one is not remembered, and stays on the broker.
    pub(super) fn add(&mut self, id: &DocumentId, digest: Digest) {
        if self.count < MAX_LITTER_PARTS && self.parts.entry(id.clone()).or_default().insert(digest) {
            self.count += 1;
        }
    }

    pub(super) fn has(&self, id: &DocumentId) -> bool {
        self.parts.contains_key(id)
    }

    /// Takes out what is not needed.
    pub(super) fn take_unneeded(&mut self, id: &DocumentId, is_needed: impl Fn(&Digest) -> bool) -> Vec<Digest> {
        let parts = self.parts.remove(id).unwrap_or_default();
        let (needed, unneeded): (BTreeSet<Digest>, BTreeSet<Digest>) = parts.into_iter().partition(is_needed);
        self.count -= unneeded.len();
        if !needed.is_empty() {
            self.parts.insert(id.clone(), needed);
        }
        unneeded.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RepositoryName;

    #[test]
    fn what_is_needed_stays_and_is_bounded() {
        let id = DocumentId::Index { repository: RepositoryName::new("r").unwrap() };
        let mut litter = Litter::default();
        for number in 0..MAX_LITTER_PARTS + 5 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            litter.add(&id, digest);
            litter.add(&id, digest);
        }
        assert_eq!(litter.take_unneeded(&id, |digest| digest[7] != 0).len(), MAX_LITTER_PARTS / 256);
        assert!(litter.has(&id));
        assert_eq!(litter.take_unneeded(&id, |_| false).len(), MAX_LITTER_PARTS - MAX_LITTER_PARTS / 256);
        assert!(!litter.has(&id) && litter.count == 0);
    }
}
