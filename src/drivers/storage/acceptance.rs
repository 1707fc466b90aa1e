//! What every storage must do; each implementation runs the same suite.

use automerge::ChangeHash;

use super::{MemoryStorage, Storage, StoredDocument};
use crate::ids::{CanvasId, DocumentId, Generation, Heads, RepositoryName};
use crate::sync::StoreOperation;

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

fn accepts(storage: &mut dyn Storage) {
    assert_eq!(storage.documents().unwrap(), []);
    assert_eq!(storage.load(&document("a")).unwrap(), None);

    storage.apply(vec![append("a", b"1"), append("b", b"x"), append("a", b"23")]).unwrap();
    let heads = Heads::new(vec![ChangeHash([1; 32])]);
    storage.apply(vec![StoreOperation::Acknowledged { document: document("a"), heads: heads.clone() }]).unwrap();
    let expected =
        StoredDocument { snapshot: None, changes: vec![b"1".to_vec(), b"23".to_vec()], acknowledged: Some(heads) };
    assert_eq!(storage.load(&document("a")).unwrap(), Some(expected.clone()));
    assert_eq!(storage.uncompacted_bytes(&document("a")), 3);

    storage.compact(&document("a"), b"123".to_vec()).unwrap();
    storage.apply(vec![append("a", b"4")]).unwrap();
    let expected = StoredDocument { snapshot: Some(b"123".to_vec()), changes: vec![b"4".to_vec()], ..expected };
    assert_eq!(storage.load(&document("a")).unwrap(), Some(expected));
    assert_eq!(storage.uncompacted_bytes(&document("a")), 1);

    storage.apply(vec![StoreOperation::Delete { document: document("a") }]).unwrap();
    assert_eq!(storage.load(&document("a")).unwrap(), None);
    assert_eq!(storage.documents().unwrap(), [document("b")]);
}

#[test]
fn memory_storage_is_accepted() {
    accepts(&mut MemoryStorage::default());
}
