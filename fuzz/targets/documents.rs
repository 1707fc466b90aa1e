//! Whole documents of somebody who may write, and means harm: what of one is known from its columns is what Automerge makes of it.
//!
//! The input is the body of a document's chunk; the checksum is put right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_p2p::canvas::{CanvasDocument, WholeCanvas};

mod support;

use support::{DOCUMENT, chunk, quiet_panics};

fuzz_target!(
    init: {
        // Automerge panics on some of this, which is contained.
        quiet_panics();
    },
    |data: &[u8]| {
        let bytes = chunk(DOCUMENT, data);
        let Ok(whole) = WholeCanvas::load(&bytes) else { return };
        let mut document = CanvasDocument::new();
        if !document.may_adopt(&whole) {
            return;
        }
        document.adopt(whole);
        let told = document.canvas_json();
        document.merge();
        assert!(!document.is_lost(), "what was taken over cannot be read");
        let loaded = CanvasDocument::load(&document.replica().save()).expect("what was saved can be loaded");
        assert_eq!(loaded.canvas_json(), told);
        assert_eq!(loaded.version(), document.version());
    }
);
