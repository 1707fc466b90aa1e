//! What a canvas document promises, on its own and between peers.

use super::*;

pub(crate) fn canvas(json: &str) -> Canvas {
    Canvas::from_json(json).unwrap()
}

/// A peer's empty document.
pub(crate) fn peer(number: u8) -> CanvasDocument {
    let mut document = CanvasDocument::new();
    document.set_actor(ActorId::from([number; 16]));
    document
}

#[test]
fn a_canvas_goes_in_and_comes_out_equal() {
    let json = canvas(
        r#"{"nodes":[{"id":"b","type":"text","text":"hi","x":1},{"id":"a/%","x":1.5,"o":{"k":[1]}}],
        "edges":[{"id":"e","fromNode":"a/%","toNode":"zz"}],"meta":true}"#,
    );
    let mut document = peer(1);
    let edit = document.create(&json, "me").unwrap();
    assert_eq!(edit.changes.len(), 1);
    assert_eq!(document.canvas(), json);
    assert_eq!(CanvasDocument::load(&document.replica().save()).unwrap().canvas(), json);
    let mut followed = Canvas::default();
    edit.diff.apply_to(&mut followed);
    assert_eq!(followed, json);
}
