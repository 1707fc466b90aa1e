//! The keys of the encrypted repositories that a peer listens to, derived from one root secret unless they were replaced, and
//! those of shared canvases.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::crypto::{NameTag, RepositoryKeys, RootSecret};
use crate::ids::{CanvasId, DocumentId, RepositoryName};
use crate::limits::MAX_KEYED_REPOSITORIES;

/// How topics spell names.
#[derive(Clone, Copy)]
pub(super) enum Spelling<'a> {
    /// As they are, percent-encoded.
    Plain,
    /// As keyed hashes.
    Keyed(&'a Keyed),
}

/// One encrypted repository.
#[derive(Debug)]
pub(super) struct Keyed {
    pub(super) repository: RepositoryName,
    pub(super) keys: RepositoryKeys,
    /// How often its key had been replaced.
    pub(super) epoch: u64,
    /// The level that stands for the repository's name.
    pub(super) level: String,
    tag: OnceLock<NameTag>,
}

impl Keyed {
    fn new(root: &RootSecret, repository: &RepositoryName) -> Self {
        let keys = RepositoryKeys::derive(root, repository.as_str());
        let level = keys.name(&[b"repository"]);
        Self { repository: repository.clone(), epoch: root.epoch(), level, keys, tag: OnceLock::new() }
    }

    pub(super) fn tag(&self) -> NameTag {
        *self.tag.get_or_init(|| NameTag::of(self.repository.as_str()))
    }

    /// The levels that stand for a canvas and its generation.
    pub(super) fn canvas(&self, canvas: &CanvasId, generation: u64) -> (String, String) {
        let name = canvas.as_str().as_bytes();
        (self.keys.name(&[b"canvas", name]), self.keys.name(&[b"generation", name, &generation.to_be_bytes()]))
    }

    /// The level that stands for a part of a snapshot. The digest itself would show who guesses the content to be right.
    pub(super) fn part(&self, document: &DocumentId, digest: &[u8; 32]) -> String {
        match document {
            DocumentId::Index { .. } => self.keys.name(&[b"index part", digest]),
            DocumentId::Canvas { canvas, generation, .. } => {
                self.keys.name(&[b"part", canvas.as_str().as_bytes(), &generation.0.to_be_bytes(), digest])
            }
        }
    }
}

/// Keys by repository, derived when they are first needed: a canvas that was shared lives in another repository.
#[derive(Debug)]
pub(super) struct Keyring {
    root: Arc<RootSecret>,
    /// Of repositories whose key was replaced, and of the spaces of shared canvases.
    rotated: BTreeMap<RepositoryName, Arc<RootSecret>>,
    /// Where the canvases are that have keys of their own.
    spaces: BTreeMap<DocumentId, RepositoryName>,
    known: RwLock<Known>,
}

#[derive(Debug, Default, Clone)]
struct Known {
    by_name: HashMap<RepositoryName, Arc<Keyed>>,
    by_level: HashMap<String, Arc<Keyed>>,
}

impl Keyring {
    pub(super) fn new(root: Arc<RootSecret>) -> Self {
        Self { root, rotated: BTreeMap::new(), spaces: BTreeMap::new(), known: RwLock::default() }
    }

    /// The same keys, but for one repository, whose key was replaced.
    pub(super) fn rotated(&self, repository: &RepositoryName, root: Arc<RootSecret>) -> Self {
        let mut rotated = self.rotated.clone();
        rotated.insert(repository.clone(), root);
        let before = self.of(repository);
        let mut known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        known.by_name.remove(repository);
        known.by_level.remove(&before.level);
        let known = RwLock::new(known);
        let keyring = Self { root: self.root.clone(), rotated, spaces: self.spaces.clone(), known };
        // The name is the same, and its slow hash need not be computed again.
        if let Some(tag) = before.tag.get() {
            let _ = keyring.of(repository).tag.set(*tag);
        }
        keyring
    }

    /// The same keys, but one canvas has its own.
    pub(super) fn shared(&self, document: &DocumentId, space: &RepositoryName, root: Arc<RootSecret>) -> Self {
        let mut keyring = self.rotated(space, root);
        keyring.spaces.insert(document.clone(), space.clone());
        keyring
    }

    /// What a document's topics are under: its repository, or the space of a canvas with a key of its own.
    pub(super) fn space_of<'a>(&'a self, document: &'a DocumentId) -> &'a RepositoryName {
        self.spaces.get(document).unwrap_or(document.repository())
    }

    pub(super) fn is_rotated(&self, repository: &RepositoryName) -> bool {
        self.rotated.contains_key(repository)
    }

    /// The secret from which a repository's keys come.
    pub(super) fn root_of(&self, repository: &RepositoryName) -> Arc<RootSecret> {
        self.rotated.get(repository).unwrap_or(&self.root).clone()
    }

    /// The keys of a repository. Beyond [`MAX_KEYED_REPOSITORIES`] they are derived each time, and what comes from there
    /// is not recognised.
    pub(super) fn of(&self, repository: &RepositoryName) -> Arc<Keyed> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).by_name.get(repository).cloned();
        known.unwrap_or_else(|| {
            let keyed = Arc::new(Keyed::new(&self.root_of(repository), repository));
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if known.by_name.len() < MAX_KEYED_REPOSITORIES {
                known.by_name.insert(repository.clone(), keyed.clone());
                known.by_level.insert(keyed.level.clone(), keyed.clone());
            }
            keyed
        })
    }

    /// The repository that a level of a topic stands for, if it was needed before.
    pub(super) fn by_level(&self, level: &str) -> Option<Arc<Keyed>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_level.get(level).cloned()
    }
}
