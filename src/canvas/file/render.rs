//! Writing a canvas over the text that held an older state of it: what did not change keeps its bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::canvas::file::layout::FileLayout;
use crate::canvas::file::scan::{Container, frame};
use crate::canvas::file::style::{Gaps, Style, comma_after};
use crate::canvas::model::{Canvas, Element, ordered};
use crate::canvas::parse;
use crate::canvas::value::{Value, write_string};

/// The text of a canvas in the layout of a file. Elements, properties and nested values that are as in the text that was
/// read keep its bytes; new properties follow those that were there, new elements stand in their place. The same canvas
/// gives the same text.
#[must_use]
pub fn render(canvas: &Canvas, layout: &FileLayout) -> String {
    Renderer::new(layout, None).render(canvas)
}

/// As [`render`], for a canvas some of which comes from another file: what is new or changed and is in that file, in the
/// same style, gets the bytes that it has there.
#[must_use]
pub fn render_with(canvas: &Canvas, layout: &FileLayout, other: &FileLayout) -> String {
    Renderer::new(layout, Some(other)).render(canvas)
}

/// An item to be written: its place in the old container if it was there, and its text.
type Piece<'a> = (Option<usize>, Cow<'a, str>);

/// The elements of a text by id, with the bytes of each.
type Texts<'a> = BTreeMap<String, (usize, Element, &'a str)>;

struct Renderer<'a> {
    before: &'a str,
    top: Container<'a>,
    after: &'a str,
    old: Canvas,
    style: Style,
    /// The nodes, and the edges, of another text of this style.
    other: Option<[Texts<'a>; 2]>,
}

impl<'a> Renderer<'a> {
    fn new(layout: &'a FileLayout, other: Option<&'a FileLayout>) -> Self {
        let (before, body, after) = frame(&layout.text);
        let top = Container::of(body);
        // A layout's text is a canvas: nothing else makes a layout.
        let old = parse::canvas(body).unwrap_or_default();
        let style = Style::learn(&layout.text, &top);
        let other = other.and_then(|other| elements_in_style(other, &style));
        Self { before, top, after, old, style, other }
    }

    fn render(mut self, canvas: &Canvas) -> String {
        let old = std::mem::take(&mut self.old);
        let places = self.top.places();
        let mut pieces = self.known_members(&places, &old, canvas);
        self.add_lists(canvas, &mut pieces);
        for (key, value) in canvas.properties.iter().filter(|(key, _)| !places.contains_key(key.as_str())) {
            let value = self.edit(None, &json(value), self.style.top.indentation(), &self.style.colon);
            pieces.push((None, Cow::Owned(member(key, &self.style.colon, &value))));
        }
        let body = weave(['{', '}'], &self.top, &pieces, &self.style.top);
        format!("{}{body}{}", self.before, self.after)
    }

    /// The top-level members that were there and still are.
    fn known_members(&self, places: &BTreeMap<&str, usize>, old: &Canvas, new: &Canvas) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        for (place, item) in self.top.items.iter().enumerate() {
            let counts = places.get(item.key.as_str()) == Some(&place);
            let value = match (item.key.as_str(), new.properties.get(&item.key)) {
                ("nodes" | "edges", _) if !counts => Cow::Borrowed(item.value),
                ("nodes", _) => self.list(item.value, old.nodes.clone(), &new.nodes, 0),
                ("edges", _) => self.list(item.value, old.edges.clone(), &new.edges, 1),
                (_, None) => continue,
                (key, Some(value)) if !counts || old.properties.get(key) == Some(value) => Cow::Borrowed(item.value),
                (_, Some(value)) => {
                    let indentation = self.style.top.indentation();
                    Cow::Owned(self.edit(Some(item.value), &json(value), indentation, item.colon))
                }
            };
            pieces.push((Some(place), joined(item.head, &value)));
        }
        pieces
    }

    /// The lists that were not there and are needed: nodes first, edges after them.
    fn add_lists(&self, canvas: &Canvas, pieces: &mut Vec<Piece<'a>>) {
        let both = self.top.items.is_empty() && *canvas != Canvas::default();
        let mut next = 0;
        for (number, (name, elements)) in [("nodes", &canvas.nodes), ("edges", &canvas.edges)].into_iter().enumerate() {
            if let Some(place) = self.top.items.iter().position(|item| item.key == name) {
                next = pieces.iter().position(|(old, _)| *old == Some(place)).map_or(next, |place| place + 1);
            } else if both || !elements.is_empty() {
                let list = self.list("[]", Vec::new(), elements, number);
                pieces.insert(next, (None, Cow::Owned(member(name, &self.style.colon, &list))));
                next += 1;
            }
        }
    }

    /// The array of nodes (0) or edges (1).
    fn list(&self, text: &'a str, old: Vec<Element>, new: &[Element], number: usize) -> Cow<'a, str> {
        let container = Container::of(text);
        if old == new {
            return Cow::Borrowed(text);
        }
        let known = by_id(&container, old);
        let other = self.other.as_ref().and_then(|lists| lists.get(number));
        let pieces: Vec<Piece<'_>> = new
            .iter()
            .map(|element| {
                let before = known.get(&element.id);
                let text = match before {
                    Some((_, old, text)) if old == element => Cow::Borrowed(*text),
                    _ => match other.and_then(|texts| texts.get(&element.id)) {
                        Some((_, theirs, text)) if theirs == element => Cow::Borrowed(*text),
                        _ => Cow::Owned(self.element(before.map(|(_, _, text)| *text), element)),
                    },
                };
                (before.map(|(place, ..)| *place), text)
            })
            .collect();
        Cow::Owned(weave(['[', ']'], &container, &pieces, &self.style.list))
    }

    fn element(&self, old: Option<&str>, element: &Element) -> String {
        let id = std::iter::once(("id", Json::from(element.id.as_str())));
        let properties = ordered(&element.properties).filter(|(key, _)| *key != "id");
        let members: Vec<_> = id.chain(properties.map(|(key, value)| (key, json(value)))).collect();
        match old {
            Some(old) => self.edit_object(old, &members),
            None => self.new_object(&members, &self.style.element, &self.style.element_colon),
        }
    }

    /// A value where an old one stands, or none; `indentation` is that of the line on which its member begins, if the
    /// members beside it are on lines of their own.
    fn edit(&self, old: Option<&str>, new: &Json, indentation: Option<&str>, colon: &str) -> String {
        match (old, new) {
            (Some(old), _) if is_same(old, new) => old.to_owned(),
            (Some(old), Json::Object(members)) if old.starts_with('{') && !Container::of(old).items.is_empty() => self
                .edit_object(old, &members.iter().map(|(key, item)| (key.as_str(), item.clone())).collect::<Vec<_>>()),
            (Some(old), Json::Array(items)) if old.starts_with('[') && !Container::of(old).items.is_empty() => {
                let container = Container::of(old);
                let gaps = Gaps::of(&container, comma_after(colon)).unwrap_or_else(|| self.style.element.clone());
                let pieces = items.iter().enumerate().map(|(place, item)| {
                    let old = container.items.get(place);
                    let text = self.edit(old.map(|old| old.value), item, gaps.indentation(), colon);
                    (old.map(|_| place), Cow::Owned(text))
                });
                weave(['[', ']'], &container, &pieces.collect::<Vec<_>>(), &gaps)
            }
            (_, Json::Object(members)) if !members.is_empty() => {
                let members: Vec<_> = members.iter().map(|(key, item)| (key.as_str(), item.clone())).collect();
                self.new_object(&members, &self.style.nested(indentation, colon), colon)
            }
            (_, Json::Array(items)) if !items.is_empty() => {
                let gaps = self.style.nested(indentation, colon);
                let item = |item| (None, Cow::Owned(self.edit(None, item, gaps.indentation(), colon)));
                weave(['[', ']'], &Container::default(), &items.iter().map(item).collect::<Vec<_>>(), &gaps)
            }
            _ => new.to_string(),
        }
    }

    fn new_object(&self, members: &[(&str, Json)], gaps: &Gaps, colon: &str) -> String {
        let text = |(key, value): &(&str, Json)| {
            (None, Cow::Owned(member(key, colon, &self.edit(None, value, gaps.indentation(), colon))))
        };
        weave(['{', '}'], &Container::default(), &members.iter().map(text).collect::<Vec<_>>(), gaps)
    }

    /// An object over an old one: known members stay in their order, new ones follow.
    fn edit_object(&self, old: &str, members: &[(&str, Json)]) -> String {
        let container = Container::of(old);
        let colon = container.items.first().map_or(self.style.element_colon.as_str(), |item| item.colon);
        let gaps = Gaps::of(&container, comma_after(colon)).unwrap_or_else(|| self.style.element.clone());
        let places = container.places();
        let wanted: BTreeMap<&str, &Json> = members.iter().map(|(key, value)| (*key, value)).collect();
        let mut pieces: Vec<Piece<'_>> = Vec::new();
        for (place, item) in container.items.iter().enumerate() {
            let Some(value) = wanted.get(item.key.as_str()) else { continue };
            let counts = places.get(item.key.as_str()) == Some(&place);
            let value = if counts {
                Cow::Owned(self.edit(Some(item.value), value, gaps.indentation(), item.colon))
            } else {
                Cow::Borrowed(item.value)
            };
            pieces.push((Some(place), joined(item.head, &value)));
        }
        for (key, value) in members.iter().filter(|(key, _)| !places.contains_key(key)) {
            let value = self.edit(None, value, gaps.indentation(), colon);
            pieces.push((None, Cow::Owned(member(key, colon, &value))));
        }
        weave(['{', '}'], &container, &pieces, &gaps)
    }
}

/// The elements of another text, if its new elements would look the same.
fn elements_in_style<'a>(layout: &'a FileLayout, style: &Style) -> Option<[Texts<'a>; 2]> {
    let body = frame(&layout.text).1;
    let top = Container::of(body);
    let theirs = Style::learn(&layout.text, &top);
    if theirs.element != style.element || theirs.element_colon != style.element_colon {
        return None;
    }
    let canvas = parse::canvas(body).ok()?;
    let list = |name: &str, elements| {
        top.member(name).map(|list| by_id(&Container::of(list.value), elements)).unwrap_or_default()
    };
    Some([list("nodes", canvas.nodes), list("edges", canvas.edges)])
}

fn by_id<'a>(container: &Container<'a>, elements: Vec<Element>) -> Texts<'a> {
    let texts = container.items.iter().map(|item| item.value);
    let all = elements.into_iter().zip(texts).enumerate();
    all.map(|(place, (element, text))| (element.id.clone(), (place, element, text))).collect()
}

/// Puts items between brackets. Two that stood beside one another keep what stood between them.
fn weave(brackets: [char; 2], old: &Container<'_>, pieces: &[Piece<'_>], gaps: &Gaps) -> String {
    let count = old.items.len();
    let mut out = String::from(brackets[0]);
    let mut last: Option<Option<usize>> = None;
    for (place, text) in pieces {
        let between = |gap: usize| old.gaps.get(gap).filter(|_| (1..count).contains(&gap)).copied();
        let gap = match last {
            None => old.gaps.first().filter(|_| count > 0).copied().unwrap_or(&gaps.open),
            Some(last) => {
                place.and_then(between).or_else(|| last.and_then(|last| between(last + 1))).unwrap_or(&gaps.between)
            }
        };
        out.push_str(gap);
        out.push_str(text);
        last = Some(*place);
    }
    match old.gaps.last() {
        Some(gap) if count == 0 && pieces.is_empty() => out.push_str(gap),
        _ if pieces.is_empty() => {}
        Some(gap) if count > 0 => out.push_str(gap),
        _ => out.push_str(&gaps.close),
    }
    out.push(brackets[1]);
    out
}

fn joined<'a>(head: &str, value: &str) -> Cow<'a, str> {
    Cow::Owned(format!("{head}{value}"))
}

fn member(key: &str, colon: &str, value: &str) -> String {
    let mut text = String::new();
    write_string(key, &mut text);
    text.push_str(colon);
    text.push_str(value);
    text
}

fn json(value: &Value) -> Json {
    let mut text = String::new();
    value.write_json(&mut text);
    serde_json::from_str(&text).unwrap_or_default()
}

/// Whether a text reads as a value, however it is spelt.
fn is_same(text: &str, value: &Json) -> bool {
    let read = |json: Json| Value::from_json(json).ok();
    let old = serde_json::from_str(text).ok().and_then(read);
    old.is_some() && old == read(value.clone())
}
