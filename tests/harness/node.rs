//! One synchroniser with what surrounds it: its disk, its application, and what is known of it from outside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use automerge::{ActorId, ChangeHash};
use mqtt_p2p::crypto::Identity;
use mqtt_p2p::ids::{DocumentId, PeerId, RepositoryName, Session};
use mqtt_p2p::sync::{
    Bounds, CanvasP2PSynchronizer, Config, Epoch, Input, KnownDocument, Notice, Outbound, Output, Rates, Reply, Root,
    StoreOperation, StoreToken,
};
use mqtt_p2p::time::Now;
use mqtt_p2p::wire::TopicSpace;
use rand_chacha::ChaCha8Rng;

use super::application::Application;
use super::disk::Disk;

/// Largest message unless a test says otherwise: small, so that some travel in fragments.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// Which change of which document.
pub type Edit = (DocumentId, ChangeHash);

/// Where the process of a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    Running,
    /// The application called `disconnect()`, and this is the call.
    Leaving(u64),
    Down,
}

pub struct Node {
    pub repository: RepositoryName,
    /// Another repository, into which this one's canvases are shared now and then.
    pub shares_with: Option<RepositoryName>,
    key: u8,
    session: u64,
    max_open_canvases: usize,
    max_message_bytes: usize,
    bounds: Bounds,
    topics: TopicSpace,
    root: Option<Root>,
    pub synchronizer: CanvasP2PSynchronizer,
    pub application: Application,
    pub process: Process,
    /// Grows with each start of the process: what was meant for an earlier one does not reach a later one.
    pub incarnation: u64,
    pub connection: Option<u64>,
    pub connects: u64,
    pub wake_at_ms: Option<u64>,
    pub disk: Disk,
    /// The records of epochs on the disk.
    pub epochs: Vec<Epoch>,
    /// Until then nothing can be written.
    pub full_until_ms: u64,
    /// The batch under way to the disk.
    pub storing: Option<(StoreToken, Vec<StoreOperation>)>,
    pub loading: VecDeque<DocumentId>,
    /// Own changes, durable or not.
    pub made: BTreeSet<Edit>,
    /// Own changes that were on disk when the application could know it: these must be everywhere in the end.
    pub durable: BTreeSet<Edit>,
    /// Outcomes that said that an edit is durable.
    pub acknowledged: u64,
    /// Own changes under an actor of an earlier process.
    pub actors_reused: u64,
    /// Own actors, and the process that used them first.
    actors: BTreeMap<ActorId, u64>,
    seen: BTreeMap<DocumentId, usize>,
}

impl Node {
    pub fn new(repository: &str, key: u8, session: u64, max_open_canvases: usize) -> Self {
        let topics = TopicSpace::new("mind-git").unwrap();
        let name = RepositoryName::new(repository).unwrap();
        let bounds = Bounds::default();
        let sizes = (max_open_canvases, MAX_MESSAGE_BYTES, bounds);
        Self {
            synchronizer: synchronizer(&name, key, session, sizes, topics.clone(), None),
            root: None,
            repository: name,
            shares_with: None,
            key,
            session,
            max_open_canvases,
            max_message_bytes: MAX_MESSAGE_BYTES,
            bounds,
            topics,
            application: Application { listed: true, ..Application::default() },
            process: Process::Running,
            incarnation: 0,
            connection: None,
            connects: 0,
            wake_at_ms: None,
            disk: Disk::default(),
            epochs: Vec::new(),
            full_until_ms: 0,
            storing: None,
            loading: VecDeque::new(),
            made: BTreeSet::new(),
            durable: BTreeSet::new(),
            acknowledged: 0,
            actors_reused: 0,
            actors: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// The same, with messages of at most so many bytes.
    pub fn with_messages_of(mut self, max_message_bytes: usize) -> Self {
        self.max_message_bytes = max_message_bytes;
        self.synchronizer = self.new_synchronizer();
        self
    }

    /// The same, which may grow to so much.
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self.synchronizer = self.new_synchronizer();
        self
    }

    /// The same, on these topics: of an encrypted repository perhaps.
    pub fn with_topics(mut self, topics: TopicSpace) -> Self {
        self.topics = topics;
        self.synchronizer = self.new_synchronizer();
        self
    }

    /// The same, where only members take part, of whom this peer is the first admin.
    pub fn with_root(mut self, root: Root) -> Self {
        self.root = Some(root);
        self.synchronizer = self.new_synchronizer();
        self
    }

    fn new_synchronizer(&self) -> CanvasP2PSynchronizer {
        let sizes = (self.max_open_canvases, self.max_message_bytes, self.bounds);
        let topics = self.topics.clone();
        let mut new = synchronizer(&self.repository, self.key, self.session, sizes, topics.clone(), self.root);
        if topics.is_encrypted() {
            new.encrypt(topics, vec![self.repository.clone()], self.epochs.clone());
        }
        new
    }

    /// The peer's id.
    pub fn peer(&self) -> PeerId {
        Identity::from_seed([self.key; 32]).peer()
    }

    /// Stores what began an epoch, in the place of what began another after the same.
    pub fn keep(&mut self, epoch: Epoch) {
        let rival = |kept: &Epoch| kept.repository == epoch.repository && kept.record.previous == epoch.record.previous;
        self.epochs.retain(|kept| !rival(kept));
        self.epochs.push(epoch);
    }

    /// The process is gone, and with it all that was not on disk.
    pub fn die(&mut self) {
        self.process = Process::Down;
        self.incarnation += 1;
        self.connection = None;
        self.wake_at_ms = None;
        self.storing = None;
        self.loading.clear();
    }

    /// A new process on the same disk; what it learns first. Its sessions are later ones: others take what earlier processes
    /// sent for a recording.
    pub fn start(&mut self, number: u16) -> Input {
        self.process = Process::Running;
        self.connects = 0;
        self.session = Session::of(Session(self.session).start() + 1, number).0;
        self.synchronizer = self.new_synchronizer();
        self.application = Application::default();
        self.seen.clear();
        let documents: Vec<KnownDocument> = self.disk.known();
        let index = self.disk.load(&DocumentId::Index { repository: self.repository.clone() });
        Input::Restored { documents, index }
    }

    /// One step; `ever` are all changes that anyone ever made, to which this step's are added.
    pub fn handle(&mut self, now: Now, rng: &mut ChaCha8Rng, input: Input, ever: &mut BTreeSet<Edit>) -> Output {
        let output = self.synchronizer.handle(now, rng, input);
        let mut seen = BTreeMap::new();
        for id in self.synchronizer.document_ids() {
            let Some(history) = self.synchronizer.history(id) else { continue };
            // A document that was loaded again is looked at from its beginning.
            let from = self.seen.get(id).copied().filter(|count| *count <= history.len()).unwrap_or_default();
            // The root, which every peer makes by itself, is the first.
            for hash in &history[from.max(1)..] {
                if ever.insert((id.clone(), *hash)) {
                    self.made.insert((id.clone(), *hash));
                }
            }
            seen.insert(id.clone(), history.len());
        }
        self.seen = seen;
        self.wake_at_ms = output.wake_at_ms;
        output
    }

    /// The disk has carried out the batch under way.
    pub fn synced(&mut self) -> Option<StoreToken> {
        let (token, operations) = self.storing.take()?;
        for (document, hash, actor) in self.disk.apply(&operations) {
            let edit = (document, hash);
            if self.made.contains(&edit) {
                let first = *self.actors.entry(actor).or_insert(self.incarnation);
                self.actors_reused += u64::from(first != self.incarnation);
                self.durable.insert(edit);
            }
        }
        Some(token)
    }

    /// The application is told something; what it is told of its edits must be true.
    pub fn tell(&mut self, notice: Notice) {
        if let Notice::Outcome { result: Ok(Reply::Version(version)), .. } = &notice {
            self.acknowledged += 1;
            for (id, hash) in &self.made {
                let claimed = version.0.as_slice().contains(hash);
                assert!(!claimed || self.disk.contains(id, hash), "{hash} was acknowledged and is not on disk");
            }
        }
        self.application.learn(notice);
    }

    /// A document as bytes, from memory or from disk.
    pub fn document(&self, id: &DocumentId) -> Vec<u8> {
        let stored = || mqtt_p2p::sync::compact(id, self.disk.load(id).unwrap_or_default()).unwrap();
        self.synchronizer.save_document(id).unwrap_or_else(stored)
    }
}

fn synchronizer(
    repository: &RepositoryName,
    key: u8,
    session: u64,
    (max_open_canvases, max_message_bytes, bounds): (usize, usize, Bounds),
    topics: TopicSpace,
    root: Option<Root>,
) -> CanvasP2PSynchronizer {
    CanvasP2PSynchronizer::new(Config {
        repository: repository.clone(),
        repositories: vec![repository.clone()],
        topics,
        identity: Arc::new(Identity::from_seed([key; 32])),
        session: Session(session),
        instance: session,
        capabilities: Vec::new(),
        live: true,
        auto_sync: true,
        discovery: true,
        max_message_bytes,
        heartbeat_ms: 10_000,
        max_peers: 100,
        rates: Rates::default(),
        outbound: Outbound::default(),
        max_open_canvases,
        bounds,
        root,
    })
}
