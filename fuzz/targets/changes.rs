//! Changes of somebody who may write, and means harm: applied, told ahead, saved and loaded.
//!
//! The input is bodies of Automerge's change chunks, each behind its length in two bytes; checksums are put right, or the
//! fuzzer would never get past them.
#![no_main]

use automerge::{ActorId, Change};
use libfuzzer_sys::fuzz_target;
use mqtt_p2p::canvas::{Canvas, CanvasDocument, IndexDocument, WholeCanvas, decode_change};

mod support;

use support::{CHANGE, chunk, quiet_panics};

fn parse(data: &[u8]) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut rest = data;
    while let [high, low, after @ ..] = rest {
        let (body, after) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(after.len()));
        rest = after;
        changes.extend(decode_change(chunk(CHANGE, body)));
    }
    changes
}

fuzz_target!(
    init: {
        // Automerge panics on some of this, which is contained; what is not contained ends the run without a hook's help.
        quiet_panics();
    },
    |data: &[u8]| {
        let changes = parse(data);
        if changes.is_empty() {
            return;
        }
        let mut index = IndexDocument::new();
        index.apply(changes.clone());
        let mut document = CanvasDocument::new();
        document.set_actor(ActorId::from([1; 24]));
        let board = r#"{"nodes":[{"id":"n","type":"text","text":"hello","x":0,"y":0,"width":1,"height":1}]}"#;
        let board = Canvas::from_json(board).expect("a canvas");
        document.create(&board, "a").expect("it can be created");
        for change in changes {
            let applied = document.apply(vec![change]);
            if applied.damaged {
                // The caller loads it again from storage.
                return;
            }
        }
        document.merge();
        assert!(!document.is_lost(), "what was taken in as plain is refused");
        let canvas = document.canvas_json();
        Canvas::from_json(&canvas).expect("whatever was applied, the canvas is one");
        let saved = document.replica().save();
        let loaded = CanvasDocument::load(&saved).expect("what was saved can be loaded");
        assert_eq!(loaded.canvas_json(), canvas);
        let whole = WholeCanvas::load(&saved).expect("what was saved can be loaded");
        let mut newcomer = CanvasDocument::new();
        if newcomer.may_adopt(&whole) {
            newcomer.adopt(whole);
            assert_eq!(newcomer.canvas_json(), canvas);
        }
    }
);
