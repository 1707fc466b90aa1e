//! Several peers edit one canvas at the same time, in every way an application can, and exchange changes in any order.

use automerge::ActorId;
use proptest::prelude::*;

use super::mutation::{Mutation, ids, mutations, patch_between};
use crate::canvas::{Applied, Base, Canvas, CanvasChanges, CanvasDocument, LocalEdit, Version};

/// What an application does.
#[derive(Debug, Clone)]
enum Action {
    /// Change the copy and pass it, against what was last passed or returned.
    Update(Vec<Mutation>),
    /// Change a copy got earlier and pass it, naming its version (or having it remembered).
    UpdateOld(u8, Vec<Mutation>, bool),
    /// Patch what changes.
    Patch(Vec<Mutation>),
    /// Read the canvas anew.
    Read,
    /// Keep up with the events that came, in the own copy.
    Follow,
    /// Take in what another peer has.
    Pull(u8),
    /// Take in what another peer has, change by change as it is made.
    Hear(u8),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        5 => mutations().prop_map(Action::Update),
        2 => (any::<u8>(), mutations(), any::<bool>()).prop_map(|(old, list, named)| Action::UpdateOld(old, list, named)),
        3 => mutations().prop_map(Action::Patch),
        1 => Just(Action::Read),
        1 => Just(Action::Follow),
        3 => any::<u8>().prop_map(Action::Pull),
        3 => any::<u8>().prop_map(Action::Hear),
    ]
}

fn apply_all(mutations: &[Mutation], canvas: &mut Canvas) {
    for mutation in mutations {
        mutation.apply_to(canvas);
    }
}

/// A peer and the application on it.
struct Peer {
    document: CanvasDocument,
    /// What the application has.
    copy: Canvas,
    /// What a strict follower of all events has.
    followed: Canvas,
    /// What the application got or passed before.
    old: Vec<(Version, Canvas)>,
    /// What the application had after each patch, which no version may hold.
    patched: Vec<Canvas>,
    /// How often the canvas was compared.
    checks: usize,
}

impl Peer {
    fn new(number: u8) -> Self {
        let mut document = CanvasDocument::new();
        document.set_actor(ActorId::from([number; 16]));
        let old = vec![(document.version(), Canvas::default())];
        let (copy, followed) = (Canvas::default(), Canvas::default());
        Self { document, copy, followed, old, patched: Vec::new(), checks: 0 }
    }

    fn check(&mut self, diff: &CanvasChanges) {
        diff.apply_to(&mut self.followed);
        let now = self.document.canvas();
        assert_eq!(self.followed, now, "following the changes gives the canvas");
        self.checks += 1;
        if self.checks.is_multiple_of(4) {
            self.check_view();
        }
    }

    /// Costs reading the whole document, so it is not done at every step.
    fn check_view(&self) {
        let loaded = CanvasDocument::load(&self.document.replica().save()).unwrap();
        assert_eq!(loaded.view, self.document.view, "the view is what the document means");
    }

    fn passed(&mut self, edit: &LocalEdit, passed: &Canvas, base: &Canvas, seen: &Canvas) {
        for (had, seen, now, removed) in [
            (&base.nodes, &seen.nodes, &passed.nodes, &edit.diff.nodes.removed),
            (&base.edges, &seen.edges, &passed.edges, &edit.diff.edges.removed),
        ] {
            for id in removed {
                let seen = ids(had).contains(id.as_str()) || ids(seen).contains(id.as_str());
                let hidden = passed.edges.iter().any(|edge| edge.id == *id) || base.edges.iter().any(|e| e.id == *id);
                let goes_along = edit.diff.edges.removed.contains(id) && !edit.diff.nodes.removed.is_empty();
                assert!(seen || goes_along || hidden, "{id} was removed and never seen: {now:?}");
            }
        }
        self.old.push((edit.version.clone(), passed.clone()));
        self.check(&edit.diff);
    }

    fn update(&mut self, mutations: &[Mutation]) {
        let before = self.copy.clone();
        apply_all(mutations, &mut self.copy);
        let passed = self.copy.clone();
        let edit = self.document.update(&passed, &Base::Last, "author").unwrap();
        self.passed(&edit, &passed, &before, &before);
    }

    fn update_old(&mut self, number: u8, mutations: &[Mutation], named: bool) {
        let (version, before) = self.old[usize::from(number) % self.old.len()].clone();
        let mut passed = before.clone();
        apply_all(mutations, &mut passed);
        let base = if named { Base::Explicit(version) } else { Base::Remembered(version) };
        let edit = self.document.update(&passed, &base, "author").unwrap();
        // Updates from one base are chained, and a remembered version is united with what this peer has done.
        let seen = self.everything_seen();
        self.passed(&edit, &passed, &before, &seen);
        self.copy = passed;
    }

    fn everything_seen(&self) -> Canvas {
        let mut all = self.copy.clone();
        for old in self.old.iter().map(|(_, old)| old).chain(&self.patched) {
            all.nodes.extend(old.nodes.iter().cloned());
            all.edges.extend(old.edges.iter().cloned());
        }
        all
    }

    fn patch(&mut self, mutations: &[Mutation]) {
        let mut wanted = self.copy.clone();
        apply_all(mutations, &mut wanted);
        let patch = patch_between(&self.copy, &wanted);
        let edit = self.document.patch(&patch, "author").unwrap();
        assert!(edit.changes.iter().all(|change| self.document.replica().contains(&change.hash())));
        patch.apply_to(&mut self.copy);
        self.patched.push(self.copy.clone());
        self.old.push((edit.version.clone(), self.document.canvas_at(&edit.version).unwrap()));
        self.check(&edit.diff);
    }

    fn read(&mut self) {
        self.copy = self.document.canvas();
        self.document.note_returned();
        self.old.push((self.document.version(), self.copy.clone()));
    }

    /// An application that keeps its own copy up to date from events, without telling anybody.
    fn follow(&mut self) {
        self.copy = self.followed.clone();
    }

    fn hear(&mut self, other: &Self) {
        for change in other.document.replica().changes_since(self.document.replica().heads().as_slice()) {
            let applied = self.document.apply(vec![change]);
            assert!(applied.rejected.is_empty() && !applied.damaged, "{:?}", applied.rejected);
            self.check(&applied.diff);
        }
    }

    fn pull(&mut self, other: &mut Self) {
        let mut changes = other.document.replica().changes_since(self.document.replica().heads().as_slice());
        loop {
            let applied: Applied = self.document.apply(changes);
            assert!(applied.rejected.is_empty(), "{:?}", applied.rejected);
            assert!(!applied.damaged);
            self.check(&applied.diff);
            changes = other.document.replica().changes_since(self.document.replica().heads().as_slice());
            if changes.iter().all(|change| self.document.replica().contains(&change.hash())) {
                return;
            }
        }
    }
}

fn run(count: u8, actions: &[(u8, Action)]) -> Vec<Peer> {
    let mut peers: Vec<Peer> = (0..count).map(Peer::new).collect();
    for (number, action) in actions {
        let number = usize::from(number % count);
        let mut peer = peers.remove(number);
        match action {
            Action::Update(mutations) => peer.update(mutations),
            Action::UpdateOld(old, mutations, named) => peer.update_old(*old, mutations, *named),
            Action::Patch(mutations) => peer.patch(mutations),
            Action::Read => peer.read(),
            Action::Follow => peer.follow(),
            Action::Pull(other) => {
                let other = usize::from(*other) % peers.len();
                peer.pull(&mut peers[other]);
            }
            Action::Hear(other) => {
                let other = usize::from(*other) % peers.len();
                peer.hear(&peers[other]);
            }
        }
        peers.insert(number, peer);
    }
    peers
}

/// Every peer pulls from every other until nothing is new (repairs of texts make new changes).
fn settle(peers: &mut Vec<Peer>) {
    for _round in 0..4 {
        for number in 0..peers.len() {
            let mut peer = peers.remove(number);
            for other in peers.iter_mut() {
                peer.pull(other);
            }
            peers.insert(number, peer);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn peers_converge_whatever_they_do(
        count in 2..4_u8,
        actions in prop::collection::vec((any::<u8>(), action()), 1..25),
    ) {
        let mut peers = run(count, &actions);
        settle(&mut peers);
        let first = peers[0].document.canvas();
        let heads = peers[0].document.replica().heads();
        for peer in &peers {
            peer.check_view();
            prop_assert_eq!(peer.document.replica().heads(), heads.clone());
            prop_assert_eq!(peer.document.canvas(), first.clone());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn alone_an_update_gives_what_was_passed(list in prop::collection::vec(mutations(), 1..12)) {
        let mut peer = Peer::new(1);
        for mutations in &list {
            peer.update(mutations);
            prop_assert_eq!(peer.document.canvas(), peer.copy.clone());
            prop_assert_eq!(peer.document.canvas_at(&peer.old.last().unwrap().0).unwrap(), peer.copy.clone());
        }
    }

    #[test]
    fn alone_a_patch_gives_what_was_meant(list in prop::collection::vec(mutations(), 1..12)) {
        let mut peer = Peer::new(1);
        for mutations in &list {
            peer.patch(mutations);
            prop_assert_eq!(peer.document.canvas(), peer.copy.clone());
        }
    }
}
