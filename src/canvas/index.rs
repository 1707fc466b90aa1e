//! A repository's index: which canvases there are, in which generation, and where each lives.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{Op, OpType};
use automerge::transaction::{Transactable, Transaction};
use automerge::{ActorId, Change, ChangeHash, ReadDoc, ScalarValue, Value};
use sha2::{Digest, Sha256};

use crate::canvas::error::CanvasError;
use crate::canvas::replica::Replica;
use crate::canvas::root::{self, IndexMap};
use crate::canvas::schema::{Maps, Touched, property_key, split_key};
use crate::ids::{CanvasId, Generation, RepositoryName};
use crate::limits::MAX_STATEMENTS_AHEAD;

/// One canvas of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Its id.
    pub canvas: CanvasId,
    /// Which of the documents that bore this id.
    pub generation: Generation,
    /// The repository in which its document lives; another one than the index's own if it was shared from there.
    pub origin: RepositoryName,
    /// Who created it.
    pub created_by: Option<String>,
}

/// What an own edit did to an index.
#[derive(Debug, Clone, Default)]
pub struct LocalIndexEdit {
    /// The changes that it added, in causal order; empty if it changed nothing.
    pub changes: Vec<Change>,
    /// Entries that are there now and were not before.
    pub appeared: Vec<IndexEntry>,
    /// Entries that are there no longer: deleted, or replaced.
    pub disappeared: Vec<IndexEntry>,
}

/// What changes from elsewhere did to an index.
#[derive(Debug, Clone, Default)]
pub struct AppliedIndex {
    /// The newly applied ones.
    pub hashes: Vec<ChangeHash>,
    /// Those refused, with why; everything else was applied.
    pub rejected: Vec<(ChangeHash, String)>,
    /// Who made the last applied change that says so.
    pub author: Option<String>,
    /// The actor of that change.
    pub by: Option<ActorId>,
    /// See [`crate::canvas::Applied::unsettled`].
    pub unsettled: Vec<Change>,
    /// Entries that are there now and were not before.
    pub appeared: Vec<IndexEntry>,
    /// Entries that are there no longer: deleted, or replaced by a newer generation or another origin.
    pub disappeared: Vec<IndexEntry>,
    /// See [`crate::canvas::Applied::damaged`].
    pub damaged: bool,
}

/// A repository's index as this peer holds it.
#[derive(Debug)]
pub struct IndexDocument {
    replica: Replica,
    entries: BTreeMap<CanvasId, IndexEntry>,
}

impl IndexDocument {
    /// An empty index, which holds only the root change.
    #[must_use]
    pub fn new() -> Self {
        Self { replica: Replica::new(&root::INDEX), entries: BTreeMap::new() }
    }

    /// Reads what [`Replica::save`] wrote.
    ///
    /// # Errors
    /// [`CanvasError::Corrupt`] or [`CanvasError::SchemaTooNew`].
    pub fn load(bytes: &[u8]) -> Result<Self, CanvasError> {
        let replica = Replica::load(&root::INDEX, bytes)?;
        let keys: Vec<String> = replica.doc.keys(map(&replica.maps, IndexMap::LiveCanvases)).collect();
        let ids = keys.iter().filter_map(|key| CanvasId::new(key).ok());
        let entries = ids.filter_map(|id| Some((id.clone(), read_live(&replica, &id)?))).collect();
        Ok(Self { replica, entries })
    }

    /// The document below: heads, changes, questions about who has what.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    pub(super) fn replica_mut(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// See [`crate::canvas::CanvasDocument::set_actor`].
    pub fn set_actor(&mut self, actor: ActorId) {
        self.replica.set_actor(actor);
    }

    /// All canvases that exist.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<CanvasId, IndexEntry> {
        &self.entries
    }

    /// A canvas, if it exists.
    #[must_use]
    pub fn entry(&self, canvas: &CanvasId) -> Option<&IndexEntry> {
        self.entries.get(canvas)
    }

    /// The newest generation from a repository that was ever listed under a canvas id, also if it was deleted. Each origin
    /// counts by itself: what is shared in must not lead a repository back to generations that it has used.
    #[must_use]
    pub fn last_generation(&self, canvas: &CanvasId, origin: &RepositoryName) -> Option<Generation> {
        generation(&self.replica, canvas, origin)
    }

    /// What is listed under a canvas id, or was before it was deleted.
    #[must_use]
    pub fn last_entry(&self, canvas: &CanvasId) -> Option<IndexEntry> {
        read(&self.replica, canvas)
    }

    /// Puts an entry in, in place of any with its id. Nothing happens if a newer generation of it has been listed: who shares
    /// a canvas back may not have heard that it was deleted and made anew.
    ///
    /// # Errors
    /// [`CanvasError::Internal`] only.
    pub fn put(&mut self, entry: &IndexEntry, author: &str) -> Result<LocalIndexEdit, CanvasError> {
        if self.last_generation(&entry.canvas, &entry.origin).is_some_and(|last| last > entry.generation) {
            return Ok(LocalIndexEdit::default());
        }
        self.edit(&entry.canvas, author, |tx, maps| {
            let key = entry.canvas.as_str();
            let lineage = property_key(key, entry.origin.as_str());
            tx.put(map(maps, IndexMap::Generation), lineage, entry.generation.0)?;
            tx.put(map(maps, IndexMap::Origin), key, entry.origin.as_str())?;
            match &entry.created_by {
                Some(author) => tx.put(map(maps, IndexMap::CreatedBy), key, author.as_str())?,
                None if tx.get(map(maps, IndexMap::CreatedBy), key)?.is_some() => {
                    tx.delete(map(maps, IndexMap::CreatedBy), key)?;
                }
                None => {}
            }
            put_tag(tx, maps, key)
        })
    }

    /// Deletes a canvas; nothing happens if there is none.
    ///
    /// # Errors
    /// [`CanvasError::Internal`] only.
    pub fn delete(&mut self, canvas: &CanvasId, author: &str) -> Result<LocalIndexEdit, CanvasError> {
        self.edit(canvas, author, |tx, maps| {
            let live = map(maps, IndexMap::LiveCanvases);
            if tx.get(live, canvas.as_str())?.is_some() {
                tx.delete(live, canvas.as_str())?;
            }
            Ok(())
        })
    }

    /// Puts the tag of a canvas again, so that it outlives a deletion; nothing happens if there never was one.
    ///
    /// # Errors
    /// [`CanvasError::Internal`] only.
    pub fn revive(&mut self, canvas: &CanvasId, author: &str) -> Result<LocalIndexEdit, CanvasError> {
        if self.last_entry(canvas).is_none() {
            return Ok(LocalIndexEdit::default());
        }
        self.edit(canvas, author, |tx, maps| put_tag(tx, maps, canvas.as_str()))
    }

    /// What admins have said of members, as they have said it; in no order that means anything.
    #[must_use]
    pub fn statements(&self) -> Vec<Vec<u8>> {
        let members = map(&self.replica.maps, IndexMap::Members);
        let doc = &self.replica.doc;
        let value = |key: String| doc.get(members, key).ok().flatten().and_then(|(value, _)| value.into_bytes().ok());
        doc.keys(members).filter_map(value).collect()
    }

    /// Adds what admins say of members, as far as it is not there.
    ///
    /// # Errors
    /// [`CanvasError::Internal`] only.
    pub fn state(&mut self, statements: &[Vec<u8>]) -> Result<Option<Change>, CanvasError> {
        self.replica.edit(None, "", |tx, maps| {
            for statement in statements {
                let (members, key) = (map(maps, IndexMap::Members), hex::encode(Sha256::digest(statement)));
                // Where two have put the same at once, Automerge would delete one of them, which nobody may.
                if tx.get(members, &key)?.is_none() {
                    tx.put(members, key, ScalarValue::Bytes(statement.clone()))?;
                }
            }
            Ok(())
        })
    }

    /// What small changes that are not applied yet say of members; it proves itself. At most [`MAX_STATEMENTS_AHEAD`] in all:
    /// further ones are heard when the changes are applied.
    #[must_use]
    pub fn statements_in(changes: &[Change]) -> Vec<Vec<u8>> {
        let bytes = |op: Op| match op.action {
            OpType::Put(ScalarValue::Bytes(bytes)) => Some(bytes),
            _ => None,
        };
        // The decoder panics on some inputs, and nobody has checked these yet.
        let operations =
            |change: &Change| catch_unwind(AssertUnwindSafe(|| change.decode().operations)).unwrap_or_default();
        let small = changes.iter().filter(|change| change.len() <= MAX_STATEMENTS_AHEAD);
        let said: BTreeSet<Vec<u8>> = small
            .take(MAX_STATEMENTS_AHEAD)
            .flat_map(operations)
            .filter_map(bytes)
            .take(MAX_STATEMENTS_AHEAD)
            .collect();
        said.into_iter().collect()
    }

    /// See [`crate::canvas::CanvasDocument::stand_by`].
    pub fn stand_by(&mut self) -> Option<Change> {
        self.replica.stand_by()
    }

    /// Applies changes from elsewhere, whose dependencies are in the document or among them. Those already there are
    /// ignored.
    pub fn apply(&mut self, changes: Vec<Change>) -> AppliedIndex {
        self.apply_standing(changes, &|_| true)
    }

    /// See [`crate::canvas::CanvasDocument::apply_standing`].
    pub fn apply_standing(&mut self, changes: Vec<Change>, stands: &dyn Fn(&Change) -> bool) -> AppliedIndex {
        let taken = self.replica.take(changes, stands);
        if taken.damaged {
            return AppliedIndex { rejected: taken.rejected, damaged: true, ..AppliedIndex::default() };
        }
        let (appeared, disappeared) = self.refresh(&taken.touched);
        let said = taken.applied.iter().rev().find(|change| change.message().is_some());
        AppliedIndex {
            hashes: taken.applied.iter().map(Change::hash).collect(),
            author: said.and_then(|change| change.message().map(str::to_owned)),
            by: said.map(|change| change.actor_id().clone()),
            unsettled: taken.unsettled,
            rejected: taken.rejected,
            appeared,
            disappeared,
            damaged: false,
        }
    }

    fn edit(
        &mut self,
        canvas: &CanvasId,
        author: &str,
        write: impl FnOnce(&mut Transaction<'_>, &Maps) -> Result<(), CanvasError>,
    ) -> Result<LocalIndexEdit, CanvasError> {
        let change = self.replica.edit(None, author, write)?;
        let mut touched = Touched::default();
        touched.keys.extend(change.iter().map(|_| (IndexMap::LiveCanvases as usize, canvas.as_str().to_owned())));
        let (appeared, disappeared) = self.refresh(&touched);
        Ok(LocalIndexEdit { changes: change.into_iter().collect(), appeared, disappeared })
    }

    /// Reads the touched entries again, and says which appeared and which disappeared.
    fn refresh(&mut self, touched: &Touched) -> (Vec<IndexEntry>, Vec<IndexEntry>) {
        let id = |(map, key): &(usize, String)| {
            let lineage = (*map == IndexMap::Generation as usize).then(|| split_key(key)).flatten();
            CanvasId::new(lineage.as_ref().map_or(key, |(id, _)| id)).ok()
        };
        let ids: BTreeSet<CanvasId> = touched.keys.iter().filter_map(id).collect();
        let (mut appeared, mut disappeared) = (Vec::new(), Vec::new());
        for id in ids {
            let now = read_live(&self.replica, &id);
            let before = match &now {
                Some(entry) => self.entries.insert(id, entry.clone()),
                None => self.entries.remove(&id),
            };
            let document = |entry: &IndexEntry| (entry.generation, entry.origin.clone());
            if before.as_ref().map(document) != now.as_ref().map(document) {
                disappeared.extend(before);
                appeared.extend(now);
            }
        }
        (appeared, disappeared)
    }
}

impl Default for IndexDocument {
    fn default() -> Self {
        Self::new()
    }
}

fn map(maps: &Maps, map: IndexMap) -> &automerge::ObjId {
    maps.id(map as usize)
}

fn put_tag(tx: &mut Transaction<'_>, maps: &Maps, key: &str) -> Result<(), CanvasError> {
    let live = map(maps, IndexMap::LiveCanvases);
    let tag = tx.get(live, key)?.and_then(|(value, _)| value.as_u64());
    Ok(tx.put(live, key, tag.map_or(1, |tag| tag.saturating_add(1)))?)
}

fn get<'a>(replica: &'a Replica, of: IndexMap, canvas: &CanvasId) -> Option<Value<'a>> {
    replica.doc.get(map(&replica.maps, of), canvas.as_str()).ok().flatten().map(|(value, _)| value)
}

/// Of generations put at the same time the highest counts: no older document may come back.
fn generation(replica: &Replica, canvas: &CanvasId, origin: &RepositoryName) -> Option<Generation> {
    let lineage = property_key(canvas.as_str(), origin.as_str());
    let all = replica.doc.get_all(map(&replica.maps, IndexMap::Generation), lineage).unwrap_or_default();
    all.iter().filter_map(|(value, _)| value.as_u64()).max().map(Generation)
}

/// The entry of a canvas that exists.
fn read_live(replica: &Replica, canvas: &CanvasId) -> Option<IndexEntry> {
    get(replica, IndexMap::LiveCanvases, canvas)?;
    read(replica, canvas)
}

/// The entry of a canvas, whether or not it exists. What no version of this software writes counts as none.
fn read(replica: &Replica, canvas: &CanvasId) -> Option<IndexEntry> {
    let origin = RepositoryName::new(get(replica, IndexMap::Origin, canvas)?.as_str()?).ok()?;
    Some(IndexEntry {
        canvas: canvas.clone(),
        generation: generation(replica, canvas, &origin)?,
        origin,
        created_by: get(replica, IndexMap::CreatedBy, canvas).and_then(|value| value.as_str().map(str::to_owned)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(number: u8) -> IndexDocument {
        let mut index = IndexDocument::new();
        index.set_actor(ActorId::from([number; 16]));
        index
    }

    fn entry(canvas: &str, generation: u64, origin: &str) -> IndexEntry {
        IndexEntry {
            canvas: CanvasId::new(canvas).unwrap(),
            generation: Generation(generation),
            origin: RepositoryName::new(origin).unwrap(),
            created_by: Some("me".into()),
        }
    }

    fn sync(a: &mut IndexDocument, b: &mut IndexDocument) -> AppliedIndex {
        let to_a = b.replica().changes_since(a.replica().heads().as_slice());
        b.apply(a.replica().changes_since(b.replica().heads().as_slice()));
        let applied = a.apply(to_a);
        assert_eq!(a.entries(), b.entries());
        applied
    }

    #[test]
    fn entries_come_and_go_and_are_told_of() {
        let (mut a, mut b) = (index(1), index(2));
        let plan = entry("docs/plan", 1, "home");
        assert_eq!(b.put(&plan, "me").unwrap().appeared, std::slice::from_ref(&plan));
        let applied = sync(&mut a, &mut b);
        assert_eq!((applied.appeared, applied.author), (vec![plan.clone()], Some("me".into())));
        assert_eq!(a.entry(&plan.canvas), Some(&plan));
        assert_eq!(a.delete(&plan.canvas, "me").unwrap().disappeared, std::slice::from_ref(&plan));
        assert_eq!(a.delete(&plan.canvas, "me").unwrap().changes, []);
        let applied = sync(&mut b, &mut a);
        assert_eq!((applied.disappeared, b.entries().len()), (vec![plan.clone()], 0));
        assert_eq!(b.last_generation(&plan.canvas, &plan.origin), Some(Generation(1)));
        let loaded = IndexDocument::load(&a.replica().save()).unwrap();
        assert_eq!(
            (loaded.entries().len(), loaded.last_generation(&plan.canvas, &plan.origin)),
            (0, Some(Generation(1)))
        );
    }

    #[test]
    fn what_was_said_of_members_stays() {
        let (mut a, mut b) = (index(1), index(2));
        let change = a.state(&[b"one".to_vec(), b"two".to_vec()]).unwrap().unwrap();
        assert_eq!(IndexDocument::statements_in(&[change]).len(), 2);
        assert_eq!(a.state(&[b"one".to_vec()]).unwrap(), None, "it has been said");
        b.state(&[b"one".to_vec()]).unwrap();
        sync(&mut b, &mut a);
        assert_eq!((b.statements().len(), b.state(&[b"one".to_vec()]).unwrap()), (2, None), "both have said it");
        for attempt in ["delete", "other", "elsewhere"] {
            let mut rogue = a.replica.doc.fork();
            let members = map(&a.replica.maps, IndexMap::Members).clone();
            let key = rogue.keys(&members).next().unwrap();
            let mut tx = rogue.transaction();
            match attempt {
                "delete" => tx.delete(&members, key).unwrap(),
                "other" => tx.put(&members, key, ScalarValue::Bytes(b"three".to_vec())).unwrap(),
                _ => tx.put(&members, "00", ScalarValue::Bytes(b"three".to_vec())).unwrap(),
            }
            tx.commit();
            let applied = b.apply(vec![rogue.get_last_local_change().unwrap()]);
            assert_eq!((applied.rejected.len(), b.statements().len()), (1, 2), "{attempt}");
        }
    }

    #[test]
    fn a_newer_generation_replaces_an_older_one_and_not_the_other_way() {
        let (mut a, mut b) = (index(1), index(2));
        let (first, second) = (entry("plan", 1, "home"), entry("plan", 2, "home"));
        a.put(&first, "me").unwrap();
        sync(&mut a, &mut b);
        a.delete(&first.canvas, "me").unwrap();
        a.put(&second, "me").unwrap();
        let applied = sync(&mut b, &mut a);
        assert_eq!((applied.appeared, applied.disappeared), (vec![second.clone()], vec![first.clone()]));
        assert_eq!(b.put(&first, "me").unwrap().changes, [], "an older one does not replace it");
        assert_eq!(b.entry(&first.canvas), Some(&second));
    }

    #[test]
    fn reviving_outlives_a_concurrent_deletion() {
        let (mut a, mut b) = (index(1), index(2));
        let plan = entry("plan", 1, "home");
        a.put(&plan, "me").unwrap();
        sync(&mut a, &mut b);
        a.delete(&plan.canvas, "me").unwrap();
        assert_eq!(b.revive(&plan.canvas, "me").unwrap().changes.len(), 1);
        assert_eq!(sync(&mut a, &mut b).appeared, std::slice::from_ref(&plan));
        assert_eq!(a.revive(&CanvasId::new("unknown").unwrap(), "me").unwrap().changes, []);
    }

    #[test]
    fn what_is_shared_in_does_not_lead_back_to_used_generations() {
        let mut index = index(1);
        let own = RepositoryName::new("r").unwrap();
        let plan = CanvasId::new("plan").unwrap();
        index.put(&entry("plan", 2, "r"), "me").unwrap();
        index.delete(&plan, "me").unwrap();
        index.put(&entry("plan", 1, "elsewhere"), "me").unwrap();
        assert_eq!(index.entry(&plan).map(|entry| entry.generation), Some(Generation(1)));
        index.delete(&plan, "me").unwrap();
        assert_eq!(index.last_generation(&plan, &own), Some(Generation(2)));
        assert_eq!(index.last_entry(&plan).map(|entry| entry.origin.to_string()), Some("elsewhere".to_owned()));
    }
}
