//! What every storage must do; each implementation runs the same suite.

use automerge::{ActorId, ChangeHash};

use super::{MemoryStorage, Storage};
use crate::canvas::{CanvasDocument, CanvasPatch, Version};
use crate::crypto::{Identity, actor_of};
use crate::ids::{CanvasId, DocumentId, Generation, Heads, RepositoryName};
use crate::sync::{ActorMark, KnownDocument, StoreOperation, StoredDocument, Summary};
use crate::wire::Voucher;

fn document(name: &str) -> DocumentId {
    DocumentId::Canvas {
        repository: RepositoryName::new("r").unwrap(),
        canvas: CanvasId::new(name).unwrap(),
        generation: Generation(1),
    }
}

fn append(name: &str, bytes: &[u8]) -> StoreOperation {
    StoreOperation::Append { document: document(name), changes: vec![bytes.to_vec()] }
}

fn heads(byte: u8) -> Heads {
    Heads::new(vec![ChangeHash([byte; 32])])
}

fn keeps_documents(storage: &mut dyn Storage) {
    assert_eq!(storage.documents().unwrap(), []);
    assert_eq!(storage.load(&document("a")).unwrap(), None);

    storage.apply(vec![append("a", b"1"), append("b", b"x"), append("a", b"23")]).unwrap();
    storage.apply(vec![StoreOperation::Acknowledged { document: document("a"), heads: heads(1) }]).unwrap();
    let identity = Identity::from_seed([1; 32]);
    let vouch = |number: u8, sequence: u64| {
        let actor = ActorId::from(actor_of(&identity.peer(), [number; 8]));
        Voucher::sign(&identity, &document("a"), actor, sequence, ChangeHash([number; 32]))
    };
    for vouchers in [vec![vouch(1, 1), vouch(2, 1)], vec![vouch(1, 2)]] {
        storage.apply(vec![StoreOperation::Vouch { document: document("a"), vouchers }]).unwrap();
    }
    for marks in [b"old".to_vec(), b"new".to_vec()] {
        storage.apply(vec![StoreOperation::Heard { document: document("a"), marks }]).unwrap();
    }
    let mut stored = storage.load(&document("a")).unwrap().unwrap();
    stored.vouchers.sort_by(|one, other| one.actor.cmp(&other.actor));
    let expected = StoredDocument {
        snapshot: None,
        changes: vec![b"1".to_vec(), b"23".to_vec()],
        acknowledged: Some(heads(1)),
        vouchers: vec![vouch(1, 2), vouch(2, 1)],
        heard: Some(b"new".to_vec()),
    };
    assert_eq!(stored, expected);
    assert_eq!(storage.uncompacted_bytes(&document("a")), 3);

    storage.apply(vec![StoreOperation::Delete { document: document("a") }]).unwrap();
    assert_eq!(storage.load(&document("a")).unwrap(), None);
    assert_eq!(storage.uncompacted_bytes(&document("a")), 0);
    let names: Vec<_> = storage.documents().unwrap().into_iter().map(|known| known.document).collect();
    assert_eq!(names, [document("b")]);
    storage.apply(vec![StoreOperation::Delete { document: document("b") }]).unwrap();
}

fn keeps_what_is_known_of_them(storage: &mut dyn Storage) {
    let summary = Summary { heads: heads(2), nodes: 3, edges: 4, unsent: true };
    let mark = ActorMark { actor: ActorId::from([5; 16]), sequence: 6 };
    let id = document("known");
    storage
        .apply(vec![
            append("known", b"1"),
            StoreOperation::Describe { document: id.clone(), summary: Summary::default() },
            StoreOperation::Describe { document: id.clone(), summary: summary.clone() },
            StoreOperation::KeepActor { document: id.clone(), mark: mark.clone() },
        ])
        .unwrap();
    let known = KnownDocument { document: id.clone(), summary, actor: Some(mark) };
    assert_eq!(storage.documents().unwrap(), std::slice::from_ref(&known));
    storage.apply(vec![StoreOperation::ForgetActors]).unwrap();
    assert_eq!(storage.documents().unwrap(), [KnownDocument { actor: None, ..known }]);
    storage.apply(vec![StoreOperation::Delete { document: id }]).unwrap();
    assert_eq!(storage.documents().unwrap(), []);
}

fn compacts(storage: &mut dyn Storage) {
    let id = document("compacted");
    let (mut raw, version) = edits("n", 5_000);
    let last = raw.pop().unwrap();
    storage.apply(vec![StoreOperation::Append { document: id.clone(), changes: raw }]).unwrap();
    storage.apply(vec![StoreOperation::Acknowledged { document: id.clone(), heads: heads(8) }]).unwrap();
    storage.compact(&id).unwrap();
    assert_eq!(storage.uncompacted_bytes(&id), 0);
    storage.apply(vec![StoreOperation::Append { document: id.clone(), changes: vec![last.clone()] }]).unwrap();
    assert_eq!(storage.uncompacted_bytes(&id), last.len());
    let stored = storage.load(&id).unwrap().unwrap();
    assert_eq!((stored.changes.len(), stored.acknowledged), (1, Some(heads(8))));
    let mut loaded = CanvasDocument::load(&stored.snapshot.unwrap()).unwrap();
    loaded.apply(stored.changes.into_iter().map(|bytes| crate::canvas::decode_change(bytes).unwrap()).collect());
    assert_eq!(loaded.version(), version);
    storage.compact(&id).unwrap();
    let stored = storage.load(&id).unwrap().unwrap();
    assert_eq!(CanvasDocument::load(&stored.snapshot.unwrap()).unwrap().version(), version);
    storage.compact(&document("absent")).unwrap();
    storage.apply(vec![StoreOperation::Delete { document: id }]).unwrap();
}

fn takes_whole_documents(storage: &mut dyn Storage) {
    let id = document("whole");
    storage.apply(vec![append("whole", b"1"), append("whole", b"2")]).unwrap();
    let replace = |snapshot: &[u8]| StoreOperation::Replace { document: id.clone(), snapshot: snapshot.to_vec() };
    let summary = Summary { heads: heads(2), nodes: 3, edges: 4, unsent: false };
    let describe = StoreOperation::Describe { document: id.clone(), summary: summary.clone() };
    storage.apply(vec![replace(b"all"), append("whole", b"3"), describe]).unwrap();
    let stored = storage.load(&id).unwrap().unwrap();
    assert_eq!((stored.snapshot, stored.changes), (Some(b"all".to_vec()), vec![b"3".to_vec()]));
    assert_eq!(storage.uncompacted_bytes(&id), 1);
    storage.apply(vec![replace(b"all of it")]).unwrap();
    let stored = storage.load(&id).unwrap().unwrap();
    assert_eq!((stored.snapshot, stored.changes), (Some(b"all of it".to_vec()), Vec::new()));
    assert_eq!(storage.documents().unwrap(), [KnownDocument { document: id.clone(), summary, actor: None }]);
    storage.apply(vec![StoreOperation::Delete { document: id.clone() }]).unwrap();
    storage.apply(vec![replace(b"anew")]).unwrap();
    assert_eq!(storage.load(&id).unwrap().unwrap().snapshot, Some(b"anew".to_vec()));
    storage.apply(vec![StoreOperation::Delete { document: id }]).unwrap();
}

/// What a storage has outlives it: `open` closes the storage that was there before, if any, and opens it again.
pub(super) fn keeps_after(mut open: impl FnMut() -> Box<dyn Storage>) {
    let id = document("kept");
    let (raw, version) = edits("n", 2_000);
    let (first, second) = raw.split_at(raw.len() / 2);
    let mark = ActorMark { actor: ActorId::from([5; 16]), sequence: 6 };
    let summary = Summary { heads: heads(2), nodes: 3, edges: 4, unsent: true };
    let batch = |changes: &[Vec<u8>]| StoreOperation::Append { document: id.clone(), changes: changes.to_vec() };
    let mut storage = open();
    storage.apply(vec![batch(first), append("gone", b"1")]).unwrap();
    let gathered = storage.uncompacted_bytes(&id);
    drop(storage);
    let mut storage = open();
    assert_eq!(storage.uncompacted_bytes(&id), gathered);
    storage.compact(&id).unwrap();
    storage.apply(vec![StoreOperation::Delete { document: document("gone") }]).unwrap();
    drop(storage);
    let mut storage = open();
    assert_eq!(storage.uncompacted_bytes(&id), 0);
    storage
        .apply(vec![
            batch(second),
            StoreOperation::Describe { document: id.clone(), summary: summary.clone() },
            StoreOperation::Acknowledged { document: id.clone(), heads: heads(1) },
            StoreOperation::KeepActor { document: id.clone(), mark: mark.clone() },
        ])
        .unwrap();
    drop(storage);
    let storage = open();
    let known = KnownDocument { document: id.clone(), summary, actor: Some(mark) };
    assert_eq!(storage.documents().unwrap(), [known]);
    let stored = storage.load(&id).unwrap().unwrap();
    assert_eq!((&stored.changes[..], &stored.acknowledged), (second, &Some(heads(1))));
    let mut loaded = CanvasDocument::load(&stored.snapshot.unwrap()).unwrap();
    loaded.apply(stored.changes.into_iter().map(|bytes| crate::canvas::decode_change(bytes).unwrap()).collect());
    assert_eq!(loaded.version(), version);
}

/// Raw changes of one canvas, of somewhat more than so many bytes in all, and the version after them.
pub(super) fn edits(node: &str, bytes: usize) -> (Vec<Vec<u8>>, Version) {
    let mut canvas = CanvasDocument::new();
    canvas.set_actor(ActorId::from([7; 16]));
    let (mut raw, mut length) = (Vec::new(), 0);
    while length <= bytes {
        let text = format!(r#"{{"nodes":{{"upsert":[{{"id":"{node}","x":{length}}}]}}}}"#);
        let made = canvas.patch(&CanvasPatch::from_json(&text).unwrap(), "me").unwrap().changes;
        for change in made {
            length += change.raw_bytes().len();
            raw.push(change.raw_bytes().to_vec());
        }
    }
    (raw, canvas.version())
}

pub(super) fn accepts(storage: &mut dyn Storage) {
    keeps_documents(storage);
    keeps_what_is_known_of_them(storage);
    compacts(storage);
    takes_whole_documents(storage);
}

#[test]
fn memory_storage_is_accepted() {
    accepts(&mut MemoryStorage::default());
}
