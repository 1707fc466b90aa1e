//! Any text as a canvas: from an application, and from a file; and two of them as an edit and a merge.
#![no_main]

use automerge::ActorId;
use libfuzzer_sys::fuzz_target;
use mqtt_p2p::canvas::file::{merge_texts, plain_text, read, render};
use mqtt_p2p::canvas::{Base, Canvas, CanvasDocument};

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once('\n').unwrap_or((text, "{}"));
    let _ = plain_text(text);
    let (before, after) = (Canvas::from_json(first), Canvas::from_json(second));
    for canvas in [&before, &after].into_iter().flatten() {
        let again = Canvas::from_json(&canvas.to_json()).expect("what was written can be read");
        assert_eq!(again.to_json(), canvas.to_json());
    }
    for file in [first, second] {
        if let Ok((canvas, layout)) = read(file) {
            let written = render(&canvas, &layout);
            assert_eq!(read(&written).expect("what was written can be read").0, canvas);
        }
    }
    let (Ok(before), Ok(after)) = (before, after) else { return };
    let _ = merge_texts(first, first, second, 7);
    let mut document = CanvasDocument::new();
    document.set_actor(ActorId::from([1; 24]));
    if document.create(&before, "a").is_ok() && document.update(&after, &Base::Last, "a").is_ok() {
        let loaded = CanvasDocument::load(&document.replica().save()).expect("what was saved can be loaded");
        assert_eq!(loaded.canvas_json(), document.canvas_json());
        assert_eq!(document.canvas(), after);
    }
});
