//! Several peers edit one canvas at the same time, in every way an application can, and exchange changes in any order.

use std::collections::BTreeSet;

use automerge::ActorId;
use mqtt_p2p::canvas::{
    Applied, Base, Canvas, CanvasChanges, CanvasDocument, CanvasPatch, Element, ElementsPatch, LocalEdit, Properties,
    Value, Version,
};
use proptest::prelude::*;

/// A change that an application makes to its own copy of the canvas. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Mutation {
    AddNode(u8),
    RemoveNode(u8),
    Move(u8, i64),
    Colour(u8, u8),
    Uncolour(u8),
    Type(u8, usize, String),
    Cut(u8, usize, usize),
    DropText(u8),
    Raise(u8),
    Lower(u8),
    AddEdge(u8, u8, u8),
    RemoveEdge(u8),
    Title(u8),
}

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
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let any = || 0..6_u8;
    prop_oneof![
        3 => any().prop_map(Mutation::AddNode),
        2 => any().prop_map(Mutation::RemoveNode),
        3 => (any(), -9..9_i64).prop_map(|(node, x)| Mutation::Move(node, x)),
        2 => (any(), 0..3_u8).prop_map(|(node, colour)| Mutation::Colour(node, colour)),
        1 => any().prop_map(Mutation::Uncolour),
        4 => (any(), 0..20_usize, "[a-z ]{1,4}").prop_map(|(node, at, text)| Mutation::Type(node, at, text)),
        2 => (any(), 0..20_usize, 1..4_usize).prop_map(|(node, at, length)| Mutation::Cut(node, at, length)),
        1 => any().prop_map(Mutation::DropText),
        2 => any().prop_map(Mutation::Raise),
        2 => any().prop_map(Mutation::Lower),
        3 => (any(), any(), any()).prop_map(|(edge, from, to)| Mutation::AddEdge(edge, from, to)),
        1 => any().prop_map(Mutation::RemoveEdge),
        1 => any().prop_map(Mutation::Title),
    ]
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    prop::collection::vec(mutation(), 1..4)
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        5 => mutations().prop_map(Action::Update),
        2 => (any::<u8>(), mutations(), any::<bool>()).prop_map(|(old, list, named)| Action::UpdateOld(old, list, named)),
        3 => mutations().prop_map(Action::Patch),
        1 => Just(Action::Read),
        1 => Just(Action::Follow),
        3 => any::<u8>().prop_map(Action::Pull),
    ]
}

fn find(elements: &mut [Element], number: u8) -> Option<&mut Element> {
    let index = usize::from(number).checked_rem(elements.len())?;
    elements.get_mut(index)
}

impl Mutation {
    fn apply_to(&self, canvas: &mut Canvas) {
        let set = |element: &mut Element, key: &str, value| element.properties.insert(key.to_owned(), value);
        match self {
            Self::AddNode(number) => {
                let id = format!("n{number}");
                if canvas.nodes.iter().all(|node| node.id != id) {
                    let properties = Properties::from([("x".to_owned(), Value::Int(i64::from(*number)))]);
                    canvas.nodes.insert(
                        usize::from(*number) % (canvas.nodes.len() + 1),
                        Element { id, properties },
                    );
                }
            }
            Self::RemoveNode(number) => {
                if let Some(id) = find(&mut canvas.nodes, *number).map(|node| node.id.clone()) {
                    canvas.nodes.retain(|node| node.id != id);
                    canvas
                        .edges
                        .retain(|edge| edge.properties.values().all(|end| *end != Value::String(id.clone())));
                }
            }
            Self::Move(number, x) => {
                find(&mut canvas.nodes, *number).map(|node| set(node, "x", Value::Int(*x)));
            }
            Self::Colour(number, colour) => {
                find(&mut canvas.nodes, *number).map(|node| set(node, "color", Value::Int(i64::from(*colour))));
            }
            Self::Uncolour(number) => {
                find(&mut canvas.nodes, *number).map(|node| node.properties.remove("color"));
            }
            Self::DropText(number) => {
                find(&mut canvas.nodes, *number).map(|node| node.properties.remove("text"));
            }
            Self::Type(number, at, typed) => edit_text(canvas, *number, |text| {
                let at = (*at).min(text.len());
                text.insert_str(at, typed);
            }),
            Self::Cut(number, at, length) => edit_text(canvas, *number, |text| {
                let at = (*at).min(text.len());
                text.drain(at..(at + length).min(text.len()));
            }),
            Self::Raise(number) => {
                if let Some(index) = usize::from(*number).checked_rem(canvas.nodes.len()) {
                    let node = canvas.nodes.remove(index);
                    canvas.nodes.push(node);
                }
            }
            Self::Lower(number) => {
                if let Some(index) = usize::from(*number).checked_rem(canvas.nodes.len()) {
                    canvas.nodes[..=index].rotate_right(1);
                }
            }
            Self::AddEdge(number, from, to) => {
                let id = format!("e{number}");
                let end =
                    |canvas: &mut Canvas, end| find(&mut canvas.nodes, end).map(|node| Value::String(node.id.clone()));
                let ends = end(canvas, *from).zip(end(canvas, *to));
                if let Some((from, to)) = ends.filter(|_| canvas.edges.iter().all(|edge| edge.id != id)) {
                    let properties = Properties::from([("fromNode".to_owned(), from), ("toNode".to_owned(), to)]);
                    canvas.edges.push(Element { id, properties });
                }
            }
            Self::RemoveEdge(number) => {
                if let Some(id) = find(&mut canvas.edges, *number).map(|edge| edge.id.clone()) {
                    canvas.edges.retain(|edge| edge.id != id);
                }
            }
            Self::Title(number) => {
                canvas
                    .properties
                    .insert("title".to_owned(), Value::Int(i64::from(*number)));
            }
        }
    }
}

fn edit_text(canvas: &mut Canvas, number: u8, edit: impl FnOnce(&mut String)) {
    let Some(node) = find(&mut canvas.nodes, number) else {
        return;
    };
    let text = node
        .properties
        .entry("text".to_owned())
        .or_insert_with(|| Value::String(String::new()));
    if let Value::String(text) = text {
        edit(text);
    }
}

/// The patch that leads from one canvas to another, order aside.
fn patch_between(before: &Canvas, after: &Canvas) -> CanvasPatch {
    let part = |before: &[Element], after: &[Element]| {
        let old = |id: &str| before.iter().find(|element| element.id == id);
        let changed = |element: &Element| {
            let none = Properties::new();
            let old = old(&element.id).map_or(&none, |old| &old.properties);
            let mut properties: Properties = element
                .properties
                .iter()
                .filter(|(key, value)| old.get(*key) != Some(*value))
                .map(own)
                .collect();
            let removed = old.keys().filter(|key| !element.properties.contains_key(*key));
            properties.extend(removed.map(|key| (key.clone(), Value::Null)));
            Element {
                id: element.id.clone(),
                properties,
            }
        };
        let upsert = after
            .iter()
            .filter(|element| old(&element.id) != Some(*element))
            .map(changed)
            .collect();
        let gone = before
            .iter()
            .filter(|element| after.iter().all(|other| other.id != element.id));
        ElementsPatch {
            upsert,
            remove: gone.map(|element| element.id.clone()).collect(),
        }
    };
    let properties = after
        .properties
        .iter()
        .filter(|(key, value)| before.properties.get(*key) != Some(*value));
    CanvasPatch {
        nodes: part(&before.nodes, &after.nodes),
        edges: part(&before.edges, &after.edges),
        properties: properties.map(own).collect(),
    }
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn ids(elements: &[Element]) -> BTreeSet<&str> {
    elements.iter().map(|element| element.id.as_str()).collect()
}

/// A peer and the application on it.
struct Peer {
    document: CanvasDocument,
    /// What the application has.
    copy: Canvas,
    /// What a strict follower of all events has.
    followed: Canvas,
    /// Events that the application has not yet followed.
    pending: Vec<CanvasChanges>,
    /// What the application got or passed before.
    old: Vec<(Version, Canvas)>,
}

impl Peer {
    fn new(number: u8) -> Self {
        let mut document = CanvasDocument::new();
        document.set_actor(ActorId::from([number; 16]));
        let old = vec![(document.version(), Canvas::default())];
        let (copy, followed, pending) = (Canvas::default(), Canvas::default(), Vec::new());
        Self {
            document,
            copy,
            followed,
            pending,
            old,
        }
    }

    fn check(&mut self, diff: &CanvasChanges) {
        diff.apply_to(&mut self.followed);
        let now = self.document.canvas();
        assert_eq!(self.followed, now, "following the changes gives the canvas");
        let loaded = CanvasDocument::load(&self.document.replica().save()).unwrap();
        assert_eq!(loaded.canvas(), now, "the view is what the document means");
        let nodes = ids(&now.nodes);
        assert_eq!(nodes.len(), now.nodes.len());
    }

    fn passed(&mut self, edit: LocalEdit, passed: &Canvas, base: &Canvas, seen: &Canvas) {
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
        assert!(!edit.diff.is_empty() || edit.diff == CanvasChanges::default());
        self.old.push((edit.version.clone(), passed.clone()));
        self.check(&edit.diff);
    }

    fn update(&mut self, mutations: &[Mutation]) {
        let before = self.copy.clone();
        mutations.iter().for_each(|mutation| mutation.apply_to(&mut self.copy));
        let passed = self.copy.clone();
        let edit = self.document.update(&passed, &Base::Last, "author").unwrap();
        self.passed(edit, &passed, &before, &before);
    }

    fn update_old(&mut self, number: u8, mutations: &[Mutation], named: bool) {
        let (version, before) = self.old[usize::from(number) % self.old.len()].clone();
        let mut passed = before.clone();
        mutations.iter().for_each(|mutation| mutation.apply_to(&mut passed));
        let base = if named {
            Base::Explicit(version)
        } else {
            Base::Remembered(version)
        };
        let edit = self.document.update(&passed, &base, "author").unwrap();
        // Updates from one base are chained, and a remembered version is united with what this peer has done.
        let seen = self.everything_seen();
        self.passed(edit, &passed, &before, &seen);
        self.copy = passed;
        self.pending.clear();
    }

    fn everything_seen(&self) -> Canvas {
        let mut all = self.copy.clone();
        for (_, old) in &self.old {
            all.nodes.extend(old.nodes.iter().cloned());
            all.edges.extend(old.edges.iter().cloned());
        }
        all
    }

    fn patch(&mut self, mutations: &[Mutation]) {
        let mut wanted = self.copy.clone();
        mutations.iter().for_each(|mutation| mutation.apply_to(&mut wanted));
        let patch = patch_between(&self.copy, &wanted);
        let edit = self.document.patch(&patch, "author").unwrap();
        patch.apply_to(&mut self.copy);
        // What was patched is seen, though no version may hold it.
        self.old
            .push((edit.version.clone(), self.document.canvas_at(&edit.version).unwrap()));
        self.check(&edit.diff);
    }

    fn read(&mut self) {
        self.copy = self.document.canvas();
        self.document.note_returned();
        self.old.push((self.document.version(), self.copy.clone()));
        self.pending.clear();
    }

    /// An application that keeps its own copy up to date from events, without telling anybody.
    fn follow(&mut self) {
        self.copy = self.followed.clone();
    }

    fn pull(&mut self, other: &mut Self) {
        let mut changes = other
            .document
            .replica()
            .changes_since(self.document.replica().heads().as_slice());
        loop {
            let applied: Applied = self.document.apply(changes);
            assert!(applied.rejected.is_empty(), "{:?}", applied.rejected);
            assert!(!applied.damaged);
            self.check(&applied.diff);
            changes = other
                .document
                .replica()
                .changes_since(self.document.replica().heads().as_slice());
            if changes
                .iter()
                .all(|change| self.document.replica().contains(&change.hash()))
            {
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
