//! How much a document holds, so that it can be kept from growing without end.

use automerge::{Change, ChangeMetadata};

use crate::canvas::adopt::WholeCanvas;
use crate::canvas::document::CanvasDocument;
use crate::canvas::index::IndexDocument;
use crate::canvas::replica::Replica;

/// What a document holds, or may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Operations and changes: what its whole history consists of.
    pub operations: u64,
    /// Bytes of it as it is saved.
    pub bytes: u64,
    /// Elements and properties of a canvas, deleted ones included; canvases of an index. Memory is needed for each.
    pub entries: u64,
    /// Actors: each needs a voucher, and all of them go into one message.
    pub actors: u64,
}

impl Size {
    /// Whether it may be: what changes add to bytes and entries is seen only when they are there, so of these there must be
    /// fewer.
    #[must_use]
    pub fn fits(&self, most: &Self) -> bool {
        self.operations <= most.operations
            && self.actors <= most.actors
            && self.bytes < most.bytes
            && self.entries < most.entries
    }

    /// Seven eighths of it.
    #[must_use]
    pub fn almost(&self) -> Self {
        let almost = |whole: u64| whole - whole / 8;
        Self {
            operations: almost(self.operations),
            bytes: almost(self.bytes),
            entries: almost(self.entries),
            actors: almost(self.actors),
        }
    }
}

/// What a document has grown to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Grown {
    operations: u64,
    bytes: u64,
    /// Of `bytes`, how many are those of single changes, which take less room when they are saved together.
    estimated: u64,
}

impl Grown {
    /// That of a document of these changes that was saved in so many bytes.
    pub(super) fn saved(changes: &[ChangeMetadata<'_>], bytes: usize) -> Self {
        let operations = changes.iter().map(|change| (change.max_op + 2).saturating_sub(change.start_op)).sum();
        Self { operations, bytes: bytes as u64, estimated: 0 }
    }

    /// That of a document of so many operations and changes that was saved in so many bytes.
    pub(super) fn rebuilt(operations_and_changes: usize, bytes: usize) -> Self {
        Self { operations: operations_and_changes as u64, bytes: bytes as u64, estimated: 0 }
    }

    /// The document has taken in a change.
    pub(super) fn add(&mut self, change: &Change) {
        self.operations += weight(change);
        self.bytes += change.raw_bytes().len() as u64;
        self.estimated += change.raw_bytes().len() as u64;
    }
}

/// Its operations, and one for itself: there are empty ones.
fn weight(change: &Change) -> u64 {
    change.len() as u64 + 1
}

impl Replica {
    /// All operations of its history, and one for each change.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.grown.operations
    }

    /// What it holds; if its bytes as estimated matter where `most` are allowed, they are measured. That takes as long as
    /// saving it, and is not repeated before an eighth of `most` has been added.
    fn size(&mut self, entries: usize, most: &Size) -> Size {
        if self.grown.bytes > most.almost().bytes && self.grown.estimated > most.bytes / 8 {
            self.grown.bytes = self.save().len() as u64;
            self.grown.estimated = 0;
        }
        let Grown { operations, bytes, .. } = self.grown;
        Size { operations, bytes, entries: entries as u64, actors: self.newest_of_actors().len() as u64 }
    }
}

/// With these changes; what they do to bytes and entries is seen when they are there.
fn with(size: Size, changes: &[Change]) -> Size {
    let actors = changes.iter().filter(|change| change.seq() == 1).count() as u64;
    let operations: u64 = changes.iter().map(weight).sum();
    Size { operations: size.operations + operations, actors: size.actors + actors, ..size }
}

impl CanvasDocument {
    /// What it holds, and these changes; bytes are exact to an eighth of `most`.
    pub fn size_with(&mut self, changes: &[Change], most: &Size) -> Size {
        let entries = self.view.entries();
        with(self.replica.size(entries, most), changes)
    }
}

impl WholeCanvas {
    /// Whether a document that held nothing would have room for it; what it does to entries is seen when it is there.
    pub fn fits(&mut self, most: &Size) -> bool {
        self.replica.size(0, most).fits(most)
    }
}

impl IndexDocument {
    /// See [`CanvasDocument::size_with`].
    pub fn size_with(&mut self, changes: &[Change], most: &Size) -> Size {
        let entries = self.entries().len();
        with(self.replica_mut().size(entries, most), changes)
    }
}

#[cfg(test)]
mod tests {
    use automerge::ActorId;
    use automerge::transaction::Transactable;

    use super::*;
    use crate::canvas::{Canvas, CanvasPatch};

    const ENDLESS: Size = Size { operations: u64::MAX, bytes: u64::MAX, entries: u64::MAX, actors: u64::MAX };

    fn edited(edits: usize) -> CanvasDocument {
        let mut canvas = CanvasDocument::new();
        canvas.set_actor(ActorId::from([1; 24]));
        canvas.create(&Canvas::from_json(r#"{"nodes":[{"id":"n","text":"","x":0}]}"#).unwrap(), "me").unwrap();
        for x in 0..edits {
            let patch = format!(r#"{{"nodes":{{"upsert":[{{"id":"n","x":{x}}}]}}}}"#);
            canvas.patch(&CanvasPatch::from_json(&patch).unwrap(), "me").unwrap();
        }
        canvas
    }

    #[test]
    fn what_was_loaded_counts_as_what_was_edited() {
        let mut canvas = edited(50);
        let mut loaded = CanvasDocument::load(&canvas.replica().save()).unwrap();
        let (one, other) = (canvas.size_with(&[], &ENDLESS), loaded.size_with(&[], &ENDLESS));
        assert_eq!((one.operations, one.entries), (other.operations, other.entries));
        assert_eq!(one.actors + 1, other.actors, "that of the root, which is known where it was loaded");
        assert_eq!(other.bytes, canvas.replica().save().len() as u64);
        assert!(one.operations > 100 && one.bytes > other.bytes);
        assert_eq!(one.entries, 1 + 2, "a node, its text and its place");
        let empty = canvas.stand_by().unwrap();
        assert_eq!(canvas.size_with(&[], &ENDLESS).operations, one.operations + 1);
        assert_eq!(loaded.size_with(&[empty], &ENDLESS).operations, one.operations + 1);
    }

    #[test]
    fn bytes_are_measured_where_they_matter_and_not_each_time() {
        let mut canvas = edited(200);
        let estimate = canvas.size_with(&[], &ENDLESS).bytes;
        let exact = canvas.replica().save().len() as u64;
        assert!(exact < estimate / 2);
        let most = Size { bytes: estimate, ..ENDLESS };
        assert_eq!(canvas.size_with(&[], &most).bytes, exact);
        let added = canvas.stand_by().unwrap().raw_bytes().len() as u64;
        assert_eq!(canvas.size_with(&[], &Size { bytes: 1 + 8 * added, ..ENDLESS }).bytes, exact + added);
    }

    #[test]
    fn entries_are_those_of_the_view_whatever_comes_and_goes() {
        let mut canvas = edited(3);
        let steps = [
            r#"{"nodes":{"upsert":[{"id":"m","x":1,"y":2},{"id":"n","y":1}]}}"#,
            r#"{"edges":{"upsert":[{"id":"e","fromNode":"n","toNode":"m"}]},"nodes":{"remove":["n"]}}"#,
            r#"{"nodes":{"upsert":[{"id":"n","text":"again"}]}}"#,
        ];
        for step in steps {
            canvas.patch(&CanvasPatch::from_json(step).unwrap(), "me").unwrap();
            let mut loaded = CanvasDocument::load(&canvas.replica().save()).unwrap();
            assert_eq!(canvas.size_with(&[], &ENDLESS).entries, loaded.size_with(&[], &ENDLESS).entries, "{step}");
        }
        let mut replica = Replica::new(&crate::canvas::root::CANVAS);
        replica.edit(None, "", |tx, maps| Ok(tx.put(maps.id(0), "a/x", 1)?)).unwrap();
        assert_eq!(replica.size(0, &ENDLESS).operations, replica.grown.operations);
    }
}
