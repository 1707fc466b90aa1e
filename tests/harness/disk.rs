//! A disk that keeps what was synced, and may be full.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{ActorId, Automerge, Change, ChangeHash};
use mqtt_p2p::ids::DocumentId;
use mqtt_p2p::sync::{ActorMark, KnownDocument, StoreOperation, StoredDocument, Summary, compact};

#[derive(Default)]
struct Kept {
    stored: StoredDocument,
    summary: Summary,
    actor: Option<ActorMark>,
    hashes: BTreeSet<ChangeHash>,
}

/// What survives a crash of one node.
#[derive(Default)]
pub struct Disk(BTreeMap<DocumentId, Kept>);

impl Disk {
    /// Carries out a batch; returns the changes that it added, with their actors.
    pub fn apply(&mut self, operations: &[StoreOperation]) -> Vec<(DocumentId, ChangeHash, ActorId)> {
        let mut added = Vec::new();
        for operation in operations {
            match operation {
                StoreOperation::Append { document, changes } => {
                    let kept = self.0.entry(document.clone()).or_default();
                    for bytes in changes {
                        let change = Change::from_bytes(bytes.clone()).unwrap();
                        let hash = change.hash();
                        assert!(kept.hashes.insert(hash), "{hash} was stored twice");
                        added.push((document.clone(), hash, change.actor_id().clone()));
                    }
                    kept.stored.changes.extend(changes.iter().cloned());
                }
                StoreOperation::Replace { document, snapshot } => {
                    let changes = Automerge::load(snapshot).unwrap().get_changes(&[]);
                    let kept = self.0.entry(document.clone()).or_default();
                    kept.stored.snapshot = Some(snapshot.clone());
                    kept.stored.changes.clear();
                    for change in changes {
                        if kept.hashes.insert(change.hash()) {
                            added.push((document.clone(), change.hash(), change.actor_id().clone()));
                        }
                    }
                }
                StoreOperation::Vouch { document, vouchers } => {
                    let kept = &mut self.of(document).stored.vouchers;
                    kept.retain(|known| vouchers.iter().all(|voucher| voucher.actor != known.actor));
                    kept.extend(vouchers.iter().cloned());
                }
                StoreOperation::Describe { document, summary } => self.of(document).summary = summary.clone(),
                StoreOperation::Acknowledged { document, heads } => {
                    self.of(document).stored.acknowledged = Some(heads.clone());
                }
                StoreOperation::KeepActor { document, mark } => self.of(document).actor = Some(mark.clone()),
                StoreOperation::Heard { document, marks } => self.of(document).stored.heard = Some(marks.clone()),
                StoreOperation::ForgetActors => self.0.values_mut().for_each(|kept| kept.actor = None),
                StoreOperation::Delete { document } => drop(self.0.remove(document)),
            }
        }
        added
    }

    fn of(&mut self, document: &DocumentId) -> &mut Kept {
        self.0.entry(document.clone()).or_default()
    }

    /// Puts a snapshot in the place of what a document has gathered.
    pub fn compact(&mut self, document: &DocumentId) {
        if let Some(kept) = self.0.get_mut(document) {
            kept.stored.snapshot = Some(compact(document, kept.stored.clone()).unwrap());
            kept.stored.changes.clear();
        }
    }

    /// What a new process learns first.
    pub fn known(&self) -> Vec<KnownDocument> {
        let known = |(document, kept): (&DocumentId, &Kept)| KnownDocument {
            document: document.clone(),
            summary: kept.summary.clone(),
            actor: kept.actor.clone(),
        };
        self.0.iter().map(known).collect()
    }

    pub fn load(&self, document: &DocumentId) -> Option<StoredDocument> {
        self.0.get(document).map(|kept| kept.stored.clone())
    }

    pub fn contains(&self, document: &DocumentId, hash: &ChangeHash) -> bool {
        self.0.get(document).is_some_and(|kept| kept.hashes.contains(hash))
    }
}
