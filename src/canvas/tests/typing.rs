//! People type in one text at the same time, each in an editor that follows the events, and passes the whole text.

use std::collections::VecDeque;

use automerge::ActorId;
use proptest::prelude::*;

use super::*;
use crate::canvas::{CanvasError, Seen, Version};

/// An editor and the document behind it. It shows what it was told and what was typed since, and knows of nothing that is
/// on its way to it.
struct Editor {
    document: CanvasDocument,
    shown: String,
    told: Version,
    events: VecDeque<(Version, String)>,
    /// Whether it says of which version its text was made.
    names_base: bool,
}

impl Editor {
    fn new(number: u8, names_base: bool) -> Self {
        let document = peer(number, TWO);
        let (shown, told) = (text_of(&document, 0), document.version());
        Self { document, shown, told, events: VecDeque::new(), names_base }
    }

    /// Types a character behind so many, and passes the text.
    fn type_at(&mut self, place: usize, character: char) {
        // One that names its base must have been told of all that it shows.
        if self.names_base {
            self.follow(usize::MAX);
        }
        let mut characters: Vec<char> = self.shown.chars().collect();
        characters.insert(place % (characters.len() + 1), character);
        self.shown = characters.into_iter().collect();
        let json = serde_json::json!({ "nodes": { "upsert": [{ "id": "a", "text": self.shown }] } }).to_string();
        let told = self.told.clone();
        let seen = if self.names_base { Seen::Base(told) } else { Seen::Told(told) };
        self.document.patch_seen(&patch(&json), &seen, "author").unwrap();
        self.events.push_back((self.document.version(), text_of(&self.document, 0)));
    }

    fn hear(&mut self, other: &CanvasDocument) {
        let news = other.replica().changes_since(self.document.replica().heads().as_slice());
        if !self.document.apply(news).hashes.is_empty() {
            self.events.push_back((self.document.version(), text_of(&self.document, 0)));
        }
    }

    /// Hears of the next events.
    fn follow(&mut self, events: usize) {
        for (version, text) in self.events.drain(..events.min(self.events.len())) {
            (self.told, self.shown) = (version, text);
        }
    }
}

#[test]
fn what_the_application_was_not_told_of_is_not_undone() {
    for names_base in [false, true] {
        let (mut one, mut two) = (Editor::new(1, names_base), Editor::new(2, names_base));
        let mut hears = |one: &mut Editor, characters: &str| {
            for (place, character) in (one.shown.chars().count()..).zip(characters.chars()) {
                two.type_at(place, character);
            }
            one.hear(&two.document);
        };
        hears(&mut one, "123");
        one.follow(1);
        let told = (one.told.clone(), one.shown.clone());
        hears(&mut one, "456");
        one.events.clear();
        (one.told, one.shown) = told;
        one.type_at(6, 'x');
        let text = text_of(&one.document, 0);
        assert!("cat123456x".chars().all(|character| text.contains(character)), "{text}");
    }
}

#[test]
fn a_character_that_came_meanwhile_is_not_taken_for_one_that_was_replaced() {
    let (mut one, mut two) = (Editor::new(1, false), Editor::new(2, false));
    two.type_at(3, '1');
    one.hear(&two.document);
    one.type_at(3, 'x');
    let text = text_of(&one.document, 0);
    assert!(text == "cat1x" || text == "catx1", "{text}");
}

#[test]
fn a_base_that_is_not_here_is_refused() {
    let (mut a, mut b) = pair(TWO);
    b.patch(&patch(r#"{"nodes":{"upsert":[{"id":"a","text":"dog"}]}}"#), "b").unwrap();
    let elsewhere = b.version();
    let edit = patch(r#"{"nodes":{"upsert":[{"id":"a","text":"cow"}]}}"#);
    let refused = a.patch_seen(&edit, &Seen::Base(elsewhere.clone()), "a");
    assert!(matches!(refused, Err(CanvasError::UnknownVersion)));
    a.patch_seen(&edit, &Seen::Told(elsewhere), "a").unwrap();
    assert_eq!(text_of(&a, 0), "cow");
}

#[derive(Debug, Clone)]
enum Action {
    Type(usize),
    Hear,
    Follow(usize),
}

fn actions() -> impl Strategy<Value = Vec<(bool, Action)>> {
    let action = prop_oneof![
        4 => (0..8_usize).prop_map(Action::Type),
        2 => Just(Action::Hear),
        3 => (1..4_usize).prop_map(Action::Follow),
    ];
    proptest::collection::vec((any::<bool>(), action), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_that_was_typed_is_lost(actions in actions()) {
        let (mut one, mut two) = (Editor::new(1, true), Editor::new(2, true));
        one.document.set_actor(ActorId::from([3; 16]));
        let mut typed = 0_u32;
        for (first, action) in actions {
            let (editor, other) = if first { (&mut one, &mut two) } else { (&mut two, &mut one) };
            match action {
                Action::Type(place) => {
                    // Characters of which there is only one.
                    editor.type_at(place, char::from_u32(0x4e00 + typed).unwrap());
                    typed += 1;
                }
                Action::Hear => editor.hear(&other.document),
                Action::Follow(events) => editor.follow(events),
            }
        }
        sync(&mut one.document, &mut two.document);
        let text = text_of(&one.document, 0);
        for number in 0..typed {
            let character = char::from_u32(0x4e00 + number).unwrap();
            prop_assert_eq!(text.chars().filter(|c| *c == character).count(), 1, "{}", text);
        }
    }
}
