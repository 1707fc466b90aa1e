//! What a canvas document promises, on its own and between peers.

mod adopt;
mod alone;
mod bases;
mod beside;
mod combined;
pub(crate) mod mutation;
mod plain;
mod properties;
mod quarantine;
mod together;
mod typing;

use automerge::ActorId;

use crate::canvas::{Applied, Base, Canvas, CanvasDocument, CanvasPatch, Element, LocalEdit, Value};

fn canvas(json: &str) -> Canvas {
    Canvas::from_json(json).unwrap()
}

fn patch(json: &str) -> CanvasPatch {
    CanvasPatch::from_json(json).unwrap()
}

/// A peer's document, which holds this canvas.
fn peer(number: u8, json: &str) -> CanvasDocument {
    let mut document = CanvasDocument::new();
    document.set_actor(ActorId::from([number; 16]));
    document.create(&canvas(json), "someone").unwrap();
    document
}

/// Two peers that imported the same canvas.
fn pair(json: &str) -> (CanvasDocument, CanvasDocument) {
    (peer(1, json), peer(2, json))
}

/// Exchanges everything, and returns what the second exchange reported to the first peer.
fn sync(a: &mut CanvasDocument, b: &mut CanvasDocument) -> Applied {
    let to_a = b.replica().changes_since(a.replica().heads().as_slice());
    let to_b = a.replica().changes_since(b.replica().heads().as_slice());
    b.apply(to_b);
    let applied = a.apply(to_a);
    // Repairs of lost texts are changes too.
    b.apply(a.replica().changes_since(b.replica().heads().as_slice()));
    a.apply(b.replica().changes_since(a.replica().heads().as_slice()));
    assert_eq!(a.canvas(), b.canvas());
    assert_eq!(a.replica().heads(), b.replica().heads());
    applied
}

fn update(document: &mut CanvasDocument, edit: impl FnOnce(&mut Canvas)) -> LocalEdit {
    let mut copy = document.canvas();
    document.note_returned();
    edit(&mut copy);
    document.update(&copy, &Base::Last, "author").unwrap()
}

fn set(canvas: &mut Canvas, node: usize, property: &str, value: Value) {
    canvas.nodes[node].properties.insert(property.into(), value);
}

fn text_of(document: &CanvasDocument, node: usize) -> String {
    match document.canvas().nodes[node].properties.get("text") {
        Some(Value::String(text)) => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

fn ids(elements: &[Element]) -> Vec<&str> {
    elements.iter().map(|element| element.id.as_str()).collect()
}

const TWO: &str = r#"{"nodes":[{"id":"a","type":"text","text":"cat","x":1},{"id":"b","x":2}],
    "edges":[{"id":"e","fromNode":"a","toNode":"b"}]}"#;
