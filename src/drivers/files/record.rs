//! What a file and its canvas last had in common, and what tells an edit from an old copy.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::canvas::file::distance;
use crate::canvas::{Canvas, Version};
use crate::ids::Heads;
use crate::limits::{MAX_FILE_COMMONS, MAX_NOTED_BLOBS};

/// SHA-256 of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileDigest([u8; 32]);

impl FileDigest {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// A content that file and canvas had in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    /// The version of the canvas that holds it.
    pub version: Version,
    /// The content.
    pub canvas: Canvas,
    /// When we wrote it into the file, in milliseconds since the Unix epoch; none if it was saved by somebody else, who
    /// therefore has it.
    pub written_unix_ms: Option<u64>,
}

/// Everything that is kept of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRecord {
    /// The bytes that the file had.
    pub digest: FileDigest,
    /// The contents that file and canvas had in common, the newest first; never empty. Only the newest that a stale copy
    /// may have been read from: up to the newest that somebody else saved.
    commons: VecDeque<Arc<Common>>,
    /// Versions that hold what git has under these object ids, the newest first.
    blobs: VecDeque<(String, Version)>,
    /// Set while it is not certain that the newest content is in the file.
    unsure: Option<Before>,
}

/// What a file had before a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Before {
    /// There was none.
    Absent,
    /// These bytes.
    Had(FileDigest),
}

/// From what a saved file is taken to differ.
#[derive(Debug, PartialEq)]
pub struct Basis<'a> {
    /// What it was most probably made from.
    pub common: &'a Common,
    /// An older content that it is closer to, although our last write is too long ago for that to be assumed.
    pub suspect: Option<&'a Common>,
}

impl FileRecord {
    /// File and canvas are equal for the first time.
    #[must_use]
    pub fn new(digest: FileDigest, common: Common) -> Self {
        Self { digest, commons: VecDeque::from([Arc::new(common)]), blobs: VecDeque::new(), unsure: None }
    }

    /// What they last had in common.
    #[must_use]
    pub fn common(&self) -> &Common {
        // Never empty: made with one, and only ever cut down to one.
        self.commons.front().unwrap_or_else(|| unreachable!("a record has a content"))
    }

    /// File and canvas are equal again.
    pub fn renew(&mut self, digest: FileDigest, common: Common) {
        self.digest = digest;
        if common.canvas == self.common().canvas {
            // The same content at another version: who has it, and since when, is as before.
            let written_unix_ms = self.common().written_unix_ms;
            self.commons.pop_front();
            self.commons.push_front(Arc::new(Common { written_unix_ms, ..common }));
            return;
        }
        if common.written_unix_ms.is_none() {
            self.commons.clear();
        }
        self.commons.push_front(Arc::new(common));
        self.commons.truncate(MAX_FILE_COMMONS);
    }

    /// The record as it is kept while the file is being written, and nobody can say whether it has been; `before` is what
    /// the file has until then, if there is one.
    #[must_use]
    pub fn unsure(mut self, before: Option<FileDigest>) -> Self {
        self.unsure = Some(before.map_or(Before::Absent, Before::Had));
        self
    }

    /// What a process that ended at any moment has left, compared with the file as it is now: its digest, and its content
    /// if it can be read. `None` if nothing is known of the file.
    #[must_use]
    pub fn settled(mut self, file: Option<(FileDigest, Option<&Canvas>)>) -> Option<Self> {
        let Some(before) = self.unsure.take() else { return Some(self) };
        let written = match (before, file) {
            (_, Some((digest, _))) if digest == self.digest => true,
            // Was it written and changed afterwards, or never written? Without anything older nothing can be lost by
            // meeting it for the first time.
            (Before::Absent, _) => return None,
            (Before::Had(before), Some((digest, _))) if digest == before => false,
            (Before::Had(_), Some((_, Some(content)))) => {
                let far =
                    |common: Option<&Arc<Common>>| common.map_or(u64::MAX, |common| distance(&common.canvas, content));
                far(self.commons.front()) <= far(self.commons.get(1))
            }
            (Before::Had(_), Some((_, None))) => true,
            (Before::Had(_), None) => false,
        };
        if let (false, Before::Had(before)) = (written, before) {
            self.digest = before;
            self.commons.pop_front();
        }
        (!self.commons.is_empty()).then_some(self)
    }

    /// Whether it has to be compared with the file before it is used.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        self.unsure.is_some()
    }

    /// Chooses what a saved file is a difference from. Within `window_ms` after each of our writes an editor may still have
    /// what was there before, so that of the contents since then the one from which the file differs least is taken.
    #[must_use]
    pub fn basis(&self, saved: &Canvas, now_unix_ms: u64, window_ms: u64) -> Basis<'_> {
        let recent = |common: &Arc<Common>| {
            common.written_unix_ms.is_some_and(|at_ms| now_unix_ms.saturating_sub(at_ms) <= window_ms)
        };
        // One more than those that were written recently: what was there before them.
        let within = 1 + self.commons.iter().take_while(|common| recent(common)).count();
        let nearest = |count: usize| {
            let candidates =
                self.commons.iter().take(count).map(|common| (distance(&common.canvas, saved), common.as_ref()));
            candidates.min_by_key(|(distance, _)| *distance)
        };
        let Some((by, common)) = nearest(within) else { return Basis { common: self.common(), suspect: None } };
        let suspect = nearest(self.commons.len()).filter(|(closer, _)| *closer < by).map(|(_, suspect)| suspect);
        Basis { common, suspect }
    }

    /// Notes that the present common content is what git has under an object id.
    pub fn note_blob(&mut self, id: &str) {
        let version = self.common().version.clone();
        self.note_blob_at(id, version);
    }

    /// Notes the version that holds what git has under an object id. The first that was noted stays: all peers have it
    /// sooner or later, and the same one serves them all.
    pub fn note_blob_at(&mut self, id: &str, version: Version) {
        if self.blobs.iter().any(|(known, _)| known == id) {
            return;
        }
        self.blobs.push_front((id.to_owned(), version));
        self.blobs.truncate(MAX_NOTED_BLOBS);
    }

    /// A version that file and canvas had in common with this content, if it is remembered.
    #[must_use]
    pub fn version_of(&self, content: &Canvas) -> Option<&Version> {
        self.commons.iter().find(|common| common.canvas == *content).map(|common| &common.version)
    }

    /// The version that holds what git has under an object id.
    #[must_use]
    pub fn version_of_blob(&self, id: &str) -> Option<&Version> {
        self.blobs.iter().find(|(known, _)| known == id).map(|(_, version)| version)
    }
}

/// The version that holds all that either holds.
#[must_use]
pub fn union(one: &Version, other: &Version) -> Version {
    Version(Heads::new(one.0.as_slice().iter().chain(other.0.as_slice()).copied().collect()))
}

/// The form in which a record is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    digest: FileDigest,
    commons: Vec<(String, String, Option<u64>)>,
    blobs: Vec<(String, String)>,
    unsure: Option<Before>,
}

impl FileRecord {
    /// The record as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let common =
            |common: &Arc<Common>| (common.version.to_string(), common.canvas.to_json(), common.written_unix_ms);
        let kept = Kept {
            digest: self.digest,
            commons: self.commons.iter().map(common).collect(),
            blobs: self.blobs.iter().map(|(id, version)| (id.clone(), version.to_string())).collect(),
            unsure: self.unsure,
        };
        // Nothing in it can fail to be JSON.
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) gave; `None` if it is anything else, or of another version of this format.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut kept: Kept = serde_json::from_slice(bytes).ok()?;
        let common = |(version, json, written_unix_ms): (String, String, Option<u64>)| {
            let (version, canvas) = (version.parse().ok()?, Canvas::from_json(&json).ok()?);
            Some(Arc::new(Common { version, canvas, written_unix_ms }))
        };
        let commons: VecDeque<_> = std::mem::take(&mut kept.commons).into_iter().map(common).collect::<Option<_>>()?;
        let blob = |(id, version): (String, String)| Some((id, version.parse().ok()?));
        let blobs = std::mem::take(&mut kept.blobs).into_iter().map(blob).collect::<Option<_>>()?;
        let (digest, unsure) = (kept.digest, kept.unsure);
        (!commons.is_empty()).then_some(Self { digest, commons, blobs, unsure })
    }
}

#[cfg(test)]
mod tests {
    use automerge::ChangeHash;

    use super::*;

    const WINDOW_MS: u64 = 5_000;

    fn canvas(nodes: &[&str]) -> Canvas {
        let node = |id: &&str| format!(r#"{{"id":"{id}","type":"text","x":0,"text":"{id}"}}"#);
        Canvas::from_json(&format!(r#"{{"nodes":[{}]}}"#, nodes.iter().map(node).collect::<Vec<_>>().join(",")))
            .unwrap()
    }

    fn version(number: u8) -> Version {
        Version(Heads::new(vec![ChangeHash([number; 32])]))
    }

    fn common(number: u8, nodes: &[&str], written_unix_ms: Option<u64>) -> Common {
        Common { version: version(number), canvas: canvas(nodes), written_unix_ms }
    }

    /// An editor saved `a`; then we wrote `b`, and a while later `c`, which others had added.
    fn record() -> FileRecord {
        let mut record = FileRecord::new(FileDigest::of(b"1"), common(1, &["a"], None));
        record.renew(FileDigest::of(b"2"), common(2, &["a", "b"], Some(10_000)));
        record.renew(FileDigest::of(b"3"), common(3, &["a", "b", "c"], Some(12_000)));
        record
    }

    #[test]
    fn a_copy_read_before_our_last_writes_is_a_difference_from_what_it_was_read_from() {
        let record = record();
        let of = |nodes: &[&str], now_ms| record.basis(&canvas(nodes), now_ms, WINDOW_MS).common.version.clone();
        assert_eq!(of(&["a", "new"], 13_000), version(1));
        assert_eq!(of(&["a", "b", "new"], 13_000), version(2));
        assert_eq!(of(&["a", "b", "c", "new"], 13_000), version(3));
        // The window of the first write is over, that of the second is not.
        assert_eq!(of(&["a", "new"], 15_500), version(2));
    }

    #[test]
    fn outside_the_window_the_last_content_counts_and_an_old_copy_is_suspected() {
        let record = record();
        let (saved, clean) = (canvas(&["a", "new"]), canvas(&["a", "b", "c", "new"]));
        let late = record.basis(&saved, 60_000, WINDOW_MS);
        assert_eq!(
            (late.common.version.clone(), late.suspect.map(|old| old.version.clone())),
            (version(3), Some(version(1)))
        );
        assert_eq!(record.basis(&clean, 60_000, WINDOW_MS).suspect, None);
    }

    #[test]
    fn what_an_editor_saved_it_has() {
        let mut record = record();
        record.renew(FileDigest::of(b"4"), common(4, &["a", "b", "c", "d"], None));
        // Taking back one's own edit is an edit.
        let undone = canvas(&["a", "b", "c"]);
        let basis = record.basis(&undone, 13_000, WINDOW_MS);
        assert_eq!((basis.common.version.clone(), basis.suspect), (version(4), None));
    }

    #[test]
    fn another_version_of_the_same_content_changes_nothing_about_old_copies() {
        let mut record = record();
        record.renew(FileDigest::of(b"3"), common(4, &["a", "b", "c"], None));
        let basis = record.basis(&canvas(&["a", "b", "new"]), 13_000, WINDOW_MS);
        assert_eq!(basis.common.version, version(2));
        assert_eq!(record.common().version, version(4));
    }

    #[test]
    fn a_record_reads_back_and_anything_else_does_not() {
        let mut record = record();
        record.note_blob("0123");
        record.note_blob_at("0123", version(9));
        assert_eq!(FileRecord::decode(&record.encode()), Some(record.clone()));
        assert_eq!(record.version_of_blob("0123"), Some(&version(3)));
        for bytes in [&b""[..], b"{}", br#"{"digest":[],"commons":[],"blobs":[]}"#] {
            assert_eq!(FileRecord::decode(bytes), None);
        }
    }

    #[test]
    fn old_contents_and_blobs_are_bounded() {
        let mut record = record();
        for number in 0..100 {
            let node = number.to_string();
            record.renew(FileDigest::of(&[number]), common(number, &[&node], Some(u64::from(number))));
            record.note_blob(&number.to_string());
        }
        assert_eq!((record.commons.len(), record.blobs.len()), (MAX_FILE_COMMONS, MAX_NOTED_BLOBS));
    }

    #[test]
    fn a_write_that_may_not_have_taken_place_is_settled_by_the_file() {
        let digest = FileDigest::of;
        let unsure = record().unsure(Some(digest(b"2")));
        assert_eq!(FileRecord::decode(&unsure.encode()).as_ref(), Some(&unsure));
        assert!(unsure.is_unsure());
        let version = |file| unsure.clone().settled(file).map(|record: FileRecord| record.common().version.clone());
        let saved = |nodes: &[&str]| canvas(nodes);
        assert_eq!(version(Some((digest(b"3"), None))), Some(super::tests::version(3)), "it was written");
        assert_eq!(version(Some((digest(b"2"), None))), Some(super::tests::version(2)), "it was not");
        assert_eq!(version(None), Some(super::tests::version(2)), "it is written again");
        let (old, new) = (saved(&["a", "b", "mine"]), saved(&["a", "b", "c", "mine"]));
        assert_eq!(version(Some((digest(b"x"), Some(&old)))), Some(super::tests::version(2)));
        assert_eq!(version(Some((digest(b"x"), Some(&new)))), Some(super::tests::version(3)));
        let first = FileRecord::new(digest(b"1"), common(1, &["a"], Some(1))).unsure(None);
        assert_eq!(FileRecord::decode(&first.encode()).as_ref(), Some(&first));
        assert_eq!(first.clone().settled(None), None, "a file that was never written is not one that was removed");
        assert_eq!(first.clone().settled(Some((digest(b"x"), None))), None);
        assert!(first.settled(Some((digest(b"1"), None))).is_some_and(|record| !record.is_unsure()));
        assert_eq!(record().settled(None), Some(record()));
    }
}
